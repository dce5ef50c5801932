# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors about bundles, and how a command shows errors in the user's input."""

from __future__ import annotations

import contextlib
import difflib
import logging
import sys
import traceback as traceback_module
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from monai_al.records import DataError, RunFolderError

__all__ = ["BundleConfigError", "own_errors", "show_errors_briefly", "unknown_ids"]


class BundleConfigError(ValueError):
    """A bundle's config, overlay or override that cannot work; the message names the key and what to do.

    Example:
        >>> raise BundleConfigError("--roundz: nothing refers to it")
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: --roundz: nothing refers to it
    """


NEXT_PROBLEM = "\n       "  # between problems that one message tells, below each other after "error: "
_USER_ERRORS = (BundleConfigError, DataError, RunFolderError)


def show_errors_briefly() -> None:
    """On MONAI's command line, show an error in the user's input as one clear message instead of a traceback.

    Elsewhere (a notebook, a test, a script) nothing changes. The traceback stays in the log at level DEBUG.

    Example:
        >>> show_errors_briefly()
    """
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is not None and spec.name.startswith("monai.bundle"):
        sys.excepthook = _brief_hook


def _brief_hook(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
    found = _user_error(error)
    if found is None:
        sys.__excepthook__(kind, error, traceback)
    else:
        logging.getLogger(__name__).debug("", exc_info=(kind, error, traceback))
        print(f"error: {found}", file=sys.stderr)


def _user_error(error: BaseException | None) -> BaseException | None:
    """The first error of a chain that this package raised about its input."""
    while error is not None:
        if isinstance(error, _USER_ERRORS) or isinstance(error, (ValueError, TypeError)) and _raised_here(error):
            return error
        error = error.__cause__
    return None


def _raised_here(error: BaseException) -> bool:
    frames = traceback_module.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).is_relative_to(Path(__file__).parents[1])


@contextlib.contextmanager
def own_errors() -> Iterator[None]:
    """Let an error of ours through as it is, which MONAI wraps into one that names only the component.

    Example:
        >>> with own_errors():
        ...     raise RuntimeError("Failed to instantiate component") from DataError("case_1.nii.gz: holds NaN")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: case_1.nii.gz: holds NaN
    """
    try:
        yield
    except RuntimeError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, _USER_ERRORS):
            cause = cause.__cause__
        if cause is None:
            raise
        raise cause from None


def unknown_ids(ids: Sequence[str], known: Any, why: str) -> str:
    """A sentence about ids that do not exist, with the nearest ones that do.

    Example:
        >>> unknown_ids(["roundz"], ["rounds", "seed"], "nothing refers to it")
        '--roundz: nothing refers to it; did you mean rounds?'
    """
    lines = []
    for id in ids:
        near = difflib.get_close_matches(id, sorted(known), n=3)
        lines.append(f"--{id}: {why}" + (f"; did you mean {', '.join(near)}?" if near else ""))
    return "; ".join(lines)
