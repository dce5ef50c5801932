# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs of a comparison: how they are started, with a stand-in for MONAI's command, and once in earnest."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from monai_al.cli import main
from monai_al.comparison import Comparison, asked_otherwise, is_done, run_all
from monai_al.records.files import TEMPORARY

SMALL = {
    "phantom": {"patients": 4, "shape": [32, 32, 6], "classes": ["background", "spleen"]},
    "image_size": [32, 32], "channels": [4, 8], "steps": 4, "batch_size": 4, "device": "cpu", "threads": 1,
    "rounds": 2, "budget": 4,
}  # fmt: skip

# What a run's option "do" tells it to do; it leaves a file "pid" as long as it lives.
STAND_IN = """#!{python} -S
import ast, json, os, signal, sys, time
from pathlib import Path

assert sys.argv[1:5] == ["-m", "monai.bundle", "run", "--config_file"], sys.argv
assert sys.stdin.read() == ""
*configs, options = [Path(file) for file in ast.literal_eval(sys.argv[5])]
assert all(config.is_file() for config in configs), configs
options = json.loads(options.read_text())
folder = Path(options["output_dir"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "new").write_text(str(os.getpid()))
(folder / "new").rename(folder / "pid")
out = folder.parents[1]
print("at most", len(list(out.glob("*/*/pid"))), "at once", flush=True)
exec(options.get("do", ""))
sizes = [4] * options["rounds"]
name = "extension_00.json" if (folder / "run.json").exists() else "run.json"
(folder / name).write_text(json.dumps({{"sizes": sizes}}))
for number in range(len(sizes)):
    (folder / f"round_{{number:02d}}").mkdir(exist_ok=True)
    dice = {{"mean": 0.5, "per_class": {{}}}}
    metrics = {{"labeled": 4 * number + 4, "fraction": 0.1, "cost": {{"total": 1.0}}, "dice_3d": dice}}
    metrics |= {{"dice_2d": {{"mean": 0.5}}, "hd95_3d": {{"mean": None}}}}
    (folder / f"round_{{number:02d}}" / "metrics.json").write_text(json.dumps(metrics))
print("the end")
(folder / "pid").unlink()
"""
WAIT = """
deadline = time.monotonic() + 60
while not {condition} and time.monotonic() < deadline: time.sleep(0.01)
assert {condition}
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """MONAI's command is replaced by one that starts at once."""
    path = tmp_path / "stand_in"
    path.write_text(STAND_IN.format(python=sys.executable))
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))
    loop = tmp_path / "al.yaml"
    loop.write_text("{}")

    def make(runs, seeds=(0,), **options):
        runs = {name: {"overlays": (), "options": own} for name, own in runs.items()}
        return Comparison("a", str(loop), options={"rounds": 2, **options}, seeds=seeds, runs=runs)

    return make


def logs(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.glob("*/*.log"))}


def starts(folder):
    return {name: text.count("-- started at ") for name, text in logs(folder).items()}


def gone(folder):
    """Whether the process of a run has ended."""
    try:
        os.kill(int((folder / "pid").read_text()), 0)
    except ProcessLookupError:
        return True
    return False


# -- one after the other -----------------------------------------------------------------------------------------------


def test_every_run_is_done_once(stand_in, tmp_path, capfd):
    planned = stand_in({"a": {}, "b c": {"rounds": 3}}, seeds=(4, 2)).planned(tmp_path / "my out, 'put'")
    assert run_all(planned, progress=False) == []
    assert all(is_done(run.folder) and not asked_otherwise(run) for run in planned)
    folder = tmp_path / "my out, 'put'"
    assert starts(folder) == dict.fromkeys(
        ["a/seed_2.log", "a/seed_4.log", "b_c/seed_2.log", "b_c/seed_4.log"], 1
    )  # fmt: skip
    assert all("at most 1 at once" in text for text in logs(folder).values())
    assert run_all(planned, progress=False) == []
    assert set(starts(folder).values()) == {1}
    assert capfd.readouterr() == ("", "")
    options = json.loads((folder / "b_c" / "seed_2.json").read_text())
    assert options == {
        "cache_dir": str(folder / "cache"), "rounds": 3, "seed": 2, "progress": False,
        "output_dir": str(folder / "b_c" / "seed_2"),
    }  # fmt: skip


def test_runs_start_in_their_order(stand_in, tmp_path):
    before = "a, b = (Path(f'{out}/{name}/seed_0') for name in 'ab'); assert is_there"
    tell = {"a": before.replace("is_there", "not b.exists()"), "b": before.replace("is_there", "a.exists()")}
    assert run_all(stand_in({name: {"do": do} for name, do in tell.items()}).planned(tmp_path), progress=False) == []


@pytest.mark.parametrize("workers", [2, 3])
def test_several_at_once(stand_in, tmp_path, workers):
    """Each run waits for the ones beside it, so that fewer at once would fail."""
    others = WAIT.format(condition=f"len(list(out.glob('*/*/pid')) + list(out.glob('*/*/run.json'))) >= {workers}")
    planned = stand_in({name: {"do": others} for name in "abcdef"}).planned(tmp_path)
    assert run_all(planned, workers=workers, progress=False) == []
    at_once = [int(text.split("at most ")[1].split()[0]) for text in logs(tmp_path).values()]
    assert len(at_once) == 6
    assert 1 < max(at_once) <= workers


def test_the_bar_judges_the_time_left_by_finished_rounds(stand_in, tmp_path, capfd):
    two_hours = (
        "(folder / 'round_00').mkdir(); (folder / 'round_00' / 'timings.json').write_text('{\"train_s\": 7200}')"
    )
    assert run_all(stand_in({"a": {"do": two_hours}, "b": {}}).planned(tmp_path)) == []
    bar = capfd.readouterr().err
    assert "<?, a, seed 0]" in bar
    assert "<4 h 0 min, b, seed 0]" in bar
    assert "2/2" in bar
    assert "<0 s" in bar


# -- failures ----------------------------------------------------------------------------------------------------------


def test_a_failure_is_told_with_the_end_of_its_log_and_the_others_are_done(stand_in, tmp_path, capfd):
    fail = "print('first'); print('error: no such thing\\n\\n'); sys.exit(3)"
    planned = stand_in({"a": {"do": fail}, "b": {}, "c": {"do": "os.kill(os.getpid(), 9)"}}).planned(tmp_path)
    failures = run_all(planned)
    assert failures == [
        f"a, seed 0 ended with code 3: error: no such thing (all of it in {tmp_path / 'a' / 'seed_0.log'})",
        f"c, seed 0 was ended by SIGKILL: at most 2 at once (all of it in {tmp_path / 'c' / 'seed_0.log'})",
    ]
    assert [is_done(run.folder) for run in planned] == [False, True, False]
    output = capfd.readouterr()
    assert output.out == ""
    assert all(failure in output.err for failure in failures)
    assert "3/3" in output.err
    assert "<" in output.err  # time passed < time left
    assert run_all(planned, progress=False) == failures
    assert starts(tmp_path) == {"a/seed_0.log": 2, "b/seed_0.log": 1, "c/seed_0.log": 2}


def test_a_run_that_ends_without_its_rounds_is_no_success(stand_in, tmp_path):
    planned = stand_in({"a": {"do": "print('3 answers are still waiting'); sys.exit(0)"}}).planned(tmp_path)
    (failure,) = run_all(planned, progress=False)
    assert failure.startswith("a, seed 0 ended with code 0: 3 answers are still waiting (")


def test_the_error_that_others_followed_from_is_told(stand_in, tmp_path):
    chain = """
try: {}['batch_size']
except KeyError as error: raise RuntimeError('Failed to evaluate:\\n"$@learner.run()"') from error
"""
    runs = {"a": {"do": "print('MemoryError: of an earlier start')"}, "b": {"do": "raise MemoryError"}}
    assert [text.split(" (")[0] for text in run_all(stand_in(runs).planned(tmp_path), progress=False)] == [
        "b, seed 0 ended with code 1: MemoryError"
    ]
    (text,) = run_all(stand_in({"a": {"do": chain}}).planned(tmp_path), progress=False)
    assert text.startswith("a, seed 0 ended with code 1: KeyError: 'batch_size' (")


# -- runs that were asked for otherwise --------------------------------------------------------------------------------


def test_more_rounds_are_added(stand_in, tmp_path):
    assert run_all(stand_in({"a": {}}).planned(tmp_path), progress=False) == []
    longer = stand_in({"a": {}}, rounds=3).planned(tmp_path)
    assert is_done(longer[0].folder)
    assert asked_otherwise(longer[0])
    assert run_all(longer, progress=False) == []
    assert not asked_otherwise(longer[0])
    assert len(list(longer[0].folder.glob("round_*"))) == 3
    assert starts(tmp_path) == {"a/seed_0.log": 2}


def test_what_a_run_refuses_is_told_every_time(stand_in, tmp_path):
    assert run_all(stand_in({"a": {}}).planned(tmp_path), progress=False) == []
    other = stand_in({"a": {"do": "sys.exit('error: started with another config')"}}).planned(tmp_path)
    for _ in range(2):
        (failure,) = run_all(other, progress=False)
        assert "error: started with another config" in failure
        assert asked_otherwise(other[0])
    assert run_all(stand_in({"a": {}}).planned(tmp_path), progress=False) == []
    assert starts(tmp_path) == {"a/seed_0.log": 3}


@pytest.mark.parametrize("change", ["loop", "training", "overlay", "option"])
def test_changed_configs_are_noticed_and_changed_places_are_not(stand_in, tmp_path, change):
    files = {"loop": tmp_path / "al.yaml", "training": tmp_path / "train.yaml", "overlay": tmp_path / "o.yaml"}
    for path in files.values():
        path.write_text("{}")

    def planned(folder, **options):
        comparison = stand_in({"a": {}}, **options)
        return Comparison(**{**vars(comparison), "overlays": (str(files["overlay"]),)}).planned(folder)

    assert run_all(planned(tmp_path / "out"), progress=False) == []
    shutil.move(tmp_path / "out", tmp_path / "moved")
    (moved,) = planned(tmp_path / "moved", dataset_dir="elsewhere", device="cuda", num_workers=3)
    assert is_done(moved.folder)
    assert not asked_otherwise(moved)
    if change == "option":
        (moved,) = planned(tmp_path / "moved", steps=3)
    else:
        files[change].write_text("{steps: 3}")
    assert asked_otherwise(moved)


@pytest.mark.parametrize("key", ["training_config", "encoder", "encoder_overlays"])
@pytest.mark.parametrize("where", ["loop", "option"])
def test_a_changed_config_that_a_plan_names_is_noticed(stand_in, tmp_path, key, where):
    """Such as the training config of a foreign bundle, and what it takes from a file of its own."""
    named, part = tmp_path / "foreign" / "configs" / "train.json", tmp_path / "part.yaml"
    named.parent.mkdir(parents=True)
    named.write_text(json.dumps({"steps": 1, "network": f"%{part}#network"}))
    part.write_text("network: 1")
    said = {key: [str(named)] if key.endswith("overlays") else str(named)}
    (tmp_path / "al.yaml").write_text(json.dumps(said if where == "loop" else {}))
    (run,) = stand_in({"a": said if where == "option" else {}}).planned(tmp_path / "out")
    (tmp_path / "al.yaml").write_text(json.dumps(said if where == "loop" else {}))
    assert run_all([run], progress=False) == []
    assert not asked_otherwise(run)
    for file in (named, part):
        text = file.read_text()
        file.write_text(text.replace("1", "2"))
        assert asked_otherwise(run)
        file.write_text(text)
        assert not asked_otherwise(run)
    record = run.folder.with_name("seed_0.done.json")
    record.write_text(json.dumps({"asked": json.loads(record.read_text())["asked"]}))  # as an older one
    named.write_text("{}")
    assert not asked_otherwise(run)


def test_a_changed_workflow_in_python_is_noticed(stand_in, tmp_path):
    file = tmp_path / "workflow.py"
    file.write_text("number = 1")
    (tmp_path / "al.yaml").write_text("{}")
    (run,) = stand_in({"a": {"training_config": f"{file}:Training"}}).planned(tmp_path / "out")
    assert run_all([run], progress=False) == []
    assert not asked_otherwise(run)
    file.write_text("number = 2")
    assert asked_otherwise(run)


@pytest.mark.parametrize("key", ["train_overlays", "+train_overlays"])
@pytest.mark.parametrize("where", ["loop", "overlay", "option"])
@pytest.mark.parametrize("by_path", [False, True])
def test_a_changed_training_overlay_is_noticed(stand_in, tmp_path, key, where, by_path):
    configs = tmp_path / "bundle" / "configs"
    configs.mkdir(parents=True)
    mine = tmp_path / "mine.yaml" if by_path else configs / "mine.yaml"
    other = configs / "other.yaml"
    said = {key: [str(mine) if by_path else "mine"]}
    files = {"loop": configs / "al.yaml", "overlay": tmp_path / "o.yaml"}
    for name, path in files.items():
        path.write_text(json.dumps(said if name == where else {"train_overlays": ["other"]} if name == "loop" else {}))
    mine.write_text("{margin: 1}")
    other.write_text("{margin: 2}")
    comparison = stand_in({"a": said if where == "option" else {}})
    changed = {"bundle": str(files["loop"]), "overlays": (str(files["overlay"]),)}
    (run,) = Comparison(**{**vars(comparison), **changed}).planned(tmp_path / "out")
    assert run_all([run], progress=False) == []
    assert not asked_otherwise(run)
    mine.write_text("{margin: 3}")
    assert asked_otherwise(run)
    mine.write_text("{margin: 1}")
    assert not asked_otherwise(run)
    other.write_text("{margin: 4}")
    assert asked_otherwise(run) == (where != "loop" and key[0] == "+")  # where it is laid over, too
    other.write_text("{margin: 2}")
    mine.unlink()
    assert asked_otherwise(run)
    record = run.folder.with_name("seed_0.done.json")
    record.write_text(json.dumps({"asked": json.loads(record.read_text())["asked"]}))  # as an older one
    assert not asked_otherwise(run)


def test_a_config_that_changes_during_a_run_is_noticed(stand_in, tmp_path):
    (run,) = stand_in({"a": {"do": "configs[0].write_text('{steps: 3}')"}}).planned(tmp_path)
    assert run_all([run], progress=False) == []
    assert asked_otherwise(run)


def test_a_done_run_without_a_record_counts(stand_in, tmp_path):
    (run,) = stand_in({"a": {}}).planned(tmp_path)
    assert run_all([run], progress=False) == []
    (tmp_path / "a" / "seed_0.done.json").unlink()
    assert run_all([run], progress=False) == []
    assert starts(tmp_path) == {"a/seed_0.log": 1}


# -- stopping ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def ctrl_c():
    """Ctrl-C counts, also where the tests run as a background job, for which a shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_no_run_outlives_a_stop(stand_in, tmp_path, number):
    both = WAIT.format(condition="len(list(out.glob('*/*/pid'))) == 2")
    runs = {"a": {"do": f"{both}os.kill(os.getppid(), {int(number)}); time.sleep(60)"}, "b": {"do": "time.sleep(60)"}}
    planned = stand_in({**runs, "c": {}}).planned(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        run_all(planned, workers=2, progress=False)
    assert [gone(run.folder) for run in planned[:2]] == [True, True]
    assert not planned[2].folder.exists()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not tell of a parent's end")
def test_no_run_outlives_a_comparison_that_is_killed(stand_in, tmp_path):
    (planned,) = stand_in({"a": {"do": "time.sleep(60)"}}).planned(tmp_path)
    child = os.fork()
    if child == 0:
        run_all([planned], progress=False)
        os._exit(1)
    exec(WAIT.format(condition="pid.exists()"), {"time": time, "pid": planned.folder / "pid"})
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    exec(WAIT.format(condition="gone(folder)"), {"time": time, "gone": gone, "folder": planned.folder})


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_run_outlives_a_stop_at_its_very_start(stand_in, tmp_path, monkeypatch, number):
    planned = stand_in({"a": {"do": "time.sleep(60)"}}).planned(tmp_path)
    original = subprocess.Popen

    def popen(*arguments, **options):
        process = original(*arguments, **options)
        exec(WAIT.format(condition="pid.exists()"), {"time": time, "pid": planned[0].folder / "pid"})
        os.kill(os.getpid(), number)
        return process

    monkeypatch.setattr(subprocess, "Popen", popen)
    before = [signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt):
        run_all(planned, progress=False)
    assert gone(planned[0].folder)
    assert [signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)] == before


def test_no_run_outlives_an_error(stand_in, tmp_path, monkeypatch):
    planned = stand_in({"a": {"do": "time.sleep(60)"}, "b": {}}).planned(tmp_path)
    planned[1].folder.parent.write_text("a file where a folder should be")
    original = Path.mkdir

    def mkdir(path, *arguments, **options):  # only once the first one runs
        if path.name == "b":
            exec(WAIT.format(condition="pid.exists()"), {"time": time, "pid": planned[0].folder / "pid"})
        return original(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(OSError, match="/b"):
        run_all(planned, workers=2, progress=False)
    assert gone(planned[0].folder)


def test_works_outside_the_main_thread(stand_in, tmp_path):
    results = []
    planned = stand_in({"a": {}}).planned(tmp_path)
    thread = threading.Thread(target=lambda: results.append(run_all(planned, progress=False)))
    thread.start()
    thread.join()
    assert results == [[]]


# -- in earnest --------------------------------------------------------------------------------------------------------


def written(folder):
    """All files, with when they were written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def command(path, output, **runs):
    content = {"title": "Tiny", "bundle": "selective_uncertainty_spleen", "options": SMALL, "seeds": [1], "runs": runs}
    path.write_text(json.dumps(content))
    return ["compare", "--config", str(path), "--output_dir", str(output), "--workers", "2"]


RANDOM = {"overlays": ["strategies/random"]}
TARGET = {"overlays": ["strategies/selective_entropy"], "options": {"strategy#regions": "target"}}
BROKEN = {"overlays": ["datasets/hippocampus"], "options": {"dataset_dir": "no where"}}


@pytest.mark.parametrize(
    "runs",
    [{"target": TARGET}, pytest.param({"random": RANDOM, "target": TARGET}, marks=pytest.mark.nightly)],
    ids=["one run", "two runs"],
)
def test_a_comparison_from_its_start_to_its_end(tmp_path, capsys, runs):
    output = tmp_path / "out put #1"  # MONAI reads # as ::
    compare = command(tmp_path / "tiny.json", output, **runs)
    assert main(compare) == 0
    text = capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == [output.name, "tiny.json"]
    assert (output / "tiny.md").read_text(encoding="utf-8") == text
    assert (output / "tiny.png").read_bytes()[1:4] == b"PNG"
    record = json.loads((output / "target" / "seed_1" / "run.json").read_text())
    assert record["config"]["learner"]["strategy_settings"]["regions"] == ["target"]
    assert (record["seed"], record["threads"], record["sizes"]) == (1, 1, [4, 4])
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith(("| random", "| target"))]
    for name, row in zip(runs, rows, strict=True):
        for number in range(2):
            metrics = json.loads((output / name / "seed_1" / f"round_{number:02d}" / "metrics.json").read_text())
            mean = metrics["dice_3d"]["mean"]
            assert row[number + 1] == ("–" if mean is None else f"{mean:.3f}")
    assert rows[0][1] == rows[-1][1]  # the same initial set, weights and order

    before = written(output)
    assert main(compare) == 0
    assert capsys.readouterr().out == text
    assert written(output) == before  # nothing starts, and nothing is drawn again
    (output / "tiny.png").unlink()
    assert main(compare) == 0
    assert written(output).keys() == before.keys()


@pytest.mark.nightly  # the stand-in stands for it above
def test_a_run_that_was_killed_goes_on_and_one_that_cannot_be_done_is_told(tmp_path, capsys):
    output, again = tmp_path / "out put", tmp_path / "again"
    assert main(command(tmp_path / "tiny.json", output, random=RANDOM, target=TARGET)) == 0
    capsys.readouterr()
    shutil.copytree(output, again)
    for name in ("manifest.json", "metrics.json", "model_0.pt", "timings.json"):
        (again / "target" / "seed_1" / "round_01" / name).unlink()
    (again / "target" / "seed_1" / "round_01" / f"{TEMPORARY}left").write_text("half")
    compare = command(tmp_path / "more.json", again, broken=BROKEN, random=RANDOM, target=TARGET)
    assert main([*compare, "--table_only"]) == 0
    assert "Runs not done yet: 2." in capsys.readouterr().out
    before = written(again / "random")
    assert main(compare) == 2
    told = capsys.readouterr()
    assert "Mean over 1 seed [smallest, largest]. Runs not done yet: 1." in told.out
    *_, summary, failure = told.err.splitlines()
    assert summary == "error: runs that failed: 1"
    assert failure.startswith("broken, seed 1 ended with code 2: error: ")
    assert "no where: does not exist" in failure
    assert failure.endswith(f"(all of it in {again / 'broken' / 'seed_1.log'})")
    assert written(again / "random") == before
    same_files(again / "target" / "seed_1", output / "target" / "seed_1")


def same_files(folder, expected):
    files = [path for path in expected.rglob("round_*/*") if path.is_file()]
    assert {path.name for path in files} >= {"query.json", "metrics.json", "model_0.pt"}
    for path in files:
        copy = folder / path.relative_to(expected)
        if path.suffix == ".pt":
            weights, whole = (torch.load(p, weights_only=True)["model"] for p in (copy, path))
            assert weights.keys() == whole.keys()
            assert all(torch.equal(weights[key], whole[key]) for key in whole)
        elif path.name != "timings.json":
            assert copy.read_bytes() == path.read_bytes(), path
    assert not list(folder.rglob(f"{TEMPORARY}*"))
