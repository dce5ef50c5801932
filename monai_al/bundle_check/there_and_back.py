# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""An item's own label, taken through a bundle's transforms as if the network had predicted it, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer

from monai_al.inferers import TrainedNetwork
from monai_al.passes import evaluate_items
from monai_al.records import Item
from monai_al.sources.entry_items import IMAGE, LABEL
from monai_al.sources.entry_scores import truth_of
from monai_al.sources.entry_source import EntrySource
from monai_al.sources.first_try import output_shape

__all__ = ["ThereAndBack", "label_as_output", "there_and_back"]

_SURE = 20.0  # a logit of which every activation makes 0 or 1


@dataclass(frozen=True)
class ThereAndBack:
    """What becomes of an item.

    Args:
        stored: shape of its label file.
        spacing: size of a voxel there in mm; None where the file tells none.
        seen: ``(C, *spatial)`` of what the network sees.
        given: ``(C, *spatial)`` of what the network gives.
        outside: share of its labeled foreground that lies outside of what the network sees; None where it has none.
        dice: class -> Dice of the label that came back with the stored one; None where the label has no such class.

    Example:
        >>> ThereAndBack((4, 4), None, (1, 4, 4), (2, 4, 4), 0.0, {"organ": 1.0}).dice["organ"]
        1.0
    """

    stored: tuple[int, ...]
    spacing: tuple[float, ...] | None
    seen: tuple[int, ...]
    given: tuple[int, ...]
    outside: float | None
    dice: Mapping[str, float | None]


def there_and_back(source: EntrySource, trained: TrainedNetwork, item: Item) -> ThereAndBack:
    """Send an item's own label through the preprocessing, and evaluate it as the prediction of that item.

    Args:
        source: the data, on which the network was tried.
        trained: the network, of which only the activation and the shape of its output count.
        item: one with a label.

    Raises:
        DataError: the label cannot be read, or nothing tells where a prediction lies.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from monai.inferers import SimpleInferer
        >>> from monai.transforms import Compose, LoadImaged, Resized
        >>> keys = ["image", "label"]
        >>> read = Compose([LoadImaged(keys, ensure_channel_first=True), Resized(keys, (8, 8), mode="nearest")])
        >>> trained = TrainedNetwork(torch.nn.Conv2d(1, 2, 1), torch.device("cpu"), SimpleInferer(), "softmax")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("a", "b", "label"):
        ...         Image.fromarray(np.eye(16, dtype=np.uint8)).save(f"{folder}/{name}.png")
        ...     entries = [{"image": f"{folder}/{name}.png", "label": f"{folder}/label.png"} for name in "ab"]
        ...     source = EntrySource(entries[:1], entries[1:], preprocessing=read)
        ...     source.try_network(trained, [])
        ...     trip = there_and_back(source, trained, source.data[0])
        >>> trip.stored, trip.seen, trip.given, trip.outside
        ((16, 16), (1, 8, 8), (2, 8, 8), 0.0)
    """
    (entry,) = source.entries([item])
    n_classes, overlapping = len(source.data.classes), source.overlapping
    label, affine = source.transforms.stored_label(entry, item.id)
    truth = truth_of(label, n_classes, overlapping, item.id)
    grid = truth.shape[1:] if overlapping else truth.shape
    seen = source.transforms.network_input(entry, item.id, with_label=True)
    image = torch.as_tensor(seen[IMAGE])
    given = source.output_shape if item.id == source.data[0].id else None
    given = given or output_shape(trained, image.as_subclass(torch.Tensor), item.id, fits="the preprocessing")
    seen_truth = truth_of(torch.as_tensor(seen[LABEL]), n_classes, overlapping, item.id)
    answer = label_as_output(seen_truth, given[0], trained.activation, overlapping=overlapping)
    scores = evaluate_items(source, replace(trained, network=torch.nn.Identity(), inferer=_Answers(answer)), [item])
    spacing = tuple(np.linalg.norm(affine[:3, :3], axis=0)[: len(grid)])
    return ThereAndBack(
        grid,
        None if source.placeholder_spacing([item]) else spacing,
        tuple(image.shape),
        given,
        scores["outside"]["share"],
        scores["dice_3d"]["per_class"],
    )


def label_as_output(truth: np.ndarray, channels: int, activation: str, *, overlapping: bool = False) -> torch.Tensor:
    """What a network would have to give for a label.

    Args:
        truth: class numbers ``(*spatial)``, or masks ``(C, *spatial)`` where classes overlap.
        channels: of the network's output.
        activation: softmax, sigmoid, multilabel or none.
        overlapping: classes may overlap.

    Returns:
        ``(channels, *spatial)``: logits, or with the activation none probabilities.

    Example:
        >>> label_as_output(np.array([[0, 1]], dtype=np.uint8), 1, "sigmoid").tolist()
        [[[-20.0, 20.0]]]
        >>> label_as_output(np.array([[0, 1]], dtype=np.uint8), 2, "none").tolist()
        [[[1.0, 0.0]], [[0.0, 1.0]]]
    """
    if overlapping:
        masks = truth > 0
    else:
        numbers = [1] if channels == 1 else range(channels)
        masks = np.stack([truth == number for number in numbers])
    probabilities = torch.from_numpy(masks.astype(np.float32))
    return probabilities if activation == "none" else _SURE * (2 * probabilities - 1)


class _Answers(Inferer):
    """Gives what it was made with, whatever it is asked."""

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self.answer = answer

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        return self.answer[None].to(inputs.device)
