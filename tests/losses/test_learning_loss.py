# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor
from monai.losses import DiceCELoss, DiceLoss
from monai.metrics import LossMetric
from torch import nn

from monai_al.bundle.training_options import infer_activation
from monai_al.losses import LearningLoss, PartialCrossEntropyLoss, PartialDiceCELoss

INNER = {
    "partial": (2, PartialDiceCELoss()),
    "partial over the batch": (3, PartialDiceCELoss(batch=True, lambda_dice=0.3)),
    "partial sigmoid": (1, PartialDiceCELoss(sigmoid=True)),
    "monai": (3, DiceCELoss(softmax=True, to_onehot_y=True)),
    "monai sigmoid": (1, DiceCELoss(sigmoid=True)),
    "a function": (1, lambda logits, target: (logits - target).square().mean()),
}


def batch(channels, n, spatial=(6, 5), seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = (2 * torch.randn(n, channels, *spatial, generator=generator)).requires_grad_()
    predicted = torch.randn(n, generator=generator).requires_grad_()
    target = torch.randint(0, max(channels, 2), (n, 1, *spatial), generator=generator).float()
    return logits, predicted, target


def by_loops(inner, logits, predicted, target, weight, margin):
    true = [inner(logits[i].detach()[None], target[i][None]).item() for i in range(len(logits))]
    hinges = [
        torch.clamp(margin - (1 if true[a] > true[a + 1] else -1) * (predicted[a] - predicted[a + 1]), min=0)
        for a in range(0, len(logits) - 1, 2)
    ]
    return inner(logits, target) + weight * (sum(hinges) / len(hinges) if hinges else 0)


@pytest.mark.parametrize("name", INNER)
@pytest.mark.parametrize("n", [1, 2, 5, 8])
@pytest.mark.parametrize(("weight", "margin"), [(1.0, 1.0), (0.3, 0.0), (0.0, 2.0)])
@pytest.mark.parametrize("spatial", [(6, 5), (4, 3, 5)])
def test_equals_loops(name, n, weight, margin, spatial):
    channels, inner = INNER[name]
    logits, predicted, target = batch(channels, n, spatial)
    found = LearningLoss(inner, weight=weight, margin=margin)((logits, predicted), target)
    torch.testing.assert_close(found, by_loops(inner, logits, predicted, target, weight, margin))


@pytest.mark.parametrize("name", INNER)
def test_gradients_come_from_the_right_terms(name):
    channels, inner = INNER[name]
    logits, predicted, target = batch(channels, 6)
    LearningLoss(inner, weight=2.0, margin=10.0)((logits, predicted), target).backward()
    alone = logits.detach().clone().requires_grad_()
    inner(alone, target).backward()
    torch.testing.assert_close(logits.grad, alone.grad)  # nothing flows through the true losses
    assert predicted.grad.abs().tolist() == pytest.approx([2 / 3] * 6)


def test_each_item_is_scored_alone_and_without_a_graph():
    seen = []

    def inner(logits, target):
        seen.append((len(logits), len(target), torch.is_grad_enabled()))
        return logits.mean()

    logits, predicted, target = batch(1, 3)
    LearningLoss(inner)((logits, predicted), target)
    assert sorted(seen) == [(1, 1, False)] * 3 + [(3, 3, True)]


@pytest.mark.parametrize("name", INNER)
def test_logits_alone_give_the_loss_itself(name):
    channels, inner = INNER[name]
    logits, _, target = batch(channels, 3)
    assert LearningLoss(inner)(logits, target) == inner(logits, target)


def test_the_pair_may_be_a_list_and_bear_meta_data():
    logits, predicted, target = batch(2, 4)
    loss = LearningLoss(PartialDiceCELoss())
    expected = loss((logits, predicted), target)
    assert loss([logits, predicted], target) == expected
    meta = loss((MetaTensor(logits), predicted), MetaTensor(target))
    assert meta.item() == pytest.approx(expected.item())


def test_items_without_annotation_rank_lowest():
    logits, _, target = batch(2, 2)
    target[1] = 255
    loss = LearningLoss(PartialDiceCELoss(), margin=0.0)
    plain = loss(logits, target)
    assert loss((logits, torch.tensor([2.0, 1.0])), target) == plain
    assert loss((logits, torch.tensor([1.0, 2.0])), target) == plain + 1


def test_losses_without_reduction():
    logits, predicted, target = batch(3, 4)
    whole = LearningLoss(DiceLoss(softmax=True, to_onehot_y=True))((logits, predicted), target)
    parts = LearningLoss(DiceLoss(softmax=True, to_onehot_y=True, reduction="none"))((logits, predicted), target)
    torch.testing.assert_close(parts.mean(), whole)


@pytest.mark.parametrize(
    ("inner", "activation"),
    [
        (PartialDiceCELoss(), "softmax"),
        (PartialDiceCELoss(sigmoid=True), "sigmoid"),
        (PartialCrossEntropyLoss(), "softmax"),
        (DiceCELoss(softmax=True), "softmax"),
        (DiceCELoss(sigmoid=True), "sigmoid"),
        (nn.CrossEntropyLoss(), "softmax"),
        (nn.BCEWithLogitsLoss(), "sigmoid"),
        (nn.MSELoss(), None),
    ],
)
def test_the_activation_is_still_found(inner, activation):
    assert infer_activation(None, LearningLoss(inner)) == activation == infer_activation(None, inner)


def test_as_a_validation_metric():
    logits, _, target = batch(2, 3)
    inner = PartialDiceCELoss()
    values = []
    for loss in (inner, LearningLoss(inner)):
        metric = LossMetric(loss_fn=loss)
        metric(logits.detach(), target)
        values.append(metric.aggregate().item())
    assert values[0] == values[1]


@pytest.mark.parametrize("output", [(torch.zeros(1, 2, 3),), (torch.zeros(1), None), (torch.zeros(1),) * 3])
def test_other_outputs_are_refused(output):
    with pytest.raises(ValueError, match="the logits and the predicted losses, two tensors"):
        LearningLoss(nn.MSELoss())(output, torch.zeros(1))


def test_wrong_arguments():
    with pytest.raises(ValueError, match="weight must be at least 0, got -1"):
        LearningLoss(nn.MSELoss(), weight=-1)
    with pytest.raises(ValueError, match="margin must be at least 0"):
        LearningLoss(nn.MSELoss(), margin=-1)
    with pytest.raises(ValueError, match=r"must both have the shape \(B,\)"):
        LearningLoss(nn.MSELoss())((torch.zeros(4, 1), torch.zeros(4, 1)), torch.zeros(4, 1))
