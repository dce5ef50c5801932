# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.metrics import EMPTY_POLICIES, dice, dice_counts

SHAPES = [(7,), (6, 5), (5, 4, 3), (5, 4, 1)]


def random_maps(shape, n_classes, *, hidden=0.2, seed=0):
    generator = np.random.default_rng(seed)
    prediction, truth = generator.integers(0, n_classes, (2, *shape)).astype(np.uint8)
    truth[generator.random(shape) < hidden] = 255
    return prediction, truth


def counts_by_loops(prediction, truth, n_classes):
    counts = np.zeros((3, n_classes - 1), dtype=int)
    for place in itertools.product(*(range(n) for n in truth.shape)):
        p, t = int(prediction[place]), int(truth[place])
        if t == 255:
            continue
        for c in range(1, n_classes):
            counts[:, c - 1] += [p == t == c, p == c, t == c]
    return counts


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_classes", [2, 3, 6])
@pytest.mark.parametrize("hidden", [0.0, 0.3, 1.0])
def test_counts_equal_loops(shape, n_classes, hidden):
    prediction, truth = random_maps(shape, n_classes, hidden=hidden)
    expected = counts_by_loops(prediction, truth, n_classes)
    assert np.array_equal(dice_counts(prediction, truth, n_classes), expected)
    for axis in range(-len(shape), len(shape)):
        along = dice_counts(prediction, truth, n_classes, axis=axis)
        for i in range(shape[axis]):
            one = counts_by_loops(prediction.take([i], axis), truth.take([i], axis), n_classes)
            assert np.array_equal([part[i] for part in along], one)


def test_counts_of_more_pixels_than_are_counted_at_once():
    prediction, truth = random_maps((600, 500), 3)
    valid = truth != 255
    counts = dice_counts(prediction, truth, 3)
    for c in (1, 2):
        assert counts.prediction[c - 1] == ((prediction == c) & valid).sum()
        assert counts.intersection[c - 1] == ((prediction == c) & (truth == c)).sum()


@pytest.mark.parametrize("policy", EMPTY_POLICIES)
@given(seed=st.integers(0, 10_000), n_classes=st.integers(2, 6), size=st.integers(1, 4), hidden=st.floats(0, 1))
@settings(deadline=None, max_examples=30)
def test_dice_equals_its_definition(policy, seed, n_classes, size, hidden):
    prediction, truth = random_maps((size, size), n_classes, hidden=hidden, seed=seed)
    intersection, predicted, true = counts_by_loops(prediction, truth, n_classes)
    for c, score in enumerate(dice(prediction, truth, n_classes, policy)):
        if predicted[c] == true[c] == 0:
            assert score == 1 if policy == "count_empty" else np.isnan(score)
        elif true[c] == 0 and policy == "ignore_empty":
            assert np.isnan(score)
        else:
            assert score == pytest.approx(2 * intersection[c] / (predicted[c] + true[c]))


EMPTY, FULL = np.zeros((4, 4), dtype=np.uint8), np.ones((4, 4), dtype=np.uint8)


@pytest.mark.parametrize(
    ("truth", "prediction", "expected"),
    [
        (EMPTY, EMPTY, {"strict": np.nan, "ignore_empty": np.nan, "count_empty": 1.0}),
        (EMPTY, FULL, {"strict": 0.0, "ignore_empty": np.nan, "count_empty": 0.0}),
        (FULL, EMPTY, {"strict": 0.0, "ignore_empty": 0.0, "count_empty": 0.0}),
        (FULL, FULL, {"strict": 1.0, "ignore_empty": 1.0, "count_empty": 1.0}),
    ],
)
def test_empty_policies(truth, prediction, expected):
    for policy, value in expected.items():
        np.testing.assert_array_equal(dice(prediction, truth, 2, policy), [value])


def test_empty_is_judged_on_annotated_pixels():
    truth = np.where(np.arange(4) < 2, 255, 0)
    assert np.isnan(dice(np.array([1, 1, 0, 0]), truth, 2)).all()
    assert dice(np.array([1, 1, 0, 1]), truth, 2).tolist() == [0.0]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.int64, np.uint64])
def test_any_integers_and_any_order(dtype):
    prediction, truth = random_maps((6, 5), 2, hidden=0)
    expected = dice(prediction, truth, 2)
    assert np.array_equal(dice(prediction.astype(dtype), np.asfortranarray(truth.astype(dtype)), 2), expected)


def test_bad_input_is_refused():
    good = np.zeros((3, 3), dtype=np.int64)
    with pytest.raises(ValueError, match="prediction has shape"):
        dice(good, good[:2], 2)
    with pytest.raises(TypeError, match="prediction must hold integer classes, got float64"):
        dice(good + 0.5, good, 2)
    with pytest.raises(ValueError, match="truth holds the value 2, which is no class: expected 0 to 1 or 255"):
        dice(good, good + 2, 2)
    with pytest.raises(ValueError, match="prediction holds the value 255, which is no class: expected 0 to 1"):
        dice(good + 255, good, 2)
    with pytest.raises(ValueError, match="truth holds the value -1"):
        dice(good, good - 1, 2)
    with pytest.raises(ValueError, match=r"n_classes .* got 1"):
        dice(good, good, 1)
    with pytest.raises(ValueError, match="empty_policy 'none'"):
        dice(good, good, 2, "none")
