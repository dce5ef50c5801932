# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Grids that cover one place, compared voxel by voxel."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.data.grids import SAME_GRID, displacement, reordered


def random_affine(rng):
    """Oblique axes, not quite at right angles, with voxels of any size."""
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0] + rng.normal(scale=0.02, size=(3, 3))
    affine = np.eye(4)
    affine[:3, :3] = turn * rng.uniform(0.4, 5, 3)
    affine[:3, 3] = rng.uniform(-200, 200, 3)
    return affine


def places(shape, affine):
    """The place of each voxel in mm, ``(H, W, D, 3)``."""
    indices = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return indices @ affine[:3, :3].T + affine[:3, 3]


def stored_otherwise(values, affine, axes, flips):
    """The same voxels at the same places with other axes, one axis after another."""
    values, affine = values.transpose(*axes), affine[:, [*axes, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            values = np.flip(values, axis)
            affine[:, 3] += affine[:, axis] * (values.shape[axis] - 1)
            affine[:, axis] *= -1
    return values, affine


ORDERS = st.tuples(st.permutations(range(3)), st.tuples(*[st.booleans()] * 3))
SHAPES = st.tuples(*[st.integers(1, 5)] * 3)


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 2**31), shape=SHAPES, order=ORDERS, noise=st.sampled_from([0, 1e-5]))
def test_any_order_of_the_axes_is_found_back(seed, shape, order, noise):
    rng = np.random.default_rng(seed)
    values, affine = rng.permutation(np.prod(shape)).reshape(shape), random_affine(rng)
    other, other_affine = stored_otherwise(values, affine, *order)
    np.testing.assert_allclose(
        places(shape, affine)[values == 0], places(other.shape, other_affine)[other == 0], atol=1e-9
    )
    other_affine[:3] += rng.normal(scale=noise, size=(3, 4))
    found, found_affine = reordered(other, other_affine, shape, affine)
    np.testing.assert_array_equal(found, values)
    assert displacement(shape, affine, found_affine) <= SAME_GRID


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**31), shape=SHAPES, order=ORDERS, step=st.integers(0, 2))
def test_another_place_is_left_alone(seed, shape, order, step):
    rng = np.random.default_rng(seed)
    values, affine = np.arange(np.prod(shape)).reshape(shape), random_affine(rng)
    other, other_affine = stored_otherwise(values, affine, *order)
    other_affine[:3, 3] += affine[:3, step] * rng.choice([-1, 1]) * rng.uniform(0.5, 3)
    found, found_affine = reordered(other, other_affine, shape, affine)
    assert found is other
    assert found_affine is other_affine


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**31), shape=SHAPES)
def test_no_point_of_the_grid_moves_further(seed, shape):
    rng = np.random.default_rng(seed)
    affine = random_affine(rng)
    other = affine.copy()
    other[:3] += rng.normal(scale=0.1, size=(3, 4))
    edge = min(np.linalg.norm(affine[:3, axis]) for axis in range(3))
    share = displacement(shape, affine, other)
    corners = [
        np.linalg.norm((other - affine) @ (*corner, 1))
        for corner in itertools.product(*((-0.5, n - 0.5) for n in shape))
    ]
    assert share == pytest.approx(max(corners) / edge)
    points = rng.uniform(-0.5, np.array(shape) - 0.5, (50, 3))
    moved = np.linalg.norm(points @ (other - affine)[:3, :3].T + (other - affine)[:3, 3], axis=1)
    assert moved.max() / edge <= share + 1e-9


@pytest.mark.parametrize("other", [np.full((4, 4), np.nan), np.zeros((4, 4)), np.full((4, 4), np.inf)])
def test_what_is_no_affine_is_on_no_grid(other):
    values = np.zeros((2, 3, 4))
    assert reordered(values, other, (2, 3, 4), np.eye(4))[0] is values
    with np.errstate(invalid="ignore"):
        assert not displacement((2, 3, 4), np.eye(4), other) <= SAME_GRID
