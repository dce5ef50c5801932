# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A run of a comparison that is done: what it recorded, and what its own overlays and options say."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from monai_al.comparison.config import Comparison, PlannedRun
from monai_al.options import literal_of
from monai_al.records import RunFolder, config_hash
from monai_al.records.cost_model import CostSettings, cost_assumptions
from monai_al.records.files import read_json
from monai_al.records.pool_file import POOL_FILE, read_pool

__all__ = ["DoneRun", "said_by"]

RANDOM = "random"  # how an initial set is recorded that no strategy chose
_OF_STRATEGY = {"strategy", "strategy_settings", "uses_truth", "encoder"}
_OF_COST = {field.name for field in dataclasses.fields(CostSettings)}  # they change no query and no network


class DoneRun:
    """A run that is done, with what is recorded of it.

    Args:
        comparison: what is compared.
        run: the run.

    Raises:
        DataError: a file of the run is missing or broken.

    Example:
        >>> import tempfile
        >>> comparison = Comparison("a", "al.yaml", runs={"random": {"options": {"steps": 3}}})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = PlannedRun("random", 0, Path(folder), (), {})
        ...     _ = (run.folder / "run.json").write_text('{"config": {"training": {"steps": 3, "seed": 0}}}')
        ...     done = DoneRun(comparison, run)
        >>> done.settings, done.said
        ({('training', 'steps'): 3}, {'steps': [('steps', 3)]})
    """

    def __init__(self, comparison: Comparison, run: PlannedRun) -> None:
        self.run = run
        self.path = run.folder
        self.folder = RunFolder(run.folder)
        self.record = read_json(run.folder / "run.json")
        self.is_everything = run.name == comparison.everything
        config = self.record.get("config") or {}
        self.settings = dict(_settings(config))
        self._learner = config.get("learner", {})
        self._own = comparison.runs[run.name]

    @functools.cached_property
    def asked(self) -> list[int]:
        """How many items were asked for up to and with each evaluated round."""
        return list(itertools.accumulate(self.folder.sizes()))[: len(self.folder.curve())]

    @property
    def initial(self) -> tuple[str, ...]:
        """Ids of the initial set."""
        query = self.folder.query(0)
        return query.ids if query else ()

    @property
    def chose_initial(self) -> bool:
        """Whether the strategy chose the initial set itself, as those can that need no trained network."""
        query = self.folder.query(0)
        return query is not None and query.strategy != RANDOM

    @functools.cached_property
    def test_labels(self) -> set[str]:
        """What tells the labels that the run was tested on from others; more than one where they changed meanwhile."""
        rounds = (self.folder.metrics(number) for number in range(len(self.asked)))
        found = {metrics.get("test_labels") for metrics in rounds if metrics is not None}
        return {one for one in found if one is not None} or {self._first_test_labels()}

    def _first_test_labels(self) -> str:
        """The same from the pool, as runs have it whose rounds did not record it yet."""
        pool = self._pool() or {"items": ()}
        tested = (item for item in pool["items"] if item.get("split") == "test")
        return config_hash({item["id"]: pool.get("files", {}).get(item.get("label")) for item in tested})

    def labels_by_volume(self) -> str | None:
        """What tells the labels of the test volumes from others, whatever the items are; None where they changed."""
        if self.test_labels != {self._first_test_labels()}:
            return None
        pool = read_pool(self.path)
        tested = (item for item in pool["items"] if item.get("split") == "test")
        return config_hash({item["volume"]: pool.get("files", {}).get(item.get("label")) for item in tested})

    @functools.cached_property
    def asks_for_volumes(self) -> bool:
        """Whether its items are whole volumes or images."""
        pool = self._pool() or {"items": ()}
        return bool(pool["items"]) and all(item.get("slice") is None for item in pool["items"])

    def _pool(self) -> dict[str, Any] | None:
        return read_pool(self.path) if (self.path / POOL_FILE).exists() else None

    def assumed(self, column: str) -> dict[str, Any]:
        """What its costs by one model assume; None for what is not known."""
        last = (self.folder.metrics(number) for number in range(len(self.asked) - 1, -1, -1))
        metrics = next((found for found in last if found is not None), {})
        return cost_assumptions(metrics.get("cost") or {}, column)

    @property
    def on_cpu(self) -> bool:
        """Whether it is sure that the run was trained on a CPU."""
        torch = str((self.record.get("versions") or {}).get("torch"))
        return str((self.record.get("places") or {}).get("device")) == "cpu" or torch.endswith("+cpu")

    @property
    def of_row(self) -> dict[tuple[str, str], Any]:
        """What all seeds of a row have in common: the settings and those of the strategy, without seeds."""
        named = ("strategy", "strategy_settings", "encoder")
        strategy = {("learner", id): self._learner[id] for id in named if id in self._learner}
        everything = {**strategy, **self.settings}
        return {key: _without_seeds(value) if key[0] == "learner" else value for key, value in everything.items()}

    @functools.cached_property
    def said(self) -> dict[str, list[tuple[str, Any]]]:
        """What the run's own overlays and options say, see :func:`said_by`."""
        return said_by(self._own, self.record)


def said_by(own: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, list[tuple[str, Any]]]:
    """What overlays and options of a run's own say of the loop's config and the training's, as they are now.

    Where a training overlay is gone, every id of the training counts as said by its name.

    Args:
        own: ``overlays`` and ``options`` of the run.
        record: its run.json.

    Returns:
        top-level id -> (full id, value) of all that is said of it, later ones win.

    Example:
        >>> said_by({"options": {"epochs": 5}}, {"config": {"training": {"train": {"trainer": {"max_epochs": 1}}}}})
        {'epochs': [('epochs', 5)], 'train': [('train#trainer#max_epochs', [('epochs', 5)])]}
    """
    from monai.bundle import ConfigParser

    from monai_al.bundle import RunningBundle
    from monai_al.bundle.knobs import targets_of

    said: dict[str, list[tuple[str, Any]]] = {}

    def add(entries: Mapping[str, Any]) -> None:
        for id, value in entries.items():
            said.setdefault(_first(id), []).append((id.replace("::", "#"), value))

    def add_file(file: str | Path) -> None:
        add(ConfigParser.load_config_file(str(file)))

    for file in own.get("overlays", ()):
        add_file(file)
    add(own.get("options", {}))
    command = record.get("command") or {}
    training = (record.get("config") or {}).get("training", {})
    parser, knobs = ConfigParser(dict(training)), command.get("train_map")
    knobs = knobs if isinstance(knobs, Mapping) else None
    for knob in tuple(said):
        add({id: list(said[knob]) for id in targets_of(knob, parser, knobs) if id != knob})
    if "train_overlays" in said:
        names = command.get("train_overlays") or ()
        bundle = RunningBundle(Path(literal_of((record.get("places") or {}).get("bundle_root")) or "."), {})
        files = [bundle.file(name) for name in names]
        if all(file.is_file() for file in files):
            for file in files:
                add_file(file)
        else:
            for id in training:
                said.setdefault(id, []).append(("train_overlays", list(names)))
    return said


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Any]]:
    """(part, id) -> value, of all that decides a training and its evaluation."""
    apart = _OF_STRATEGY | _OF_COST | {"seed"}
    for part in ("learner", "training"):
        yield from (((part, id), value) for id, value in config.get(part, {}).items() if id not in apart)


def _without_seeds(value: Any) -> Any:
    """A value of an object's settings without those named ``seed``, on any level."""
    if isinstance(value, Mapping):
        return {key: _without_seeds(entry) for key, entry in value.items() if key != "seed"}
    return [_without_seeds(entry) for entry in value] if isinstance(value, list) else value


def _first(id: str) -> str:
    """The top-level id that an override changes."""
    return id.lstrip("+~").replace("::", "#").split("#")[0]
