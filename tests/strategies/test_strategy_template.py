# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What every strategy must pass. A new strategy is added to ``STRATEGIES`` and nowhere else."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from monai_al.data import Item, Pool, Query, Round
from monai_al.selection import stochastic_batches
from monai_al.strategies import (
    VAAL,
    CentralStratified,
    CoreGCN,
    Coreset,
    EvenlySpaced,
    ForegroundAwareRandom,
    PatientStratifiedRandom,
    PredictedLoss,
    Random,
    Selective,
    Strategy,
    TypiClust,
    UncertainGCN,
    Uncertainty,
)
from monai_al.uncertainty import MEASURES, Measure

WIDTHS = {PredictedLoss: 1, VAAL: 16}  # of the embeddings
FAST_GRAPH = {"hidden": 16, "epochs": 5, "progress": False}
SCORING = [
    *(Uncertainty(measure) for measure in MEASURES),
    Uncertainty("margin", reduction="sum"),
    Uncertainty("tta", augmentation={"flips": True}),
    *(Selective(measure) for measure in MEASURES),
    Selective("entropy", regions="target"),
    Selective("entropy", regions="boundary", reduction="mean"),
    PredictedLoss(),
    *(Coreset(embedding) for embedding in ("bottleneck", "encoder", "pixels", "pixels:64", "model.down")),
    Coreset(start="random"),
]
DRAWING = [
    Random(),
    PatientStratifiedRandom(),
    EvenlySpaced(),
    EvenlySpaced(slices_per_volume=3),
    CentralStratified(),
    ForegroundAwareRandom(),
    ForegroundAwareRandom(1 / 3),
    *(Uncertainty(measure, selector="stochastic_batches") for measure in MEASURES),
    *(Selective(measure, selector="stochastic_batches") for measure in MEASURES),
    Selective("entropy", regions="target", selector="stochastic_batches"),
    PredictedLoss(selector="stochastic_batches"),
    PredictedLoss(functools.partial(stochastic_batches, partition=True, reduction="max")),
    TypiClust(),
    CoreGCN(**FAST_GRAPH),
    CoreGCN("encoder", **FAST_GRAPH, subset=20),
    UncertainGCN(**FAST_GRAPH),
    VAAL(size=4, channels=(4,), latent=4, steps=2, batch_size=8, progress=False),
]
"""Those whose answer depends on the seed also where nothing is tied."""
STRATEGIES = [*SCORING, *DRAWING]

N = 40
LABELED = [3, 0, 17, 39]


class SecretItem(Item):
    """An item whose label must not be looked at."""

    @property
    def label(self):
        raise AssertionError(f"the label of {self.id} was read")

    @label.setter
    def label(self, value):
        pass


def a_pool(order=range(N)) -> Pool:
    items = [
        SecretItem(f"v{i // 8}/{i % 8:04d}", "missing.nii", f"v{i // 8}", f"p{i // 16}", slice=i % 8) for i in order
    ]
    return Pool(items, classes=["background", "liver", "spleen"])


def a_round(strategy: Strategy, order=range(N), seed=0, labeled=LABELED, data_seed=0, empty=()) -> Round:
    """A round with distinct random scores and embeddings, which belong to the item and not to its position."""
    rng = np.random.default_rng(data_seed)
    order = np.asarray(order)
    scores, embeddings = {}, {}
    for name, need in strategy.needs().items():
        if isinstance(need, Measure):
            values = rng.random(N)
            values[[*labeled, *empty]] = -math.inf
            scores[name] = values[order]
        else:
            embeddings[name] = rng.normal(size=(N, WIDTHS.get(type(strategy), 8)))[order]
    present = (rng.random((N, 3)) < (1, 0.3, 0.1))[order] if strategy.uses_truth else None
    positions = [int(np.flatnonzero(order == i)[0]) for i in labeled]
    return Round(2, a_pool(order), np.array(positions, dtype=np.int64), seed, scores, embeddings, present)


each_strategy = pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)


@each_strategy
def test_says_its_name_and_its_needs(strategy):
    assert isinstance(strategy.name, str)
    assert strategy.name
    for name, need in strategy.needs().items():
        assert isinstance(name, str)
        assert name
        assert isinstance(need, Measure | str)
    assert strategy.needs() == strategy.needs()


@each_strategy
def test_an_initial_set_of_its_own_needs_nothing_trained_and_nothing_labeled(strategy):
    needs = strategy.initial_needs()
    if needs is None:
        return
    assert all(need in ("encoder", "pixels") or need.startswith("pixels:") for need in needs.values())
    rows = {name: np.random.default_rng(0).normal(size=(N, 8)) for name in needs}
    round = replace(a_round(strategy, labeled=()), number=0, scores={}, embeddings=rows)
    for budget in (0, 1, 7, N):
        query = strategy.query(round, budget)
        assert len(set(query.ids)) == budget
        assert strategy.query(round, budget) == query


@each_strategy
def test_exactly_budget_distinct_unlabeled_items(strategy):
    round = a_round(strategy)
    labeled = {round.pool[i].id for i in LABELED}
    for budget in (0, 1, 2, 7, N - len(LABELED)):
        query = strategy.query(round, budget)
        assert isinstance(query, Query)
        assert len(query.ids) == len(set(query.ids)) == budget
        assert not set(query.ids) & labeled
        assert set(query.ids) <= {item.id for item in round.pool}
        assert (query.round, query.strategy, query.seed) == (2, strategy.name, 0)


@each_strategy
def test_scores_are_numbers_or_none_and_survive_json(strategy):
    query = strategy.query(a_round(strategy, empty=range(20, 39)), N - len(LABELED))
    for item in query.items:
        assert item.score is None or (type(item.score) is float and math.isfinite(item.score))
    assert Query.from_json(query.to_json()) == query


@each_strategy
def test_reproducible(strategy):
    for empty in ((), range(10, 39)):
        assert strategy.query(a_round(strategy, empty=empty), 25) == strategy.query(a_round(strategy, empty=empty), 25)


@each_strategy
def test_another_seed_gives_another_answer_where_it_is_random(strategy):
    answers = {strategy.query(a_round(strategy, seed=seed), 10).ids for seed in range(4)}
    assert len(answers) == (4 if strategy in DRAWING else 1)


@each_strategy
def test_another_round_draws_differently_where_it_is_random(strategy):
    answers = {strategy.query(replace(a_round(strategy), number=number), 10).ids for number in range(4)}
    assert (len(answers) > 1) == (strategy in DRAWING)


@each_strategy
def test_the_order_of_the_pool_does_not_matter(strategy):
    if strategy in DRAWING:
        pytest.skip("draws positions at random")
    order = np.random.default_rng(9).permutation(N)
    assert set(strategy.query(a_round(strategy, order), 9).ids) == set(strategy.query(a_round(strategy), 9).ids)


@each_strategy
def test_changes_nothing_it_was_given(strategy):
    round, same = a_round(strategy), a_round(strategy)
    strategy.query(round, 5)
    assert round.labeled.tolist() == same.labeled.tolist()
    for name in same.scores:
        assert np.array_equal(round.scores[name], same.scores[name])
    for name in same.embeddings:
        assert np.array_equal(round.embeddings[name], same.embeddings[name])


@each_strategy
def test_draws_nothing_from_global_random_states(strategy):
    np.random.seed(0)
    before, torch_before = np.random.get_state()[1].tolist(), torch.get_rng_state()
    strategy.query(a_round(strategy, empty=range(20, 39)), 30)
    assert np.random.get_state()[1].tolist() == before
    assert torch.equal(torch.get_rng_state(), torch_before)


@each_strategy
def test_budget_errors(strategy):
    for budget, message in ((N, "more than the 36 unlabeled"), (-1, "negative"), (0.5, "whole number")):
        with pytest.raises(ValueError, match=message):
            strategy.query(a_round(strategy), budget)


@each_strategy
def test_missing_and_wrong_needs_are_named(strategy):
    complete = a_round(strategy)
    for name in complete.scores:
        lacking = Round(2, complete.pool, complete.labeled, 0, {k: v for k, v in complete.scores.items() if k != name})
        with pytest.raises(ValueError, match=f"needs the scores '{name}'"):
            strategy.query(lacking, 3)
        short = Round(2, complete.pool, complete.labeled, 0, {**complete.scores, name: np.zeros(3)})
        with pytest.raises(ValueError, match="one score"):
            strategy.query(short, 3)
        nan = np.where(np.arange(N) == 5, math.nan, complete.scores[name])
        with pytest.raises(ValueError, match=r"\[5\] is nan"):
            strategy.query(Round(2, complete.pool, complete.labeled, 0, {**complete.scores, name: nan}), 3)
    for name, values in complete.embeddings.items():
        with pytest.raises(ValueError, match=f"needs the embeddings '{name}'"):
            strategy.query(replace(complete, embeddings={}), 3)
        with pytest.raises(ValueError, match="one embedding"):
            strategy.query(replace(complete, embeddings={name: values[:3]}), 3)
        nan = np.where(np.arange(N)[:, None] == 5, math.nan, values)
        with pytest.raises(ValueError, match="item 'v0/0005' is nan"):
            strategy.query(replace(complete, embeddings={name: nan}), 3)
    if strategy.uses_truth:
        with pytest.raises(ValueError, match="only for simulations with ground truth"):
            strategy.query(replace(complete, present=None), 3)
        for wrong in (complete.present[:3], complete.present[:, 0], complete.present.astype(int)):
            with pytest.raises(ValueError, match=r"one row of classes per item of the pool \(40\), bool"):
                strategy.query(replace(complete, present=wrong), 3)


@each_strategy
def test_an_empty_pool_is_an_error(strategy):
    scores = {name: np.empty(0) for name, need in strategy.needs().items() if isinstance(need, Measure)}
    embeddings = {name: np.empty((0, 1)) for name in strategy.needs() if name not in scores}
    with pytest.raises(ValueError, match="empty"):
        strategy.query(Round(0, Pool([]), [], 0, scores, embeddings), 0)


@each_strategy
def test_whole_images_are_items_too(strategy):
    round = a_round(strategy)
    pool = Pool([Item(item.id, item.image, item.id, item.id) for item in round.pool], round.pool.classes)
    query = strategy.query(replace(round, pool=pool), 12)
    assert len(set(query.ids)) == 12
    assert all(item.reason is None or item.reason for item in query.items)


@each_strategy
def test_reads_the_truth_only_where_it_says_so(strategy):
    assert strategy.uses_truth == ("truth" in strategy.name)
    if not strategy.uses_truth:
        round = a_round(strategy)
        rows = np.random.default_rng(5).random((N, 3)) < 0.5
        assert strategy.query(round, 10) == strategy.query(replace(round, present=rows), 10)
