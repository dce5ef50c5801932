# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which strategies work with a bundle."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from monai_al.assets import CONFIG_SUFFIXES, asset_folders
from monai_al.bundle_check.bench import Bench
from monai_al.bundle_check.reasons import reason_of

__all__ = ["strategies_section"]


def strategies_section(bench: Bench) -> Iterator[tuple[str, str]]:
    """A row of the strategies that work, and one for each reason why others do not.

    Each overlay is laid over the loop, and all is checked that a run with it checks before it starts.

    Args:
        bench: where the bundle is tried, with its network tried.

    Example:
        >>> from types import SimpleNamespace as Made
        >>> from monai_al.records import DataError
        >>> from monai_al.strategies import Random
        >>> def check(learner):
        ...     raise DataError("strategy random needs luck")
        >>> asked = Made(learner=lambda *files: Made(strategy=Random()))
        >>> next(strategies_section(Made(asked=asked, scratch=Path(), check=check)))[1].partition(": ")[2]
        'needs luck'
    """
    by_reason: dict[str, list[str]] = {}
    for file in tqdm(overlays(), desc="trying strategies", file=sys.__stderr__, disable=None, leave=False):
        by_reason.setdefault(_reason(bench, file), []).append(file.stem)
    works = by_reason.pop("", [])
    if works:
        yield "work", ", ".join(works)
    for reason, names in by_reason.items():
        yield "do not", f"{', '.join(names)}: {reason}"


def overlays() -> list[Path]:
    """The overlays of all strategies that come with the package."""
    folder = asset_folders().get("configs", Path("configs")) / "strategies"
    return sorted(path for path in folder.glob("*") if path.suffix in CONFIG_SUFFIXES)


def _reason(bench: Bench, overlay: Path) -> str:
    """Why a strategy does not work; nothing where it does."""
    name = ""
    try:
        learner = bench.asked.learner(bench.scratch / "run", overlay)
        name = learner.strategy.name
        bench.check(learner)
    except Exception as error:
        return reason_of(error).removeprefix(f"strategy {name} ")
    return ""
