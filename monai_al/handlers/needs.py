# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What kinds of things a strategy may need."""

from __future__ import annotations

from collections.abc import Mapping

from monai_al.handlers.named_embeddings import BOTTLENECK, is_pixels
from monai_al.uncertainty import Measure

__all__ = ["ENCODER", "before_training", "check_needs", "is_layer", "of_members"]

ENCODER = "encoder"  # the embedding by the pretrained encoder


def check_needs(needs: Mapping[str, Measure | str], strategy: str) -> dict[str, Measure | str]:
    """The needs, if each is a measure or an embedding.

    Args:
        needs: name -> measure or embedding.
        strategy: its name.

    Raises:
        ValueError: one is neither.

    Example:
        >>> check_needs({"uncertainty": 3}, "mine")
        Traceback (most recent call last):
        ...
        ValueError: strategy mine needs uncertainty = 3, which is neither a measure nor a layer
    """
    for name, need in needs.items():
        if not isinstance(need, (Measure, str)):
            raise ValueError(f"strategy {strategy} needs {name} = {need!r}, which is neither a measure nor a layer")
    return dict(needs)


def before_training(need: Measure | str) -> bool:
    """Whether it needs no network that a round trains.

    Example:
        >>> before_training("pixels:64"), before_training("bottleneck")
        (True, False)
    """
    return isinstance(need, str) and (need == ENCODER or is_pixels(need))


def is_layer(need: Measure | str) -> bool:
    """Whether it is the path of a layer of the trained network.

    Example:
        >>> is_layer("model.0"), is_layer("bottleneck")
        (True, False)
    """
    return isinstance(need, str) and need != BOTTLENECK and not before_training(need)


def of_members(need: Measure | str) -> bool:
    """Whether it needs several networks of a round.

    Example:
        >>> of_members(Measure("variance_ratio", samples="members")), of_members("bottleneck")
        (True, False)
    """
    return isinstance(need, Measure) and need.samples == "members"
