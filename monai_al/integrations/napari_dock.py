# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The dock beside napari's canvas: the requested slices, the classes, the tools, done, empty, next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monai_al.integrations.napari_session import TOOLS, NapariSession
from monai_al.integrations.work_desk import DeskSlice, slice_name
from monai_al.records import round_title
from monai_al.records.work_list import EMPTY, WAITING

__all__ = ["NapariDock", "progress_text", "slice_text", "task_text"]

_TIPS = {
    "brush": "Draw the chosen class",
    "fill": "Fill a connected area of one class with the chosen class",
    "eraser": "Erase",
    "move": "Move and zoom the image",
}
_SHORTCUTS = {"Done": "Alt+D", "Empty": "Alt+E", "Next": "Alt+N"}
_DIMMED, _WRONG = "#8f98a3", "#ff7043"


def slice_text(one: DeskSlice) -> str:
    """A requested slice as the list shows it.

    Example:
        >>> from monai_al.records.work_list import WorkRow
        >>> slice_text(DeskSlice(WorkRow(3, "a/0007", "a", "a/annotation.nii.gz", slice=7), taken=True))
        '3  a, slice 7: done'
    """
    return f"{one.row.number}  {slice_name(one.row)}: {_state(one)}"


def progress_text(round: int, slices: list[DeskSlice]) -> str:
    """How far the work is.

    Example:
        >>> progress_text(1, [])
        'Round 1: 0 of 0 slices done'
    """
    title = round_title(round)
    n_done = sum(not one.is_open for one in slices)
    return f"{title[0].upper()}{title[1:]}: {n_done} of {len(slices)} slices done"


def task_text(task: str) -> str:
    """What people are asked to draw as a sentence.

    Example:
        >>> task_text("draw strokes"), task_text("")
        ('Draw strokes.', '')
    """
    return f"{task[0].upper()}{task[1:]}." if task else ""


def _state(one: DeskSlice) -> str:
    if one.problem:
        return "not taken"
    if one.drawing:
        return "drawing"
    if one.taken:
        return EMPTY if one.row.state == EMPTY else "done"
    return "saving" if one.row.state != WAITING else "to do"


class NapariDock:
    """Shows how far the work is, and passes on what is pressed.

    Args:
        session: the work in its viewer.

    Attributes:
        widget: the Qt widget.
        buttons: name -> the button of a tool, a class or a verdict.
        list: the Qt list of the requested slices.
        task: the Qt label that says which strokes are asked for; empty where masks are.

    Example:
        >>> viewer.window.add_dock_widget(NapariDock(session).widget, name="slices")  # doctest: +SKIP
    """

    def __init__(self, session: NapariSession) -> None:
        from qtpy.QtWidgets import QLabel, QListWidget, QVBoxLayout, QWidget

        self.session = session
        self.widget: Any = QWidget()
        self.buttons: dict[str, Any] = {}
        self.list: Any = QListWidget()
        self._progress, self._why, self._told = QLabel(), QLabel(), QLabel()
        self.task = QLabel(task_text(session.desk.values.task))
        for label in (self._why, self._told, self.task):
            label.setWordWrap(True)
        layout = QVBoxLayout(self.widget)
        layout.addWidget(self._progress)
        if self.task.text():
            layout.addWidget(self.task)
        layout.addWidget(self.list, stretch=1)
        layout.addWidget(self._why)
        layout.addLayout(self._classes())
        layout.addLayout(self._tools())
        layout.addLayout(self._verdicts())
        layout.addWidget(self._told)
        for one in session.desk.slices:
            self.list.addItem(slice_text(one))
        self.list.currentRowChanged.connect(self._chosen)
        session.changed = self.refresh
        self.refresh()

    def refresh(self) -> None:
        """Show what is now."""
        from qtpy.QtGui import QBrush, QColor

        session, current = self.session, self.session.current
        self.list.blockSignals(True)
        for number, one in enumerate(session.desk.slices):
            item = self.list.item(number)
            item.setText(slice_text(one))
            item.setToolTip("\n".join(text for text in (one.row.id, one.row.reason, one.problem) if text))
            color = _WRONG if one.problem else None if one.is_open else _DIMMED
            item.setForeground(QBrush(QColor(color)) if color else QBrush())
            if one is current:
                self.list.setCurrentRow(number)
        if current is None:
            self.list.setCurrentRow(-1)
        self.list.blockSignals(False)
        self._progress.setText(progress_text(session.desk.round, session.desk.slices))
        self._why.setText(_about(current))
        for tool in TOOLS:
            self.buttons[tool].setChecked(session.tool == tool)
            self.buttons[tool].setEnabled(current is not None or tool == "move")
        for number, name in enumerate(session.desk.classes):
            if number:
                self.buttons[f"class {name}"].setChecked(session.number == number)
        for verdict in ("Done", "Empty"):
            self.buttons[verdict].setEnabled(current is not None)
        self._told.setText(session.message)

    def _chosen(self, number: int) -> None:
        if number >= 0:
            self.session.message = ""
            self.session.show(self.session.desk.slices[number].row.id)

    def _classes(self) -> Any:
        from qtpy.QtGui import QColor, QIcon, QPixmap
        from qtpy.QtWidgets import QVBoxLayout

        layout = QVBoxLayout()
        for number, name in enumerate(self.session.desk.classes):
            if not number:
                continue
            swatch = QPixmap(16, 16)
            swatch.fill(QColor(*self.session.desk.values.colors[number]))
            button = self._button(name, lambda number=number: self.session.draw(number), key=f"class {name}")
            button.setIcon(QIcon(swatch))
            button.setCheckable(True)
            what = "class" if number < len(self.session.desk.values.classes) else "value"
            button.setToolTip(f"Draw {name}, {what} {number}")
            layout.addWidget(button)
        return layout

    def _tools(self) -> Any:
        from qtpy.QtWidgets import QGridLayout

        layout = QGridLayout()
        for place, tool in enumerate(TOOLS):
            button = self._button(tool.capitalize(), lambda tool=tool: self.session.take(tool), key=tool)
            button.setCheckable(True)
            button.setToolTip(_TIPS[tool])
            layout.addWidget(button, 0, place)
        for place, (name, press) in enumerate({"Undo": self.session.undo, "Redo": self.session.redo}.items()):
            layout.addWidget(self._button(name, press), 1, 2 * place, 1, 2)
        self.buttons["Undo"].setToolTip("Take the last stroke back (Ctrl+Z)")
        self.buttons["Redo"].setToolTip("Bring it back (Ctrl+Shift+Z)")
        return layout

    def _verdicts(self) -> Any:
        from qtpy.QtWidgets import QHBoxLayout

        layout = QHBoxLayout()
        tips = {
            "Done": "The slice is right as it is: take it into the run, and go on",
            "Empty": "There is nothing on this slice: erase it, take it into the run, and go on",
            "Next": "Go on to the next slice that is not done",
        }
        presses = {"Done": self.session.finish, "Empty": self.session.empty, "Next": self.session.go_on}
        for name, press in presses.items():
            button = self._button(name, press)
            button.setShortcut(_SHORTCUTS[name])
            button.setToolTip(f"{tips[name]} ({_SHORTCUTS[name]})")
            layout.addWidget(button)
        return layout

    def _button(self, text: str, press: Callable[[], None], key: str = "") -> Any:
        from qtpy.QtWidgets import QPushButton

        button = QPushButton(text)
        button.clicked.connect(lambda *_: press())
        self.buttons[key or text] = button
        return button


def _about(current: DeskSlice | None) -> str:
    if current is None:
        return "This slice was not asked for."
    row = current.row
    where = ", ".join(
        text
        for text in (
            row.plane,
            "" if row.itksnap is None else f"ITK-SNAP {row.itksnap}",
            "" if row.slicer_mm is None else f"3D Slicer {row.slicer_mm:g} mm",
        )
        if text
    )
    why = row.reason if row.score is None else f"{row.reason} ({row.score:.4g})"
    return "\n".join(text for text in (where, f"chosen: {why}" if why else "", current.problem) if text)
