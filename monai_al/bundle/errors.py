# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors about bundles."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator, Sequence
from typing import Any

from monai_al.failures import chain, is_deliberate, show_errors_briefly, shown_errors
from monai_al.failures.configs import of_package
from monai_al.failures.words import one_line

__all__ = [
    "BundleConfigError",
    "failing_by_itself",
    "own_errors",
    "show_errors_briefly",
    "shown_errors",
    "unknown_ids",
]


class BundleConfigError(ValueError):
    """A bundle's config, overlay or override that cannot work; the message names the key and what to do.

    Example:
        >>> raise BundleConfigError("--roundz: nothing refers to it")
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: --roundz: nothing refers to it
    """


_MOST_TOLD = 4  # unknown ids that one message names
NEXT_PROBLEM = "\n       "  # between problems that one message tells, below each other after "error: "


@contextlib.contextmanager
def own_errors() -> Iterator[None]:
    """Let an error of ours through as it is, which MONAI wraps into one that names only the component.

    Example:
        >>> from monai_al.records import DataError
        >>> with own_errors():
        ...     raise RuntimeError("Failed to instantiate component") from DataError("case_1.nii.gz: holds NaN")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: case_1.nii.gz: holds NaN
    """
    try:
        yield
    except RuntimeError as error:
        ours = next((one for one in chain(error) if is_deliberate(one)), None)
        if ours is None:
            raise
        raise ours from None


@contextlib.contextmanager
def failing_by_itself(name: str) -> Iterator[None]:
    """Say that a training cannot be built, whoever runs it, and why.

    Args:
        name: what the message calls the training config.

    Raises:
        BundleConfigError: in place of what is raised within, unless that is an error of ours.

    Example:
        >>> with failing_by_itself("train.json"):
        ...     {}["epochs"]
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: train.json fails by itself, before active learning begins: KeyError...
    """
    try:
        with own_errors():
            yield
    except Exception as error:
        if is_deliberate(error):
            raise
        # MONAI's own errors tell only which component or expression could not be made
        cause = next((one for one in chain(error) if not str(one).startswith("Failed to ")), error)
        package = next(filter(None, map(of_package, chain(error))), None)
        why = package or f"{type(cause).__name__}: {one_line(str(cause))}"
        raise BundleConfigError(f"{name} fails by itself, before active learning begins: {why}") from error


def unknown_ids(ids: Sequence[str], known: Any, why: str) -> str:
    """A sentence about ids that do not exist, with the nearest ones that do.

    Example:
        >>> unknown_ids(["roundz"], ["rounds", "seed"], "nothing refers to it")
        '--roundz: nothing refers to it; did you mean rounds?'
        >>> unknown_ids(["lr"], ["learning_rate", "seed"], "nothing refers to it")
        '--lr: nothing refers to it; did you mean learning_rate?'
    """
    lines = []
    for id in ids[:_MOST_TOLD]:
        near = difflib.get_close_matches(id, sorted(known), n=3) or [
            one for one in sorted(known) if _initials(one) == id
        ]
        lines.append(f"--{id}: {why}" + (f"; did you mean {', '.join(near)}?" if near else ""))
    more = len(ids) - len(lines)
    return "; ".join([*lines, *([f"and so for {more} more"] if more else [])])


def _initials(id: str) -> str:
    return "".join(part[:1] for part in id.split("_"))
