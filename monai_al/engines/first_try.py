# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A first try, so that what cannot work fails before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.inferers import Inferer

from monai_al.data import DataError
from monai_al.inferers import dropout_enabled
from monai_al.uncertainty import Measure

__all__ = ["try_network"]


def try_network(
    network: torch.nn.Module,
    entry: Mapping[str, Any],
    classes: Sequence[str],
    measures: Mapping[str, Measure],
    *,
    inferer: Inferer,
    device: torch.device | str = "cpu",
) -> None:
    """Predict one item.

    Args:
        network: the network, trained or not.
        entry: one entry of a :class:`monai_al.data.SliceDataset`: ``image`` and ``id``.
        classes: names of the classes, background first.
        measures: what a strategy needs.
        inferer: how one batch is predicted.
        device: where the network lies.

    Raises:
        DataError: the network cannot predict such an image, or its channels are not the classes.
        ValueError: a measure needs dropout and the network has none.

    Example:
        >>> from monai.inferers import SimpleInferer
        >>> entry = {"image": torch.zeros(1, 4, 4), "id": "a"}
        >>> try_network(torch.nn.Conv2d(1, 3, 1), entry, ["background", "organ"], {}, inferer=SimpleInferer())
        Traceback (most recent call last):
        ...
        monai_al.data.errors.DataError: the network has 3 output channels for the 2 classes background, organ
    """
    image = entry["image"][None].to(device)
    try:
        with torch.no_grad():
            output = inferer(image, network.eval())
    except (RuntimeError, ValueError) as error:
        raise DataError(
            f"the network cannot predict {entry['id']!r}, an image of shape {tuple(image.shape[1:])}: {error}. Do "
            "in_channels and image_size fit?"
        ) from error
    channels = output.shape[1]
    if channels != len(classes) and not (channels == 1 and len(classes) == 2):
        raise DataError(
            f"the network has {channels} output channels for the {len(classes)} classes {', '.join(classes)}"
        )
    if any(measure.stochastic for measure in measures.values()):
        with dropout_enabled(network):
            pass  # raises where there is no dropout
