# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monai_al.transforms import bezier_intensity, draw_bezier_curves

pytestmark = pytest.mark.usefixtures("one_thread")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_hand(values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The curve as a polygon of many pieces, from its definition."""
    t = np.linspace(0, 1, 200_001)
    x, y = (sum(comb(3, k) * t**k * (1 - t) ** (3 - k) * points[k, axis] for k in range(4)) for axis in (0, 1))
    return np.interp(values, x, y)


@pytest.mark.parametrize("shape", [(7, 2, 9, 5), (5, 1, 4, 1, 6)])
def test_each_image_as_by_hand(shape):
    points = draw_bezier_curves(shape[0], generator=seeded())
    images = torch.rand(shape, generator=seeded(1), dtype=torch.float64)
    found = bezier_intensity(images, points)
    for image, result, curve in zip(images, found, points, strict=True):
        np.testing.assert_allclose(result, by_hand(image.numpy(), curve.numpy()), atol=2e-4)


def test_control_points_are_uniform_and_half_of_the_curves_fall():
    points = draw_bezier_curves(4000, generator=seeded()).numpy()
    for inner in points[:, 1:3].reshape(-1, 4).T:
        assert stats.kstest(inner, "uniform").pvalue > 1e-3
    assert (points[:, [0, 3], 0] == [0, 1]).all()
    falls = points[:, 0, 1] == 1
    assert (points[:, 3, 1] == 1 - points[:, 0, 1]).all()
    assert falls.mean() == pytest.approx(0.5, abs=0.03)
    for inverting in (0.0, 0.2, 1.0):
        drawn = draw_bezier_curves(2000, inverting=inverting, generator=seeded())
        assert drawn[:, 0, 1].mean().item() == pytest.approx(inverting, abs=0.04)


INNER = st.lists(st.floats(0, 1), min_size=4, max_size=4)


@settings(max_examples=50, deadline=None)
@given(INNER, st.booleans(), st.sampled_from([torch.float16, torch.float32, torch.float64]))
def test_monotone_from_corner_to_corner(inner, falls, dtype):
    points = torch.tensor([[0, float(falls)], inner[:2], inner[2:], [1, 1 - float(falls)]], dtype=torch.float64)
    found = bezier_intensity(torch.linspace(0, 1, 501, dtype=dtype)[None, None], points[None])[0, 0]
    assert found.dtype == dtype
    assert found[[0, -1]].tolist() == [float(falls), 1 - float(falls)]
    steps = found.double().diff()
    assert ((steps <= 1e-12) if falls else (steps >= -1e-12)).all()


def test_reversed_is_the_other_way_round():
    rising = draw_bezier_curves(20, inverting=0, generator=seeded())
    falling = rising.clone()
    falling[..., 1] = 1 - falling[..., 1]
    images = torch.rand(20, 1, 50, generator=seeded(1), dtype=torch.float64)
    torch.testing.assert_close(bezier_intensity(images, falling), 1 - bezier_intensity(images, rising))


def test_beyond_the_range_and_undefined():
    points = draw_bezier_curves(1, inverting=1)
    found = bezier_intensity(torch.tensor([[[-3.0, 7.0, torch.nan]]]), points)[0, 0]
    assert found[:2].tolist() == [1, 0]
    assert found[2].isnan()


def test_refused():
    points = draw_bezier_curves(2)
    with pytest.raises(ValueError, match=r"there are 3 images but parameters for 2"):
        bezier_intensity(torch.rand(3, 1, 4, 4), points)
    with pytest.raises(ValueError, match=r"floating point .* got torch.uint8"):
        bezier_intensity(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), points)
    with pytest.raises(ValueError, match="inverting must be within 0 and 1"):
        draw_bezier_curves(1, inverting=1.5)
