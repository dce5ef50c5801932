# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Slices on which a person is still drawing, kept beside the annotation file until they are called done."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from monai_al.annotators.handed_out import plane_sha256
from monai_al.records.files import write_file

__all__ = ["DRAFTS", "read_drafts", "write_drafts"]

_log = logging.getLogger(__name__)

DRAFTS = ".drafts.npz"  # hidden, so that it is not taken for an answer
_BASE = "base of "  # before an id: what the annotation file held when the draft was begun


def read_drafts(folder: Path, planes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The drafts of a volume that go on from what its annotation file holds now.

    Args:
        folder: that of the volume.
        planes: id -> class numbers that the file holds now, in stored order.

    Returns:
        Id -> class numbers. A draft is left out, with a warning, where the slice was changed elsewhere since; where the
        file of the drafts cannot be read there are none.

    Example:
        >>> import tempfile
        >>> empty, drawn = np.zeros((4, 5), np.uint8), np.ones((4, 5), np.uint8)
        >>> with tempfile.TemporaryDirectory() as name:
        ...     write_drafts(Path(name), {"a/0003": drawn}, {"a/0003": empty})
        ...     drafts = read_drafts(Path(name), {"a/0003": empty})
        ...     int(drafts["a/0003"].max()), read_drafts(Path(name), {"a/0003": drawn})
        (1, {})
    """
    path = folder / DRAFTS
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
    except Exception as error:  # whatever a broken archive raises
        _log.warning("%s: cannot be read (%s), so that no drafts are there; remove it", path, error)
        return {}
    drafts = {}
    for id, plane in planes.items():
        if id not in content or content[id].shape != plane.shape:
            continue
        if str(content[_BASE + id]) == plane_sha256(plane):
            drafts[id] = content[id].astype(np.uint8)
        elif not np.array_equal(content[id], plane):
            _log.warning("%s: the draft of %s is left out, because the slice was changed elsewhere since", path, id)
    return drafts


def write_drafts(folder: Path, drafts: Mapping[str, np.ndarray], planes: Mapping[str, np.ndarray]) -> None:
    """Keep the drafts of a volume; without any, the file is removed.

    Args:
        folder: that of the volume.
        drafts: id -> class numbers as they are drawn.
        planes: id -> class numbers that the annotation file holds.

    Example:
        >>> write_drafts(Path("no/such/folder"), {}, {})
    """
    path = folder / DRAFTS
    if not drafts:
        path.unlink(missing_ok=True)
        return
    bases = {_BASE + id: np.array(plane_sha256(planes[id])) for id in drafts}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **bases, **drafts)  # type: ignore[arg-type]
    write_file(path, lambda file: file.write(buffer.getvalue()))
