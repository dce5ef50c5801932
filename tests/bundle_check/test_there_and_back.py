# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What becomes of an item's own label on its way to the network and back."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.inferers import SimpleInferer
from monai.transforms import (
    Activationsd,
    AsDiscreted,
    CenterSpatialCropd,
    Compose,
    EnsureChannelFirstd,
    Invertd,
    LoadImaged,
    Spacingd,
)

from monai_al.bundle_check.there_and_back import label_as_output, there_and_back
from monai_al.inferers import TrainedNetwork
from monai_al.sources.entry_source import EntrySource
from monai_al.uncertainty import probabilities

KEYS = ["image", "label"]
READ = [LoadImaged(KEYS), EnsureChannelFirstd(KEYS)]


@pytest.fixture
def trip(tmp_path):
    """Sends a box of label 1 beside one of label 2, 12 x 8 x 4 and 4 x 8 x 4 voxels, through some transforms."""
    label = np.zeros((20, 12, 6), np.uint8)
    label[2:14, 2:10, 1:5] = 1
    label[14:18, 2:10, 1:5] = 2
    for name, array in (("image", label.astype(np.int16)), ("label", label)):
        for copy in "ab":
            nib.save(nib.Nifti1Image(array, np.diag([1.0, 2.0, 3.0, 1.0])), tmp_path / f"{name}_{copy}.nii")
    entries = [{key: str(tmp_path / f"{key}_{copy}.nii") for key in KEYS} for copy in "ab"]

    def send(*transforms, invert=False, activation="softmax", channels=3):
        preprocessing = Compose([*READ, *transforms])
        act = Activationsd("pred", softmax=True) if activation == "softmax" else Activationsd("pred", sigmoid=True)
        last = AsDiscreted("pred", argmax=True) if activation == "softmax" else AsDiscreted("pred", threshold=0.5)
        back = [Invertd("pred", preprocessing, "image", nearest_interp=True)] if invert else []
        source = EntrySource(
            entries[:1], entries[1:], preprocessing=preprocessing, postprocessing=Compose([act, last, *back])
        )
        trained = TrainedNetwork(torch.nn.Conv3d(1, channels, 1), torch.device("cpu"), SimpleInferer(), activation)
        source.try_network(trained, [])
        return there_and_back(source, source.adapted(trained), source.data[0])

    return send


@pytest.mark.parametrize("invert", [False, True])
def test_what_keeps_the_voxels_brings_all_back(trip, invert):
    found = trip(invert=invert)
    assert (found.stored, found.spacing) == ((20, 12, 6), (1.0, 2.0, 3.0))
    assert (found.seen, found.given) == ((1, 20, 12, 6), (3, 20, 12, 6))
    assert found.dice == {"class 1": 1.0, "class 2": 1.0}
    assert found.outside == 0


@pytest.mark.parametrize("invert", [False, True])
def test_a_crop_costs_what_it_takes_away(trip, invert):
    """The labels fill the planes 2 to 13 and 14 to 17; the network sees 4 to 15."""
    found = trip(CenterSpatialCropd(KEYS, (12, -1, -1)), invert=invert)
    assert found.seen == (1, 12, 12, 6)
    assert found.outside == pytest.approx(4 / 16)
    assert found.dice["class 1"] == pytest.approx(2 * 10 / (10 + 12))
    assert found.dice["class 2"] == pytest.approx(2 * 2 / (2 + 4))


def test_coarse_voxels_bring_back_less(trip):
    found = trip(Spacingd(KEYS, (3.0, 4.0, 3.0), mode=("bilinear", "nearest")))
    assert all(0.5 < dice < 1 for dice in found.dice.values())
    assert found.outside < 0.2


@pytest.mark.parametrize(
    ("activation", "channels"),
    [("softmax", 2), ("softmax", 4), ("sigmoid", 1), ("multilabel", 3), ("none", 1), ("none", 3)],
)
def test_every_activation_makes_the_label_of_its_output(activation, channels):
    truth = np.random.default_rng(0).integers(0, max(2, channels), (3, 5)).astype(np.uint8)
    output = label_as_output(truth, channels, activation)
    found = probabilities(output[None], activation)[0]
    numbers = (found[0] > 0.5).int() if channels == 1 else found.argmax(0)
    assert (numbers.numpy() == truth).all()
    assert set(found.round().unique().tolist()) == {0.0, 1.0}


def test_overlapping_masks_stay_masks():
    masks = np.array([[[1, 1, 0]], [[0, 1, 0]]], np.uint8)
    assert (torch.sigmoid(label_as_output(masks, 2, "multilabel", overlapping=True)) > 0.5).numpy().tolist() == [
        [[True, True, False]],
        [[False, True, False]],
    ]
