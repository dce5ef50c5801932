# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a round's metrics say: the test part, the answers to its query, the labeled patients."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from monai_al.bundle import PythonTraining, RoundTraining
from monai_al.engines.cross_validation import cross_validated
from monai_al.engines.labeled_validation import LABELED, VALIDATION_PART, split_labeled, without_patients_of
from monai_al.engines.loop_log import tell_outside, tell_test_labels
from monai_al.engines.members import BEST, Members
from monai_al.engines.pseudo_labeling import pseudo_labeled
from monai_al.engines.round_weights import trained_weights
from monai_al.engines.settings import LoopSettings
from monai_al.inferers import TrainedNetwork
from monai_al.passes import answer_dice, evaluate_items
from monai_al.records import FULL, TEST, WEAK, Item, Labels, RunFolder, config_hash, kind_of, rng
from monai_al.records.cost_model import AreaScale
from monai_al.sources import Source, summary_of

__all__ = ["RoundMetrics"]


class RoundMetrics:
    """Finds the content of ``metrics.json`` of a trained round.

    Args:
        folder: the run folder.
        source: the data.
        training: trains a network.
        members: the networks of the rounds.
        settings: those of the loop.
        test_labels: tells the labels of the test part from others.
        pretrained: gives the weights that the networks of ``folds`` start from; None: random ones.

    Example:
        >>> from monai_al.assets import find_asset
        >>> from monai_al.records import Pool
        >>> from monai_al.sources import SliceSource
        >>> training = RoundTraining(find_asset("selective_uncertainty_spleen") / "configs" / "train.yaml")
        >>> source, folder = SliceSource(Pool([]), cache=None), RunFolder("runs/a")
        >>> members = Members(folder, training, 1)
        >>> RoundMetrics(folder, source, training, members, LoopSettings(), "e3b0").deciding_on_test
        []
    """

    def __init__(
        self,
        folder: RunFolder,
        source: Source,
        training: RoundTraining | PythonTraining,
        members: Members,
        settings: LoopSettings,
        test_labels: str,
        pretrained: Callable[[], Mapping[str, torch.Tensor] | None] = lambda: None,
    ) -> None:
        self.folder, self.source, self.training = folder, source, training
        self.members, self.settings, self.test_labels = members, settings, test_labels
        self.pretrained = pretrained
        self.pool, self.test = source.data.part("train"), source.data.part("test")

    def of(self, number: int) -> dict[str, Any]:
        """The metrics of a round."""
        members, choice = self._chosen(number)
        tested, test_labels = self._tested_items()
        tell_test_labels(number, self.folder, test_labels)
        scores = self._scores_of(self.members.load(self.source, number, members), tested, "evaluating")
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
        trained = self.members.load(self.source, number - 1, self.members.of_round(number - 1))
        return answer_dice(self.source, trained, labels.of_items(asked), batch_size=self.settings.scoring_batch_size)

    def _cross_validated(self, number: int, labeled: Sequence[Item]) -> dict[str, Any]:
        if not self.settings.folds:
            return {}
        seed = self.settings.seed

        def score(part: int, train: Sequence[Item], held_out: Sequence[Item]) -> dict[str, Any]:
            validation = None
            if self.settings.validate_on == LABELED:
                train, validation = split_labeled(train, seed)
            weights = trained_weights(
                self.training,
                self.source,
                self.folder,
                train,
                validation=validation,
                round=number,
                purpose=f"fold {part}",
                seed=seed,
                pretrained=self.pretrained(),
            )
            trained = self.source.adapted(self.training.load(weights, self.settings.activation))
            return answer_dice(self.source, trained, held_out, batch_size=self.settings.scoring_batch_size)

        return {"dice_folds": cross_validated(labeled, self.settings.folds, score, rng(seed, number, "folds"))}

    def _chosen(self, number: int) -> tuple[list[int], dict[str, Any]]:
        """The members that are tested, and what is said of their choice."""
        if self.settings.validate_on == VALIDATION_PART:
            return self.members.choose(functools.partial(self._validated, number))
        items = self._validation_items(number)

        def validated(member: int) -> float | None:
            trained = self.members.load(self.source, number, [member])
            return answer_dice(self.source, trained, items, batch_size=self.settings.scoring_batch_size)["mean"]

        return self.members.choose(validated, "validation_dice_2d")

    def _validated(self, number: int, member: int) -> float | None:
        items = self.source.data.part("validation").items
        return self._scores_of(self.members.load(self.source, number, [member]), items, "validating")["dice_3d"]["mean"]

    def _validation_items(self, number: int) -> list[Item]:
        """What a round's trainings validate on, with its labels."""
        if self.settings.validate_on == VALIDATION_PART:
            return list(self.source.data.part("validation"))
        labels = self.folder.labels(number)
        return split_labeled(labels.of_items(self.pool[self.pool.index(id)] for id in labels), self.settings.seed)[1]

    def _scores_of(self, trained: TrainedNetwork, items: Sequence[Item], what: str) -> dict[str, Any]:
        if not items:
            return summary_of(self.source, [], [], empty_policy=self.settings.empty_policy)
        return evaluate_items(
            self.source,
            trained,
            items,
            empty_policy=self.settings.empty_policy,
            batch_size=self.settings.scoring_batch_size,
            description=what if self.settings.progress else None,
        )

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
