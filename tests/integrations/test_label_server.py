# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI Label's server, really started, killed and started again: make test-monailabel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

pytest.importorskip("monailabel", reason="MONAI Label is in an environment of its own: make test-monailabel")

from label_server import LabelServer, drawn

from monai_al.datasets import phantom
from monai_al.records import RunFolder

SEGMENTS = [{"name": "large organ", "idx": 1}, {"name": "small organ", "idx": 2}]


class Lab:
    """A run on the phantom with its images in a studies folder, and the true labels."""

    def __init__(self, path):
        self.path, self.run = path, path / "run"
        shape = {"patients": 6, "volumes_per_patient": 1, "shape": [32, 32, 8]}
        self.options = [f"--phantom={shape | {'classes': ['background', 'large organ', 'small organ']}}"]
        self.go_on()
        self.pool = phantom(path / "cache", **shape, classes=["background", "large organ", "small organ"])
        self.studies = path / "studies"
        self.studies.mkdir()
        for item in self.pool:
            link = self.studies / f"{item.volume}.nii.gz"
            if not link.exists():
                link.symlink_to(item.image)

    def go_on(self):
        command = [sys.executable, "-m", "monai_al", "run", "active_learning", "annotators/folder", "--rounds", "2"]
        command += ["--budget", "3", "--steps", "2", "--batch_size", "2", "--output_dir", str(self.run)]
        done = subprocess.run([*command, *self.options], capture_output=True, text=True, cwd=self.path)
        assert done.returncode == 0, done.stdout + done.stderr

    def answer(self, sample):
        """The truth of what a sample asks for; on a slice where nothing is, a stroke."""
        item = next(item for item in self.pool if item.volume == sample["id"])
        slices = [one["slice"] for one in sample["monai_al"]["slices"]]
        path = drawn(Path(item.image), Path(item.label), slices, self.path / f"{item.volume}.nii.gz")
        image = nibabel.load(path)
        voxels = np.asarray(image.dataobj).astype(np.int16)
        voxels[:2, :2, slices] = 1
        nibabel.save(nibabel.Nifti1Image(voxels, image.affine), path)
        return path

    def labeled(self, round=0):
        return {label.id: one.annotator for one in RunFolder(self.run).returns(round) for label in one.labels}

    def asked(self, round=0):
        query = RunFolder(self.run).query(round)
        assert query is not None
        return list(query.ids)


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


@pytest.fixture
def server(lab, tmp_path):
    server = LabelServer(tmp_path, lab.studies, lab.run)
    yield server
    server.kill()


def test_nothing_is_lost_when_the_server_is_killed(lab, server):
    server.start()
    info = server.get("info/")
    assert info["labels"] == ["large organ", "small organ"]
    assert info["strategies"]["next_slices"]["config"] == {"empty_slices": ["waiting", "empty"]}
    seen = []

    sample = server.next()
    seen.append(sample["id"])
    assert sample["monai_al"]["slices"][0]["id"] == lab.asked()[0]
    assert Path(sample["path"]) == Path(lab.studies / f"{sample['id']}.nii.gz").resolve()
    noted = server.get(f"datastore/image/info?image={sample['id']}")
    assert noted["monai_al"] == sample["monai_al"]
    taken = server.submit(sample["id"], lab.answer(sample), label_info=SEGMENTS)
    assert taken["monai_al"] == {"taken": [one["id"] for one in sample["monai_al"]["slices"]]}
    server.kill()
    assert lab.labeled() == dict.fromkeys(taken["monai_al"]["taken"], "ada")

    server.start()
    sample = server.next("bob")
    assert sample["id"] not in seen
    seen.append(sample["id"])
    before = lab.labeled()
    (server.app / "kill").touch()  # between saving and taking
    with pytest.raises(OSError, match=r"aborted|reset|RemoteDisconnected"):
        server.submit(sample["id"], lab.answer(sample), "bob", label_info=SEGMENTS)
    server.ended()
    (server.app / "kill").unlink()
    assert lab.labeled() == before

    server.start()
    third = server.next("bob")
    now = lab.labeled()
    assert {id for id, who in now.items() if who == "bob"} == {one["id"] for one in sample["monai_al"]["slices"]}
    while third:  # the rest of the round
        assert third["id"] not in seen
        seen.append(third["id"])
        server.submit(third["id"], lab.answer(third), label_info=SEGMENTS)
        third = server.next("bob")
    assert sorted(lab.labeled()) == sorted(lab.asked())
    assert "round 0 is answered: the command that began the run goes on with it" in server.log.read_text()

    lab.go_on()
    sample = server.next()  # the same server
    assert sample["monai_al"]["round"] == 1
    assert [one["id"] for one in sample["monai_al"]["slices"]][0] == lab.asked(1)[0]
    server.submit(sample["id"], lab.answer(sample), label_info=SEGMENTS)
    assert set(lab.labeled(1)) == {one["id"] for one in sample["monai_al"]["slices"]}
