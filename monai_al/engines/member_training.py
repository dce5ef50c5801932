# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The trainings of a round: those members whose weights are not there yet."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence

import torch

from monai_al.bundle import PythonTraining
from monai_al.engines.labeled_validation import LABELED, split_labeled, without_patients_of
from monai_al.engines.pseudo_labeling import pseudo_labeled
from monai_al.engines.settings import PREVIOUS
from monai_al.engines.shared_models import SharedModels, what_decides
from monai_al.engines.shared_work import SharedWork, TrainingTask
from monai_al.records import DataError

__all__ = ["MemberTraining"]

logger = logging.getLogger(__name__)


class MemberTraining:
    """Trains the members of a round and writes each as it ends, so that a killed round goes on with the next one.

    Args:
        work: trains networks, in one process or several.
        pretrained: gives the weights that networks start from; None: random ones.

    Example:
        >>> from monai_al.bundle import TrainingConfig
        >>> from monai_al.distributed import Team
        >>> from monai_al.engines.members import Members
        >>> from monai_al.engines.settings import LoopSettings
        >>> from monai_al.records import Pool, RunFolder
        >>> from monai_al.sources import SliceSource
        >>> training, folder = TrainingConfig({}), RunFolder("no/such/run")
        >>> work = SharedWork(Team(), training, Members(folder, training, 1), LoopSettings())
        >>> work.source = SliceSource(Pool([]), cache=None)
        >>> MemberTraining(work, lambda: None).train(0)
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: no item of round 0 has a label, so there is nothing to train on: ...
    """

    def __init__(self, work: SharedWork, pretrained: Callable[[], Mapping[str, torch.Tensor] | None]) -> None:
        self.work, self.pretrained = work, pretrained
        self.members, self.settings, self.folder = work.members, work.settings, work.members.folder

    def train(self, number: int) -> bool:
        """Train what is missing of a round; whether there was anything.

        Raises:
            DataError: no item of the round has a label.
            ValueError: a training diverged.
        """
        tasks = self._tasks(number)
        with self._shared(number, list(tasks.values())).locked() as shared:
            left = []  # the encoder's training has a time of its own
            for place, member in enumerate(tasks):
                if (found := shared.found(place)) is None:
                    left.append((place, member))
                    continue
                self._keep(number, member, *found)
                logger.info("round %d: the network was trained by another run, and is taken from the cache", number)
            trained = self.work.trained([tasks[member] for _, member in left], one_each=self.members.number > 1)
            start = time.perf_counter()
            for (place, member), (weights, seconds) in zip(left, trained, strict=True):
                self._keep(number, member, weights, time.perf_counter() - start)
                shared.keep(place, weights, seconds)
                start = time.perf_counter()
        return bool(tasks)

    def _tasks(self, number: int) -> dict[int, TrainingTask]:
        """What is trained for each member that is missing."""
        pool = self.work.source.data.part("train")
        labeled = [pool[pool.index(id)] for id in self.folder.labeled(number)]
        items = self.folder.labels(number).of_items(labeled)
        if not items:
            raise DataError(
                f"no item of round {number} has a label, so there is nothing to train on: all that were asked for were "
                "refused; give another output_dir with another --seed or a larger --budget"
            )
        validation = None
        if self.settings.validate_on == LABELED:
            items, validation = split_labeled(items, self.settings.seed)
        items += without_patients_of(validation or (), pseudo_labeled(self.folder, number, pool))
        tasks = {}
        for member in range(self.members.number):
            if not self.folder.model_path(number, member).exists():
                state = self._state(number, member)
                pretrained = self.pretrained() if state is None else None
                purpose = f"train member {member}"
                tasks[member] = TrainingTask(number, purpose, items, validation, state=state, pretrained=pretrained)
        return tasks

    def _shared(self, number: int, tasks: Sequence[TrainingTask]) -> SharedModels:
        """The networks that other runs train, too: none but those of the first round."""
        source, training = self.work.source, self.work.training
        asked = self.settings.share_first_model and number == 0
        if not asked or source.cache is None or isinstance(training, PythonTraining):
            return SharedModels(None, [])
        together = self.work.team.size if self.members.number == 1 else 1
        seed = self.settings.seed
        decided = [what_decides(task, training, source, seed=seed, processes=together) for task in tasks]
        return SharedModels(source.cache.cache_dir, decided)

    def _keep(self, number: int, member: int, weights: Mapping[str, torch.Tensor], seconds: float) -> None:
        self.folder.write_model(number, member, functools.partial(torch.save, {"model": weights}))
        spent = self.folder.timings(number).get("train_s", 0.0) if member else 0.0
        self.folder.add_timing(number, train_s=spent + seconds)

    def _state(self, number: int, member: int) -> Mapping[str, torch.Tensor] | None:
        if self.settings.initial_weights != PREVIOUS or number == 0:
            return None
        return self.members.state(number - 1, member)
