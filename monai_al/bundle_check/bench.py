# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the sections of a check share: the loop that would run, what was found, and what was tried already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_al.bundle.found_parts import FoundParts
from monai_al.bundle.python_training import PythonTraining
from monai_al.bundle.round_training import RoundTraining
from monai_al.bundle_check.asked import AskedCheck
from monai_al.engines import ActiveLearner
from monai_al.engines.checks import try_training
from monai_al.handlers.needs import needs_of, of_members
from monai_al.inferers import TrainedNetwork
from monai_al.sources import Source, source_of
from monai_al.sources.entry_source import EntrySource
from monai_al.strategies import Strategy
from monai_al.uncertainty import Measure

__all__ = ["Bench"]


class Bench:
    """Where a bundle is tried. Each thing is done once, also where many strategies ask for it.

    Args:
        asked: what the check is asked for.
        scratch: a folder for what a training writes, which is dropped afterwards.

    Attributes:
        learner: the loop that would run.
        found: the parts of its training config, once they are found.
        source: its data, once they are read.
        trained: its untrained network, once it was tried.

    Raises:
        ValueError: an option is wrong.

    Example:
        >>> import tempfile
        >>> from monai_al.assets import bundle_config
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     config = Path(folder, "train.json")
        ...     _ = config.write_text('{"run": "$print(1)"}')
        ...     Bench(AskedCheck((config,), (bundle_config("active_learning"),)), Path(folder)).find()
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: ... runs no trainer: ...
    """

    found: FoundParts
    source: EntrySource
    trained: TrainedNetwork

    def __init__(self, asked: AskedCheck, scratch: Path) -> None:
        self.asked, self.scratch = asked, scratch
        self.learner = asked.learner(scratch / "run")
        self._data: dict[str, tuple[RoundTraining | PythonTraining, Source]] = {}
        self._tried: dict[str, Exception | None] = {}

    def find(self) -> FoundParts:
        """The parts of the training config.

        Raises:
            BundleConfigError: it lacks one that active learning needs.
        """
        self.found = self.learner.training.find()
        return self.found

    def read(self) -> EntrySource:
        """The data of the training config, whose parts are found.

        Raises:
            ValueError: they cannot be used.
        """
        source = self._source_of(self.learner, self.found)
        assert isinstance(source, EntrySource)
        self.source = source
        self._data[_key(self.learner)] = (self.learner.training, source)
        return source

    def check(self, learner: ActiveLearner) -> None:
        """Check all that a run checks before it starts.

        Args:
            learner: the loop, or one with another strategy.

        Raises:
            ValueError: it cannot work; the message says why.
        """
        key = _key(learner)
        if key not in self._data:
            self._data[key] = (learner.training, self._source_of(learner))
        learner.training, source = self._data[key]
        learner.check(source, trying=self._try)

    @staticmethod
    def _source_of(learner: ActiveLearner, found: FoundParts | None = None) -> Source:
        settings = learner.settings
        return source_of(learner.training, None, settings.entries, score_inside=settings.score_inside, found=found)

    def _try(self, training: Any, source: Source, strategy: Strategy, activation: str | None = None) -> None:
        """As ``try_training``, but for what was tried with the same network already."""
        needs = [need for need in needs_of(strategy).values() if not isinstance(need, Measure) or _is_special(need)]
        key = repr((id(source), activation, needs))
        if key not in self._tried:
            self._tried[key] = None
            try:
                try_training(training, source, strategy, activation)
            except Exception as error:
                self._tried[key] = error
        known = self._tried[key]
        if known is not None:
            raise known


def _is_special(measure: Measure) -> bool:
    """Whether a measure needs another prediction than any other one."""
    return measure.stochastic and not of_members(measure)


def _key(learner: ActiveLearner) -> str:
    return repr((learner.training.name, learner.training.raw()))
