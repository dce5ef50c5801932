# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The pictures of the report, from arrays: images, labels and uncertainty maps in panels side by side.

Label maps are class numbers ``(h, w)`` with 255 where nothing is annotated, or overlapping masks ``(C, h, w)`` of the
foreground classes with the same 255.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "AGREEMENT_COLOR",
    "ERROR_COLOR",
    "REGION_COLORS",
    "Panel",
    "agreement",
    "agreement_panel",
    "class_color",
    "draw_panel",
    "flat_labels",
    "gray_or_color",
    "image_panel",
    "label_panel",
    "map_panel",
    "upright",
    "write_panels",
]

AGREEMENT_COLOR = "#2a6fdb"
ERROR_COLOR = "#e02424"
REGION_COLORS = {"target": "#3fe0d0", "boundary": "#9dff57"}

_NOT_ANNOTATED = 255
_CLASS_COLORS = ("#f2a33a", "#3ec46d", "#d879c4", "#f0e442", "#8bd3c7", "#b08d57", "#c5e86c", "#b9a5ff")
_REGION_WIDTHS = {"target": 1.2, "boundary": 0.6}  # points; the boundary is a narrow band, often in pieces
_SMALLEST, _LARGEST = 320, 384  # pixels of a panel's longer side
_GAP = 8  # pixels between panels
_DPI = 100


@dataclass(frozen=True)
class Panel:
    """One picture with what lies on it.

    Args:
        title: a word above it.
        image: ``(h, w)`` or ``(h, w, 3)`` in [0, 1].
        overlay: RGBA ``(h, w, 4)`` in [0, 1], or None.
        heat: draw ``image`` as an uncertainty map.
        outlines: name in :data:`REGION_COLORS` -> boolean ``(h, w)``, whose edge is drawn.

    Example:
        >>> Panel("image", np.zeros((4, 4))).heat
        False
    """

    title: str
    image: np.ndarray
    overlay: np.ndarray | None = None
    heat: bool = False
    outlines: Mapping[str, np.ndarray] = field(default_factory=dict)


def class_color(number: int) -> str:
    """The colour of a foreground class, counted from 1, never blue or red.

    Example:
        >>> class_color(1)
        '#f2a33a'
    """
    return _CLASS_COLORS[(number - 1) % len(_CLASS_COLORS)]


def gray_or_color(image: np.ndarray) -> np.ndarray:
    """An image for the eye: three channels in colour, otherwise the first channel, stretched over [0, 1].

    Args:
        image: ``(C, h, w)``.

    Returns:
        ``(h, w, 3)`` or ``(h, w)``; what is not finite becomes black.

    Example:
        >>> gray_or_color(np.array([[[10.0, 30.0]]])).tolist()
        [[0.0, 1.0]]
    """
    shown = np.moveaxis(image, 0, -1) if len(image) == 3 else image[0]
    shown = np.asarray(shown, dtype=np.float64)
    finite = shown[np.isfinite(shown)]
    if not finite.size:
        return np.zeros(shown.shape)
    low, high = np.percentile(finite, (0.5, 99.5))
    if high <= low:
        low, high = finite.min(), finite.max()
    return np.where(np.isfinite(shown), np.clip((shown - low) / (high - low or 1.0), 0, 1), 0.0)


def upright(array: np.ndarray, affine: np.ndarray | None) -> np.ndarray:
    """Turn a slice as radiologists look at it: the front or the head up, the patient's right on the left.

    Args:
        array: ``(..., h, w)``.
        affine: ``(4, 4)``, index -> RAS millimetres; its first two columns say where h and w lead. None: as it is.

    Example:
        >>> upright(np.array([["right back", "right front"], ["left back", "left front"]]), np.diag([-1.0, 1, 1, 1]))
        array([['right front', 'left front'],
               ['right back', 'left back']], dtype='<U11')
    """
    if affine is None:
        return array
    towards = np.abs(affine[:3, :2]).argmax(axis=0)  # the axis of the body along h and along w
    signs = affine[towards, [0, 1]]
    if towards[0] < towards[1]:
        array, signs = np.swapaxes(array, -2, -1), signs[::-1]
    return array[..., :: -1 if signs[0] > 0 else 1, :: -1 if signs[1] > 0 else 1]


def flat_labels(labels: np.ndarray) -> np.ndarray:
    """Class numbers ``(h, w)`` from either form; of overlapping classes the smallest lies on top.

    Args:
        labels: class numbers ``(h, w)``, or masks ``(C, h, w)`` of the classes 1..C.

    Example:
        >>> flat_labels(np.array([[[1, 1, 0]], [[0, 1, 255]]])).tolist()
        [[1, 2, 255]]
    """
    if labels.ndim == 2:
        return labels
    flat = np.zeros(labels.shape[1:], dtype=np.uint8)
    masks = labels == 1
    for channel in np.argsort(-masks.sum(axis=(1, 2)), kind="stable"):
        flat[masks[channel]] = channel + 1
    flat[(labels == _NOT_ANNOTATED).any(axis=0)] = _NOT_ANNOTATED
    return flat


def agreement(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where prediction and truth agree on the foreground, and where the prediction is wrong.

    Args:
        prediction: a label map.
        truth: a label map of the same form; pixels that are not annotated are neither.

    Returns:
        Two boolean maps ``(h, w)``: right foreground; missed, false or of another class.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> right, wrong = agreement(np.array([[0, 1, 1, 2, 2]]), np.array([[0, 1, 0, 1, 255]]))
        >>> right.tolist(), wrong.tolist()
        ([[False, True, False, False, False]], [[False, False, True, True, False]])
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"the prediction has the shape {prediction.shape}, the truth {truth.shape}")
    known, same, foreground = truth != _NOT_ANNOTATED, prediction == truth, prediction > 0
    if truth.ndim == 3:
        known, same, foreground = known.all(axis=0), same.all(axis=0), foreground.any(axis=0)
    return known & same & foreground, known & ~same


def image_panel(title: str, image: np.ndarray) -> Panel:
    """The image ``(C, h, w)`` alone.

    Example:
        >>> image_panel("image", np.zeros((1, 4, 6))).image.shape
        (4, 6)
    """
    return Panel(title, gray_or_color(image))


def label_panel(title: str, image: np.ndarray, labels: np.ndarray) -> Panel:
    """A label map on its image; what is not annotated is hatched.

    Args:
        title: a word above it.
        image: ``(C, h, w)``.
        labels: a label map.

    Example:
        >>> panel = label_panel("truth", np.zeros((1, 1, 2)), np.array([[0, 1]]))
        >>> panel.overlay[0, :, 3].tolist()
        [0.0, 0.6]
    """
    flat = flat_labels(labels)
    overlay = _hatching(flat == _NOT_ANNOTATED)
    for number in np.unique(flat[(flat > 0) & (flat != _NOT_ANNOTATED)]).tolist():
        overlay[flat == number] = (*_rgb(class_color(number)), 0.6)
    return Panel(title, _gray(image), overlay)


def agreement_panel(title: str, image: np.ndarray, prediction: np.ndarray, truth: np.ndarray) -> Panel:
    """Agreement blue, errors red, right background as it is.

    Example:
        >>> panel = agreement_panel("", np.zeros((1, 1, 2)), np.array([[0, 1]]), np.array([[1, 1]]))
        >>> panel.overlay[0].round(1).tolist()
        [[0.9, 0.1, 0.1, 0.7], [0.2, 0.4, 0.9, 0.7]]
    """
    right, wrong = agreement(prediction, truth)
    overlay = _hatching(flat_labels(truth) == _NOT_ANNOTATED)
    overlay[right] = (*_rgb(AGREEMENT_COLOR), 0.7)
    overlay[wrong] = (*_rgb(ERROR_COLOR), 0.7)
    return Panel(title, _gray(image), overlay)


def map_panel(title: str, values: np.ndarray, limit: float, regions: Mapping[str, np.ndarray] | None = None) -> Panel:
    """An uncertainty map with the outlines of the regions that counted.

    Args:
        title: a word above it.
        values: ``(h, w)``, from 0 on.
        limit: what is drawn in the brightest colour.
        regions: name in :data:`REGION_COLORS` -> boolean ``(h, w)``.

    Example:
        >>> map_panel("uncertainty", np.array([[0.0, 0.2]]), 0.4).image.tolist()
        [[0.0, 0.5]]
    """
    shown = np.clip(np.nan_to_num(values, nan=0.0) / limit, 0, 1) if limit > 0 else np.zeros(values.shape)
    return Panel(title, shown, heat=True, outlines=dict(regions or {}))


def write_panels(rows: Sequence[Sequence[Panel]], path: str | Path, row_titles: Sequence[str] = ()) -> tuple[int, int]:
    """Write rows of panels as one PNG, with the titles of the first row above them.

    Args:
        rows: panels of one shape.
        path: where the PNG goes; its folder is made. The file is complete or absent.
        row_titles: a word to the left of each row, or nothing.

    Returns:
        Width and height in pixels.

    Raises:
        ValueError: there is nothing to draw, or the panels differ in shape.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_panels([[image_panel("image", np.zeros((1, 24, 24)))]], Path(folder) / "a.png")
        (320, 355)
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from monai_al.records.files import write_file  # here, because the data package loads torch

    shapes = {panel.image.shape[:2] for row in rows for panel in row}
    if len(shapes) != 1:
        raise ValueError(f"panels of one picture need one shape, got {sorted(shapes) or 'none'}")
    width, height = _panel_size(*shapes.pop())
    columns = max(map(len, rows))
    font = max(columns * (width + _GAP) // (8 + 6 * columns), 12)
    left, top = (round(1.5 * font) if row_titles else 0), font + 12
    total = (left + columns * (width + _GAP) - _GAP, top + len(rows) * (height + _GAP) - _GAP)
    figure = Figure(figsize=(total[0] / _DPI, total[1] / _DPI), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    points = font * 72 / _DPI
    for i, row in enumerate(rows):
        y = top + i * (height + _GAP)
        if row_titles:
            middle = (0.55 * font / total[0], 1 - (y + height / 2) / total[1])
            figure.text(*middle, row_titles[i], size=points, rotation=90, ha="center", va="center")
        for j, panel in enumerate(row):
            x = left + j * (width + _GAP)
            place = (x / total[0], 1 - (y + height) / total[1], width / total[0], height / total[1])
            draw_panel(figure.add_axes(place), panel)
            if i == 0:
                middle = ((x + width / 2) / total[0], 1 - (top - 8) / total[1])
                figure.text(*middle, panel.title, size=points, ha="center", va="baseline")
    write_file(Path(path), lambda file: figure.savefig(file, format="png"))
    return total


def _panel_size(rows: int, columns: int) -> tuple[int, int]:
    """Width and height of a panel in pixels."""
    longer = max(rows, columns)
    scale = min(max(longer, _SMALLEST), _LARGEST) / longer
    return max(round(columns * scale), 1), max(round(rows * scale), 1)


def draw_panel(axes: Axes, panel: Panel) -> None:
    """Draw a panel over all of some axes, without its title.

    Args:
        axes: of matplotlib; whoever calls gives them the shape of the image.
        panel: what to draw.

    Example:
        >>> from matplotlib.figure import Figure
        >>> axes = Figure().add_subplot()
        >>> draw_panel(axes, label_panel("truth", np.zeros((1, 4, 4)), np.eye(4, dtype=int)))
        >>> len(axes.images)
        2
    """
    axes.set_axis_off()
    smooth = "bicubic" if max(panel.image.shape) <= _LARGEST else "antialiased"
    colors, pixels = ("magma", "nearest") if panel.heat else ("gray", smooth)
    axes.imshow(panel.image, cmap=colors, vmin=0, vmax=1, interpolation=pixels, aspect="auto")
    if panel.overlay is not None:
        axes.imshow(panel.overlay, interpolation="nearest", aspect="auto")
    for name in sorted(panel.outlines, key=_REGION_WIDTHS.__getitem__):
        _outline(axes, panel.outlines[name], REGION_COLORS[name], _REGION_WIDTHS[name])


def _outline(axes: Axes, mask: np.ndarray, color: str, width: float) -> None:
    """The edges between the pixels inside and outside of a mask."""
    from matplotlib.collections import LineCollection

    edges = LineCollection(_edges(mask), colors=color, linewidths=width, capstyle="projecting")
    axes.add_collection(edges, autolim=False)


def _edges(mask: np.ndarray) -> list[list[tuple[float, float]]]:
    """Line segments ``[(x, y), (x, y)]`` around the pixels of a mask; pixel ``[i, j]`` has its center at ``(j, i)``."""
    padded = np.pad(np.asarray(mask, dtype=bool), 1)
    across = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1]) - 0.5
    along = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1]) - 0.5
    lines = [[(x, y), (x + 1, y)] for y, x in across.tolist()]
    return lines + [[(x, y), (x, y + 1)] for y, x in along.tolist()]


def _gray(image: np.ndarray) -> np.ndarray:
    """The brightness ``(h, w)`` of an image, on which colours show."""
    from monai_al.data.colours import brightness  # which loads torch

    shown = gray_or_color(image)
    return shown if shown.ndim == 2 else brightness(np.moveaxis(shown, -1, 0))[0]


def _hatching(mask: np.ndarray) -> np.ndarray:
    """RGBA ``(h, w, 4)`` with gray stripes over a mask."""
    rows, columns = np.indices(mask.shape)
    period = max(4, max(mask.shape) // 24)
    stripe = (rows + columns) % period < period // 2
    overlay = np.zeros((*mask.shape, 4))
    overlay[mask] = (0.6, 0.63, 0.66, 0.55)
    overlay[mask & stripe] = (0.85, 0.87, 0.89, 0.75)
    return overlay


def _rgb(color: str) -> tuple[float, ...]:
    return tuple(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
