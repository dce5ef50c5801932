# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Choose what to annotate next from the items that pass through a MONAI evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from ignite.engine import Engine, Events
from monai.engines import IterationEvents
from monai.inferers import Inferer
from monai.utils import CommonKeys

from monai_al.handlers.item_ids import ItemIds, batch_entries
from monai_al.handlers.needs import ENCODER
from monai_al.handlers.result_files import processes, result_path
from monai_al.handlers.round_handlers import RoundHandlers, round_of
from monai_al.records import Item, Pool, Query, Round, derived_seed
from monai_al.records.files import write_json

__all__ = ["Chooses", "QueryHandler"]


class Chooses(Protocol):
    """What a strategy is to this handler; see :class:`monai_al.strategies.Strategy`.

    Example:
        >>> from monai_al.strategies import Random
        >>> strategy: Chooses = Random()
    """

    name: str

    def needs(self) -> Mapping[str, Any]:
        """Name -> a measure, or a layer's path."""

    def query(self, round: Round, budget: int) -> Query:
        """Exactly ``budget`` unlabeled items."""


class QueryHandler:
    """Let a strategy choose among the items of an evaluator's run.

    Attach it to any ``SupervisedEvaluator`` over the pool. It attaches an
    :class:`~monai_al.handlers.UncertaintyHandler` and an :class:`~monai_al.handlers.EmbeddingHandler` for what the
    strategy needs, and nothing else. After the run the query is in :attr:`query` and ``engine.state.query``. An item is
    called as :class:`~monai_al.handlers.ItemIds` says, and counts as a volume of its own, and as a patient of its own
    where ``patient_key`` does not tell whose it is: then a selector such as ``"stratified"`` has nothing to spread.

    Args:
        strategy: such as one of :mod:`monai_al.strategies`.
        budget: how many items to choose.
        labeled: ids of the items of the pool that are labeled already; they are not chosen again.
        activation: from the output to probabilities: ``"softmax"``, ``"sigmoid"``, ``"multilabel"`` or ``"none"``.
        seed: of the experiment; all that is random derives from it and ``number``.
        number: the round that is to annotate the query.
        rounds: how many rounds there will be, for strategies that change over them.
        path: a ``.json`` file to write after each run, in the format of a run folder's ``query.json``.
        inferer: makes one of several predictions; default: the engine's own inferer.
        image_key: the network's input in ``engine.state.output``.
        pred_key: the network's output in ``engine.state.output``.
        valid_key: optional boolean mask ``(B, 1, *spatial)`` in the batch; only its pixels count.
        id_key: optional ids in the batch.
        patient_key: the patient of each item in the batch; None: each item has its own.
        multilabel: with ``activation="none"``: the channels are overlapping sigmoids.

    Raises:
        ValueError: an argument is out of range; during the run: what :class:`~monai_al.handlers.UncertaintyHandler` and
            :class:`~monai_al.handlers.EmbeddingHandler` raise, an id occurs twice, a batch does not tell the patients
            of its items under ``patient_key``, several processes share the pool; at its end: an id of ``labeled`` was
            not seen, or fewer items than ``budget`` are unlabeled.

    Example:
        >>> import torch
        >>> from monai.engines import SupervisedEvaluator
        >>> from monai_al.strategies import Uncertainty
        >>> loader = [{"image": torch.tensor([[[9.0]], [[0.0]], [[1.0]]]), "id": ["a", "b", "c"]}]
        >>> network = torch.nn.Conv1d(1, 2, 1, bias=False)
        >>> evaluator = SupervisedEvaluator("cpu", loader, network, decollate=False)
        >>> handler = QueryHandler(Uncertainty("entropy"), budget=1, labeled=["b"])
        >>> handler.attach(evaluator)
        >>> evaluator.run()
        >>> handler.query.ids
        ('c',)
    """

    def __init__(
        self,
        strategy: Chooses,
        budget: int,
        *,
        labeled: Sequence[Any] = (),
        activation: str = "softmax",
        seed: int = 0,
        number: int = 1,
        rounds: int | None = None,
        path: str | Path | None = None,
        inferer: Inferer | None = None,
        image_key: str = CommonKeys.IMAGE,
        pred_key: str = CommonKeys.PRED,
        valid_key: str = "valid",
        id_key: str = "id",
        patient_key: str | None = None,
        multilabel: bool = False,
    ) -> None:
        if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
            raise ValueError(f"budget must be a number of items, at least 1, got {budget!r}")
        if getattr(strategy, "uses_truth", False):
            raise ValueError(f"strategy {strategy.name!r} uses the truth, which an evaluator's items do not tell")
        if ENCODER in strategy.needs().values():
            raise ValueError(
                f"strategy {strategy.name!r} needs a pretrained encoder, which an evaluator's network is not: give it "
                "the embedding 'bottleneck', or the path of a layer"
            )
        self.strategy = strategy
        self.budget = budget
        self.labeled = [str(id) for id in labeled]
        self.seed = seed
        self.number = number
        self.rounds = rounds
        self.image_key = image_key
        self.patient_key = patient_key
        self.path = result_path(path, ".json")
        self.query: Query | None = None
        keys = {"image_key": image_key, "id_key": id_key}
        self._handlers = RoundHandlers(
            strategy.needs(),
            activation,
            inferer,
            seed=derived_seed(seed, number, "scoring"),
            pred_key=pred_key,
            valid_key=valid_key,
            multilabel=multilabel,
            **keys,
        )
        self._items = ItemIds(**keys)

    def attach(self, engine: Engine) -> None:
        """Choose after every run of this evaluator; a run forgets the one before.

        Args:
            engine: a ``SupervisedEvaluator`` or another engine with its events, state, ``network`` and ``inferer``.
        """
        self._handlers.attach(engine)
        engine.add_event_handler(Events.EPOCH_STARTED, self.reset)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.choose)

    def reset(self) -> None:
        """Forget the items and the query."""
        if processes() > 1:
            raise ValueError(
                f"{processes()} processes share the pool, and none of them sees all of it: choose in a run of one "
                "process, or gather the scores of an UncertaintyHandler and call the strategy"
            )
        self.query = None
        self._items.reset()
        self._seen: dict[str, str] = {}  # id -> patient

    def __call__(self, engine: Any) -> None:
        """Take note of the items of the batch that the engine has just predicted."""
        ids = [str(id) for id in self._items.take(engine, len(engine.state.output[self.image_key]))]
        for id, patient in zip(ids, self._patients(engine, ids), strict=True):
            if id in self._seen:
                raise ValueError(f"two items of the pool are called {id!r}: ids must be unique")
            self._seen[id] = str(patient)

    def _patients(self, engine: Any, ids: Sequence[str]) -> Sequence[Any]:
        if self.patient_key is None:
            return ids
        patients = batch_entries(engine.state.batch, self.patient_key, len(ids))
        if patients is None:
            raise ValueError(
                f"the batch has no {self.patient_key!r}, where the patients of its items should stand: add it to the "
                "data dictionaries, or leave patient_key out, so that each item counts as a patient of its own"
            )
        return patients

    def choose(self, engine: Any) -> None:
        """Choose, and leave the query in ``engine.state`` and in the file."""
        pool = Pool(Item(id, image=id, volume=id, patient=patient) for id, patient in self._seen.items())
        labeled = self._labeled(pool)
        n_unlabeled = len(pool) - len(labeled)
        if self.budget > n_unlabeled:
            raise ValueError(
                f"the budget is {self.budget} items, but of the {len(pool)} items seen only {n_unlabeled} are unlabeled"
            )
        round = round_of(self._handlers.found, self.number, pool, labeled, self.seed, rounds=self.rounds)
        self.query = self.strategy.query(round, self.budget)
        engine.state.query = self.query
        if self.path is not None:
            write_json(self.path, self.query.to_json())

    def _labeled(self, pool: Pool) -> np.ndarray:
        unknown = [id for id in self.labeled if id not in self._seen]
        if unknown:
            raise ValueError(
                f"{len(unknown)} of the {len(self.labeled)} ids given as labeled are not among the {len(pool)} items "
                f"seen, such as {unknown[0]!r}; an id seen is {pool[0].id!r}"
            )
        return np.asarray(sorted({pool.index(id) for id in self.labeled}), dtype=np.int64)
