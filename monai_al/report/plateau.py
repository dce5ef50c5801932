# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A hint where the last rounds of a run brought nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["plateau_hint"]

_ROUNDS, _GAIN = 2, 0.005


def plateau_hint(rows: Sequence[Mapping[str, Any]]) -> str:
    """A sentence where the 3D Dice of the last two rounds is at most 0.005 above the best before; else nothing.

    Args:
        rows: one for each round, as those of ``curve.csv``, with ``labeled`` and ``dice_3d``; None is undefined.

    Example:
        >>> dice = [0.5, 0.7, 0.701, 0.699]
        >>> print(plateau_hint([{"labeled": 10 * n, "dice_3d": score} for n, score in enumerate(dice, 1)]))
        The last 2 rounds brought nothing: +0.001 3D Dice for 20 more labels. ...
    """
    defined = [row for row in rows if row.get("dice_3d") is not None]
    if len(defined) <= _ROUNDS:
        return ""
    before, last = defined[:-_ROUNDS], defined[-_ROUNDS:]
    gain = max(row["dice_3d"] for row in last) - max(row["dice_3d"] for row in before)
    if gain > _GAIN:
        return ""
    more = last[-1]["labeled"] - before[-1]["labeled"]
    return (
        f"The last {_ROUNDS} rounds brought nothing: {gain:+.3f} 3D Dice for {more} more labels. Before you label "
        "more, look at the patients with the lowest scores, train longer (--steps) or a larger network, or try another "
        "strategy; one run may also have bad luck, which other seeds tell."
    )
