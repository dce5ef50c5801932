# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monai_al.data import Item, Pool, Round
from monai_al.strategies import CEAL, PseudoSchedule, Uncertainty
from monai_al.uncertainty import ContourMeasure

N = 60
NEED = "variance far from the contour"


def a_round(number=5, labeled=(1, 4)) -> Round:
    scores = np.concatenate([np.full(30, 0.5), np.random.default_rng(0).uniform(0, 10, N - 30)])
    scores[list(labeled)] = -np.inf
    pool = Pool([Item(f"v/{i:04d}", "no.nii", "v", "p", slice=i) for i in range(N)])
    return Round(number, pool, np.array(labeled), 0, {NEED: scores})


def test_needs_the_variance_of_passes_with_dropout_weighted_by_the_distance():
    assert CEAL(passes=7).needs() == {NEED: ContourMeasure("variance", reduction="sum", passes=7)}


def test_the_query_has_the_parts_it_says():
    round = a_round()
    query = CEAL().query(round, 14)
    parts = [item.reason.partition(":")[0] for item in query.items]
    assert parts == ["lowest"] * 4 + ["highest"] * 4 + ["middle"] * 6
    scores = np.array([item.score for item in query.items])
    assert scores[:4].max() <= scores[8:].min()
    assert scores[8:].max() <= scores[4:8].min()
    assert "rank 1 of 58" in query.items[4].reason


@pytest.mark.parametrize("empty", [[], [0, 2, 6, 31, 40], list(range(25))])
def test_pseudo_labels_are_of_the_fullest_bin_and_neither_of_the_query_nor_empty(empty):
    strategy, round = CEAL(pseudo=8, pseudo_growth=3, pseudo_from=4), a_round(5)
    before = round.scores[NEED].copy()
    query = strategy.query(round, 14)
    empty = [round.pool[i].id for i in empty if round.pool[i].id not in query.ids and i not in (1, 4)]
    found = strategy.pseudo_items(round, query, empty)
    scores = {round.pool[i].id: round.scores[NEED][i] for i in range(N) if i not in (1, 4)}
    counted = {id: score for id, score in scores.items() if id not in empty}
    counts, edges = np.histogram([*counted.values()], 80)
    mode = int(np.argmax(counts))
    fullest = {id for id, score in counted.items() if edges[mode] <= score < edges[mode + 1]} - set(query.ids)
    assert set(found) <= fullest
    assert len(set(found)) == len(found) == min(11, len(fullest))
    assert strategy.pseudo_items(round, query, empty) == found
    assert len(fullest) < 2 or strategy.pseudo_items(replace(round, seed=1), query, empty) != found
    assert np.array_equal(round.scores[NEED], before)


def test_there_are_none_before_their_round():
    strategy, before = CEAL(pseudo_from=5), a_round(4)
    assert strategy.pseudo_items(before, strategy.query(before, 14)) == ()


def test_says_whether_there_may_be_any():
    assert CEAL().gives_pseudo_labels
    assert CEAL(pseudo=0, pseudo_growth=1).gives_pseudo_labels
    assert not CEAL(pseudo=0, pseudo_growth=0).gives_pseudo_labels
    assert not Uncertainty("entropy").gives_pseudo_labels
    assert [PseudoSchedule().of_round(number) for number in (0, 4, 5, 7)] == [0, 0, 20, 60]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quotas": [1, 2]}, "quotas must be three numbers, of lowest, highest, middle"),
        ({"quotas": [0, 0, 0]}, "quotas must be whole numbers"),
        ({"pseudo": -1}, "pseudo must be a whole number of at least 0, got -1"),
        ({"pseudo_growth": 0.5}, "pseudo_growth must be a whole number of at least 0"),
        ({"pseudo_from": 0}, "pseudo_from must be a whole number of at least 1"),
        ({"passes": 1}, "passes must be an integer of at least 2"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        CEAL(**settings)


@pytest.mark.parametrize("wrong", [[0, 0], [1], "of the query"])
def test_a_strategy_that_breaks_the_contract_of_pseudo_labels_is_refused(wrong):
    class Careless(CEAL):
        def pseudo_labels(self, round):
            return [round.pool.index(query.ids[0])] if wrong == "of the query" else wrong

    round = a_round()
    query = Careless().query(round, 14)
    with pytest.raises(RuntimeError, match="must give pseudo labels to distinct positions of unlabeled items"):
        Careless().pseudo_items(round, query)
