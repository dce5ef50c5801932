# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the slices of a user's own volumes lie, and the note about those that lie elsewhere."""

from __future__ import annotations

import json
import re

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from monai_al.datasets import decathlon, folder
from monai_al.datasets.files import Pair, pool_of
from monai_al.datasets.unlabeled import unlabeled_images

SHAPE = (4, 6, 8)
CLASSES = ("background", "organ")


def volumes(root, *spacings, images="images", labels="labels"):
    for number, spacing in enumerate(spacings):
        for part in (images, labels):
            (root / part).mkdir(parents=True, exist_ok=True)
            volume = nib.Nifti1Image(np.zeros(SHAPE, np.uint8), np.diag([*spacing, 1]))
            nib.save(volume, root / part / f"case_{number}.nii")
    return root


SAGITTAL, CORONAL, AXIAL, EVEN = (4, 0.5, 0.5), (0.5, 4, 0.5), (0.5, 0.5, 4), (1, 1, 1.2)


@pytest.mark.parametrize(
    ("spacings", "slice_axis", "told"),
    [
        ([SAGITTAL, SAGITTAL], 2, "2 of 2 volumes, such as images/case_0.nii, .* axis 0 .4 x 0.5 x 0.5.*slice_axis 0 "),
        ([AXIAL, CORONAL], 2, "1 of 2 volumes, such as images/case_1.nii, .* axis 1 .*slice_axis coarsest "),
        ([EVEN, CORONAL], 2, "1 of 2 volumes, such as images/case_1.nii, .*slice_axis 1 "),
        ([AXIAL], 0, "such as images/case_0.nii.* axis 2 .*along axis 0, counted from 0; .*slice_axis 2 "),
        ([SAGITTAL], 0, None),
        ([AXIAL, EVEN], 2, None),
        ([AXIAL, CORONAL, SAGITTAL, EVEN], "coarsest", None),
    ],
)
def test_a_note_where_the_coarsest_axis_is_not_that_of_the_slices(tmp_path, spacings, slice_axis, told):
    pool = folder(volumes(tmp_path, *spacings), classes=CLASSES, slice_axis=slice_axis)
    notes = [note for note in pool.notes if "axis" in note]
    assert len(notes) == (told is not None)
    if told is not None:
        assert re.search(told, notes[0]), notes[0]


def test_no_note_for_whole_volumes_and_spacing_that_means_nothing(tmp_path):
    volumes(tmp_path, SAGITTAL)
    pair = Pair(tmp_path / "images/case_0.nii", None, "a", "a")
    for settings in ({"item": "volume"}, {"item": "slice", "placeholder_spacing": True}):
        assert pool_of([pair], classes=CLASSES, root=tmp_path, **settings).notes == ()
    (note,) = pool_of([pair], classes=CLASSES, root=tmp_path, item="slice").notes
    assert "data set 'folder' with the option slice_axis 0" in note  # as this one takes no option


@pytest.mark.parametrize("layout", ["folder", "decathlon", "decathlon without list", "unlabeled"])
def test_every_reader_of_own_volumes_counts_slices_along_the_axis(tmp_path, layout):
    if layout.startswith("decathlon"):
        volumes(tmp_path, CORONAL, SAGITTAL, EVEN, images="imagesTr", labels="labelsTr")
        entries = [{"image": f"imagesTr/case_{k}.nii", "label": f"labelsTr/case_{k}.nii"} for k in range(3)]
        listing = {"labels": {"0": "background", "1": "organ"}, "training": entries}
        if layout == "decathlon":
            (tmp_path / "dataset.json").write_text(json.dumps(listing))
        read = decathlon
    else:
        volumes(tmp_path, CORONAL, SAGITTAL, EVEN)
        read = folder if layout == "folder" else unlabeled_images
    for slice_axis, axes in ((2, [2, 2, 2]), (0, [0, 0, 0]), ("1", [1, 1, 1]), ("coarsest", [1, 0, 2])):
        pool = read(tmp_path, slice_axis=slice_axis)
        found = {item.volume: item.slice_axis for item in pool}
        assert list(found.values()) == axes
        assert [sum(item.volume == name for item in pool) for name in found] == [SHAPE[axis] for axis in axes]
        assert str(pool.slice_axis) == str(slice_axis)
        assert pool.part("train").slice_axis == pool.slice_axis
        assert [item.slice_axis for item in read(tmp_path, item="volume", slice_axis=slice_axis)] == axes
    for wrong in (3, -1, "z", 1.5):
        with pytest.raises(ValueError, match=r"slice_axis must be 0, 1, 2 .* or coarsest, got"):
            read(tmp_path, slice_axis=wrong)


def test_2d_images_have_no_slice_axis(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("L", (8, 6)).save(tmp_path / "images" / "a.png")
    for item in ("slice", "volume"):
        (image,) = unlabeled_images(tmp_path, item=item, slice_axis=0)
        assert (image.slice, image.slice_axis) == (None, 2)
