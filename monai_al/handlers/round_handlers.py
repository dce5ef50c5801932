# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the needs of a strategy become handlers, and what these find becomes the round that it chooses in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ignite.engine import Engine
from monai.inferers import Inferer
from monai.utils import CommonKeys

from monai_al.handlers.embedding import EmbeddingHandler
from monai_al.handlers.uncertainty import UncertaintyHandler
from monai_al.records import Pool, Round
from monai_al.uncertainty import Measure

__all__ = ["RoundHandlers", "round_of"]


class RoundHandlers:
    """The handlers that find everything a strategy needs, in one run of an evaluator.

    Args:
        needs: name -> a measure, or an embedding that the evaluator's network gives.
        activation: from the output to probabilities: ``"softmax"``, ``"sigmoid"``, ``"multilabel"`` or ``"none"``.
        inferer: makes one of several predictions; default: the engine's own inferer.
        seed: of the stochastic passes.
        before: of :class:`monai_al.handlers.UncertaintyHandler`.
        image_key: the network's input in ``engine.state.output``.
        id_key: optional ids in the batch.
        **options: ``pred_key``, ``valid_key`` and ``multilabel`` of :class:`monai_al.handlers.UncertaintyHandler`.

    Raises:
        ValueError: what :class:`~monai_al.handlers.UncertaintyHandler` and
            :class:`~monai_al.handlers.EmbeddingHandler` raise, also during the run.

    Example:
        >>> RoundHandlers({"uncertainty": Measure("entropy")}).found
        {'uncertainty': array([], dtype=float64)}
    """

    def __init__(
        self,
        needs: Mapping[str, Measure | str],
        activation: str = "softmax",
        inferer: Inferer | None = None,
        *,
        seed: int = 0,
        before: tuple[int, int] = (0, 0),
        image_key: str = CommonKeys.IMAGE,
        id_key: str = "id",
        **options: Any,
    ) -> None:
        keys = {"image_key": image_key, "id_key": id_key}
        self._measures = {name: need for name, need in needs.items() if isinstance(need, Measure)}
        self._uncertainty = (
            UncertaintyHandler(self._measures, activation, inferer, seed=seed, before=before, **keys, **options)
            if self._measures
            else None
        )
        self._embeddings = {
            name: EmbeddingHandler(need, name=name, **keys) for name, need in needs.items() if isinstance(need, str)
        }

    @property
    def reads_prediction(self) -> bool:
        """Whether the evaluator's own prediction counts; otherwise only further ones do."""
        return bool(self._embeddings) or any(
            not one.stochastic or one.samples == "augmentation" for one in self._measures.values()
        )

    @property
    def found(self) -> dict[str, np.ndarray]:
        """Name -> float64 scores ``(N,)``, or float32 embeddings ``(N, D)``, in the order of the items."""
        scores = self._uncertainty.scores if self._uncertainty else {}
        return scores | {name: handler.embeddings for name, handler in self._embeddings.items()}

    def attach(self, engine: Engine) -> None:
        """Find what is needed in every run of this evaluator; a run forgets the one before.

        Args:
            engine: a ``SupervisedEvaluator`` or another engine with its events, state, ``network`` and ``inferer``.
        """
        for handler in (self._uncertainty, *self._embeddings.values()):
            if handler is not None:
                handler.attach(engine)


def round_of(
    found: Mapping[str, np.ndarray],
    number: int,
    pool: Pool,
    labeled: np.ndarray,
    seed: int,
    *,
    seen: Sequence[int] | np.ndarray | None = None,
    **more: Any,
) -> Round:
    """The round that a strategy chooses in.

    Args:
        found: name -> scores ``(n,)``, or embeddings ``(N, D)``, of :class:`RoundHandlers`.
        number: the round whose query is to be chosen.
        pool: the N items that may be annotated.
        labeled: positions of the items that are labeled; they score ``-inf``.
        seed: the experiment's seed.
        seen: positions of the n items that were scored; None: all.
        **more: further fields of :class:`monai_al.records.Round`.

    Example:
        >>> from monai_al.records import Item
        >>> pool = Pool([Item(name, name, name, name) for name in "abc"])
        >>> round_of({"entropy": np.array([0.5, 0.2])}, 1, pool, np.array([1]), seed=0, seen=[0, 2]).scores
        {'entropy': array([ 0.5, -inf,  0.2])}
    """
    where = np.arange(len(pool)) if seen is None else np.asarray(seen, dtype=np.int64)
    scores, embeddings = {}, {}
    for name, values in found.items():
        if values.ndim == 2:
            embeddings[name] = values
            continue
        scores[name] = np.full(len(pool), -np.inf)
        scores[name][where] = values
        scores[name][labeled] = -np.inf
    return Round(number, pool, labeled, seed, scores, embeddings, **more)
