# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.uncertainty import MAPS, entropy, least_confidence, margin

FUNCTIONS = {"entropy": entropy, "least_confidence": least_confidence, "margin": margin}
SHAPES = [(), (5,), (3, 4), (2, 3, 4)]

# p, entropy, least confidence, margin score
BINARY = [
    (0.0, 0.0, 0.0, 0.0),
    (1.0, 0.0, 0.0, 0.0),
    (0.05, 0.198515, 0.05, 0.1),
    (0.1, 0.325083, 0.1, 0.2),
    (0.3, 0.610864, 0.3, 0.6),
    (0.5, 0.693147, 0.5, 1.0),
    (0.8, 0.500402, 0.2, 0.4),
]


def pixel(name: str, p: list[float]) -> float:
    """The definition at one pixel, in plain Python."""
    ordered = sorted(p, reverse=True)
    if name == "entropy":
        return -sum(x * math.log(x) for x in p if x > 0)
    return 1 - ordered[0] if name == "least_confidence" else 1 - (ordered[0] - ordered[1])


def random_probs(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(shape, generator=generator, dtype=torch.float64)).softmax(1)


@pytest.mark.parametrize(("p", "h", "lc", "m"), BINARY)
@pytest.mark.parametrize("channels", [1, 2])
def test_worked_binary_numbers(p, h, lc, m, channels):
    probs = torch.tensor([[p]] if channels == 1 else [[1 - p, p]], dtype=torch.float64)
    for name, expected in zip(MAPS, (h, lc, m), strict=True):
        assert FUNCTIONS[name](probs).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("p", [0.0, 1.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_certain_pixels_are_exactly_zero(p, dtype):
    for function in FUNCTIONS.values():
        assert function(torch.tensor([[p]], dtype=dtype)).item() == 0
        assert function(torch.tensor([[p, 1 - p, 0.0]], dtype=dtype)).item() == 0


def test_worked_three_classes():
    probs = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)
    assert entropy(probs).item() == pytest.approx(1.029653, abs=1e-6)
    assert least_confidence(probs).item() == pytest.approx(0.5)
    assert margin(probs).item() == pytest.approx(0.8)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("spatial", SHAPES)
def test_equals_plain_python(name, classes, spatial):
    probs = random_probs(2, classes, *spatial)
    rows = probs.movedim(1, -1).reshape(-1, classes)
    expected = torch.tensor([pixel(name, row.tolist()) for row in rows], dtype=torch.float64).reshape(2, *spatial)
    torch.testing.assert_close(FUNCTIONS[name](probs), expected)


@pytest.mark.parametrize("name", MAPS)
@settings(deadline=None, max_examples=30)
@given(p=st.floats(0, 1, width=32))
def test_symmetric_and_same_for_one_and_two_channels(name, p):
    one = torch.tensor([[p]], dtype=torch.float64)
    two = torch.cat([1 - one, one], dim=1)
    torch.testing.assert_close(FUNCTIONS[name](one), FUNCTIONS[name](1 - one))
    torch.testing.assert_close(FUNCTIONS[name](one), FUNCTIONS[name](two))


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("channels", [1, 3])
def test_multilabel_is_the_mean_of_the_channels(name, channels):
    probs = torch.rand(2, channels, 3, 4, generator=torch.Generator().manual_seed(1))
    expected = torch.stack([FUNCTIONS[name](probs[:, c : c + 1]) for c in range(channels)]).mean(0)
    torch.testing.assert_close(FUNCTIONS[name](probs, multilabel=True), expected)


@pytest.mark.parametrize("name", MAPS)
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 6))
def test_range_and_class_permutation(name, seed, classes):
    probs = random_probs(1, classes, 4, seed=seed)
    values = FUNCTIONS[name](probs)
    highest = {"entropy": math.log(classes), "least_confidence": 1 - 1 / classes, "margin": 1.0}[name]
    assert (values >= 0).all()
    assert (values <= highest + 1e-9).all()
    torch.testing.assert_close(values, FUNCTIONS[name](probs.flip(1)))
    uniform = torch.full((1, classes), 1 / classes, dtype=torch.float64)
    assert FUNCTIONS[name](uniform).item() == pytest.approx(highest)


def test_margin_is_over_classes_for_every_row():
    probs = random_probs(1, 3, 6, 5)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(margin(probs[:, :, order]), margin(probs)[:, order])
    assert margin(probs).flatten().unique().numel() == 30


@pytest.mark.parametrize("function", FUNCTIONS.values())
@pytest.mark.parametrize(
    ("probs", "message"),
    [
        (torch.tensor([[0.5, 0.5], [0.5, 0.4]]), "item 1 .* sum to 0.9"),
        (torch.tensor([[0.5, 0.7]]), "multilabel=True"),
        (torch.tensor([[0.5], [1.5]]), "item 1 .* outside"),
        (torch.tensor([[-0.5, 1.5]]), "item 0 .* outside"),
        (torch.tensor([[0.5], [0.5], [float("nan")]]), "item 2 .* NaN"),
        (torch.tensor([[float("inf"), 0.0]]), "item 0 .* outside"),
        (torch.tensor([0.5]), "shape"),
        (torch.zeros(2, 0, 3), "shape"),
    ],
)
def test_refuses_what_are_no_probabilities(function, probs, message):
    with pytest.raises(ValueError, match=message):
        function(probs)


def test_refuses_arrays():
    with pytest.raises(TypeError, match="torch.Tensor"):
        entropy([[0.5]])  # type: ignore[arg-type]


@pytest.mark.parametrize("function", FUNCTIONS.values())
def test_input_is_not_changed_and_rounding_is_accepted(function):
    probs = torch.tensor([[1.00001, -0.00001]])
    before = probs.clone()
    assert function(probs).item() == pytest.approx(0, abs=1e-4)
    assert torch.equal(probs, before)


def test_half_precision_softmax_is_accepted():
    logits = torch.randn(2, 50, 8, generator=torch.Generator().manual_seed(0)).half()
    expected = entropy(logits.double().softmax(1))
    torch.testing.assert_close(entropy(logits.softmax(1)).double(), expected, atol=2e-2, rtol=0)
