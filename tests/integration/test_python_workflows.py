# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle of others whose training is written in Python, made an active learner by naming its file alone."""

from __future__ import annotations

import hashlib
import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_al.bundle import BundleConfigError, python_training
from monai_al.bundle.dataset_entries import entries_of
from monai_al.commands import main
from monai_al.engines import ActiveLearner, RoundEvents, TrainedRun
from monai_al.passes import evaluate_items
from monai_al.records import RunFolderError
from monai_al.strategies import Random, Uncertainty

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "tests" / "foreign_bundles" / "python_workflow"
WRITE = runpy.run_path(str(ROOT / "tests" / "bundles" / "test_foreign_bundles.py"))["WRITE"]
SMALL = {"channels": [2, 4, 4], "batch_size": 1, "epochs": 1}
STILL = {"channels": [2, 4, 4], "learning_rate": 0.0, "epochs": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made up data")
    WRITE["python_workflow"](folder, np.random.default_rng(0))
    return folder


@pytest.fixture
def scripts(tmp_path):
    """The folder of a copy of the bundle, which must not change."""
    copy = shutil.copytree(BUNDLE, tmp_path / "bundle", ignore=shutil.ignore_patterns("__pycache__"))
    before = content(copy)
    yield copy / "scripts"
    assert content(copy) == before, "something was written into the bundle's folder"


def content(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def learner(file, data, folder, strategy=None, overrides=SMALL, **settings):
    overrides = {"dataset_dir": str(data), "device": "cpu", **overrides}
    settings = {"budget": 1, "rounds": 2, "progress": False, **settings}
    return ActiveLearner(file, strategy or Random(), folder, overrides=overrides, **settings)


def results(folder):
    names = ("query.json", "metrics.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for name in names for path in folder.rglob(name)}


def weights(folder, round=0):
    return torch.load(folder / f"round_{round:02}" / "model_0.pt", weights_only=True)["model"]


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    ("file", "overrides"),
    [
        ("workflow.py", SMALL),
        pytest.param("pythonic.py:FixedTraining", {"epochs": 1, "patch_size": [16, 16, 16]}, marks=pytest.mark.nightly),
        pytest.param("pythonic.py:PythonicTraining", {"epochs": 1}, marks=pytest.mark.nightly),
    ],
)
def test_two_rounds(file, overrides, scripts, data, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    trained_on, check = [], python_training.check_steps

    def watched(trainer, items):
        trained_on.append([Path(entry["image"]).name for entry in entries_of(trainer.data_loader.dataset)])
        check(trainer, items)

    monkeypatch.setattr(python_training, "check_steps", watched)
    found = learner(scripts / file, data, tmp_path / "run", Uncertainty("entropy"), overrides)
    found.run()
    assert [found.folder.metrics(number)["labeled"] for number in (0, 1)] == [1, 2]
    assert [len(names) for names in trained_on] == [1, 2]
    assert [sorted(names) for names in trained_on] == [
        sorted(Path(found.pool[found.pool.index(id)].image).name for id in found.folder.labeled(number))
        for number in (0, 1)
    ]
    scores = found.folder.metrics(1)
    assert list(scores["dice_3d"]["per_class"]) == ["anterior", "posterior"]
    assert len(scores["dice_3d"]["per_volume"]) == len(found.test) == 10
    assert (scores["model"], scores["validation_labeled"]) == ("last", 0)
    assert not same(weights(tmp_path / "run", 0), weights(tmp_path / "run", 1))
    assert list((tmp_path / "here").iterdir()) == []  # nothing was written to where it was started

    run = TrainedRun(tmp_path / "run", {"device": "cpu"})  # it is read again from its own record
    again = evaluate_items(run.source, run.network(), run.source.data.part("test").items)
    assert again["dice_3d"] == scores["dice_3d"]


@pytest.mark.parametrize(
    "file", ["workflow.py", pytest.param("pythonic.py:PythonicTraining", marks=pytest.mark.nightly)]
)
def test_seeds_decide_and_the_same_seed_gives_the_same_files(file, scripts, data, tmp_path):
    """Although ``initialize``, or the method that builds the network, calls ``set_determinism``."""
    overrides = {id: value for id, value in STILL.items() if id != "channels" or file == "workflow.py"}
    for name, seed in {"a": 5, "b": 5, "c": 6}.items():
        torch.manual_seed(ord(name))  # the process's own state plays no part
        learner(scripts / file, data, tmp_path / name, overrides=overrides, rounds=1, seed=seed).run()
    assert results(tmp_path / "a") == results(tmp_path / "b")
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


class Killed(BaseException):
    """As a signal."""


@pytest.mark.parametrize(
    "events",
    [[RoundEvents.ROUND_TRAINED], pytest.param(list(RoundEvents), marks=pytest.mark.nightly)],
    ids=["after a training", "again and again"],
)
def test_a_run_that_is_interrupted_ends_the_same(events, scripts, data, tmp_path):
    def kill():
        raise Killed

    learner(scripts / "workflow.py", data, tmp_path / "whole").run()
    for event in events:
        broken = learner(scripts / "workflow.py", data, tmp_path / "broken")
        broken.add_event_handler(event, kill)
        with pytest.raises(Killed):
            broken.run()
        assert results(tmp_path / "broken") != results(tmp_path / "whole")
    learner(scripts / "workflow.py", data, tmp_path / "broken").run()
    assert results(tmp_path / "broken") == results(tmp_path / "whole")
    assert same(weights(tmp_path / "broken", 1), weights(tmp_path / "whole", 1))


def test_from_the_command_line(scripts, data, tmp_path, capsys):
    run = tmp_path / "run"
    words = ["run", "active_learning", "random", "--training_config", str(scripts / "workflow.py"), "--dataset_dir",
             str(data), "--output_dir", str(run), "--rounds", "2", "--budget", "1", "--threads", "1", "--progress",
             "false", "--device", "cpu", "--epochs", "1", "--channels", "[2, 4, 4]"]  # fmt: skip
    assert main([*words, "--chanels", "[2, 2]", "--patch_siz", "3"]) == 2
    told = capsys.readouterr().err
    assert "--chanels: nothing in the bundle refers to it; did you mean channels" in told
    assert "did you mean patch_size" in told
    assert main([*words, "--properties_path", "nowhere.json"]) == 2
    assert "--properties_path: workflow.py takes no such option" in capsys.readouterr().err
    assert not run.exists()

    assert main(words) == 0
    assert {"round_00/metrics.json", "round_01/metrics.json"} <= set(results(run))
    record = json.loads((run / "run.json").read_text())
    assert record["config"]["training"] == {
        "_workflow_": {
            "file": "scripts/workflow.py",
            "class": "HippocampusTraining",
            "sha256": {"scripts/workflow.py": content(scripts)["workflow.py"]},
        },
        "epochs": 1,
        "channels": [2, 4, 4],
    }
    before = results(run)
    assert main(words) == 0  # it goes on, and is done
    assert results(run) == before
    assert main(["report", str(run), "--items", "1", "--volumes", "1"]) == 0
    page = (run / "report" / "index.html").read_text(encoding="utf-8")
    assert "HippocampusTraining" in page


def test_a_run_is_read_again_only_through_the_code_that_it_was_made_with(scripts, data, tmp_path):
    changed = shutil.copytree(scripts.parent, tmp_path / "changed") / "scripts" / "workflow.py"
    learner(changed, data, tmp_path / "run", rounds=1).run()
    TrainedRun(tmp_path / "run").network()
    changed.write_text(changed.read_text() + "\n# another line\n")
    with pytest.raises(RunFolderError, match=r"workflow.py has changed since .*run was made with it.* give --trust"):
        TrainedRun(tmp_path / "run")
    TrainedRun(tmp_path / "run", trust=True).network()
    with pytest.raises(RunFolderError, match=r"_workflow_#sha256#scripts/workflow.py was"):
        learner(changed, data, tmp_path / "run", rounds=2).run()

    (tmp_path / "run" / "run.sig").unlink()
    with pytest.raises(RunFolderError, match=r"is not known as made by you") as error:
        TrainedRun(tmp_path / "run")
    assert "  _workflow_: scripts/workflow.py:HippocampusTraining" in str(error.value).splitlines()
    changed.unlink()
    with pytest.raises(BundleConfigError, match=r"training config .*workflow.py does not exist"):
        TrainedRun(tmp_path / "run", trust=True)
