# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs of one seed take the networks of their first round from each other, where all that decides them is the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import monai_al.engines.shared_work as at_work
from monai_al.assets import find_asset
from monai_al.engines import ActiveLearner
from monai_al.engines.shared_models import SharedModels, what_decides
from monai_al.engines.shared_work import TrainingTask
from monai_al.records import DataError, Pool
from monai_al.sources import SliceSource, source_of
from monai_al.strategies import Random, Uncertainty

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = find_asset("selective_uncertainty_spleen") / "configs" / "train.yaml"
SMALL = {
    "phantom": {"patients": 3, "volumes_per_patient": 1, "shape": [16, 16, 6], "classes": ["background", "spleen"]},
    "image_size": [16, 16], "channels": [4, 8], "steps": 2, "batch_size": 2, "device": "cpu", "progress": False,
}  # fmt: skip


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a loop; returns its folder, and for what networks were trained."""
    trained = []
    original = at_work.trained_weights
    monkeypatch.setattr(
        at_work, "trained_weights", lambda *a, **k: trained.append((k["round"], k["purpose"])) or original(*a, **k)
    )

    def run(name, strategy, overrides=(), share=True, **settings):
        trained.clear()
        given = {**SMALL, "cache_dir": str(tmp_path / "cache"), **dict(overrides)}
        settings = {"budget": 2, "rounds": 2, "progress": False, **settings}
        learner = ActiveLearner(CONFIG, strategy, tmp_path / name, overrides=given, share_first_model=share, **settings)
        learner.run()
        return learner.folder, list(trained)

    return run


def test_the_second_run_trains_no_first_network_and_ends_as_if_it_had(run):
    first, trained = run("random", Random(), members=2)
    assert len(trained) == 4
    shared, trained = run("shared", Uncertainty("entropy"), members=2)
    assert trained == [(1, "train member 0"), (1, "train member 1")]
    own, trained = run("own", Uncertainty("entropy"), members=2, share=False)
    assert len(trained) == 4
    for name in ("round_00/model_0.pt", "round_00/model_1.pt", "round_01/query.json", "round_01/metrics.json"):
        assert (shared.path / name).read_bytes() == (own.path / name).read_bytes(), name
    assert shared.timings(0)["train_s"] == pytest.approx(first.timings(0)["train_s"], abs=0.03)


@pytest.mark.nightly
def test_another_seed_or_config_trains_its_own(run):
    run("random", Random())
    for name, changed in {
        "seed": {"seed": 1},
        "steps": {"overrides": {"steps": 3}},
        "items": {"budget": 3},
        "validation": {"overrides": {"validation_fraction": 0.34}},
    }.items():
        assert len(run(name, Random(), **changed)[1]) == 2, name
    assert len(run("workers", Random(), overrides={"num_workers": 1})[1]) == 2  # who draw otherwise
    assert len(run("the same", Random())[1]) == 1


def test_what_decides_differs_with_each_part(tmp_path, monkeypatch):
    from monai_al.bundle import RoundTraining

    training = RoundTraining(CONFIG, {**SMALL, "cache_dir": str(tmp_path)})
    source = source_of(training)
    task = TrainingTask(0, "train member 0", source.data.part("train")[:2])
    plain = what_decides(task, training, source, seed=0)
    label = source.data.part("train")[-1].label  # of another volume
    relabeled = [dataclasses.replace(item, label=label) for item in task.items]
    others = [
        what_decides(dataclasses.replace(task, **changed), training, source, seed=0)
        for changed in (
            {"purpose": "train member 1"},
            {"items": task.items[:1]},
            {"items": relabeled},
            {"validation": task.items},
            {"pretrained": {"a": torch.zeros(2)}},
            {"pretrained": {"a": torch.ones(2)}},
        )
    ]
    others += [what_decides(task, training, source, seed=1)]
    weights = tmp_path / "weights.pt"
    for content in (b"some", b"others"):
        weights.write_bytes(content)
        with_file = RoundTraining(CONFIG, {**SMALL, "cache_dir": str(tmp_path), "phantom": SMALL["phantom"]})
        with_file.overrides["colours"] = str(weights)
        others += [what_decides(task, with_file, source, seed=0)]
    monkeypatch.syspath_prepend(tmp_path)
    for content in ("a = 1", "a = 2"):
        (tmp_path / "lab_code.py").write_text(content)
        with_code = RoundTraining(CONFIG, {**SMALL, "cache_dir": str(tmp_path)})
        with_code.overrides["colours"] = "$lab_code.a"
        others += [what_decides(task, with_code, source, seed=0)]
    with_workers = RoundTraining(CONFIG, {**SMALL, "cache_dir": str(tmp_path), "num_workers": 1})
    others += [what_decides(task, with_workers, source, seed=0)]
    pools = [
        Pool(source.data.items, classes=["background", "liver"], label_values=source.data.label_values),
        Pool(source.data.items, classes=source.data.classes, label_values={0: 0, 2: 1}),
    ]
    others += [what_decides(task, training, SliceSource(pool, source.cache), seed=0) for pool in pools]
    held_out = SliceSource(
        Pool([dataclasses.replace(item, split="validation") for item in task.items[:1]]), source.cache
    )
    held_out.data.classes, held_out.data.label_values = source.data.classes, source.data.label_values
    others += [what_decides(task, training, held_out, seed=0)]
    others += [what_decides(task, training, source, seed=0, processes=2)]
    torch.set_num_threads(2)
    others += [what_decides(task, training, source, seed=0)]
    folders = {str(folder) for folder in SharedModels(tmp_path, [plain, *others]).folders}
    assert len(folders) == 1 + len(others)


def test_a_changed_file_is_told(run, tmp_path):
    run("random", Random())
    (file,) = (tmp_path / "cache" / "models").glob("*/model.pt")
    content = np.frombuffer(file.read_bytes(), dtype=np.uint8).copy()
    content[-1] ^= 1
    file.write_bytes(content.tobytes())
    with pytest.raises(DataError, match="differs from what was written: remove the folder"):
        run("entropy", Uncertainty("entropy"))
