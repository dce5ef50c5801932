# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from monai_al.uncertainty import ACTIVATIONS, probabilities


def test_each_activation():
    logits = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(probabilities(logits), torch.softmax(logits, 1))
    assert torch.equal(probabilities(logits, "multilabel"), torch.sigmoid(logits))
    assert torch.equal(probabilities(logits[:, :1], "sigmoid"), torch.sigmoid(logits[:, :1]))
    assert torch.equal(probabilities(logits, "none"), logits)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_half_precision_is_widened_and_the_input_unchanged(activation):
    logits = torch.tensor([[0.5]] if activation == "sigmoid" else [[0.5, 0.25]], dtype=torch.bfloat16)
    before = logits.clone()
    assert probabilities(logits, activation).dtype == torch.float32
    assert torch.equal(logits, before)


def test_sigmoid_is_the_softmax_of_two_classes():
    logit = torch.randn(5, 1, generator=torch.Generator().manual_seed(0))
    two = probabilities(torch.cat([torch.zeros_like(logit), logit], dim=1), "softmax")
    torch.testing.assert_close(probabilities(logit, "sigmoid"), two[:, 1:])


@pytest.mark.parametrize(
    ("channels", "activation", "message"),
    [
        (2, "relu", "'relu' is none of softmax, sigmoid, multilabel, none"),
        (1, "softmax", "sigmoid"),
        (3, "sigmoid", "multilabel"),
    ],
)
def test_errors(channels, activation, message):
    with pytest.raises(ValueError, match=message):
        probabilities(torch.zeros(2, channels, 3), activation)


def test_refuses_a_vector():
    with pytest.raises(ValueError, match="B, C"):
        probabilities(torch.zeros(3))
