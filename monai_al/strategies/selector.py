# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How the scores of a strategy become a choice."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from monai_al.records import Item, Pool, Round
from monai_al.selection import (
    candidates,
    check_beta,
    check_scores,
    geometric,
    merge_alternating,
    power_noise,
    stochastic_batches,
    stratified,
    top_k,
)
from monai_al.strategies.groups import check_level, groups_of, stratified_by, turn_of

__all__ = ["SELECTORS", "Selector", "beta_of_round"]

SELECTORS: Mapping[str, Callable[..., ArrayLike]] = MappingProxyType(
    {"top_k": top_k, "stochastic_batches": stochastic_batches, "power_noise": power_noise, "stratified": stratified}
)
"""Names that users know -> functions of scores, budget, ``labeled`` and ``rng`` that return indices."""
_TRIAL = Round(1, Pool([Item("", "", "", "")]), np.empty(0, dtype=np.int64), seed=0)


@dataclass(frozen=True)
class Selector:
    """A selection function, with its name and settings for the record of a run; made by :meth:`of`.

    Args:
        function: ``(scores, budget, labeled, rng) -> indices``.
        name: of :data:`SELECTORS`, or module and name of another function.
        settings: what the function is given beside its four arguments. The ``beta`` of ``"power_noise"`` may be two
            numbers: that of the first query after a training and that of one after the last round, with equal factors
            from round to round between them, see :func:`~monai_al.selection.geometric`. A run that is extended goes on
            with the betas of its new length, which are lower than those that its last rounds would have had. The
            ``groups`` of ``"stratified"`` and of ``"power_noise"`` are ``"patient"``, the default of the first, or
            ``"volume"``.

    Raises:
        ValueError: a setting of a function of :data:`SELECTORS` is wrong.

    Example:
        >>> Selector.of("stochastic_batches")
        Selector(name='stochastic_batches', settings={})
        >>> Selector.of(functools.partial(stochastic_batches, partition=True)).settings
        {'partition': True}
        >>> Selector.of("power_noise", beta=[1, 100]).settings
        {'beta': [1, 100]}
    """

    function: InitVar[Callable[..., ArrayLike]]
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self, function: Callable[..., ArrayLike]) -> None:
        object.__setattr__(self, "_function", function)
        if self.name in SELECTORS:  # a wrong setting shows at once, not after a training
            own = [setting for setting in ("scores", "budget", "labeled", "rng") if setting in self.settings]
            if own:
                raise ValueError(f"selector {self.name!r}: {own[0]} is given by the strategy, it is no setting")
            try:
                self._call(np.zeros(1), 0, _TRIAL.labeled, np.random.default_rng(0), self._of_round(_TRIAL))
            except TypeError as error:
                raise ValueError(f"selector {self.name!r}: {error}") from None

    @classmethod
    def of(cls, selector: str | Callable[..., ArrayLike] | Selector | None, **settings: Any) -> Selector:
        """A selector from what users write; None is ``"top_k"``.

        Args:
            selector: a name of :data:`SELECTORS`, a function, or a selector, which is returned as it is.
            settings: of the function, only with a name.

        Raises:
            ValueError: the name is unknown, it is no function, or a setting is wrong.

        Example:
            >>> Selector.of("batches")
            Traceback (most recent call last):
            ...
            ValueError: selector 'batches' is none of top_k, stochastic_batches, power_noise, stratified
        """
        if settings and not isinstance(selector, str):
            raise ValueError(f"settings {', '.join(settings)} go with the name of a selector, got {selector!r}")
        if isinstance(selector, Selector):
            return selector
        if selector is None or isinstance(selector, str):
            name = "top_k" if selector is None else selector
            if name not in SELECTORS:
                raise ValueError(f"selector {name!r} is none of {', '.join(SELECTORS)}")
            return cls(functools.partial(SELECTORS[name], **settings), name, settings)
        if not callable(selector):
            raise ValueError(
                f"selector must be {', '.join(SELECTORS)} or a function, got {selector!r}; in a config, a function "
                "with settings is {_target_: ..., _mode_: callable, ...}"
            )
        return cls(selector, *_name_and_settings(selector))

    @property
    def ranks_only(self) -> bool:
        """Whether it takes the highest scores."""
        return self.name == "top_k"

    @property
    def level(self) -> str | None:
        """What it spreads the items over: ``"patient"``, ``"volume"``, or None.

        Raises:
            ValueError: its setting ``groups`` is neither.

        Example:
            >>> Selector.of("stratified").level, Selector.of("power_noise", groups="volume").level
            ('patient', 'volume')
        """
        default = "patient" if self.name == "stratified" else None
        groups = self.settings.get("groups", default) if self.name in ("stratified", "power_noise") else None
        return None if groups is None and default is None else check_level(groups, f"selector {self.name!r}: groups")

    @property
    def title(self) -> str:
        """Its name in words.

        Example:
            >>> Selector.of("stochastic_batches").title
            'stochastic batches'
        """
        return self.name.rpartition(".")[2].replace("_", " ")

    def named(self, scores: str) -> str:
        """The name of a strategy that selects by these scores.

        Example:
            >>> Selector.of(None).named("entropy"), Selector.of("stochastic_batches").named("entropy")
            ('entropy', 'entropy with stochastic batches')
            >>> Selector.of("stratified").named("entropy")
            'entropy, stratified by patient'
        """
        plain = self.name in ("top_k", "stratified")
        return stratified_by(scores if plain else f"{scores} with {self.title}", self.level)

    def reasons(self, reasons: list[str]) -> list[str]:
        """The reasons with what the selector adds to them.

        Example:
            >>> Selector.of("stochastic_batches").reasons(["entropy, rank 2 of 3"])
            ['entropy, rank 2 of 3, in the best of the stochastic batches']
        """
        known = {"top_k": "", "stratified": "", "stochastic_batches": ", in the best of the stochastic batches"}
        added = known.get(self.name, f", by {self.title}")
        return [turn_of(f"{reason}{added}", self.level) for reason in reasons]

    def choose(self, scores: np.ndarray, budget: int, round: Round) -> np.ndarray:
        """``(budget,)`` positions of unlabeled items, in pick order.

        Args:
            scores: ``(N,)``, higher = more informative.
            budget: how many items.
            round: gives the labeled items and the random draws: another round draws differently, the same round the
                same.

        Raises:
            ValueError: what :func:`~monai_al.selection.top_k` refuses, or what the function itself refuses.
            RuntimeError: the function did not return ``budget`` distinct unlabeled positions.

        Example:
            >>> from monai_al.records import Item, Pool
            >>> round = Round(1, Pool([Item(i, i, i, i) for i in "abc"]), labeled=[0], seed=0)
            >>> Selector.of("top_k").choose(np.array([3.0, 1.0, 2.0]), 1, round)
            array([2])
        """
        return self.choose_shares([scores], [budget], round)

    def choose_in_turn(self, first: np.ndarray, second: np.ndarray, budget: int, round: Round) -> np.ndarray:
        """Like :meth:`choose`, with items of two lists in turn, the first list first.

        ``"top_k"`` merges the two rankings, see :func:`~monai_al.selection.merge_alternating`. Where patients or
        volumes take turns, so do the lists, item by item: each item is chosen by its list among the patients with the
        fewest items so far, whichever list chose those. Any other function chooses ceil(budget / 2) items by the first
        list, and then floor(budget / 2) of the rest by the second.

        Args:
            first: scores ``(N,)``, higher = more informative.
            second: scores ``(N,)`` of the same items.
            budget: how many items.
            round: as in :meth:`choose`.
        """
        if self.ranks_only:
            return merge_alternating(first, second, budget, round.labeled, self._rng(round))
        _, budget = candidates(len(first), budget, round.labeled)
        half = (budget + 1) // 2
        if self.level is not None:
            return self.choose_shares(([first, second] * half)[:budget], [1] * budget, round)
        picks = self.choose_shares([first, second], [half, budget - half], round)
        chosen = np.empty(budget, dtype=np.int64)
        chosen[::2], chosen[1::2] = picks[:half], picks[half:]
        return chosen

    def choose_shares(self, lists: Sequence[np.ndarray], shares: Sequence[int], round: Round) -> np.ndarray:
        """Like :meth:`choose`, with a share of the query by each of several lists.

        One list after the other chooses its share among the items that those before it left.

        Args:
            lists: scores ``(N,)`` each, of the same items, higher = more informative.
            shares: how many items each list chooses.
            round: as in :meth:`choose`.

        Example:
            >>> from monai_al.records import Item, Pool
            >>> round = Round(1, Pool([Item(i, i, i, i) for i in "abcd"]), labeled=[0], seed=0)
            >>> lists = [np.array([4.0, 3.0, 2.0, 1.0]), np.array([1.0, 4.0, 2.0, 3.0])]
            >>> Selector.of("top_k").choose_shares(lists, [1, 2], round)
            array([1, 3, 2])
        """
        lists = [check_scores(scores) for scores in lists]
        chosen, rng, more = np.empty(0, dtype=np.int64), self._rng(round), self._of_round(round)
        for scores, share in zip(lists, shares, strict=True):
            taken = np.concatenate([round.labeled, chosen])
            unlabeled, share = candidates(len(scores), share, taken)
            if share:
                picks = self._call(scores, share, taken, rng, more)
                chosen = np.concatenate([chosen, self._checked(picks, share, unlabeled)])
        return chosen

    def _rng(self, round: Round) -> np.random.Generator:
        return round.rng("ties" if self.ranks_only else "selector")

    def _of_round(self, round: Round) -> dict[str, Any]:
        """What the function is given that depends on the round."""
        found: dict[str, Any] = {}
        if self.name == "power_noise" and isinstance(self.settings.get("beta"), list | tuple):
            first, last = _check_betas(self.settings["beta"])
            found["beta"] = beta_of_round(first, last, round.number, round.rounds)
        if self.level is not None:
            found["groups"] = groups_of(round.pool, self.level)
        return found

    def _call(
        self, scores: np.ndarray, budget: int, labeled: np.ndarray, rng: np.random.Generator, more: Mapping[str, Any]
    ) -> ArrayLike:
        function: Callable[..., ArrayLike] = self._function  # type: ignore[attr-defined]
        if self.name not in SELECTORS:
            return function(scores, budget, labeled, rng)
        return function(scores, budget, labeled=labeled, rng=rng, **more)

    def _checked(self, picks: ArrayLike, budget: int, unlabeled: np.ndarray) -> np.ndarray:
        chosen = np.asarray(picks)
        whole = chosen.shape == (budget,) and np.issubdtype(chosen.dtype, np.integer)
        if not whole or len(np.unique(chosen)) < budget or not np.isin(chosen, unlabeled).all():
            raise RuntimeError(
                f"selector {self.name!r} must return {budget} distinct positions of unlabeled items, got {chosen!r}"
            )
        return chosen.astype(np.int64, copy=False)


def beta_of_round(first: float, last: float, number: int, rounds: int | None) -> float:
    """The power of the query for a round, with equal factors from round to round.

    Args:
        first: that of the query for round 1, the first after a training.
        last: that of a query after the last round.
        number: the round that is to annotate the query.
        rounds: how many rounds the run has.

    Raises:
        ValueError: the number of rounds is not known, and it is not the first query.

    Example:
        >>> [round(beta_of_round(1, 100, number, rounds=5), 1) for number in (1, 2, 3, 4)]
        [1.0, 3.2, 10.0, 31.6]
    """
    if rounds is None and number > 1:
        raise ValueError(
            f"beta grows from {first} to {last} over the rounds, but how many there are is not known: give rounds, as "
            "in QueryHandler(rounds=5), or one beta"
        )
    return geometric(first, last, number - 1, rounds or 1)


def _check_betas(betas: Sequence[Any]) -> Sequence[float]:
    if len(betas) != 2:
        raise ValueError(f"beta must be one number, or that of the first and of the last round, got {betas!r}")
    for beta in betas:
        if math.isinf(check_beta(beta)):
            raise ValueError(f"a beta that grows over the rounds must be finite, got {betas!r}")
    return betas


def _name_and_settings(function: Callable[..., ArrayLike]) -> tuple[str, dict[str, Any]]:
    if isinstance(function, functools.partial):
        if function.args:
            raise ValueError(f"give the settings of a selector by name, not by position: {function.args!r}")
        name, settings = _name_and_settings(function.func)
        return name, {**settings, **function.keywords}
    for name, known in SELECTORS.items():
        if function is known:
            return name, {}
    if hasattr(function, "__qualname__"):
        return f"{function.__module__}.{function.__qualname__}", {}
    return f"{type(function).__module__}.{type(function).__qualname__}", dict(getattr(function, "__dict__", {}))
