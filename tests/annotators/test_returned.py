# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Returned label maps: each voxel lands where it lay in the body, with the class that its name or number means."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slicer_files import oblique, rearranged, write_itk, write_nifti, write_seg_nrrd

from monai_al.annotators.label_names import class_number
from monai_al.annotators.returned import read_returned
from monai_al.records import DataError

CLASSES = ["background", "left lung", "heart"]
SHAPE = (7, 6, 5)
SEGMENTS = [{"Name": "left lung", "LabelValue": 1}, {"Name": "heart", "LabelValue": 2}]


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def affine(rng):
    return oblique(rng)


@pytest.fixture
def truth(rng):
    return rng.integers(0, 3, SHAPE).astype(np.uint8)


@pytest.fixture
def image(tmp_path, affine):
    return write_nifti(tmp_path / "image.nii.gz", np.zeros(SHAPE, np.int16), affine)


def read(path, image, **options):
    return read_returned(path, image, CLASSES, **options)


# -- what each program saves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("name", ["annotation.nii.gz", "a.nii", "Segmentation-label.nrrd", "a.mha", "a.mhd"])
def test_any_type_and_format(tmp_path, image, affine, truth, name, dtype):
    found = read(write_itk(tmp_path / name, truth, affine, dtype), image)
    np.testing.assert_array_equal(found.classes, truth)
    assert found.classes.dtype == np.uint8
    assert (found.wrong, found.outside) == ({}, 0)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".seg.nrrd"])
@pytest.mark.parametrize("left_handed", [False, True])
@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 2**31),
    axes=st.permutations(range(3)),
    flips=st.tuples(*[st.booleans()] * 3),
    lower=st.tuples(*[st.integers(-3, 3)] * 3),
)
def test_every_voxel_lands_where_it_was(tmp_path_factory, suffix, left_handed, seed, axes, flips, lower):
    """Whatever the order of axes, cropped or reaching beyond the image; outside of it nothing is labeled."""
    rng = np.random.default_rng(seed)
    affine, folder = oblique(rng, left_handed=left_handed), tmp_path_factory.mktemp("any")
    truth = rng.integers(0, 3, SHAPE).astype(np.uint8)
    image = write_nifti(folder / "image.nii.gz", np.zeros(SHAPE, np.int16), affine)
    voxels, moved = rearranged(truth, affine, axes, flips, lower)
    if suffix == ".seg.nrrd":
        found = read(write_seg_nrrd(folder / "a.seg.nrrd", voxels, moved, SEGMENTS), image)
    else:
        found = read(write_itk(folder / f"a{suffix}", voxels, moved), image)
    expected = truth.copy()
    for axis, n in enumerate(lower):
        cropped = (slice(None),) * axis + (slice(0, max(n, 0)),)
        expected[cropped] = 255 if axis == 2 and suffix != ".seg.nrrd" else 0
    np.testing.assert_array_equal(found.classes, expected)
    assert (found.wrong, found.outside) == ({}, 0)


def test_slices_that_a_new_slicer_returns_in_reverse_order(tmp_path, rng, truth):
    """A left-handed image: index k of the file is slice n - 1 - k of the image, at the same place in the body."""
    affine = oblique(rng, left_handed=True)
    image = write_nifti(tmp_path / "image.nii.gz", np.zeros(SHAPE, np.int16), affine)
    voxels, moved = rearranged(truth, affine, (0, 1, 2), (False, False, True), (0, 0, 0))
    np.testing.assert_array_equal(voxels[..., 0], truth[..., -1])
    np.testing.assert_array_equal(read(write_itk(tmp_path / "a.nrrd", voxels, moved), image).classes, truth)


# -- names and numbers -------------------------------------------------------------------------------------------------


def test_segments_count_by_their_names(tmp_path, image, affine, truth):
    values = np.array([0, 7, 3])[truth]
    segments = [{"Name": "heart", "LabelValue": 3}, {"Name": "Left_Lung", "LabelValue": 7}]
    np.testing.assert_array_equal(
        read(write_seg_nrrd(tmp_path / "a.nrrd", values, affine, segments), image).classes, truth
    )


def test_layers_of_segments(tmp_path, image, affine, truth):
    layers = np.stack([truth == 1, truth == 2]).astype(np.uint8)
    segments = [{"Name": "left lung", "LabelValue": 1, "Layer": 0}, {"Name": "heart", "LabelValue": 1, "Layer": 1}]
    path = write_seg_nrrd(tmp_path / "a.seg.nrrd", layers, affine, segments)
    np.testing.assert_array_equal(read(path, image).classes, truth)
    layers[1, ..., 3] |= layers[0, ..., 3]
    found = read(write_seg_nrrd(path, layers, affine, segments), image)
    assert list(found.wrong) == [3]
    assert f"segments that overlap, in {(truth[..., 3] == 1).sum()} voxels" in found.wrong[3]
    np.testing.assert_array_equal(np.delete(found.classes, 3, axis=2), np.delete(truth, 3, axis=2))


def test_one_voxel_says_that_all_segments_are_empty(tmp_path, image):
    path = write_seg_nrrd(tmp_path / "a.seg.nrrd", np.zeros((1, 1, 1)), np.eye(4), SEGMENTS)
    assert not read(path, image).classes.any()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("Segmentation.labels.csv", 'LabelValue,Name,Color_R\n1,"heart",255\n2,left lung,3\n'),
        (
            "Segmentation-label_ColorTable.ctbl",
            "# Color table file\n0 Background 0 0 0 0\n1 heart 1 2 3 9\n2 left_lung 1 2 3 9\n",
        ),
    ],
)
def test_values_with_a_table_beside_count_by_their_names(tmp_path, image, affine, truth, name, content):
    (tmp_path / name).write_text(content)
    path = write_itk(tmp_path / "Segmentation-label.nrrd", np.array([0, 2, 1])[truth], affine)
    np.testing.assert_array_equal(read(path, image).classes, truth)
    (tmp_path / name).write_text(content.replace("heart", "liver"))
    found = read(path, image)
    assert set(found.wrong) == set(range(5))
    assert "holds 'liver', which is no class; the classes are 0 background, 1 left lung, 2 heart" in found.wrong[0]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_unknown_value_spoils_its_slice_alone(tmp_path, image, affine, truth, axis):
    place = [2, 2, 2]
    truth[tuple(place)] = 9
    found = read(write_itk(tmp_path / "a.nii.gz", truth, affine), image, slice_axis=axis)
    assert found.wrong == {2: "holds 9, which is no class; the classes are 0 background, 1 left lung, 2 heart"}
    assert found.classes[tuple(place)] == 255


def test_not_annotated_stays(tmp_path, image, affine, truth):
    truth[::2] = 255
    found = read(write_itk(tmp_path / "a.nii.gz", truth, affine), image)
    np.testing.assert_array_equal(found.classes, truth)
    assert not found.wrong


@pytest.mark.parametrize(
    ("name", "number"), [("heart", 2), ("HEART", 2), ("left_lung", 1), (" left  lung ", 1), ("lung", None)]
)
def test_names(name, number):
    assert class_number(name, CLASSES) == number
    assert class_number("A", ["a_b", "a", "A"]) == 2
    assert class_number("a b", ["a_b", "A B"]) is None


# -- what does not lie on the image ------------------------------------------------------------------------------------


def test_labels_outside_the_image(tmp_path, image, affine, truth):
    voxels, moved = rearranged(truth, affine, (0, 1, 2), (False,) * 3, (-1, 0, -2))
    voxels[0, 0, 2 + 1] = 1  # beside slice 1
    voxels[3, 3, 0] = 2  # where the image has no slice
    found = read(write_seg_nrrd(tmp_path / "a.seg.nrrd", voxels, moved, SEGMENTS), image)
    assert found.wrong == {1: "labels 1 voxels outside its image; erase them"}
    assert found.outside == 1
    np.testing.assert_array_equal(found.classes, truth)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m[:3, 3].__iadd__(0.4 * m[:3, 0]),  # by parts of a voxel
        lambda m: m[:3, :3].__imul__(1.1),
        lambda m: m[:3, :3].__imatmul__(np.linalg.qr(np.eye(3) + 0.1 * np.ones((3, 3)))[0]),
    ],
)
def test_another_grid_is_refused_with_both_affines(tmp_path, image, affine, truth, change):
    moved = affine.copy()
    change(moved)
    with pytest.raises(DataError, match=r"a.nii.gz: lies on another grid than its image: 7 x 6 x 5 voxels") as error:
        read(write_nifti(tmp_path / "a.nii.gz", truth, moved), image)
    for number in (moved[0, 0], affine[0, 0]):
        assert f"{number:.6g}" in str(error.value)


def test_two_positions(tmp_path, image, affine, truth):
    """One of them is the image's: it counts. Where both are on its grid, nobody can tell which."""
    off, whole = affine.copy(), affine.copy()
    off[:3, 3] += 0.4 * affine[:3, 0]
    whole[:3, 3] += 2 * affine[:3, 0]

    def save(qform, sform):
        stored = nibabel.Nifti1Image(truth, sform)
        stored.set_sform(sform, 2)
        stored.set_qform(qform, 1)
        nibabel.save(stored, tmp_path / "a.nii.gz")

    for forms in ((affine, off), (off, affine)):
        save(*forms)
        np.testing.assert_array_equal(read(tmp_path / "a.nii.gz", image).classes, truth)
    save(affine, whole)
    with pytest.raises(DataError, match="its two positions, q-form .* and s-form .*, contradict each other"):
        read(tmp_path / "a.nii.gz", image)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "a.nii.gz: cannot be read .*truncated or damaged"),
        (lambda path: path.write_bytes(b""), "a.nii.gz: is empty"),
        (lambda path: path.write_bytes(b"no image at all"), "a.nii.gz: cannot be read"),
        (lambda path: nibabel.save(nibabel.Nifti1Image(np.full(SHAPE, 0.5), np.eye(4)), path), "0.5 is not a whole"),
        (lambda path: nibabel.save(nibabel.Nifti1Image(np.ones((*SHAPE, 2)), np.eye(4)), path), "a label has one chan"),
        (lambda path: nibabel.save(nibabel.Nifti1Image(np.ones(SHAPE), None), path), "not say where its axes point"),
        (
            lambda path: nibabel.save(nibabel.Nifti1Image(np.arange(210.0).reshape(SHAPE) * 1e6, np.eye(4)), path),
            "a.nii.gz: holds values that are no class numbers; was the image saved",
        ),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, image, affine, truth, spoil, message):
    path = write_itk(tmp_path / "a.nii.gz", truth, affine)
    spoil(path)
    with pytest.raises(DataError, match=message):
        read(path, image)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("a,b\n1,2\n", "'LabelValue'"),
        ("LabelValue,Name\n1,heart\n2\n", "its line 3 ends before the column Name"),
        ("Name,LabelValue\nheart\n", "its line 2 ends before the column LabelValue"),
        ("LabelValue,Name\n1," + 150_000 * "x" + "\n", "field larger than"),
    ],
)
def test_a_table_that_is_none(tmp_path, image, affine, truth, content, why):
    (tmp_path / "a.labels.csv").write_text(content)
    with pytest.raises(DataError, match="a.labels.csv: is no table of label values and names") as raised:
        read(write_itk(tmp_path / "a.nrrd", truth, affine), image)
    assert why in str(raised.value)
