# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The page that a check prints."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from monai_al.bundle_check.collected import CheckedBundle, CheckedSection

__all__ = ["bundle_page"]

_WIDTH, _COLUMN = 110, 18


def bundle_page(checked: CheckedBundle) -> str:
    """The text of a check, one section below the other.

    Args:
        checked: what it found.

    Example:
        >>> print(bundle_page(CheckedBundle("train.json", (CheckedSection("data", (("items", "40"),)),))))
        train.json: active learning works
        <BLANKLINE>
        data
          items           40
    """
    verdict = "active learning works" if checked.works else "active learning does not work"
    sections = ("\n".join(_lines(section, checked.name)) for section in checked.sections)
    return "\n\n".join([f"{checked.name}: {verdict}", *sections])


def _lines(section: CheckedSection, name: str) -> Iterator[str]:
    yield section.title
    for what, text in section.rows:
        yield from _row(what, text)
    if section.problem is not None:  # the page has the path of the config above
        yield from _row("problem", section.problem.replace(name, Path(name).name))


def _row(name: str, text: str) -> list[str]:
    first = f"  {name}".ljust(_COLUMN)
    if text.startswith("python "):  # a command stays in one line, to be copied
        return [f"  {text}"]
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first if len(first) == _COLUMN else f"{first} ",
        subsequent_indent=" " * _COLUMN,
        break_on_hyphens=False,
        break_long_words=False,
    )
