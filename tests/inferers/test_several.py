# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import torch
from monai.inferers import SlidingWindowInferer
from torch import Tensor, nn

from monai_al.inferers import MCDropoutInferer, MembersInferer, TTAInferer, several_predictions
from monai_al.networks import MeanOfMembers
from monai_al.uncertainty import SAMPLES, Augmentation

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 1, 10, 10, generator=torch.Generator().manual_seed(0))


def dropping(channels: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, channels, 3, padding=1), nn.Dropout(0.5)).eval()


def ensemble() -> MeanOfMembers:
    return MeanOfMembers([dropping(1), nn.Conv2d(1, 1, 1)], torch.sigmoid)


def stacked(*args: Any, **kwargs: Any) -> tuple[Tensor, list[Tensor | None]]:
    with torch.no_grad():
        predictions = list(several_predictions(*args, **kwargs))
    return torch.stack([probs for probs, _ in predictions]), [valid for _, valid in predictions]


def test_dropout(images):
    net = dropping()
    stack, valid = stacked("dropout", images, net, passes=4, seed=1)
    assert torch.equal(stack, MCDropoutInferer(4, seed=1)(images, net).softmax(2))
    assert valid == [None] * 4


def test_augmentation(images):
    net, how = dropping(), {"rotation": 20.0, "noise": 0.1, "flips": True, "quarter_turns": True}
    stack, valid = stacked(
        "augmentation", images, net, passes=4, seed=1, augmentation=how, numbers=range(5, 8), first=net(images) * 2
    )
    expected, seen = TTAInferer(4, seed=1, **how)(images, net, numbers=range(5, 8), first=net(images) * 2)
    assert torch.equal(stack, expected)
    assert torch.equal(torch.stack([mask for mask in valid if mask is not None]).all(0), seen)
    assert torch.equal(stack[0], (net(images) * 2).softmax(1))


def test_augmentation_has_the_defaults_of_its_settings(images):
    net = dropping()
    default, _ = stacked("augmentation", images, net, passes=3, seed=1)
    named, _ = stacked("augmentation", images, net, passes=3, seed=1, augmentation=asdict(Augmentation()))
    assert torch.equal(default, named)


def test_members(images):
    net = ensemble()
    stack, valid = stacked("members", images, net, passes=7, activation="none")
    assert torch.equal(stack, MembersInferer()(images, net))
    assert valid == [None, None]


@pytest.mark.parametrize("kind", SAMPLES)
def test_another_inferer(kind, images):
    net = ensemble() if kind == "members" else dropping(1)
    calls = []

    class Window(SlidingWindowInferer):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            calls.append(args)
            return super().__call__(*args, **kwargs)

    stack, _ = stacked(kind, images, net, passes=2, inferer=Window((8, 8)), activation="sigmoid")
    assert stack.shape == (2, 3, 1, 10, 10)
    assert len(calls) == 2


@pytest.mark.parametrize("kind", ["dropout", "augmentation"])
def test_the_activation_is_applied(kind, images):
    stack, _ = stacked(kind, images - 3, dropping(3), passes=3, activation="multilabel")
    assert stack.shape[2] == 3
    assert stack.min() >= 0
    assert stack.max() <= 1


def test_errors_come_before_the_first_prediction(images):
    with pytest.raises(ValueError, match="kind 'committee' is none of dropout, augmentation, members"):
        several_predictions("committee", images, dropping())
    with pytest.raises(ValueError, match="--members"):
        several_predictions("members", images, dropping())
    with pytest.raises(ValueError, match="passes"):
        several_predictions("dropout", images, dropping(), passes=0)
    with pytest.raises(ValueError, match="rotation"):
        several_predictions("augmentation", images, dropping(), augmentation={"rotation": 60})


def test_no_active_dropout(images):
    with pytest.raises(ValueError, match="no active dropout layer"):
        next(several_predictions("dropout", images, nn.Conv2d(1, 2, 1)))
