# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Annotate the work of a run in napari."""

from __future__ import annotations

import os
import sys
from typing import Any

from monai_al.integrations.napari_dock import NapariDock, progress_text
from monai_al.integrations.napari_session import NapariSession
from monai_al.integrations.work_desk import WorkDesk
from monai_al.records import DataError, round_title

__all__ = ["annotate_in_napari", "check_display", "open_desk"]

_AUTOSAVE = 2000  # milliseconds


def check_display() -> None:
    """Refuse to start where napari, Qt or a display is missing, because Qt would end the process.

    Raises:
        DataError: the message says what to install or to do.

    Example:
        >>> check_display()  # doctest: +SKIP
    """
    try:
        import napari  # noqa: F401
        from qtpy import QtWidgets  # noqa: F401
    except Exception as error:  # also what qtpy raises where there is no Qt
        raise DataError(
            f"annotate needs napari and Qt ({error}): pip install 'monai_al[napari]'; or edit the files in the run's "
            "folder annotate with any other program"
        ) from None
    is_there = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))
    if sys.platform.startswith("linux") and not is_there:
        raise DataError("annotate needs a display, and DISPLAY is not set: run it on a desktop, or by ssh -X")


def open_desk(desk: WorkDesk, *, show: bool = True) -> tuple[Any, NapariSession, NapariDock]:
    """A viewer with the dock, at the first slice that is waiting. What is drawn is kept every two seconds.

    Args:
        desk: the work.
        show: show the window.

    Example:
        >>> viewer, session, dock = open_desk(desk)  # doctest: +SKIP
    """
    import napari
    from qtpy.QtCore import QTimer

    viewer = napari.Viewer(title=f"{desk.run.resolve().name}, {round_title(desk.round)}", show=show)
    session = NapariSession(viewer, desk)
    dock = NapariDock(session)
    viewer.window.add_dock_widget(dock.widget, name="requested slices", area="right")
    timer = QTimer(dock.widget)
    timer.timeout.connect(session.keep)
    timer.start(_AUTOSAVE)
    session.go_on()
    if session.current is None:  # all is done
        session.show(desk.slices[0].row.id)
    return viewer, session, dock


def annotate_in_napari(desk: WorkDesk) -> list[str]:
    """Open the work in napari, and wait until the window is closed.

    Args:
        desk: the work.

    Returns:
        What is to be told in the end: how far the work is, and what went wrong.

    Raises:
        DataError: see :func:`check_display`.

    Example:
        >>> annotate_in_napari(desk)  # doctest: +SKIP
        ['Round 0: 4 of 20 slices done']
    """
    check_display()
    import napari

    _, session, _ = open_desk(desk)
    try:
        napari.run()
    finally:
        told = session.close()
    n_drawing = sum(one.drawing for one in desk.slices)
    drafts = [f"{n_drawing} more are begun, and kept as they are"] if n_drawing else []
    problems = [f"{one.row.id}: {one.problem}" for one in desk.slices if one.problem]
    return ["; ".join([progress_text(desk.round, desk.slices), *drafts]), *problems, *told]
