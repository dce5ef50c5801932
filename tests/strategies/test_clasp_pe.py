# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from monai_al.data import Item, Pool, Round
from monai_al.strategies import ClaspPE
from monai_al.uncertainty import ClassMeasure, Measure, of_class

N = 60
LABELED = [2, 9, 44]


def a_round(n_classes=2, number=1, rounds=4, seed=0, n=N, empty=()) -> Round:
    rng = np.random.default_rng(n_classes)
    pool = Pool([Item(f"i{i:03d}", "", "v", "p") for i in range(n)])
    scores = {"entropy": rng.random(n)}
    scores |= {of_class("weighted entropy", c): rng.random(n) ** 3 for c in range(1, n_classes + 1)}
    for values in scores.values():
        values[[*LABELED, *empty]] = -math.inf
    return Round(number, pool, np.array(LABELED), seed, scores, rounds=rounds)


def positions(query) -> list[int]:
    return [int(id[1:]) for id in query.ids]


def slow(round: Round, budget: int, share=0.66, first=1.0, last=100.0) -> list[tuple[int, str]]:
    """Item by item: who chooses next, and the best of log(score) + noise that is left."""
    n_classes = len(round.scores) - 1
    t, all_rounds = round.number - 1, round.rounds
    beta = first * (last / first) ** (t / (all_rounds - 1))
    for_classes = math.floor(share * budget + 1e-9)
    turns = dict.fromkeys(range(1, n_classes + 1), for_classes // n_classes)
    for c in (round.rng("class shares").permutation(n_classes) + 1)[: for_classes % n_classes]:
        turns[int(c)] += 1
    noise, chosen = round.rng("selector"), []
    for c in [*turns, "rest"]:
        scores = round.scores["entropy" if c == "rest" else of_class("weighted entropy", c)]
        free = [i for i in range(N) if i not in LABELED and i not in [i for i, _ in chosen]]
        want = budget - for_classes if c == "rest" else turns[c]
        if want == 0:
            continue
        noisy = {i: beta * math.log(scores[i]) + g for i, g in zip(free, noise.gumbel(size=len(free)), strict=True)}
        best = sorted(free, key=lambda i: -noisy[i])[:want]
        chosen += [(i, "entropy" if c == "rest" else f"class {c}") for i in best]
    return chosen


@pytest.mark.parametrize("n_classes", [1, 2, 3, 5])
@pytest.mark.parametrize("budget", [1, 2, 3, 10, 20, 57])
@pytest.mark.parametrize(("number", "rounds"), [(1, 4), (2, 4), (3, 4), (2, 9)])
def test_equals_the_slow_way(n_classes, budget, number, rounds):
    round = a_round(n_classes, number, rounds)
    query = ClaspPE().query(round, budget)
    expected = slow(round, budget)
    assert positions(query) == [i for i, _ in expected]
    for item, (i, which) in zip(query.items, expected, strict=True):
        name = "entropy" if which == "entropy" else of_class("weighted entropy", int(which.split()[1]))
        rank = 1 + sum(round.scores[name][j] > round.scores[name][i] for j in range(N))
        assert item.score == round.scores[name][i]
        assert item.reason == f"{which}, rank {rank} of {N - len(LABELED)}, by power noise"


def test_at_the_end_of_a_long_run_the_best_items_of_each_class_are_chosen():
    round = a_round(2, number=40, rounds=40)
    picks = positions(ClaspPE(beta=(1, 1e9)).query(round, 10))
    free, expected = set(range(N)) - set(LABELED), []
    wants = [3, 3, 4]
    for want, name in zip(
        wants, [of_class("weighted entropy", 1), of_class("weighted entropy", 2), "entropy"], strict=True
    ):
        best = sorted(free, key=lambda i: -round.scores[name][i])[:want]
        expected, free = expected + best, free - set(best)
    assert picks == expected


def test_early_queries_are_more_random_than_late_ones():
    def overlap(number):
        queries = [
            set(positions(ClaspPE().query(a_round(number=number, rounds=9, seed=seed), 10))) for seed in range(12)
        ]
        return np.mean([len(one & other) for one in queries for other in queries if one is not other])

    overlaps = [overlap(number) for number in (1, 4, 8)]
    assert overlaps == sorted(overlaps)
    assert overlaps[2] > overlaps[0] + 2


def test_classes_draw_noise_of_their_own():
    """With the same scores for all, one noise for all would rank them alike."""
    round = a_round(2)
    same = dict.fromkeys(round.scores, np.full(N, 0.5))
    picks = positions(ClaspPE(share=1.0).query(replace(round, scores=same), 20))
    alike = positions(ClaspPE(share=0.0).query(replace(round, scores=same), 20))
    assert picks[:10] == alike[:10]
    assert picks[10:] != alike[10:]


def test_items_without_a_pixel_come_last():
    query = ClaspPE().query(a_round(2, empty=range(45, N)), N - len(LABELED))
    told = [item for item in query.items if item.score is None]
    assert {int(item.id[1:]) for item in told} == set(range(45, N))
    assert all("no pixel counts for " in item.reason for item in told)


def test_what_it_needs_and_what_it_refuses():
    assert ClaspPE().needs() == {"entropy": Measure(), "weighted entropy": ClassMeasure()}
    assert ClaspPE().initial_needs() is None
    for wrong, message in (
        ({"share": 66}, "share must be"),
        ({"beta": 0}, "beta must be"),
        ({"beta": (1, 2, 3)}, "one number"),
    ):
        with pytest.raises(ValueError, match=message):
            ClaspPE(**wrong)
    with pytest.raises(ValueError, match="how many there are is not known: give rounds"):
        ClaspPE().query(a_round(number=2, rounds=None), 5)
    assert ClaspPE(beta=5).query(a_round(number=2, rounds=None), 5)
    lacking = a_round()
    del lacking.scores[of_class("weighted entropy", 1)]
    with pytest.raises(ValueError, match="needs the scores 'weighted entropy of class 1'"):
        ClaspPE().query(lacking, 5)
