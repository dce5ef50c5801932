# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import DiceCELoss, MaskedLoss

from monai_al.losses import PartialCrossEntropyLoss, PartialDiceCELoss

SHAPES = [(5,), (4, 6), (3, 4, 5)]


def random_case(batch, channels, spatial, *, annotated, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(batch, channels, *spatial, generator=generator)).requires_grad_()
    target = torch.randint(0, max(channels, 2), (batch, 1, *spatial), generator=generator)
    hidden = torch.rand(target.shape, generator=generator) >= annotated
    return logits, target.masked_fill(hidden, 255)


def cross_entropy_by_loops(logits, target):
    losses = []
    for b in range(len(logits)):
        for place in itertools.product(*(range(n) for n in logits.shape[2:])):
            true = int(target[(b, 0, *place)])
            if true == 255:
                continue
            pixel = logits[(b, slice(None), *place)].double()
            pixel = torch.stack([torch.zeros_like(pixel[0]), pixel[0]]) if len(pixel) == 1 else pixel
            losses.append(torch.logsumexp(pixel, 0) - pixel[true])
    return torch.stack(losses).mean() if losses else torch.zeros((), dtype=torch.float64)


def dice_loss_by_loops(logits, target, *, include_background=True, batch=False):
    probs = torch.sigmoid(logits) if logits.shape[1] == 1 else torch.softmax(logits, 1)
    classes = (
        [(0, 1)] if logits.shape[1] == 1 else [(c, c) for c in range(0 if include_background else 1, logits.shape[1])]
    )
    groups = [range(len(logits))] if batch else [[b] for b in range(len(logits))]
    losses = []
    for group, (channel, value) in itertools.product(groups, classes):
        p = torch.cat([probs[b, channel][target[b, 0] != 255] for b in group]).double()
        g = torch.cat([(target[b, 0] == value)[target[b, 0] != 255] for b in group]).double()
        losses.append(1 - (2 * (p * g).sum() + 1e-5) / (p.sum() + g.sum() + 1e-5))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("spatial", SHAPES)
@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("annotated", [0.0, 0.3, 1.0])
def test_cross_entropy_equals_loops(spatial, channels, annotated):
    logits, target = random_case(2, channels, spatial, annotated=annotated)
    loss = PartialCrossEntropyLoss(sigmoid=channels == 1)(logits, target)
    torch.testing.assert_close(loss.double(), cross_entropy_by_loops(logits, target), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("spatial", SHAPES[1:])
@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("annotated", [0.1, 0.6, 1.0])
@pytest.mark.parametrize(("include_background", "batch"), [(True, False), (False, False), (True, True)])
def test_dice_ce_equals_loops(spatial, channels, annotated, include_background, batch):
    logits, target = random_case(3, channels, spatial, annotated=annotated)
    options = {"include_background": include_background, "batch": batch}
    loss = PartialDiceCELoss(sigmoid=channels == 1, lambda_dice=0.7, lambda_ce=1.3, **options)(logits, target)
    expected = 0.7 * dice_loss_by_loops(logits, target, **options) + 1.3 * cross_entropy_by_loops(logits, target)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("options", [{}, {"batch": True}, {"include_background": False}, {"lambda_dice": 0.2}])
def test_equals_monai_where_everything_is_annotated(channels, options):
    logits, target = random_case(2, channels, (6, 5), annotated=1.0)
    if channels == 1:
        options = {k: v for k, v in options.items() if k != "include_background"}
    theirs = DiceCELoss(sigmoid=channels == 1, softmax=channels > 1, to_onehot_y=channels > 1, **options)(
        logits, target
    )
    ours = PartialDiceCELoss(sigmoid=channels == 1, **options)(logits, target)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs)))


def test_monai_cannot_do_it():
    logits, target = random_case(2, 3, (6, 5), annotated=0.4)
    with pytest.raises(TypeError, match="ignore_index"):
        DiceCELoss(softmax=True, to_onehot_y=True, ignore_index=255)
    with pytest.raises((RuntimeError, IndexError, AssertionError)):
        DiceCELoss(softmax=True, to_onehot_y=True)(logits, target)
    mask = (target != 255).float()
    masked = MaskedLoss(DiceCELoss, softmax=True, to_onehot_y=True)(logits, target, mask)
    assert abs(masked - PartialDiceCELoss()(logits, target)) > 0.1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("loss_class", [PartialCrossEntropyLoss, PartialDiceCELoss])
def test_nothing_annotated_gives_zero_with_a_graph(loss_class, channels):
    logits, target = random_case(2, channels, (4, 4), annotated=0.0)
    loss = loss_class(sigmoid=channels == 1)(logits, target)
    assert loss.item() == 0.0
    loss.backward()
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("loss_class", [PartialCrossEntropyLoss, PartialDiceCELoss])
@given(seed=st.integers(0, 10_000), annotated=st.floats(0.0, 0.9), noise=st.floats(-50, 50))
@settings(deadline=None, max_examples=20)
def test_pixels_without_annotation_have_no_influence(loss_class, channels, seed, annotated, noise):
    logits, target = random_case(2, channels, (4, 5), annotated=annotated, seed=seed)
    hidden = (target == 255).expand_as(logits)
    loss = loss_class(sigmoid=channels == 1)
    other = torch.where(hidden, logits + noise, logits)
    torch.testing.assert_close(loss(logits, target), loss(other, target))
    (gradient,) = torch.autograd.grad(loss(logits, target), logits)
    assert torch.isfinite(gradient).all()
    assert not gradient[hidden].any()


@pytest.mark.parametrize("loss_class", [PartialCrossEntropyLoss, PartialDiceCELoss])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64, torch.float32])
def test_target_shapes_and_types_agree(loss_class, dtype):
    logits, target = random_case(2, 3, (4, 5), annotated=0.5)
    assert torch.equal(loss_class()(logits, target[:, 0].to(dtype)), loss_class()(logits, target))
    assert torch.equal(loss_class()(logits, target.to(dtype)), loss_class()(logits, target))


@pytest.mark.parametrize("loss_class", [PartialCrossEntropyLoss, PartialDiceCELoss])
def test_other_ignore_index(loss_class):
    logits, target = random_case(2, 3, (4, 5), annotated=0.5)
    expected = loss_class()(logits, target)
    for index in (-1, 3, -100):
        assert torch.equal(loss_class(ignore_index=index)(logits, target.masked_fill(target == 255, index)), expected)


@pytest.mark.parametrize("loss_class", [PartialCrossEntropyLoss, PartialDiceCELoss])
@pytest.mark.parametrize("value", [3, -1, 254, 0.5, float("nan")])
def test_no_class_is_refused(loss_class, value):
    logits, target = random_case(1, 3, (4, 5), annotated=0.5)
    target = target.float()
    target[0, 0, 2, 2] = value
    with pytest.raises(ValueError, match="no class: expected 0 to 2, or 255"):
        loss_class()(logits, target)


@pytest.mark.parametrize("loss_class", [PartialCrossEntropyLoss, PartialDiceCELoss])
def test_shapes_are_checked(loss_class):
    loss = loss_class()
    with pytest.raises(ValueError, match="does not fit"):
        loss(torch.zeros(2, 3, 4, 5), torch.zeros(2, 3, 4, 5))
    with pytest.raises(ValueError, match="does not fit"):
        loss(torch.zeros(2, 3, 4, 5), torch.zeros(2, 5, 4))
    with pytest.raises(ValueError, match="need sigmoid=True"):
        loss(torch.zeros(2, 1, 4, 5), torch.zeros(2, 4, 5))
    with pytest.raises(ValueError, match="one channel, got 3"):
        loss_class(sigmoid=True)(torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 5))


@pytest.mark.parametrize("name", ["lambda_dice", "lambda_ce"])
def test_negative_weights_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 0"):
        PartialDiceCELoss(**{name: -0.1})
