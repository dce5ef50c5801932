# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The run of random queries that another run is looked at beside."""

from __future__ import annotations

import json

import pytest

from monai_al.engines.random_baseline import random_baseline
from monai_al.records import DataError, RunFolder


@pytest.fixture
def run(tmp_path):
    """Writes what is read of a run."""

    def write(name, strategy, seed=0, items="ab", steps=100, rounds=1):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        learner = {"strategy": strategy, "strategy_settings": {"name": strategy}, "members": 1}
        record = {"strategy": strategy, "seed": seed, "config": {"learner": learner, "training": {"steps": steps}}}
        pool = [{"id": i, "image": f"{i}.nii", "volume": i, "patient": i, "split": "train"} for i in items]
        (folder / "run.json").write_text(json.dumps(record))
        content = {"classes": ["background"], "label_values": {}, "items": pool, "files": {}}
        (folder / "pool.json").write_text(json.dumps(content))
        for number in range(rounds):
            (folder / f"round_{number:02}").mkdir()
            metrics = {"labeled": 1, "fraction": 0.5, "cost": {"total": 1}}
            for key in ("dice_3d", "dice_2d", "hd95_3d"):
                metrics[key] = {"mean": 0.5, "per_class": {}, "per_volume": {}}
            (folder / f"round_{number:02}" / "metrics.json").write_text(json.dumps(metrics))
        return RunFolder(folder)

    return write


def test_it_lies_beside_and_differs_in_the_choice_alone(run):
    mine = run("entropy", "entropy")
    for name, differs in {
        "a": {"seed": 1}, "b": {"items": "abc"}, "c": {"steps": 50}, "d": {"rounds": 0}, "e": {"strategy": "margin"},
    }.items():  # fmt: skip
        run(name, **{"strategy": "random", **differs})
    for name, content in (("g", "{"), ("h", "[]"), ("i", '{"strategy": "random"}')):  # no runs, or broken ones
        (mine.path.parent / name).mkdir()
        (mine.path.parent / name / "run.json").write_text(content)
    assert random_baseline(mine) is None
    assert random_baseline(run("f", "random")) is None  # it is one itself
    assert random_baseline(mine).path.name == "f"


def test_in_a_comparison_it_is_that_of_the_seed(run):
    mine = run("entropy/seed_1", "entropy", seed=1)
    run("random/seed_0", "random", seed=0)
    own = run("random/seed_1", "random", seed=1)
    assert random_baseline(mine).path.resolve() == own.path.resolve()


def test_one_that_is_named_must_be_a_run_on_the_same_items(run, tmp_path):
    mine = run("entropy", "entropy")
    assert random_baseline(mine, run("other", "margin", seed=3, steps=5).path).path.name == "other"
    for name, options, message in (
        ("none", None, "no run folder, it holds no run.json"),
        ("begun", {"rounds": 0}, "none of its rounds is evaluated yet"),
        ("more", {"items": "abc"}, "it has another pool than"),
    ):
        if options is not None:
            run(name, "random", **options)
        with pytest.raises(DataError, match=f"--baseline .*{name}: {message}"):
            random_baseline(mine, tmp_path / name)
