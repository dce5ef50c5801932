# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Scores on the stored grid, and the truth they are compared with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import DiceMetric

from monai_al.data import DataError
from monai_al.records import NOT_ANNOTATED
from monai_al.sources.entry_scores import score_entry, spacing_matters, truth_of


def one_hot(numbers, n):
    return torch.stack([torch.as_tensor(numbers == c).float() for c in range(n)])


def plain_dice(prediction, truth, n):
    scores = []
    for c in range(1, n):
        both = sum(1 for p, t in zip(prediction.flat, truth.flat, strict=True) if p == c and t == c)
        size = sum(1 for p in prediction.flat if p == c) + sum(1 for t in truth.flat if t == c)
        scores.append(2 * both / size if size else float("nan"))
    return scores


@pytest.mark.parametrize("shape", [(6, 5, 4), (7, 6)])
@pytest.mark.parametrize("form", ["channels", "numbers"])
@given(seed=st.integers(0, 10_000), n=st.integers(2, 4), flips=st.lists(st.booleans(), min_size=2, max_size=2))
@settings(deadline=None, max_examples=15)
def test_flips_and_shifts_are_taken_back_exactly(shape, form, seed, n, flips):
    """The prediction is flipped along some axes and padded in front; its affine says so."""
    generator = np.random.default_rng(seed)
    prediction, truth = generator.integers(0, n, (2, *shape)).astype(np.uint8)
    affine = np.diag([2.0, 3.0, 5.0, 1.0])
    moved, back = prediction, np.eye(4)
    for axis, flip in enumerate(flips):
        if flip:
            moved = np.flip(moved, axis)
            back[axis, axis], back[axis, 3] = -1, shape[axis] - 1
    moved = np.pad(moved, [(2, 1), *[(0, 0)] * (len(shape) - 1)])
    pad = np.eye(4)
    pad[0, 3] = -2
    values = one_hot(moved, n) if form == "channels" else torch.from_numpy(moved.copy())[None].float()
    found = score_entry(values, affine @ back @ pad, truth, affine, n_classes=n)
    np.testing.assert_allclose(found.dice_3d, plain_dice(prediction, truth, n))


def test_overlapping_masks():
    generator = np.random.default_rng(0)
    prediction, truth = generator.integers(0, 2, (2, 3, 6, 5, 4)).astype(np.uint8)
    flipped = np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = 5
    values = torch.from_numpy(prediction[:, ::-1].copy()).float()
    found = score_entry(values, flipped, truth, np.eye(4), n_classes=4, overlapping=True)
    expected = [plain_dice(p, t, 2)[0] for p, t in zip(prediction, truth, strict=True)]
    np.testing.assert_allclose(found.dice_3d, expected)


@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 5)])
def test_channels_cut_by_a_threshold_are_scored_one_by_one_as_monai_does(shape):
    """Several may hold at one place, although the labels are class numbers; none of them comes before the others."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, shape).astype(np.uint8)
    prediction = torch.from_numpy((rng.random((4, *shape)) > 0.4).astype(np.float32))
    scores = score_entry(prediction, np.eye(4), truth, np.eye(4), n_classes=4)
    channels = torch.from_numpy(np.stack([truth == number for number in range(4)]).astype(np.float32))
    expected = DiceMetric(include_background=False, reduction="none")(prediction[None], channels[None])[0]
    assert scores.dice_3d == pytest.approx(tuple(expected.tolist()))
    some = truth.copy()
    some[:4] = NOT_ANNOTATED  # counts in nothing
    kept = score_entry(prediction, np.eye(4), some, np.eye(4), n_classes=4)
    expected = DiceMetric(include_background=False, reduction="none")(prediction[None, :, 4:], channels[None, :, 4:])[0]
    assert kept.dice_3d == pytest.approx(tuple(expected.tolist()))
    one_hot = torch.nn.functional.one_hot(prediction.argmax(0), 4).movedim(-1, 0).float()
    numbers = score_entry(prediction.argmax(0)[None].float(), np.eye(4), truth, np.eye(4), n_classes=4)
    assert score_entry(one_hot, np.eye(4), truth, np.eye(4), n_classes=4) == numbers  # these exclude each other


def test_one_channel_is_a_mask_above_a_half():
    truth = np.array([[[0, 1, 1, 0]]], dtype=np.uint8)
    values = torch.tensor([[[[0.4, 0.6, 0.5, 0.51]]]])
    found = score_entry(values, np.eye(4), truth, np.eye(4), n_classes=2)
    assert found.dice_3d == (2 * 1 / (2 + 2),)


def test_millimetres_are_those_of_the_stored_grid():
    truth = np.zeros((9, 9, 3), dtype=np.uint8)
    truth[4, 4, 1] = 1
    values = one_hot(np.roll(truth, 2, axis=1), 2)
    affine = np.diag([1.0, 2.5, 4.0, 1.0])
    assert score_entry(values, affine, truth, affine, n_classes=2).hd95_3d == (5.0,)


def test_channels_that_are_not_those_of_the_classes():
    truth = np.zeros((4, 4, 2), dtype=np.uint8)
    with pytest.raises(DataError, match="gives 4 channels for 3 classes"):
        score_entry(torch.zeros(4, 4, 4, 2), np.eye(4), truth, np.eye(4), n_classes=3)


def test_truth_of_numbers_channels_and_masks():
    numbers = torch.tensor([[[0, 1], [2, 255]]])
    np.testing.assert_array_equal(truth_of(numbers.float() + 0.01, 3, False, "a"), numbers[0])
    exclusive = numbers.clamp(max=2)
    np.testing.assert_array_equal(truth_of(one_hot(exclusive[0].numpy(), 3), 3, False, "a"), exclusive[0])
    masks = torch.tensor([[[0.0, 0.9]], [[1.0, 1.0]]])
    np.testing.assert_array_equal(truth_of(masks, 3, True, "a"), [[[0, 1]], [[1, 1]]])


@pytest.mark.parametrize(
    ("label", "n", "overlapping", "message"),
    [
        (torch.tensor([[3.0]]), 3, False, r"a: its label holds 3 .* 3 classes \(0 to 2\)"),
        (torch.tensor([[-1.0]]), 3, False, "a: its label holds -1"),
        (torch.zeros(2, 4), 3, False, "a: its label has 2 channels for 3 classes"),
        (torch.zeros(3, 4), 3, True, "a: its label has 3 channels for 2 overlapping classes"),
    ],
)
def test_truth_that_does_not_fit(label, n, overlapping, message):
    with pytest.raises(DataError, match=message):
        truth_of(label, n, overlapping, "a")


@pytest.mark.parametrize("name", ["a.PNG", "b.jpeg", "c.tif", "d.npy"])
def test_pictures_have_no_voxel_size(name):
    assert spacing_matters(["x.nii.gz", "y.mha"])
    assert not spacing_matters(["x.nii.gz", name])
