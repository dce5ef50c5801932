# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A few test slices with the predictions of several runs side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from monai_al.metrics import NOT_ANNOTATED, dice
from monai_al.report.pictures import (
    AGREEMENT_COLOR,
    ERROR_COLOR,
    Panel,
    agreement_panel,
    class_color,
    draw_panel,
    flat_labels,
    image_panel,
    label_panel,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SLICE_RULE", "ComparedSlice", "choose_slices", "slice_dice", "write_slice_panel"]

SLICE_RULE = (
    "Volumes evenly spaced in the order of the test part; of each the slice with most foreground and, in turn, the "
    "first or the last one with any"
)
VIEWS = ("classes", "agreement")

_WIDTH = 2.1  # inches of a panel


@dataclass(frozen=True)
class ComparedSlice:
    """A slice, its truth and what several runs predict; all of one shape.

    Args:
        title: which slice it is.
        image: ``(C, h, w)``.
        truth: class numbers ``(h, w)`` with 255 where nothing is annotated, or overlapping masks ``(C, h, w)``.
        predictions: name of a run -> a label map like the truth.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> empty = np.zeros((4, 4), dtype=np.uint8)
        >>> list(ComparedSlice("a/0003", np.zeros((1, 4, 4)), empty, {"random": empty}).predictions)
        ['random']
    """

    title: str
    image: np.ndarray
    truth: np.ndarray
    predictions: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        for name, prediction in self.predictions.items():
            if prediction.shape != self.truth.shape or prediction.shape[-2:] != self.image.shape[-2:]:
                raise ValueError(
                    f"{self.title}: {name} predicts the shape {prediction.shape}, the truth has {self.truth.shape}, "
                    f"the image {self.image.shape}: runs of one picture need the same preprocessing"
                )


def choose_slices(areas: Mapping[str, Sequence[int]], n: int) -> list[tuple[str, int]]:
    """Slices of several volumes, by a rule that looks at no prediction.

    From volumes that are evenly spaced among those with foreground: the slice with most foreground (the first of
    several), and the first slice with any foreground, in the next volume the last one, and so on in turn.

    Args:
        areas: volume -> annotated foreground pixels of each of its slices, in order.
        n: how many slices; fewer are taken where there are no more.

    Returns:
        Volume and position of each slice, volume by volume, in the order of the slices.

    Raises:
        ValueError: ``n`` is less than 1.

    Example:
        >>> choose_slices({"a": [0, 2, 5, 1], "b": [0, 0], "c": [3, 4, 0]}, 4)
        [('a', 1), ('a', 2), ('c', 1)]
    """
    if n < 1:
        raise ValueError(f"the number of slices must be at least 1, got {n}")
    held = {volume: np.flatnonzero(own) for volume, own in areas.items() if np.any(own)}
    names, each = list(held), 2 if any(len(slices) > 1 for slices in held.values()) else 1
    n_volumes = min(math.ceil(n / each), len(names))
    chosen: list[tuple[str, int]] = []
    for i in range(n_volumes):
        volume = names[(2 * i + 1) * len(names) // (2 * n_volumes)]
        end = held[volume][0 if i % 2 == 0 else -1]
        own = dict.fromkeys([int(np.argmax(areas[volume])), int(end)])
        chosen += [(volume, z) for z in sorted(list(own)[: min(each, n - len(chosen))])]
    return chosen


def slice_dice(prediction: np.ndarray, truth: np.ndarray, n_classes: int) -> float | None:
    """The mean Dice of the foreground classes of one slice, those that neither map holds left out.

    Args:
        prediction: a label map, of either form.
        truth: a label map of the same form; what is not annotated counts nowhere.
        n_classes: number of classes with the background.

    Returns:
        None where both maps are empty.

    Example:
        >>> slice_dice(np.array([[1, 1, 2, 0]]), np.array([[1, 0, 2, 0]]), n_classes=4)
        0.8333333333333333
    """
    if truth.ndim == 3:
        values = np.array([dice(own, true, 2)[0] for own, true in zip(prediction, truth, strict=True)])
    else:
        values = dice(prediction, truth, n_classes)
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else None


def write_slice_panel(
    slices: Sequence[ComparedSlice],
    path: str | Path,
    *,
    classes: Sequence[str],
    title: str = "",
    caption: str = "",
    view: str = "classes",
) -> None:
    """Draw a row for each slice: the image, the truth, and the prediction of each run with its Dice, as a PNG.

    Args:
        slices: with the predictions of the same runs.
        path: where the PNG goes; its folder is made. The file is complete or absent.
        classes: names of the classes, background first.
        title: title of the figure.
        caption: what stands below, such as the rule by which the slices were chosen.
        view: ``"classes"``: a color for each class; ``"agreement"``: blue where a prediction agrees with the truth on
            the foreground and red where it is wrong, as in Figure 3 of Vepa et al. (NeurIPS 2024, arXiv:2411.15763).

    Raises:
        ValueError: there are no slices, they differ in their runs, or the view is unknown.

    Example:
        >>> import tempfile
        >>> truth = np.eye(16, dtype=np.uint8)
        >>> one = ComparedSlice("case_1/0003", np.zeros((1, 16, 16)), truth, {"random": truth})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_slice_panel([one], Path(folder) / "slices.png", classes=["background", "liver"])
        ...     (Path(folder) / "slices.png").read_bytes()[1:4]
        b'PNG'
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from monai_al.records.files import write_file  # here, because the data package loads torch

    if not slices:
        raise ValueError("there are no slices to draw")
    if view not in VIEWS:
        raise ValueError(f"view must be one of {', '.join(VIEWS)}, got {view!r}")
    if len({tuple(one.predictions) for one in slices}) > 1:
        raise ValueError("the slices of one picture need predictions of the same runs")
    rows = [_panels(one, view) for one in slices]
    heights = [one.image.shape[-2] / one.image.shape[-1] for one in slices]
    size = (len(rows[0]) * _WIDTH + 0.4, sum(heights) * _WIDTH + 0.35 * len(rows) + 1.2)
    figure = Figure(figsize=size, layout="compressed", dpi=130)
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), len(rows[0]), squeeze=False, height_ratios=heights)
    for axes_of_row, panels, one, height in zip(grid, rows, slices, heights, strict=True):
        scores = [slice_dice(prediction, one.truth, len(classes)) for prediction in one.predictions.values()]
        below = ["", "", *("Dice –" if score is None else f"Dice {score:.3f}" for score in scores)]
        for axes, panel, text in zip(axes_of_row, panels, below, strict=True):
            draw_panel(axes, panel)
            axes.set_box_aspect(height)
            axes.text(0.5, -0.02, text, transform=axes.transAxes, ha="center", va="top", fontsize="small")
        place = {"transform": axes_of_row[0].transAxes, "ha": "right", "va": "center", "rotation": 90}
        axes_of_row[0].text(-0.04, 0.5, one.title, fontsize="x-small", **place)
    for axes, panel in zip(grid[0], rows[0], strict=True):
        axes.set_title(panel.title, fontsize="medium")
    figure.supxlabel(_wrapped(caption, size[0]), fontsize="x-small")
    _add_legend(figure, title, slices, classes, view)
    write_file(Path(path), lambda file: figure.savefig(file, format="png"))


def _panels(one: ComparedSlice, view: str) -> list[Panel]:
    fixed = [image_panel("image", one.image), label_panel("truth", one.image, one.truth)]
    if view == "agreement":
        return fixed + [agreement_panel(name, one.image, own, one.truth) for name, own in one.predictions.items()]
    return fixed + [label_panel(name, one.image, own) for name, own in one.predictions.items()]


def _add_legend(figure: Figure, title: str, slices: Sequence[ComparedSlice], classes: Sequence[str], view: str) -> None:
    from matplotlib.patches import Patch

    maps = [labels for one in slices for labels in (one.truth, *one.predictions.values())]
    values = sorted({int(value) for labels in maps for value in np.unique(flat_labels(labels))})
    drawn = [number for number in values if 0 < number < NOT_ANNOTATED]
    patches = [Patch(color=class_color(number), label=_class_name(classes, number)) for number in drawn]
    if view == "agreement":
        patches += [Patch(color=AGREEMENT_COLOR, label="agreement"), Patch(color=ERROR_COLOR, label="error")]
    if NOT_ANNOTATED in values:
        patches.append(Patch(color="#9aa3ab", label="not annotated"))
    look = {"fontsize": "small", "title_fontsize": "large", "frameon": False}
    figure.legend(handles=patches, title=title, loc="outside upper center", ncols=max(len(patches), 1), **look)


def _class_name(classes: Sequence[str], number: int) -> str:
    return classes[number] if number < len(classes) else f"class {number}"


def _wrapped(text: str, width: float) -> str:
    """Lines that fit into so many inches of small print."""
    import textwrap

    return "\n".join(textwrap.wrap(text, max(round(width * 16), 24)))
