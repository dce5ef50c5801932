# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The activation that is found by trying the transforms and losses of others, against what is known of them."""

from __future__ import annotations

import random
import warnings

import monai.losses as losses
import monai.transforms as mt
import numpy as np
import pytest
import torch
from monai.apps.pathology.losses import HoVerNetLoss
from monai.losses import DiceCELoss, DiceFocalLoss, DiceLoss, FocalLoss, GeneralizedDiceFocalLoss
from torch import nn

from monai_al import losses as ours
from monai_al.bundle import infer_activation

WITH_FLAGS = [  # losses of MONAI that take softmax=True or sigmoid=True, and nothing without
    "BoundaryLoss", "DiceCELoss", "DiceFocalLoss", "DiceLoss", "GeneralizedDiceFocalLoss", "GeneralizedDiceLoss",
    "HausdorffDTLoss", "LogHausdorffDTLoss", "MCCLoss", "MaskedDiceLoss", "SoftDiceclDiceLoss", "SoftclDiceLoss",
    "TverskyLoss",
]  # fmt: skip
FOUR = torch.tensor([1.0, 2.0, 3.0, 4.0])
DISTANCES = np.array([[0, 1, 1], [1, 0, 0.5], [1, 0.5, 0]], dtype=np.float32)


@pytest.mark.parametrize("name", WITH_FLAGS)
@pytest.mark.parametrize("flag", ["softmax", "sigmoid", None])
def test_losses_that_are_told_their_activation(name, flag):
    assert infer_activation(None, getattr(losses, name)(**({flag: True} if flag else {}))) == flag


class Inside(nn.Module):
    """A loss of several outputs, which is no loss of logits and a target."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, outputs, batch):
        return self.inner(outputs["seg"], batch["label"])


class NoModule:
    def __init__(self, inner):
        self.inner = inner

    def __call__(self, outputs, batch):
        return self.inner(outputs["seg"], batch["label"])


class OnlyTold:
    softmax = True


class Counted(nn.Module):
    """A binary cross entropy of the pixels that are not 255."""

    def forward(self, logits, target):
        known = target != 255
        return nn.functional.binary_cross_entropy_with_logits(logits[known], target[known])


def deeply(outputs, target):
    if not isinstance(outputs, list):
        raise TypeError("a list")
    return sum(nn.functional.cross_entropy(x, target[:, 0].long(), weight=torch.ones(11)) for x in outputs)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (DiceLoss(softmax=True, weight=2.0, to_onehot_y=True, include_background=False), "softmax"),
        (DiceLoss(sigmoid=True, weight=list(range(1, 14)), to_onehot_y=True, include_background=False), "sigmoid"),
        (DiceLoss(other_act=torch.sigmoid), "sigmoid"),
        (DiceLoss(other_act=lambda x: torch.log_softmax(x, 1)), "softmax"),
        (DiceLoss(other_act=torch.tanh), None),
        (DiceLoss(other_act=torch.relu), None),
        (DiceCELoss(softmax=True, to_onehot_y=True, weight=FOUR), "softmax"),
        (DiceCELoss(sigmoid=True, to_onehot_y=True, weight=FOUR), "sigmoid"),
        (DiceCELoss(sigmoid=True, to_onehot_y=True, label_smoothing=0.1), "sigmoid"),
        (DiceFocalLoss(softmax=True, to_onehot_y=True, weight=[1.0, 2.0, 3.0]), "softmax"),
        (DiceFocalLoss(sigmoid=True, to_onehot_y=True, weight=[1.0, 2.0, 3.0]), "sigmoid"),
        (GeneralizedDiceFocalLoss(softmax=True, to_onehot_y=True), "softmax"),
        (losses.GeneralizedWassersteinDiceLoss(DISTANCES), "softmax"),
        (losses.NACLLoss(classes=3, dim=2), "softmax"),
        (FocalLoss(), "sigmoid"),
        (FocalLoss(weight=[1.0] * 5, to_onehot_y=True), "sigmoid"),
        (FocalLoss(use_softmax=True, to_onehot_y=True), "softmax"),
        (losses.MaskedLoss(FocalLoss()), "sigmoid"),
        (losses.MaskedLoss(DiceLoss, softmax=True), "softmax"),
        (losses.DeepSupervisionLoss(DiceCELoss(softmax=True, to_onehot_y=True)), "softmax"),
        (losses.DeepSupervisionLoss(FocalLoss()), "sigmoid"),
        (losses.AsymmetricUnifiedFocalLoss(), None),  # cuts off what is no probability
        (losses.LocalNormalizedCrossCorrelationLoss(2), None),  # the same at every scale
        (losses.BarlowTwinsLoss(), None),
        (losses.SSIMLoss(2), None),
        (HoVerNetLoss(), "softmax"),
        (nn.CrossEntropyLoss(), "softmax"),
        (nn.CrossEntropyLoss(weight=torch.ones(25), label_smoothing=0.1, reduction="none"), "softmax"),
        (nn.BCEWithLogitsLoss(pos_weight=torch.ones(5, 1, 1)), "sigmoid"),
        (nn.BCEWithLogitsLoss(reduction="none"), "sigmoid"),
        (nn.BCELoss(), None),
        (nn.NLLLoss(), None),
        (nn.MSELoss(), None),
        (nn.L1Loss(), None),
        (ours.PartialCrossEntropyLoss(), "softmax"),
        (ours.PartialCrossEntropyLoss(sigmoid=True), "sigmoid"),
        (ours.PartialDiceCELoss(include_background=False), "softmax"),
        (ours.PartialDiceCELoss(sigmoid=True), "sigmoid"),
        (ours.ItemCrossEntropy(), "softmax"),
        (ours.WeakSupervisionLoss(sigmoid=True), "sigmoid"),
        (ours.LearningLoss(DiceCELoss(sigmoid=True)), "sigmoid"),
        (ours.LearningLoss(nn.MSELoss()), None),
        (ours.RankingLoss(), None),
        (Counted(), "sigmoid"),
        (Inside(DiceFocalLoss(softmax=True)), "softmax"),
        (Inside(nn.MSELoss()), None),
        (NoModule(FocalLoss()), "sigmoid"),
        (OnlyTold(), "softmax"),
        (deeply, "softmax"),
        (lambda x, y: nn.functional.cross_entropy(x, y.squeeze(1)), "softmax"),
        (lambda x, y: nn.functional.mse_loss(x.sigmoid(), y), "sigmoid"),
        (lambda x, y: nn.functional.mse_loss(x.clamp(0, 1), y), None),
        (lambda x, y: 0, None),
    ],
)
def test_losses(loss, expected):
    assert infer_activation(None, loss) == expected


class Own(mt.MapTransform):
    def __call__(self, data):
        return {**data, **{key: torch.softmax(data[key], 0) for key in self.keys}}


def in_place(data):
    data["pred"] = data["pred"].sigmoid_()
    return data


def only_one_channel(x):
    if len(x) != 1:
        raise ValueError("one channel")
    return x.sigmoid()


def of_numpy(x):
    x = np.exp(np.asarray(x))
    return x / x.sum(0)


FLIP = mt.Flipd(["image", "label"], 0)


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (mt.Activationsd("pred", softmax=True), "softmax"),
        (mt.Activationsd(["pred", "label"], sigmoid=[True, False]), "sigmoid"),
        (mt.Activationsd("seg", sigmoid=True), "sigmoid"),
        (mt.Activationsd("pred", other=lambda x: x.softmax(0)), "softmax"),
        (mt.Activationsd("pred", other=torch.tanh), None),
        (mt.AsDiscreted("pred", argmax=True), "softmax"),
        (mt.AsDiscreted(["pred", "label"], argmax=[True, False], to_onehot=[2, 2]), "softmax"),
        (mt.AsDiscreted(["pred", "label"], argmax=[True, False], to_onehot=105), "softmax"),
        (mt.AsDiscreted("label", argmax=True), None),
        (mt.AsDiscreted("pred", threshold=0.0), "sigmoid"),
        (mt.AsDiscreted("pred", threshold=0.5), None),
        (mt.AsDiscreted(["pred", "label"], argmax=False, to_onehot=[None, 6], threshold=[0.5, None]), None),
        (mt.Lambdad("pred", lambda x: x.argmax(0)), "softmax"),
        (mt.Lambdad("pred", lambda x: x.softmax(0)[1:]), "softmax"),
        (mt.Lambdad("pred", lambda x: x.softmax(1)), "softmax"),  # of a batch
        (mt.Lambdad("pred", lambda x: x > 0), "sigmoid"),
        (mt.Lambdad("pred", lambda x: x.sigmoid().round()), "sigmoid"),
        (mt.Lambdad("pred", only_one_channel), "sigmoid"),
        (mt.Lambdad("pred", of_numpy), "softmax"),
        (mt.Lambdad("pred", torch.zeros_like), None),
        (mt.Lambdad("pred", mt.Compose([mt.Activations(softmax=True), mt.AsDiscrete(argmax=True)])), "softmax"),
        ([mt.EnsureTyped("pred"), mt.Compose([mt.Compose([mt.Activationsd("pred", softmax=True)])])], "softmax"),
        (mt.Compose([mt.Activations(sigmoid=True), mt.AsDiscrete(threshold=0.5)]), "sigmoid"),
        (mt.AsDiscrete(argmax=True, to_onehot=3), "softmax"),
        (mt.Compose([mt.Invertd("pred", FLIP, orig_keys="image"), mt.AsDiscreted("pred", argmax=True)]), "softmax"),
        (Own("pred"), "softmax"),
        (in_place, "sigmoid"),
        (mt.KeepLargestConnectedComponentd("pred"), None),
        (mt.FillHolesd("pred"), None),
        (mt.ScaleIntensityd("pred"), None),
        (mt.NormalizeIntensityd("pred", channel_wise=True), None),
        (mt.SplitDimd("pred"), None),
        (mt.RandGaussianNoised("pred", prob=1.0), None),
        ([], None),
        (None, None),
    ],
)
def test_transforms(transform, expected):
    assert infer_activation(transform, None) == expected


def test_the_postprocessing_tells_before_the_loss():
    loss = DiceCELoss(softmax=True)
    assert infer_activation(mt.Activationsd("pred", sigmoid=True), loss) == "sigmoid"
    assert infer_activation(mt.AsDiscreted("pred", threshold=0.5), loss) == "softmax"


class Writing:
    def __init__(self, folder):
        self.folder = str(folder)

    def __call__(self, data):
        np.save(f"{self.folder}/pred.npy", np.asarray(data["pred"]))
        return data


def test_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    savers = [mt.SaveImaged("pred", output_dir="."), mt.SaveImaged("pred", output_dir="out").saver, Writing(tmp_path)]
    assert infer_activation([*savers, mt.AsDiscreted("pred", argmax=True)], None) == "softmax"
    assert list(tmp_path.iterdir()) == []


class Drawing(nn.Module):
    """Draws from all generators, as a dropout within a loss does."""

    def forward(self, logits, target):
        noise = torch.rand(()) + np.random.rand() + random.random()
        return nn.functional.cross_entropy(logits, target[:, 0].long()) * noise


def test_nothing_is_left_behind(recwarn):
    noise, weighted = mt.RandGaussianNoised("pred", prob=1.0).set_random_state(3), DiceLoss(softmax=True, weight=2.0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate(), noise.R.get_state()[1].copy()
    filters = list(warnings.filters)
    assert infer_activation(noise, Drawing()) == "softmax"
    assert infer_activation(None, weighted) == "softmax"
    assert infer_activation(None, losses.MaskedLoss(FocalLoss())) == "sigmoid"  # warns that there is no mask
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]
    assert np.array_equal(noise.R.get_state()[1], before[3])
    assert weighted.class_weight.ndim == 0  # which its first call makes one of each channel
    assert warnings.filters == filters
    assert not recwarn.list
