# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The items on which the depths of a deeply supervised network disagree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from monai_al.records import Query, Round
from monai_al.selection import last_bin
from monai_al.strategies.base import Strategy, ranked_reasons
from monai_al.strategies.finite_embeddings import finite_embeddings
from monai_al.strategies.pseudo_schedule import PseudoSchedule
from monai_al.strategies.selector import Selector
from monai_al.uncertainty import Measure

__all__ = ["DSAL"]

NEED = "agreement"


class DSAL(Strategy):
    """DSAL: the items on which a network's deeply supervised outputs agree least; where they agree best it is believed.

    Z. Zhao et al., "DSAL: deeply supervised active learning from strong and weak labelers for biomedical image
    segmentation", 2021, with the numbers of their code. The network is a
    :class:`~monai_al.networks.DeeplySupervised`. Pseudo labels are for the items of highest agreement among those whose
    confidence lies in the last of 10 bins of equal width, of items in which the network finds foreground; where it
    holds fewer than the schedule says, there are fewer.

    Args:
        selector: how the disagreements choose, as in :class:`~monai_al.strategies.Uncertainty`.
        layer: path of the network's layer whose output ``(B, 2)`` is the agreement and the confidence of each item.
        pseudo: how many pseudo labels the first round with any has.
        pseudo_growth: how many more each round after it has.
        pseudo_from: that round, at least 1; all three see :class:`~monai_al.strategies.PseudoSchedule`.

    Raises:
        ValueError: the selector is unknown, or a setting is out of range.

    Example:
        >>> from monai_al.records import Item, Pool
        >>> rows = np.array([[0.9, 0.5], [0.2, 0.1], [0.8, 0.5], [0.95, 0.2]])
        >>> round = Round(5, Pool([Item(i, i, i, i) for i in "abcd"]), [], seed=0, embeddings={"agreement": rows})
        >>> query = DSAL(pseudo=1).query(round, budget=1)
        >>> query.ids, query.items[0].score, DSAL(pseudo=1).pseudo_items(round, query)
        (('b',), 0.8, ('a',))
    """

    def __init__(
        self,
        selector: str | Callable[..., ArrayLike] | None = None,
        layer: str = "agreement",
        pseudo: int = 20,
        pseudo_growth: int = 20,
        pseudo_from: int = 5,
    ) -> None:
        self.selector = Selector.of(selector)
        self.layer = layer
        self.name = self.selector.named("dsal")
        self.schedule = PseudoSchedule(pseudo, pseudo_growth, pseudo_from)

    @property
    def gives_pseudo_labels(self) -> bool:
        """See :attr:`Strategy.gives_pseudo_labels`."""
        return self.schedule.gives_any

    def needs(self) -> dict[str, Measure | str]:
        """See :meth:`Strategy.needs`."""
        return {NEED: self.layer}

    def select(self, round: Round, budget: int) -> Query:
        """See :meth:`Strategy.select`."""
        scores = 1 - self._found(round)[:, 0]
        scores[round.labeled] = -np.inf
        chosen = self.selector.choose(scores, budget, round)
        reasons = ranked_reasons("disagreement of the depths", scores, chosen, round.labeled, "")
        return self.make_query(round, chosen, scores[chosen], self.selector.reasons(reasons))

    def pseudo_labels(self, round: Round) -> np.ndarray:
        """See :meth:`Strategy.pseudo_labels`."""
        agreement, confidence = self._found(round)[round.unlabeled].T
        sure = last_bin(confidence)
        best = sure[np.argsort(-agreement[sure], kind="stable")]
        return round.unlabeled[best][: self.schedule.of_round(round.number)]

    def _found(self, round: Round) -> np.ndarray:
        """Agreement and confidence ``(N, 2)``."""
        found = finite_embeddings(self, round, NEED)
        if found.shape[1] != 2 and len(found):
            raise ValueError(
                f"layer {self.layer!r} gives {found.shape[1]} numbers per item, but agreement and confidence are two: "
                "name the layer 'agreement' of a monai_al.networks.DeeplySupervised"
            )
        return found.astype(np.float64)
