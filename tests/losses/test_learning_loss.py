# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor
from monai.losses import DiceCELoss
from monai.metrics import LossMetric
from torch import nn

from monai_al.bundle import infer_activation
from monai_al.losses import ItemCrossEntropy, LearningLoss, PartialCrossEntropyLoss, PartialDiceCELoss

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


def own_loss(logits, target) -> float | None:
    """Mean cross entropy of an item's annotated pixels, one pixel at a time: logits ``(C, *spatial)``."""
    logits, target, values = logits.detach().flatten(1).T.double(), target.flatten(), []
    for scores, label in zip(logits, target.tolist(), strict=True):
        if label != 255:
            scores = torch.cat([torch.zeros(1).double(), scores]) if len(scores) == 1 else scores
            values.append((scores.exp().sum().log() - scores[int(label)]).item())
    return sum(values) / len(values) if values else None


def by_loops(inner, logits, predicted, target, weight, margin):
    true = [(own_loss(*item), p) for *item, p in zip(logits, target, predicted, strict=True)]
    true = [(own, p) for own, p in true if own is not None]
    hinges = [
        torch.clamp(margin - (1 if a > b else -1) * (p - q), min=0)
        for (a, p), (b, q) in zip(true[::2], true[1::2], strict=False)
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


def test_own_losses_are_computed_once_for_the_batch_and_without_a_graph():
    seen = []

    def own(logits, target):
        seen.append((logits.shape, torch.is_grad_enabled()))
        return logits.flatten(1).mean(1)

    logits, predicted, target = batch(1, 3)
    LearningLoss(nn.MSELoss(), item_loss=own)((logits, predicted), target)
    assert seen == [(logits.shape, False)]


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


@pytest.mark.parametrize("name", ["partial", "partial over the batch", "partial sigmoid"])
@pytest.mark.parametrize("empty", [(1,), (0, 3), (2, 4, 5), range(5), range(6)])
def test_items_without_annotation_are_in_no_pair(name, empty):
    channels, inner = INNER[name]
    logits, predicted, target = batch(channels, 6)
    target[list(empty)] = 255
    target[:, :, 0] = 255  # of the others some pixels are annotated
    found = LearningLoss(inner, margin=20.0)((logits, predicted), target)
    torch.testing.assert_close(found, by_loops(inner, logits, predicted, target, 1.0, 20.0))
    found.backward()
    assert (predicted.grad[list(empty)] == 0).all()
    assert predicted.grad.count_nonzero() == (6 - len(empty)) // 2 * 2


# -- an item's own loss ------------------------------------------------------------------------------------------------


def certain(label: torch.Tensor, channels: int) -> torch.Tensor:
    """Logits ``(C, H, W)`` of a network that is nearly sure of this label."""
    if channels == 1:
        return 16 * label[None].float() - 8
    return 8 * nn.functional.one_hot(label, channels).movedim(-1, 0).float()


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_a_perfect_empty_slice_is_lowest_and_a_larger_miss_is_higher(channels):
    """Items that miss 0 %, 0 %, 15 %, 50 % and 100 % of an organ; the first shows none."""
    empty, organ = torch.zeros(20, 20, dtype=torch.int64), torch.zeros(20, 20, dtype=torch.int64)
    organ[:, :10] = max(channels, 2) - 1
    missed = [organ.clone() for _ in range(3)]
    for label, rows in zip(missed, (3, 10, 20), strict=True):
        label[:rows] = 0
    logits = torch.stack([certain(label, channels) for label in (empty, organ, *missed)])
    own = ItemCrossEntropy()(logits, torch.stack([empty, *[organ] * 4]))
    assert (own.diff()[1:] > 0.05).all()
    assert own[0] <= own[1] + 1e-6


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("spatial", [(7,), (6, 5), (4, 3, 5)])
@pytest.mark.parametrize("with_channel", [True, False])
def test_own_losses_of_classes_equal_loops(channels, spatial, with_channel):
    logits, _, target = batch(channels, 5, spatial)
    generator = torch.Generator().manual_seed(1)
    target[torch.rand(target.shape, generator=generator) < 0.4] = 255
    target[3] = 255
    found = ItemCrossEntropy()(logits, target if with_channel else target[:, 0])
    expected = [own_loss(*item) for item in zip(logits, target, strict=True)]
    assert found.isnan().tolist() == [own is None for own in expected] == [False, False, False, True, False]
    assert found[~found.isnan()].tolist() == pytest.approx([own for own in expected if own is not None])


@pytest.mark.parametrize("channels", [2, 3])
def test_own_losses_of_overlapping_masks_equal_loops(channels):
    logits, *_ = batch(channels, 4)
    target = (torch.rand(logits.shape, generator=torch.Generator().manual_seed(2)) < 0.5).float()
    target[1, :, :3], target[2] = 255, 255
    found = ItemCrossEntropy()(logits, target)
    expected = [own_loss(scores.reshape(1, -1), masks) for scores, masks in zip(logits, target, strict=True)]
    assert found.isnan().tolist() == [False, False, True, False]
    assert found[[0, 1, 3]].tolist() == pytest.approx([own for own in expected if own is not None])


def test_a_target_that_is_no_class_is_refused():
    with pytest.raises(ValueError, match="holds the value 2, which is no class: expected 0 to 1, or 255"):
        ItemCrossEntropy()(torch.zeros(1, 2, 3), torch.full((1, 1, 3), 2))


def test_another_own_loss_is_reduced_to_a_number_per_item():
    logits, predicted, target = batch(3, 4)
    own = nn.CrossEntropyLoss(reduction="none")
    found = LearningLoss(PartialDiceCELoss(), item_loss=lambda x, y: own(x, y[:, 0].long()))
    expected = LearningLoss(PartialDiceCELoss())  # no pixel is ignored here
    torch.testing.assert_close(found((logits, predicted), target), expected((logits, predicted), target))
    whole = LearningLoss(PartialDiceCELoss(), item_loss=PartialCrossEntropyLoss())
    with pytest.raises(ValueError, match=r"item_loss gives \(\) for 4 items, not \(B, ...\): give it reduction='none'"):
        whole((logits, predicted), target)


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
        LearningLoss(nn.MSELoss())((torch.zeros(4, 1, 1), torch.zeros(4, 1)), torch.zeros(4, 1, 1))
