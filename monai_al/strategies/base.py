# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What every strategy is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from monai_al.records import Query, QueryItem, Round
from monai_al.selection import ranks
from monai_al.uncertainty import Measure, of_class

__all__ = ["Strategy", "of_lists", "ranked_reasons"]


class Strategy(ABC):
    """Chooses the items of the next query.

    A subclass sets :attr:`name`, says in :meth:`needs` what is to be computed, and chooses in :meth:`select`. It never
    reads a label, and draws at random only from ``round.rng(purpose)``. Callers use :meth:`query`, which holds the
    answer to the contract.

    Example:
        >>> from monai_al.records import Item, Pool
        >>> class FirstOnes(Strategy):
        ...     name = "first ones"
        ...     def select(self, round, budget):
        ...         return self.make_query(round, round.unlabeled[:budget])
        >>> pool = Pool([Item(i, i, i, i) for i in "abc"])
        >>> FirstOnes().query(Round(1, pool, labeled=[0], seed=0), budget=1).ids
        ('b',)
    """

    name: str = ""
    uses_truth: bool = False
    """Whether ``select`` looks at the ground truth, as ``round.present``: a baseline of simulations, no strategy for
    real annotation."""

    def needs(self) -> dict[str, Measure | str]:
        """Name -> a measure, whose scores ``select`` finds as ``round.scores[name]``, or an embedding.

        Of a :class:`~monai_al.uncertainty.ClassMeasure` there are scores for each foreground class, see
        :meth:`class_scores`.

        An embedding is ``"encoder"`` (features of the run's pretrained encoder), ``"bottleneck"`` or the path of
        another layer of the trained network (``"bottleneck:2"``: each half of every side of the image by itself), or
        ``"pixels"`` (the preprocessed image; ``"pixels:64"`` resized to 64 pixels). Nothing else is computed; without
        needs the network is not run.
        """
        return {}

    def initial_needs(self) -> dict[str, Measure | str] | None:
        """What :meth:`select` needs to choose the initial set, where nothing is labeled or trained yet.

        Only the embeddings ``"encoder"`` and ``"pixels"`` are there then. None: the initial set is random, the same for
        all strategies of a seed. A strategy that needs nothing at all chooses the initial set, too.
        """
        return None if self.needs() else {}

    @abstractmethod
    def select(self, round: Round, budget: int) -> Query:
        """Exactly ``budget`` distinct unlabeled items of ``round.pool``.

        Args:
            round: the state of the pool, with what :meth:`needs` asked for.
            budget: how many items, at most as many as are unlabeled.

        Raises:
            ValueError: the budget does not fit, or something needed is missing from ``round``.
        """

    def query(self, round: Round, budget: int) -> Query:
        """:meth:`select`, with its answer checked.

        Raises:
            ValueError: see :meth:`select`.
            RuntimeError: the strategy broke its contract: another number of items, an item twice, one that is labeled
                or one that is not in the pool.
        """
        query = self.select(round, budget)
        problem = _problem(query, round, budget)
        if problem:
            raise RuntimeError(f"strategy {self.name or type(self).__name__!r} {problem}")
        return query

    @property
    def gives_pseudo_labels(self) -> bool:
        """Whether there may be pseudo labels in some round, so that the data must be able to take them."""
        return False

    def pseudo_labels(self, round: Round) -> Sequence[int] | np.ndarray:
        """Positions of unlabeled items that train with the prediction of the current network as their label.

        They do so in the next training alone, stay unlabeled, and count nowhere. The loop asks for them after the
        query, where :attr:`gives_pseudo_labels` says so; and again where some are named, without the items in which the
        network finds no foreground, as these would only teach the next one to find nothing.

        Args:
            round: what :meth:`select` saw, but that ``round.labeled`` holds the items of the query, too, whose scores
                are still there, and those without foreground, which score ``-inf``.
        """
        return ()

    def pseudo_items(self, round: Round, query: Query, empty: Sequence[str] = ()) -> tuple[str, ...]:
        """:meth:`pseudo_labels` as ids, checked.

        Args:
            round: what the query was chosen from.
            query: the query.
            empty: ids of other unlabeled items, in which the network finds no foreground.

        Raises:
            RuntimeError: the strategy broke its contract: an item twice, or one that is labeled, in the query or empty.
        """
        left_out = [round.pool.index(id) for id in (*query.ids, *empty)]
        scores = {name: np.array(values) for name, values in round.scores.items()}
        for values in scores.values():
            values[left_out[len(query.ids) :]] = -np.inf
        after = replace(round, labeled=np.concatenate([round.labeled, left_out]), scores=scores)
        found = np.asarray(self.pseudo_labels(after), dtype=np.int64)
        allowed = np.isin(found, after.unlabeled)
        if not allowed.all() or len(np.unique(found)) < len(found):
            raise RuntimeError(
                f"strategy {self.name!r} must give pseudo labels to distinct positions of unlabeled items that are not "
                f"in the query and show foreground, got {found!r}"
            )
        return tuple(round.pool[int(i)].id for i in found)

    def scores(self, round: Round, name: str) -> np.ndarray:
        """The scores ``(N,)`` that were asked for under this name.

        Raises:
            ValueError: ``round`` has none, or not one per item.
        """
        if name not in round.scores:
            known = ", ".join(map(repr, round.scores)) or "none"
            raise ValueError(f"strategy {self.name!r} needs the scores {name!r}; this round has {known}")
        scores = np.asarray(round.scores[name], dtype=np.float64)
        if scores.shape != (len(round.pool),):
            raise ValueError(
                f"strategy {self.name!r} needs one score {name!r} per item of the pool ({len(round.pool)}), got the "
                f"shape {scores.shape}"
            )
        return scores

    def class_scores(self, round: Round, name: str) -> list[np.ndarray]:
        """The scores ``(N,)`` of each foreground class, where a ``ClassMeasure`` was asked for under this name.

        Raises:
            ValueError: ``round`` has none, or not one per item.
        """
        n = 1
        while of_class(name, n + 1) in round.scores:
            n += 1
        return [self.scores(round, of_class(name, number)) for number in range(1, n + 1)]

    def embeddings(self, round: Round, name: str) -> np.ndarray:
        """The embeddings ``(N, D)`` that were asked for under this name.

        Raises:
            ValueError: ``round`` has none, or not one row per item.
        """
        if name not in round.embeddings:
            known = ", ".join(map(repr, round.embeddings)) or "none"
            raise ValueError(f"strategy {self.name!r} needs the embeddings {name!r}; this round has {known}")
        embeddings = np.asanyarray(round.embeddings[name])  # a memory map stays one
        if embeddings.ndim != 2 or len(embeddings) != len(round.pool):
            raise ValueError(
                f"strategy {self.name!r} needs one embedding {name!r} per item of the pool ({len(round.pool)}), got "
                f"the shape {embeddings.shape}"
            )
        return embeddings

    def make_query(
        self,
        round: Round,
        indices: Sequence[int] | np.ndarray,
        scores: Sequence[float] | np.ndarray | None = None,
        reasons: Sequence[str | None] | None = None,
    ) -> Query:
        """A query for these positions in the pool.

        Args:
            round: the round that is to annotate them.
            indices: positions in the pool, in pick order.
            scores: one per index; ``-inf`` becomes None.
            reasons: one per index, a few words for people.
        """
        n = len(indices)
        values = [None] * n if scores is None else [float(s) if np.isfinite(s) else None for s in scores]
        words = [None] * n if reasons is None else reasons
        items = tuple(
            QueryItem(round.pool[int(i)].id, score, reason)
            for i, score, reason in zip(indices, values, words, strict=True)
        )
        return Query(round.number, self.name, round.seed, items)


def ranked_reasons(
    ranking: str, scores: np.ndarray, chosen: np.ndarray, labeled: np.ndarray, unranked: str
) -> list[str]:
    """Why each item was chosen: its rank in a ranking of the unlabeled items.

    Args:
        ranking: what the ranking goes by.
        scores: ``(N,)``.
        chosen: positions of the chosen items.
        labeled: positions that stand in no ranking.
        unranked: what to say of an item that scores ``-inf``.

    Example:
        >>> ranked_reasons("entropy", np.array([0.1, 0.3, 0.2]), np.array([2]), np.array([], dtype=int), "empty")
        ['entropy, rank 2 of 3']
    """
    rank = ranks(scores, labeled)
    n = len(scores) - len(labeled)
    return [f"{ranking}, rank {rank[i]} of {n}" if rank[i] else unranked for i in chosen]


def of_lists(
    lists: Mapping[str, np.ndarray],
    which: np.ndarray,
    chosen: np.ndarray,
    labeled: np.ndarray,
    unranked: str = "no pixel counts for {}",
) -> tuple[np.ndarray, list[str]]:
    """The score and the reason of each chosen item, where several rankings chose.

    Args:
        lists: what a ranking goes by -> its scores ``(N,)``.
        which: ``(k,)``, the number of the ranking that chose an item.
        chosen: ``(k,)`` positions of the items.
        labeled: positions that stand in no ranking.
        unranked: what to say of an item that scores ``-inf``; ``{}`` is what the ranking goes by.

    Example:
        >>> lists = {"target": np.array([0.1, 0.3]), "boundary": np.array([0.4, 0.2])}
        >>> of_lists(lists, np.array([0, 1]), np.array([1, 0]), np.array([], dtype=int))
        (array([0.3, 0.4]), ['target, rank 1 of 2', 'boundary, rank 1 of 2'])
    """
    told = [ranked_reasons(name, values, chosen, labeled, unranked.format(name)) for name, values in lists.items()]
    reasons = [told[number][place] for place, number in enumerate(which)]
    return np.stack([*lists.values()])[which, chosen], reasons


def _problem(query: Query, round: Round, budget: int) -> str | None:
    if len(query.items) != budget:
        return f"chose {len(query.items)} items, was asked for {budget}"
    labeled = {round.pool[int(i)].id for i in round.labeled}
    seen: set[str] = set()
    for id in query.ids:
        try:
            round.pool.index(id)
        except KeyError:
            return f"chose {id!r}, which is not in the pool"
        if id in labeled:
            return f"chose {id!r}, which is labeled already"
        if id in seen:
            return f"chose {id!r} twice"
        seen.add(id)
    return None
