# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What released code of stochastic batches does otherwise: each in a few lines, and ours beside it."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from monai_al.data import Item, Pool, Round
from monai_al.selection import stochastic_batches
from monai_al.strategies import Uncertainty

N = 53
SELECTORS = ["stochastic_batches", functools.partial(stochastic_batches, partition=True)]
each_selector = pytest.mark.parametrize("selector", SELECTORS, ids=["independent", "partition"])


def pool() -> Pool:
    return Pool([Item(f"i{i:02d}", "", "v", "p") for i in range(N)])


def chosen(selector, scores, budget, *, labeled=(), seed=0, number=1) -> list[int]:
    """Positions of the query of one round, in pick order."""
    labeled = np.asarray(labeled, dtype=np.int64)
    round = Round(number, pool(), labeled, seed, {"entropy": np.asarray(scores, dtype=float)})
    return [int(id[1:]) for id in Uncertainty("entropy", selector=selector).query(round, budget).ids]


def drawn(selector, budget, *, labeled=(), seed=0, number=1) -> list[set[int]]:
    """All batches that ours draws in a round."""
    free = np.setdiff1d(np.arange(N), labeled)
    rng = Round(number, pool(), np.asarray(labeled, dtype=np.int64), seed).rng("selector")
    n_batches = len(free) // budget
    if selector == "stochastic_batches":
        return [set(free[rng.choice(len(free), budget, replace=False, shuffle=False)]) for _ in range(n_batches)]
    order = free[rng.permutation(len(free))]
    return [set(order[i * budget : (i + 1) * budget]) for i in range(n_batches)]


def released_partition(scores, budget, *, seed, size=10) -> list[int]:
    """Batches of a fixed size from the same seed in every round; what is missing comes from the next best batches."""
    order = np.random.RandomState(seed).permutation(len(scores))
    batches = [order[i : i + size] for i in range(0, len(order) - size + 1, size)]
    batches.sort(key=lambda batch: -np.mean(scores[batch]))
    return np.concatenate(batches)[:budget].tolist()


@each_selector
def test_every_round_draws_its_own_batches(selector):
    """With scores that stay as they are and an unlabeled set that stays as it is, only the draws can differ."""
    scores = np.random.default_rng(0).random(N)
    assert released_partition(scores, 10, seed=0) == released_partition(scores, 10, seed=0)
    runs = [[frozenset(chosen(selector, scores, 10, number=number)) for number in range(1, 7)] for _ in range(2)]
    assert len(set(runs[0])) == 6
    assert runs[0] == runs[1]  # and the whole run repeats
    others = [frozenset(chosen(selector, scores, 10, number=number, seed=1)) for number in range(1, 7)]
    assert not set(others) & set(runs[0])
    batches = [frozenset(map(frozenset, drawn(selector, 10, number=number))) for number in range(1, 7)]
    assert len(set(batches)) == 6


@each_selector
@pytest.mark.parametrize("budget", [1, 9, 10, 14, 25, 53])
def test_the_query_is_one_whole_drawn_batch_of_any_size(selector, budget):
    scores = np.random.default_rng(budget).random(N)
    for number in range(1, 6):
        batches = drawn(selector, budget, number=number)
        assert set(chosen(selector, scores, budget, number=number)) == max(
            batches, key=lambda batch: scores[list(batch)].mean()
        )


def test_a_fixed_size_of_batches_gives_pieces_of_two():
    scores = np.random.default_rng(0).random(N)
    order = np.random.RandomState(0).permutation(N)
    of_ten = [set(order[i : i + 10].tolist()) for i in range(0, 50, 10)]
    released = set(released_partition(scores, 14, seed=0))
    assert sum(bool(released & batch) for batch in of_ten) == 2
    assert not any(batch == released for batch in drawn(SELECTORS[1], 14))


@each_selector
def test_the_number_of_batches_follows_what_is_left(selector):
    """Q = floor(N / B) of the unlabeled items, which become fewer round by round."""
    scores = np.random.default_rng(0).random(N)
    labeled: list[int] = []
    for number in range(1, 6):
        batches = drawn(selector, 10, labeled=labeled, number=number)
        assert len(batches) == (N - len(labeled)) // 10
        query = chosen(selector, scores, 10, labeled=labeled, number=number)
        assert set(query) in batches
        assert not set(query) & set(labeled)
        labeled += query
    assert len(chosen(selector, scores, 3, labeled=labeled, number=6)) == 3  # a last round takes what is left


@each_selector
def test_the_best_item_is_chosen_where_a_drawn_batch_holds_it(selector):
    """Also of a partition: 13 of the 53 items are in none of its two batches of 20."""
    scores = np.zeros(N)
    scores[17] = 1.0
    rounds = range(1, 200)
    held = [number for number in rounds if 17 in set().union(*drawn(selector, 20, number=number))]
    assert 0 < len(held) < len(rounds)
    assert [number for number in rounds if 17 in chosen(selector, scores, 20, number=number)] == held
