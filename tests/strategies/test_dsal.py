# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monai_al.data import Item, Pool, Round
from monai_al.strategies import DSAL

N, LABELED = 50, (3, 8)


def a_round(number=5, seed=0) -> Round:
    rows = np.random.default_rng(seed).random((N, 2))
    pool = Pool([Item(f"v/{i:04d}", "no.nii", "v", "p", slice=i) for i in range(N)])
    return Round(number, pool, np.array(LABELED), 0, embeddings={"agreement": rows})


def slow_pseudo_labels(rows: np.ndarray, free: list[int], number: int) -> list[int]:
    counts, edges = np.histogram(rows[free, 1], 10)
    sure = [i for i in free if rows[i, 1] >= edges[-2]]
    assert len(sure) == counts[-1]
    return sorted(sure, key=lambda i: -rows[i, 0])[:number]


@pytest.mark.parametrize("seed", range(5))
def test_asks_where_the_depths_agree_least_and_believes_where_they_agree_best(seed):
    round, strategy = a_round(seed=seed), DSAL(pseudo=2, pseudo_growth=1, pseudo_from=3)
    rows = round.embeddings["agreement"]
    free = [i for i in range(N) if i not in LABELED]
    query = strategy.query(round, 7)
    assert [round.pool.index(id) for id in query.ids] == sorted(free, key=lambda i: rows[i, 0])[:7]
    assert query.items[0].reason == "disagreement of the depths, rank 1 of 48"
    left = [i for i in free if round.pool[i].id not in query.ids]
    found = [round.pool.index(id) for id in strategy.pseudo_items(round, query)]
    assert found == slow_pseudo_labels(rows, left, 4)
    empty = [max(left, key=lambda i: rows[i, 1]), *found[:1], *left[::3]]  # of the confidences others are the last bin
    found = strategy.pseudo_items(round, query, [round.pool[i].id for i in dict.fromkeys(empty)])
    assert [round.pool.index(id) for id in found] == slow_pseudo_labels(rows, [i for i in left if i not in empty], 4)
    early = replace(round, number=2)
    assert strategy.pseudo_items(early, strategy.query(early, 7)) == ()


def test_equal_confidences_are_all_in_the_last_bin():
    rows = np.column_stack([np.arange(N) / N, np.full(N, 0.3)])
    round, strategy = replace(a_round(), embeddings={"agreement": rows}), DSAL(pseudo=3)
    found = strategy.pseudo_items(round, strategy.query(round, 4))
    assert [round.pool.index(id) for id in found] == [49, 48, 47]


def test_another_layer_is_refused():
    round = replace(a_round(), embeddings={"agreement": np.zeros((N, 3))})
    with pytest.raises(ValueError, match="layer 'agreement' gives 3 numbers per item, but agreement and confidence"):
        DSAL().query(round, 3)
