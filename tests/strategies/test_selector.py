# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import functools
import inspect
import json
import math
import pkgutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from monai.bundle import ConfigParser

from monai_al import strategies
from monai_al.bundle.run_record import plain
from monai_al.data import Item, Pool, Round
from monai_al.selection import merge_alternating, power_noise, stochastic_batches, stratified, top_k
from monai_al.strategies import (
    CEAL,
    SELECTORS,
    VAAL,
    ClaspPE,
    PredictedLoss,
    Selective,
    Selector,
    Strategy,
    Uncertainty,
)
from monai_al.strategies.selector import beta_of_round
from monai_al.uncertainty import MEASURES, Measure

INF = math.inf
N = 30
LABELED = np.array([4, 11, 29])
PATIENTS = np.random.default_rng(4).choice(4, size=N, p=[0.5, 0.3, 0.15, 0.05])
VOLUMES = 2 * PATIENTS + np.arange(N) % 2
OVERLAYS = Path(__file__).resolve().parents[2] / "configs"


def every_third(scores, budget, labeled, rng, *, start=0):
    """A selector of one's own."""
    free = np.setdiff1d(np.arange(len(scores)), labeled)
    return np.roll(free, -start)[::3][:budget] if 3 * budget <= len(free) else free[:budget]


class Lowest:
    """A selector of one's own that is an object."""

    def __init__(self, sign):
        self.sign = sign

    def __call__(self, scores, budget, labeled, rng):
        return top_k(np.where(scores > -INF, self.sign * scores, -INF), budget, labeled, rng)


def by_power(beta):
    return lambda scores, budget, labeled, rng: power_noise(scores, budget, beta, labeled, rng)


def a_round(strategy: Strategy, number=1, seed=0, empty=()) -> Round:
    rng = np.random.default_rng(3)
    pool = Pool([Item(f"i{i:02d}", "", f"v{VOLUMES[i]}", f"p{PATIENTS[i]}") for i in range(N)])
    scores, embeddings = {}, {}
    for name, need in strategy.needs().items():
        values = rng.permutation(N) / N
        if isinstance(need, Measure):
            values[[*LABELED, *empty]] = -INF
            scores[name] = values
        else:
            embeddings[name] = values[:, None]
    return Round(number, pool, LABELED, seed, scores, embeddings)


def positions(query) -> list[int]:
    return [int(id[1:]) for id in query.ids]


def scoring(selector) -> list[Strategy]:
    regions = [Selective("entropy", regions, selector=selector) for regions in ("both", "target")]
    return [Uncertainty("margin", selector=selector), *regions, PredictedLoss(selector)]


# -- which strategies, which selectors ---------------------------------------------------------------------------------


def takes_a_selector(cls: type) -> bool:
    return "selector" in inspect.signature(cls).parameters


def test_every_scoring_strategy_takes_a_selector():
    ours = [cls for _, cls in inspect.getmembers(strategies, inspect.isclass) if issubclass(cls, Strategy)]
    concrete = {cls for cls in ours if not inspect.isabstract(cls)}
    scoring_ones = {cls for cls in concrete if takes_a_selector(cls)}
    assert {Uncertainty, Selective, PredictedLoss} <= scoring_ones
    for cls in scoring_ones:
        assert cls().needs()
        for name in SELECTORS:
            assert cls(selector=name).selector.name == name
    by_measures = {
        cls for cls in concrete if cls().needs() and not any(isinstance(n, str) for n in cls().needs().values())
    }
    assert {ClaspPE, Uncertainty, Selective} <= by_measures
    lacking = [
        f"{cls.__name__} ranks by measures alone: take selector=None, keep self.selector = Selector.of(selector), and "
        "choose by self.selector.choose(scores, budget, round), so that --selector works and run.json tells of it"
        for cls in by_measures - {CEAL}  # takes both ends and the middle
        if not isinstance(getattr(cls(), "selector", None), Selector)
    ]
    assert lacking == []


@pytest.mark.parametrize("selector", ["top_k", top_k, Selector.of(None)])
def test_top_k_is_the_strategys_own_way(selector):
    for strategy, own in zip(scoring(selector), scoring(None), strict=True):
        assert strategy.name == own.name
        assert plain(vars(strategy)) == plain(vars(own))
        for empty in ((), range(12, 29)):
            assert strategy.query(a_round(own, empty=empty), 20) == own.query(a_round(own, empty=empty), 20)


def test_top_k_of_both_regions_is_the_alternating_merge():
    strategy = Selective("entropy", selector="top_k")
    round = a_round(strategy, empty=range(12, 29))
    expected = merge_alternating(*round.scores.values(), 20, LABELED, round.rng("ties"))
    assert positions(strategy.query(round, 20)) == expected.tolist()


@pytest.mark.parametrize(
    ("selector", "function"),
    [
        ("stochastic_batches", stochastic_batches),
        (stochastic_batches, stochastic_batches),
        *(
            (functools.partial(stochastic_batches, **settings), functools.partial(stochastic_batches, **settings))
            for settings in ({"partition": True}, {"n_batches": 7, "reduction": "max"})
        ),
        ("power_noise", by_power(1)),
        (functools.partial(power_noise, beta=3), by_power(3)),
        (functools.partial(power_noise, beta=[1, 100]), by_power(10)),  # the third of five rounds
        (every_third, every_third),
        (functools.partial(every_third, start=2), functools.partial(every_third, start=2)),
        (Lowest(-1), Lowest(-1)),
    ],
)
@pytest.mark.parametrize("budget", [0, 1, 2, 5, 9])
def test_the_selector_chooses(selector, function, budget):
    for strategy in scoring(selector):
        round = replace(a_round(strategy, number=3), rounds=5)
        query = strategy.query(round, budget)
        lists = [*round.scores.values(), *(rows[:, 0] for rows in round.embeddings.values())]
        rng = round.rng("selector")
        if len(lists) == 1 or budget < 2:
            expected = function(lists[0], budget, LABELED, rng)
        else:  # the first list first, and the second among what it left
            expected = np.empty(budget, dtype=int)
            expected[::2] = function(lists[0], budget - budget // 2, LABELED, rng)
            expected[1::2] = function(lists[1], budget // 2, [*LABELED, *expected[::2]], rng)
        assert positions(query) == np.asarray(expected).tolist()
        for place, item in enumerate(query.items):  # the scores are the items' own
            assert item.score == lists[place % len(lists)][int(item.id[1:])]


def in_turn_over(lists, budget, rng, groups, function):
    """Item by item, the lists in turn; each item counts for its group whichever list chose it."""
    chosen: list[int] = []
    for turn in range(budget):
        taken = [*LABELED, *chosen]
        chosen += function(lists[turn % len(lists)], 1, groups=groups, labeled=taken, rng=rng).tolist()
    return chosen


@pytest.mark.parametrize(
    ("selector", "function", "groups"),
    [
        ("stratified", stratified, PATIENTS),
        (stratified, stratified, PATIENTS),
        (functools.partial(stratified, groups="volume"), stratified, VOLUMES),
        (functools.partial(power_noise, beta=2, groups="patient"), functools.partial(power_noise, beta=2), PATIENTS),
    ],
)
@pytest.mark.parametrize("budget", [0, 1, 2, 5, 9, 27])
def test_patients_or_volumes_take_turns(selector, function, groups, budget):
    for strategy in scoring(selector):
        round = a_round(strategy, number=3, empty=range(20, 28))
        query = strategy.query(round, budget)
        lists = [*round.scores.values(), *(rows[:, 0] for rows in round.embeddings.values())]
        rng = round.rng("selector")
        if len(lists) == 1:
            expected = function(lists[0], budget, groups=groups, labeled=LABELED, rng=rng).tolist()
        else:
            expected = in_turn_over(lists, budget, rng, groups, function)
        assert positions(query) == expected
        counts = np.bincount(groups[[*LABELED, *expected]], minlength=groups.max() + 1)
        left = counts < np.bincount(groups)
        ahead = counts > np.bincount(groups[LABELED], minlength=groups.max() + 1)
        if left.any() and ahead.any():
            assert counts[ahead].max() <= counts[left].min() + 1
        level = "patient" if groups is PATIENTS else "volume"
        assert all(item.reason.endswith(f", of a {level} with the fewest items so far") for item in query.items)
        for place, item in enumerate(query.items):
            score = lists[place % len(lists)][int(item.id[1:])]
            assert item.score == (score if score > -INF else None)


def test_what_spreads_says_so_in_the_name():
    assert [strategy.name for strategy in scoring("stratified")] == [
        "margin, stratified by patient",
        "selective entropy, stratified by patient",
        "selective entropy (target), stratified by patient",
        "learning loss, stratified by patient",
    ]
    by_volume = Selector.of("power_noise", groups="volume")
    assert Uncertainty("bald", selector=by_volume).name == "bald with power noise, stratified by volume"
    assert VAAL(selector="stratified").name == "vaal, stratified by patient"
    assert ClaspPE(stratified=True).name == "clasp pe, stratified by patient"
    assert Selector.of(every_third).level is None


def test_the_classes_of_clasp_pe_share_the_patients():
    rng, pool = np.random.default_rng(0), a_round(Uncertainty("margin")).pool
    names = ["entropy", "weighted entropy of class 1", "weighted entropy of class 2"]
    scores = {name: np.where(np.isin(np.arange(N), LABELED), -INF, rng.random(N)) for name in names}
    round = Round(2, pool, LABELED, 0, scores, rounds=5)
    for stratify, groups in ((True, PATIENTS), ("volume", VOLUMES)):
        chosen = positions(ClaspPE(stratified=stratify).query(round, 9))
        for n in range(9):  # each is of a group with the fewest, those of the classes before it counted
            counts, size = Counter(groups[[*LABELED, *chosen[:n]]].tolist()), Counter(groups.tolist())
            assert counts[groups[chosen[n]]] == min(counts[group] for group in size if counts[group] < size[group])
    assert ClaspPE(stratified=False).query(round, 9) == ClaspPE().query(round, 9)
    with pytest.raises(ValueError, match="stratified must be True, False, patient or volume, got 3"):
        ClaspPE(stratified=3)


def test_settings_go_with_a_name():
    given = Selector.of("power_noise", beta=3)
    assert given == Selector.of(functools.partial(power_noise, beta=3))
    scores, round = np.arange(N) / N, a_round(Uncertainty("margin"))
    assert given.choose(scores, 5, round).tolist() == power_noise(scores, 5, 3, LABELED, round.rng("selector")).tolist()
    for wrong in (power_noise, given, None):
        with pytest.raises(ValueError, match="settings beta go with the name of a selector"):
            Selector.of(wrong, beta=3)


def test_names_and_reasons():
    names = [strategy.name for strategy in scoring("stochastic_batches")]
    assert names == [
        "margin with stochastic batches",
        "selective entropy with stochastic batches",
        "selective entropy (target) with stochastic batches",
        "learning loss with stochastic batches",
    ]
    named_alike = [strategy.name for strategy in scoring(functools.partial(stochastic_batches, partition=True))]
    assert named_alike == names
    assert [strategy.name for strategy in scoring(every_third)][0] == "margin with every third"
    for strategy, ranking in zip(scoring("stochastic_batches"), ("margin", "target", "target", "loss"), strict=True):
        query = strategy.query(a_round(strategy), 6)
        assert all(item.reason.endswith(" of 27, in the best of the stochastic batches") for item in query.items)
        assert ranking in query.items[0].reason
    query = Uncertainty("margin", selector=every_third).query(a_round(Uncertainty("margin")), 2)
    assert query.items[0].reason.endswith(" of 27, by every third")
    assert not any("batches" in item.reason for item in Uncertainty().query(a_round(Uncertainty()), 6).items)


def test_items_without_a_pixel_are_told_and_have_no_score():
    strategy = Uncertainty("margin", selector="stochastic_batches")
    items = strategy.query(a_round(strategy, empty=range(29)), 27).items
    told = [item for item in items if item.score is None]
    assert len(told) == 27
    assert {item.reason for item in told} == {"no margin: no pixel counts, in the best of the stochastic batches"}


def test_rounds_draw_differently_and_runs_repeat():
    for strategy in scoring("stochastic_batches"):
        runs = [[strategy.query(a_round(strategy, number), 6).ids for number in range(1, 6)] for _ in range(2)]
        assert runs[0] == runs[1]
        assert len({frozenset(ids) for ids in runs[0]}) == 5
        assert strategy.query(a_round(strategy, seed=1), 6).ids != runs[0][0]


def test_the_power_grows_over_the_rounds():
    betas = [beta_of_round(1, 100, number, 5) for number in range(1, 7)]
    assert betas == pytest.approx([1, 10**0.5, 10, 10**1.5, 100, 100])
    assert beta_of_round(1, 100, 3, 9) == pytest.approx(10**0.5)  # a run that was extended to 9 rounds
    assert beta_of_round(4, 4, 3, 7) == 4.0
    strategy = Uncertainty("margin", selector=functools.partial(power_noise, beta=[1, 100]))
    assert strategy.name == "margin with power noise"
    assert len(strategy.query(a_round(strategy, number=1), 6).ids) == 6  # the first query needs no number of rounds
    with pytest.raises(ValueError, match="how many there are is not known: give rounds"):
        strategy.query(a_round(strategy, number=2), 6)


def test_predicted_losses_below_zero_come_last_under_power_noise():
    strategy = PredictedLoss("power_noise")
    round = a_round(strategy)
    round.embeddings["predicted loss"][:] -= 0.5
    losses = round.embeddings["predicted loss"][positions(strategy.query(round, 27)), 0]
    assert ((losses > 0) == (np.arange(27) < (losses > 0).sum())).all()
    assert (np.diff(losses[losses <= 0]) < 0).all()


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("stochastic_batch", "'stochastic_batch' is none of top_k, stochastic_batches, power_noise, stratified"),
        ("", "selector '' is none of top_k, stochastic_batches, power_noise"),
        (functools.partial(stratified, groups="slice"), "'stratified': groups must be patient or volume, got 'slice'"),
        (functools.partial(stratified, groups=None), "'stratified': groups must be patient or volume, got None"),
        (functools.partial(power_noise, groups=PATIENTS), "'power_noise': groups must be patient or volume"),
        (3, "or a function, got 3; in a config"),
        ({"_target_": "monai_al.selection.top_k"}, "_mode_: callable"),
        (functools.partial(stochastic_batches, reduction="median"), "reduction 'median' is none of mean"),
        (functools.partial(stochastic_batches, n_batches=0), "n_batches must be"),
        (functools.partial(stochastic_batches, parttion=True), "'stochastic_batches'.*parttion"),
        (functools.partial(stochastic_batches, labeled=[1]), "'stochastic_batches'.*labeled"),
        (functools.partial(every_third, [0.5]), "by name, not by position"),
        (functools.partial(power_noise, beta=0), "beta must be a number above 0, got 0"),
        (functools.partial(power_noise, beta=[1, -2]), "beta must be a number above 0, got -2"),
        (functools.partial(power_noise, beta=[1, math.inf]), "must be finite"),
        (functools.partial(power_noise, beta=[1, 2, 3]), "one number, or that of the first and of the last round"),
        (functools.partial(power_noise, betta=1), "'power_noise'.*betta"),
    ],
)
def test_a_wrong_selector_is_refused_at_once(selector, message):
    for make in (Uncertainty, Selective, PredictedLoss):
        with pytest.raises(ValueError, match=message):
            make(selector=selector)


@pytest.mark.parametrize(
    "answer", [[1, 1], [1], [1, 2, 3], [0, 4], [0, 30], [-1, 2], [0.0, 1.0], None, [[0, 1]]], ids=str
)
def test_a_selector_that_breaks_the_contract_is_named(answer):
    def broken(scores, budget, labeled, rng):
        return answer

    strategy = Uncertainty("margin", selector=broken)
    with pytest.raises(RuntimeError, match=r"broken' must return 2 distinct positions of unlabeled items"):
        strategy.query(a_round(strategy), 2)


def test_the_first_wrong_list_is_named():
    for selector in (None, "stochastic_batches", every_third):
        strategy = Selective("margin", selector=selector)
        for name in strategy.needs():
            round = a_round(strategy)
            round.scores[name][7] = math.nan
            with pytest.raises(ValueError, match=r"\[7\] is nan"):
                strategy.query(round, 4)


# -- the record and the configs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "name", "settings"),
    [
        (None, "top_k", {}),
        ("stochastic_batches", "stochastic_batches", {}),
        (functools.partial(stochastic_batches, n_batches=5), "stochastic_batches", {"n_batches": 5}),
        (functools.partial(power_noise, beta=[1, 100]), "power_noise", {"beta": [1, 100]}),
        (
            functools.partial(functools.partial(stochastic_batches, n_batches=5), partition=True),
            "stochastic_batches",
            {"n_batches": 5, "partition": True},
        ),
        (functools.partial(every_third, start=2), f"{every_third.__module__}.every_third", {"start": 2}),
        (Lowest(-1), f"{Lowest.__module__}.Lowest", {"sign": -1}),
    ],
)
def test_the_settings_are_recorded(selector, name, settings):
    for strategy in scoring(selector):
        record = json.loads(json.dumps(plain(vars(strategy))))
        assert record["selector"] == {"name": name, "settings": settings}
        assert record["name"] == strategy.name


def overlay(name: str) -> dict:
    return yaml.safe_load((OVERLAYS / f"{name}.yaml").read_text(encoding="utf-8"))


def strategy_of(name: str, selector=None) -> Strategy:
    ids = {key: value for key, value in overlay(f"strategies/{name}").items() if not key.startswith("+")}
    return ConfigParser({**ids, "selector": selector}).get_parsed_content("strategy")


def class_of(name: str) -> type[Strategy]:
    return pkgutil.resolve_name(overlay(f"strategies/{name}")["strategy"]["_target_"])


ALL_OVERLAYS = sorted(path.stem for path in (OVERLAYS / "strategies").glob("*.yaml"))
SCORING_OVERLAYS = [name for name in ALL_OVERLAYS if takes_a_selector(class_of(name))]


@pytest.mark.parametrize("name", SCORING_OVERLAYS)
def test_every_scoring_overlay_takes_the_selector(name):
    partition = {"_target_": "monai_al.selection.stochastic_batches", "_mode_": "callable", "partition": True}
    for selector, settings in ((None, {}), ("stochastic_batches", {}), (partition, {"partition": True})):
        strategy = strategy_of(name, selector)
        assert overlay(f"strategies/{name}")["strategy"]["selector"] == "@selector"
        assert strategy.needs()
        assert strategy.selector.name == ("top_k" if selector is None else "stochastic_batches")
        assert strategy.selector.settings == settings


@pytest.mark.parametrize("name", ALL_OVERLAYS)
def test_overlays_ask_for_what_their_strategy_needs(name):
    ids, needs = overlay(f"strategies/{name}"), strategy_of(name).needs().values()
    kinds = {need.samples for need in needs if isinstance(need, Measure) and need.stochastic}
    assert ("dropout" in ids) == (kinds == {"dropout"})
    assert ids.get("members") == (5 if kinds == {"members"} else None)
    if name != "random_volumes":  # which trains a 3D network
        assert set(ids) <= {"strategy", "dropout", "members", "+train_overlays"}
    assert (OVERLAYS / "strategies" / f"{name}.yaml").read_text(encoding="utf-8").startswith("# ")


def test_every_measure_has_an_overlay():
    named = {measure for name in SCORING_OVERLAYS for measure in getattr(strategy_of(name), "measures", {})}
    assert set(MEASURES) <= named


def test_every_selector_has_an_overlay():
    found = {path.stem: overlay(f"selectors/{path.stem}") for path in (OVERLAYS / "selectors").glob("*.yaml")}
    assert found == {name: {"selector": name} for name in SELECTORS}
