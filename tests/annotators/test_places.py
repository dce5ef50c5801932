# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from monai_al.annotators.editor_grid import editor_grid
from monai_al.annotators.places import Place, place_of, with_places
from monai_al.data import VolumeCache, read_volume
from monai_al.datasets import phantom
from monai_al.records import Item, Query, QueryItem
from monai_al.sources import SliceSource

SHAPE = (5, 7, 9)
SPACING = np.array([0.7, 1.3, 4.0])
ORIENTATIONS = [
    (axes, signs) for axes in itertools.permutations(range(3)) for signs in itertools.product((-1, 1), repeat=3)
]
# 3D Slicer's presets, SliceToRAS: the columns are the view's right, its up, and its normal
PRESETS = {
    "axial": [[-1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "coronal": [[-1, 0, 0], [0, 0, 1], [0, 1, 0]],
    "sagittal": [[0, 0, -1], [-1, 0, 0], [0, 1, 0]],
}


def oriented(axes, signs, origin=(11.0, -23.0, 37.5)):
    """An affine whose stored axis k runs along the body's axis ``axes[k]``."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for k, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[axis, k] = sign * SPACING[k]
    affine[:3, 3] = origin
    return affine


def item_of(path, number, slice_axis=2):
    return Item(f"a/{number:04d}", str(path), "a", "a", slice=number, slice_axis=slice_axis)


def place_in(path, number, slice_axis=2):
    volume = read_volume(path, slice_axis=slice_axis)
    item = item_of(path, number, slice_axis)
    return place_of(item, editor_grid(item, volume.image.shape[1:], volume.affine))


def slow_places(affine, slice_axis, number):
    """The views in which all voxels of a slice have one offset, and that offset, voxel by voxel."""
    found = {}
    for view, columns in PRESETS.items():
        offsets = []
        for index in itertools.product(*map(range, SHAPE)):
            if index[slice_axis] == number:
                point = nib.affines.apply_affine(affine, index)
                offsets.append((np.linalg.inv(np.array(columns, float)) @ point)[2])
        if np.ptp(offsets) < 1e-6:
            found[view] = offsets[0]
    return found


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_every_orientation_agrees_with_the_voxels(axes, signs, slice_axis, tmp_path):
    affine = oriented(axes, signs)
    path = tmp_path / "a.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.int16), affine), path)
    place = place_in(path, 3, slice_axis)
    ((view, offset),) = slow_places(affine, slice_axis, 3).items()
    assert (place.plane, place.nearest, place.slice) == (view, view, 3)
    assert place.slicer_mm == pytest.approx(offset, abs=1e-3)
    # ITK-SNAP counts from 1 along the voxel axis that ITK reads; all of that slice has the offset
    image = sitk.ReadImage(str(path))
    index = [0, 0, 0]
    index[slice_axis] = place.itksnap - 1
    ras = np.array(image.TransformIndexToPhysicalPoint(index)) * (-1, -1, 1)
    towards = np.array(PRESETS[view], float)[:, 2]
    assert towards @ ras == pytest.approx(place.slicer_mm, abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ORIENTATIONS),
    st.tuples(*[st.floats(-35, 35)] * 3),
    st.integers(0, SHAPE[2] - 1),
)
def test_oblique_offsets_are_those_of_a_view_turned_to_the_volume(orientation, degrees, number):
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    affine = turned @ oriented(*orientation)
    item = item_of("a.nii.gz", number)
    place = place_of(item, editor_grid(item, SHAPE, affine))
    normal = np.array(PRESETS[place.nearest], float)[:, 2]
    corners = [affine[:3] @ (i, j, number, 1) for i in (0, SHAPE[0] - 1) for j in (0, SHAPE[1] - 1)]
    before, after = (affine[:3] @ ((SHAPE[0] - 1) / 2, (SHAPE[1] - 1) / 2, number + d, 1) for d in (-0.5, 0.5))
    room = abs(normal @ (after - before)) / 2
    middle = (before + after) / 2
    leaves = max(abs(normal @ (corner - middle)) for corner in corners) - room
    if abs(leaves) > 1e-6:
        assert (place.plane == "oblique") == (leaves > 0)
    if place.plane != "oblique":
        assert place.slicer_mm == pytest.approx(normal @ middle, abs=1e-3)
        return
    # "Rotate to volume plane": the normal becomes the voxel axis that is nearest to the preset's, in its direction
    across = (after - before) / np.linalg.norm(after - before)
    across = across * np.sign(across @ normal)
    slice_to_ras = np.column_stack([*np.linalg.svd(across[None])[2][1:], across])
    for corner in corners:  # every voxel of the slice has the offset
        assert place.slicer_mm == pytest.approx((np.linalg.inv(slice_to_ras) @ corner)[2], abs=1e-3)


def test_images_and_whole_volumes():
    picture = Item("ISIC_1", "ISIC_1.jpg", "ISIC_1", "ISIC_1")
    assert place_of(picture, editor_grid(picture, (40, 50, 1), np.eye(4))) == Place("picture", 0, 2, 1)
    whole = Item("a", "a.nii.gz", "a", "a")
    place = place_of(whole, editor_grid(whole, SHAPE, np.eye(4)))
    assert (place.plane, place.slice, place.itksnap, place.slicer_mm) == ("axial", None, None, None)
    assert str(place) == "axial"
    page = Item("t/0003", "t.tif", "t", "t", slice=3)  # a stack of pictures is shown as axial slices from above
    place = place_of(page, editor_grid(page, (40, 50, 6), np.eye(4)))
    assert (place.plane, place.itksnap, place.slicer_mm, place.nearest) == ("picture", 4, -3.0, "axial")
    assert str(place) == "picture, ITK-SNAP 4, Slicer S -3 mm"


def test_sheared_axes_become_right_angles_with_the_middle_in_its_place():
    sheared = oriented((0, 1, 2), (1, -1, 1))
    sheared[:3, 1] += (0.3, 0, 0.1)
    item = item_of("a.nii.gz", 0)
    grid = editor_grid(item, SHAPE, sheared)
    axes = grid.affine[:3, :3] / np.linalg.norm(sheared[:3, :3], axis=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    middle = np.append((np.array(SHAPE) - 1) / 2, 1)
    np.testing.assert_allclose(grid.affine @ middle, sheared @ middle)
    assert grid.moved > 0.1
    straight = editor_grid(item, SHAPE, oriented((2, 0, 1), (1, -1, -1)))
    assert straight.moved < 1e-12


def test_queries_tell_places_and_those_of_before_are_read(tmp_path):
    pool = phantom(str(tmp_path), patients=2, shape=(16, 16, 6))
    source = SliceSource(pool, VolumeCache(tmp_path, label_values=pool.label_values, progress=False))
    query = Query(0, "random", 0, (QueryItem(pool[8].id, 0.5, "why"), QueryItem(pool[1].id)))
    told = with_places(query, source)
    assert Query.from_json(told.to_json()) == told
    places = [Place.from_json(item.place) for item in told.items]
    assert places == [place_in(pool[i].image, pool[i].slice) for i in (8, 1)]
    before = query.to_json()
    assert all("place" not in item for item in before["items"])
    assert Query.from_json(before) == query
    assert Place.from_json(places[0].to_json() | {"later": 1}) == places[0]
    assert with_places(query, SliceSource(pool, cache=None)) is query
