# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What stands on the page about a run, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monai_al.records import LabelReturn

__all__ = ["Picture", "RunPage", "ShownItem", "ShownRound", "ShownVolume", "Swatch"]


@dataclass(frozen=True)
class Picture:
    """A picture file beside the page.

    Args:
        file: its name, relative to the page.
        alt: what it shows, for those who cannot see it.
        width: in pixels.
        height: in pixels.

    Example:
        >>> Picture("learning_curve.png", "3D Dice against labeled items", 960, 600).file
        'learning_curve.png'
    """

    file: str
    alt: str
    width: int
    height: int


@dataclass(frozen=True)
class Swatch:
    """A colour of a legend.

    Args:
        name: what it means.
        color: as CSS knows it, such as ``#e69f00``.
        kind: ``"fill"``, ``"outline"`` or ``"hatch"``.

    Example:
        >>> Swatch("liver", "#e69f00").kind
        'fill'
    """

    name: str
    color: str
    kind: str = "fill"


@dataclass(frozen=True)
class ShownItem:
    """One item of a query.

    Args:
        id: the item's id.
        score: the score that led to it, or None.
        reason: why it was chosen, or None.
        labeled: whether its label has come back.
        picture: how it looks, or None.
        note: a few words about the picture, or None.
        refused: why it has no label, or None.
        place: where editors show it, in words, or None.

    Example:
        >>> ShownItem("case_1/0007", 12.5, "boundary region, rank 1 of 40").labeled
        True
    """

    id: str
    score: float | None = None
    reason: str | None = None
    labeled: bool = True
    picture: Picture | None = None
    note: str | None = None
    refused: str | None = None
    place: str | None = None


@dataclass(frozen=True)
class ShownRound:
    """What one round did.

    Args:
        number: the round.
        strategy: who chose its items.
        items: all items of its query in pick order.
        returns: what came back, in order.
        metrics: content of ``metrics.json``, or None where the round is not evaluated.
        timings: content of ``timings.json``.
        about: sentences about its pictures, such as which model predicted.
        notes: what is missing, and why.
        legend: the colours of its pictures.
        scale: name and upper end of the uncertainty maps, or None.
        problems: why items wait for which something came back, and how far people agree.

    Example:
        >>> ShownRound(0, "random", (ShownItem("a"),)).metrics is None
        True
    """

    number: int
    strategy: str
    items: Sequence[ShownItem] = ()
    returns: Sequence[LabelReturn] = ()
    metrics: Mapping[str, Any] | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    about: Sequence[str] = ()
    notes: Sequence[str] = ()
    legend: Sequence[Swatch] = ()
    scale: tuple[str, float] | None = None
    problems: Sequence[str] = ()


@dataclass(frozen=True)
class ShownVolume:
    """A test volume with its prediction.

    Args:
        name: the volume.
        place: where it stands among all, such as ``"best of 60"``.
        picture: slices of image, truth, prediction and their agreement.
        about: which slices.

    Example:
        >>> ShownVolume("case_3", "best of 5", Picture("test_00.png", "", 900, 700)).place
        'best of 5'
    """

    name: str
    place: str
    picture: Picture
    about: str = ""


@dataclass(frozen=True)
class RunPage:
    """All that stands on the page.

    Args:
        name: of the run.
        record: content of ``run.json``, with what was extended later.
        rounds: what was done, in order; the last may be under way.
        curve: the learning curve, or None where no round is evaluated.
        cost_curve: the same over what the labels cost, or None where no model but the number of items tells it.
        embedding: the pool as a pretrained encoder sees it, or None where there is none.
        restoration: what that encoder restored while it was trained, or None where it was trained otherwise.
        volumes: test volumes with the predictions of :attr:`volumes_round`.
        volumes_round: whose model predicted them.
        volumes_legend: the colours of their pictures.
        notes: what is missing on the whole page, and why.
        volumes_notes: the same for the test volumes.
        written: when, and by which version.
        remarks: sentences below the learning curve.
        minutes: what annotating a full slice takes, as it is assumed.

    Example:
        >>> RunPage("demo", {"strategy": "random"}).rounds
        ()
    """

    name: str
    record: Mapping[str, Any]
    rounds: Sequence[ShownRound] = ()
    curve: Picture | None = None
    cost_curve: Picture | None = None
    embedding: Picture | None = None
    restoration: Picture | None = None
    volumes: Sequence[ShownVolume] = ()
    volumes_round: int | None = None
    volumes_legend: Sequence[Swatch] = ()
    notes: Sequence[str] = ()
    volumes_notes: Sequence[str] = ()
    written: str = ""
    remarks: Sequence[str] = ()
    minutes: float = 5.0
