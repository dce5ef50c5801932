# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A label whose axes are those of another program."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from monai_al.data.axes import on_axes_of
from monai_al.data.stored_formats import StoredGrid

RNG = np.random.default_rng(0)
AFFINE = np.array([[0.7, 0.1, 0, -9], [-0.1, 0.7, 0, 4], [0, 0, 2.5, 30], [0, 0, 0, 1]])
VALUES = RNG.integers(0, 5, (3, 4, 5, 1))


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
@pytest.mark.parametrize("flips", [*itertools.product([False, True], repeat=3)])
def test_every_order_and_direction(order, flips):
    affine = AFFINE[:, [*order, 3]].copy()
    values = VALUES.transpose(*order, 3)
    for axis in np.flatnonzero(flips):
        values = np.flip(values, axis)
        affine[:, 3] += affine[:, axis] * (values.shape[axis] - 1)
        affine[:, axis] *= -1
    found = on_axes_of(StoredGrid(VALUES, AFFINE, False), StoredGrid(values, affine, False))
    np.testing.assert_array_equal(found.values, VALUES)


@pytest.mark.parametrize("change", ["shift", "spacing", "oblique", "smaller", "none"])
def test_other_voxels_are_left_for_the_reader(change):
    affine, values = AFFINE.copy(), VALUES
    if change == "shift":
        affine[0, 3] += 0.7
    elif change == "spacing":
        affine[:, 0] *= 1.1
    elif change == "oblique":
        affine = AFFINE @ np.array([[0.8, 0.6, 0, 0], [-0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    elif change == "smaller":
        values = VALUES[:2]
    label = StoredGrid(values, None if change == "none" else affine, False)
    assert on_axes_of(StoredGrid(VALUES, AFFINE, False), label) is label
