# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from monai_al.data import Item, Pool, Round
from monai_al.strategies import CentralStratified, EvenlySpaced, ForegroundAwareRandom, PatientStratifiedRandom


def a_pool(*patients: list[int], first: int = 0) -> Pool:
    """Patients p0, p1, ... with volumes of so many slices each."""
    items = []
    for p, lengths in enumerate(patients):
        for v, length in enumerate(lengths):
            volume = f"p{p}v{v}"
            items += [Item(f"{volume}/{z}", volume, volume, f"p{p}", slice=z) for z in range(first, first + length)]
    return Pool(items, ["background", "liver", "spleen"])


def a_round(pool: Pool, labeled=(), seed=0, number=1, present=None) -> Round:
    positions = [pool.index(one) if isinstance(one, str) else one for one in labeled]
    return Round(number, pool, np.asarray(positions, dtype=np.int64), seed, present=present)


@st.composite
def rounds(draw):
    """Pools of a few patients with one or two volumes, and some labeled items."""
    pool = a_pool(*draw(st.lists(st.lists(st.integers(1, 7), min_size=1, max_size=2), min_size=1, max_size=4)))
    labeled = draw(st.lists(st.integers(0, len(pool) - 1), unique=True, max_size=len(pool) - 1))
    budget = draw(st.integers(1, len(pool) - len(labeled)))
    return a_round(pool, labeled, seed=draw(st.integers(0, 100))), budget


# -- patient-stratified random -----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(problem=rounds())
def test_patient_stratified_takes_the_patient_with_the_fewest(problem):
    round, budget = problem
    query = PatientStratifiedRandom().query(round, budget)
    labeled = [round.pool[int(i)] for i in round.labeled]
    for item in query.items:
        asked = round.pool[round.pool.index(item.id)]
        counts = Counter(one.patient for one in labeled)
        left = {one.patient for one in round.pool if one not in labeled}
        assert counts[asked.patient] == min(counts[patient] for patient in left)
        assert item.reason == f"patient {asked.patient}, who has the fewest items so far: {counts[asked.patient]}"
        labeled.append(asked)


def test_patient_stratified_is_uniform_where_it_is_free():
    pool = a_pool([3], [3], [4])
    patients, items = Counter(), Counter()
    for seed in range(1500):
        (id,) = PatientStratifiedRandom().query(a_round(pool, ["p1v0/0"], seed=seed), 1).ids
        patients[id[:2]] += 1
        items[id] += 1
    assert set(patients) == {"p0", "p2"}
    assert chisquare(list(patients.values())).pvalue > 0.01
    assert chisquare([items[f"p0v0/{z}"] for z in range(3)]).pvalue > 0.01
    assert chisquare([items[f"p2v0/{z}"] for z in range(4)]).pvalue > 0.01


def test_a_small_patient_runs_out():
    query = PatientStratifiedRandom().query(a_round(a_pool([1], [6])), 5)
    assert Counter(id[:2] for id in query.ids) == {"p0": 1, "p1": 4}


# -- evenly spaced -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 3])
@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("n", [1, 2, 5, 9, 10, 30])
def test_evenly_spaced_takes_the_centres_of_equal_parts(n, k, first):
    pool = a_pool([n], first=first)
    query = EvenlySpaced(k).query(a_round(pool), min(k, n))
    edges = np.linspace(first, first + n, k + 1)  # slice z fills z to z + 1
    free, expected = list(range(first, first + n)), []
    for start, end in list(zip(edges, edges[1:], strict=False))[: min(k, n)]:
        z = min(free, key=lambda z: (abs(round((start + end) / 2 - (z + 0.5), 9)), z))
        free.remove(z)
        expected.append(f"p0v0/{z}")
    assert list(query.ids) == expected


def test_evenly_spaced_worked_example():
    query = EvenlySpaced(3).query(a_round(a_pool([12])), 3)
    assert [(item.id, item.reason) for item in query.items] == [
        ("p0v0/1", "centre of part 1 of 3 of volume p0v0"),
        ("p0v0/5", "centre of part 2 of 3 of volume p0v0"),
        ("p0v0/9", "centre of part 3 of 3 of volume p0v0"),
    ]
    assert EvenlySpaced().query(a_round(a_pool([10])), 1).items[0].reason == "centre of volume p0v0"


def test_a_volume_that_is_visited_again_has_more_parts_and_the_emptiest_gives_a_slice():
    pool = a_pool([9])
    for labeled, expected in (((), 4), ((4,), 2), ((4, 3), 1), ((2, 3, 4, 5), 0), (range(8), 8)):
        assert EvenlySpaced().query(a_round(pool, list(labeled)), 1).ids == (f"p0v0/{expected}",)


def test_the_nearest_unlabeled_slice_stands_for_a_labeled_one():
    for labeled, expected in (((), 1), ((1,), 4), ((1, 4), 7)):
        assert EvenlySpaced(3).query(a_round(a_pool([9]), list(labeled)), 1).ids == (f"p0v0/{expected}",)
    assert EvenlySpaced(2).query(a_round(a_pool([4]), [1, 2]), 1).ids == ("p0v0/0",)
    assert EvenlySpaced(2).query(a_round(a_pool([8]), [5]), 2).ids == ("p0v0/1", "p0v0/2")


@pytest.mark.parametrize(("k", "budget"), [(1, 1), (1, 3), (4, 2), (4, 3), (3, 5)])
def test_slices_stay_spread_over_rounds_that_end_within_a_volume(k, budget):
    pool, labeled = a_pool([20], [20]), []
    while len(labeled) < 16:
        query = EvenlySpaced(k).query(a_round(pool, labeled), min(budget, 16 - len(labeled)))
        labeled += [pool.index(id) for id in query.ids]
        for start in (0, 20):
            places = sorted(i - start for i in labeled if start <= i < start + 20)
            if len(places) % k == 0 and places:
                gaps = np.diff([-1, *places, 20])
                assert max(gaps) <= 2 * 20 / len(places) + 1


def test_evenly_spaced_visits_all_volumes_before_one_again():
    pool = a_pool([9, 9], [9], [2])
    for seed in range(20):
        ids = EvenlySpaced(2).query(a_round(pool, seed=seed), 14).ids
        volumes = [id.split("/")[0] for id in ids]
        visits = [volumes[i] for i in range(0, 8, 2)]
        assert volumes[:8] == [volume for volume in visits for _ in range(2)]
        assert len(set(visits)) == 4
        assert "p2v0" not in volumes[8:]  # both slices are taken
        assert [volumes[i] for i in range(8, 14, 2)] == [volumes[i] for i in range(9, 14, 2)]
        assert len(set(volumes[8:])) == 3


def test_volumes_with_fewest_labeled_items_come_first_and_equal_ones_in_any_order():
    pool = a_pool([9, 9], [9], [9])
    firsts = Counter()
    for seed in range(600):
        ids = EvenlySpaced().query(a_round(pool, ["p0v0/0", "p2v0/0", "p2v0/1"], seed=seed), 4).ids
        order = [id.split("/")[0] for id in ids]
        assert set(order[:2]) == {"p0v1", "p1v0"}
        assert order[2:] == ["p0v0", "p2v0"]
        firsts[order[0]] += 1
    assert chisquare(list(firsts.values())).pvalue > 0.01


@settings(deadline=None, max_examples=60)
@given(problem=rounds(), k=st.integers(1, 4))
def test_evenly_spaced_fills_any_budget(problem, k):
    round, budget = problem
    counts = Counter(round.pool[int(i)].volume for i in round.labeled)
    visits = Counter(id.split("/")[0] for id in EvenlySpaced(k).query(round, budget).ids)
    left = {volume: sum(item.volume == volume for item in round.pool) - counts[volume] for volume in round.pool.volumes}
    visited_fully = [-(-visits[v] // k) for v in left if visits[v] < left[v]]
    assert max(visited_fully, default=0) - min(visited_fully, default=0) <= 1
    assert all(visits[v] <= left[v] for v in left)


# -- central stratified ------------------------------------------------------------------------------------------------


def test_central_stratified_worked_example():
    """Four patients with a volume of 100 slices: the centres of four parts of the slices 15 to 84."""
    query = CentralStratified().query(a_round(a_pool([100], [100], [100], [100])), 4)
    assert [int(id.split("/")[1]) for id in query.ids] == [23, 41, 58, 76]  # 23.75 is in slice 23, 41.25 in 41, ...
    assert sorted(id[:2] for id in query.ids) == ["p0", "p1", "p2", "p3"]
    assert query.items[1].reason == f"patient {query.ids[1][:2]}, at 41 % of volume {query.ids[1][:4]}"


@settings(deadline=None, max_examples=80)
@given(problem=rounds(), middle=st.sampled_from([0.1, 0.5, 0.7, 1.0]))
def test_central_stratified_goes_round_the_patients(problem, middle):
    round, budget = problem
    query = CentralStratified(middle).query(round, budget)
    pool, free = round.pool, set(round.unlabeled.tolist())
    counts = Counter(pool[int(i)].patient for i in round.labeled)
    asked = [pool.index(id) for id in query.ids]
    while asked:
        patients = {pool[i].patient for i in free}
        turn, asked = asked[: min(len(patients), len(asked))], asked[min(len(patients), len(asked)) :]
        got = [pool[i].patient for i in turn]
        assert len(set(got)) == len(got)
        assert [counts[p] for p in got] == sorted(counts[p] for p in patients)[: len(got)]
        for j, i in enumerate(turn):
            volume = [k for k in free if pool[k].volume == pool[i].volume]
            length = sum(item.volume == pool[i].volume for item in pool)
            place = length * ((1 - middle) / 2 + middle * (j + 0.5) / len(turn))
            distances = [abs(pool[k].slice + 0.5 - place) for k in volume]
            assert abs(pool[i].slice + 0.5 - place) == pytest.approx(min(distances))
            free.remove(i)
            counts[pool[i].patient] += 1


def test_central_stratified_takes_any_volume_and_any_order_of_equal_patients():
    pool = a_pool([9, 9, 9], [9])
    firsts, volumes = Counter(), Counter()
    for seed in range(1200):
        ids = CentralStratified().query(a_round(pool, seed=seed), 2).ids
        firsts[ids[0][:2]] += 1
        volumes[next(id for id in ids if id.startswith("p0")).split("/")[0]] += 1
    assert chisquare(list(firsts.values())).pvalue > 0.01
    assert len(volumes) == 3
    assert chisquare(list(volumes.values())).pvalue > 0.01


# -- foreground-aware random -------------------------------------------------------------------------------------------


def rows(n: int, liver=(), spleen=()) -> np.ndarray:
    present = np.zeros((n, 3), dtype=bool)
    present[:, 0] = True
    present[list(liver), 1] = True
    present[list(spleen), 2] = True
    return present


@pytest.mark.parametrize("share", [0, 1 / 3, 2 / 3, 1])
def test_foreground_aware_draws_with_the_defined_probabilities(share):
    """Of 12 items, one is labeled, 4 hold the liver, 2 the spleen, one of them both."""
    pool = a_pool([12])
    liver, spleen, labeled = [0, 1, 2, 3, 11], [3, 4, 11], [11]
    expected = np.zeros(12)
    for i in range(11):
        expected[i] = (1 - share) / 11 + share * ((i in liver) / 4 + (i in spleen) / 2) / 2
    counts = Counter()
    for seed in range(3000):
        round = a_round(pool, labeled, seed=seed, present=rows(12, liver, spleen))
        (item,) = ForegroundAwareRandom(share).query(round, 1).items
        counts[pool.index(item.id)] += 1
    assert counts[11] == 0
    possible = np.flatnonzero(expected)
    assert set(counts) <= set(possible.tolist())
    assert chisquare([counts[i] for i in possible], 3000 * expected[possible]).pvalue > 0.01


def test_foreground_aware_draws_on_where_a_class_is_used_up():
    """The second of two draws, against the definition: the classes that are left, and the items that are left."""
    pool, present = a_pool([5]), rows(5, liver=[0], spleen=[0, 1, 2])
    pairs = Counter()
    for seed in range(3000):
        pairs[ForegroundAwareRandom(1).query(a_round(pool, seed=seed, present=present), 2).ids] += 1
    expected = Counter()
    for first, chance in ((0, 1 / 2 + 1 / 6), (1, 1 / 6), (2, 1 / 6)):
        liver, spleen = {0} - {first}, {0, 1, 2} - {first}
        classes = [one for one in (liver, spleen) if one]
        for one in classes:
            for second in one:
                expected[f"p0v0/{first}", f"p0v0/{second}"] += chance / len(classes) / len(one)
    assert set(pairs) == set(expected)
    assert chisquare([pairs[key] for key in expected], [3000 * expected[key] for key in expected]).pvalue > 0.01


def test_foreground_aware_takes_all_when_there_is_no_foreground():
    round = a_round(a_pool([6]), present=rows(6))
    query = ForegroundAwareRandom(1).query(round, 6)
    assert len(set(query.ids)) == 6
    assert {item.reason for item in query.items} == {"drawn among all items"}


def test_foreground_aware_says_what_it_saw():
    round = a_round(a_pool([6]), present=rows(6, liver=[2], spleen=[3]))
    reasons = {item.id: item.reason for item in ForegroundAwareRandom(1).query(round, 3).items}
    assert reasons["p0v0/2"] == "drawn among the items with liver (ground truth)"
    assert reasons["p0v0/3"] == "drawn among the items with spleen (ground truth)"
    assert sorted(reasons.values())[0] == "drawn among all items"


def test_foreground_aware_is_told_by_its_name():
    names = {share: ForegroundAwareRandom(share).name for share in (2 / 3, 0.66, 1 / 3, 0.33, 0.29, 0.5, 1)}
    percents = {share: int(re.fullmatch(r"foreground-aware random (\d+) % \(uses the truth\)", name)[1])
                for share, name in names.items()}  # fmt: skip
    assert percents == {2 / 3: 66, 0.66: 66, 1 / 3: 33, 0.33: 33, 0.29: 29, 0.5: 50, 1: 100}
    assert ForegroundAwareRandom().share == 2 / 3


# -- all of them -------------------------------------------------------------------------------------------------------


def test_whole_images_and_volumes():
    pool = Pool([Item(f"i{i}", "", f"i{i}", f"p{i // 4}") for i in range(8)])
    reasons = {
        strategy.name: strategy.query(a_round(pool), 3).items[0].reason
        for strategy in (EvenlySpaced(3), CentralStratified(), PatientStratifiedRandom())
    }
    assert re.fullmatch(r"i\d as a whole", reasons["evenly spaced (3 per volume)"])
    assert re.fullmatch(r"patient p\d, a whole i\d", reasons["central stratified"])
    for strategy in (EvenlySpaced(3), CentralStratified()):
        firsts = {strategy.query(a_round(pool, seed=seed), 1).ids for seed in range(100)}
        assert len(firsts) == 8


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EvenlySpaced(0), "slices_per_volume must be a whole number of at least 1, got 0"),
        (lambda: EvenlySpaced(1.5), "slices_per_volume"),
        (lambda: EvenlySpaced(True), "slices_per_volume"),
        (lambda: CentralStratified(0), r"middle must lie in \(0, 1\], got 0"),
        (lambda: CentralStratified(1.1), "middle"),
        (lambda: CentralStratified("0.7"), "middle"),
        (lambda: ForegroundAwareRandom(-0.1), r"share must lie in \[0, 1\], got -0.1"),
        (lambda: ForegroundAwareRandom(66), "share"),
        (lambda: ForegroundAwareRandom(float("nan")), "share"),
    ],
)
def test_arguments_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()
