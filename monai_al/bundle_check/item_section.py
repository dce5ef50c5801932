# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""One item through the preprocessing, the network's place and the postprocessing, and back to its stored grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monai.transforms import Invert, Invertd

from monai_al.bundle_check.bench import Bench
from monai_al.bundle_check.there_and_back import there_and_back
from monai_al.records.undefined import shown

__all__ = ["item_section"]


def item_section(bench: Bench) -> Iterator[tuple[str, str]]:
    """Rows about the first item that has a label.

    Args:
        bench: where the bundle is tried, with its data read and its network tried.

    Raises:
        DataError: its label cannot be taken through the transforms and back.

    Example:
        >>> from types import SimpleNamespace as Made
        >>> from monai_al.sources.entry_source import EntrySource
        >>> entries = [{"image": "/data/a.png"}, {"image": "/data/b.png", "label": "/data/b_label.png"}]
        >>> next(item_section(Made(source=EntrySource(entries, [], preprocessing=[]))))
        ('item', 'b.png')
    """
    source = bench.source
    item = next(one for one in (*source.data.part("train"), *source.data.part("test")) if one.label is not None)
    yield "item", item.id
    trip = there_and_back(source, bench.trained, item)
    spacing = f" at {_sizes(trip.spacing)} mm" if trip.spacing else ", with no size of a pixel told"
    yield "stored", f"{_sizes(trip.stored)}{spacing}"
    yield "network sees", _channels(trip.seen)
    yield "network gives", _channels(trip.given)
    classes = ", ".join(f"{name} {shown(dice, '.3f')}" for name, dice in trip.dice.items())
    back = source.transforms.postprocessing
    own = back is not None and any(isinstance(one, (Invert, Invertd)) for one in back.transforms)
    how = "by the bundle's own Invertd" if own else "by the affines"
    yield "there and back", f"its own label comes back, {how}, with Dice {classes}; no network can score higher on it"
    outside = "–" if trip.outside is None else f"{100 * trip.outside:.2f} %"
    yield "not seen", f"{outside} of its labeled voxels lie outside of what the network sees"


def _sizes(numbers: Sequence[float]) -> str:
    return " x ".join(f"{number:.4g}" for number in numbers)


def _channels(shape: Sequence[int]) -> str:
    return f"{_sizes(shape[1:])}, {shape[0]} channel{'s' if shape[0] != 1 else ''}"
