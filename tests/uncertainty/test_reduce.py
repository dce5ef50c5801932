# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch

from monai_al.uncertainty import reduce_map


@pytest.mark.parametrize("spatial", [(), (5,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("with_region", [False, True])
def test_equals_loops(spatial, reduction, with_region):
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(4, *spatial, generator=generator, dtype=torch.float64)
    region = torch.rand(4, *spatial, generator=generator) > 0.4 if with_region else None
    expected = []
    for i in range(4):
        inside = values[i].flatten().tolist()
        if region is not None:
            inside = [v for v, keep in zip(inside, region[i].flatten().tolist(), strict=True) if keep]
        total = sum(inside)
        expected.append(-math.inf if not inside else total / len(inside) if reduction == "mean" else total)
    actual = reduce_map(values, region, reduction)
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_an_empty_region_ranks_last(reduction):
    scores = reduce_map(torch.zeros(2, 3), torch.tensor([[True] * 3, [False] * 3]), reduction)
    assert scores.tolist() == [0, -math.inf]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_an_item_scores_the_same_in_every_batch(reduction):
    values = torch.rand(8, 101, 103, generator=torch.Generator().manual_seed(0))
    region = values > 0.3
    for mask in (None, region):
        together = reduce_map(values, mask, reduction)
        alone = [reduce_map(values[i : i + 1], None if mask is None else mask[i : i + 1], reduction) for i in range(8)]
        assert torch.equal(together, torch.cat(alone))


def test_nan_stays_nan():
    assert reduce_map(torch.tensor([[1.0, float("nan")]])).isnan().item()


def test_type_is_kept_and_no_items_give_no_scores():
    assert reduce_map(torch.zeros(2, 3)).dtype == torch.float32
    assert reduce_map(torch.zeros(0, 3)).shape == (0,)


@pytest.mark.parametrize(
    ("region", "reduction", "message"),
    [
        (None, "max", "reduction 'max' is none of mean, sum"),
        (torch.ones(2, 3), "mean", "boolean"),
        (torch.ones(2, 4, dtype=torch.bool), "mean", r"shape \(2, 3\)"),
        (torch.ones(1, 3, dtype=torch.bool), "sum", r"shape \(2, 3\)"),
    ],
)
def test_errors(region, reduction, message):
    with pytest.raises(ValueError, match=message):
        reduce_map(torch.zeros(2, 3), region, reduction)
