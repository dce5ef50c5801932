# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Names of classes that no editor changes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

__all__ = ["ascii_text", "editor_name", "editor_names"]

_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "µ": "u"})


def ascii_text(text: str) -> str:
    """Letters without their accents, and without what ASCII does not know.

    Example:
        >>> ascii_text("Hör_rinde 肝")
        'Hor_rinde '
    """
    return unicodedata.normalize("NFKD", text.translate(_LETTERS)).encode("ascii", "ignore").decode()


def editor_name(name: str) -> str:
    """A name as it comes back from every editor: ASCII, no quotes, and a space for each underscore.

    3D Slicer takes the underscores of a colour table for spaces, and ITK-SNAP knows no quotes within a name.

    Example:
        >>> editor_name("Hör_rinde  (links)"), editor_name("'a' b"), editor_name("肝")
        ('Hor rinde (links)', 'a b', '')
    """
    return " ".join(re.sub(r"[\"'`#\\]|[^ -~\s]", "", ascii_text(name)).replace("_", " ").split())


def editor_names(classes: Sequence[str]) -> list[str]:
    """The names of all classes as editors show them; none is empty, and no two differ by case alone.

    Args:
        classes: background first; the position is the class number.

    Example:
        >>> editor_names(["background", "left_ventricle", "left ventricle", "心"])
        ['background', 'left ventricle', 'left ventricle 2', 'class 3']
    """
    found: list[str] = []
    taken: set[str] = set()
    for number, name in enumerate(classes):
        wanted = editor_name(name) or f"class {number}"
        unique, again = wanted, number
        while unique.casefold() in taken:
            unique, again = f"{wanted} {again}", again + 1
        taken.add(unique.casefold())
        found.append(unique)
    return found
