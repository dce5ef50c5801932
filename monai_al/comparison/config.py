# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What is compared: a small config file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from monai_al.data import DataError

__all__ = ["Comparison", "PlannedRun", "read_comparison"]


@dataclass(frozen=True)
class Comparison:
    """Several ways to choose, each run with every seed.

    Args:
        title: what is compared.
        bundle: path of the loop's config.
        overlays: paths of overlays for all runs.
        options: id -> value for all runs, as on the command line.
        seeds: one run of everything for each.
        runs: name -> overlays and options of its own, in the order of the table.
        everything: name of the run on all labels, the line to reach; None where there is none.
        published: a table to print beside ours: ``source``, ``columns`` and ``rows``, name -> values.

    Example:
        >>> comparison = Comparison("a", "al.yaml", runs={"random": {}, "entropy": {}}, seeds=(0, 1))
        >>> [(run.name, run.seed) for run in comparison.planned("out")]
        [('random', 0), ('entropy', 0), ('random', 1), ('entropy', 1)]
    """

    title: str
    bundle: str
    overlays: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2)
    runs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    everything: str | None = None
    published: Mapping[str, Any] | None = None

    def planned(self, output_dir: str | Path) -> list[PlannedRun]:
        """All runs, seed by seed, so that what is there at any time is a table of fewer seeds."""
        cache = {"cache_dir": str(Path(output_dir).resolve() / "cache")}
        return [
            PlannedRun(
                name,
                seed,
                Path(output_dir) / name.replace(" ", "_") / f"seed_{seed}",
                (self.bundle, *self.overlays, *own.get("overlays", ())),
                {**cache, **self.options, **own.get("options", {}), "seed": seed},
            )
            for seed in self.seeds
            for name, own in self.runs.items()
        ]


@dataclass(frozen=True)
class PlannedRun:
    """One run of a comparison.

    Args:
        name: the row of the table.
        seed: the experiment's seed.
        folder: its run folder.
        config_files: the loop's config and its overlays; later files win.
        options: id -> value.

    Example:
        >>> PlannedRun("random", 0, Path("out/random/seed_0"), ("al.yaml",), {"seed": 0}).folder.name
        'seed_0'
    """

    name: str
    seed: int
    folder: Path
    config_files: tuple[str, ...]
    options: Mapping[str, Any]


_KEYS = {"title", "bundle", "overlays", "options", "seeds", "runs", "everything", "published"}


def read_comparison(path: str | Path, find: Any) -> Comparison:
    """Read a comparison's config.

    Args:
        path: a YAML or JSON file with the fields of :class:`Comparison`; bundles and overlays by name or path.
        find: from a name such as ``strategies/entropy`` to its path; raises ValueError for an unknown one.

    Raises:
        DataError: the file is missing, or a field of it cannot be used; the message names it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "a.yaml")
        ...     _ = path.write_text("{title: a, bundle: b, runs: {random: {overlays: [strategies/random]}}}")
        ...     read_comparison(path, Path).runs
        {'random': {'overlays': ('strategies/random',), 'options': {}}}
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such comparison; 'where' lists those that are installed")
    try:
        content = json.loads(path.read_text()) if path.suffix == ".json" else yaml.safe_load(path.read_text())
    except (ValueError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    _check(content, path)

    def paths(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(str(Path(name) if Path(name).is_file() else find(name)) for name in names)

    bundle = Path(paths([content["bundle"]])[0])
    return Comparison(
        title=content.get("title", path.stem),
        bundle=str(bundle / "configs" / "active_learning.yaml" if bundle.is_dir() else bundle),
        overlays=paths(content.get("overlays", ())),
        options=content.get("options", {}),
        seeds=tuple(content.get("seeds", (0, 1, 2))),
        runs={
            name: {"overlays": paths(own.get("overlays", ())), "options": own.get("options", {})}
            for name, own in content["runs"].items()
        },
        everything=content.get("everything"),
        published=content.get("published"),
    )


def _check(content: Any, path: Path) -> None:
    if not isinstance(content, dict):
        raise DataError(f"{path}: should hold {', '.join(sorted(_KEYS))}")
    unknown, missing = sorted(set(content) - _KEYS), sorted({"bundle", "runs"} - set(content))
    if unknown or missing:
        raise DataError(
            f"{path}: " + (f"unknown key {unknown[0]!r}" if unknown else f"no {missing[0]!r}")
            + f"; it holds {', '.join(sorted(_KEYS))}"
        )  # fmt: skip
    if not content["runs"] or not all(
        isinstance(own, dict) and set(own) <= {"overlays", "options"} for own in content["runs"].values()
    ):
        raise DataError(f"{path}: runs should hold name -> {{overlays: [...], options: {{...}}}} for at least one run")
    if content.get("everything") not in (None, *content["runs"]):
        raise DataError(f"{path}: everything names {content['everything']!r}, which is none of the runs")
    seeds = content.get("seeds", [0])
    if not seeds or len(set(seeds)) != len(seeds) or not all(type(seed) is int for seed in seeds):
        raise DataError(f"{path}: seeds must be different whole numbers, got {seeds}")
