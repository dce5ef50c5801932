# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a config names as a part of the loop is such a part."""

from __future__ import annotations

from typing import Any

from monai_al.bundle import BundleConfigError

__all__ = ["check_components"]

_PARTS = {  # option -> what it is, and the methods that make it one
    "strategy": ("a strategy", ("needs", "select"), "monai_al.strategies.Random"),
    "annotator": ("an annotator", ("annotate",), "monai_al.annotators.Oracle"),
    "handlers": ("a list of handlers", ("attach",), "a class"),
}


def check_components(**parts: Any) -> None:
    """Refuse parts of the loop that are something else, such as a mapping without ``_target_``.

    Args:
        parts: ``strategy``, ``annotator``, ``handlers``; of handlers there are several.

    Raises:
        BundleConfigError: a part lacks a method that makes it one; the message names its option.

    Example:
        >>> check_components(strategy={"measure": "entropy"})
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: --strategy must be a strategy, with the method needs, got dict; ...
    """
    for option, part in parts.items():
        what, methods, example = _PARTS[option]
        for one in part if option == "handlers" and isinstance(part, (list, tuple)) else [part]:
            lacking = [method for method in methods if not callable(getattr(one, method, None))]
            if isinstance(one, type) or lacking:
                got = f"the class {one.__name__}" if isinstance(one, type) else type(one).__name__
                raise BundleConfigError(
                    f"--{option} must be {what}, with the method {(lacking or methods)[0]}, got {got}; in a config it "
                    f"has a _target_, such as {{_target_: {example}}}"
                )
