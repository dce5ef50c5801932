# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Slices at one spacing and of one size, beside a slow interpolation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Spacing
from scipy.ndimage import map_coordinates

from monai_al.data.geometry import VolumeGeometry
from monai_al.transforms import PlaneGridd

TURN = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]


def affine_of(spacing, directions=TURN):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions @ np.diag(spacing), (-80.0, 31.0, 12.0)
    return affine


def placed(array, affine, **settings):
    tensor = MetaTensor(torch.as_tensor(array, dtype=torch.float32)[None], affine=torch.as_tensor(affine))
    key = settings.pop("key", "image")
    return PlaneGridd(key, **settings)({key: tensor})[key]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 5.0), (0.7, 1.3, 8.0), (2.5, 2.5, 2.5)])
@pytest.mark.parametrize("size", [(64, 64), (40, 96)])
def test_a_thing_has_the_same_size_in_pixels_whatever_the_field_of_view(spacing, size):
    """A disc of 20 mm, in a wide and in a narrow view, off the centre by as much."""
    for shape in ((100, 80, 3), (80, 60, 4)):
        rows, columns, _ = np.meshgrid(*map(np.arange, shape), indexing="ij")
        away = np.hypot((rows - (shape[0] - 1) / 2) * spacing[0] - 6, (columns - (shape[1] - 1) / 2) * spacing[1] + 9)
        found = placed(away < 20, affine_of(spacing), size=size, spacing=1.5, key="label")
        assert tuple(found.shape) == (1, *size, shape[2])
        at = np.argwhere(np.asarray(found)[0, :, :, 1])
        assert len(at) * 1.5**2 == pytest.approx(np.pi * 20**2, rel=0.06)
        middle = at.mean(0) - (np.array(size) - 1) / 2
        np.testing.assert_allclose(middle * 1.5, [6, -9], atol=1.6)  # a crop of an odd number is half a pixel off


def test_values_are_those_of_a_slow_interpolation_at_their_places():
    stored = np.random.default_rng(1).normal(size=(30, 24, 4)).cumsum(0).cumsum(1)
    affine = affine_of((1.4, 1.6, 6.0))
    found = placed(stored, affine, size=(48, 32), spacing=1.0)
    grid = np.stack(np.meshgrid(*map(np.arange, found.shape[1:]), indexing="ij"), -1).reshape(-1, 3)
    matrix = np.linalg.inv(affine) @ found.affine.numpy()
    places = grid @ matrix[:3, :3].T + matrix[:3, 3]
    inside = ((places > 0.5) & (places < np.array(stored.shape) - 1.5))[:, :2].all(1)
    expected = map_coordinates(stored, places.T, order=1, mode="nearest")
    assert inside.mean() > 0.6
    np.testing.assert_allclose(np.asarray(found).reshape(-1)[inside], expected[inside], rtol=1e-3, atol=1e-2)


def test_slices_keep_their_places_where_the_directions_of_a_header_are_rounded():
    """As in MetaImage; MONAI's Spacing makes them orthogonal, and so moves slices within their planes."""
    directions = np.array([[0.997, -0.015, 0.07], [0.0, 0.978, 0.209], [-0.072, -0.208, 0.9754]])
    affine = affine_of((0.625, 0.625, 3.6), directions)
    image = MetaTensor(torch.rand(1, 20, 18, 5), affine=torch.as_tensor(affine))
    kept = {
        name: VolumeGeometry((20, 18, 5), affine, tuple(out.shape[1:]), out.affine.numpy(), (1, 1, 1)).keeps_slices
        for name, out in {
            "ours": PlaneGridd("image", (16, 16), spacing=1.0)({"image": image})["image"],
            "Spacing": Spacing((1.0, 1.0, -1))(image),
        }.items()
    }
    assert kept == {"ours": True, "Spacing": False}


def test_padding_and_labels():
    data = {
        key: MetaTensor(torch.full((1, 10, 12, 2), 3.0), affine=torch.as_tensor(affine_of((1, 1, 4))))
        for key in ("image", "label", "other")
    }
    out = PlaneGridd(["image", "label", "absent"], (16, 16), spacing=1.0, padding_value=-1)(data)
    assert out["image"].unique().tolist() == [-1, 3]
    assert out["label"].unique().tolist() == [0, 3]
    assert out["other"] is data["other"]


@pytest.mark.parametrize("settings", [{"size": (16,)}, {"size": (0, 16)}, {"size": (16, 16), "spacing": 0.0}])
def test_mistakes(settings):
    with pytest.raises(ValueError, match=r"rows and columns|above 0 mm"):
        PlaneGridd("image", **settings)


def test_a_spacing_that_no_memory_could_hold_is_refused():
    with pytest.raises(ValueError, match=r"0.002 mm a slice has 20000 x 2000 pixels: give a larger --spacing"):
        placed(np.zeros((40, 4, 2)), affine_of((1.0, 1.0, 4.0)), size=(16, 16), spacing=0.002)


def test_much_larger_pictures_are_averaged_where_they_are():
    size, factor = (16, 24), 20
    drawn = torch.rand(1, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    pattern = torch.nn.functional.interpolate(drawn, scale_factor=4, mode="bilinear")[0]
    large = torch.nn.functional.interpolate(pattern[None], scale_factor=factor, mode="bilinear")[0]
    small = torch.nn.functional.interpolate(large[None], size, mode="area")[0]
    out = PlaneGridd("image", size=size)({"image": MetaTensor(large[..., None], affine=torch.eye(4))})["image"]
    assert tuple(out.shape) == (3, *size, 1)
    inner = (slice(None), slice(2, -2), slice(2, -2))  # the smoothing takes what lies beyond the edge for 0
    torch.testing.assert_close(out.as_tensor()[..., 0][inner], small[inner], atol=0.05, rtol=0)
    expected = torch.diag(torch.tensor([factor, factor, 1.0, 1.0], dtype=out.affine.dtype))
    expected[:2, 3] = (factor - 1) / 2  # edge to edge
    torch.testing.assert_close(out.affine, expected)
