# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The settings of a loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monai_al.engines.labeled_validation import LABELED, VALIDATION_PART
from monai_al.engines.members import MEAN
from monai_al.metrics import check_empty_policy
from monai_al.records.cost_model import CostSettings
from monai_al.sources import EntrySettings
from monai_al.uncertainty import check_activation

__all__ = ["BUNDLE", "INITIAL_SETS", "PREVIOUS", "SCRATCH", "LoopSettings"]

SCRATCH, PREVIOUS, BUNDLE = "scratch", "previous", "bundle"  # initial weights
INITIAL_SETS = ("strategy", "random", "central_stratified", "coreset", "cluster_representatives")


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """How many items and rounds, how many networks, and how they are used.

    Args:
        budget: see :func:`monai_al.records.round_sizes`.
        rounds: number of rounds.
        seed: the experiment's seed; all randomness derives from it.
        members: networks trained per round, each from its own seed.
        tested: which of several members is evaluated: ``"mean"``, their mean probability, or ``"best"``, the one with
            the highest 3D Dice on the validation part. It is scored, too, where a strategy does not need all of them.
        initial_set: who chooses the first query. ``"strategy"``: the strategy, where it can; else chance, or, of a pool
            without any label, ``"central_stratified"``: a central slice of each patient. ``"random"``: chance.
            ``"coreset"``: k-center on the features of a pretrained encoder. ``"cluster_representatives"``: what is
            nearest to the centroids of clusters of these features.
        annotate_test: how many patients are the test part that people annotate; 0: it has labels, or is empty.
        folds: above 1, each round also trains on all but one of so many parts of the labeled patients, for each part,
            and scores the network on that one.
        initial_weights: ``"scratch"``, ``"previous"`` to start from the previous round's weights, or ``"bundle"`` to
            start from those that a training config of others loads by itself.
        warm_start: pretrained weights that networks start from instead of random ones, in each round, or with previous
            weights in the first, and those of the folds in each: ``"encoder"``, those of the encoder's training, or a
            file; None: random ones.
        validate_on: what chooses weights, ends a training early or finds the best member, where one of them is asked
            for: ``"validation_part"``, or ``"labeled"``: a fifth of the labeled patients, which is left out of the
            training. Then no label is used that was not asked for, and where all are scribbles no mask.
        activation: from the network's outputs to probabilities; None reads it off the training config.
        empty_policy: how Dice and HD95 treat empty masks: ``strict``, ``ignore_empty`` or ``count_empty``.
        score_inside: score a foreign bundle on what its network sees alone; else what its preprocessing crops away
            counts as missed.
        scoring_batch_size: items per batch where nothing is trained.
        threads: CPU threads of torch; None keeps the process's number, or that of the start when a run goes on.
        progress: show progress bars.
        share_first_model: take the networks of the first round from the cache where another run has trained the same
            ones, and leave them there for others; with a pool of our own alone.
        scribble_speed: how many times faster a weak label is given than a full one, as costs are counted; see
            :class:`monai_al.records.cost_model.CostSettings`.
        slice_overhead: the share of an average slice's cost that does not grow with its foreground.
        opening_cost: what opening a volume costs, in full slices.
        image_key: of a bundle that was written without this package: the key of an entry's image; see
            :class:`monai_al.sources.EntrySettings`.
        label_key: the same of its label.
        patient: the same: regular expression that finds the patient in an image's path.

    Raises:
        ValueError: a setting is out of range.

    Example:
        >>> LoopSettings(rounds=0)
        Traceback (most recent call last):
        ...
        ValueError: rounds must be a whole number of at least 1, got 0
    """

    budget: int | float | Sequence[int | float] = 10
    rounds: int = 5
    seed: int = 0
    members: int = 1
    tested: str = MEAN
    initial_set: str = "strategy"
    annotate_test: int = 0
    folds: int = 0
    initial_weights: str = "scratch"
    warm_start: str | None = None
    validate_on: str = VALIDATION_PART
    activation: str | None = None
    empty_policy: str = "strict"
    score_inside: bool = False
    scoring_batch_size: int = 64
    threads: int | None = None
    progress: bool = True
    share_first_model: bool = False
    scribble_speed: float = CostSettings.scribble_speed
    slice_overhead: float = CostSettings.slice_overhead
    opening_cost: float = CostSettings.opening_cost
    image_key: str = EntrySettings.image_key
    label_key: str = EntrySettings.label_key
    patient: str | None = EntrySettings.patient

    def __post_init__(self) -> None:
        for name in ("members", "rounds", "scoring_batch_size", "threads"):
            number = getattr(self, name)
            optional = name == "threads" and number is None
            if not optional and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
                raise ValueError(f"{name} must be a whole number of at least 1, got {number!r}")
        for name in ("annotate_test", "folds"):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int) or number < 0 or (name, number) == ("folds", 1):
                raise ValueError(f"{name} must be 0 or a whole number above {int(name == 'folds')}, got {number!r}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise ValueError(f"seed must be a whole number, got {self.seed!r}")
        if self.initial_weights not in (SCRATCH, PREVIOUS, BUNDLE):
            raise ValueError(f"initial_weights must be {SCRATCH}, {PREVIOUS} or {BUNDLE}, got {self.initial_weights!r}")
        if self.warm_start is not None and not isinstance(self.warm_start, str):
            raise ValueError(f"warm_start must be 'encoder' or a file, got {self.warm_start!r}")
        if self.initial_set not in INITIAL_SETS:
            raise ValueError(f"initial_set must be one of {', '.join(INITIAL_SETS)}, got {self.initial_set!r}")
        if self.validate_on not in (VALIDATION_PART, LABELED):
            raise ValueError(f"validate_on must be {VALIDATION_PART!r} or {LABELED!r}, got {self.validate_on!r}")
        if self.activation is not None:
            check_activation(self.activation)
        check_empty_policy(self.empty_policy)
        for name in ("score_inside", "share_first_model"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be true or false, got {getattr(self, name)!r}")
        _ = self.costs, self.entries  # which check what they hold

    @property
    def costs(self) -> CostSettings:
        """What the models of annotation cost assume."""
        return CostSettings(self.scribble_speed, self.slice_overhead, self.opening_cost)

    @property
    def entries(self) -> EntrySettings:
        """What is said of the entries of a bundle that was written without this package."""
        return EntrySettings(self.image_key, self.label_key, self.patient)

    def results(self) -> dict[str, Any]:
        """What the results of a run depend on, beside how many items and rounds were asked for.

        What costs are counted with, what is scored and what is said of entries stands there only where it is not the
        default, so that runs from before go on.

        Example:
            >>> sorted(set(LoopSettings().results()) & {"members", "rounds", "threads"})
            ['members']
        """
        apart = {"budget", "rounds", "threads", "progress", "share_first_model", "warm_start"}
        if self.validate_on == VALIDATION_PART:  # as in runs of before there was a choice
            apart.add("validate_on")
        if not self.score_inside:
            apart.add("score_inside")
        costs, default = dataclasses.asdict(self.costs), dataclasses.asdict(CostSettings())
        apart |= {*costs, *dataclasses.asdict(self.entries)}
        names = (field.name for field in dataclasses.fields(self) if field.name not in apart)
        said = {name: float(value) for name, value in costs.items() if value != default[name]}
        return {name: getattr(self, name) for name in names} | said | self.entries.results()
