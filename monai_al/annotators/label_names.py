# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Names of classes that no editor changes, and the class that a name means."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Sequence

__all__ = ["ascii_text", "class_number", "comments", "editor_name", "editor_names", "unlike"]

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


def class_number(name: str, classes: Sequence[str]) -> int | None:
    """The class that a name means; case, spaces and underscores may differ where that leaves one class.

    Example:
        >>> [class_number(name, ["background", "left lung"]) for name in ("Left_Lung", "lung")]
        [1, None]
    """
    if name in classes:
        return list(classes).index(name)
    alike = [number for number, known in enumerate(classes) if _plain(known) == _plain(name)]
    return alike[0] if len(alike) == 1 else None


def comments(text: str) -> list[str]:
    """A text as comment lines of a table of names; none where there is no text.

    Example:
        >>> comments("draw strokes"), comments("")
        (['# draw strokes'], [])
    """
    return [f"# {line}" for line in textwrap.wrap(text, 100)]


def unlike(name: str, others: Sequence[str]) -> str:
    """A name that cannot be taken for one of others: the same, or with a number behind it.

    Example:
        >>> unlike("background stroke", ["liver"]), unlike("background stroke", ["Background_Stroke"])
        ('background stroke', 'background stroke 2')
    """
    taken, unique, number = {_plain(other) for other in others}, name, 2
    while _plain(unique) in taken:
        unique, number = f"{name} {number}", number + 1
    return unique


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())
