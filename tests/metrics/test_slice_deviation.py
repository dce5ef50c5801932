# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.metrics import neighbor_deviation, pairwise_deviation, slice_deviation

KINDS = {
    "all": lambda a, b: True,
    "patient": lambda a, b: a[0] == b[0],
    "volume": lambda a, b: a[1] == b[1],
    "neighbors": lambda a, b: a[1] == b[1] and abs(a[2] - b[2]) == 1,
}


def slow(images, keys, fits):
    """Pair by pair and pixel by pixel."""
    pairs = [(i, j) for i, j in itertools.combinations(range(len(images)), 2) if fits(keys[i], keys[j])]
    differences = [
        abs(float(x) - float(y)) for i, j in pairs for x, y in zip(images[i].flat, images[j].flat, strict=True)
    ]
    return (sum(differences) / len(differences) if pairs else float("nan")), len(pairs)


def found(images, keys):
    patients, volumes, slices = zip(*keys, strict=True)
    return {
        "all": pairwise_deviation(images),
        "patient": pairwise_deviation(images, patients),
        "volume": pairwise_deviation(images, volumes),
        "neighbors": neighbor_deviation(images, volumes, slices),
    }


@pytest.mark.parametrize("shape", [(1,), (3, 4), (2, 3, 5)])
@pytest.mark.parametrize("depths", [[1], [4], [3, 1, 2, 5]])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("block", [1, 7, 1 << 22])
def test_equals_pair_by_pair(monkeypatch, shape, depths, dtype, block):
    monkeypatch.setattr(slice_deviation, "_BLOCK", block)
    keys = [(volume // 2, volume, z) for volume, depth in enumerate(depths) for z in range(depth)]
    draw = np.random.default_rng(len(keys))
    order = draw.permutation(len(keys))
    images, keys = draw.uniform(size=(len(keys), *shape)).astype(dtype), [keys[i] for i in order]
    for name, deviation in found(images, keys).items():
        mean, pairs = slow(images, keys, KINDS[name])
        assert deviation.pairs == pairs
        assert deviation.mean == pytest.approx(mean, rel=1e-6, nan_ok=True)


@given(
    values=st.lists(st.lists(st.integers(-9, 9), min_size=2, max_size=2), min_size=2, max_size=7),
    shift=st.integers(-5, 5),
    scale=st.integers(1, 4),
)
@settings(deadline=None)
def test_it_scales_does_not_move_and_does_not_depend_on_the_order(values, shift, scale):
    images = np.array(values, dtype=np.float64)
    deviation = pairwise_deviation(images).mean
    assert pairwise_deviation(images[::-1] * -scale + shift).mean == pytest.approx(scale * deviation, abs=1e-9)
    assert pairwise_deviation(np.concatenate([images[:1]] * 3)).mean == 0


def test_a_gap_in_a_volume_makes_no_neighbors():
    assert neighbor_deviation([[0.0], [1.0], [5.0]], ["a", "a", "b"], [0, 2, 1]).pairs == 0


@pytest.mark.parametrize(
    ("images", "groups", "match"),
    [
        ([], None, r"got \(0,\)"), ([1.0, 2.0], None, r"got \(2,\)"), (np.zeros((2, 0)), None, r"got \(2, 0\)"),
        ([[1.0]], ["a", "b"], "1 images have 2 names of groups"),
    ],
)  # fmt: skip
def test_wrong_arguments(images, groups, match):
    with pytest.raises(ValueError, match=match):
        pairwise_deviation(images, groups)
