# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Tables in Markdown, and numbers in them."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["markdown_table", "span"]


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown.

    Args:
        head: the first line, one cell for each column.
        rows: as many cells each.

    Example:
        >>> print(markdown_table(["a", "b"], [["1", "2"]]))
        | a | b |
        | --- | --- |
        | 1 | 2 |
    """
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def span(numbers: Sequence[float]) -> str:
    """The smallest and the largest of some numbers; those that are not whole with four digits.

    Example:
        >>> span([3, 1, 2]), span([2, 2]), span([16 / 15, 16])
        ('1 to 3', '2', '1.067 to 16')
    """
    least, most = (f"{n}" if isinstance(n, int) else f"{n:.4g}" for n in (min(numbers), max(numbers)))
    return least if least == most else f"{least} to {most}"
