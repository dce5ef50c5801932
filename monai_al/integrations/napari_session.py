# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A work desk in a napari viewer: what is shown, where may be drawn, what the buttons do. Knows no Qt."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_al.annotators.file_values import FileValues
from monai_al.integrations.desk_volume import DeskVolume
from monai_al.integrations.work_desk import DeskSlice, WorkDesk, slice_name
from monai_al.records import DataError, round_title

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

__all__ = ["TOOLS", "NapariSession", "class_colormap"]

TOOLS = {"brush": "paint", "fill": "fill", "eraser": "erase", "move": "pan_zoom"}  # what a button says -> napari's mode
_DARKEST, _BRIGHTEST = 0.5, 99.5  # percentiles of an image that become black and white


def class_colormap(values: FileValues) -> Any:
    """The colours of the classes as napari takes them, those of the report and of the other programs.

    Args:
        values: what can be drawn; 0 is transparent, as everything else is that means nothing.

    Example:
        >>> class_colormap(FileValues(["background", "organ"])).color_dict[1]  # doctest: +SKIP
        array([0.9490196 , 0.6392157 , 0.22745098, 1.        ], dtype=float32)
    """
    from napari.utils.colormaps import DirectLabelColormap

    colors: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    for number, color in enumerate(values.colors[1:], start=1):
        colors[number] = [value / 255 for value in color]
    return DirectLabelColormap(color_dict=colors)


class NapariSession:
    """Shows one volume at a time, and lets a person draw on the requested slices alone.

    Args:
        viewer: a viewer, or its model where there is no window.
        desk: the work.

    Attributes:
        message: what is to be told.
        changed: called whenever what is shown of the work may have changed.

    Example:
        >>> session = NapariSession(viewer, desk)  # doctest: +SKIP
        >>> session.go_on()  # doctest: +SKIP
        >>> session.finish()  # doctest: +SKIP
    """

    def __init__(self, viewer: ViewerModel, desk: WorkDesk) -> None:
        self.viewer, self.desk = viewer, desk
        self.message = ""
        self.changed: Callable[[], None] = lambda: None
        self._volume: DeskVolume | None = None
        self._labels: Labels | None = None
        self._tool, self._number = "brush", min(1, len(desk.classes) - 1)
        self._busy = False
        viewer.dims.events.current_step.connect(self._moved)
        viewer.dims.events.order.connect(self._moved)
        viewer.dims.events.ndisplay.connect(self._moved)

    # -- where we are --------------------------------------------------------------------------------------------------

    @property
    def current(self) -> DeskSlice | None:
        """The requested slice that is shown; None where another one is, or the volume is seen from another side."""
        dims = self.viewer.dims
        if self._volume is None or dims.ndisplay != 2 or tuple(dims.displayed) != (1, 2):
            return None
        shown = dims.current_step[0]
        of_volume = self.desk.of_volume(self._volume.handed)
        return next((one for one in of_volume if self.desk.slice_of(one.row.id) in (shown, None)), None)

    def show(self, id: str) -> None:
        """Jump to a requested slice; what is drawn elsewhere is kept."""
        handed = self.desk.volume_of(id)
        try:
            if self._volume is None or self._volume.handed is not handed or not self._is_there():
                self.keep()
                self._open(handed)
        except (DataError, OSError) as error:
            self._tell(str(error))
            return
        volume, z = self._volume, self.desk.slice_of(id)
        assert volume is not None
        self.viewer.dims.ndisplay = 2
        self.viewer.dims.order = (0, 1, 2)
        self.viewer.dims.set_current_step(0, volume.labels.shape[0] // 2 if z is None else z)
        self.viewer.layers.selection.active = self._labels
        self._moved()

    def go_on(self) -> None:
        """Jump to the next slice that somebody has to look at."""
        slices, current = self.desk.slices, self.current
        start = 0 if current is None else slices.index(current) + 1
        for one in [*slices[start:], *slices[:start]]:
            if one.is_open and one is not current:
                self.show(one.row.id)
                return
        if all(not one.is_open for one in slices) and not self.desk.is_writing:
            self._tell(f"All slices of {round_title(self.desk.round)} are in; the command that began the run goes on.")
        self.changed()

    # -- what the buttons do -------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Call the slice done, and go on to the next."""
        current = self._asked_for("done")
        if current is None or self._volume is None:
            return
        if not self._volume.plane(self.desk.slice_of(current.row.id)).any():
            nothing = "No stroke" if self.desk.values.scribbles else "Nothing"
            self._tell(f"{nothing} is drawn here. Where there is truly nothing to annotate, press Empty.")
            return
        self._leave(current)

    def empty(self) -> None:
        """Erase what is drawn on the slice, call it empty, and go on to the next; undo brings the strokes back."""
        current = self._asked_for("empty")
        if current is None or self._volume is None or self._labels is None:
            return
        z = self.desk.slice_of(current.row.id)
        drawn = np.zeros(self._volume.labels.shape, bool)
        part = slice(None) if z is None else z
        drawn[part] = self._volume.labels[part] != 0
        if drawn.any():
            self._labels.data_setitem(np.nonzero(drawn), 0)
        self._leave(current)

    def undo(self) -> None:
        """Take the last stroke back."""
        if self._labels is not None:
            self._labels.undo()

    def redo(self) -> None:
        """Bring the stroke back that was taken back."""
        if self._labels is not None:
            self._labels.redo()

    @property
    def tool(self) -> str:
        """The tool that is in hand, one of :data:`TOOLS`."""
        return self._tool

    def take(self, tool: str) -> None:
        """Take a tool in hand, one of :data:`TOOLS`."""
        self._tool = tool
        self._moved()
        if self._is_there():
            self.viewer.layers.selection.active = self._labels

    @property
    def number(self) -> int:
        """The class that brush and fill draw."""
        return self._number

    def draw(self, number: int) -> None:
        """Draw this class from now on."""
        self._number = number
        if self._tool not in ("brush", "fill"):
            self._tool = "brush"
        self._moved()

    # -- saving --------------------------------------------------------------------------------------------------------

    def keep(self) -> None:
        """Keep what is drawn as a draft, and tell what came of what was written before."""
        if self._volume is not None:
            self.desk.keep(self._volume)
        told = self.desk.news()
        if told:
            self._tell("\n".join(told))
        self.changed()

    def close(self) -> list[str]:
        """Keep what is drawn, and wait until all is written; returns what is left to tell."""
        if self._volume is not None:
            self.desk.keep(self._volume)
        return self.desk.close()

    # ------------------------------------------------------------------------------------------------------------------

    def _tell(self, message: str) -> None:
        self.message = message
        self.changed()

    def _asked_for(self, what: str) -> DeskSlice | None:
        if self.current is None:
            self._tell(f"This slice was not asked for, so it cannot be called {what}: choose one from the list.")
        return self.current

    def _leave(self, current: DeskSlice) -> None:
        assert self._volume is not None
        self.message = ""
        self.desk.keep(self._volume)
        self.desk.finish(self._volume, current.row.id)
        self.go_on()

    def _open(self, handed: Any) -> None:
        volume = self.desk.open(handed)
        with self._quietly():
            for layer in [one for one in self.viewer.layers if one.metadata.get("monai_al")]:
                self.viewer.layers.remove(layer)
            ours = {"scale": volume.spacing, "metadata": {"monai_al": True}}
            for number, (name, image) in enumerate(volume.images.items()):
                more = {} if image.ndim > 3 else {"contrast_limits": _limits(image), "colormap": "gray"}
                self.viewer.add_image(image, name=f"{handed.volume} {name}", visible=not number, **more, **ours)
            self._labels = self.viewer.add_labels(
                volume.labels, name="annotation", opacity=0.5, colormap=class_colormap(self.desk.values), **ours
            )
            self._volume = volume
            thin = 4 if self.desk.values.scribbles else 1  # strokes are thinner than what fills a region
            self._labels.brush_size = max(2 if thin > 1 else 3, round(min(volume.labels.shape[1:]) / 24 / thin))
            self._labels.events.n_edit_dimensions.connect(self._one_slice)
            self._labels.events.mode.connect(self._mode_changed)
            self._labels.events.selected_label.connect(self._class_changed)
        self.viewer.reset_view()

    def _is_there(self) -> bool:
        return self._labels is not None and self._labels in self.viewer.layers

    @contextlib.contextmanager
    def _quietly(self) -> Iterator[None]:
        """What happens here is our doing, not the person's."""
        before, self._busy = self._busy, True
        try:
            yield
        finally:
            self._busy = before

    def _moved(self, event: Any = None) -> None:
        """Let the person draw where a slice was asked for, and nowhere else."""
        if self._busy or self._labels is None or not self._is_there():
            return
        with self._quietly():
            current = self.current
            self._labels.editable = current is not None
            if current is not None:
                self._labels.selected_label = self._number
                self._labels.mode = TOOLS[self._tool]
            heading = self.viewer.canvas.overlays.text
            heading.visible = True
            heading.text = _heading(self._volume, self.viewer.dims.current_step[0], current)
        self.changed()

    def _one_slice(self, event: Any = None) -> None:
        if self._labels is not None and self._labels.n_edit_dimensions != 2:
            self._labels.n_edit_dimensions = 2

    def _mode_changed(self, event: Any = None) -> None:
        if self._busy or self._labels is None or self.current is None:
            return
        modes = {mode: tool for tool, mode in TOOLS.items()}
        self._tool = modes.get(str(self._labels.mode), self._tool)
        self.changed()

    def _class_changed(self, event: Any = None) -> None:
        if self._busy or self._labels is None:
            return
        if 0 <= self._labels.selected_label < len(self.desk.classes):
            self._number = self._labels.selected_label
        else:  # no such class
            with self._quietly():
                self._labels.selected_label = self._number
        self.changed()


def _limits(image: np.ndarray) -> tuple[float, float]:
    values = image.ravel()[:: max(1, image.size // 1_000_000)].astype(np.float32)
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, [_DARKEST, _BRIGHTEST]) if values.size else (0.0, 0.0)
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1)


def _heading(volume: DeskVolume | None, z: int, current: DeskSlice | None) -> str:
    name = "" if volume is None else volume.handed.volume
    if current is None:
        return f"{name}, slice {z}: not asked for, nothing can be drawn here"
    return slice_name(current.row)
