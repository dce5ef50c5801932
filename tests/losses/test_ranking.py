# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_al.losses import RankingLoss


def by_loops(predicted, true, margin):
    hinges = []
    for a in range(0, len(predicted) - 1, 2):
        difference = true[a] - true[a + 1]
        sign = 0 if difference == 0 else math.copysign(1, difference)
        hinges.append(max(0.0, -sign * (predicted[a] - predicted[a + 1]) + margin))
    return sum(hinges) / len(hinges) if hinges else 0.0


def double(values):
    return torch.tensor(values, dtype=torch.float64)


values = st.floats(-100, 100)
pairs = st.lists(st.tuples(values, values | st.just(1.0)), max_size=12)
margins = st.sampled_from([0.0, 0.3, 1.0, 5.0])


@given(pairs, margins)
def test_equals_loops(items, margin):
    predicted, true = [p for p, _ in items], [t for _, t in items]
    found = RankingLoss(margin)(double(predicted), double(true)).item()
    assert found == pytest.approx(by_loops(predicted, true, margin), rel=1e-12, abs=1e-12)


@given(pairs, margins, values)
def test_only_differences_of_predictions_and_the_order_of_true_losses_count(items, margin, shift):
    predicted, true = double([p for p, _ in items]), double([t for _, t in items])
    loss = RankingLoss(margin)
    expected = loss(predicted, true)
    assert loss(predicted + shift, true).item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-9)
    assert loss(predicted, true**3) == expected or (true**3 == 0).any()  # tiny values vanish
    assert loss(-predicted, -true).item() == pytest.approx(expected.item(), rel=1e-12)
    swapped = torch.arange(len(items) // 2 * 2).reshape(-1, 2).flip(1).flatten()
    assert loss(predicted[swapped], true[swapped]).item() == pytest.approx(expected.item(), rel=1e-12)


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=12, unique=True), margins)
def test_right_order_by_the_margin_costs_nothing_and_wrong_order_more_than_the_margin(true, margin):
    true = double(true)
    loss = RankingLoss(margin)
    assert loss(true * max(margin, 1), true).item() == 0
    assert loss(-true, true).item() >= margin + 1


@given(pairs, margins)
def test_it_is_never_below_zero_and_the_odd_item_does_not_count(items, margin):
    predicted, true = double([p for p, _ in items]), double([t for _, t in items])
    loss = RankingLoss(margin)(predicted, true)
    assert loss >= 0
    if len(items) % 2:
        assert loss == RankingLoss(margin)(predicted[:-1], true[:-1])


@pytest.mark.parametrize(
    ("predicted", "true", "margin", "expected"),
    [
        ([2.0, 1.0], [5.0, 4.0], 1.0, 0.0),
        ([1.0, 2.0], [5.0, 4.0], 1.0, 2.0),
        ([1.0, 2.0], [5.0, 4.0], 0.0, 1.0),
        ([1.5, 1.0], [5.0, 4.0], 1.0, 0.5),
        ([1.0, 9.0], [3.0, 3.0], 1.0, 1.0),  # sign 0
        ([1.0, 9.0], [3.0, 3.0], 0.0, 0.0),
        ([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 4.0, 3.0], 1.0, 1.0),
        ([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 4.0, 3.0], 0.0, 0.0),  # the constant is optimal
        ([7.0], [3.0], 1.0, 0.0),
        ([], [], 1.0, 0.0),
    ],
)
def test_values_by_hand(predicted, true, margin, expected):
    assert RankingLoss(margin)(double(predicted), double(true)).item() == pytest.approx(expected)


@pytest.mark.parametrize("n", [2, 3, 8])
@pytest.mark.parametrize("margin", [0.0, 1.0])
def test_gradient(n, margin):
    generator = torch.Generator().manual_seed(n)
    predicted = torch.randn(n, generator=generator, dtype=torch.float64, requires_grad=True)
    true = torch.randn(n, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p: RankingLoss(margin)(p, true), (predicted,))
    RankingLoss(margin=50.0)(predicted, true).backward()  # all pairs count
    expected = torch.zeros(n, dtype=torch.float64)
    for a in range(0, n - 1, 2):
        sign = 1 if true[a] > true[a + 1] else -1
        expected[a], expected[a + 1] = -sign / (n // 2), sign / (n // 2)
    torch.testing.assert_close(predicted.grad, expected)


def test_the_margin_parts_equal_predictions():
    predicted = torch.zeros(2, requires_grad=True)
    RankingLoss()(predicted, torch.tensor([2.0, 1.0])).backward()
    assert predicted.grad.tolist() == [-1, 1]


def test_no_gradient_flows_into_the_true_losses():
    predicted, true = torch.tensor([0.0, 1.0], requires_grad=True), torch.tensor([2.0, 1.0], requires_grad=True)
    RankingLoss()(predicted, true).backward()
    assert true.grad is None


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("value", [1.0, float("nan")])
def test_fewer_than_two_items_have_a_graph(n, value):
    predicted = torch.full((n,), value, requires_grad=True)
    loss = RankingLoss()(predicted, torch.ones(n))
    loss.backward()
    assert loss.item() == 0
    assert predicted.grad.tolist() == [0] * n


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize("which", [0, 1])
def test_nan_comes_out(place, which):
    given = [torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([1.0, 2.0, 3.0, 4.0])]
    given[which][place] = float("nan")
    assert RankingLoss()(*given).isnan()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(dtype):
    loss = RankingLoss()(torch.tensor([1.0, 2.0], dtype=dtype), torch.tensor([5.0, 4.0]))
    assert loss.item() == 2


@pytest.mark.parametrize("shapes", [((4, 1), (4, 1)), ((4,), (4, 1)), ((4,), (3,)), ((), ()), ((4,), (2, 2))])
def test_wrong_shapes(shapes):
    with pytest.raises(ValueError, match=r"must both have the shape \(B,\)"):
        RankingLoss()(*map(torch.zeros, shapes))


@pytest.mark.parametrize("margin", [-0.1, float("nan")])
def test_wrong_margin(margin):
    with pytest.raises(ValueError, match="margin must be at least 0"):
        RankingLoss(margin)
