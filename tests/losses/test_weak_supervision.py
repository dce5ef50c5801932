# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.losses import MixedPseudoLabelLoss, PartialCrossEntropyLoss, PartialDiceCELoss, WeakSupervisionLoss


def random_case(annotated, channels=3, spatial=(4, 5), seed=0):
    """Two logits, and a target of one image for each share of annotated pixels."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(annotated), channels, *spatial)
    outputs = tuple(
        (3 * torch.randn(shape, generator=generator, dtype=torch.float64)).requires_grad_() for _ in range(2)
    )
    target = torch.randint(0, max(channels, 2), (len(annotated), 1, *spatial), generator=generator)
    hidden = torch.rand(target.shape, generator=generator) >= torch.tensor(annotated).view(-1, 1, *[1] * len(spatial))
    return outputs, target.masked_fill(hidden, 255)


def slow_cross_entropy(logits, target):
    losses = []
    for image, labels in zip(logits.detach().movedim(1, -1), target[:, 0], strict=True):
        for pixel, label in zip(image.flatten(0, -2).tolist(), labels.flatten().tolist(), strict=True):
            values = [0.0, *pixel] if len(pixel) == 1 else pixel
            if label != 255:
                losses.append(math.log(sum(math.exp(value) for value in values)) - values[label])
    return sum(losses) / len(losses) if losses else 0.0


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("annotated", [(0.1, 0.1), (0.0, 1.0), (0.0, 0.0), (1.0,)])
@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_is_the_weighted_sum_of_both_terms(channels, annotated, weight):
    outputs, target = random_case(annotated, channels)
    loss = WeakSupervisionLoss(sigmoid=channels == 1, pseudo_weight=weight)
    torch.manual_seed(1)
    mixed = MixedPseudoLabelLoss()(outputs, target).item()
    torch.manual_seed(1)
    found = loss(outputs, target).item()
    expected = sum(slow_cross_entropy(logits, target) for logits in outputs) / 2
    assert found == pytest.approx(expected + weight * mixed, rel=1e-6)
    assert loss(outputs[0], target).item() == pytest.approx(slow_cross_entropy(outputs[0], target), rel=1e-6)


@given(
    annotated=st.lists(st.sampled_from([0.0, 0.05, 0.5, 1.0]), min_size=1, max_size=3),
    spatial=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    seed=st.integers(0, 10_000),
)
@settings(deadline=None, max_examples=30)
def test_pixels_without_annotation_learn_from_the_pseudo_labels_alone(annotated, spatial, seed):
    outputs, target = random_case(annotated, 3, spatial, seed)
    hidden = (target == 255).expand_as(outputs[0])
    gradients = torch.autograd.grad(WeakSupervisionLoss(pseudo_weight=0.0)(outputs, target), outputs)
    assert not any(gradient[hidden].any() for gradient in gradients)
    assert all((gradient[~hidden] != 0).all() for gradient in gradients)
    torch.manual_seed(seed)
    whole = torch.autograd.grad(WeakSupervisionLoss()(outputs, target), outputs)
    torch.manual_seed(seed)
    pseudo = torch.autograd.grad(0.5 * MixedPseudoLabelLoss()(outputs, target), outputs)
    for one, part, other in zip(whole, gradients, pseudo, strict=True):
        assert torch.isfinite(one).all()
        torch.testing.assert_close(one, part + other)


def test_nothing_annotated_still_teaches():
    outputs, target = random_case((0.0, 0.0))
    loss = WeakSupervisionLoss()(outputs, target)
    loss.backward()
    assert 0 < loss.item() < 0.5
    assert all(torch.isfinite(logits.grad).all() and logits.grad.any() for logits in outputs)


@pytest.mark.parametrize("channels", [1, 3])
def test_gradcheck(channels):
    outputs, target = random_case((0.2, 1.0, 0.0), channels, (3, 3))

    def seeded(*both):
        torch.manual_seed(0)
        return WeakSupervisionLoss(sigmoid=channels == 1)(both, target)

    assert torch.autograd.gradcheck(seeded, outputs)


def test_one_prediction_draws_nothing():
    outputs, target = random_case((0.3,))
    before = torch.get_rng_state()
    assert torch.equal(WeakSupervisionLoss()(outputs[0], target), PartialCrossEntropyLoss()(outputs[0], target))
    assert torch.equal(torch.get_rng_state(), before)
    other = PartialDiceCELoss()
    assert torch.equal(WeakSupervisionLoss(evaluation_loss=other)(outputs[0], target), other(outputs[0], target))


def test_another_ignore_index_means_the_same():
    outputs, target = random_case((0.2, 1.0))
    values = []
    for index in (255, -1):
        torch.manual_seed(0)
        loss = WeakSupervisionLoss(index)
        values.append(loss(outputs, target.masked_fill(target == 255, index)).item())
    assert values[0] == values[1]


def test_what_is_refused():
    outputs, target = random_case((0.3,))
    for weight in (-0.1, float("nan")):
        with pytest.raises(ValueError, match="pseudo_weight must be at least 0"):
            WeakSupervisionLoss(pseudo_weight=weight)
    with pytest.raises(ValueError, match="those of two decoders, got 3"):
        WeakSupervisionLoss()((*outputs, outputs[0]), target)
    with pytest.raises(ValueError, match="no class: expected 0 to 2, or 255"):
        WeakSupervisionLoss()(outputs, target.masked_fill(target == 255, 4))
