# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What has to be said of labels that lie outside of what a network sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["FIELD_OF_VIEW", "STORED_LABEL", "outside_text", "percent_text"]

STORED_LABEL, FIELD_OF_VIEW = "stored label", "field of view"
"""What scores are of, ``scored_on`` in ``metrics.json``."""


def outside_text(metrics: Mapping[str, Any]) -> str | None:
    """A sentence about the labeled foreground that a network does not see; None where there is none.

    Args:
        metrics: the content of ``metrics.json``, or the scores in it.

    Example:
        >>> outside = {"share": 0.125, "voxels": 1, "worst": "b.nii.gz", "per_volume": {"b.nii.gz": 0.5}}
        >>> for part in outside_text({"scored_on": STORED_LABEL, "outside": outside}).partition(", most ")[::2]:
        ...     print(part.partition(";")[0])
        12 % of the labeled foreground of the test items lies outside of what the network sees
        in b.nii.gz (50 %): these voxels count as missed
    """
    outside = metrics.get("outside") or {}
    if not outside.get("share"):
        return None
    worst = outside["worst"]
    told = (
        f"{percent_text(outside['share'])} of the labeled foreground of the test items lies outside of what the "
        f"network sees, most in {worst} ({percent_text(outside['per_volume'][worst])})"
    )
    if metrics.get("scored_on") == FIELD_OF_VIEW:
        return f"{told}: by --score_inside true it counts in no score"
    return (
        f"{told}: these voxels count as missed; --score_inside true, with another --output_dir, scores the field of "
        "view alone"
    )


def percent_text(share: float) -> str:
    """A share above 0 in percent.

    Example:
        >>> percent_text(0.4567), percent_text(0.0123), percent_text(1e-6)
        ('46 %', '1.2 %', 'less than 0.01 %')
    """
    percent = 100 * share
    if percent < 0.01:
        return "less than 0.01 %"
    return f"{percent:.2g} %" if percent < 10 else f"{percent:.0f} %"
