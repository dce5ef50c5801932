# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a strategy sees of a run: the scores and embeddings that it needs, as a round."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_al.engines.encoder import FILES, EncoderTraining
from monai_al.engines.shared_work import Networks, SharedWork
from monai_al.handlers.needs import ENCODER, before_training, initial_needs_of, needs_of
from monai_al.handlers.round_handlers import round_of
from monai_al.records import Pool, Round, derived_seed
from monai_al.sources import Source
from monai_al.strategies import Strategy
from monai_al.uncertainty import Measure

__all__ = ["StrategyView"]

Needs = Mapping[str, Measure | str]


class StrategyView:
    """Finds what a strategy needs of the pool, and nothing else.

    Args:
        strategy: the strategy.
        source: the data.
        work: scores items with the networks of the rounds.
        sizes: how many items each round asks for.
        first: chooses the first query, where chance does not.
        encoder: trains the pretrained encoder, where the strategy needs one.

    Example:
        >>> from monai_al.bundle import TrainingConfig
        >>> from monai_al.distributed import Team
        >>> from monai_al.engines.members import Members
        >>> from monai_al.engines.settings import LoopSettings
        >>> from monai_al.records import Item, RunFolder
        >>> from monai_al.sources import SliceSource
        >>> from monai_al.strategies import Random
        >>> source = SliceSource(Pool([Item(name, name, name, name) for name in "ab"]), cache=None)
        >>> training = TrainingConfig({})
        >>> work = SharedWork(Team(), training, Members(RunFolder("runs/a"), training, 1), LoopSettings())
        >>> StrategyView(Random(), source, work, sizes=[1, 1]).after_round(0, asked=["b"]).unlabeled
        array([0])
    """

    def __init__(
        self,
        strategy: Strategy,
        source: Source,
        work: SharedWork,
        *,
        sizes: Sequence[int],
        first: Strategy | None = None,
        encoder: EncoderTraining | None = None,
    ) -> None:
        self.strategy, self.source, self.work = strategy, source, work
        self.members, self.settings = work.members, work.settings
        self.first, self.encoder = first, encoder
        self.sizes = sizes
        self.pool: Pool = source.data.part("train")

    def before_round_0(self) -> Round | None:
        """The round in which the initial set is chosen; None where chance chooses it."""
        if self.first is None:
            return None
        found = self._before_training(initial_needs_of(self.first) or {})
        nothing = np.empty(0, dtype=np.int64)
        return round_of(found, 0, self.pool, nothing, self.settings.seed, present=self._present(), **self._plan(0))

    def after_round(self, number: int, asked: Sequence[str]) -> Round:
        """The round in which the strategy chooses the query that follows a round.

        Args:
            number: the round that was trained.
            asked: ids of the items that need not be asked for again: labeled, or refused.
        """
        positions = np.asarray([self.pool.index(id) for id in asked], dtype=np.int64)
        needs = needs_of(self.strategy)
        embeds = any(isinstance(need, str) for need in needs.values() if need != ENCODER)
        everything = np.arange(len(self.pool))
        seen = everything if embeds else np.setdiff1d(everything, positions)  # embeddings of labeled items count, too
        found = self._found(number + 1, seen, needs)
        return round_of(
            found,
            number + 1,
            self.pool,
            positions,
            self.settings.seed,
            seen=seen,
            present=self._present(),
            **self._plan(number + 1),
        )

    def _plan(self, number: int) -> dict[str, Any]:
        """How many rounds there are, with one whose query follows the last, and what the first one and all ask for."""
        return {
            "rounds": max(len(self.sizes), number + 1),
            "first_budget": self.sizes[0],
            "total_budget": sum(self.sizes),
        }

    def _present(self) -> np.ndarray | None:
        """Which classes the items hold, for strategies that look at the truth."""
        return self.source.present(self.pool.items) if self.strategy.uses_truth else None

    def _found(self, number: int, seen: np.ndarray, needs: Needs) -> dict[str, np.ndarray]:
        """What the strategy needs of these items for the query of a round, from the networks of the round before."""
        stored, others = self._encoder_embeddings(needs)
        if not others:
            return stored
        if all(before_training(need) for need in others.values()):
            return stored | self._before_training(others)
        networks = Networks(number - 1, self.members.to_score(number - 1, others.values()))
        seed = derived_seed(self.settings.seed, number, "scoring")
        return stored | self.work.scored(seen, others, networks=networks, seed=seed)

    def _before_training(self, needs: Needs) -> dict[str, np.ndarray]:
        """The embeddings that need no trained network."""
        stored, others = self._encoder_embeddings(needs)
        wrong = [need for need in others.values() if not before_training(need)]
        if wrong:
            name = (self.first or self.strategy).name
            raise ValueError(f"strategy {name} needs {wrong[0]!r} for the initial set: no network is trained")
        return stored | self.work.scored(None, others)

    def _encoder_embeddings(self, needs: Needs) -> tuple[dict[str, np.ndarray], dict[str, Measure | str]]:
        """Those of the pretrained encoder, which is trained now if it is not there; and what else is needed."""
        names = [name for name, need in needs.items() if need == ENCODER]
        others = {name: need for name, need in needs.items() if need != ENCODER}
        if not names:
            return {}, others
        embeddings = np.load(self._encoder_entry() / FILES["embeddings_sha256"], mmap_mode="r")
        return dict.fromkeys(names, embeddings), others

    def trained_encoder(self) -> Path:
        """The file of the pretrained encoder's weights; it is trained now if it is not there."""
        return self._encoder_entry() / FILES["sha256"]

    def _encoder_entry(self) -> Path:
        assert self.encoder is not None
        folder, start = self.members.folder, time.perf_counter()
        seed = derived_seed(self.settings.seed, 0, ENCODER)
        entry = self.encoder.entry(
            self.source, self.pool.items, seed=seed, progress=self.settings.progress, team=self.work.team
        )
        if folder.encoder() is None:
            folder.add_timing(0, encoder_s=time.perf_counter() - start)
        place = {"config": self.encoder.training.name, "folder": str(entry)}
        folder.write_encoder(place | self.encoder.hashes(entry))
        return entry
