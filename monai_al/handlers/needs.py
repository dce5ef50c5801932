# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What kinds of things a strategy may need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from monai_al.handlers.named_embeddings import BOTTLENECK, is_pixels, layer_and_grid
from monai_al.uncertainty import Measure

__all__ = [
    "ENCODER",
    "Needs",
    "before_training",
    "initial_needs_of",
    "is_bottleneck",
    "is_layer",
    "needs_of",
    "of_members",
]

ENCODER = "encoder"  # the embedding by the pretrained encoder


class Needs(Protocol):
    """What says what it needs, as :class:`monai_al.strategies.Strategy` does.

    Example:
        >>> from monai_al.strategies import Random
        >>> strategy: Needs = Random()
    """

    name: str

    def needs(self) -> Mapping[str, Any]:
        """Name -> a measure, or an embedding."""

    def initial_needs(self) -> Mapping[str, Any] | None:
        """The same for the initial set; None: it is random."""


def needs_of(strategy: Needs) -> dict[str, Measure | str]:
    """What a strategy needs, if each is a measure or an embedding.

    Raises:
        ValueError: one is neither.

    Example:
        >>> from types import SimpleNamespace
        >>> needs_of(SimpleNamespace(name="mine", needs=lambda: {"uncertainty": 3}))
        Traceback (most recent call last):
        ...
        ValueError: strategy mine needs uncertainty = 3, which is neither a measure nor a layer
    """
    return _checked(strategy.needs(), strategy.name)


def initial_needs_of(strategy: Needs) -> dict[str, Measure | str] | None:
    """What a strategy needs to choose the initial set; None where it chooses none.

    Raises:
        ValueError: something is neither a measure nor an embedding.

    Example:
        >>> from monai_al.strategies import Random, TypiClust
        >>> initial_needs_of(Random()), initial_needs_of(TypiClust())
        (None, {'encoder': 'encoder'})
    """
    needs = strategy.initial_needs()
    return None if needs is None else _checked(needs, strategy.name)


def _checked(needs: Mapping[str, Any], strategy: str) -> dict[str, Measure | str]:
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


def is_bottleneck(need: Measure | str) -> bool:
    """Whether it is the deepest layer of the trained network, averaged over the image or its parts.

    Example:
        >>> is_bottleneck("bottleneck"), is_bottleneck("bottleneck:2"), is_bottleneck("pixels:2")
        (True, True, False)
    """
    return isinstance(need, str) and layer_and_grid(need)[0] == BOTTLENECK


def is_layer(need: Measure | str) -> bool:
    """Whether it is the path of a layer of the trained network.

    Example:
        >>> is_layer("model.0"), is_layer("model.0:2"), is_layer("bottleneck")
        (True, True, False)
    """
    return isinstance(need, str) and not is_bottleneck(need) and not before_training(need)


def of_members(need: Measure | str) -> bool:
    """Whether it needs several networks of a round.

    Example:
        >>> of_members(Measure("variance_ratio", samples="members")), of_members("bottleneck")
        (True, False)
    """
    return isinstance(need, Measure) and need.samples == "members"
