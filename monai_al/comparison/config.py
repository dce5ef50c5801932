# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What is compared: a small config file."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from monai_al.comparison.asked_figures import asked_figures, check_figures
from monai_al.comparison.metric import AXES, METRICS, SPREADS, SUMMARIES
from monai_al.failures.configs import of_syntax
from monai_al.options import OPTIONS
from monai_al.records import DataError

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
        metrics: what is compared, keys of :data:`monai_al.comparison.metric.METRICS`; the first one has a table of all
            rounds and a figure.
        summary: what one number a curve becomes, a key of :data:`monai_al.comparison.metric.SUMMARIES`; None means
            ``"mean"`` where a table of summaries is asked for.
        spread: what the standard deviations are over: ``"seeds"``, ``"all"`` rounds of all seeds, or ``"bootstrap"``:
            two of them over draws of the test volumes, see :mod:`monai_al.comparison.bootstrap`.
        baseline: name of the run that all others are tested against.
        against: name of a run -> name of the one that it is tested against.
        axis: what the curves stand over, a key of :data:`monai_al.comparison.metric.AXES`: the number of ``"labeled"``
            items, or their cost by a model: ``"cost"``, ``"cost_slices"``, ``"cost_area"`` or ``"cost_volumes"``.
        log_axis: whether the figure shows that axis logarithmically.
        figures: more figures and what is asked of each, see :func:`monai_al.comparison.asked_figures.asked_figures`.

    Example:
        >>> comparison = Comparison("a", "al.yaml", runs={"random": {}, "entropy": {}}, seeds=(0, 1), baseline="random")
        >>> [(run.name, run.seed) for run in comparison.planned("out")]
        [('random', 0), ('entropy', 0), ('random', 1), ('entropy', 1)]
        >>> comparison.tested
        (('entropy', 'random'),)
    """

    title: str
    bundle: str
    overlays: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2)
    runs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    everything: str | None = None
    published: Mapping[str, Any] | None = None
    metrics: tuple[str, ...] = ("dice_3d",)
    summary: str | None = None
    spread: str = "seeds"
    baseline: str | None = None
    against: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    axis: str = "labeled"
    log_axis: bool = False

    @property
    def is_over_cost(self) -> bool:
        """Whether the curves stand over what the labels cost."""
        return self.axis != "labeled"

    @property
    def tested(self) -> tuple[tuple[str, str], ...]:
        """Pairs of runs, (run, the one it is tested against), in the order of the runs."""
        own = [(name, self.against[name]) for name in self.runs if name in self.against]
        rest = [name for name in self.runs if name not in (self.baseline, self.everything)]
        pairs = {*own, *((name, self.baseline) for name in rest if self.baseline is not None)}
        order = list(self.runs)
        return tuple(sorted(pairs, key=lambda pair: (order.index(pair[0]), pair not in own)))

    @property
    def has_summary(self) -> bool:
        """Whether a table of one number per run and metric is asked for."""
        return bool(self.summary or self.tested or self.metrics != ("dice_3d",) or self.spread != "seeds")

    def planned(self, output_dir: str | Path) -> list[PlannedRun]:
        """All runs, seed by seed, so that what is there at any time is a table of fewer seeds."""
        output = Path(output_dir).resolve()
        return [
            PlannedRun(
                name,
                seed,
                output / name.replace(" ", "_") / f"seed_{seed}",
                (self.bundle, *self.overlays, *own.get("overlays", ())),
                {**self._cache(own, output), **self.options, **own.get("options", {}), "seed": seed},
            )
            for seed in self.seeds
            for name, own in self.runs.items()
        ]

    def _cache(self, own: Mapping[str, Any], output: Path) -> dict[str, Any]:
        """The cache that runs share, with the networks of the first round; a training config of others has none."""
        training = {**self.options, **own.get("options", {})}.get("training_config")
        if training is not None:
            from monai_al.bundle.foreign_training import is_foreign

            if is_foreign(Path(self.bundle), training):
                return {}
        shares = {"share_first_model": True} if "share_first_model" in _ids(self.bundle) else {}
        return {"cache_dir": str(output / "cache"), **shares}

    def with_seeds_of(self, output_dir: str | Path) -> Comparison:
        """The same with the seeds, too, that have runs in a folder."""
        folders = (Path(output_dir) / name.replace(" ", "_") for name in self.runs)
        found = (_SEED.fullmatch(record.parent.name) for folder in folders for record in folder.glob("seed_*/run.json"))
        return replace(self, seeds=tuple(sorted({*self.seeds, *(int(match[1]) for match in found if match)})))


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
_KEYS |= {"metrics", "summary", "spread", "baseline", "against", "figures", "axis", "log_axis"}
_NAME = re.compile(r"[\w+-][\w .+-]*")  # of a folder and of a row
_SEED = re.compile(r"seed_(-?\d+)")  # a run folder
_NOT_OPTIONS = {"seed": "seeds", "output_dir": "--output_dir"}


def read_comparison(path: str | Path, find: Callable[[str], str | Path]) -> Comparison:
    """Read a comparison's config.

    Args:
        path: a YAML or JSON file with the fields of :class:`Comparison`. The bundle and the overlays stand in it by
            path, from the file's folder or from the working folder, or by name.
        find: from a name such as ``strategies/entropy`` to its path; raises ValueError for an unknown one.

    Raises:
        DataError: the file is missing, or a field of it cannot be used; the message names it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     loop, path = Path(folder, "al.yaml"), Path(folder, "mine.yaml")
        ...     _ = loop.write_text("{}"), path.write_text("{bundle: al.yaml, runs: {random: {options: {rounds: 3}}}}")
        ...     read_comparison(path, find=Path).runs
        {'random': {'overlays': (), 'options': {'rounds': 3}}}
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such comparison; 'where' lists those that are installed")
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.load(text, Loader=_EachKeyOnce)  # noqa: S506
    except (ValueError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read: {of_syntax(error) or error}") from None
    _check(content, path)
    return Comparison(
        title=content.get("title", path.stem),
        bundle=_config(content["bundle"], path, find, inside="configs/active_learning.yaml"),
        overlays=tuple(_config(name, path, find) for name in content.get("overlays", ())),
        options=content.get("options", {}),
        seeds=tuple(content.get("seeds", (0, 1, 2))),
        runs={
            name: {
                "overlays": tuple(_config(overlay, path, find) for overlay in own.get("overlays", ())),
                "options": own.get("options", {}),
            }
            for name, own in content["runs"].items()
        },
        everything=content.get("everything"),
        published=content.get("published"),
        metrics=tuple(content.get("metrics", ("dice_3d",))),
        summary=content.get("summary"),
        spread=content.get("spread") or "seeds",
        baseline=content.get("baseline"),
        against=content.get("against", {}),
        figures=asked_figures(content.get("figures") or {}),
        axis=content.get("axis") or "labeled",
        log_axis=content.get("log_axis") or False,
    )


def _config(name: str, comparison: Path, find: Callable[[str], str | Path], inside: str = ".") -> str:
    """The path of a config; where the name is that of a folder, of the config ``inside`` it."""
    near = (folder / name for folder in (comparison.parent, Path()))
    try:
        found = next((path for path in near if (path / inside).is_file() or path.is_file()), None) or Path(find(name))
    except ValueError as error:
        raise DataError(f"{comparison}: {error}") from None
    found = found / inside if found.is_dir() else found
    if not found.is_file():
        raise DataError(f"{comparison}: {name!r} is no config: {found} is no file")
    return str(found.resolve())


def _check(content: Any, path: Path) -> None:
    def need(condition: bool, otherwise: str) -> None:
        if not condition:
            raise DataError(f"{path}: {otherwise}")

    keys = ", ".join(sorted(_KEYS))
    need(isinstance(content, dict), f"should hold {keys}")
    for key in content:
        need(key in _KEYS, f"unknown key {key!r}; it holds {keys}")
    for key in ("bundle", "runs"):
        need(key in content, f"no {key!r}; it holds {keys}")
    for key in ("title", "bundle"):
        need(isinstance(content.get(key, ""), str), f"{key} must be text, got {content.get(key)!r}")
    runs, seeds = content["runs"], content.get("seeds", [0])
    need(isinstance(runs, dict) and bool(runs), "runs should hold name: {overlays: [...], options: {...}}, one or more")
    need(content.get("everything") in (None, *runs), f"everything, {content.get('everything')!r}, is none of the runs")
    different = isinstance(seeds, list) and {*map(type, seeds)} == {int} and len(set(seeds)) == len(seeds)
    need(different, f"seeds must be a list of different whole numbers, got {seeds!r}")
    for seed in seeds:
        _check_option("seeds", "seed", seed, need)
    _check_part("all runs", {key: content[key] for key in ("overlays", "options") if key in content}, need)
    for name, own in runs.items():
        named = isinstance(name, str) and _NAME.fullmatch(name) is not None and name != "cache"
        need(named, f"{name!r} cannot name a run: take letters, digits, spaces and _ + - ., and not 'cache'")
        _check_part(f"run {name!r}", own, need)
    need(len({name.replace(" ", "_") for name in runs}) == len(runs), "two runs differ only by a space and a _")
    _check_published(content.get("published"), need)
    _check_summary(content, need)
    _check_tested(content, need)
    check_figures(content.get("figures") or {}, list(runs), need)


def _check_part(where: str, part: Any, need: Callable[[bool, str], None]) -> None:
    """Check overlays and options."""
    is_part = isinstance(part, dict) and set(part) <= {"overlays", "options"}
    need(is_part, f"{where} should hold {{overlays: [...], options: {{...}}}}, got {part!r}")
    overlays, options = part.get("overlays", []), part.get("options", {})
    names = isinstance(overlays, list) and all(isinstance(name, str) for name in overlays)
    need(names, f"overlays of {where} must be a list of names or paths, got {overlays!r}")
    need(isinstance(options, dict), f"options of {where} must be {{id: value}}, got {options!r}")
    for id, value in options.items():
        need(id not in _NOT_OPTIONS, f"{id!r} is no option of {where}; {_NOT_OPTIONS.get(id)} sets it")
        _check_option(f"options of {where}", id, value, need)
    try:
        json.dumps(options, allow_nan=False)
    except (TypeError, ValueError) as error:
        need(False, f"options of {where} hold what JSON does not know ({error})")


def _check_option(where: str, id: str, value: Any, need: Callable[[bool, str], None]) -> None:
    """Check the value of an option that means the same in every bundle."""
    if id in OPTIONS and OPTIONS[id].section in ("loop", "machine"):
        try:
            OPTIONS[id].checked(value)
        except ValueError as error:
            need(False, f"{where}: {error}")


class _EachKeyOnce(yaml.SafeLoader):
    """YAML in which a key that stands twice in a mapping is an error; YAML itself takes the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((key for key in keys if keys.count(key) > 1 and key != "<<"), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{twice!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _check_summary(content: Mapping[str, Any], need: Callable[[bool, str], None]) -> None:
    metrics, summary, spread = content.get("metrics", ["dice_3d"]), content.get("summary"), content.get("spread")
    known = isinstance(metrics, list) and bool(metrics) and all(metric in tuple(METRICS) for metric in metrics)
    different = known and len(set(metrics)) == len(metrics)
    need(different, f"metrics must be a list of different ones of {', '.join(METRICS)}, got {metrics!r}")
    need(summary in (None, *SUMMARIES), f"summary must be one of {', '.join(SUMMARIES)}, got {summary!r}")
    need(spread in (None, *SPREADS), f"spread must be one of {', '.join(SPREADS)}, got {spread!r}")
    axis, log_axis = content.get("axis"), content.get("log_axis")
    need(axis in (None, *AXES), f"axis must be one of {', '.join(AXES)}, got {axis!r}")
    need(log_axis is None or isinstance(log_axis, bool), f"log_axis must be true or false, got {log_axis!r}")
    of_rounds = spread != "all" or summary in (None, "mean")
    need(of_rounds, f"spread: all is that of all rounds, so summary must be mean, not {summary!r}")


def _check_tested(content: Mapping[str, Any], need: Callable[[bool, str], None]) -> None:
    """Check which runs are tested against which."""
    names = [name for name in content["runs"] if name != content.get("everything")]
    baseline, against = content.get("baseline"), content.get("against", {})
    listed = ", ".join(map(str, names))
    need(baseline in (None, *names), f"baseline, {baseline!r}, is none of the runs that can be tested: {listed}")
    need(isinstance(against, dict), f"against should hold {{run: the run it is tested against}}, got {against!r}")
    for pair in against.items():
        for name in pair:
            need(name in names, f"against names {name!r}, which is none of the runs that can be tested: {listed}")
        need(pair[0] != pair[1], f"against tests {pair[0]!r} against itself")


def _check_published(published: Any, need: Callable[[bool, str], None]) -> None:
    if published is None:
        return
    parts = {"source": str, "columns": list, "rows": dict}
    complete = isinstance(published, dict) and {key: type(part) for key, part in published.items()} == parts
    need(complete, "published should hold source, columns: [...] and rows: {name: [a value for each column]}")
    n = len(published["columns"])
    for name, values in published["rows"].items():
        fits = isinstance(values, list) and len(values) == n
        need(fits, f"published row {name!r} should hold {n} values, one for each column")


def _ids(config: str) -> set[str]:
    """The ids of a config file, JSON or YAML; none of one that is not there, which is told where it is read."""
    file = Path(config)
    return _ids_in(file.read_text(encoding="utf-8")) if file.is_file() else set()


@functools.lru_cache(maxsize=16)
def _ids_in(text: str) -> set[str]:
    return set(yaml.safe_load(text) or ())
