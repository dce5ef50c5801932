# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Why something does not work, in one line."""

from __future__ import annotations

import re

from monai_al.failures import chain, told
from monai_al.failures.chain import text_of
from monai_al.failures.words import one_line

__all__ = ["cause_of", "reason_of"]

_FIRST = re.compile(r"^([\w.]+(?:Error|Exception)): (.*)$", re.MULTILINE)
_TRANSFORM = re.compile(r"applying transform <?([\w.]+)")


def reason_of(error: BaseException) -> str:
    """What a run would say of an error; of one that it would take for a bug its type and text.

    Args:
        error: as it was caught.

    Example:
        >>> reason_of(KeyError("label"))
        'KeyError: label'
    """
    return told(error) or cause_of(error)


def cause_of(error: BaseException) -> str:
    """The deepest error that something followed from, and the transform that met it.

    Args:
        error: as it was caught.

    Example:
        >>> outer = RuntimeError("applying transform <monai.transforms.io.dictionary.LoadImaged object at 0x7f>")
        >>> outer.__cause__ = OSError("no such file")
        >>> cause_of(outer)
        'OSError in LoadImaged: no such file'
    """
    errors = chain(error)
    names = [name.rpartition(".")[2] for one in errors for name in _TRANSFORM.findall(str(one))]
    where = f" in {names[-1]}" if names else ""
    kind, text = type(errors[-1]).__name__, text_of(errors[-1])
    in_worker = _FIRST.search(str(errors[-1])) if "Original Traceback" in str(errors[-1]) else None
    if in_worker:  # which hands on all that it followed from as one text, the deepest first
        kind, text = in_worker[1].rpartition(".")[2], in_worker[2]
    return f"{kind}{where}: {one_line(text)}".rstrip(": ")
