# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The scores of volumes in a few numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from monai_al.metrics import VolumeScores, summarize
from monai_al.records import Item
from monai_al.sources.base import Source

__all__ = ["summary_of"]


def summary_of(
    source: Source,
    scores: Iterable[tuple[str, str, VolumeScores]],
    items: Sequence[Item],
    *,
    empty_policy: str = "strict",
) -> dict[str, Any]:
    """What :func:`monai_al.metrics.summarize` says of volumes, and whether their spacing is a placeholder.

    Args:
        source: where the items lie.
        scores: ``(volume, patient, scores)`` of each volume.
        items: the items of the volumes.
        empty_policy: how empty masks count.

    Example:
        >>> from monai_al.records import Pool
        >>> from monai_al.sources import SliceSource
        >>> summary_of(SliceSource(Pool([]), cache=None), [], [])["hd95_3d"]["spacing_is_placeholder"]
        False
    """
    summary = summarize(scores, source.data.classes, empty_policy)
    summary["hd95_3d"]["spacing_is_placeholder"] = source.placeholder_spacing(items)
    return summary
