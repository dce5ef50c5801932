# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the palette of a mask says: that its indices are the classes, or that its colours are grey values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monai_al.records.errors import DataError

__all__ = ["palette_values"]

BLACK = (0, 0, 0)


def palette_values(
    indices: np.ndarray, palette: Sequence[int] | None, path: str
) -> tuple[np.ndarray, str, dict[int, tuple[int, ...]] | None]:
    """The values of a mask with a palette.

    Where the palette has colours, they only show the classes, and the indices are their numbers. Greys that equal their
    indices say the same. Black and white alone are grey values: programs that make files smaller put them into a
    palette in any order. All other greys may be meant either way.

    Args:
        indices: uint8, of any shape.
        palette: red, green and blue of index 0, 1, ...; indices behind its end have no colour.
        path: the file, for the message.

    Returns:
        The values; ``"palette"`` for indices or ``"grey"``; and value -> colour of the indices in use, None where the
        palette has no colours.

    Raises:
        DataError: the colours contradict the indices.

    Example:
        >>> palette_values(np.uint8([0, 2, 2]), [0, 0, 0, 9, 9, 9, 200, 0, 0], "a.png")
        (array([0, 2, 2], dtype=uint8), 'palette', {0: (0, 0, 0), 2: (200, 0, 0)})
        >>> palette_values(np.uint8([0, 1, 1]), [255, 255, 255, 0, 0, 0], "a.png")
        (array([255,   0,   0], dtype=uint8), 'grey', None)
    """
    rows = np.asarray(palette or [], np.int64).reshape(-1, 3)
    if (rows == np.arange(len(rows))[:, None]).all():
        return indices, "palette", None
    colours = {int(index): tuple(int(c) for c in rows[index]) for index in np.unique(indices) if index < len(rows)}
    if (rows == rows[:, :1]).all() and indices.max(initial=0) < len(rows):
        return _grey_values(indices, {index: colour[0] for index, colour in colours.items()}, path), "grey", None
    black = next((index for index, colour in colours.items() if 0 < index < 255 and colour == BLACK), None)
    first = tuple(int(c) for c in rows[0])
    if black is not None and first != BLACK:
        raise DataError(
            f"{path}: its palette shows index {black} in black, as background, but index 0 in colour {first}, so "
            "that the indices are no class numbers; store the class numbers as grey values, without a palette"
        )
    return indices, "palette", colours


def _grey_values(indices: np.ndarray, greys: dict[int, int], path: str) -> np.ndarray:
    shown = set(greys.values())
    same = all(index == grey for index, grey in greys.items())
    if not same and (not shown <= {0, 255} or len(shown) < len(greys)):
        pairs = ", ".join(f"{index} shows {grey}" for index, grey in greys.items())
        raise DataError(
            f"{path}: its palette holds greys that are not their indices ({pairs}), so that either may be the class; "
            "store the class numbers as grey values, without a palette"
        )
    table = np.zeros(256, np.uint8)
    table[list(greys)] = list(greys.values())
    return table[indices]
