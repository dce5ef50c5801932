# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A run whose labels are strokes: handed out, drawn as a person would, trained on, asked again."""

from __future__ import annotations

import csv
import json

import monai.bundle
import nibabel
import numpy as np
import pytest
import SimpleITK
import torch

from monai_al.assets import find_asset
from monai_al.datasets import phantom
from monai_al.records import RunFolder
from monai_al.records.work_list import work_path
from monai_al.transforms import ScribblesFromMask

CONFIGS = find_asset("active_learning") / "configs"
PHANTOM = {
    "patients": 4,
    "volumes_per_patient": 1,
    "shape": [32, 32, 8],
    "classes": ["background", "large organ", "small organ"],
}
SMALL = {
    "phantom": PHANTOM, "image_size": [32, 32], "channels": [8, 16], "batch_size": 4, "steps": 3, "rounds": 1,
    "budget": 4, "progress": False, "device": "cpu", "threads": 1,
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("one_thread")


class Person:
    """Draws the strokes of ``ScribblesFromMask`` into the files of a round, and saves them as ITK-SNAP does."""

    def __init__(self, run, cache):
        self.run, self.cache = RunFolder(run), cache
        self.pool = phantom(cache, **PHANTOM)
        self.drawn = {}

    def go_on(self, overlay="folder_scribbles", **options):
        files = [str(CONFIGS / "active_learning.yaml"), str(find_asset(f"annotators/{overlay}"))]
        options = {**SMALL, "output_dir": str(self.run.path), "cache_dir": str(self.cache), **options}
        monai.bundle.run(config_file=files, **options)

    def rows(self, number):
        with (work_path(self.run.path, number) / "worklist.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    def draw(self, number):
        for row in self.rows(number):
            item, z = self.pool[self.pool.index(row["id"])], int(row["slice"])
            truth = np.asarray(nibabel.load(item.label).dataobj)[..., z]
            strokes = ScribblesFromMask()(truth[None], item.id)[0]
            path = str(work_path(self.run.path, number) / row["file"])
            image = SimpleITK.ReadImage(path)
            voxels = SimpleITK.GetArrayFromImage(image).astype(np.uint16)
            voxels[z] = np.where(strokes == 255, 0, np.where(strokes == 0, 3, strokes)).T
            saved = SimpleITK.GetImageFromArray(voxels)
            saved.CopyInformation(image)
            SimpleITK.WriteImage(saved, path, useCompression=True)
            self.drawn[item.id] = strokes

    def annotation(self, number, id):
        (file,) = {row["file"] for row in self.rows(number) if row["volume"] == self.pool[self.pool.index(id)].volume}
        return np.asarray(nibabel.load(work_path(self.run.path, number) / file).dataobj)


@pytest.fixture
def person(tmp_path):
    return Person(tmp_path / "run", tmp_path / "cache")


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "log.txt"}


def test_a_round_of_strokes(person, capsys):
    person.go_on()
    told = "".join(capsys.readouterr())
    assert "wait for labels: draw strokes, no masks: one through each connected region of each class" in told
    record = json.loads((person.run.path / "run.json").read_text())
    assert record["config"]["learner"]["annotator_settings"] == {"scribbles": True}
    before = content(person.run.path)
    with pytest.raises(RuntimeError) as raised:
        person.go_on("folder")
    assert "scribbles is gone (it was True); give another output_dir, or the config as it was" in str(
        raised.value.__cause__
    )
    assert content(person.run.path) == before

    person.draw(0)
    person.go_on()
    metrics = json.loads((person.run.round_path(0) / "metrics.json").read_text())
    assert metrics["cost"]["per_kind"]["weak"]["items"] == metrics["labeled"] == 4
    assert 0 <= metrics["dice_3d"]["mean"] <= 1
    assert torch.load(person.run.round_path(0) / "model_0.pt", weights_only=True)["model"]
    for id, label in person.run.labels(0).items():
        stored = np.asarray(nibabel.load(label.under(person.run.round_path(0)).where).dataobj)
        np.testing.assert_array_equal(stored[..., int(id[-4:])], person.drawn[id])

    for id in person.run.query(1).ids:  # handed out after the last round, without what the network predicts
        assert not person.annotation(1, id)[..., int(id[-4:])].any()
    assert all(row["task"].startswith("draw strokes") for row in person.rows(1))
