# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""One knob of a bundle: what it takes, what it says of a value that it does not take, and how it reads a typed one."""

from __future__ import annotations

import ast
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from monai_al.options.literals import is_expression

__all__ = ["Option"]

KINDS = {
    "whole": "a whole number",
    "number": "a number",
    "flag": "true or false",
    "text": "a text",
    "path": "a path",
    "choice": "one of",
    "wholes": "a list of whole numbers",
    "numbers": "a list of numbers",
    "names": "a list of names",
    "budget": "items per round (1 or more), shares of the pool in (0, 1], or a list of either",
    "config": "a part of a config",
}
_FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_UNSET = ("null", "none", "~", "")


@dataclass(frozen=True, kw_only=True)
class Option:
    """A knob of a bundle's configs.

    Args:
        name: its id.
        section: where the docs and the help list it.
        kind: one of ``KINDS``.
        help: one line, without a full stop.
        low: smallest number, itself allowed.
        high: largest number, itself allowed.
        above: numbers must lie above it.
        below: numbers must lie below it.
        choices: of a ``choice``; of a ``config`` or a ``number``: names that stand for one.
        entries: how many a list holds at least and at most.
        optional: may be null.

    Raises:
        ValueError: there is no such kind.

    Example:
        >>> Option(name="steps", section="training", kind="whole", help="steps per round", low=1).takes
        'a whole number of at least 1'
    """

    name: str
    section: str
    kind: str
    help: str
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    entries: tuple[int, int] | None = None
    optional: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"option {self.name}: kind {self.kind!r} is none of {', '.join(KINDS)}")

    @property
    def takes(self) -> str:
        """What values it takes, in words."""
        words = KINDS[self.kind]
        if self.kind == "choice":
            words = " or ".join(filter(None, (", ".join(self.choices[:-1]), self.choices[-1])))
        elif self.kind in ("config", "number") and self.choices:
            words = f"{', '.join(self.choices)}, or {words}"
        if self.entries is not None:
            fewest, most = self.entries
            count = str(fewest) if fewest == most else f"{fewest} or more" if most > 99 else f"{fewest} to {most}"
            words = words.replace("a list of", f"a list of {count}")
        return words + self._range() + (", or null" if self.optional else "")

    def _range(self) -> str:
        words = {"of at least": self.low, "above": self.above, "at most": self.high, "below": self.below}
        limits = [
            f"{word} {limit:g}" if limit < 1e6 else f"{word} {int(limit)}"
            for word, limit in words.items()
            if limit is not None
        ]
        return (" each " if self.kind in ("wholes", "numbers") and limits else " " if limits else "") + " and ".join(
            limits
        )

    def checked(self, value: Any) -> Any:
        """The value as the option means it.

        A number that came as text (YAML reads ``1e-4`` so) becomes one, and so does a flag. Expressions and references
        stay as they are.

        Raises:
            ValueError: it is none; the message names the option, what it takes, and what it got.

        Example:
            >>> rate = Option(name="rate", section="training", kind="number", help="learning rate", above=0)
            >>> rate.checked("1e-4")
            0.0001
            >>> rate.checked(-1)
            Traceback (most recent call last):
            ...
            ValueError: --rate must be a number above 0, got -1
        """
        if value is None and self.optional or is_expression(value):
            return value
        found = getattr(self, f"_{self.kind}")(value)
        if found is None:
            raise ValueError(f"--{self.name} must be {self.takes}, got {_shown(value)}{self._advice(value)}")
        return found

    def typed(self, text: str) -> Any:
        """The value of what was typed on a command line: texts and paths as they stand, the rest as Python or YAML.

        A ``~`` at the start of a path is the home folder.

        Raises:
            ValueError: it is no value of this option.

        Example:
            >>> Option(name="dir", section="data", kind="path", help="a folder").typed("2024")
            '2024'
        """
        if self.optional and text.lower() in _UNSET:
            return None
        if self.kind in ("text", "path"):
            if not text.strip():
                raise ValueError(f"--{self.name} must be {self.takes}, got nothing")
            return os.path.expanduser(text) if self.kind == "path" else text
        stands = self.kind == "choice" or text in self.choices or is_expression(text)
        return self.checked(text if stands else _read(text))

    # -- one method for each kind: the value, or None where it is none ------------------------------------------------

    def _whole(self, value: Any) -> int | None:
        number = _number(value)
        return int(number) if number is not None and number == int(number) and self._holds(number) else None

    def _number(self, value: Any) -> float | str | None:
        if value in self.choices:
            return value
        number = _number(value)
        return number if number is not None and self._holds(number) else None

    def _holds(self, number: float) -> bool:
        return not (
            self.low is not None and number < self.low
            or self.high is not None and number > self.high
            or self.above is not None and number <= self.above
            or self.below is not None and number >= self.below
        )  # fmt: skip

    def _flag(self, value: Any) -> bool | None:
        return value if isinstance(value, bool) else _FLAGS.get(str(value).lower())

    def _text(self, value: Any) -> str | None:
        return value if isinstance(value, str) and value.strip() else None

    def _path(self, value: Any) -> str | None:
        text = self._text(value)
        return None if text is None else os.path.expanduser(text)

    def _choice(self, value: Any) -> str | None:
        return value if value in self.choices else None

    def _wholes(self, value: Any) -> list[Any] | None:
        return self._each(value, self._whole)

    def _numbers(self, value: Any) -> list[Any] | None:
        return self._each(value, self._number)

    def _each(self, value: Any, one: Callable[[Any], Any]) -> list[Any] | None:
        if not isinstance(value, (list, tuple)) or not self._as_many(value):
            return None
        found = [entry if is_expression(entry) else one(entry) for entry in value]
        return None if None in found else found

    def _names(self, value: Any) -> list[str] | None:
        fits = isinstance(value, (list, tuple)) and self._as_many(value) and all(isinstance(n, str) for n in value)
        return list(value) if fits else None

    def _as_many(self, value: list | tuple) -> bool:
        return self.entries is None or self.entries[0] <= len(value) <= self.entries[1]

    def _budget(self, value: Any) -> Any:
        values = value if isinstance(value, (list, tuple)) else [value]
        found = [_number(entry) for entry in values]
        if not found or any(number is None or isinstance(number, float) and not 0 < number <= 1 for number in found):
            return None
        if any(isinstance(number, int) and number < 1 for number in found):
            return None
        return found if isinstance(value, (list, tuple)) else found[0]

    def _config(self, value: Any) -> Any:
        if isinstance(value, (Mapping, list)):
            return value
        return value if value in self.choices else None

    def _advice(self, value: Any) -> str:
        """What to do, beyond the message, about a value that is easily mistaken."""
        if isinstance(value, str) and value.strip()[:1] in "[{" and value.strip()[-1:] not in "]}":
            return f'; put a list into quotes: --{self.name} "[64,64]"'
        if self.kind in ("text", "path") and isinstance(value, (int, float)):
            return f"; in a config, put it into quotes: '{value}'"
        if self.kind in ("choice", "config", "number") and isinstance(value, str) and self.choices:
            import difflib

            near = difflib.get_close_matches(value.lower(), self.choices, n=1)
            return f"; did you mean {near[0]}?" if near else ""
        if "an overlay of" in self.help and isinstance(value, str) and value.lower() not in _UNSET:
            return f"; name its overlay instead, such as python -m monai_al run NAME {value}"
        if self.kind == "wholes" and self._whole(value) is not None:
            return f'; such as --{self.name} "[{value},{value}]"'
        return ""


def _number(value: Any) -> int | float | None:
    """A finite number, also of its text."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", value.strip()):
        value = int(value) if re.fullmatch(r"[-+]?\d+", value.strip()) else float(value)
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return value if fits else None


def _read(text: str) -> Any:
    """What a text says: a number, what Python reads in it, as MONAI's command line does, or what YAML reads."""
    number = _number(text)
    if number is not None:
        return number  # YAML reads 010 as 8 and 1:30 as 90
    try:
        return ast.literal_eval(text)
    except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        pass
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return text if isinstance(found, float) or type(found) is int else found


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
