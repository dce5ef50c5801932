# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Where handlers write what they found."""

from __future__ import annotations

from pathlib import Path

from torch import distributed

__all__ = ["of_this_process", "processes", "result_path"]


def processes() -> int:
    """How many processes work together.

    Example:
        >>> processes()
        1
    """
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def result_path(path: str | Path | None, suffix: str) -> Path | None:
    """A path that was asked for, checked before anything runs.

    Raises:
        ValueError: it has another suffix.

    Example:
        >>> result_path("scores.csv", ".json")
        Traceback (most recent call last):
        ...
        ValueError: path must end in .json, got 'scores.csv'
    """
    if path is not None and Path(path).suffix != suffix:
        raise ValueError(f"path must end in {suffix}, got {str(path)!r}")
    return None if path is None else Path(path)


def of_this_process(path: Path) -> Path:
    """The path itself; where several processes work together, one for each: ``scores.rank0.json``, ...

    Example:
        >>> of_this_process(Path("scores.json")).as_posix()
        'scores.json'
    """
    return path if processes() == 1 else path.with_name(f"{path.stem}.rank{distributed.get_rank()}{path.suffix}")
