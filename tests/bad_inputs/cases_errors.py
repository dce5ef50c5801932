# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Configs, folders, run folders that are gone on with, the machine, bugs, stops, and our own commands."""

from __future__ import annotations

import errno
import json
import signal
from pathlib import Path

import torch
from bad_inputs import RUN, Case, loop

from monai_al.records import RunFolder
from monai_al.records.files import TEMPORARY

LOSS = "monai_al.losses.PartialDiceCELoss.forward"
STEP = "monai.engines.SupervisedTrainer._iteration"
SYNC = "monai_al.records.files.os.fsync"
BEGUN = (*RUN, "cache")
held = []  # locks


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def full_for_our_files(content, file):
    if TEMPORARY in str(getattr(file, "name", "")) or isinstance(getattr(file, "name", None), int):
        full_disk()
    Path(str(file)).write_bytes(b"")


def changed(name, change):
    """Change the text of a file of the finished run."""

    def make(here):
        for path in (here / "finished").glob(name):
            path.write_text(change(path.read_text()))

    return make


def without(key):
    return lambda text: json.dumps({name: value for name, value in json.loads(text).items() if name != key})


def broken_weights(here):
    for path in (here / "finished").glob("round_*/model_0.pt"):
        path.write_bytes(path.read_bytes()[:100])


def not_evaluated(here):
    broken_weights(here)
    (here / "finished" / "round_01" / "metrics.json").unlink()


def in_use(here):
    folder = RunFolder(here / "run")
    folder.lock()
    held.append(folder)


def again(*more):
    """The command that made the finished run, and more options."""
    words = loop(*more)
    words[words.index("run")] = "{run}"
    return words


def config(name, *more):
    return ["monai", "--config_file", f"['{{{name}}}', 'small.yaml']", "--output_dir", "run", *more]


def applied(name, *more):
    return ["monai", "--config_file", f"{{{name}}}", "--output_dir", "run", *more]


CONFIGS = [
    Case(
        name="a class that does not exist",
        command=loop("--strategy#_target_", "monai_al.strategies.Uncertaintyy"),
        says=["_target_ monai_al.strategies.Uncertaintyy", "did you mean monai_al.strategies.Uncertainty?"],
    ),
    Case(
        name="a class of a package that is not there",
        command=loop("--strategy#_target_", "nowhere.Strategy"),
        says=["_target_ nowhere.Strategy: no such class or function", "install its package"],
        nightly=True,
    ),
    Case(name="a reference to nothing", command=loop("--seed", "@nope"), says=["@nope: the config has no such id"]),
    Case(
        name="a circle of references",
        command=loop("--budget", "@rounds", "--rounds", "@budget"),
        says=["budget", "rounds", "refer to each other"],
    ),
    Case(
        name="an expression with an unknown name",
        command=loop("--seed", "$nope + 1"),
        says=["$nope + 1", "NameError: name 'nope' is not defined"],
    ),
    Case(name="an expression that is no Python", command=loop("--seed", "$(1"), says=["$ expression", "never closed"]),
    Case(
        name="an unknown argument of a component",
        command=loop("--strategy#measures", "entropy"),
        says=["--strategy#measures: Uncertainty takes no such argument; did you mean measure?"],
    ),
    Case(
        name="a training config that is not there",
        command=loop("--training_config", "{here}/gone.yaml"),
        says=["gone.yaml does not exist"],
    ),
    Case(
        name="a training overlay that is no YAML",
        command=loop("--train_overlays", "['{here}/mine.yaml']"),
        files={"mine.yaml": "steps: 3\nphantom: {patients: 3\nseed: 1\n"},
        says=["mine.yaml, line 3: not valid YAML"],
    ),
    Case(
        name="a training overlay that is no JSON",
        command=loop("--train_overlays", "['{here}/mine.json']"),
        files={"mine.json": '{"steps": 3,\n "seed" 1}'},
        says=["mine.json, line 2: not valid JSON"],
    ),
    Case(
        name="a training overlay of another kind",
        command=loop("--train_overlays", "['{here}/mine.txt']"),
        files={"mine.txt": "steps: 3"},
        says=["mine.txt: a config's name ends in .yaml"],
        nightly=True,
    ),
    Case(
        name="a training overlay that holds a list",
        command=loop("--train_overlays", "['{here}/mine.yaml']"),
        files={"mine.yaml": "- steps\n"},
        says=["mine.yaml", "holds a list, not ids"],
        nightly=True,
    ),
    Case(
        name="a package that is not installed",
        command=loop(overlays=["mine.yaml"]),
        files={"mine.yaml": "+imports: [$import no_such_package]\n+initialize: [$no_such_package.begin()]\n"},
        says=["the package no_such_package is not installed: pip install no_such_package"],
    ),
    Case(
        name="an optimizer that is none",
        command=config("train", "--optimizer", "abc"),
        says=["learning_rate_schedule"],
        leaves=BEGUN,
    ),
    Case(
        name="an unknown class in train.yaml alone",
        command=config("train", "--optimizer#_target_", "torch.optim.AdamX"),
        says=["_target_ torch.optim.AdamX: no such class"],
        leaves=BEGUN,
        nightly=True,
    ),
    Case(
        name="an encoder's config that is not there",
        command=loop("--encoder", "{here}/gone.yaml"),
        says=["gone.yaml does not exist"],
        nightly=True,
    ),
    Case(
        name="an unknown id in pretrain.yaml alone",
        command=["monai", "--config_file", "{pretrain}", "--output_dir", "run", "--temprature", "1"],
        says=["--temprature", "temperature"],
    ),
]

FOLDERS = [
    Case(
        name="an output_dir that is a file", command=loop(), files={"run": ""}, says=["run is a file", "--output_dir"]
    ),
    Case(
        name="an output_dir with somebody's files",
        command=loop(),
        files={"run/thesis.docx": "", "run/.DS_Store": "", "run/notes/a.txt": ""},
        says=["run holds what no run wrote (notes and 1 more)", "--output_dir"],
    ),
    Case(
        name="an output_dir that is a data set",
        command=loop(),
        files={"run/imagesTr/case_1.nii.gz": ""},
        says=["run holds what no run wrote (imagesTr)"],
        nightly=True,
    ),
    Case(
        name="a data set that is not there",
        command=loop("--dataset_dir", "{here}/gone"),
        says=["gone", "does not exist"],
    ),
    Case(
        name="a cache_dir that is a file",
        command=loop("--cache_dir", "{here}/file"),
        files={"file": ""},
        says=["file"],
    ),
    Case(
        name="a folder in use",
        command=loop(),
        make=in_use,
        says=["run is in use by process", "wait for it, stop it, or give another output_dir"],
        leaves=BEGUN,
    ),
    Case(
        name="a disk that is full",
        command=loop(),
        during={SYNC: full_disk},
        says=["no space left on the device"],
        leaves=BEGUN,
    ),
    Case(
        name="a disk that is full when the weights are written",
        command=loop(),
        during={"monai_al.engines.active_learner.torch.save": full_for_our_files},
        says=["run/round_00/model_0.pt: no space left on the device"],
        leaves=BEGUN,
    ),
    Case(
        name="a file system that is read-only",
        command=loop(),
        during={"monai_al.records.run_folder.write_json": raising(OSError(errno.EROFS, "", "run/run.json"))},
        says=["run/run.json: the file system is read-only: give another folder, such as by --output_dir"],
        leaves=BEGUN,
        nightly=True,
    ),
    Case(
        name="a folder that may not be written",
        command=loop(),
        during={"filelock.FileLock.acquire": raising(PermissionError(errno.EACCES, "", "run/.lock"))},
        says=["run/.lock: permission denied"],
        leaves=BEGUN,
        nightly=True,
    ),
    Case(
        name="too many open files",
        command=loop(),
        during={LOSS: raising(OSError(errno.EMFILE, "Too many open files", "a.npy"))},
        says=["a.npy: too many open files: lower --num_workers"],
        leaves=BEGUN,
        nightly=True,
    ),
]

AGAIN = [
    Case(
        name="another learning rate than at the start",
        command=again("--learning_rate", "0.1"),
        says=["was started with another config: training#learning_rate was 0.004 and is now 0.1", "output_dir"],
    ),
    Case(
        name="another seed than at the start",
        command=again("--seed", "3"),
        says=["was started with another config", "seed was 0 and is now 3"],
        nightly=True,
    ),
    Case(
        name="fewer rounds than at the start", command=again("--rounds", "1"), says=["rounds of [3, 3] items, now [3]"]
    ),
    Case(
        name="other threads than at the start",
        command=again("--threads", "2"),
        says=["was started with 1 threads, now 2"],
        nightly=True,
    ),
    Case(
        name="another pool than at the start",
        command=again("--test_fraction", "0.6"),
        says=["was started with another"],
        nightly=True,
    ),
    Case(
        name="a run.json that is no JSON",
        command=again(),
        make=changed("run.json", lambda text: text[:50]),
        says=["run.json differs from what was written: restore it"],
    ),
    Case(
        name="a run.json without its config",
        command=again(),
        make=changed("run.json", without("config_hash")),
        says=["run.json differs from what was written: restore it"],
    ),
    Case(
        name="a pool.json without its items",
        command=again(),
        make=changed("pool.json", without("items")),
        says=["pool.json differs from what was written: restore it"],
        nightly=True,
    ),
    Case(
        name="labels that are no record",
        command=again(),
        make=changed("round_00/labels/0000.json", without("labels")),
        says=["0000.json differs from what was written: restore it"],
        keeps=False,
        nightly=True,
    ),
    Case(
        name="metrics without their score",
        command=again("--rounds", "3"),
        make=changed("round_00/metrics.json", without("dice_3d")),
        says=["round_00/metrics.json differs from what was written"],
        keeps=False,
        nightly=True,
    ),
    Case(
        name="weights that are cut off",
        command=again(),
        make=not_evaluated,
        says=["model_0.pt differs from what was written"],
        keeps=False,
    ),
]

APPLIED = [
    Case(
        name="inference without a run",
        command=applied("inference"),
        says=["no run is given", "--run_dir", "has no models/model.pt"],
    ),
    Case(
        name="inference with a folder that is no run",
        command=applied("inference", "--run_dir", "{here}"),
        says=["is no run folder: it holds no run.json"],
    ),
    Case(
        name="inference after a round that is not trained",
        command=applied("inference", "--run_dir", "{run}", "--round", "7"),
        says=["7"],
    ),
    Case(
        name="inference with weights that are cut off",
        command=applied("inference", "--run_dir", "{run}"),
        make=broken_weights,
        says=["model_0.pt differs from what was written: restore it"],
    ),
    Case(
        name="evaluation of a part that does not exist",
        command=applied("evaluate", "--run_dir", "{run}", "--part", "tset"),
        says=["--part", "test", "tset"],
    ),
    Case(
        name="evaluation of a data set that is not there",
        command=applied("evaluate", "--run_dir", "{run}", "--dataset_dir", "{here}/gone"),
        says=["gone", "does not exist"],
        nightly=True,
    ),
    Case(
        name="evaluation with an unknown option",
        command=applied("evaluate", "--run_dir", "{run}", "--prat", "test"),
        says=["--prat", "part"],
        nightly=True,
    ),
]

READERS = {  # command -> the files of a run that it reads
    "the loop": (again(), ["run.json", "pool.json", "round_01/labels/0000.json"]),
    "the status": (["status", "{run}"], ["round_00/metrics.json"]),
    "the report": (["report", "{run}"], ["run.json", "round_00/query.json", "round_01/metrics.json"]),
    "inference": (applied("inference", "--run_dir", "{run}"), ["run.json", "pool.json"]),
    "evaluation": (applied("evaluate", "--run_dir", "{run}"), ["run.json", "pool.json"]),
}
BROKEN = {
    "is cut off": lambda text: text[: len(text) // 2],
    "is empty": lambda text: "",
    "holds a list": lambda _: "[1]",
    "holds nothing": lambda _: "{}",
}
FINE = [  # which show what there is
    ("the status", "round_00/metrics.json", "holds nothing"),
    ("the report", "run.json", "holds nothing"),
]
FILES = [
    Case(
        name=f"{file} {how} ({who})",
        command=command,
        make=changed(file, change),
        says=[file],
        keeps=False,
        leaves=["cache"],
        nightly=True,
    )
    for who, (command, files) in READERS.items()
    for file in files
    for how, change in BROKEN.items()
    if (who, file, how) not in FINE
]

MACHINE = [
    Case(
        name="not enough memory",
        command=loop(),
        during={LOSS: raising(MemoryError())},
        says=["out of memory: lower --batch_size"],
        leaves=BEGUN,
    ),
    Case(
        name="not enough memory of the GPU",
        command=loop(),
        during={LOSS: raising(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has"))},
        says=["out of GPU memory (no 2.00 GiB more are free): lower --batch_size"],
        leaves=BEGUN,
    ),
    Case(
        name="not enough memory for a first try",
        command=loop("--image_size", "[32, 32]"),
        during={
            "monai.networks.nets.UNet.forward": raising(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
        },
        says=["out of memory: lower --batch_size"],
        leaves=["cache"],
        nightly=True,
    ),
    Case(
        name="a worker that was killed",
        command=loop(),
        during={
            LOSS: raising(
                RuntimeError(
                    "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible "
                    "that dataloader's workers are out of shared memory."
                )
            )
        },
        says=["a worker of the data loader died (killed by signal: Bus error)", "shared memory", "--num_workers"],
        leaves=BEGUN,
    ),  # fmt: skip
    Case(
        name="a device that is not there",
        command=loop("--device", "cuda:99"),
        says=["--device cuda:99", "--device cpu"],
        leaves=["cache"],
    ),
    Case(
        name="a device that does not exist",
        command=loop("--device", "gpu"),
        says=["--device must be cpu, cuda, cuda:1 or mps, got 'gpu'"],
        nightly=True,
    ),
    Case(
        name="a network for other channels",
        command=loop("--in_channels", "3"),
        says=["the network cannot predict", "in_channels"],
        leaves=["cache"],
    ),
    Case(
        name="a network that does not fit in training",
        command=loop(),
        during={LOSS: raising(RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"))},
        says=["the network and its images do not fit each other", "--image_size"],
        leaves=BEGUN,
        nightly=True,
    ),
    Case(
        name="a training that diverges",
        command=loop("--nested_overrides", "{'optimizer#lr': 1e30}", "--lr_schedule", "constant"),
        says=["diverged", "--learning_rate"],
        leaves=BEGUN,
        nightly=True,
    ),
]

BUGS = [
    Case(
        name="a bug in the loop",
        command=loop(),
        during={"monai_al.engines.member_training.MemberTraining.train": raising(KeyError("secret"))},
        status=1,
        says=["KeyError: secret", "a bug", "all of it is in run/log.txt"],
        leaves=BEGUN,
    ),
    Case(
        name="a bug before there is a folder",
        command=loop(),
        during={"monai_al.engines.active_learner.source_of": raising(IndexError("list index out of range"))},
        status=1,
        says=["IndexError: list index out of range", "all of it is in /"],
    ),
    Case(
        name="a bug in a training alone",
        command=config("train"),
        during={"monai_al.data.VolumeCache.get": raising(AttributeError("no such attribute"))},
        status=1,
        says=["AttributeError", "all of it is in"],
        leaves=BEGUN,
        nightly=True,
    ),
    Case(
        name="a bug in a command",
        command=["where"],
        during={"monai_al.commands.where.asset_names": raising(ZeroDivisionError("division by zero"))},
        status=1,
        says=["ZeroDivisionError: division by zero", "all of it is in /"],
    ),
]

STOPS = [
    Case(
        name="Ctrl-C in a training",
        command=loop(),
        during={STEP: raising(KeyboardInterrupt())},
        status=130,
        says=["stopped by Ctrl-C; the same command goes on"],
        leaves=BEGUN,
    ),
    Case(
        name="Ctrl-C before there is a folder",
        command=loop(),
        during={"monai_al.engines.active_learner.source_of": raising(KeyboardInterrupt())},
        status=130,
        says=["stopped by Ctrl-C"],
        nightly=True,
    ),
    Case(
        name="SIGTERM",
        command=loop("--steps", "100000"),
        stop=signal.SIGTERM,
        status=143,
        says=["stopped by SIGTERM; the same command goes on"],
        leaves=BEGUN,
        nightly=True,
    ),
    Case(
        name="Ctrl-C, in earnest",
        command=loop("--steps", "100000", "--progress", "True"),
        stop=signal.SIGINT,
        status=130,
        says=["stopped by Ctrl-C; the same command goes on"],
        lines=20,
        leaves=BEGUN,
        nightly=True,
    ),
    Case(
        name="an unknown option, in earnest",
        command=loop("--roundz", "3"),
        alone=True,
        nightly=True,
        says=["--roundz", "did you mean rounds"],
    ),
]

COMPARISON = "title: Mine\nbundle: active_learning\nruns: {random: {}}\n"
COMMANDS = [
    Case(name="no such command", command=["compute"], says=["invalid choice: 'compute'", "--help"]),
    Case(name="no command", command=[], says=["COMMAND", "--help"], nightly=True),
    Case(
        name="an option that a command does not have",
        command=["status", "runs", "--rounds", "3"],
        says=["unrecognized arguments: --rounds 3"],
        nightly=True,
    ),
    Case(name="the status of no folder", command=["status", "gone"], says=["gone: no such folder"]),
    Case(
        name="the status of a run with a broken file",
        command=["status", "{run}"],
        make=changed("run.json", lambda text: text[:50]),
        says=["run.json cannot be read"],
    ),
    Case(name="a report of no run", command=["report", "{here}"], says=["is no run folder"], nightly=True),
    Case(name="where nothing is", command=["where", "entropie"], says=["entropie"], nightly=True),
    Case(
        name="a data list of no folder",
        command=["datalist", "folder", "--dataset_dir", "gone"],
        says=["gone", "does not exist"],
        nightly=True,
    ),
    Case(
        name="no such comparison",
        command=["compare", "--config", "gone.yaml", "--output_dir", "out"],
        says=["gone.yaml: no such comparison"],
        nightly=True,
    ),
    Case(
        name="a comparison that is no YAML",
        command=["compare", "--config", "mine.yaml", "--output_dir", "out"],
        files={"mine.yaml": "title: Mine\nruns: {random: {}\nseeds: [0]\n"},
        says=["mine.yaml", "line 3"],
    ),
    Case(
        name="a comparison with an unknown key",
        command=["compare", "--config", "mine.yaml", "--output_dir", "out"],
        files={"mine.yaml": f"{COMPARISON}seedz: [0]\n"},
        says=["mine.yaml", "'seedz'"],
        nightly=True,
    ),
    Case(
        name="a comparison with no workers",
        command=["compare", "--config", "mine.yaml", "--output_dir", "out", "--workers", "0"],
        files={"mine.yaml": COMPARISON},
        says=["--workers must be at least 1, got 0"],
        nightly=True,
    ),
    Case(
        name="a comparison whose run cannot start",
        command=["compare", "--config", "mine.yaml", "--output_dir", "out"],
        files={"mine.yaml": f"{COMPARISON}options: {{dataset_dir: gone}}\nseeds: [0]\n"},
        says=["runs that failed: 1", "random, seed 0 ended with code 2: error: ", "gone: does not exist", "seed_0.log"],
        lines=8,
        leaves=["out"],
        nightly=True,
    ),
]

CASES = [*CONFIGS, *FOLDERS, *AGAIN, *APPLIED, *FILES, *MACHINE, *BUGS, *STOPS, *COMMANDS]
