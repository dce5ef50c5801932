# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a run has nothing left to do when it is started again."""

from __future__ import annotations

from collections.abc import Sequence

from monai_al.records import RunFolder
from monai_al.records.manifest import MANIFEST

__all__ = ["CURVE", "is_finished"]

CURVE = "report/learning_curve.png"


def is_finished(folder: RunFolder, sizes: Sequence[int]) -> bool:
    """Whether all rounds are evaluated and closed, and their curve is drawn; never where a record cannot be read.

    Args:
        folder: the run folder.
        sizes: how many items each round asks for now.

    Example:
        >>> is_finished(RunFolder("no/such/run"), [4, 4])
        False
    """
    try:
        if not (folder.is_done() and folder.sizes() == list(sizes)):
            return False
    except ValueError:  # a damaged record, which is told where the whole folder is checked
        return False
    closed, drawn = folder.round_path(len(sizes) - 1) / MANIFEST, folder.path / CURVE
    written = all(path.exists() for path in (closed, drawn, folder.path / "curve.csv"))
    return written and drawn.stat().st_mtime_ns >= closed.stat().st_mtime_ns  # else it was stopped just before
