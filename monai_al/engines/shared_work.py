# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the processes of a run share out: trainings, scoring, evaluating."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from monai_al.bundle import PythonTraining, RoundTraining
from monai_al.distributed import Team, own_folder
from monai_al.engines.members import Members
from monai_al.engines.round_weights import trained_weights
from monai_al.engines.settings import LoopSettings
from monai_al.inferers import TrainedNetwork
from monai_al.passes import answer_rows, dice_of_answers, score_items, volume_scores
from monai_al.passes.sharing import merged_scores, own_batches, own_volumes, volume_order
from monai_al.records import Item
from monai_al.sources import Source, summary_of
from monai_al.uncertainty import Measure

__all__ = ["Networks", "SharedWork", "TrainedWeights", "TrainingTask"]


class Networks(NamedTuple):
    """Members of a round that was trained.

    Args:
        round: the round.
        members: their numbers.

    Example:
        >>> Networks(0, [0]).members
        [0]
    """

    round: int
    members: Sequence[int]


class TrainedWeights(NamedTuple):
    """What a training gave.

    Args:
        weights: the ``state_dict`` of the network.
        seconds: how long it took.

    Example:
        >>> TrainedWeights({}, 3.5).seconds
        3.5
    """

    weights: Mapping[str, torch.Tensor]
    seconds: float


@dataclass(frozen=True)
class TrainingTask:
    """One network that is to be trained.

    Args:
        round: the round.
        purpose: what the network is for; with the seed and the round it decides all randomness.
        items: the items, which name the files of their labels.
        validation: the items to validate on; None: those of the source.
        state: weights to begin with.
        pretrained: without a state, weights that all but the last layer begin with.

    Example:
        >>> TrainingTask(0, "train member 0", []).validation is None
        True
    """

    round: int
    purpose: str
    items: Sequence[Item]
    validation: Sequence[Item] | None = None
    state: Mapping[str, torch.Tensor] | None = None
    pretrained: Mapping[str, torch.Tensor] | None = None


class SharedWork:
    """The work of a run that all of its processes do; one alone does all of it.

    The first process calls the methods; the others have built the same, and serve its team. Scores, embeddings and
    metrics are those of one process, bit for bit on a CPU: each process passes whole batches of the same pass.

    Args:
        team: the processes.
        training: trains a network.
        members: the networks of the rounds.
        settings: those of the loop.

    Example:
        >>> from monai_al.assets import find_asset
        >>> from monai_al.records import RunFolder
        >>> training = RoundTraining(find_asset("selective_uncertainty_spleen") / "configs" / "train.yaml")
        >>> members = Members(RunFolder("runs/a"), training, 1)
        >>> list(SharedWork(Team(), training, members, LoopSettings()).trained([]))
        []
    """

    source: Source
    """The data; set before the first call, by every process."""

    def __init__(
        self, team: Team, training: RoundTraining | PythonTraining, members: Members, settings: LoopSettings
    ) -> None:
        self.team, self.training, self.members, self.settings = team, training, members, settings
        team.jobs |= {
            "train": self._train,
            "train one each": self._train_one_each,
            "score": self._score,
            "evaluate": self._evaluate,
            "score answers": self._score_answers,
        }

    # -- trainings -------------------------------------------------------------------------------------------------

    def trained(self, tasks: Sequence[TrainingTask], *, one_each: bool = False) -> Iterator[TrainedWeights]:
        """The weights of some networks, in order, as they come, and how many seconds each training took.

        Args:
            tasks: the networks.
            one_each: each is trained by one process, as if that were alone; otherwise all train one after the other
                together.

        Raises:
            ValueError: a training diverged.
            ProcessError: it failed in another process.
        """
        size = self.team.size if one_each else 1
        for first in range(0, len(tasks), size):
            wave = tasks[first : first + size]
            if one_each:
                yield from self.team.each("train one each", tasks=wave)[: len(wave)]
            else:
                yield self.team.together("train", task=wave[0])

    def _train_one_each(self, team: Team, tasks: Sequence[TrainingTask]) -> TrainedWeights | None:
        return self._weights(team, tasks[team.rank]) if team.rank < len(tasks) else None

    def _train(self, team: Team, task: TrainingTask) -> TrainedWeights | None:
        trained = self._weights(team, task)
        return trained if team.first else None

    def _weights(self, team: Team, task: TrainingTask) -> TrainedWeights:
        start = time.perf_counter()
        with self._scratch(team, task.round) as scratch:
            weights = trained_weights(
                self.training,
                self.source,
                scratch,
                task.items,
                validation=task.validation,
                round=task.round,
                purpose=task.purpose,
                seed=self.settings.seed,
                state=task.state,
                pretrained=task.pretrained,
            )
        return TrainedWeights(weights, time.perf_counter() - start)

    @contextmanager
    def _scratch(self, team: Team, round: int) -> Iterator[Path]:
        """Where a training writes: the run folder is the first process's alone."""
        if team.first:
            folder = self.members.folder.scratch(round)
            yield folder
            shutil.rmtree(folder)
            return
        with own_folder() as folder:
            yield folder

    # -- scoring ---------------------------------------------------------------------------------------------------

    def scored(
        self,
        positions: np.ndarray | None,
        needs: Mapping[str, Measure | str],
        *,
        networks: Networks | None = None,
        seed: int = 0,
    ) -> dict[str, np.ndarray]:
        """What a strategy needs of items of the pool; see :func:`monai_al.passes.score_items`.

        Args:
            positions: of the items in the pool; None: all.
            needs: name -> measure or layer.
            networks: which predict; None: none, for what is read off the images.
            seed: of the stochastic passes.
        """
        found = self.team.each("score", positions=positions, needs=needs, networks=networks, seed=seed)
        return merged_scores(found)

    def _score(
        self,
        team: Team,
        positions: np.ndarray | None,
        needs: Mapping[str, Measure | str],
        networks: Networks | None,
        seed: int,
    ) -> dict[str, np.ndarray]:
        items = self.source.data.part("train").items
        items = items if positions is None else items.take(positions)
        loader = self.source.loader(items, batch_size=self.settings.scoring_batch_size)
        own, before = own_batches(loader, team.rank, team.size)
        if networks is None:
            return score_items(torch.nn.Identity(), own, needs, before=before, description=self._said("scoring"))
        trained = self._load(networks)
        return score_items(
            trained.network,
            own,
            needs,
            activation=trained.activation,
            seed=seed,
            before=before,
            device=trained.device,
            inferer=trained.inferer,
            description=self._said("scoring"),
        )

    # -- evaluating ------------------------------------------------------------------------------------------------

    def evaluated(self, networks: Networks, items: Sequence[Item], what: str = "evaluating") -> dict[str, Any]:
        """The scores of the volumes of some items; see :func:`monai_al.passes.evaluate_items`.

        Args:
            networks: which predict.
            items: all slices of the volumes, in pool order.
            what: name of the progress bar.
        """
        if not items:
            return summary_of(self.source, [], [], empty_policy=self.settings.empty_policy)
        shares = self.team.each("evaluate", networks=networks, items=list(items), what=what)
        order = volume_order(items)
        scores = sorted((one for found, _ in shares for one in found), key=lambda one: order[one[0]])
        outside = {volume: counts for _, found in shares for volume, counts in found.items()}
        summary = summary_of(self.source, scores, items, empty_policy=self.settings.empty_policy)
        return {**summary, **self.source.told_of_scores(outside)}

    def _evaluate(self, team: Team, networks: Networks, items: Sequence[Item], what: str) -> tuple[Any, Any]:
        return volume_scores(
            self.source,
            self._load(networks),
            items,
            volumes=own_volumes(items, team.rank, team.size),
            batch_size=self.settings.scoring_batch_size,
            description=self._said(what),
        )

    def answer_dice(self, networks: Networks, items: Sequence[Item]) -> dict[str, Any]:
        """How well some members say what people answered; see :func:`monai_al.passes.answer_dice`.

        Args:
            networks: which predict.
            items: the items; each names the file of its label.
        """
        if self.source.cache is None:
            scores = self.evaluated(networks, items)["dice_2d"]
            return {"mean": scores["mean"], "per_class": scores["per_class"], "items": len(items)}
        shares = self.team.each("score answers", networks=networks, items=list(items))
        return dice_of_answers(self.source, [row for rows in shares for row in rows])

    def _score_answers(self, team: Team, networks: Networks, items: Sequence[Item]) -> list[np.ndarray]:
        own = own_volumes(items, team.rank, team.size)
        mine = [item for item in items if item.volume in own]
        return answer_rows(self.source, self._load(networks), mine, batch_size=self.settings.scoring_batch_size)

    # -- details ---------------------------------------------------------------------------------------------------

    def _load(self, networks: Networks) -> TrainedNetwork:
        return self.members.load(self.source, networks.round, networks.members)

    def _said(self, what: str) -> str | None:
        return what if self.settings.progress else None
