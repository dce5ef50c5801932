# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A person in front of napari: a real window on a virtual display, its buttons pressed and its canvas drawn on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from monai_al.commands import main
from monai_al.integrations.drafts import DRAFTS
from monai_al.integrations.napari_app import open_desk
from monai_al.integrations.work_desk import WorkDesk

pytestmark = pytest.mark.display


class Person:
    """Looks at the window, presses buttons and draws."""

    def __init__(self, run):
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        self.desk = WorkDesk(run, 0, "Ada")
        self.viewer, self.session, self.dock = open_desk(self.desk)
        self.viewer.window._qt_window.resize(1200, 800)
        self.qtest, self.left = QTest, Qt.MouseButton.LeftButton
        self.wait()

    def wait(self, seconds=0.2, until=lambda: False):
        from qtpy.QtWidgets import QApplication

        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            QApplication.processEvents()
            time.sleep(0.01)

    def press(self, *names):
        for name in names:
            self.qtest.mouseClick(self.dock.buttons[name], self.left)
            self.wait()

    def stroke(self):
        """Drag the mouse over the middle of the canvas."""
        canvas = self.viewer.window._qt_viewer.canvas.native
        middle = canvas.rect().center()
        self.qtest.mousePress(canvas, self.left, pos=middle)
        for step in range(1, 6):
            at = middle + type(middle)(4 * step, 0)
            self.qtest.mouseMove(canvas, at)
            self.wait(0.02)
        self.qtest.mouseRelease(canvas, self.left, pos=at)
        self.wait()

    def saved(self):
        self.wait(20, until=lambda: not self.desk.is_writing)
        self.session.keep()

    def plane(self):
        return self.session._volume.plane(self.desk.slice_of(self.session.current.row.id))

    def close(self):
        told = self.session.close()
        self.viewer.close()
        self.wait()
        return told


@pytest.fixture(autouse=True)
def _own_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_CONFIG", str(tmp_path / "napari.yaml"))


@pytest.fixture
def person(handed):
    person = Person(handed.run.path)
    yield person
    if not person.desk._writer._shutdown:
        person.close()


def test_brush_undo_fill_erase(person):
    predicted = person.plane().copy()
    assert predicted.any()
    assert not predicted.all()
    assert person.session.current.row.number == 1
    person.press("class organ")
    person.stroke()
    drawn = person.plane().copy()
    added = drawn != predicted
    assert 3 <= added.sum() < 100
    assert (drawn[added] == 1).all()
    person.press("eraser")
    person.stroke()
    erased = person.plane().copy()
    assert not erased[added].any()
    person.press("Undo")
    np.testing.assert_array_equal(person.plane(), drawn)
    person.press("Undo")
    np.testing.assert_array_equal(person.plane(), predicted)
    person.press("Redo")
    np.testing.assert_array_equal(person.plane(), drawn)
    person.press("fill")
    person.session.draw(1)
    assert person.session.tool == "fill"
    person.press("Undo")
    person.stroke()
    assert person.plane().all()
    person.wait(5, until=lambda: person.desk.slices[0].drawing)
    assert person.dock.list.item(0).text().endswith(": drawing")


def test_done_empty_next(handed, person):
    a, b, c, d = handed.ids
    person.press("class organ")
    person.stroke()
    drawn = person.plane().copy()
    person.press("Done")
    assert person.session.current.row.id == b
    person.press("Next")
    assert person.session.current.row.id == c
    person.press("Empty")
    person.saved()
    assert handed.taken() == sorted([a, c])
    assert [person.dock.list.item(n).text().split(": ")[1] for n in range(4)] == ["done", "to do", "empty", "to do"]
    person.dock.list.setCurrentRow(0)
    person.wait()
    np.testing.assert_array_equal(person.plane(), drawn)
    person.press("Empty")  # a second thought
    assert person.session.current.row.id == b
    person.press("Done", "Done")  # as they were predicted
    person.saved()
    assert handed.taken() == sorted(handed.ids)
    assert person.desk.slices[0].row.state == "empty"
    person.press("Next")
    assert "All slices of round 0 are in" in person.session.message
    assert person.close() == []


def test_nothing_is_drawn_where_nothing_was_asked_for(person):
    before = person.session._volume.classes.copy()
    z = person.viewer.dims.current_step[0]
    person.viewer.dims.set_current_step(0, z + 2)
    person.wait()
    assert person.session.current is None
    assert "not asked for" in person.viewer.canvas.overlays.text.text
    assert not person.dock.buttons["Done"].isEnabled()
    person.stroke()
    person.session.finish()
    assert "not asked for" in person.session.message
    person.viewer.dims.set_current_step(0, z)
    for view in ({"order": (1, 0, 2)}, {"ndisplay": 3}):
        for name, value in view.items():
            setattr(person.viewer.dims, name, value)
        person.wait()
        assert not person.session._labels.editable
        person.viewer.dims.ndisplay, person.viewer.dims.order = 2, (0, 1, 2)
    assert person.session._labels.editable
    person.session._labels.n_edit_dimensions = 3
    person.session._labels.selected_label = 5
    assert (person.session._labels.n_edit_dimensions, person.session._labels.selected_label) == (2, 1)
    person.viewer.layers.remove(person.session._labels)
    person.press("Next")
    np.testing.assert_array_equal(person.session._volume.classes, before)
    assert person.session._labels in person.viewer.layers


def test_nothing_drawn_is_not_done(person):
    person.press("eraser")
    person.plane()[...] = 0
    person.press("Done")
    assert person.session.message.startswith("Nothing is drawn here")
    assert person.session.current.row.number == 1


def test_a_missing_image_is_told(handed, person):
    (handed.annotation(handed.ids[2]).parent / "image.nii.gz").unlink()
    person.dock.list.setCurrentRow(2)
    person.wait()
    assert "image.nii.gz is missing" in person.session.message
    assert person.session.current.row.number == 1


def test_the_command(handed, capsys):
    """From the start of the command to the window being closed."""
    import napari
    from napari.qt import get_qapp
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QPushButton

    get_qapp()

    def act():
        window = napari.current_viewer().window._qt_window
        next(button for button in window.findChildren(QPushButton) if button.text() == "Done").click()
        QTimer.singleShot(500, napari.current_viewer().close)

    QTimer.singleShot(1500, act)
    assert main(["annotate", str(handed.run.path), "--annotator", "Ada"]) == 0
    assert capsys.readouterr().out.splitlines() == ["Round 0: 1 of 4 slices done"]
    assert handed.taken() == [handed.ids[0]]


KILLED = """
import sys, time
from pathlib import Path
from monai_al.integrations.napari_app import open_desk
from monai_al.integrations.work_desk import WorkDesk
from qtpy.QtWidgets import QApplication
desk = WorkDesk(Path(sys.argv[1]), 0, "Ada")
viewer, session, dock = open_desk(desk)
z = viewer.dims.current_step[0]
session._labels.paint((z, 3, 3), 1)
session.keep()
if sys.argv[2] == "done":
    dock.buttons["Done"].click()
print("ready", flush=True)
while True:
    QApplication.processEvents()
    time.sleep(0.01)
"""


@pytest.mark.parametrize(("what", "seconds"), [("drawing", 0.5), ("done", 0.0), ("done", 0.1)])
def test_nothing_is_lost_by_a_kill(handed, what, seconds):
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(handed.run.path), what], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
    desk = WorkDesk(handed.run.path, 0, "Ada")
    volume = desk.open(desk.volume_of(handed.ids[0]))
    z = desk.slice_of(handed.ids[0])
    assert volume.labels[z, 3, 3] == 1
    assert desk.slices[0].is_open or not list(handed.place.rglob(DRAFTS))
    desk.finish(volume, handed.ids[0])
    desk.close()
    assert handed.taken() == [handed.ids[0]]


def test_strokes_have_their_colours_and_a_button_for_the_background(tmp_path):
    """Without a window: the viewer's model, and the dock beside it."""
    from desk import Desk
    from napari.components import ViewerModel
    from napari.qt import get_qapp

    from monai_al.integrations.napari_dock import NapariDock
    from monai_al.integrations.napari_session import NapariSession

    get_qapp()
    handed = Desk(tmp_path, scribbles=True)
    handed.ask()
    a, b, *_ = handed.ids
    desk = WorkDesk(handed.run.path, 0, "Ada")
    session = NapariSession(ViewerModel(), desk)
    dock = NapariDock(session)
    session.show(a)
    assert "one through the background (2 background stroke); no need to fill" in dock.task.text()
    assert [name for name in dock.buttons if name.startswith("class ")] == ["class organ", "class background stroke"]
    plane = session._volume.plane(desk.slice_of(a))
    assert not plane.any()  # no prediction
    session.finish()
    assert session.message.startswith("No stroke is drawn here")
    assert session.current.row.id == a
    for name, at in (("organ", 4), ("background stroke", 12)):
        dock.buttons[f"class {name}"].click()
        session._labels.paint((desk.slice_of(a), at, 8), session._labels.selected_label)
    assert set(plane.ravel().tolist()) == {0, 1, 2}
    assert 0.5 < (plane == 0).mean() < 1
    colors = session._labels.colormap.color_dict
    assert colors[0][3] == 0
    assert [round(255 * float(value)) for value in colors[2][:3]] == list(desk.values.colors[2])
    session.finish()
    assert session.current.row.id == b
    session.empty()
    session.close()
    assert {id: label.kind for id, label in handed.run.labels(0).items()} == {a: "weak", b: "full"}
