# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The summary and the paired tests as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from monai_al.comparison.config import Comparison
from monai_al.comparison.markdown import markdown_table, span
from monai_al.comparison.metric import AXES, METRICS, SUMMARIES, Interval
from monai_al.comparison.summary import MeanAndSpread, PairTest, seeds_warning
from monai_al.metrics.bootstrap import RESAMPLES
from monai_al.records import UNDEFINED

__all__ = ["interval_text", "summary_text", "tests_text"]

_STAR = "*"


def summary_text(
    comparison: Comparison,
    cells: Mapping[str, Mapping[str, MeanAndSpread]],
    tests: Sequence[PairTest],
    marked: Callable[[str], str],
    interval: Interval | None = None,
) -> str:
    """A row for each metric, a column for each run.

    A star stands where a run is significantly better than every run that it is tested against.

    Args:
        comparison: what is compared.
        cells: metric -> name -> mean and standard deviation.
        tests: of :func:`monai_al.comparison.summary.pair_tests`.
        marked: from a run's name to how it stands in the table.
        interval: the part of the axis that areas are over, where it is not all of it.

    Example:
        >>> cells = {"dice_3d": {"random": MeanAndSpread(0.7, 0.01, 5)}}
        >>> print(summary_text(Comparison("a", "al.yaml"), cells, [], str))
        Mean of all rounds: mean (standard deviation) over 5 seeds.
        <BLANKLINE>
        | summary | random |
        | --- | --- |
        | 3D Dice | 0.700 (0.010) |
    """
    names = list(next(iter(cells.values())))
    cell = _cell_of_bootstrap if comparison.spread == "bootstrap" else _cell
    rows = [
        [METRICS[metric].name, *(cell(metric, of_name[name], _is_starred(tests, name, metric)) for name in names)]
        for metric, of_name in cells.items()
    ]
    notes = [_what(comparison, cells)]
    if comparison.summary == "aubc" and interval is not None:
        notes.append(interval_text(interval))
    if any(not METRICS[metric].higher_is_better for metric in cells):
        notes.append("Lower is better for HD95.")
    if any(_STAR in cell for row in rows for cell in row):
        notes.append(f"{_STAR} significantly better than every run that it is tested against.")
    return f"{' '.join(notes)}\n\n{markdown_table(['summary', *map(marked, names)], rows)}"


def interval_text(interval: Interval) -> str:
    """Over which part of the axis the areas are.

    Example:
        >>> interval_text((2.0, 9.5))
        'Areas are over the part that all curves share, from 2 to 9.5, linearly interpolated at its ends.'
        >>> interval_text((12.0, 9.5))
        'No part of the axis is shared by all curves: one begins at 12, one ends at 9.5; no areas.'
    """
    low, high = (f"{end:.4g}" for end in interval)
    if interval[0] > interval[1]:
        return f"No part of the axis is shared by all curves: one begins at {low}, one ends at {high}; no areas."
    return f"Areas are over the part that all curves share, from {low} to {high}, linearly interpolated at its ends."


def tests_text(comparison: Comparison, tests: Sequence[PairTest], marked: Callable[[str], str]) -> str:
    """A row for each pair of runs and metric.

    Args:
        comparison: what is compared.
        tests: of :func:`monai_al.comparison.summary.pair_tests`.
        marked: from a run's name to how it stands in the table.

    Example:
        >>> print(tests_text(Comparison("a", "al.yaml"), [PairTest("b", "a", "dice_3d", ())], str).splitlines()[-1])
        | b | a | 3D Dice | 0 | – | – | – | – | – | – |
    """
    head = ["run", "against", "metric", "pairs", "difference", "sd", "p Wilcoxon", "p sign-flip", "p t", "p corrected"]
    n_tests = len(comparison.tested)
    notes = [
        "Paired tests, two-sided, over the seeds that both runs have. The sign-flip test decides, its p-values "
        f"corrected by Holm for the {n_tests} test{'s' * (n_tests != 1)} of a metric: {_STAR} at most 0.05.",
        seeds_warning(comparison, max((len(test.seeds) for test in tests), default=0)) or "",
        *_left_out(tests),
    ]
    rows = [_test_row(test, marked) for test in tests]
    return f"{' '.join(filter(None, notes))}\n\n{markdown_table(head, rows)}"


def _what(comparison: Comparison, cells: Mapping[str, Mapping[str, MeanAndSpread]]) -> str:
    numbers = [cell.n for of_name in cells.values() for cell in of_name.values()]
    if comparison.spread == "all":
        return f"Mean (standard deviation) over all rounds of all seeds, {span(numbers)} values each."
    seeds = f"{span(numbers)} seed{'s' * (max(numbers) != 1)}"
    over = f" over the {AXES[comparison.axis]}" if comparison.summary == "aubc" else ""
    what = f"{SUMMARIES[comparison.summary or 'mean']}{over}: mean"
    if comparison.spread == "bootstrap":
        return (
            f"{what} over {seeds} ± two standard deviations of it over {RESAMPLES} draws of the test volumes, which "
            "tell nothing of the luck of seeds and training."
        )
    return f"{what} (standard deviation) over {seeds}."


def _cell(metric: str, cell: MeanAndSpread, starred: bool) -> str:
    if cell.mean is None:
        return UNDEFINED
    shown = METRICS[metric].shown
    return f"{shown(cell.mean)}{_STAR * starred}" + ("" if cell.sd is None else f" ({shown(cell.sd)})")


def _cell_of_bootstrap(metric: str, cell: MeanAndSpread, starred: bool) -> str:
    shown = METRICS[metric].shown
    spread = "" if cell.mean is None or cell.sd is None else f" ± {shown(cell.sd)}"
    return f"{_cell(metric, cell._replace(sd=None), starred)}{spread}"


def _is_starred(tests: Sequence[PairTest], name: str, metric: str) -> bool:
    own = [test for test in tests if (test.run, test.metric) == (name, metric)]
    return bool(own) and all(test.is_gain and test.is_significant for test in own)


def _test_row(test: PairTest, marked: Callable[[str], str]) -> list[str]:
    pair = [marked(test.run), marked(test.against), METRICS[test.metric].name, str(len(test.seeds))]
    if test.found is None or test.corrected is None:
        return [*pair, *[UNDEFINED] * 6]
    shown, found = METRICS[test.metric].shown, test.found
    numbers = [f"{'+' * (found.mean > 0)}{shown(found.mean)}", shown(found.sd)]
    p_values = [_p(p) for p in (found.wilcoxon, found.sign_flip, found.t)]
    return [*pair, *numbers, *p_values, f"{_p(test.corrected)}{_STAR * test.is_significant}"]


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.00005 else f"{value:.4f}"


def _left_out(tests: Sequence[PairTest]) -> list[str]:
    alone = {(test.run, test.against): test.alone for test in tests if test.alone}
    told = [f"No pair of {run} and {against}: {_seeds(seeds)}." for (run, against), seeds in alone.items()]
    return told + [
        f"{METRICS[test.metric].name} of {test.run} or {test.against} is undefined: {_seeds(test.undefined)}."
        for test in tests
        if test.undefined
    ]


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
