# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A slice as a picture for people, with the outlines of what a network predicts."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from monai_al.report.pictures import class_color, gray_or_color, upright

__all__ = ["class_rgb", "outlined_png"]

_LONGER, _SHORTEST = 448, 24  # pixels of the two sides
_WIDTH = 2  # pixels of a line


def class_rgb(number: int) -> tuple[int, int, int]:
    """Red, green and blue of a foreground class, 0 to 255; black for the background.

    Example:
        >>> class_rgb(1), class_rgb(0)
        ((242, 163, 58), (0, 0, 0))
    """
    red, green, blue = bytes.fromhex(class_color(number)[1:]) if number else (0, 0, 0)
    return red, green, blue


def outlined_png(
    image: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    spacing: Sequence[float] = (1.0, 1.0),
    affine: np.ndarray | None = None,
) -> bytes:
    """A slice in its true proportions, each class of a label map outlined in its colour.

    Args:
        image: ``(C, h, w)``; three channels are colours, of others the first is shown.
        labels: class numbers ``(h, w)``, or None.
        spacing: mm along h and along w.
        affine: ``(4, 4)``, index -> RAS millimetres, to turn the slice as radiologists look at it; None: as it is.

    Returns:
        The content of a PNG file.

    Example:
        >>> outlined_png(np.zeros((1, 4, 6)), np.eye(4, 6))[1:4]
        b'PNG'
    """
    from PIL import Image

    values = np.rint(255 * gray_or_color(image)).astype(np.uint8)
    channels = np.moveaxis(np.atleast_3d(values), -1, 0)
    shown = np.moveaxis(upright(channels, affine), 0, -1)
    turned = upright(np.empty((1, 2)), affine).shape == (2, 1)
    size = _size(shown.shape[:2], list(spacing)[::-1] if turned else list(spacing))
    picture = Image.fromarray(np.repeat(shown, 3 // shown.shape[2], axis=2))
    pixels = np.array(picture.resize(size, Image.Resampling.BICUBIC))
    if labels is not None:
        flat = Image.fromarray(np.ascontiguousarray(upright(labels.astype(np.uint8), affine)))
        _outline(pixels, np.asarray(flat.resize(size, Image.Resampling.NEAREST)))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", compress_level=1)
    return file.getvalue()


def _size(shape: Sequence[int], spacing: Sequence[float]) -> tuple[int, int]:
    """Width and height in pixels."""
    height, width = (n * mm for n, mm in zip(shape, spacing, strict=True))
    scale = _LONGER / max(height, width)
    return max(round(width * scale), _SHORTEST), max(round(height * scale), _SHORTEST)


def _outline(pixels: np.ndarray, labels: np.ndarray) -> None:
    """Draw the rim of each class, inside of it."""
    from scipy.ndimage import binary_erosion

    for number in np.unique(labels[(labels > 0) & (labels < 255)]).tolist():
        own = labels == number
        pixels[own & ~binary_erosion(own, iterations=_WIDTH, border_value=1)] = class_rgb(number)
