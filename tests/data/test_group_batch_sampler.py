# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from monai_al.data import GROUP_MEMBERS, GroupBatchSampler, slice_groups, slices_of
from monai_al.data._patient_draw import draw_patients, most_batches
from monai_al.records.item import Item

MEMBERS = [
    [m for m in GROUP_MEMBERS if bits >> GROUP_MEMBERS.index(m) & 1] for bits in range(1, 8)
]  # all subsets but the empty one, in order


def rows(*patients: list[list[int]]) -> list[tuple[int, int, int]]:
    """(patient, volume, slice) of every slice; volumes are counted anew in each patient."""
    return [(p, v, z) for p, volumes in enumerate(patients) for v, numbers in enumerate(volumes) for z in numbers]


def columns(pool: list[tuple[int, int, int]]) -> list[list[int]]:
    return [list(column) for column in zip(*pool, strict=True)]


def sampler(pool, **options) -> GroupBatchSampler:
    return GroupBatchSampler(*columns(pool), **options)


def epoch(sampler: GroupBatchSampler, number: int) -> list[list[int]]:
    sampler.set_epoch(number)
    return list(sampler)


pools = st.lists(
    st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=5, unique=True), min_size=1, max_size=3),
    min_size=1,
    max_size=8,
).flatmap(lambda patients: st.permutations(rows(*patients)))


# -- the groups --------------------------------------------------------------------------------------------------------


def allowed(pool, group: list[int], member: str) -> set[int]:
    """Every position that may follow in a group, by its definition, one slice of the pool at a time."""
    patient, volume, number = pool[group[0]]
    if member == "slice":
        others = {i: abs(z - number) for i, (p, v, z) in enumerate(pool) if (p, v) == (patient, volume)}
        others.pop(group[0])
        nearest = min(others.values(), default=None)
        return {i for i, gap in others.items() if gap == nearest} or {group[0]}
    same = {
        i for i, (p, v, _) in enumerate(pool) if p == patient and (v == volume or member == "patient")
    }  # with the anchor
    return same - set(group) or same - {group[0]} or {group[0]}


@given(pool=pools, members=st.sampled_from(MEMBERS), groups=st.integers(1, 4), seed=st.integers(0, 99))
@settings(deadline=None)
def test_every_batch_is_as_the_algorithm_says(pool, members, groups, seed):
    length = 1 + len(members)
    n_patients = len({p for p, _, _ in pool})
    if n_patients < groups:
        with pytest.raises(ValueError, match=f"{groups} groups of different patients, but there are {n_patients} "):
            sampler(pool, members=members, batch_size=groups * length)
        return
    one = sampler(pool, members=members, batch_size=groups * length, seed=seed)
    batches = list(one)
    anchors = [position for batch in batches for position in batch[::length]]
    assert len(batches) == len(one)
    assert len(set(anchors)) == len(anchors) == len(pool) - one.left_out
    for batch in batches:
        assert len(batch) == groups * length
        drawn = [batch[i : i + length] for i in range(0, len(batch), length)]
        assert len({pool[group[0]][0] for group in drawn}) == groups
        for group in drawn:
            for place, member in enumerate(members, start=1):
                assert group[place] in allowed(pool, group[:place], member)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([0], {0: {0}}),
        ([4, 5], {4: {5}, 5: {4}}),
        ([0, 1, 2], {0: {1}, 1: {0, 2}, 2: {1}}),
        (range(12), {0: {1}, **{z: {z - 1, z + 1} for z in range(1, 11)}, 11: {10}}),  # 1 is not next to 10
        ([0, 1, 5, 6, 9], {0: {1}, 1: {0}, 5: {6}, 6: {5}, 9: {6}}),  # of a volume that lacks slices
        ([0, 3, 6], {0: {3}, 3: {0, 6}, 6: {3}}),
    ],
)
def test_neighbors_are_those_by_number(numbers, expected):
    pool = rows([list(numbers)[::-1]], [[0]])
    one = sampler(pool, members=["slice"], batch_size=2)
    found: dict[int, set[int]] = {}
    for number in range(60):
        for anchor, neighbor in epoch(one, number):
            assert pool[anchor][:2] == pool[neighbor][:2]
            if pool[anchor][0] == 0:
                found.setdefault(pool[anchor][2], set()).add(pool[neighbor][2])
    assert found == expected


def test_members_are_drawn_uniformly():
    pool = rows([[0, 1, 2, 3], [7, 8]], [[0]])
    one = sampler(pool, members=["volume", "slice", "patient"], batch_size=4)
    assert one.members == GROUP_MEMBERS
    after = Counter(tuple(batch[1:]) for number in range(2000) for batch in epoch(one, number) if batch[0] == 1)
    # s is 0 or 2, v one of the other two besides s, p one of the last three: 2 * 2 * 3 ways
    assert len(after) == 12
    assert sum(after.values()) == 2000
    assert all(abs(n - 2000 / 12) < 5 * (2000 / 12) ** 0.5 for n in after.values())


def test_a_volume_belongs_to_its_patient():
    pool = [("a", 1, z) for z in range(5)] + [("b", 1, z) for z in range(5, 10)]  # one number, two volumes
    one = sampler(pool, members=GROUP_MEMBERS, batch_size=4)
    for number in range(20):
        for group in epoch(one, number):
            assert len({pool[i][0] for i in group}) == 1


def test_images_without_volumes_can_share_a_patient():
    patients = [0, 0, 0, 1, 1, 1]
    one = GroupBatchSampler(patients, patients, [-1] * 6, members=["patient"], batch_size=4)
    for batch in list(one):
        assert len(set(batch)) == 4
        assert [patients[i] for i in batch[::2]] == [patients[i] for i in batch[1::2]]


# -- how many batches --------------------------------------------------------------------------------------------------


def most_by_hand(counts: list[int], per_batch: int) -> int:
    """Fill every batch with the patients that have the most groups left."""
    left, batches = sorted(counts), 0
    while len(left) >= per_batch and left[-per_batch] > 0:
        left = sorted(left[:-per_batch] + [count - 1 for count in left[-per_batch:]])
        batches += 1
    return batches


counts_lists = st.lists(st.integers(1, 12), min_size=1, max_size=10)


@given(counts=counts_lists, per_batch=st.integers(1, 5))
def test_there_are_as_many_batches_as_there_can_be(counts, per_batch):
    assert most_batches(np.array(counts), per_batch) == most_by_hand(counts, per_batch)


@given(counts=counts_lists, per_batch=st.integers(1, 5), seed=st.integers(0, 99), fewer=st.integers(0, 2))
@settings(deadline=None)
def test_the_draw_always_fills_them(counts, per_batch, seed, fewer):
    n_batches = max(most_by_hand(counts, per_batch) - fewer, 0)
    drawn = draw_patients(np.array(counts), per_batch, n_batches, np.random.default_rng(seed))
    assert drawn.shape == (n_batches, per_batch)
    assert all(len(set(batch)) == per_batch for batch in drawn.tolist())
    assert (np.bincount(drawn.ravel(), minlength=len(counts)) <= counts).all()


@pytest.mark.parametrize(
    ("slices_of_patients", "groups", "length", "left_out"),
    [
        ([10, 10, 10], 3, 10, 0),
        ([10, 10, 10, 10], 3, 13, 1),
        ([100, 3, 3], 2, 6, 94),
        ([100, 100, 3], 2, 101, 1),
        ([5, 1, 1, 1, 1], 2, 4, 1),
        ([1] * 7, 3, 2, 1),
    ],
)
def test_length_and_what_is_left_out(slices_of_patients, groups, length, left_out):
    pool = rows(*([list(range(n))] for n in slices_of_patients))
    one = sampler(pool, members=["volume"], batch_size=2 * groups)
    assert (len(one), one.left_out) == (length, left_out)
    for number in range(30):
        assert len(epoch(one, number)) == length


# -- the chances of the patients ---------------------------------------------------------------------------------------


def chances(counts: tuple[int, ...], per_batch: int, batches: int) -> Counter:
    """Exact probability of every sequence of batches: Algorithm 1, without the patients that would cost a batch."""
    if batches == 0:
        return Counter({(): Fraction(1)})
    found: Counter = Counter()

    def still_possible(taken: frozenset[int]) -> bool:
        free = [p for p in range(len(counts)) if p not in taken and counts[p]]
        return any(
            most_by_hand([c - (p in taken or p in rest) for p, c in enumerate(counts)], per_batch) >= batches - 1
            for rest in combinations(free, per_batch - len(taken))
        )

    def fill(taken: frozenset[int], chance: Fraction) -> None:
        if len(taken) == per_batch:
            left = tuple(c - (p in taken) for p, c in enumerate(counts))
            for rest, inner in chances(left, per_batch, batches - 1).items():
                found[(taken, *rest)] += chance * inner
            return
        free = [p for p in range(len(counts)) if p not in taken and counts[p] and still_possible(taken | {p})]
        for p in free:
            fill(taken | {p}, chance / len(free))

    fill(frozenset(), Fraction(1))
    return found


@pytest.mark.parametrize(
    ("counts", "per_batch"), [((2, 2, 1, 1), 2), ((3, 1, 1, 1), 2), ((4, 2, 1), 2), ((2, 2, 2, 1), 3), ((2, 1, 1), 1)]
)
def test_patients_have_the_chances_of_the_algorithm(counts, per_batch):
    n_batches = most_by_hand(list(counts), per_batch)
    exact = chances(counts, per_batch, n_batches)
    assert sum(exact.values()) == 1
    draws, rng = 3000, np.random.default_rng(0)
    found = Counter(
        tuple(map(frozenset, draw_patients(np.array(counts), per_batch, n_batches, rng).tolist())) for _ in range(draws)
    )
    assert found.keys() <= exact.keys()
    for sequence, chance in exact.items():
        expected = float(chance) * draws
        assert abs(found[sequence] - expected) <= 5 * max(expected * (1 - float(chance)), 0) ** 0.5 + 1e-9


def test_anchors_of_a_patient_stand_in_any_order():
    pool = rows([[0, 1, 2]], [[0, 1, 2]])
    one = sampler(pool, members=["slice"], batch_size=4)
    orders = Counter(
        tuple(i for batch in epoch(one, number) for i in batch[::2] if pool[i][0] == 0) for number in range(1200)
    )
    assert len(orders) == 6
    assert all(abs(n - 200) < 70 for n in orders.values())


# -- no groups ---------------------------------------------------------------------------------------------------------


def test_a_bundle_s_batch_of_one_slice_is_refused():
    with pytest.raises(ValueError, match="a batch of one slice has no other .*: --pretrain_batch_size 2 or more"):
        GroupBatchSampler.of([Item("a", "a", "a", "a"), Item("b", "b", "b", "b")], members=(), batch_size=1)


@given(pool=pools, batch_size=st.integers(1, 9), seed=st.integers(0, 99))
@settings(deadline=None)
def test_without_groups_every_slice_comes_once_whatever_its_patient(pool, batch_size, seed):
    if len(pool) < batch_size:
        with pytest.raises(ValueError, match=f"a batch holds {batch_size} slices, but there are {len(pool)}: give"):
            sampler(pool, members=[], batch_size=batch_size)
        return
    one = sampler(pool, members=[], batch_size=batch_size, seed=seed)
    batches = list(one)
    positions = [position for batch in batches for position in batch]
    assert {len(batch) for batch in batches} == {batch_size}
    assert len(batches) == len(one) == len(pool) // batch_size
    assert len(set(positions)) == len(positions) == len(pool) - one.left_out


def test_without_groups_any_two_slices_meet_equally_often():
    """Also neighbors, which NT-Xent alone is to push apart."""
    pool = rows([[0, 1, 2]], [[0, 1], [0]])
    one = sampler(pool, members=[], batch_size=2)
    pairs = Counter(frozenset(batch) for number in range(2000) for batch in epoch(one, number))
    assert len(pairs) == 15
    assert all(abs(n - 400) < 5 * (400 * 0.8) ** 0.5 for n in pairs.values())  # of 15 pairs 3 are drawn each time


# -- epochs, seeds, processes ------------------------------------------------------------------------------------------

POOL = rows(*([list(range(9)), list(range(7))] for _ in range(6)))


@pytest.mark.parametrize("members", [["volume", "patient"], []])
def test_an_epoch_depends_on_seed_and_number_alone(members):
    one, other = (sampler(POOL, seed=3, members=members) for _ in range(2))
    first = epoch(one, 1)
    assert list(one) == first
    assert epoch(one, 2) != first
    assert epoch(other, 2) == epoch(one, 2)
    assert epoch(other, 1) == first
    assert epoch(sampler(POOL, seed=4, members=members), 1) != first


def test_iterating_twice_at_once():
    one = sampler(POOL)
    iterator = iter(one)
    one.set_epoch(5)
    assert [next(iterator), *iterator] == epoch(sampler(POOL), 0)


@pytest.mark.parametrize("members", [["volume", "patient"], []])
@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_processes_share_the_batches(processes, members):
    options = {"members": members, "batch_size": 9}
    whole = epoch(sampler(POOL, **options), 4)
    parts = [sampler(POOL, rank=rank, num_replicas=processes, **options) for rank in range(processes)]
    batches = [epoch(part, 4) for part in parts]
    assert {len(part) for part in parts} == {len(part) for part in batches} == {len(whole) // processes}
    shared = [batch for step in zip(*batches, strict=True) for batch in step]
    assert shared == whole[: len(shared)]
    assert {part.left_out for part in parts} == {len(POOL) - len(shared) * (3 if members else 9)}


def test_names_are_as_good_as_numbers():
    patients, volumes, slices = columns(POOL)
    named = GroupBatchSampler([f"p{p}" for p in patients], [f"{v}" for v in volumes], slices)
    arrays = GroupBatchSampler(np.array(patients), torch.tensor(volumes), np.array(slices, dtype=np.int32))
    assert list(named) == list(arrays) == list(sampler(POOL))


def test_items():
    items = [
        item
        for patient in "abc"
        for volume in "xy"
        for item in slices_of(4, image="", volume=patient + volume, patient=patient)
    ]
    one = GroupBatchSampler.of(items, members=["slice"], batch_size=6, seed=1)
    assert list(one) == list(
        GroupBatchSampler([i.patient for i in items], [i.volume for i in items], [i.slice for i in items],
                          members=["slice"], batch_size=6, seed=1)
    )  # fmt: skip
    images = [Item(str(i), "", str(i), str(i)) for i in range(20)]
    plain = GroupBatchSampler.of(images, members=[])
    assert (len(plain), plain.left_out) == (2, 4)
    assert all(len(set(batch)) == 8 for batch in plain)


@pytest.mark.parametrize(
    ("members", "batch_size"), [([], 8), (["slice"], 8), (["volume", "patient"], 9), (GROUP_MEMBERS, 8)]
)
def test_default_batch_sizes_are_those_of_the_paper(members, batch_size):
    pool = rows(*([[0, 1]] for _ in range(8)))
    one = sampler(pool, members=members)
    assert {len(batch) for batch in one} == {one.batch_size} == {batch_size}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_takes_it(workers):
    one = sampler(POOL)
    loader = DataLoader(range(100, 100 + len(POOL)), batch_sampler=one, num_workers=workers)
    assert len(loader) == len(one)
    assert [(batch - 100).tolist() for batch in loader] == list(one)


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"members": "volume"}, "members must be a list of 'slice', 'volume', 'patient', got 'volume'"),
        ({"members": ["volume", "scan"]}, "got 'scan'"),
        ({"batch_size": 8}, "multiple of 3, the length of a group .*, got 8"),
        ({"batch_size": 0}, "multiple of 3"),
        ({"batch_size": -3}, "multiple of 3"),
        ({"batch_size": 21}, "a batch of 21 slices holds 7 groups of different patients, but there are 6 patients"),
        ({"rank": 2, "num_replicas": 2}, "rank must be one of 0 to 1, got 2"),
        ({"rank": -1}, "rank must be"),
        ({"batch_size": 18, "num_replicas": 99}, "the slices fill 16 batches, too few for 99 processes"),
    ],
)
def test_wrong_arguments(options, match):
    with pytest.raises(ValueError, match=match):
        sampler(POOL, **options)


def test_wrong_data():
    with pytest.raises(ValueError, match="one length, got 2, 2, 1"):
        GroupBatchSampler([0, 1], [0, 1], [0])
    with pytest.raises(ValueError, match="3 groups of different patients, but there are 0 patients"):
        GroupBatchSampler([], [], [])


# -- slice groups ------------------------------------------------------------------------------------------------------


def slice_groups_by_hand(volumes, slices, length: int, adjacent: bool) -> list[int]:
    """The place in the batch whose slice group a place belongs to."""
    batch, owners = list(zip(volumes, slices, strict=True)), []
    for place, one in enumerate(batch):
        if one in batch[:place]:
            owners.append(owners[batch.index(one)])
        elif adjacent and place % length == 1:
            owners.append(owners[place - 1])
        else:
            owners.append(place)
    return owners


@given(
    batch=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), max_size=24),
    length=st.integers(1, 4),
    adjacent=st.booleans(),
)
def test_slice_groups_are_those_by_definition(batch, length, adjacent):
    batch = batch[: len(batch) // length * length]
    volumes, slices = [v for v, _ in batch], [z for _, z in batch]
    adjacent = adjacent and length > 1
    found = slice_groups(volumes, slices, length, adjacent)
    expected = slice_groups_by_hand(volumes, slices, length, adjacent)
    assert found.dtype == np.int64
    assert found.tolist() == [sorted(set(expected)).index(owner) for owner in expected]


@given(pool=pools, members=st.sampled_from([m for m in MEMBERS if "slice" in m]))
@settings(deadline=None)
def test_slice_groups_of_the_sampler_hold_the_anchor_and_its_neighbor(pool, members):
    length = 1 + len(members)
    for batch in sampler(pool, members=members, batch_size=length):
        volumes = [10 * pool[i][0] + pool[i][1] for i in batch]
        ids = slice_groups(volumes, [pool[i][2] for i in batch], length, adjacent=True)
        for i, one in pairwise(range(length)):
            assert (ids[i] == ids[0]) == (batch[i] in batch[:2])
            assert (ids[one] == ids[0]) == (batch[one] in batch[:2])


def test_wrong_slice_groups():
    with pytest.raises(ValueError, match="4 volumes and 4 slices are not whole groups of 3"):
        slice_groups([0] * 4, range(4), 3, adjacent=True)
    with pytest.raises(ValueError, match="3 volumes and 2 slices"):
        slice_groups([0] * 3, range(2), 3, adjacent=True)
    with pytest.raises(ValueError, match="no adjacent slice"):
        slice_groups([0], [0], 1, adjacent=True)
