# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest

from monai_al.data import Item, Pool, Query, QueryItem, Round
from monai_al.strategies import Random, Selective, Strategy, Uncertainty
from monai_al.uncertainty import MEASURES, Augmentation, Measure

INF = math.inf


def a_round(scores=None, n=6, labeled=(), seed=0, number=1) -> Round:
    return Round(number, Pool([Item(i, i, i, i) for i in "abcdefghijklmnop"[:n]]), labeled, seed, scores or {})


def test_random_is_uniform_and_depends_on_the_round():
    counts = dict.fromkeys("abcd", 0)
    for seed in range(1000):
        for id in Random().query(a_round(n=5, labeled=[4], seed=seed), 2).ids:
            counts[id] += 1
    assert all(abs(count - 500) < 80 for count in counts.values())
    answers = {Random().query(a_round(n=16, number=number), 8).ids for number in range(4)}
    assert len(answers) == 4


def test_uncertainty_takes_the_highest_scores_in_order():
    scores = {"margin": np.array([0.1, 0.5, -INF, 0.5, 0.3, 0.0])}
    query = Uncertainty("margin").query(a_round(scores, labeled=[2]), 4)
    assert query.ids == ("b", "d", "e", "a")
    assert [item.score for item in query.items] == [0.5, 0.5, 0.3, 0.1]


@pytest.mark.parametrize("measure", MEASURES)
def test_needs(measure):
    assert Uncertainty(measure).needs() == {measure: MEASURES[measure]}
    drawn = MEASURES[measure].stochastic and MEASURES[measure].samples != "members"
    passes = {"passes": 5} if drawn else {}
    expected = Measure.of(measure, reduction="sum", **passes)
    assert Uncertainty(measure, "sum", **passes).needs() == {measure: expected}
    if not drawn:
        with pytest.raises(ValueError, match=f"measure '{measure}' takes no passes"):
            Uncertainty(measure, passes=5)
    assert Uncertainty(measure).name == measure
    selective = Selective(measure, threshold=0.3, width=0.2, **passes)
    common = {"reduction": "sum", "threshold": 0.3, "width": 0.2, **passes}
    assert selective.needs() == {
        f"{measure} {region}": Measure.of(measure, region=region, **common) for region in ("target", "boundary")
    }
    assert selective.name == f"selective {measure}"
    assert list(Selective(measure, "boundary").needs()) == [f"{measure} boundary"]
    assert Selective(measure, "boundary").name == f"selective {measure} (boundary)"
    assert Random().needs() == {}


def test_defaults_are_the_papers():
    need = Selective().needs()["entropy target"]
    assert need == Measure("entropy", region="target", reduction="sum", threshold=0.2, width=0.1, passes=10)


def test_passes_are_the_measures_own_unless_given():
    passes = {name: Uncertainty(name).measures[name].passes for name in ("bald", "mc_dropout", "tta", "tta_entropy")}
    assert passes == {"bald": 10, "mc_dropout": 10, "tta": 8, "tta_entropy": 8}
    assert {need.passes for need in Selective("tta").needs().values()} == {8}
    assert {need.passes for need in Selective("tta", passes=3).needs().values()} == {3}


@pytest.mark.parametrize("augmentation", [{"rotation": 20, "flips": True}, Augmentation(rotation=20, flips=True)])
@pytest.mark.parametrize("measure", ["tta", "tta_entropy"])
def test_augmentation(measure, augmentation):
    for strategy in (Uncertainty(measure, augmentation=augmentation), Selective(measure, augmentation=augmentation)):
        for need in strategy.needs().values():
            assert need.augmentation == Augmentation(rotation=20, flips=True)
    assert Uncertainty(measure).needs()[measure].augmentation is None


def test_selective_worked_merge():
    scores = {"entropy target": [9.0, 8, 7, 6, 0, 0], "entropy boundary": [8.0, 9, 0, 0, 7, 6]}
    query = Selective().query(a_round(scores), 5)
    assert query.ids == ("a", "b", "c", "e", "d")
    assert [item.score for item in query.items] == [9, 9, 7, 7, 6]
    ranks = [("target", 1), ("boundary", 1), ("target", 3), ("boundary", 3), ("target", 4)]
    assert [item.reason for item in query.items] == [f"{region} region, rank {rank} of 6" for region, rank in ranks]


def test_selective_puts_empty_regions_last_without_a_score():
    scores = {"entropy target": [-INF, 3.0, -INF, -INF], "entropy boundary": [1.0, -INF, -INF, -INF]}
    items = Selective().query(a_round(scores, n=4), 4).items
    assert [item.id for item in items[:2]] == ["b", "a"]
    assert {item.id for item in items[2:]} == {"c", "d"}
    assert [(item.score, item.reason) for item in items[2:]] == [
        (None, "empty target region"),
        (None, "empty boundary region"),
    ]


@pytest.mark.parametrize("region", ["target", "boundary"])
def test_selective_of_one_region_is_its_ranking(region):
    scores = {f"bald {region}": [1.0, 3.0, 2.0, -INF]}
    query = Selective("bald", region).query(a_round(scores, n=4), 4)
    assert query.ids == ("b", "c", "a", "d")
    told = [f"{region} region, rank {rank} of 4" for rank in (1, 2, 3)]
    assert [item.reason for item in query.items] == [*told, f"empty {region} region"]


def test_ties_follow_the_seed_and_not_the_name():
    empty = np.full(16, -INF)

    def order(strategy: Strategy, name: str, seed: int) -> tuple[str, ...]:
        return strategy.query(a_round({name: empty}, n=16, seed=seed), 16).ids

    assert order(Uncertainty("entropy"), "entropy", 0) == order(Uncertainty("margin"), "margin", 0)
    assert order(Uncertainty("entropy"), "entropy", 0) == order(Selective("bald", "target"), "bald target", 0)
    assert order(Uncertainty("entropy"), "entropy", 0) != order(Uncertainty("entropy"), "entropy", 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uncertainty("bold"), "'bold' is none of entropy"),
        (lambda: Uncertainty("predictive_entropy"), "mc_dropout"),
        (lambda: Uncertainty("entropy", "max"), "reduction 'max'"),
        (lambda: Uncertainty("bald", passes=1), "passes"),
        (lambda: Uncertainty("bald", augmentation={}), "'bald' takes no augmentation: only tta, tta_entropy do"),
        (lambda: Selective("entropy", augmentation=Augmentation()), "'entropy' takes no augmentation"),
        (lambda: Uncertainty("tta", augmentation={"rotation": 90}), "rotation must be"),
        (lambda: Uncertainty("tta", augmentation={"angle": 9}), "augmentation 'angle' is none of rotation, noise"),
        (lambda: Uncertainty(selector="top"), "selector 'top' is none of top_k, stochastic_batches"),
        (lambda: Selective(selector="top"), "selector 'top'"),
        (lambda: Selective("bold"), "'bold'"),
        (lambda: Selective("entropy", "background"), "regions 'background' is none of both, target, boundary"),
        (lambda: Selective("entropy", reduction="max"), "reduction"),
        (lambda: Selective("entropy", threshold=1.0), "threshold"),
        (lambda: Selective("entropy", width=0.0), "width"),
        (lambda: Selective("mc_dropout", passes=0), "passes"),
    ],
)
def test_arguments_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (("a",), "'broken' chose 1 items, was asked for 2"),
        (("a", "a"), "'broken' chose 'a' twice"),
        (("a", "f"), "'broken' chose 'f', which is labeled already"),
        (("a", "z"), "'broken' chose 'z', which is not in the pool"),
    ],
)
def test_a_strategy_that_breaks_the_contract_is_named(ids, message):
    class Broken(Strategy):
        name = "broken"

        def select(self, round: Round, budget: int) -> Query:
            return Query(round.number, self.name, round.seed, tuple(QueryItem(id) for id in ids))

    with pytest.raises(RuntimeError, match=message):
        Broken().query(a_round(labeled=[5]), 2)
