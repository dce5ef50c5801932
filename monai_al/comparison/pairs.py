# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether the runs of a seed are pairs: that they differ in what was chosen, and in nothing else."""

from __future__ import annotations

import filecmp
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_al.comparison.config import Comparison, PlannedRun
from monai_al.comparison.done_run import DoneRun
from monai_al.records import DataError, RunFolder
from monai_al.records.item import SLICE_AXIS
from monai_al.records.pool_file import POOL_FILE, STRETCHES_FILE, read_pool

__all__ = ["check_pairs"]

_ALWAYS_SAME = {"empty_policy", "score_inside"}  # scores under two rules are no scores of one kind
_SCORES = ("dice_3d", "dice_2d", "hd95_3d")
_MISSING = object()
_LONG = 60  # characters of a value in a message


@dataclass
class _Found:
    """What is worth telling of pairs that are accepted."""

    own_training: dict[str, set[str]] = field(default_factory=dict)
    own_initial: list[str] = field(default_factory=list)
    own_budget: list[str] = field(default_factory=list)
    first_models: list[float] = field(default_factory=list)

    def notes(self) -> list[str]:
        told = [
            f"{name} trains in a way of its own ({', '.join(sorted(ids))}): it differs from the first round on."
            for name, ids in self.own_training.items()
        ]
        if self.own_initial:
            names = ", ".join(dict.fromkeys(self.own_initial))
            told.append(f"These choose their initial set themselves, that of all others is random: {names}.")
        if self.own_budget:
            names = ", ".join(dict.fromkeys(self.own_budget))
            told.append(f"These have budgets of their own: {names}.")
        apart = [difference for difference in self.first_models if difference]
        if apart:
            told.append(
                f"The first models of {len(apart)} of {len(self.first_models)} runs are not those of their partners, "
                f"though they were trained alike (largest difference {max(apart):.1e}): a GPU may do that, a CPU not."
            )
        return told


def check_pairs(comparison: Comparison, runs: Sequence[PlannedRun]) -> list[str]:
    """Hold the runs that are done to being pairs.

    Runs of one seed must have the same initial set, unless their strategy chose it, ask for as many items per round,
    and have the same pool (ids, splits, classes and images), labels of the test part, threads, versions and settings,
    except for settings that overlays or options of their own set; where those of both say the same of a setting, it
    must be the same, too. Where curves stand over the cost, what stored label values mean may differ, as it does
    between masks and scribbles; the items may be slices of some runs and the same volumes of others; and the numbers of
    items may differ where overlays or options of a run itself set its ``budget``. What these costs assume must be the
    same. Where all settings of the training and the initial set are the same, the model of round
    0 must be, too: that of a CPU to the bit, that of a GPU is reported. The run on everything has an initial set,
    rounds and a first model of its own. All runs must have the same number of rounds, and those of one name the same
    settings for every seed.

    Args:
        comparison: what is compared.
        runs: those that are done.

    Returns:
        Sentences about what differs and may.

    Raises:
        DataError: two runs are no pair, or no seeds of one row; the message names both folders and what differs.

    Example:
        >>> check_pairs(Comparison("a", "al.yaml"), [])
        []
    """
    found, by_seed, rows = _Found(), {}, {}
    first: DoneRun | None = None
    for run in runs:
        own = DoneRun(comparison, run)
        others: list[DoneRun] = by_seed.setdefault(run.seed, [])
        _check_seed(own)
        _check_row(own, rows.setdefault(run.name, own))
        for what, other in _differences(own, others, found, over_cost=comparison.is_over_cost):
            raise DataError(
                f"{run.name} and {other.run.name} of seed {run.seed} differ in {what}, so they cannot be compared "
                f"({own.path} and {other.path})"
            )
        others.append(own)
        if own.is_everything:
            continue
        first = first or own
        if comparison.is_over_cost:
            _check_costs(own, [first, *others[:1]], comparison.axis)
        if len(own.asked) != len(first.asked):
            raise DataError(
                f"{own.path} holds {len(own.asked)} rounds and {first.path} {len(first.asked)}: they must agree"
            )
    return found.notes()


def _check_costs(own: DoneRun, others: Sequence[DoneRun], axis: str) -> None:
    """Costs that assume different things are no places on one axis; a mean area must be that of the seed alone."""
    ours = own.assumed(axis)
    for other in others:
        theirs = other.assumed(axis)
        for name, value in ours.items():
            told = value is not None and theirs[name] is not None
            same_seed = own.run.seed == other.run.seed
            if told and value != theirs[name] and (same_seed or name != "mean_area"):
                raise DataError(
                    f"{own.path} counts costs with {name} {value:g} and {other.path} with {theirs[name]:g}, so they do "
                    "not stand over one cost: do one of them again, or take axis: labeled"
                )


def _check_seed(own: DoneRun) -> None:
    seed = own.record.get("seed", own.run.seed)
    if seed != own.run.seed:
        raise DataError(f"{own.path} holds a run of seed {seed}: it is no run of seed {own.run.seed}; move it away")


def _differences(
    own: DoneRun, others: Sequence[DoneRun], found: _Found, *, over_cost: bool
) -> Iterator[tuple[str, DoneRun]]:
    """What makes a run no partner of those of its seed, the first thing of each."""
    for other in others[:1]:  # these are the same for all others
        for key in ("threads", "versions"):
            yield from ((what, other) for what in _of_record(own, other, key))
        of_volumes = over_cost and own.asks_for_volumes != other.asks_for_volumes
        difference = _of_pools(own.path, other.path, codes=not over_cost, of_volumes=of_volumes)
        if difference:
            yield f"their pool: {difference}", other
        ours, theirs = ((one.labels_by_volume() if of_volumes else one.test_labels) for one in (own, other))
        if ours != theirs or ours is None:
            yield "the labels of their test part", other
    if over_cost and not own.is_everything and "budget" in own.said:
        found.own_budget.append(own.run.name)
    strategies = [other for other in others if not other.is_everything and not own.is_everything]
    if own.chose_initial and not own.is_everything:
        found.own_initial.append(own.run.name)
    for other in strategies[:1]:
        budgets_of_their_own = over_cost and any("budget" in one.said for one in (own, other))
        if own.asked != other.asked and not budgets_of_their_own:
            yield "how many items their rounds ask for", other
    drawn = [
        other
        for other in strategies
        if not (own.chose_initial or other.chose_initial) and _draw_alike(own, other, over_cost)
    ]
    yield from (("their initial set", other) for other in drawn[:1] if own.initial != other.initial)
    for other in others:
        yield from ((what, other) for what in _of_settings(own, other, found))
    twins = [other for other in strategies if other.settings == own.settings]
    twin = next((other for other in twins if other.initial == own.initial), None)
    if twin is not None:
        yield from ((what, twin) for what in _of_first_models(own, twin, found))


def _draw_alike(own: DoneRun, other: DoneRun, over_cost: bool) -> bool:
    """Whether chance gives two runs the same initial set."""
    return not over_cost or (own.asked[:1] == other.asked[:1] and own.asks_for_volumes == other.asks_for_volumes)


def _of_record(own: DoneRun, other: DoneRun, key: str) -> Iterator[str]:
    ours, theirs = own.record.get(key), other.record.get(key)
    if ours == theirs:
        return
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        name = next(name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name))
        yield f"their {key}: {name} {ours.get(name)} and {theirs.get(name)}"
    else:
        yield f"their {key}: {ours} and {theirs}"


# -- pools -------------------------------------------------------------------------------------------------------------


def _of_pools(own: Path, other: Path, *, codes: bool, of_volumes: bool) -> str | None:
    """What tells their pools apart; what stored label values mean, and which items are volumes, where that counts."""
    if not ((own / POOL_FILE).exists() and (other / POOL_FILE).exists()) or _are_equal(own, other):
        return None
    ours, theirs = read_pool(own), read_pool(other)
    for key in ("classes", "label_values") if codes else ("classes",):
        if ours.get(key) != theirs.get(key):
            return f"{key} {ours.get(key)} and {theirs.get(key)}"
    what = "volume" if of_volumes else "item"
    ours, theirs = _items(ours, of_volumes), _items(theirs, of_volumes)
    for id in {**ours, **theirs}:
        if (id in ours) != (id in theirs):
            return f"only one of them holds the {what} {id!r}"
        for key, value in ours[id].items():
            if value != theirs[id][key]:
                return f"the {key} of the {what} {id!r}"
    return None if list(ours) == list(theirs) else f"the order of its {what}s"


def _are_equal(own: Path, other: Path) -> bool:
    """Whether the files of two pools have equal bytes."""
    pairs = [(own / name, other / name) for name in (POOL_FILE, STRETCHES_FILE)]
    return all(a.exists() == b.exists() and (not a.exists() or filecmp.cmp(a, b, shallow=False)) for a, b in pairs)


def _items(pool: Mapping[str, Any], of_volumes: bool) -> dict[str, dict[str, Any]]:
    """Id -> what is told of an item, its files by their content; or the same of the volumes."""
    files = pool.get("files", {})
    kept = {"volume": None, "patient": None, "slice": None, "split": None, "slice_axis": SLICE_AXIS}
    kept = {key: unsaid for key, unsaid in kept.items() if not of_volumes or key != "slice"}
    return {
        item["volume" if of_volumes else "id"]: {key: item.get(key, unsaid) for key, unsaid in kept.items()}
        | {"content of the image": files.get(item.get("image"), item.get("image"))}
        for item in pool["items"]
    }


# -- settings ----------------------------------------------------------------------------------------------------------


def _of_settings(own: DoneRun, other: DoneRun, found: _Found) -> Iterator[str]:
    for key in _apart(own.settings, other.settings):
        id = key[1].removesuffix("_settings")
        saying = [run for run in (own, other) if id in run.said]
        values = _shown(own.settings.get(key, _MISSING), other.settings.get(key, _MISSING))
        if id in _ALWAYS_SAME:
            yield f"their {id} {values}"
        elif not saying:
            yield f"their {id} {values}, which neither's own overlays or options set"
        elif len(saying) == 2 and own.said[id] == other.said[id]:
            yield f"their {id} {values}, though what their own overlays and options say of it is the same by now"
        else:
            for run in saying:
                found.own_training.setdefault(run.run.name, set()).add(id)


def _check_row(own: DoneRun, other: DoneRun) -> None:
    """Runs of a row differ in their seed alone."""
    ours, theirs = own.of_row, other.of_row
    key = next(iter(_apart(ours, theirs)), None)
    if key is not None:
        raise DataError(
            f"seeds {own.run.seed} and {other.run.seed} of {own.run.name} differ in their {key[1]} "
            f"{_shown(ours.get(key, _MISSING), theirs.get(key, _MISSING))}, so they are no row: do one of them again "
            f"({own.path} and {other.path})"
        )


def _apart(ours: Mapping[Any, Any], theirs: Mapping[Any, Any]) -> list[Any]:
    return [key for key in {**ours, **theirs} if ours.get(key, _MISSING) != theirs.get(key, _MISSING)]


def _shown(*values: Any) -> str:
    """Two values that differ; of large mappings the first entry that does."""
    while max(len(repr(value)) for value in values) > _LONG and all(isinstance(value, Mapping) for value in values):
        key = _apart(*values)[0]
        values = tuple(value.get(key, _MISSING) for value in values)
    first, second = values
    return f"({_short(first)} and {_short(second)})"


def _short(value: Any) -> str:
    text = "nothing" if value is _MISSING else repr(value)
    return text if len(text) <= _LONG else f"{text[: _LONG - 3]}..."


# -- first models ------------------------------------------------------------------------------------------------------


def _of_first_models(own: DoneRun, other: DoneRun, found: _Found) -> Iterator[str]:
    """Models that were trained alike on the same items must be the same."""
    difference = _distance(own.folder, other.folder)
    if difference and (difference == float("inf") or own.on_cpu and other.on_cpu):
        yield "their first model, though they were trained alike: do both on the same machine, with the same code"
    found.first_models.append(difference)


def _distance(own: RunFolder, other: RunFolder) -> float:
    """The largest difference of two weights of round 0; of scores where models are not there."""
    ours, theirs = ({path.name: path for path in run.round_path(0).glob("model_*.pt")} for run in (own, other))
    if not ours or not theirs:
        scores = [{name: (run.metrics(0) or {}).get(name) for name in _SCORES} for run in (own, other)]
        return _largest(*scores)
    if ours.keys() != theirs.keys():
        return float("inf")
    return max(_between(path, theirs[name]) for name, path in ours.items())


def _between(own: Path, other: Path) -> float:
    from monai_al.networks import read_torch_file

    if filecmp.cmp(own, other, shallow=False):
        return 0.0
    ours, theirs = (read_torch_file(path)["model"] for path in (own, other))
    if {k: v.shape for k, v in ours.items()} != {k: v.shape for k, v in theirs.items()}:
        return float("inf")
    return max((float((ours[k].double() - theirs[k].double()).abs().max()) for k in ours if ours[k].numel()), default=0)


def _largest(ours: Any, theirs: Any) -> float:
    """The largest difference of two numbers at the same place, 1 where only one is defined, infinite elsewhere."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping) and ours.keys() == theirs.keys():
        return max((_largest(ours[key], theirs[key]) for key in ours), default=0.0)
    if isinstance(ours, (int, float)) and isinstance(theirs, (int, float)):
        return float(abs(ours - theirs))
    if None in (ours, theirs):
        return float(ours is not theirs)
    return 0.0 if ours == theirs else float("inf")
