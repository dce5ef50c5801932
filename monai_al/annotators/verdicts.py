# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether what a file says of a slice is an answer, or why it is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_al.annotators.handed_out import plane_sha256
from monai_al.records import NOT_ANNOTATED
from monai_al.records.work_list import DONE, EMPTY, STATES, WAITING

__all__ = ["Verdict", "verdict_of"]


@dataclass(frozen=True)
class Verdict:
    """What is thought of one slice in one file.

    Args:
        why_not: why it is no answer, in words for people; None where it is one.
        touched: it differs from what was handed out.

    Example:
        >>> Verdict(None, touched=True).is_answer
        True
    """

    why_not: str | None
    touched: bool

    @property
    def is_answer(self) -> bool:
        """Whether the slice can be taken."""
        return self.why_not is None


def verdict_of(plane: np.ndarray, digest: str, state: str, *, scribbles: bool = False) -> Verdict:
    """Judge a slice by its voxels and by what the work list says of it.

    A slice that is as it was handed out may not have been looked at, and one without any label may not have been begun,
    so that those count only where somebody has said so.

    Args:
        plane: class numbers in stored order, 255 where the file says nothing.
        digest: of what was handed out.
        state: ``waiting``, ``done`` (I looked, leave it as it is) or ``empty`` (there is truly nothing).
        scribbles: it holds strokes, and those of the background alone are an answer, too.

    Example:
        >>> handed_out = np.zeros((4, 5), np.uint8)
        >>> verdict_of(handed_out, plane_sha256(handed_out), "waiting").why_not
        "is empty: where there is truly nothing, set its state in worklist.csv to 'empty'"
    """
    touched = plane_sha256(plane) != digest
    if state not in STATES:
        return Verdict(f"has the state {state!r} in worklist.csv, which is none of {', '.join(STATES)}", touched)
    n_labeled = int(np.count_nonzero((plane != 0) & (plane != NOT_ANNOTATED)))
    if scribbles and (plane == NOT_ANNOTATED).all():
        return Verdict(
            "holds no stroke, so that it annotates nothing: draw one through each region of each class and one through "
            f"the background; where there is truly nothing, set its state in worklist.csv to {EMPTY!r}", touched,
        )  # fmt: skip
    if (plane == NOT_ANNOTATED).all():
        return Verdict("is not in the file, or nothing of it is annotated", touched)
    if not n_labeled and state != EMPTY and not scribbles:
        return Verdict("is empty: where there is truly nothing, set its state in worklist.csv to 'empty'", touched)
    if n_labeled and state == EMPTY:
        return Verdict(
            f"is called empty in worklist.csv, but {n_labeled} of its voxels are labeled: erase them, or set its state "
            f"to {DONE!r}", touched,
        )  # fmt: skip
    if not touched and state == WAITING:
        return Verdict("is as it was handed out: where that is right, set its state in worklist.csv to 'done'", touched)
    return Verdict(None, touched)
