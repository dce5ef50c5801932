# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures that know what they were drawn from, so that none is drawn twice."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from monai_al.comparison.config import PlannedRun
from monai_al.records import config_hash, file_identity
from monai_al.records.files import write_file

__all__ = ["draw_once", "state_of"]

_INPUTS, _TEXT = "monai_al inputs", "monai_al text"  # text chunks of the PNG
_RESULTS = (
    "run.json",
    "encoder.json",
    "extension_*.json",
    "round_*/query.json",
    "round_*/metrics.json",
    "round_*/*.pt",
)


def draw_once(path: str | Path, inputs: Any, draw: Callable[[], str]) -> str:
    """Draw a picture, unless it was drawn from the same inputs before.

    Args:
        path: of the PNG.
        inputs: all that it shows, JSON-ready.
        draw: writes the PNG and returns what to tell of it.

    Returns:
        What there is to tell of the picture.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "a.png"
        ...     for inputs in (1, 1, 2):
        ...         draw_once(path, inputs, lambda: Image.new("L", (1, 1)).save(path) or print("drawn") or "a point")
        drawn
        'a point'
        'a point'
        drawn
        'a point'
    """
    from PIL import Image, PngImagePlugin

    path, wanted = Path(path), config_hash(inputs)
    if path.is_file():
        with contextlib.suppress(OSError), Image.open(path) as image:  # one that cannot be read is drawn anew
            if image.info.get(_INPUTS) == wanted and _TEXT in image.info:
                return image.info[_TEXT]
    text = draw()
    known = PngImagePlugin.PngInfo()
    known.add_text(_INPUTS, wanted)
    known.add_itxt(_TEXT, text)
    with Image.open(path) as image:
        image.load()
        write_file(path, lambda file: image.save(file, format="PNG", pnginfo=known, dpi=image.info.get("dpi")))
    return text


def state_of(runs: Sequence[PlannedRun]) -> list[Any]:
    """What tells whether the results of some runs have changed, JSON-ready.

    Example:
        >>> state_of([PlannedRun("random", 0, Path("no/such/folder"), (), {})])
        [['random', 0, []]]
    """
    return [
        [run.name, run.seed, [file_identity(file) for one in _RESULTS for file in sorted(run.folder.glob(one))]]
        for run in runs
    ]
