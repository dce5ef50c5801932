# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The command that would start the run that was checked."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from monai_al.bundle_check.bench import Bench

__all__ = ["next_section"]


def next_section(bench: Bench) -> Iterator[tuple[str, str]]:
    """A row with the command.

    Args:
        bench: where the bundle was tried.

    Example:
        >>> from pathlib import Path
        >>> from types import SimpleNamespace as Made
        >>> from monai_al.bundle_check import AskedCheck
        >>> from monai_al.sources.entry_source import EntrySource
        >>> asked = AskedCheck((Path("theirs/train.json"),), (), typed={"epochs": "9"})
        >>> bench = Made(asked=asked, source=EntrySource([{"image": "/data/a.png"}] * 2, [], preprocessing=[]))
        >>> dict(next_section(bench))["start"].partition("active_learning ")[2]
        '--training_config theirs/train.json --epochs 9 --output_dir runs/theirs --rounds 1 --budget 1'
    """
    asked = bench.asked
    training, *laid = asked.training_names
    options: dict[str, str | None] = {"training_config": training}
    if laid:
        options["train_overlays"] = str([*laid, *asked.options.get("train_overlays", ())])
    options |= {name: text for name, text in asked.typed.items() if name not in options}
    options.setdefault("output_dir", f"runs/{asked.bundle}")
    if not {"rounds", "budget"} & set(options):
        rounds, budget = sizes(len(bench.source.data.part("train")))
        options |= {"rounds": str(rounds), "budget": str(budget)}
    words = ["run", "active_learning", *asked.names]
    words += [word for name, text in options.items() for word in (f"--{name}", text) if word is not None]
    yield "start", f"python -m monai_al {shlex.join(words)}"


def sizes(n_items: int) -> tuple[int, int]:
    """Rounds and items of each that leave items to choose from.

    Example:
        >>> sizes(1000), sizes(40), sizes(2)
        ((4, 24), (4, 5), (2, 1))
    """
    budget = max(1, min(24, n_items // 8))
    return min(4, n_items // budget or 1), budget
