# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a round's metrics say: the test part, the answers to its query, the labeled patients."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from monai_al.engines.cross_validation import cross_validated
from monai_al.engines.labeled_validation import LABELED, VALIDATION_PART, split_labeled, without_patients_of
from monai_al.engines.loop_log import tell_outside, tell_test_labels
from monai_al.engines.members import BEST
from monai_al.engines.pseudo_labeling import pseudo_labeled
from monai_al.engines.shared_work import Networks, SharedWork, TrainingTask
from monai_al.passes import answer_dice
from monai_al.records import FULL, TEST, WEAK, Item, Labels, RunFolder, config_hash, kind_of, rng
from monai_al.records.cost_model import AreaScale
from monai_al.sources import Source

__all__ = ["RoundMetrics"]


class RoundMetrics:
    """Finds the content of ``metrics.json`` of a trained round.

    Args:
        folder: the run folder.
        source: the data.
        work: trains networks, and scores those of the rounds.
        test_labels: tells the labels of the test part from others.
        pretrained: gives the weights that the networks of ``folds`` start from; None: random ones.

    Example:
        >>> from monai_al.assets import find_asset
        >>> from monai_al.bundle import RoundTraining
        >>> from monai_al.distributed import Team
        >>> from monai_al.engines.members import Members
        >>> from monai_al.engines.settings import LoopSettings
        >>> from monai_al.records import Pool
        >>> from monai_al.sources import SliceSource
        >>> training = RoundTraining(find_asset("selective_uncertainty_spleen") / "configs" / "train.yaml")
        >>> source, folder = SliceSource(Pool([]), cache=None), RunFolder("runs/a")
        >>> work = SharedWork(Team(), training, Members(folder, training, 1), LoopSettings())
        >>> work.source = source
        >>> RoundMetrics(folder, source, work, "e3b0").deciding_on_test
        []
    """

    def __init__(
        self,
        folder: RunFolder,
        source: Source,
        work: SharedWork,
        test_labels: str,
        pretrained: Callable[[], Mapping[str, torch.Tensor] | None] = lambda: None,
    ) -> None:
        self.folder, self.source, self.work = folder, source, work
        self.training, self.members, self.settings = work.training, work.members, work.settings
        self.test_labels = test_labels
        self.pretrained = pretrained
        self.pool, self.test = source.data.part("train"), source.data.part("test")

    def of(self, number: int) -> dict[str, Any]:
        """The metrics of a round."""
        members, choice = self._chosen(number)
        tested, test_labels = self._tested_items()
        tell_test_labels(number, self.folder, test_labels)
        scores = self.work.evaluated(Networks(number, members), tested)
        if number == 0:
            tell_outside(scores)
        labels = self.folder.labels(number)
        labeled = labels.of_items(self.pool[self.pool.index(id)] for id in labels)
        return {
            "labeled": len(labeled),
            "fraction": len(labeled) / len(self.pool),
            "cost": self._cost(number, labels, labeled),
            "pseudo": self._pseudo(number),
            "test_labels": test_labels,
            **scores,
            "dice_query": self._dice_of_query(number, labels),
            **self._cross_validated(number, labeled),
            **self._model_choice(number),
            **choice,
        }

    def _pseudo(self, number: int) -> int:
        """How many pseudo labels took part in the round's training."""
        items = pseudo_labeled(self.folder, number, self.pool)
        on_labeled = bool(items) and self.settings.validate_on == LABELED
        return len(without_patients_of(self._validation_items(number) if on_labeled else (), items))

    def _cost(self, number: int, labels: Labels, labeled: Sequence[Item]) -> dict[str, Any]:
        """What everything labeled costs; by area with the mean of the round before, so that no cost changes later."""
        before = (self.folder.metrics(number - 1) or {}) if number else {}
        scale = AreaScale.of_cost(before.get("cost") or {})
        kinds = [label.kind for label in labels.values()]
        return self.source.cost(labeled, kinds, self.settings.costs, scale)

    @property
    def deciding_on_test(self) -> list[str]:
        """What of the bundle lets the test set decide, which is its validation set, too."""
        on_test = self.source.validates_on_test and self.settings.validate_on == VALIDATION_PART
        return self.training.deciding() if on_test else []

    @property
    def validates(self) -> bool:
        """Whether a validation decides anything: weights, when a training ends, or the member that is tested."""
        raw = self.training.raw()
        asked = raw.get("model") == "best" or raw.get("early_stopping") is not None or self.members.tested == BEST
        return asked or (self.source.validates_on_test and bool(self.training.deciding()))

    def _tested_items(self) -> tuple[list[Item], str]:
        """The items to test on, with their labels, and what tells these labels from others."""
        if not self.settings.annotate_test:
            return list(self.test.items), self.test_labels
        labels = self.folder.labels(TEST)
        open_volumes = {item.volume for item in self.test if item.id not in labels}
        items = labels.of_items(item for item in self.test if item.volume not in open_volumes)
        assert self.source.cache is not None
        return items, config_hash({item.id: self.source.cache.get(item).hashes[1] for item in items})

    def _dice_of_query(self, number: int, labels: Labels) -> dict[str, Any] | None:
        """What the network that chose a round's query says of it, scored by the answers; None where there are none."""
        query = self.folder.query(number)
        if number == 0 or query is None:
            return None
        asked = [self.pool[self.pool.index(id)] for id in query.ids if id in labels]
        if not asked:  # all were refused
            return None
        networks = Networks(number - 1, self.members.of_round(number - 1))
        return self.work.answer_dice(networks, labels.of_items(asked))

    def _cross_validated(self, number: int, labeled: Sequence[Item]) -> dict[str, Any]:
        if not self.settings.folds:
            return {}
        seed = self.settings.seed

        def score(part: int, train: Sequence[Item], held_out: Sequence[Item]) -> dict[str, Any]:
            validation = None
            if self.settings.validate_on == LABELED:
                train, validation = split_labeled(train, seed)
            task = TrainingTask(number, f"fold {part}", train, validation, pretrained=self.pretrained())
            weights = next(self.work.trained([task])).weights
            trained = self.source.adapted(self.training.load(weights, self.settings.activation))
            return answer_dice(self.source, trained, held_out, batch_size=self.settings.scoring_batch_size)

        return {"dice_folds": cross_validated(labeled, self.settings.folds, score, rng(seed, number, "folds"))}

    def _chosen(self, number: int) -> tuple[list[int], dict[str, Any]]:
        """The members that are tested, and what is said of their choice."""
        if self.settings.validate_on == VALIDATION_PART:
            return self.members.choose(functools.partial(self._validated, number))
        items = self._validation_items(number)

        def validated(member: int) -> float | None:
            return self.work.answer_dice(Networks(number, [member]), items)["mean"]

        return self.members.choose(validated, "validation_dice_2d")

    def _validated(self, number: int, member: int) -> float | None:
        items = self.source.data.part("validation").items
        return self.work.evaluated(Networks(number, [member]), items, "validating")["dice_3d"]["mean"]

    def _validation_items(self, number: int) -> list[Item]:
        """What a round's trainings validate on, with its labels."""
        if self.settings.validate_on == VALIDATION_PART:
            return list(self.source.data.part("validation"))
        labels = self.folder.labels(number)
        return split_labeled(labels.of_items(self.pool[self.pool.index(id)] for id in labels), self.settings.seed)[1]

    def _model_choice(self, number: int) -> dict[str, Any]:
        """Which model was tested, and which labels that choice used."""
        raw = self.training.raw()
        on_labeled = self.settings.validate_on == LABELED
        if self.source.validates_on_test and not on_labeled:
            return {"model": "last", "validation_labeled": len(self.test) if self.deciding_on_test else 0}
        best, validated = raw.get("model") == "best", self.validates
        items = self._validation_items(number) if validated or on_labeled else []
        kinds = Counter(kind_of(self.source.annotated_share(item)) for item in items)
        return {
            "model": "best on validation" if best else "last",
            "validation_labeled": len(items) if validated else 0,
            "validated_on": self.settings.validate_on if items else None,
            "validation_kinds": {kind: kinds[kind] for kind in (FULL, WEAK) if kinds[kind]},
        }
