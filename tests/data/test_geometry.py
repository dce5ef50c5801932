# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import json
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import (
    CenterSpatialCropd,
    Compose,
    Flipd,
    Orientationd,
    Resized,
    ResizeWithPadOrCropd,
    Rotate90d,
    Spacingd,
    SpatialCropd,
    SpatialPadd,
)
from scipy.ndimage import map_coordinates

from monai_al.data import VolumeGeometry

KEYS = ["image", "label"]
MODES = ["trilinear", "nearest"]

# name -> transform, whether slice z stays slice z, for a stored volume of 12 x 14 x 6 voxels of 1.2 x 0.9 x 3 mm
CASES = {
    "nothing": (Compose([]), True),
    "pad": (SpatialPadd(KEYS, (20, 17, -1)), True),
    "crop": (CenterSpatialCropd(KEYS, (7, 9, -1)), True),
    "pad one way, crop the other": (ResizeWithPadOrCropd(KEYS, (20, 8, -1)), True),
    "resize up": (Resized(KEYS, (24, 21, -1), mode=MODES), True),
    "resize down": (Resized(KEYS, (9, 10, -1), mode=MODES), True),
    "spacing in plane": (Spacingd(KEYS, (0.8, 1.1, -1), mode=["bilinear", "nearest"]), True),
    "flip rows": (Flipd(KEYS, 0), True),
    "flip both": (Flipd(KEYS, (0, 1)), True),
    "rotate in plane": (Rotate90d(KEYS, k=1, spatial_axes=(0, 1)), True),
    "rotate back in plane": (Rotate90d(KEYS, k=3, spatial_axes=(0, 1)), True),
    "a chain in plane": (
        Compose(
            [
                Spacingd(KEYS, (1.0, 1.0, -1), mode=["bilinear", "nearest"]),
                Rotate90d(KEYS, k=1, spatial_axes=(0, 1)),
                ResizeWithPadOrCropd(KEYS, (16, 11, -1)),
                Flipd(KEYS, 1),
            ]
        ),
        True,
    ),
    "pad slices": (SpatialPadd(KEYS, (-1, -1, 9)), False),
    "pad slices behind": (SpatialPadd(KEYS, (-1, -1, 9), method="end"), False),
    "crop slices": (CenterSpatialCropd(KEYS, (-1, -1, 4)), False),
    "flip slices": (Flipd(KEYS, 2), False),
    "rotate slices": (Rotate90d(KEYS, k=1, spatial_axes=(1, 2)), False),
    "spacing": (Spacingd(KEYS, (1.0, 1.0, 1.5), mode=["bilinear", "nearest"]), False),
    "resize": (Resized(KEYS, (24, 21, 12), mode=MODES), False),
    "orientation": (Orientationd(KEYS, axcodes="PIR", labels=None), False),
    "a chain": (
        Compose(
            [
                Orientationd(KEYS, axcodes="SLA", labels=None),
                Spacingd(KEYS, (2.0, 1.0, 1.0), mode=["bilinear", "nearest"]),
                ResizeWithPadOrCropd(KEYS, (10, 16, 16)),
                Flipd(KEYS, (0, 2)),
            ]
        ),
        False,
    ),
}
IN_PLACE = ("nothing", "pad", "flip rows", "flip both", "rotate in plane", "rotate back in plane", "pad slices",
            "flip slices", "rotate slices", "orientation")  # fmt: skip
SHAPE = (12, 14, 6)


def stored_affine():
    """Rotated, anisotropic, with an offset and a left-handed axis."""
    angle = 0.4
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, -1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([1.2, 0.9, 3.0])
    affine[:3, 3] = (11, -7, 40)
    return affine


def preprocessed(transform, image, label=None):
    """``(C, h, w, d)`` image and label with their geometry, as the volume cache makes them."""
    affine = torch.from_numpy(stored_affine())
    data = {"image": MetaTensor(torch.as_tensor(image).float(), affine=affine)}
    data["label"] = MetaTensor(torch.as_tensor(image[:1] if label is None else label).float(), affine=affine)
    out = transform(data)
    shape = image.shape[1:]
    geometry = VolumeGeometry(
        shape, stored_affine(), tuple(out["image"].shape[1:]), np.asarray(out["image"].affine), (1.2, 0.9, 3.0)
    )
    return out["image"].as_tensor(), out["label"].as_tensor(), geometry


def to_stored(geometry, volume):
    """``to_stored`` for ``(C, h, w, d)``, back to ``(C, H, W, D)``."""
    return geometry.to_stored(volume.permute(3, 0, 1, 2)).permute(1, 2, 3, 0)


def mapped(index, here, there):
    """A voxel index of one grid in another grid, by way of millimetres."""
    return (np.linalg.inv(there) @ (here @ [*index, 1.0]))[:3]


def slow_to_stored(geometry, volume):
    out = np.zeros((volume.shape[0], *geometry.stored_shape))
    for index in np.ndindex(*geometry.stored_shape):
        x = mapped(index, geometry.stored_affine, geometry.affine)
        if all(-0.5 - 1e-6 <= p <= n - 0.5 + 1e-6 for p, n in zip(x, geometry.shape, strict=True)):
            for c in range(len(volume)):
                out[(c, *index)] = map_coordinates(volume[c], x[:, None], order=1, mode="nearest")[0]
    return out


@pytest.mark.parametrize("name", CASES)
def test_way_back_equals_interpolation_voxel_by_voxel(name):
    transform, keeps = CASES[name]
    image = np.random.default_rng(0).random((2, *SHAPE))
    volume, _, geometry = preprocessed(transform, image)
    assert geometry.keeps_slices is keeps
    back = to_stored(geometry, volume)
    assert back.dtype == torch.float32
    np.testing.assert_allclose(back, slow_to_stored(geometry, volume.double().numpy()), atol=2e-5)


@pytest.mark.parametrize("name", CASES)
def test_a_ramp_over_the_stored_voxels_comes_back(name):
    """Independent of what MONAI says in its affine: linear interpolation keeps a linear function."""
    transform, _ = CASES[name]
    i, j, k = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    ramp = np.stack([i, j, k]).astype(float)
    volume, _, geometry = preprocessed(transform, ramp)
    back = to_stored(geometry, volume).numpy()
    checked = 0
    for index in np.ndindex(*SHAPE):
        x = mapped(index, geometry.stored_affine, geometry.affine)
        steps = np.abs(np.linalg.inv(geometry.stored_affine) @ geometry.affine)[:3, :3].sum(axis=1)
        inner = all(s <= p <= n - 1 - s for p, n, s in zip(index, SHAPE, steps, strict=True))
        if inner and all(0 <= p <= n - 1 for p, n in zip(x, geometry.shape, strict=True)):
            np.testing.assert_allclose(back[(slice(None), *index)], index, atol=2e-4)
            checked += 1
    assert checked >= np.prod(SHAPE) // 8


@pytest.mark.parametrize("name", CASES)
def test_what_both_grids_have_in_common_against_loops(name):
    transform, keeps = CASES[name]
    _, _, geometry = preprocessed(transform, np.zeros((1, *SHAPE)))
    grids = (geometry.shape, geometry.affine), (SHAPE, geometry.stored_affine)
    for common, (here, there) in ((geometry.valid(), grids), (geometry.seen(), grids[::-1])):
        assert common.dtype == bool
        h, w, d = here[0]
        assert common.shape == (1 if keeps else d, h, w)
        for index in np.ndindex(h, w, d):
            x = mapped(index, here[1], there[1])
            inside = all(-0.5 - 1e-6 <= p <= n - 0.5 + 1e-6 for p, n in zip(x, there[0], strict=True))
            assert common[0 if keeps else index[2], index[0], index[1]] == inside


@pytest.mark.parametrize("name", IN_PLACE)
def test_label_maps_survive_the_round_trip_exactly(name):
    transform, _ = CASES[name]
    label = np.random.default_rng(1).integers(0, 4, (1, *SHAPE))
    _, moved, geometry = preprocessed(transform, label.astype(float), label)
    hot = torch.nn.functional.one_hot(moved[0].long(), 4).permute(3, 0, 1, 2).float()
    np.testing.assert_array_equal(to_stored(geometry, hot).argmax(0), label[0])


@pytest.mark.parametrize("factor", [2, 3])
def test_label_maps_survive_a_finer_grid_exactly(factor):
    label = np.random.default_rng(2).integers(0, 4, (1, *SHAPE))
    for size in ((factor * 12, factor * 14, -1), (factor * 12, factor * 14, factor * 6)):
        _, moved, geometry = preprocessed(Resized(KEYS, size, mode=MODES), label.astype(float), label)
        hot = torch.nn.functional.one_hot(moved[0].long(), 4).permute(3, 0, 1, 2).float()
        np.testing.assert_array_equal(to_stored(geometry, hot).argmax(0), label[0])


def test_outside_of_a_crop_there_are_zeros():
    crop = SpatialCropd(KEYS, roi_start=(2, 3, 0), roi_end=(9, 11, 6))
    volume, _, geometry = preprocessed(crop, np.ones((1, *SHAPE)))
    inside = torch.zeros(1, *SHAPE)
    inside[:, 2:9, 3:11] = 1
    assert torch.equal(to_stored(geometry, volume), inside)


@settings(deadline=None, max_examples=40)
@given(
    stored=st.tuples(*[st.integers(1, 5)] * 3),
    shape=st.tuples(*[st.integers(1, 5)] * 3),
    offset=st.tuples(*[st.integers(-6, 6)] * 3),
)
def test_shifts_are_exact(stored, shape, offset):
    affine = np.eye(4)
    affine[:3, 3] = offset  # preprocessed voxel x is stored voxel x + offset
    geometry = VolumeGeometry(stored, np.eye(4), shape, affine, (1.0, 1.0, 1.0))
    volume = torch.rand(2, *shape)
    expected = torch.zeros(2, *stored)
    valid = np.zeros(shape, dtype=bool)
    for index in np.ndindex(*shape):
        target = tuple(i + o for i, o in zip(index, offset, strict=True))
        if all(0 <= t < n for t, n in zip(target, stored, strict=True)):
            expected[(slice(None), *target)] = volume[(slice(None), *index)]
            valid[index] = True
    assert torch.equal(to_stored(geometry, volume), expected)
    found = np.broadcast_to(geometry.valid(), (shape[2], *shape[:2])).transpose(1, 2, 0)
    np.testing.assert_array_equal(found, valid)


@settings(deadline=None, max_examples=30)
@given(
    stored=st.tuples(*[st.integers(1, 5)] * 3),
    shape=st.tuples(*[st.integers(1, 5)] * 3),
    scale=st.tuples(*[st.floats(0.3, 3)] * 3),
    offset=st.tuples(*[st.floats(-3, 3)] * 3),
    axes=st.sampled_from(list(itertools.permutations(range(3)))),
    flips=st.tuples(*[st.sampled_from([-1, 1])] * 3),
)
def test_any_affine_against_interpolation(stored, shape, scale, offset, axes, flips):
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[list(axes)] @ np.diag(np.multiply(scale, flips))
    affine[:3, 3] = np.add(offset, 0.001234)  # off the half-voxel borders, where rounding decides
    geometry = VolumeGeometry(stored, np.eye(4), shape, affine, (1.0, 1.0, 1.0))
    volume = torch.rand(1, *shape, dtype=torch.float64)
    near_border = np.zeros(stored, dtype=bool)
    for index in np.ndindex(*stored):
        x = mapped(index, geometry.stored_affine, geometry.affine)
        near_border[index] = any(abs(p + 0.5) < 1e-4 or abs(p - n + 0.5) < 1e-4 for p, n in zip(x, shape, strict=True))
    found, expected = to_stored(geometry, volume).numpy()[0], slow_to_stored(geometry, volume.numpy())[0]
    np.testing.assert_allclose(found[~near_border], expected[~near_border], atol=1e-4)


def test_many_slices_are_as_few():
    """Planes are resampled in groups."""
    grid = {"stored_affine": np.eye(4), "affine": np.diag([0.5, 0.5, 1, 1]), "spacing": (1.0, 1.0, 1.0)}
    volume = torch.rand(37, 2, 8, 8)
    whole = VolumeGeometry((4, 4, 37), shape=(8, 8, 37), **grid).to_stored(volume)
    one = VolumeGeometry((4, 4, 1), shape=(8, 8, 1), **grid)
    assert torch.equal(whole, torch.cat([one.to_stored(plane[None]) for plane in volume]))


def in_one_go(geometry, volume):
    """The 3D way back with one grid for all voxels, ``(C, h, w, d)`` to ``(C, H, W, D)``."""
    matrix = np.linalg.inv(geometry.affine) @ geometry.stored_affine
    indices = np.stack(np.meshgrid(*map(np.arange, geometry.stored_shape), indexing="ij"), axis=-1)
    points = indices @ matrix[:3, :3].T + matrix[:3, 3]
    inside = ((points >= -0.5 - 1e-6) & (points <= np.asarray(geometry.shape) - 0.5 + 1e-6)).all(axis=-1)
    scaled = 2 * points / np.maximum(np.asarray(geometry.shape) - 1, 1) - 1
    grid = torch.from_numpy(scaled[None, ..., ::-1].copy()).to(volume.dtype)
    found = torch.nn.functional.grid_sample(volume[None], grid, padding_mode="border", align_corners=True)
    return found[0] * torch.from_numpy(inside)


@pytest.mark.parametrize("voxels", [1, 12 * 14, 400, 10**9])
@pytest.mark.parametrize("name", ["spacing", "resize", "orientation", "rotate slices", "a chain"])
def test_slabs_are_as_the_whole(monkeypatch, name, voxels):
    volume, _, geometry = preprocessed(CASES[name][0], np.random.default_rng(3).random((2, *SHAPE)))
    monkeypatch.setattr("monai_al.data.geometry._VOXELS_AT_ONCE", voxels)
    np.testing.assert_allclose(to_stored(geometry, volume), in_one_go(geometry, volume), atol=1e-6)
    valid = geometry.valid()
    monkeypatch.undo()
    np.testing.assert_array_equal(valid, geometry.valid())


@settings(deadline=None, max_examples=20)
@given(
    stored=st.tuples(*[st.integers(1, 6)] * 3),
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    voxels=st.integers(1, 80),
    seed=st.integers(0, 99),
)
def test_slabs_of_oblique_grids(stored, shape, voxels, seed):
    random = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3] = np.linalg.qr(random.normal(size=(3, 3)))[0] @ np.diag(random.uniform(0.4, 2, 3)) @ np.eye(3, 4)
    affine[:3, 3] = random.uniform(-2, 2, 3)
    geometry = VolumeGeometry(stored, stored_affine(), shape, stored_affine() @ affine, (1.0, 1.0, 1.0))
    volume = torch.rand(1, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("monai_al.data.geometry._VOXELS_AT_ONCE", voxels)
        np.testing.assert_allclose(to_stored(geometry, volume), in_one_go(geometry, volume), atol=1e-5)


def test_the_way_back_needs_little_memory_beside_the_volume():
    shape = (64, 64, 256)
    turned = np.diag([1.0, 1, 1, 1])[[0, 2, 1, 3]] @ np.diag([1.0, 1.5, 0.7, 1])
    geometry = VolumeGeometry(shape, np.eye(4), (64, 180, 90), turned, (1.0, 1.0, 1.0))
    tracemalloc.start()  # of NumPy's arrays
    try:
        geometry.to_stored(torch.zeros(90, 1, 64, 180))
        geometry.valid()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * np.prod(shape)


@pytest.mark.parametrize("name", ["a chain", "a chain in plane"])
def test_json_keeps_the_geometry(name):
    volume, _, geometry = preprocessed(CASES[name][0], np.random.default_rng(0).random((1, *SHAPE)))
    again = VolumeGeometry.from_json(json.loads(json.dumps(geometry.to_json())))
    assert torch.equal(to_stored(again, volume), to_stored(geometry, volume))
    assert (again.stored_shape, again.shape, again.spacing) == (geometry.stored_shape, geometry.shape, geometry.spacing)
    np.testing.assert_array_equal(again.affine, geometry.affine)
    np.testing.assert_array_equal(again.stored_affine, geometry.stored_affine)
