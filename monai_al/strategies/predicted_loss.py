# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The items on which the network predicts its own loss to be highest."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from monai_al.records import Query, Round
from monai_al.strategies.base import Strategy, ranked_reasons
from monai_al.strategies.selector import Selector
from monai_al.uncertainty import Measure

__all__ = ["PredictedLoss"]

NEED = "predicted loss"


class PredictedLoss(Strategy):
    """The items with the highest loss as a small module beside the network predicts it.

    D. Yoo, I. S. Kweon, "Learning loss for active learning", CVPR 2019, section 3. The network is trained together with
    that module, such as a :class:`~monai_al.networks.LossPredictor` with :class:`~monai_al.losses.LearningLoss`.

    Args:
        selector: how the predicted losses choose, as in :class:`~monai_al.strategies.Uncertainty`. With
            ``"power_noise"`` those of 0 and below come last: nothing keeps a predicted loss above 0.
        layer: path of the network's layer whose output ``(B, 1)`` is the predicted loss of each item.

    Raises:
        ValueError: the selector is unknown or a setting of it is wrong.

    Example:
        >>> from monai_al.records import Item, Pool
        >>> pool = Pool([Item(i, i, i, i) for i in "abc"])
        >>> round = Round(1, pool, labeled=[0], seed=0, embeddings={"predicted loss": np.array([[0.9], [0.2], [0.5]])})
        >>> [(item.id, item.reason) for item in PredictedLoss().query(round, budget=1).items]
        [('c', 'predicted loss, rank 1 of 2')]
    """

    def __init__(self, selector: str | Callable[..., ArrayLike] | None = None, layer: str = "loss_predictor") -> None:
        self.selector = Selector.of(selector)
        self.layer = layer
        self.name = self.selector.named("learning loss")

    def needs(self) -> dict[str, Measure | str]:
        """See :meth:`Strategy.needs`."""
        return {NEED: self.layer}

    def select(self, round: Round, budget: int) -> Query:
        """See :meth:`Strategy.select`."""
        scores = self._predicted(round)
        chosen = self.selector.choose(scores, budget, round)
        reasons = ranked_reasons(NEED, scores, chosen, round.labeled, "")
        return self.make_query(round, chosen, scores[chosen], self.selector.reasons(reasons))

    def _predicted(self, round: Round) -> np.ndarray:
        """Scores ``(N,)``; labeled items hold ``-inf``."""
        embeddings = self.embeddings(round, NEED)
        if embeddings.shape[1] != 1:
            raise ValueError(
                f"layer {self.layer!r} gives {embeddings.shape[1]} numbers per item, but a predicted loss is one: name "
                "the layer that predicts the loss"
            )
        scores = embeddings[:, 0].astype(np.float64)
        scores[round.labeled] = -np.inf
        wrong = np.flatnonzero(~np.isfinite(scores[round.unlabeled]))
        if len(wrong):
            i = round.unlabeled[wrong[0]]
            raise ValueError(f"the predicted loss of item {round.pool[int(i)].id!r} is {scores[i]}: it must be finite")
        return scores
