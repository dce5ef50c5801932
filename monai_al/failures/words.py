# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Text of other libraries' errors, made to fit into one line."""

from __future__ import annotations

import re

__all__ = ["one_line"]

_LONGEST = 300
_COLORS = re.compile(r"\x1b\[[0-9;]*m")


def one_line(text: str) -> str:
    r"""A text in one line, shortened where it is long, without a full stop.

    Example:
        >>> one_line("Error(s) in loading:\n\tsize mismatch.")
        'Error(s) in loading: size mismatch'
    """
    joined = " ".join(_COLORS.sub("", text).split()).rstrip(".")
    return joined if len(joined) <= _LONGEST else f"{joined[:_LONGEST]}…"
