# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a loop tells people while it runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_al.annotators import Answer
from monai_al.records import TEST, RunFolder, round_title, shown
from monai_al.records.outside_text import outside_text
from monai_al.records.work_list import WORK_LIST, WORK_PAGE, read_work_list, work_path, work_task
from monai_al.sources import Source

__all__ = [
    "tell_answer",
    "tell_answered",
    "tell_budget",
    "tell_outside",
    "tell_own_weights",
    "tell_processes",
    "tell_refused",
    "tell_round",
    "tell_start",
    "tell_test_labels",
    "tell_unused_validation",
    "tell_waiting",
]

logger = logging.getLogger(__name__)
_SHOWN = 10


def tell_processes(now: int, before: int) -> None:
    """Say how many processes there are, and that another number does not give the same weights.

    Args:
        now: how many there are.
        before: how many there were when the run started.

    Example:
        >>> tell_processes(1, 1)
    """
    if now > 1:
        logger.info("%d processes share out training, scoring and evaluating", now)
    if now != before:
        logger.warning(
            "the run was started with %d processes and goes on with %d: a network that several train together differs "
            "a little from what it would have been",
            before,
            now,
        )


def tell_start(strategy: str, source: Source, n_labeled: int, deciding: Sequence[str] = ()) -> None:
    """Say what is about to begin.

    Args:
        strategy: its name.
        source: the data.
        n_labeled: how many items will be labeled in the end.
        deciding: the bundle's own components that look at validation data which are the test set here.

    Example:
        >>> from monai_al.records import Pool
        >>> from monai_al.sources import SliceSource
        >>> tell_start("random", SliceSource(Pool([]), cache=None), 0)
    """
    for note in source.data.notes:
        logger.info("note: %s", note)
    if deciding:
        logger.warning(
            "the bundle's own %s looks at its validation data, which are the test set here: the scores flatter. "
            "Disable it by the bundle's own options, or by an overlay in train_overlays",
            ", ".join(deciding),
        )
    pool, test = source.data.part("train"), source.data.part("test")
    tested_patients = set(test.patients)
    shared = [patient for patient in pool.patients if patient in tested_patients]
    if shared:
        logger.warning(
            "the bundle's own split shares patients between the pool and the test set, such as %s (%d in all): the "
            "scores flatter", shared[0], len(shared),
        )  # fmt: skip
    tested = f"tested on {len(test.volumes)} volumes of {len(test.patients)} patients" if len(test) else "no test part"
    logger.info(
        "%s: %d items of %d patients may be annotated, %d in the end; %s",
        strategy, len(pool), len(pool.patients), n_labeled, tested,
    )  # fmt: skip


def tell_own_weights(files: Sequence[str]) -> None:
    """Say that each round starts from weights that a bundle loads by itself.

    Args:
        files: where they come from, as far as that is known.

    Example:
        >>> tell_own_weights(["models/model.pt"])
    """
    source = ", ".join(files) or "somewhere"
    logger.info("note: each round starts from weights that the bundle loads by itself, from %s", source)


def tell_unused_validation() -> None:
    """Warn where labeled patients are left out of the training, and nothing is decided by them.

    Example:
        >>> tell_unused_validation()  # warns
    """
    logger.warning(
        "--validate_on labeled leaves a fifth of the labeled patients out of each training, and nothing is chosen by "
        "them: give --model best or --early_stopping, which bundles of others do not take, or --tested best, or leave "
        "it out"
    )


def tell_budget(budget: int | float | Sequence[int | float], rounds: int, sizes: Sequence[int], n_items: int) -> None:
    """Warn where a budget asks for more items than there are.

    Args:
        budget: as it was asked for.
        rounds: the number of rounds, as it was asked for.
        sizes: what the rounds get.
        n_items: the size of the pool.

    Example:
        >>> tell_budget(30, rounds=3, sizes=[30, 30], n_items=60)  # warns
        >>> tell_budget(20, rounds=3, sizes=[20, 20, 20], n_items=60)
    """
    counts = list(budget) if isinstance(budget, Sequence) else [budget]
    if not all(isinstance(count, int) for count in counts):
        return  # shares cannot ask for more
    asked = sum(counts) + counts[-1] * (rounds - len(counts))
    if asked > n_items:
        logger.warning(
            "--budget asks for %d items in %d rounds, but only %d may be annotated: the last round gets %d%s",
            asked, rounds, n_items, sizes[-1], f", and there are only {len(sizes)} rounds" * (len(sizes) < rounds),
        )  # fmt: skip


def tell_answer(number: int, answer: Answer) -> None:
    """Say what a person returned, where it is not all that was asked for and nothing else.

    Args:
        number: the round.
        answer: what came back.

    Example:
        >>> tell_answer(1, Answer(annotator="someone"))
    """
    if answer.annotator is not None and answer.labeled:
        logger.info("%s: %d items taken, returned by %s", round_title(number), len(answer.labeled), answer.annotator)
    for note in answer.notes:
        logger.warning("%s: %s", round_title(number), note)


def tell_waiting(
    number: int, waiting: Sequence[str], annotator: str, run: Path, problems: Mapping[str, str] | None = None
) -> None:
    """Say which answers are still waited for, where the work lies that was handed out, and how to go on.

    Args:
        number: the round.
        waiting: the ids.
        annotator: its name.
        run: the run folder.
        problems: id -> why an item waits for which something came back.

    Example:
        >>> tell_waiting(1, ["case_1/0007"], "someone", Path("runs/a"))
    """
    for id, why in list((problems or {}).items())[:_SHOWN]:
        logger.warning("%s: %s is still waiting: %s", round_title(number), id, why)
    place = work_path(run, number)
    if not (place / WORK_LIST).is_file():
        logger.info(
            "%s: %d answers of %s are still waiting, such as %s; run the same command again when they are in",
            round_title(number), len(waiting), annotator, waiting[0],
        )  # fmt: skip
        return
    rows = [row for row in read_work_list(place) if row.id in set(waiting)]
    several = f" of {len({row.volume for row in rows})} volumes" if any(row.slice is not None for row in rows) else ""
    logger.info(
        "%s: %d %s wait for labels%s%s. The work lies in %s. When it is saved there, run the same "
        "command again; to draw it in napari: python -m monai_al annotate %s; to take it in without training: "
        "python -m monai_al import-labels %s",
        round_title(number), len(waiting), f"slices{several}" if several else "items",
        ", and no round waits for them" * (number == TEST), f": {task}" if (task := work_task(place)) else "",
        place / WORK_PAGE, run, run,
    )  # fmt: skip


def tell_answered(number: int, n_items: int, budget: int | float | Sequence[int | float]) -> None:
    """Say that the query that followed the last round is answered.

    Args:
        number: the round that it would begin.
        n_items: how many items it asked for.
        budget: as it was asked for.

    Example:
        >>> tell_answered(2, 8, budget=8)
    """
    logger.info(
        "the query after the last round is answered: --rounds %d trains on it%s",
        number + 1, "" if budget == n_items else f", with a --budget that gives round {number} its {n_items} items",
    )  # fmt: skip


def tell_refused(number: int, refused: Mapping[str, str], n_asked: int) -> None:
    """Say how many items of a round have no label, if there are any.

    Args:
        number: the round.
        refused: id -> why it has none.
        n_asked: how many items were asked for.

    Example:
        >>> tell_refused(1, {"case_1/0007": "its label annotates no pixel"}, 20)
    """
    if refused:
        id, reason = next(iter(refused.items()))
        logger.warning(
            "%s: %d of %d items have no label and are not asked for again, such as %s: %s",
            round_title(number), len(refused), n_asked, id, reason,
        )  # fmt: skip


def tell_test_labels(number: int, folder: RunFolder, now: str) -> None:
    """Warn where an earlier round was scored with other labels of the test part.

    Args:
        number: the round that is about to be scored.
        folder: the run folder.
        now: what tells the labels of the test part from others, as in ``metrics.json``.

    Example:
        >>> tell_test_labels(0, RunFolder("runs/a"), "e3b0")
    """
    before = {(folder.metrics(earlier) or {}).get("test_labels") for earlier in range(number)} - {None}
    if before - {now}:
        logger.warning(
            "the labels of the test part have changed since the rounds before: scores of round %d cannot be compared "
            "with theirs", number,
        )  # fmt: skip


def tell_outside(metrics: Mapping[str, Any]) -> None:
    """Warn where a bundle's own preprocessing cuts away what is labeled in the test part.

    Args:
        metrics: of a round, or the scores of it.

    Example:
        >>> tell_outside({"outside": {"share": 0.0}})
    """
    told = outside_text(metrics)
    if told is not None:
        logger.warning("%s", told)


def tell_pseudo_labels(number: int, n_items: int, n_empty: int) -> None:
    """Say how many items train with the network's own labels, and how many could not.

    Args:
        number: the round in whose training they take part.
        n_items: how many they are.
        n_empty: how many were passed over, as the network finds no foreground in them.

    Example:
        >>> tell_pseudo_labels(2, 6, 1)
    """
    if n_empty:
        logger.info(
            "round %d: for pseudo labels %d items were passed over, as the network finds no foreground in them",
            number, n_empty,
        )  # fmt: skip
    if n_items:
        logger.info("round %d also trains on %d pseudo labels, which count nowhere", number, n_items)


def tell_round(row: Mapping[str, Any], n_rounds: int, n_items: int, *, placeholder_spacing: bool) -> None:
    """Say how a round went.

    Args:
        row: the round's row of ``curve.csv``.
        n_rounds: how many rounds the run has.
        n_items: the size of the pool.
        placeholder_spacing: millimetres mean nothing.

    Example:
        >>> names = ("dice_3d", "dice_2d", "hd95_3d", "dice_query", "train_s", "evaluate_s", "score_s")
        >>> row = {"round": 0, "labeled": 5, "fraction": 0.05, **dict.fromkeys(names)}
        >>> tell_round(row, 4, 100, placeholder_spacing=False)
    """
    scores = (
        f"3D Dice {shown(row['dice_3d'], '.3f')}, 2D Dice {shown(row['dice_2d'], '.3f')}, "
        f"HD95 {shown(row['hd95_3d'], '.1f')} " + ("(the spacing is a placeholder)" if placeholder_spacing else "mm")
    )
    if row["dice_3d"] is row["dice_2d"] is row["hd95_3d"] is None:
        scores = "nothing to score"
    if row["dice_query"] is not None:
        scores += f"; the network before had 2D Dice {row['dice_query']:.3f} on what was asked"
    logger.info(
        "round %d (%d of %d): %d of %d items labeled (%.1f %%), %s; "
        "train %s s, evaluate %s s, score %s s",
        row["round"], row["round"] + 1, n_rounds, row["labeled"], n_items, 100 * row["fraction"],
        scores,
        *(shown(row[name], ".1f") for name in ("train_s", "evaluate_s", "score_s")),
    )  # fmt: skip
