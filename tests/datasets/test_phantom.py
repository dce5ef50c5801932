# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from monai_al.data import DataError
from monai_al.data.reading import read_volume
from monai_al.datasets import describe, folder, phantom

SMALL = {"patients": 3, "shape": (32, 32, 8)}


def digests(root):
    files = sorted(path for path in Path(root).rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def volumes(pool):
    for name in pool.volumes:
        item = next(item for item in pool if item.volume == name)
        yield name, read_volume(item.image, item.label, label_values=pool.label_values)


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    return phantom(tmp_path_factory.mktemp("phantom"), classes=4)


@pytest.mark.parametrize("extra", [{}, {"channels": 2, "scribbles": True, "classes": 5}])
def test_same_arguments_same_bytes(tmp_path, extra):
    first, second = phantom(tmp_path / "a", **SMALL, **extra), phantom(tmp_path / "b", **SMALL, **extra)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert [item.id for item in first] == [item.id for item in second]


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"patients": 4}, {"classes": 2}, {"channels": 2}, {"shape": (32, 32, 9)}, {"scribbles": True}],
)
def test_other_arguments_other_folder(tmp_path, change):
    first, second = phantom(tmp_path, **SMALL), phantom(tmp_path, **(SMALL | change))
    assert first.root != second.root


def test_a_seed_changes_the_anatomy(tmp_path):
    first, second = phantom(tmp_path, **SMALL), phantom(tmp_path, **SMALL, seed=1)
    labels = [next(volumes(pool))[1].label for pool in (first, second)]
    assert (labels[0] != labels[1]).any()


def test_a_complete_folder_is_reused_and_nothing_else_is_left(tmp_path):
    pool = phantom(tmp_path, **SMALL)
    times = {path: path.stat().st_mtime_ns for path in Path(pool.root).rglob("*")}
    phantom(tmp_path, **SMALL, item="volume")
    assert {path: path.stat().st_mtime_ns for path in Path(pool.root).rglob("*")} == times
    assert [path.name for path in tmp_path.iterdir()] == [Path(pool.root).name]


def test_a_drawing_that_fails_leaves_nothing(tmp_path, monkeypatch):
    import sys

    module = sys.modules["monai_al.datasets.phantom"]
    done = []

    def fails(path, array, spacing):
        done.append(path)
        if len(done) == 3:
            raise OSError("disk full")
        path.write_text("")

    monkeypatch.setattr(module, "_save", fails)
    with pytest.raises(OSError, match="disk full"):
        phantom(tmp_path, **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_folder_is_told(tmp_path):
    pool = phantom(tmp_path, **SMALL)
    Path(pool[0].label).unlink()
    with pytest.raises(DataError, match="patient001_phase1 are missing; delete the folder"):
        phantom(tmp_path, **SMALL)


def test_patients_volumes_and_items(default):
    assert len(default.patients) == 12
    assert len(default.volumes) == 24
    assert len(default) == 24 * 16
    assert default[0].id == "patient001_phase1/0000"
    assert default[0].patient == "patient001"
    assert default.classes == ("background", "liver", "spleen", "lesion")


def test_volumes_as_items(tmp_path):
    pool = phantom(tmp_path, **SMALL, item="volume")
    assert [item.id for item in pool][:2] == ["patient001_phase1", "patient001_phase2"]


def test_it_looks_like_a_data_set(default):
    summary = describe(default)
    share = summary["class_share"]
    assert 0.02 < share["liver"] < 0.15
    assert 0.003 < share["spleen"] < share["liver"]
    assert 0 < share["lesion"] < 0.005
    assert 0.15 < summary["items_without_foreground"] / len(default) < 0.5
    low, high = summary["spacing"]
    assert low != high
    assert low[2] > 1.5 * low[0]
    assert summary["intensity"][0] >= -1024


def test_empty_slices_lie_at_both_ends_and_every_organ_is_there(default):
    for name, stored in volumes(default):
        filled = stored.label.any(axis=(0, 1))
        assert not filled[:2].any(), name
        assert not filled[-2:].any(), name
        assert filled[6:9].all(), name
        assert {1, 2} <= set(np.unique(stored.label)), name


def test_the_lesion_is_in_some_patients_and_in_few_slices(default):
    slices = {name: int((stored.label == 3).any(axis=(0, 1)).sum()) for name, stored in volumes(default)}
    patients = {name.split("_")[0] for name, count in slices.items() if count}
    assert 0 < len(patients) < 12
    assert max(slices.values()) <= 10


@pytest.mark.parametrize("shape", [(16, 16, 6), (32, 32, 8), (24, 40, 12)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_class_is_missing_in_small_volumes(tmp_path, shape, seed):
    for name, stored in volumes(phantom(tmp_path, patients=2, shape=shape, classes=4, seed=seed)):
        assert set(np.unique(stored.label)) == {0, 1, 2, 3}, name


def test_phases_share_the_anatomy_and_differ_in_grey_values(default):
    stored = dict(volumes(default))
    first, second = stored["patient001_phase1"], stored["patient001_phase2"]
    other = stored["patient002_phase1"]

    def overlap(a, b):
        return 2 * ((a == 1) & (b == 1)).sum() / ((a == 1).sum() + (b == 1).sum())

    assert overlap(first.label, second.label) > 0.85 > overlap(first.label, other.label)
    assert first.spacing == second.spacing != other.spacing
    assert abs(first.image[0][first.label == 1].mean() - second.image[0][second.label == 1].mean()) > 5


def test_grey_values_overlap_but_differ(default):
    """The organ cannot be cut out by a threshold, yet its values are not the background's."""
    for _, stored in list(volumes(default))[:4]:
        inside, outside = stored.image[0][stored.label == 1], stored.image[0][stored.label == 0]
        low, high = np.percentile(inside, [5, 95])
        assert ((outside > low) & (outside < high)).sum() > 0.3 * len(inside)
        assert inside.mean() > outside[outside > -500].mean() + 20


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 7])
def test_number_of_classes(tmp_path, count):
    pool = phantom(tmp_path, patients=1, shape=(48, 48, 12), classes=count)
    assert len(pool.classes) == count
    found = set()
    for _, stored in volumes(pool):
        found |= set(np.unique(stored.label).tolist())
    assert found == set(range(count))


def test_names_say_what_is_drawn(tmp_path):
    shape = (48, 48, 12)
    numbered = phantom(tmp_path, patients=1, shape=shape, classes=4)  # liver, spleen, lesion
    spleen = phantom(tmp_path, patients=1, shape=shape, classes=("background", "Spleen"))
    strange = phantom(tmp_path, patients=1, shape=shape, classes=("background", "LV", "tumours"))
    for (_, a), (_, b), (_, c) in zip(volumes(numbered), volumes(spleen), volumes(strange), strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.label == 2, b.label == 1)
        np.testing.assert_array_equal(a.label == 1, c.label == 1)
        np.testing.assert_array_equal(a.label == 3, c.label == 2)
    assert spleen.classes == ("background", "Spleen")


def test_channels(tmp_path):
    pool = phantom(tmp_path, **SMALL, channels=3)
    _, stored = next(volumes(pool))
    assert stored.image.shape == (3, 32, 32, 8)
    means = [stored.image[c][stored.label == 1].mean() for c in range(3)]
    assert len({round(float(m) / 5) for m in means}) == 3


def test_scribbles_agree_with_the_labels(tmp_path):
    pool = phantom(tmp_path, **SMALL, classes=4, scribbles=True)
    annotated = total = 0
    for item in pool.with_items(item for item in pool if item.slice == 0):
        strokes = item.image.replace(".nii.gz", "_scribble.nii.gz")
        truth = read_volume(item.image, item.label, label_values=pool.label_values).label
        drawn = read_volume(item.image, strokes, label_values=pool.label_values | {255: 255}).label
        assert (drawn[drawn != 255] == truth[drawn != 255]).all()
        assert (drawn == 0).any(axis=(0, 1)).all()
        for number in (1, 2):
            large = (truth == number).sum(axis=(0, 1)) > 12
            assert (drawn == number).any(axis=(0, 1))[large].all()
        annotated += int((drawn != 255).sum())
        total += drawn.size
    assert 0.005 < annotated / total < 0.1


def test_the_folder_reader_reads_it(tmp_path):
    pool = phantom(tmp_path, **SMALL, scribbles=True)
    again = folder(pool.root, classes=pool.classes, patient=r"(patient\d+)/")
    assert list(again) == list(pool)


@pytest.mark.parametrize(
    "wrong",
    [
        {"patients": 0},
        {"volumes_per_patient": 0},
        {"channels": 0},
        {"shape": (8, 8, 8)},
        {"shape": (32, 32)},
        {"classes": 1},
        {"classes": 8},
        {"classes": "spleen"},
        {"classes": ("background",)},
        {"classes": ("background", "a", "a")},
        {"item": "patch"},
    ],
)
def test_arguments_out_of_range(tmp_path, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)) if "classes" not in wrong else "class"):
        phantom(tmp_path, **wrong)
    assert list(tmp_path.iterdir()) == []
