# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.uncertainty import boundary_region, target_region


def random_probs(classes: int, *spatial: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, classes, *spatial, generator=generator, dtype=torch.float64).softmax(1)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("spatial", [(6,), (5, 4), (3, 2, 4)])
@pytest.mark.parametrize("limit", [0.1, 0.2, 0.3])
def test_equals_loops(classes, spatial, limit):
    probs = random_probs(classes, *spatial)
    rows = probs.movedim(1, -1).reshape(-1, classes).tolist()
    target = [max(row[1:]) > limit for row in rows]
    boundary = [sorted(row)[-1] - sorted(row)[-2] < 2 * limit for row in rows]
    assert target_region(probs, limit).flatten().tolist() == target
    assert boundary_region(probs, limit).flatten().tolist() == boundary
    assert target_region(probs, limit).shape == boundary_region(probs, limit).shape == (2, *spatial)


@settings(deadline=None, max_examples=40)
@given(p=st.floats(0, 1, width=32), threshold=st.floats(0, 0.9), width=st.floats(0.01, 0.5))
def test_one_channel_equals_two(p, threshold, width):
    one = torch.tensor([[p]])
    two = torch.cat([1 - one, one], dim=1)
    assert torch.equal(target_region(one, threshold), target_region(two, threshold))
    assert torch.equal(boundary_region(one, width), boundary_region(two, width))


def test_binary_definition_and_strict_comparison():
    p = torch.tensor([[0.0, 0.25, 0.3, 0.375, 0.45, 0.5, 0.55, 0.625, 1.0]], dtype=torch.float64).unsqueeze(1)
    assert target_region(p, 0.25).tolist() == (p[:, 0] > 0.25).tolist()
    assert boundary_region(p, 0.125).tolist() == ((p[:, 0] - 0.5).abs() < 0.125).tolist()
    assert not target_region(p, 0.25)[0, 1]
    assert not boundary_region(p, 0.125)[0, 3]


def test_background_channel_is_no_target():
    assert not target_region(torch.tensor([[1.0, 0.0, 0.0]])).item()
    assert target_region(torch.tensor([[0.6, 0.1, 0.3]])).item()


def test_multilabel_takes_any_channel():
    probs = torch.tensor([[0.9, 0.0], [0.1, 0.55], [0.1, 0.1]])
    assert target_region(probs, multilabel=True).tolist() == [True, True, False]
    assert boundary_region(probs, multilabel=True).tolist() == [False, True, False]


@pytest.mark.parametrize("threshold", [-0.1, 1.0, float("nan")])
def test_refuses_a_threshold_out_of_range(threshold):
    with pytest.raises(ValueError, match="threshold"):
        target_region(torch.tensor([[0.5]]), threshold)


@pytest.mark.parametrize("width", [0.0, 0.6, float("nan")])
def test_refuses_a_width_out_of_range(width):
    with pytest.raises(ValueError, match="width"):
        boundary_region(torch.tensor([[0.5]]), width)


@pytest.mark.parametrize("function", [target_region, boundary_region])
def test_refuses_what_are_no_probabilities(function):
    with pytest.raises(ValueError, match="item 0"):
        function(torch.tensor([[0.5, 0.7]]))
