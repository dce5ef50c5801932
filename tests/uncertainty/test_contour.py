# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.uncertainty import ContourMeasure, RunningSamples, contour_distance


def slow_distance(mask: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Every pixel with every contour pixel, a neighbor at a time."""
    steps = [step for step in itertools.product((-1, 0, 1), repeat=mask.ndim) if sum(map(abs, step)) == 1]
    contour = []
    for place in itertools.product(*map(range, mask.shape)):
        around = [tuple(np.add(place, step)) for step in steps]
        around = [p for p in around if all(0 <= i < n for i, n in zip(p, mask.shape, strict=True)) and valid[p]]
        if valid[place] and mask[place] and any(not mask[p] for p in around):
            contour.append(place)
    found = np.zeros(mask.shape)
    for place in itertools.product(*map(range, mask.shape)):
        if contour and valid[place]:
            found[place] = min(math.dist(place, other) for other in contour)
    return found / found.max() if contour else found


@pytest.mark.parametrize("shape", [(5, 7), (3, 4, 5), (1, 6)])
@pytest.mark.parametrize("kind", ["sigmoid", "softmax", "multilabel"])
@given(seed=st.integers(0, 10**6), padded=st.booleans())
@settings(max_examples=8, deadline=None)
def test_as_the_slow_reference(shape, kind, seed, padded):
    draw = torch.Generator().manual_seed(seed)
    channels = 1 if kind == "sigmoid" else 3
    logits = 2 * torch.randn((2, channels, *shape), generator=draw)
    probs = logits.softmax(1) if kind == "softmax" else logits.sigmoid()
    foreground = 1 - probs[:, 0] if kind == "softmax" else probs.amax(1)
    valid = torch.ones(2, *shape, dtype=torch.bool)
    if padded:
        valid[..., -1] = False
    found = contour_distance(probs, valid if padded else None, multilabel=kind == "multilabel")
    for i in range(2):
        expected = slow_distance((foreground[i] > 0.5).numpy(), valid[i].numpy())
        assert np.allclose(found[i].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.5, 0.9, 1.0])
def test_without_a_contour_the_distance_and_the_score_are_0(value):
    probs = torch.full((2, 1, 4, 4), value)
    assert not contour_distance(probs).any()
    running = RunningSamples(["variance"])
    for shift in (-0.05, 0.05):
        running.update((probs + shift).clamp(0, 1))
    assert ContourMeasure(reduction="sum").score(running).tolist() == [0, 0]


def test_borders_between_classes_are_no_contour():
    labels = torch.tensor([[0, 0, 1, 2, 2, 0]])
    probs = torch.nn.functional.one_hot(labels, 3).permute(2, 0, 1)[None].float()
    assert contour_distance(probs)[0, 0].tolist() == [1, 0.5, 0, 0.5, 0, 0.5]


def test_the_score_is_the_weighted_sum_over_what_is_valid():
    draw = torch.Generator().manual_seed(3)
    samples = torch.rand((5, 2, 1, 6, 6), generator=draw)
    running = RunningSamples(["variance"])
    for sample in samples:
        running.update(sample)
    valid = torch.rand((2, 6, 6), generator=draw) < 0.8
    weights = contour_distance(samples.mean(0), valid)
    expected = (samples.var(0, correction=0)[:, 0] * weights * valid).flatten(1).sum(1)
    found = ContourMeasure(reduction="sum").score(running, valid=valid)
    assert torch.allclose(found, expected, atol=1e-6)


def test_what_is_refused():
    with pytest.raises(ValueError, match="map 'entropy' is of one prediction"):
        ContourMeasure("entropy")
    with pytest.raises(ValueError, match="region 'target' has no use"):
        ContourMeasure(region="target")
    with pytest.raises(ValueError, match="two or three dimensions"):
        contour_distance(torch.rand(2, 1, 5))
    with pytest.raises(ValueError, match="needs several predictions"):
        ContourMeasure().score(torch.rand(2, 1, 5, 5))
