# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What is in a pool: counts, and after reading every file its shapes, grey values and classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monai_al.data.reading import read_volume
from monai_al.datasets.files import listed_error
from monai_al.records import NOT_ANNOTATED, SPLITS, DataError, Item, Pool

__all__ = ["describe", "description_text", "facts_text"]


@dataclass(frozen=True)
class _Facts:
    """What one volume's files hold."""

    channels: int
    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None
    intensity: tuple[float, float]
    voxels_per_class: np.ndarray | None
    items_without_foreground: int
    items_not_annotated: int


def describe(pool: Pool, *, read: bool = True, affine_tolerated: bool = False) -> dict[str, Any]:
    """Count what is in a pool, and read and check every volume.

    Args:
        pool: the pool.
        read: False counts only, and opens no file.
        affine_tolerated: warn instead of raise where image and label disagree about their position, as for a pool
            of which this is known.

    Returns:
        ``patients``, ``volumes``, ``items``, ``labeled_items`` (with ground truth), ``classes``, ``splits`` (split ->
        patients, volumes, items) and ``notes``; after reading also ``channels``, ``shape``, ``spacing`` (mm; the slice
        axis last) and ``intensity`` as ``[smallest, largest]``, ``class_share`` (class -> share of the annotated
        voxels), ``not_annotated_share``, ``items_without_foreground`` and ``items_not_annotated``, whose labels
        annotate no pixel: they have no label, and are not counted in ``labeled_items``. What is not defined is None.
        All of it fits JSON.

    Raises:
        DataError: files cannot be used; all of them are listed.

    Example:
        >>> import tempfile
        >>> from monai_al.datasets import phantom
        >>> with tempfile.TemporaryDirectory() as root:
        ...     summary = describe(phantom(root, patients=2, shape=(32, 32, 8)))
        >>> summary["items"], summary["shape"]
        (32, [[32, 32, 8], [32, 32, 8]])
    """
    counts = {
        "patients": len(pool.patients),
        "volumes": len(pool.volumes),
        "items": len(pool),
        "labeled_items": sum(item.label is not None for item in pool),
        "classes": list(pool.classes),
        "splits": {split: _counts(pool.part(split)) for split in SPLITS if len(pool.part(split))},
        "notes": list(pool.notes),
    }
    tolerated = affine_tolerated or pool.affine_tolerated
    return _with_contents(counts, _contents(_read_all(pool, tolerated), pool)) if read else counts


def _with_contents(counts: dict[str, Any], contents: Mapping[str, Any]) -> dict[str, Any]:
    channels = contents["channels"]
    mixed = [
        f"Images have different numbers of channels, {', '.join(map(str, channels))}; a run takes those of one alone."
    ]
    return counts | dict(contents) | {"notes": counts["notes"] + mixed * (len(channels) > 1)}


def _counts(part: Pool) -> dict[str, int]:
    return {"patients": len(part.patients), "volumes": len(part.volumes), "items": len(part)}


def _read_all(pool: Pool, affine_tolerated: bool) -> list[_Facts]:
    from tqdm import tqdm

    items_of: dict[str, list[Item]] = {}
    for item in pool:
        items_of.setdefault(item.volume, []).append(item)
    facts: list[_Facts] = []
    problems: list[str] = []
    for items in tqdm(items_of.values(), desc="reading", unit="volume", disable=None, leave=False):
        try:
            facts.append(_facts(items, pool, affine_tolerated))
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise listed_error(f"{len(problems)} of {len(items_of)} volumes cannot be used", problems)
    return facts


def _facts(items: Sequence[Item], pool: Pool, affine_tolerated: bool) -> _Facts:
    first = items[0]
    stored = read_volume(
        first.image,
        first.label,
        label_values=pool.label_values,
        affine_tolerated=affine_tolerated,
        sizes_tolerated=pool.sizes_tolerated,
        slice_axis=first.slice_axis,
    )
    outside = [item.id for item in items if item.slice is not None and item.slice >= stored.image.shape[3]]
    if outside:
        raise DataError(f"{first.image}: has {stored.image.shape[3]} slices, but the pool has item {outside[0]}")
    voxels, empty, unknown = None, 0, 0
    if stored.label is not None:
        annotated = (stored.label != NOT_ANNOTATED).any(axis=(0, 1))
        foreground = ((stored.label > 0) & (stored.label != NOT_ANNOTATED)).any(axis=(0, 1))
        unknown = sum(not _holds(annotated, item) for item in items)
        empty = sum(not _holds(foreground, item) for item in items) - unknown
        voxels = np.bincount(stored.label.ravel(order="K"), minlength=NOT_ANNOTATED + 1)
    return _Facts(
        channels=stored.image.shape[0],
        shape=stored.image.shape[1:],
        spacing=None if stored.placeholder_spacing else stored.spacing,
        intensity=(float(stored.image.min()), float(stored.image.max())),
        voxels_per_class=voxels,
        items_without_foreground=int(empty),
        items_not_annotated=int(unknown),
    )


def _holds(slices: np.ndarray, item: Item) -> bool:
    """Whether something stands in an item that is found in these slices."""
    return bool(slices.any() if item.slice is None else slices[item.slice])


def _contents(facts: Sequence[_Facts], pool: Pool) -> dict[str, Any]:
    spacings = [f.spacing for f in facts if f.spacing is not None]
    counted = [f.voxels_per_class for f in facts if f.voxels_per_class is not None]
    per_class = np.sum(counted, axis=0) if counted else np.zeros(NOT_ANNOTATED + 1, np.int64)
    annotated = int(per_class[:NOT_ANNOTATED].sum())
    shares = {name: int(per_class[n]) / annotated if annotated else None for n, name in enumerate(pool.classes)}
    return {
        "channels": sorted(Counter(f.channels for f in facts)),
        "shape": _range([f.shape for f in facts]),
        "spacing": _range(spacings) if spacings else None,
        "intensity": [min(f.intensity[0] for f in facts), max(f.intensity[1] for f in facts)] if facts else None,
        "class_share": shares,
        "not_annotated_share": int(per_class[NOT_ANNOTATED]) / int(per_class.sum()) if counted else None,
        "items_without_foreground": sum(f.items_without_foreground for f in facts) if counted else None,
        "items_not_annotated": sum(f.items_not_annotated for f in facts) if counted else None,
        "labeled_items": sum(item.label is not None for item in pool) - sum(f.items_not_annotated for f in facts),
    }


def _range(rows: Sequence[Sequence[float]]) -> list[list[float]] | None:
    """Smallest and largest value along each axis."""
    return [np.min(rows, axis=0).tolist(), np.max(rows, axis=0).tolist()] if rows else None


def description_text(summary: Mapping[str, Any]) -> str:
    """The summary of :func:`describe` for people, one fact a line.

    Example:
        >>> counts = {"patients": 1, "volumes": 2, "items": 8, "labeled_items": 8}
        >>> print(description_text(counts | {"classes": ["background", "liver"], "splits": {}, "notes": ["Made up."]}))
        patients  1
        volumes   2
        items     8 (8 with ground truth)
        classes   0 background, 1 liver
        note      Made up.
    """
    lines = [
        ("patients", str(summary["patients"])),
        ("volumes", str(summary["volumes"])),
        ("items", f"{summary['items']} ({summary['labeled_items']} with ground truth)"),
    ]
    if len(summary["splits"]) > 1:
        for split, n in summary["splits"].items():
            lines.append((split, f"{n['patients']} patients, {n['volumes']} volumes, {n['items']} items"))
    lines.append(("classes", ", ".join(f"{number} {name}" for number, name in enumerate(summary["classes"]))))
    if "shape" in summary:
        lines += _content_lines(summary)
    return facts_text([*lines, *(("note", note) for note in summary["notes"])])


def facts_text(facts: Sequence[tuple[str, str]]) -> str:
    """Names and what stands behind them, one a line.

    Example:
        >>> print(facts_text([("volumes", "2"), ("note", "Made up.")]))
        volumes  2
        note     Made up.
    """
    width = max(len(name) for name, _ in facts) + 2
    return "\n".join(f"{name:<{width}}{text}" for name, text in facts)


def _content_lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = [("channels", ", ".join(map(str, summary["channels"]))), ("shape", _range_text(summary["shape"]))]
    lines.append(("spacing", f"{_range_text(summary['spacing'])} mm" if summary["spacing"] else "– (not stored)"))
    low, high = summary["intensity"]
    lines.append(("intensity", f"{low:g} to {high:g}"))
    if summary["items_without_foreground"] is None:
        return lines
    shares = (
        f"{name} {'–' if share is None else f'{100 * share:.2f} %'}" for name, share in summary["class_share"].items()
    )
    lines.append(("voxels", ", ".join(shares)))
    if summary["not_annotated_share"]:
        lines.append(("", f"{100 * summary['not_annotated_share']:.2f} % of all voxels are not annotated"))
    empty, labeled = summary["items_without_foreground"], summary["labeled_items"]
    share = f" ({100 * empty / labeled:.0f} %)" if labeled else ""
    lines.append(("empty", f"{empty} items without foreground{share}"))
    if summary.get("items_not_annotated"):
        lines.append(("", f"{summary['items_not_annotated']} items whose label annotates no pixel count as unlabeled"))
    return lines


def _range_text(bounds: Sequence[Sequence[float]]) -> str:
    axes = (f"{low:g}" if low == high else f"{low:g}..{high:g}" for low, high in zip(*bounds, strict=True))
    return " x ".join(axes)
