# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""``python -m monai_al check``: the page of a bundle that works, and what is said of one that does not."""

from __future__ import annotations

import copy
import json
import re
import runpy
import shlex
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_al.bundle_check import collected, strategies_section
from monai_al.commands import main
from monai_al.engines import ActiveLearner
from monai_al.strategies import Random

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]
FOREIGN = ROOT / "tests" / "foreign_bundles"
WRITE = runpy.run_path(str(ROOT / "tests" / "bundles" / "test_foreign_bundles.py"))["WRITE"]
SMALL = {
    "hippocampus_3d": ["--network_def#channels", "[2, 4, 4]"],
    "skin_lesion_2d": ["--network_def#channels", "[2, 4, 4, 4]", "--image_size", "[32, 32]", "--val_fraction", "0.4"],
}
SOME = ("ceal", "coreset_bottleneck", "coreset_encoder", "entropy", "learning_loss", "mc_dropout", "random_volumes")
KEYS = ["image", "label"]
READ = {"_target_": "LoadImaged", "keys": KEYS, "ensure_channel_first": True}
TINY = {
    "imports": ["$import functools"],
    "dataset_dir": ".",
    "device": "cpu",
    "entries": "$[{'image': @dataset_dir + f'/{n}.png', 'label': @dataset_dir + f'/{n}_label.png'} for n in range(4)]",
    "network_def": "$torch.nn.Conv2d(1, 2, 3, padding=1)",
    "optimizer": {"_target_": "torch.optim.SGD", "params": "$@network_def.parameters()", "lr": 0.1},
    "reading": [READ, {"_target_": "ScaleIntensityd", "keys": "image"}],
    "more": [],
    "train": {
        "dataset": {
            "_target_": "Dataset",
            "data": "$@entries[:2]",
            "transform": {"_target_": "Compose", "transforms": "$@reading + @more"},
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@train#dataset", "batch_size": 2},
        "trainer": {
            "_target_": "SupervisedTrainer",
            "max_epochs": 1,
            "device": "@device",
            "train_data_loader": "@train#dataloader",
            "network": "@network_def",
            "loss_function": {"_target_": "DiceCELoss", "to_onehot_y": True, "softmax": True},
            "optimizer": "@optimizer",
        },
    },
    "validate": {
        "dataset": {
            "_target_": "Dataset",
            "data": "$@entries[2:]",
            "transform": {"_target_": "Compose", "transforms": "@reading"},
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@validate#dataset"},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@validate#dataloader",
            "network": "@network_def",
        },
    },
    "run": ["$@train#trainer.run()"],
}


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Runs the command where every file that it leaves is seen; gives the exit status and the page in one line."""
    for name in ("here", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))

    def run(*words):
        before = set(tmp_path.rglob("*"))
        status = main(["check", *map(str, words)])
        said = capsys.readouterr()
        left = set(tmp_path.rglob("*")) - before
        assert [path for path in left if not path.name.startswith("torchinductor")] == []  # torch's own, once a process
        assert "Traceback" not in said.out + said.err
        return status, " ".join((said.out if status < 2 else said.err).split())

    return run


@pytest.fixture
def bundle(tmp_path):
    """Writes a tiny bundle of others with a change, and its data."""

    def write(change=lambda config: None, name="train.json"):
        config = copy.deepcopy(TINY)
        config["dataset_dir"] = str(tmp_path / "data")
        change(config)
        for folder in ("data", "theirs/configs"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for number in range(4):
            label = np.zeros((16, 16), np.uint8)
            label[4:12, 2 + number : 10] = 1
            Image.fromarray(label * 90 + number).save(tmp_path / "data" / f"{number}.png")
            Image.fromarray(label).save(tmp_path / "data" / f"{number}_label.png")
        (tmp_path / "theirs" / "configs" / name).write_text(json.dumps(config))
        return tmp_path / "theirs"

    return write


@pytest.fixture
def few_strategies(monkeypatch):
    files = [file for file in strategies_section.overlays() if file.stem in SOME]
    monkeypatch.setattr(strategies_section, "overlays", lambda: files)


@pytest.fixture
def no_strategies(monkeypatch):
    monkeypatch.delitem(collected.SECTIONS, "strategies")


# -- a bundle that works -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        (
            "hippocampus_3d",
            [
                "pool 2 entries of a CacheDataset, train#dataset#data",
                "inferer SlidingWindowInferer, validate#inferer",
                "weights it loads none by itself",
                "seed that of each round, in place of that which the bundle sets by itself",
                "redirected output_dir, ckpt_dir",
                "items 2, all of them with a label test items 10, all",
                "classes background, anterior, posterior, 3 classes; named by metadata.json",
                "activation softmax, as its postprocessing tells",
                "stored 34 x 40 x 28 at 1 x 1 x 1 mm network sees 34 x 40 x 32, 1 channel",
                "gives 34 x 40 x 32, 3 channels",
                "its own label comes back, by the affines, with Dice anterior 1.000, posterior 1.000",
                "not seen 0.00 %",
                "work entropy, mc_dropout do not",
                "coreset_bottleneck: compares the pixels of images, and those of hippocampus_000",
                "differ in number: give --strategy#initial pixels:64, which resizes them",
            ],
        ),
        (
            "skin_lesion_2d",
            [
                "pool 3 entries of a CacheDataset",
                "activation sigmoid, as its postprocessing tells",
                "stored 96 x 80, with no size of a pixel told network sees 32 x 32, 3 channels",
                "gives 32 x 32, 1 channel",
                "work coreset_bottleneck, entropy, mc_dropout do not",
            ],
        ),
    ],
)
def test_the_page_of_a_bundle_that_works(name, facts, check, tmp_path, few_strategies):
    WRITE[name](tmp_path / "data", np.random.default_rng(0))
    before = {path: path.stat().st_mtime_ns for path in FOREIGN.rglob("*")}
    words = ["--dataset_dir", tmp_path / "data", "--device", "cpu", "--num_workers", "0", *SMALL[name]]
    status, page = check(FOREIGN / name, *words)
    assert (status, [fact for fact in facts if fact not in page]) == (0, [])
    assert "active learning works found" in page
    assert re.search(r"trains its first step on 2 items took [\d.]+ s, .* loss \d", page)
    assert "do not ceal: gives pseudo labels, which need" in page
    assert "do not coreset_encoder: needs a pretrained encoder, which needs a training config with a pool" in page
    assert re.search(r"learning_loss: --train_overlays learning_loss is for .* it brings a network of its own", page)
    assert "random_volumes: --train_overlays whole_volumes is for training configs with cache, datalist, pool" in page
    assert {path: path.stat().st_mtime_ns for path in FOREIGN.rglob("*")} == before
    command = shlex.split(page[page.index("python -m monai_al run") :])
    (config,) = (FOREIGN / name / "configs").glob("train.*")
    assert command[3:7] == ["run", "active_learning", "--training_config", str(config)]
    assert command[-6:] == ["--output_dir", f"runs/{name}", "--rounds", command[-3], "--budget", "1"]


@pytest.mark.nightly
def test_every_strategy_is_tried(check, bundle):
    status, page = check(bundle(), "--network_def", "$torch.nn.Conv2d(1, 2, 3, padding=1)")
    assert status == 0
    told = page[page.index("strategies") : page.index("python -m")]
    assert [file.stem for file in strategies_section.overlays() if file.stem not in told] == []


def test_parts_without_an_id_and_options_of_a_run(check, bundle, no_strategies):
    def nested(config):
        loader = "$monai.data.DataLoader(monai.data.Dataset(@entries[:2], @train#transform), batch_size=2)"
        config["train"]["transform"] = config["train"].pop("dataset")["transform"]
        config["train"]["trainer"]["train_data_loader"] = loader
        config["network_def"] = "$torch.nn.Conv2d(1, 9, 3, padding=1)"

    folder = bundle(nested) / "configs"
    (folder / "mine.json").write_text('{"network_def": "$torch.nn.Conv2d(1, 2, 1)"}')
    options = ["--train#trainer#max_epochs", "3", "--activation", "softmax", "--budget", "2"]
    status, page = check(f"['{folder}/train.json','mine.json']", *options)
    assert status == 0
    assert "pool 2 entries of a Dataset, inside of the trainer's data set" in page
    assert "network gives 16 x 16, 2 channels" in page
    assert "activation softmax, as --activation says" in page
    assert f"""--train_overlays '['"'"'{folder}/mine.json'"'"']' {shlex.join(options)} --output_dir""" in page


# -- bundles that are not for segmentation -----------------------------------------------------------------------------


def labels(text):
    return lambda config: config.update(
        entries=f"$[{{'image': @dataset_dir + f'/{{n}}.png', {text}}} for n in range(4)]"
    )


def gives(network):
    return lambda config: config.update(network_def=f"${network}")


def registration(config):
    labels("'label': @dataset_dir + f'/{n}_label.png'")(config)
    config["entries"] = config["entries"].replace("'image'", "'fixed': @dataset_dir + f'/{n}.png', 'moving'")
    config["reading"] = [READ | {"keys": ["fixed", "moving", "label"], "allow_missing_keys": True}]


def generative(config):
    config["train"]["trainer"] = {
        "_target_": "GanTrainer",
        "device": "@device",
        "max_epochs": 1,
        "train_data_loader": "@train#dataloader",
        **{f"{part}_network": "$torch.nn.Conv2d(1, 1, 1)" for part in "gd"},
        **{f"{part}_optimizer": "@optimizer" for part in "gd"},
        **{f"{part}_loss_function": "$torch.nn.MSELoss()" for part in "gd"},
    }


def clicks(config):
    config["network_def"] = "$torch.nn.Conv2d(2, 2, 1)"
    add = "$lambda item: {**item, 'image': torch.cat([item['image'], item['label']])}"
    config["reading"].append({"_target_": "Lambda", "func": add})


def prompts(config):
    made = "type('Denoiser', (torch.nn.Conv2d,), {'forward': lambda self, x, timesteps: x})(1, 2, 1)"
    config["network_def"] = f"${made}"


def only_applied(config):
    config["run"] = ["$@validate#evaluator.run()"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (labels("'label': n % 2"), "this bundle classifies images: the 'label' of its items is a number, no mask"),
        (labels("'label': [0, 1, 1]"), "this bundle classifies images: the 'label' of its items is a list of numbers"),
        (gives("torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 3))"),
         "this bundle classifies images: its network gives 3 numbers for an image"),
        (gives("torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Conv2d(1, 3, 1))"),
         "this bundle classifies images: its network gives 3 numbers for an image"),
        (labels("'label': [0], 'box': [[1, 2, 3, 4]]"), "this bundle detects objects: its items come with boxes"),
        (labels("'label': [[3, 4], [5, 6]]"), "this bundle finds points such as landmarks: the 'label' of its items"),
        (gives("torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 10), torch.nn.Unflatten(1, (2, 5)))"),
         "this bundle finds points such as landmarks: its network gives 2 x 5 numbers for an image"),
        (registration, "this bundle takes several images at a time, as registration does: 'fixed' and 'moving'"),
        (generative, "this bundle trains several networks at once, as those that generate images do: its GanTrainer"),
        (clicks, "this bundle needs prompts such as clicks: of the 2 channels that its network sees 1 is made from"),
        (prompts, "made to generate images or to take prompts: beside the image it needs timesteps"),
        (only_applied, "train.json runs no trainer, it only applies a network: active learning needs the training"),
    ],
)  # fmt: skip
def test_what_is_not_for_segmentation_is_refused_as_a_run_refuses_it(change, sentence, check, bundle, tmp_path):
    config = bundle(change) / "configs" / "train.json"
    status, page = check(config)
    assert status == 1
    assert sentence in page
    assert "active learning does not work" in page
    with pytest.raises(ValueError, match=r"this bundle|no trainer|made to") as refused:
        ActiveLearner(config, Random(), tmp_path / "run", budget=1, rounds=1, progress=False).run()
    assert " ".join(str(refused.value).replace(str(config), config.name).split()) in page


def test_a_bundle_without_a_training_config(check, bundle):
    folder = bundle(only_applied, "inference.json")
    status, page = check(folder)
    assert (status, "nothing in it trains, it only applies a network (inference.json)" in page) == (1, True)
    (folder / "scripts").mkdir()
    workflow = "from monai.bundle import BundleWorkflow\nimport no_such_package.part\nclass Mine(BundleWorkflow): ...\n"
    (folder / "scripts" / "workflow.py").write_text(workflow)
    status, page = check(folder)
    assert status == 1
    assert "written in Python (scripts/workflow.py); the packages no_such_package that it imports are not" in page


def test_a_workflow_in_python_is_found_in_its_folder(check, tmp_path, no_strategies):
    folder = shutil.copytree(FOREIGN / "python_workflow", tmp_path / "theirs")
    (folder / "scripts" / "pythonic.py").unlink()  # the other one
    WRITE["python_workflow"](tmp_path / "data", np.random.default_rng(0))
    status, page = check(folder, "--dataset_dir", tmp_path / "data", "--channels", "[2,4,4]", "--epochs", "1")
    assert status == 0, page
    for fact in ("workflow.py: active learning works", "trainer SupervisedTrainer", "test items 10, all", "trains its"):
        assert fact in page


# -- broken ones -------------------------------------------------------------------------------------------------------


def raises_in(part):
    broken = {"_target_": "Lambdad", "keys": "image", "func": "$lambda image: 1 / 0"}
    return lambda config: config[part].append(broken)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda config: config.update(network_def="@nothing"), "train.json fails by itself.*`@nothing` is not defined"),
        (lambda config: config["imports"].append("$import no_such_package"),
         "problem the package no_such_package is not installed: pip install no_such_package"),
        (lambda config: config["optimizer"].update(_target_="torch.optim.Addam"), "fails by itself.*Addam"),
        (lambda config: config.update(entries="$[]"), "train#dataset#data of train.json is empty: does --dataset_dir"),
        (raises_in("reading"), r"preprocessing fails on 0.png .*ZeroDivisionError: division by zero"),
        (raises_in("more"), "your bundle fails by itself in its first step: ZeroDivisionError in Lambdad: division by"),
        (lambda config: config.update(dataset_dir="/nowhere"), "8 files of the bundle's datalists do not exist"),
        (lambda config: config["train"]["dataloader"].update(drop_last=True, batch_size=5), "did no step with its 2"),
        (lambda config: config.pop("validate"), "train.json has no validation: .*name it by --bundle_ids"),
        (lambda config: config.pop("run"), "runs nothing, it has no id 'run'"),
        (lambda config: config["train"]["trainer"].pop("loss_function"), "fails by itself.*loss_function"),
    ],
)  # fmt: skip
def test_a_broken_bundle_is_told(change, words, check, bundle):
    status, page = check(bundle(change) / "configs" / "train.json")
    assert status == 1
    assert re.search(words, page), page


@pytest.mark.parametrize("text", ["{", "[1, 2]", "", "\x00"])
def test_a_file_that_is_no_config_is_told(text, check, bundle):
    file = bundle() / "configs" / "train.json"
    file.write_text(text)
    status, page = check(file)
    assert (status, "found problem train.json" in page) == (1, True), page


# -- wrong commands ----------------------------------------------------------------------------------------------------


def test_a_wrong_command_is_told(check, bundle, tmp_path):
    folder = bundle()
    for words, told in [
        ([], "name a bundle"),
        ([tmp_path / "nowhere"], "no such bundle or config"),
        (["[broken"], "is no list of configs"),
        ([folder, "--epoch", "3"], "--epoch: nothing in the bundle refers to it; did you mean"),
        ([folder, "--rounds", "0"], "--rounds must be a whole number"),
        ([folder, "--dropout", "0.2"], "--dropout: the network of train.json takes none"),
        ([folder, "--train#loader#batch_size", "1"], "no config of the bundle has a place for it"),
        ([folder, "no_such_overlay"], "no overlay is called 'no_such_overlay'"),
        ([folder, "--bundle_ids", "{'net': 'network_def'}"], "there is no part 'net'"),
        ([folder / "configs" / "train.json", "--training_config", "a.json"], "names one already"),
        ([folder, "--training_config", "a.json"], "holds no such config"),
        ([ROOT / "bundles" / "active_learning" / "configs" / "train.yaml"], "has a pool of its own"),
    ]:
        assert check(*words)[0] == 2, words
        assert told in check(*words)[1]


def test_several_training_configs_are_named(check, bundle, no_strategies):
    bundle(name="first.json")
    folder = bundle(name="second.json")
    status, page = check(folder)
    assert (status, "configs/first.json, configs/second.json: name one by --training_config" in page) == (2, True)
    status, page = check(folder, "--training_config", "second")
    assert (status, f"--training_config {folder}/configs/second.json" in page) == (0, True)
