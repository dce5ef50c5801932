# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What an error followed from, and who raised it."""

from __future__ import annotations

import dis
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

__all__ = ["chain", "is_deliberate", "passes_through_us", "text_of"]

_PACKAGE = Path(__file__).resolve().parents[1]
_DELIBERATE = (ValueError, TypeError, RuntimeError, OSError, ImportError)
_IN_A_WORKER = "\nOriginal Traceback (most recent call last):\n"  # torch hands on the error of a worker as text
_RAISED = re.compile(r'^ +File "([^"]+)", line .*\n +(.*)$', re.MULTILINE)


def chain(error: BaseException) -> list[BaseException]:
    """An error and what it followed from, the outermost first.

    Example:
        >>> try:
        ...     try:
        ...         {}["a"]
        ...     except KeyError as key:
        ...         raise ValueError("no a") from key
        ... except ValueError as error:
        ...     chain(error)
        [ValueError('no a'), KeyError('a')]
    """
    found: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and all(following is not one for one in found):
        found.append(following)
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    return found


def is_deliberate(error: BaseException) -> bool:
    """Whether this package raised an error about what it was given, and did not merely run into it.

    True of the classes that it defines, and of what a ``raise`` statement of its own raises.

    Example:
        >>> is_deliberate(ValueError("somebody else's"))
        False
    """
    if type(error).__module__.partition(".")[0] == __name__.partition(".")[0]:
        return True
    if not isinstance(error, _DELIBERATE):
        return False
    if _IN_A_WORKER in str(error):
        raised = _RAISED.findall(str(error))
        return bool(raised) and _is_ours(raised[-1][0]) and raised[-1][1].startswith("raise ")
    frames = list(_frames(error.__traceback__))
    if not frames or not _is_ours(frames[-1].tb_frame.f_code.co_filename):
        return False
    return frames[-1].tb_frame.f_code.co_code[frames[-1].tb_lasti] == dis.opmap["RAISE_VARARGS"]


def passes_through_us(error: BaseException) -> bool:
    """Whether a module of this package was at work, between where an error was caught and where it was raised.

    Example:
        >>> passes_through_us(ValueError("never raised"))
        False
    """
    ours = (_is_ours(frame.tb_frame.f_code.co_filename) for frame in _frames(error.__traceback__))
    return any(ours) or _IN_A_WORKER in str(error) and any(_is_ours(file) for file, _ in _RAISED.findall(str(error)))


def text_of(error: BaseException) -> str:
    r"""What an error says, without the traceback that torch puts into those of its workers.

    Example:
        >>> text_of(KeyError("label"))
        'label'
        >>> text_of(ValueError("Caught ValueError in worker 0.\nOriginal Traceback (most recent call last):\n"
        ...     '  File "a.py", line 1, in f\n    raise ValueError("no a")\nValueError: no a'))
        'no a'
    """
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if _IN_A_WORKER in text:
        starts = list(re.finditer(rf"^(?:[\w.]+\.)?{type(error).__name__}: ", text, re.MULTILINE))
        text = text[starts[-1].end() :] if starts else text.partition("\n")[0]
    return text.strip()


def _frames(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _is_ours(file: str) -> bool:
    return Path(file).is_relative_to(_PACKAGE)
