# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The order of numbered names."""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath

__all__ = ["natural_key"]


def natural_key(name: str | os.PathLike) -> tuple:
    """A sort key under which numbers count as numbers, folder by folder.

    Example:
        >>> sorted(["a_10", "a_2", "b/1", "a_1"], key=natural_key)
        ['a_1', 'a_2', 'a_10', 'b/1']
    """
    text = str(name)
    parts = [
        tuple(int(piece) if i % 2 else piece.lower() for i, piece in enumerate(re.split(r"(\d+)", part)))
        for part in PurePosixPath(text).parts
    ]
    return (parts, text)
