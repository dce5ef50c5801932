# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The tables of a page, as text in rows and columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monai_al.records import UNDEFINED, WEAK
from monai_al.records.cost_model import (
    COST_COLUMNS,
    SENSITIVITY_SPEEDS,
    cost_assumptions,
    cost_at_speed,
    cost_in_column,
)
from monai_al.records.cost_text import COST_TITLES
from monai_al.report._page_numbers import (
    average_of,
    class_names,
    class_score,
    digits,
    evaluated_rounds,
    hd95_title,
    is_tested,
    last_metrics,
    mean_score,
    of_volumes,
    percent,
    seconds,
    significant,
    whole,
)
from monai_al.report.page_content import RunPage, ShownRound

__all__ = [
    "PageTable",
    "TableCell",
    "class_table",
    "item_table",
    "key_table",
    "round_table",
    "sensitivity_table",
    "volume_table",
]


@dataclass(frozen=True)
class TableCell:
    """A cell that is more than its text.

    Args:
        text: what it says.
        strong: whether it stands out.
        anchor: the part of the page that it leads to, or None.

    Example:
        >>> TableCell("waiting", strong=True).anchor is None
        True
    """

    text: str
    strong: bool = False
    anchor: str | None = None


@dataclass(frozen=True)
class PageTable:
    """A table.

    Args:
        caption: what it shows.
        head: the titles of its columns.
        rows: their cells; the first one names the row.
        words: numbers of the columns that hold text rather than numbers.

    Example:
        >>> PageTable("Versions", ["name", "value"], [["torch", "2.13.0"]], words=(1,)).head
        ['name', 'value']
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str | TableCell]]
    words: Sequence[int] = ()


_APART = {
    "dice_query": (
        "on the query",
        "the 2D Dice of the network before on the slices that were then annotated, which were chosen and are no sample "
        "of the data set",
    ),
    "dice_folds": (
        "cross-validated",
        "the 2D Dice on the labeled slices, each scored by a network that saw no slice of its patient",
    ),
}


def round_table(page: RunPage) -> PageTable | None:
    """Labels, cost, scores and times of each round."""
    if not page.rounds:
        return None
    classes = class_names(page)
    per_class = classes if len(classes) > 1 else []
    told = {column for column in COST_COLUMNS for one in page.rounds if _cost(one, column) is not None}
    models = [column for column in COST_COLUMNS if column in told - {"cost"}]
    costs = ["cost", *(COST_TITLES[column].removeprefix("cost in full ") for column in models)]
    tested = is_tested(last_metrics(page))
    head = ["round", "labeled", "share", *costs]
    head += ["3D Dice", *per_class, "2D Dice", hd95_title(last_metrics(page))] if tested else []
    apart = {key: text for key, text in _APART.items() if any((one.metrics or {}).get(key) for one in page.rounds)}
    head += [*(name for name, _ in apart.values()), "training", "evaluating", "scoring"]
    scores = ", the scores on the test volumes," if tested else ""
    caption = f"After each round: everything labeled so far and its cost in full items{scores} and how long it took."
    caption += "".join(f" {name.capitalize()}: {about}." for name, about in apart.values())
    caption += f" {', '.join(costs[1:]).capitalize()}: the cost by other models, in full slices." if models else ""
    return PageTable(caption, head, [_round_row(one, per_class, apart, models, tested) for one in page.rounds])


def _cost(shown: ShownRound, column: str) -> float | None:
    return cost_in_column((shown.metrics or {}).get("cost") or {}, column)


def _round_row(
    shown: ShownRound, classes: Sequence[str], apart: Iterable[str], models: Sequence[str], tested: bool
) -> list[str | TableCell]:
    own = shown.metrics or {}
    scores = [
        TableCell(digits(mean_score(own, "dice_3d"), 3), strong=True),
        *(digits(class_score(own, "dice_3d", name), 3) for name in classes),
        digits(mean_score(own, "dice_2d"), 3),
        digits(mean_score(own, "hd95_3d"), 1),
    ]
    return [
        TableCell(str(shown.number), anchor=f"round-{shown.number}"),
        whole(own.get("labeled")),
        percent(own.get("fraction")),
        *(significant(_cost(shown, column)) for column in ("cost", *models)),
        *(scores if tested else ()),
        *(digits(mean_score(own, key), 3) for key in apart),
        *(seconds(shown.timings.get(step)) for step in ("train_s", "evaluate_s", "score_s")),
    ]


def sensitivity_table(page: RunPage) -> PageTable | None:
    """The cost of all labels if weak ones were given faster or slower; None where none is weak."""
    found = [(number, own["cost"]) for number, own in evaluated_rounds(page) if own.get("cost")]
    if not found or WEAK not in (found[-1][1].get("per_kind") or {}):
        return None
    number, cost = found[-1]
    speeds = sorted({*SENSITIVITY_SPEEDS, cost_assumptions(cost, "cost")["scribble_speed"]})
    rows: list[list[str | TableCell]] = [
        [title, *(significant(cost_at_speed(cost, column, speed)) for speed in speeds)]
        for column, title in COST_TITLES.items()
    ]
    caption = f"What all labels cost after round {number} if a weak label is given r times as fast as a full one."
    return PageTable(caption, ["model", *(f"r = {speed:g}" for speed in speeds)], rows)


def item_table(shown: ShownRound) -> PageTable | None:
    """The items of a round's query; a column tells where editors show them, where that is known."""
    places = any(item.place for item in shown.items)
    rows = [
        [
            str(number),
            item.id,
            *([item.place or UNDEFINED] if places else []),
            significant(item.score),
            item.reason or UNDEFINED,
            "labeled" if item.labeled else TableCell("waiting", strong=True),
        ]
        for number, item in enumerate(shown.items, start=1)
    ]
    head = ["pick", "item", *(["where"] if places else []), "score", "why", "state"]
    words = (1, 2, 4) if places else (1, 3)
    return PageTable("In the order in which they were chosen.", head, rows, words=words) if rows else None


def volume_table(number: int, metrics: Mapping[str, Any]) -> PageTable | None:
    """The scores of each test volume in a round, the best volume first."""
    dice = of_volumes(metrics, "dice_3d")
    if not dice:
        return None
    distances = of_volumes(metrics, "hd95_3d")
    classes = list(next(iter(dice.values())))
    means = {volume: average_of(own.values()) for volume, own in dice.items()}
    undefined_last = {volume: -1.0 if mean is None else mean for volume, mean in means.items()}
    rows = [
        [
            volume,
            *(digits(dice[volume].get(name), 3) for name in classes),
            *(digits(distances.get(volume, {}).get(name), 1) for name in classes),
        ]
        for volume in sorted(dice, key=undefined_last.__getitem__, reverse=True)
    ]
    distance = hd95_title(metrics)
    head = ["volume", *(f"3D Dice {name}" for name in classes), *(f"{distance} {name}" for name in classes)]
    return PageTable(f"Scores of round {number}, the best volume first.", head, rows)


def class_table(page: RunPage) -> PageTable | None:
    """Scores of each class in the last evaluated round, with counts of empty masks and false alarms."""
    if not evaluated_rounds(page):
        return None
    number, metrics = evaluated_rounds(page)[-1]
    head = ["class", "3D Dice", "2D Dice", hd95_title(metrics), "found", "missed", "false alarms", "both empty"]
    head.append("slices with a false alarm")
    counts = metrics.get("counts") or {}
    places = {"dice_3d": 3, "dice_2d": 3, "hd95_3d": 1}
    rows: list[list[str | TableCell]] = [
        [
            name,
            *(digits(class_score(metrics, key, name), n) for key, n in places.items()),
            *_count_cells((counts.get("per_class") or {}).get(name) or {}),
        ]
        for name in class_names(page)
    ]
    if len(rows) != 1:
        means = [digits(mean_score(metrics, key), n) for key, n in places.items()]
        rows.append([TableCell("all", strong=True), *means, *_count_cells(counts)])
    return PageTable(f"Round {number}, on the stored grid of the label files.", head, rows)


def _count_cells(counts: Mapping[str, Any]) -> list[str]:
    cells = [whole(counts.get(key)) for key in ("defined", "prediction_empty", "truth_empty", "both_empty")]
    wrong, without = counts.get("false_positive_slices"), counts.get("slices_without_foreground")
    return [*cells, f"{whole(wrong)} of {whole(without)}" if without else UNDEFINED]


def key_table(caption: str, entries: Mapping[str, Any]) -> PageTable | None:
    """Names and what they are set to.

    Example:
        >>> key_table("Training", {"amp": False, "channels": [16, 32]}).rows
        [['amp', 'no'], ['channels', '16, 32']]
    """
    rows = [[str(key), _in_words(value)] for key, value in entries.items()]
    return PageTable(caption, ["name", "value"], rows, words=(1,)) if rows else None


def _in_words(value: Any) -> str:
    if value is None:
        return UNDEFINED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_in_words(entry)}" for key, entry in value.items()) or UNDEFINED
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_in_words, value)) or UNDEFINED
    return str(value)
