# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What every strategy must pass.

The strategies are those of the overlays in ``configs/strategies``, and some with other settings. A new one is here as
soon as it has its overlay; ``SMALL`` makes trainings short.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import pkgutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser

from monai_al import strategies
from monai_al.cli import find_asset
from monai_al.comparison.config import read_comparison
from monai_al.comparison.figures import uses_encoder
from monai_al.data import Item, Pool, Query, Round
from monai_al.selection import power_noise, stochastic_batches
from monai_al.strategies import (
    DSAL,
    SELECTORS,
    VAAL,
    CentralStratified,
    ClaspPE,
    ClusterRepresentatives,
    CoreGCN,
    Coreset,
    EvenlySpaced,
    ForegroundAwareRandom,
    PatientStratifiedRandom,
    PredictedLoss,
    ProbCover,
    Random,
    Selective,
    Strategy,
    TypiClust,
    UncertainGCN,
    Uncertainty,
)
from monai_al.uncertainty import Measure, of_class

OVERLAYS = sorted((Path(__file__).resolve().parents[2] / "configs" / "strategies").glob("*.yaml"))
GRAPH = {"hidden": 16, "epochs": 5, "progress": False}
SMALL = {  # settings of overlays that would train too long
    "core_gcn": GRAPH,
    "uncertain_gcn": GRAPH,
    "vaal": {"size": 4, "channels": [4], "latent": 4, "steps": 2, "batch_size": 8, "progress": False},
}


@functools.cache
def of_overlay(path: Path) -> Strategy:
    ids = yaml.safe_load(path.read_text(encoding="utf-8"))
    ids["strategy"] |= SMALL.get(path.stem, {})
    return ConfigParser({**ids, "selector": None}).get_parsed_content("strategy")


SELECTING = [name for name in SELECTORS if name != "top_k"]
VARIANTS = [
    Uncertainty("margin", reduction="sum"),
    Uncertainty("tta", augmentation={"flips": True}),
    Selective("entropy", regions="target"),
    Selective("entropy", regions="boundary", reduction="mean"),
    Selective("ensemble_variance_ratio"),
    Coreset("pixels"),
    Coreset("model.down"),
    Coreset(start="random"),
    Coreset(stratified=True),
    EvenlySpaced(slices_per_volume=3),
    *(Uncertainty("bald", selector=selector) for selector in SELECTING),
    *(Selective("margin", selector=selector) for selector in SELECTING),
    *(Selective("entropy", regions="target", selector=selector) for selector in SELECTING),
    *(PredictedLoss(selector=selector) for selector in SELECTING),
    PredictedLoss(functools.partial(stochastic_batches, partition=True, reduction="max")),
    Uncertainty("entropy", selector=functools.partial(power_noise, beta=[1, 100])),
    TypiClust("bottleneck"),
    TypiClust(stratified="volume", small_clusters="drop"),
    ProbCover("bottleneck", k=3),
    ClusterRepresentatives("bottleneck", k=3),
    ClusterRepresentatives("pixels:8", mode="one_stop"),
    ClaspPE(share=1, beta=5),
    ClaspPE(stratified=True),
    CoreGCN("encoder", subset=20, **GRAPH),
    UncertainGCN(stratified=True, **GRAPH),
]
NAMED = {path.stem: path for path in OVERLAYS} | {f"{one.name} {n}": one for n, one in enumerate(VARIANTS)}
RANKING = {Uncertainty, Selective, PredictedLoss, DSAL, Coreset}
"""Known to draw nothing, but for the order of ties, where their selector ranks."""
DRAWING = {
    Random,
    PatientStratifiedRandom,
    EvenlySpaced,
    CentralStratified,
    ForegroundAwareRandom,
    ClaspPE,
    TypiClust,
    CoreGCN,
    UncertainGCN,
    VAAL,
}
"""Known to answer by the seed and the round also where nothing is tied."""

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


def width(need: str) -> int:
    """Numbers in a made-up embedding."""
    if need.startswith("pixels:"):
        return int(need.removeprefix("pixels:")) ** 2
    return {"loss_predictor": 1, "agreement": 2}.get(need, 8)


def score_names(strategy: Strategy) -> list[str]:
    """Names of the scores that it needs where there are two foreground classes."""
    measures = {name: need for name, need in strategy.needs().items() if isinstance(need, Measure)}
    return [
        own
        for name, need in measures.items()
        for own in need.named(name, torch.zeros(0, 2) if need.per_class else torch.zeros(0))
    ]


def a_round(strategy: Strategy, order=range(N), seed=0, labeled=LABELED, data_seed=0, empty=()) -> Round:
    """A round with distinct random scores and embeddings, which belong to the item and not to its position."""
    rng = np.random.default_rng(data_seed)
    order = np.asarray(order)
    scores, embeddings = {}, {}
    for name in score_names(strategy):
        values = rng.random(N)
        values[[*labeled, *empty]] = -math.inf
        scores[name] = values[order]
    for name, need in strategy.needs().items():
        if isinstance(need, str):
            embeddings[name] = rng.normal(size=(N, width(need)))[order]
    present = (rng.random((N, 3)) < (1, 0.3, 0.1))[order] if strategy.uses_truth else None
    positions = np.array([int(np.flatnonzero(order == i)[0]) for i in labeled], dtype=np.int64)
    return Round(2, a_pool(order), positions, seed, scores, embeddings, present, rounds=6, first_budget=4)


@functools.cache
def draws(strategy: Strategy) -> bool:
    """Whether its answer depends on the seed: told of those that are known, found for new ones."""
    selector = getattr(strategy, "selector", None)
    if type(strategy) in DRAWING or (selector is not None and selector.name not in ("top_k", "stratified")):
        return True
    if type(strategy) in RANKING:
        return False
    return len({strategy.query(a_round(strategy, seed=seed), 10).ids for seed in range(4)}) > 1


each_strategy = pytest.mark.parametrize("strategy", [*NAMED.values()], ids=[*NAMED], indirect=True)


@pytest.fixture
def strategy(request) -> Strategy:
    return of_overlay(request.param) if isinstance(request.param, Path) else request.param


def test_every_strategy_of_the_package_has_an_overlay_and_stands_in_its_list():
    """A new strategy needs its module and its overlay; this test says what else is missing."""
    modules = [
        importlib.import_module(f"{strategies.__name__}.{one.name}")
        for one in pkgutil.iter_modules(strategies.__path__)
    ]
    classes = {
        one: module.__name__
        for module in modules
        for one in vars(module).values()
        if inspect.isclass(one) and issubclass(one, Strategy) and one.__module__ == module.__name__
    }
    concrete = {one for one in classes if not inspect.isabstract(one) and not one.__name__.startswith("_")}
    missing = [
        f"monai_al/strategies/__init__.py lacks: from {classes[one]} import {one.__name__}, and its name in __all__"
        for one in concrete
        if getattr(strategies, one.__name__, None) is not one or one.__name__ not in strategies.__all__
    ]
    missing += [
        f"configs/strategies lacks an overlay with _target_: monai_al.strategies.{one.__name__}"
        for one in concrete - {type(strategy) for strategy in [*map(of_overlay, OVERLAYS), *VARIANTS]}
    ]
    assert not missing, "\n".join(missing)
    assert {Random, Uncertainty, Coreset} <= concrete


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
    rows = {name: np.random.default_rng(0).normal(size=(N, width(need))) for name, need in needs.items()}
    round = replace(a_round(strategy, labeled=()), number=0, scores={}, embeddings=rows)
    for budget in (0, 1, 7, N):
        query = strategy.query(round, budget)
        assert len(set(query.ids)) == budget
        assert strategy.query(round, budget) == query


@each_strategy
def test_what_needs_nothing_starts_by_itself(strategy):
    """But for random, whose initial set is the random one that others of its seed have, too."""
    if not strategy.needs():
        assert strategy.initial_needs() == (None if type(strategy) is Random else {})


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
    known = type(strategy) in (*RANKING, *DRAWING)
    assert len(answers) == (1 if not draws(strategy) else 4 if known else len(answers))


@each_strategy
def test_another_round_draws_differently_where_it_is_random(strategy):
    if draws(strategy) and type(strategy) not in (*RANKING, *DRAWING):
        pytest.skip("not known to draw anew in each round")
    answers = {strategy.query(replace(a_round(strategy), number=number), 10).ids for number in range(4)}
    assert (len(answers) > 1) == draws(strategy)


@each_strategy
def test_the_order_of_the_pool_does_not_matter(strategy):
    if draws(strategy):
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
    for name, values in complete.scores.items():
        without = {key: values for key, values in complete.scores.items() if key != name}
        if not name.endswith(of_class("", 2)):  # which may be no class of the network's
            with pytest.raises(ValueError, match=f"needs the scores '{name}'"):
                strategy.query(replace(complete, scores=without), 3)
        with pytest.raises(ValueError, match="one score"):
            strategy.query(replace(complete, scores={**without, name: np.zeros(3)}), 3)
        nan = np.where(np.arange(N) == 5, math.nan, values)
        with pytest.raises(ValueError, match=r"\[5\] is nan"):
            strategy.query(replace(complete, scores={**without, name: nan}), 3)
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
    scores = {name: np.empty(0) for name in score_names(strategy)}
    embeddings = {name: np.empty((0, 1)) for name, need in strategy.needs().items() if isinstance(need, str)}
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


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.stem)
def test_a_comparison_may_name_its_overlay(path, tmp_path):
    """It finds the overlay by its name, and knows whether it needs an encoder before anything is trained."""
    runs = {"mine": {"overlays": [f"strategies/{path.stem}"]}}
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"bundle": "group_contrastive_cardiac", "runs": runs}), encoding="utf-8")
    strategy = of_overlay(path)
    needs = [*strategy.needs().values(), *(strategy.initial_needs() or {}).values()]
    assert {uses_encoder(run) for run in read_comparison(file, find_asset).planned("out")} == {"encoder" in needs}
