# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monai_al.metrics import effective_rank


def with_spectrum(values: list[float], n: int, d: int, seed: int = 0) -> np.ndarray:
    """A matrix with these singular values and random singular vectors."""
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.standard_normal((side, side)))[0] for side in (n, d))
    return left[:, : len(values)] @ np.diag(values) @ right[: len(values)]


def by_definition(values: list[float]) -> float:
    shares = [value / sum(values) for value in values]
    return math.exp(-sum(p * math.log(p) for p in shares if p > 0))


@pytest.mark.parametrize("shape", [(6, 6), (20, 6), (6, 20)])
@pytest.mark.parametrize(
    "values", [[1], [5, 5], [3, 2, 1], [1, 1, 1, 1, 1, 1], [1, 1e-3], [1e-9, 1e-9, 2e-9], [7e8, 1e8]]
)
def test_known_spectra(shape, values):
    assert effective_rank(with_spectrum(values, *shape)) == pytest.approx(by_definition(values), rel=1e-9)


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_equal_singular_values_give_their_number(rank):
    assert effective_rank(with_spectrum([2.0] * rank, 30, 8)) == pytest.approx(rank, rel=1e-9)


def test_collapse():
    assert effective_rank(np.tile([1.0, -2.0, 3.0], (50, 1))) == pytest.approx(1)
    assert effective_rank(np.outer(np.arange(50), [1.0, -2.0, 3.0])) == pytest.approx(1)
    assert effective_rank(np.zeros((4, 3))) == 1
    assert effective_rank(np.full((1, 1), 5)) == 1


values = arrays(
    np.float64, st.tuples(st.integers(1, 8), st.integers(1, 6)), elements=st.floats(-1e3, 1e3, allow_subnormal=False)
)


@given(embeddings=values)
def test_it_lies_between_one_and_the_smaller_side(embeddings):
    assert 1 - 1e-9 <= effective_rank(embeddings) <= min(embeddings.shape) + 1e-9


@given(seed=st.integers(0, 99), scale=st.sampled_from([1e-200, 1e-3, 7.0, 1e200]))
def test_neither_scale_order_nor_direction_matters(seed, scale):
    rng = np.random.default_rng(seed)
    embeddings = rng.standard_normal((12, 5)) * [9, 4, 2, 1, 0.1]
    expected = effective_rank(embeddings)
    turn = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    assert effective_rank(rng.permutation(embeddings) @ turn * scale) == pytest.approx(expected, rel=1e-9)


def test_single_precision():
    embeddings = np.random.default_rng(0).standard_normal((40, 7))
    assert effective_rank(embeddings.astype(np.float32)) == pytest.approx(effective_rank(embeddings), rel=1e-5)


@pytest.mark.parametrize(
    ("embeddings", "match"),
    [
        (np.zeros(3), r"\(N, D\) .* got \(3,\)"),
        (np.zeros((0, 3)), r"got \(0, 3\)"),
        (np.zeros((3, 0)), r"got \(3, 0\)"),
        (np.array([[0.0], [np.nan]]), "embedding 1 is not finite"),
        (np.array([[np.inf], [1.0]]), "embedding 0 is not finite"),
    ],
)
def test_wrong_embeddings(embeddings, match):
    with pytest.raises(ValueError, match=match):
        effective_rank(embeddings)
