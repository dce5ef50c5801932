# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A network with all that is needed to predict with it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from monai.inferers import Inferer

__all__ = ["TrainedNetwork"]


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with all that is needed to predict with it.

    Args:
        network: the network, on its device.
        device: where it lies.
        inferer: how one batch is predicted.
        activation: from its outputs to probabilities: softmax, sigmoid, multilabel or none.

    Example:
        >>> from monai.inferers import SimpleInferer
        >>> TrainedNetwork(torch.nn.Identity(), torch.device("cpu"), SimpleInferer(), "softmax").activation
        'softmax'
    """

    network: torch.nn.Module
    device: torch.device
    inferer: Inferer
    activation: str
