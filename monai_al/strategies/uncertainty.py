# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The most uncertain items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import ArrayLike

from monai_al.records import Query, Round
from monai_al.strategies.base import Strategy, ranked_reasons
from monai_al.strategies.selector import Selector
from monai_al.uncertainty import MEASURES, Augmentation, Measure

__all__ = ["Uncertainty", "named_measure"]


class Uncertainty(Strategy):
    """The items whose prediction is most uncertain over the whole image, or the most uncertain of many random batches.

    ========================================= ==========================================================================
    measure                                   uncertainty of a pixel
    ========================================= ==========================================================================
    ``entropy``, ``least_confidence``,        of one prediction
    ``margin``
    ``mc_dropout``, ``bald``                  entropy of the mean, or mutual information, of several predictions with
                                              dropout on; the network needs dropout
    ``tta_entropy``, ``tta``                  the same two of the predictions of augmented copies
    ``ensemble_entropy``,                     the same two of the networks of an ensemble; needs several members per
    ``ensemble_mutual_information``           round
    ``ensemble_variance``,                    variance of their probabilities, or share of the members that do not vote
    ``ensemble_variance_ratio``               for the class with most votes
    ========================================= ==========================================================================

    Args:
        measure: a name of the table.
        reduction: ``"mean"`` or ``"sum"`` over the pixels.
        passes: number of predictions with dropout on, or of copies; None: 10 with dropout, 8 copies.
        selector: how the scores choose: ``"top_k"`` takes the highest, ``"stochastic_batches"`` the best of many random
            batches, ``"power_noise"`` draws in proportion to the scores, ``"stratified"`` takes the highest of the
            patients with the fewest items, a function ``(scores, budget, labeled, rng) -> indices`` chooses what it
            returns; None: ``"top_k"``.
        augmentation: arguments of :class:`~monai_al.uncertainty.Augmentation`, for the measures of augmented copies.

    Raises:
        ValueError: an argument is unknown, out of range, or without a use.

    Example:
        >>> from monai_al.records import Item, Pool
        >>> pool = Pool([Item(i, i, i, i) for i in "abc"])
        >>> round = Round(1, pool, labeled=[0], seed=0, scores={"entropy": [float("-inf"), 0.1, 0.2]})
        >>> Uncertainty("entropy").query(round, budget=1).ids
        ('c',)
        >>> Uncertainty("entropy", selector="stochastic_batches").query(round, budget=1).strategy
        'entropy with stochastic batches'
    """

    def __init__(
        self,
        measure: str = "entropy",
        reduction: str = "mean",
        passes: int | None = None,
        selector: str | Callable[..., ArrayLike] | None = None,
        augmentation: Mapping[str, Any] | Augmentation | None = None,
    ) -> None:
        self.measures = {measure: named_measure(measure, passes, augmentation, reduction=reduction)}
        self.selector = Selector.of(selector)
        self.name = self.selector.named(measure)

    def needs(self) -> dict[str, Measure | str]:
        """See :meth:`Strategy.needs`."""
        return dict(self.measures)

    def select(self, round: Round, budget: int) -> Query:
        """See :meth:`Strategy.select`."""
        (measure,) = self.measures
        scores = self.scores(round, measure)
        chosen = self.selector.choose(scores, budget, round)
        reasons = ranked_reasons(measure, scores, chosen, round.labeled, f"no {measure}: no pixel counts")
        return self.make_query(round, chosen, scores[chosen], self.selector.reasons(reasons))


def named_measure(
    name: str, passes: int | None, augmentation: Mapping[str, Any] | Augmentation | None, **settings: Any
) -> Measure:
    """The measure of a user's name.

    Args:
        name: of :data:`~monai_al.uncertainty.MEASURES`.
        passes: None: as many as the measure has.
        augmentation: arguments of :class:`~monai_al.uncertainty.Augmentation`, or None for its defaults.
        settings: further arguments of :class:`~monai_al.uncertainty.Measure`.

    Raises:
        ValueError: the name or a setting is unknown, out of range, or without a use.

    Example:
        >>> named_measure("tta", None, {"flips": True}, reduction="sum").augmentation.flips
        True
        >>> named_measure("margin", None, {"flips": True})
        Traceback (most recent call last):
        ...
        ValueError: measure 'margin' takes no augmentation: only tta, tta_entropy do
    """
    if name not in MEASURES:
        raise ValueError(f"measure {name!r} is none of {', '.join(MEASURES)}")
    if passes is not None:
        if not MEASURES[name].stochastic or MEASURES[name].samples == "members":
            raise ValueError(f"measure {name!r} takes no passes: only those of dropout and of augmented copies do")
        settings["passes"] = passes
    if augmentation is not None:
        settings["augmentation"] = _augmentation(name, augmentation)
    return Measure.of(name, **settings)


def _augmentation(measure: str, changes: Mapping[str, Any] | Augmentation) -> Augmentation:
    augmenting = [name for name, known in MEASURES.items() if known.samples == "augmentation"]
    if measure not in augmenting:
        raise ValueError(f"measure {measure!r} takes no augmentation: only {', '.join(augmenting)} do")
    if isinstance(changes, Augmentation):
        return changes
    known = Augmentation.__dataclass_fields__
    unknown = [str(key) for key in changes if key not in known]
    if unknown:
        raise ValueError(f"augmentation {unknown[0]!r} is none of {', '.join(known)}")
    return Augmentation(**changes)
