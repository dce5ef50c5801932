# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import math
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.metrics import hd95, physical_diagonal

CASES = [((12,), (1.5,)), ((9, 8), (0.7, 2.0)), ((7, 6, 5), (1.0, 0.5, 3.0)), ((7, 6, 1), (1.0, 0.5, 9.0))]


def surface_by_loops(mask):
    """Pixels with a face neighbor outside; an axis of length 1 has no neighbors."""
    points = []
    for place in zip(*np.nonzero(mask), strict=True):
        for axis, step in itertools.product(range(mask.ndim), (-1, 1)):
            if mask.shape[axis] == 1:
                continue
            other = list(place)
            other[axis] += step
            if not 0 <= other[axis] < mask.shape[axis] or not mask[tuple(other)]:
                points.append(place)
                break
    return points


def hd95_by_loops(prediction, truth, spacing):
    surfaces = surface_by_loops(prediction), surface_by_loops(truth)
    directed = []
    for source, goal in (surfaces, surfaces[::-1]):
        nearest = sorted(min(math.dist(np.multiply(a, spacing), np.multiply(b, spacing)) for b in goal) for a in source)
        place = 0.95 * (len(nearest) - 1)
        low = math.floor(place)
        high = min(low + 1, len(nearest) - 1)
        directed.append(nearest[low] + (place - low) * (nearest[high] - nearest[low]))
    return max(directed)


def blobs(shape, n_classes, seed):
    """A label map of a few overlapping boxes: compact, with touching classes and touching the border."""
    generator = np.random.default_rng(seed)
    labels = np.zeros(shape, dtype=np.uint8)
    for label in generator.integers(1, n_classes, 4):
        corner = [generator.integers(0, n) for n in shape]
        labels[tuple(slice(c, c + generator.integers(1, 6)) for c in corner)] = label
    return labels


def noise(shape, n_classes, seed):
    return np.random.default_rng(seed).integers(0, n_classes, shape).astype(np.uint8)


@pytest.mark.parametrize(("shape", "spacing"), CASES)
@pytest.mark.parametrize("make", [blobs, noise])
@given(seed=st.integers(0, 10_000), n_classes=st.integers(2, 4))
@settings(deadline=None, max_examples=12)
def test_equals_loops(shape, spacing, make, seed, n_classes):
    prediction, truth = make(shape, n_classes, seed), make(shape, n_classes, seed + 1)
    for c, value in enumerate(hd95(prediction, truth, spacing, n_classes), start=1):
        p, t = prediction == c, truth == c
        if p.any() and t.any():
            assert value == pytest.approx(hd95_by_loops(p, t, spacing), abs=1e-9)
        elif p.any() or t.any():
            assert value == pytest.approx(math.hypot(*(n * s for n, s in zip(shape, spacing, strict=True) if n > 1)))
        else:
            assert np.isnan(value)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("shape", "spacing"), [((40, 30), (0.7, 2.0)), ((24, 20, 10), (1.0, 0.5, 3.0))])
def test_equals_monai_where_both_masks_are_there(shape, spacing, seed):
    from monai.metrics import compute_hausdorff_distance

    for make in (blobs, noise):
        prediction, truth = make(shape, 3, seed), make(shape, 3, seed + 100)
        one_hot = [torch.stack([torch.as_tensor(m == c) for c in range(3)])[None].float() for m in (prediction, truth)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = compute_hausdorff_distance(*one_hot, percentile=95, spacing=spacing)[0].numpy()
        ours = hd95(prediction, truth, spacing, 3)
        both = [(prediction == c).any() and (truth == c).any() for c in (1, 2)]
        assert any(both)
        np.testing.assert_allclose(ours[both], theirs[both], rtol=1e-5)
        assert np.isnan(theirs[np.logical_not(both)]).all()


@pytest.mark.parametrize("make", [blobs, noise])
def test_both_ways_to_the_nearest_surface_agree(monkeypatch, make):
    prediction, truth = make((20, 16, 8), 3, 5), make((20, 16, 8), 3, 6)
    scores = []
    for pixels in (0, 10**9):
        monkeypatch.setattr(sys.modules["monai_al.metrics.hd95"], "_PIXELS_PER_POINT", pixels)
        scores.append(hd95(prediction, truth, (1.0, 0.5, 3.0), 3))
    np.testing.assert_allclose(*scores, rtol=1e-12)


def test_is_the_maximum_of_two_percentiles_not_the_percentile_of_both():
    truth, prediction = np.zeros((2, 1, 200), dtype=np.uint8)
    truth[0, 0] = 1
    prediction[0, :20:2] = 1
    pooled = np.percentile([0.0, *range(0, 20, 2)], 95)
    assert hd95(prediction, truth, (1, 1), 2)[0] == pytest.approx(np.percentile(range(0, 20, 2), 95))
    assert pooled != pytest.approx(np.percentile(range(0, 20, 2), 95))


EMPTY, FULL = np.zeros((3, 4, 5), dtype=np.uint8), np.ones((3, 4, 5), dtype=np.uint8)
PENALTY = math.sqrt((3 * 2) ** 2 + (4 * 1) ** 2 + (5 * 0.5) ** 2)


@pytest.mark.parametrize(
    ("truth", "prediction", "expected"),
    [
        (EMPTY, EMPTY, {"strict": np.nan, "ignore_empty": np.nan, "count_empty": np.nan}),
        (EMPTY, FULL, {"strict": PENALTY, "ignore_empty": np.nan, "count_empty": PENALTY}),
        (FULL, EMPTY, {"strict": PENALTY, "ignore_empty": PENALTY, "count_empty": PENALTY}),
        (FULL, FULL, {"strict": 0.0, "ignore_empty": 0.0, "count_empty": 0.0}),
    ],
)
def test_empty_policies(truth, prediction, expected):
    for policy, value in expected.items():
        np.testing.assert_allclose(hd95(prediction, truth, (2, 1, 0.5), 2, policy), [value])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_image_scores_alike_with_an_axis_of_length_one(axis):
    prediction, truth = blobs((12, 11), 3, 1), np.minimum(blobs((12, 11), 3, 2), 1)
    flat = hd95(prediction, truth, (0.7, 2.0), 3)
    spacing = np.insert([0.7, 2.0], axis, 5.0)
    thick = hd95(np.expand_dims(prediction, axis), np.expand_dims(truth, axis), spacing, 3)
    assert np.array_equal(flat, thick)
    assert flat[1] == physical_diagonal((12, 11), (0.7, 2.0))


@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 10))
@settings(deadline=None, max_examples=20)
def test_symmetric_and_in_millimeters(seed, scale):
    a, b = noise((6, 5, 4), 2, seed), noise((6, 5, 4), 2, seed + 1)
    spacing = np.array([1.0, 0.5, 2.0])
    value = hd95(a, b, spacing, 2)
    assert np.array_equal(hd95(b, a, spacing, 2), value)
    np.testing.assert_allclose(hd95(a, b, spacing * scale, 2), value * scale)
    assert hd95(a, a, spacing, 2).tolist() == [0.0]


def test_pixels_that_are_not_annotated_belong_to_no_class():
    prediction, truth = blobs((12, 11), 3, 1), blobs((12, 11), 3, 2)
    hidden = np.random.default_rng(0).random((12, 11)) < 0.3
    expected = hd95(np.where(hidden, 0, prediction), np.where(hidden, 0, truth), (1, 2), 3)
    assert np.array_equal(hd95(prediction, np.where(hidden, 255, truth), (1, 2), 3), expected, equal_nan=True)


def test_bad_input_is_refused():
    good = np.zeros((3, 3), dtype=np.int64)
    for spacing in [(1.0,), (1.0, 1.0, 1.0), 1.0]:
        with pytest.raises(ValueError, match="one number for each of the 2 axes"):
            hd95(good, good, spacing, 2)
    for spacing in [(1.0, 0.0), (1.0, -1.0), (1.0, np.nan), (np.inf, 1.0)]:
        with pytest.raises(ValueError, match="positive finite"):
            hd95(good, good, spacing, 2)
    with pytest.raises(ValueError, match="empty_policy 'none'"):
        hd95(good, good, (1, 1), 2, "none")
    with pytest.raises(ValueError, match="prediction has shape"):
        hd95(good, good[:2], (1, 1), 2)
