# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Grey values of pictures in colours."""

from __future__ import annotations

from typing import Any

__all__ = ["brightness"]

RED, GREEN, BLUE = 0.299, 0.587, 0.114  # ITU-R BT.601, as Pillow and OpenCV have it


def brightness(colours: Any) -> Any:
    """How bright each pixel of a picture in colours is, by ITU-R BT.601.

    Args:
        colours: red, green and blue ``(3, ...)``, an array or a tensor; what a ``MetaTensor`` knows is kept.

    Returns:
        ``(1, ...)`` of the same type, in the units of the colours.

    Raises:
        ValueError: there are not three channels.

    Example:
        >>> import numpy as np
        >>> brightness(np.array([[100.0], [200.0], [50.0]]))
        array([[153.]])
    """
    if len(colours) != 3:
        raise ValueError(f"a picture in colours has 3 channels, red, green and blue; this image has {len(colours)}")
    return RED * colours[0:1] + GREEN * colours[1:2] + BLUE * colours[2:3]
