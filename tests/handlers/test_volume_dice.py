# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.engines import SupervisedEvaluator

from monai_al.handlers import VolumeDice


def slow_dice(predicted, truth, volumes, patients, n_classes):
    """Volume by volume and class by class, in sets of pixels."""
    of_patient = {}
    for volume in sorted(set(volumes)):
        own = [i for i, one in enumerate(volumes) if one == volume]
        scores = []
        for label in range(1, n_classes):
            places = [(i, *place) for i in own for place in np.ndindex(truth[i].shape) if truth[i][place] != 255]
            ours = {place for place in places if predicted[place] == label}
            theirs = {place for place in places if truth[place] == label}
            if ours or theirs:
                scores.append(2 * len(ours & theirs) / (len(ours) + len(theirs)))
        if scores:
            of_patient.setdefault(patients[own[0]], []).append(np.mean(scores))
    return np.mean([np.mean(scores) for scores in of_patient.values()])


def measured(logits, truth, volumes, patients, batch_size):
    """By an evaluator whose network passes on what it gets."""
    entries = [
        {"image": logits[i], "label": truth[i][None], "volume": volumes[i], "patient": patients[i]}
        for i in range(len(logits))
    ]
    loader = torch.utils.data.DataLoader(entries, batch_size=batch_size)
    metric = {"val_dice": VolumeDice()}
    evaluator = SupervisedEvaluator("cpu", loader, torch.nn.Identity(), key_val_metric=metric, decollate=False)
    for _ in range(2):  # a second run begins anew
        evaluator.run()
    return evaluator.state.metrics["val_dice"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("size", [(5, 4), (3, 4, 2)])
def test_equals_counting_pixel_by_pixel(seed, channels, size):
    draw = np.random.default_rng(seed)
    n, n_classes = 9, max(channels, 2)
    volumes = draw.integers(4, size=n)
    patients = volumes // 2  # two volumes each, in an order of their own
    logits = torch.from_numpy(draw.normal(size=(n, channels, *size))).float()
    truth = torch.from_numpy(draw.choice([*range(n_classes - (seed == 3)), 255], size=(n, *size)).astype(np.uint8))
    truth[0].flatten()[0] = 1
    predicted = (logits[:, 0] > 0) if channels == 1 else logits.argmax(1)
    expected = slow_dice(predicted.numpy(), truth.numpy(), volumes.tolist(), patients.tolist(), n_classes)
    found = measured(logits, truth, volumes, patients, batch_size=1 + seed)
    assert found == pytest.approx(expected, abs=1e-12)


def test_an_absent_class_has_no_share_and_a_false_positive_counts_zero():
    truth = torch.tensor([[[1, 1, 0]]], dtype=torch.uint8)
    right = torch.nn.functional.one_hot(truth.long(), 3).permute(0, 3, 1, 2).float()
    assert measured(right, truth, [0], [0], 1) == 1.0
    wrong = right.clone()
    wrong[..., 2] = torch.tensor([0.0, 0.0, 1.0])[None, :, None]
    assert measured(wrong, truth, [0], [0], 1) == 0.5


def test_a_validation_without_foreground_is_refused():
    truth = torch.tensor([[[0, 255]]], dtype=torch.uint8)
    with pytest.raises(ValueError, match="holds no foreground, so that its Dice is undefined.*--key_metric loss"):
        measured(torch.zeros(1, 2, 1, 2), truth, [0], [0], 1)
