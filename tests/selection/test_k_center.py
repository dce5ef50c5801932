# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.selection import check_embeddings, k_center, k_center_greedy
from monai_al.selection import embeddings as embeddings_module
from monai_al.selection.embeddings import CenteredRows, is_in_memory
from monai_al.selection.flat_index import flat_index, has_faiss

TIE = 1e-12
KINDS = [
    "normal", "equal", "duplicates", "lattice", "offset", "offset lattice", "far cluster", "far item", "tiny", "huge",
    "many scales", "near duplicates", "rounded",
]  # fmt: skip


def plain_greedy(embeddings, budget, labeled=()) -> list[int]:
    """The definition in float64; squared distances within 1e-12 of the largest are equal, and the first one wins."""
    x = np.asarray(embeddings).astype(np.float64)
    centers, chosen = list(labeled), []
    if not centers and budget > 0:
        from_first = x - x[0]
        to_mean = ((from_first - from_first.mean(0)) ** 2).sum(-1)
        chosen = [int(np.flatnonzero(to_mean <= to_mean.min() * (1 + TIE))[0])]
    nearest, free = np.full(len(x), np.inf), np.ones(len(x), dtype=bool)
    for i in [*centers, *chosen]:
        nearest, free[i] = np.minimum(nearest, ((x - x[i]) ** 2).sum(-1)), False
    while len(chosen) < budget:
        i = int(np.flatnonzero(free & (nearest >= nearest[free].max() * (1 - TIE)))[0])
        nearest, free[i] = np.minimum(nearest, ((x - x[i]) ** 2).sum(-1)), False
        chosen.append(i)
    return chosen


def plain_in_groups(embeddings, budget, labeled, groups) -> list[int]:
    """The definition where only items of the groups with the fewest may be the farthest."""
    x, free = np.asarray(embeddings).astype(np.float64), np.ones(len(embeddings), dtype=bool)
    free[list(labeled)] = False
    chosen = [] if len(labeled) or budget == 0 else plain_greedy(embeddings, 1)
    free[chosen] = False
    while len(chosen) < budget:
        counts = {group: int((~free[groups == group]).sum()) for group in set(groups[free].tolist())}
        behind = free & np.array([counts.get(group) == min(counts.values()) for group in groups.tolist()])
        nearest = ((x[:, None] - x[np.flatnonzero(~free)]) ** 2).sum(-1).min(1)
        chosen.append(int(np.flatnonzero(behind & (nearest >= nearest[behind].max() * (1 - TIE)))[0]))
        free[chosen[-1]] = False
    return chosen


def make(kind, rng, n, dim) -> np.ndarray:
    x = rng.normal(size=(n, dim))
    if kind == "equal":
        return np.full((n, dim), 3.3)
    if kind == "duplicates":
        return x[rng.integers(n, size=n)]
    if kind == "lattice":
        return rng.integers(0, 4, size=(n, dim)).astype(float)
    if kind == "offset":
        return 1e6 + 1e-3 * x
    if kind == "offset lattice":
        return 1e6 + rng.integers(0, 3, size=(n, dim))
    if kind == "far cluster":
        return x + 1e6 * (np.arange(n) < n // 3)[:, None]
    if kind == "far item":
        return x + 1e9 * (np.arange(n) == n // 2)[:, None]
    if kind == "many scales":
        return x * 10.0 ** rng.integers(-18, 18, size=(n, 1))
    if kind == "near duplicates":
        return x[rng.integers(max(1, n // 5), size=n)] * (1 + 1e-9 * rng.normal(size=(n, 1)))
    return {"tiny": x * 1e-20, "huge": x * 1e20, "rounded": np.round(x, 1), "normal": x}[kind]


def problem(kind, seed) -> tuple[np.ndarray, int, np.ndarray]:
    """Embeddings, a budget that fits, and labeled items, none in every third problem."""
    rng = np.random.default_rng(seed)
    n, dim = int(rng.integers(1, 40)), int(rng.choice([1, 2, 3, 8, 40]))
    half = (
        [] if kind in ("offset", "offset lattice", "far cluster", "far item", "tiny", "huge", "many scales") else [16]
    )
    dtype = f"f{rng.choice([64, 32, *half]) // 8}"
    labeled = rng.permutation(n)[: 0 if seed % 3 == 0 else int(rng.integers(0, n))]
    return make(kind, rng, n, dim).astype(dtype), int(rng.integers(0, n - len(labeled) + 1)), labeled


@pytest.fixture
def narrow(monkeypatch):
    """So few items are looked at together that small problems take every path."""
    monkeypatch.setattr(embeddings_module, "_MEAN_OF", 10)
    monkeypatch.setattr(k_center, "_FRONT", (2, 10**9))
    monkeypatch.setattr(k_center, "_SETTLED", (2, 10**9))
    monkeypatch.setattr(k_center, "_FIRST_SETTLED", 1)
    monkeypatch.setattr(k_center, "_NUMBERS", 64)


@contextlib.contextmanager
def passes_by(kind):
    """All passes over the pool by faiss, or none."""
    with pytest.MonkeyPatch.context() as patch:
        if kind == "faiss":
            patch.setattr(k_center, "_LONG", 0)
        else:
            patch.setattr(k_center, "has_faiss", lambda: False)
        yield


PASSES = [
    pytest.param("faiss", marks=pytest.mark.skipif(not has_faiss(), reason="faiss is not installed")),
    "products",
]


@pytest.fixture(params=PASSES)
def both_passes(request):
    with passes_by(request.param):
        yield


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_definition(kind, both_passes):
    for seed in range(8):
        embeddings, budget, labeled = problem(kind, seed)
        assert k_center_greedy(embeddings, budget, labeled).tolist() == plain_greedy(embeddings, budget, labeled)


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_definition_on_every_path(kind, narrow, both_passes):
    for seed in range(8):
        embeddings, budget, labeled = problem(kind, seed)
        chosen = k_center_greedy(embeddings, budget, labeled, chunk=1 + seed % 7)
        assert chosen.tolist() == plain_greedy(embeddings, budget, labeled)


@pytest.mark.parametrize("kind", KINDS)
def test_groups_with_the_fewest_items_give_the_farthest(kind, narrow, both_passes):
    for seed in range(8):
        embeddings, budget, labeled = problem(kind, seed)
        groups = np.random.default_rng(seed).integers(1 + seed % 5, size=len(embeddings))
        chosen = k_center_greedy(embeddings, budget, labeled, chunk=1 + seed % 7, groups=groups)
        assert chosen.tolist() == plain_in_groups(embeddings, budget, labeled, groups)
        if seed % 5 == 0:  # a single group
            assert chosen.tolist() == plain_greedy(embeddings, budget, labeled)


def test_groups_on_a_larger_pool():
    rng = np.random.default_rng(3)
    x, groups = rng.normal(size=(2000, 6)).astype(np.float32), rng.integers(40, size=2000)
    labeled = rng.permutation(2000)[:30]
    chosen = k_center_greedy(x, 90, labeled, groups=groups)
    assert chosen.tolist() == plain_in_groups(x, 90, labeled, groups)
    counts = np.bincount(groups[np.concatenate([labeled, chosen])])
    assert counts.max() - counts.min() <= 1
    cold = k_center_greedy(x, 30, groups=groups)
    assert cold[0] == k_center_greedy(x, 1)[0]  # nearest to the mean: all groups are equal
    assert cold.tolist() == plain_in_groups(x, 30, (), groups)


@pytest.mark.parametrize("by", PASSES)
@settings(deadline=None, max_examples=70)
@given(data=st.data())
def test_equals_the_definition_on_what_hypothesis_finds(by, data):
    shape = data.draw(st.tuples(st.integers(1, 12), st.integers(1, 3)))
    number = st.sampled_from([0.0, -0.0, 0.1, 0.2, 0.3, 1.0, -1.0, 1e6, 1e6 + 0.25, 1e-8, 1e18, -1e18])
    x = np.array(data.draw(st.lists(number, min_size=math.prod(shape), max_size=math.prod(shape)))).reshape(shape)
    labeled = data.draw(st.lists(st.integers(0, len(x) - 1), unique=True, max_size=len(x)))
    budget = data.draw(st.integers(0, len(x) - len(labeled)))
    with passes_by(by):
        chosen = k_center_greedy(x, budget, labeled)
    assert chosen.dtype == np.int64
    assert len(set(chosen.tolist())) == budget
    assert not set(chosen.tolist()) & set(labeled)
    if labeled:
        assert chosen.tolist() == plain_greedy(x, budget, labeled)


@pytest.mark.parametrize("kind", ["normal", "far cluster", "duplicates", "blobs", "plane"])
def test_equals_the_definition_on_a_larger_pool(kind, both_passes):
    """Pools of which only a part is looked at."""
    rng = np.random.default_rng(0)
    n, dim = 3000, 12
    if kind == "blobs":
        x = 5 * rng.normal(size=(20, dim))[rng.integers(20, size=n)] + rng.normal(size=(n, dim))
    elif kind == "plane":
        x = rng.normal(size=(n, 2)) @ rng.normal(size=(2, dim))
    else:
        x = make(kind, rng, n, dim)
    x = x.astype(np.float32)
    for labeled in ((), rng.permutation(n)[:30]):
        assert k_center_greedy(x, 40, labeled).tolist() == plain_greedy(x, 40, labeled)


# -- worked examples ---------------------------------------------------------------------------------------------------


def test_the_points_on_a_line():
    points = [[0.0], [1.0], [5.0], [6.0], [10.0]]
    assert k_center_greedy(points, 3, [0]).tolist() == [4, 2, 1]
    assert k_center_greedy(points, 3).tolist() == [2, 0, 4]


def test_equal_items_are_taken_in_the_order_of_the_pool():
    assert k_center_greedy(np.ones((6, 3)), 4, [1]).tolist() == [0, 2, 3, 4]
    assert k_center_greedy(np.zeros((6, 3), np.float32), 6).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_chosen_duplicate_is_taken_last():
    x = np.array([[0.0], [0.0], [4.0], [4.0], [1.0]])
    assert k_center_greedy(x, 4, [0]).tolist() == [2, 4, 1, 3]


def test_distances_that_are_almost_equal_are_equal(both_passes):
    assert k_center_greedy([[0.0], [-1.0], [1.0 + 1e-14]], 1, [0]).tolist() == [1]
    assert k_center_greedy([[0.0], [-1.0], [1.0 + 1e-11]], 1, [0]).tolist() == [2]


def test_float32_alone_would_choose_wrongly(both_passes):
    """Two items whose distances differ by less than float32 tells, at some distance from the mean of the pool."""
    x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0 + 1e-9], [-300.0, -300.0]])
    assert np.float32(1.0 + 1e-9) == 1
    assert k_center_greedy(x, 1, [0, 3]).tolist() == [2]


# -- the start ---------------------------------------------------------------------------------------------------------


def test_a_random_start_is_drawn_only_where_it_is_asked_for():
    x = np.random.default_rng(0).normal(size=(50, 4))
    state = np.random.default_rng(7).bit_generator.state
    rng = np.random.default_rng(7)
    k_center_greedy(x, 5, rng=rng)
    assert rng.bit_generator.state == state
    starts = {int(k_center_greedy(x, 1, rng=np.random.default_rng(seed), start="random")[0]) for seed in range(100)}
    assert len(starts) > 30
    chosen = k_center_greedy(x, 6, rng=np.random.default_rng(3), start="random").tolist()
    assert chosen == k_center_greedy(x, 6, rng=np.random.default_rng(3), start="random").tolist()
    assert chosen[1:] == plain_greedy(x, 5, chosen[:1])
    assert k_center_greedy(x, 5, [2], start="random").tolist() == plain_greedy(x, 5, [2])


def test_the_order_of_the_pool_does_not_matter():
    rng = np.random.default_rng(1)
    x, order = rng.normal(size=(60, 5)), rng.permutation(60)
    assert sorted(order[k_center_greedy(x[order], 9)].tolist()) == sorted(k_center_greedy(x, 9).tolist())


# -- where the embeddings are ------------------------------------------------------------------------------------------


class Sliced:
    """A shape, a dtype and slices of rows, as an open file gives them."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.most = array, array.shape, array.dtype, 0

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        part = self.array[rows]
        self.most = max(self.most, len(part))
        return part


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_a_file_gives_the_same(tmp_path, dtype, narrow, both_passes):
    x = np.random.default_rng(0).normal(size=(90, 6)).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert check_embeddings(mapped) is mapped
    assert not is_in_memory(mapped)
    assert not is_in_memory(np.asarray(mapped)[3:])
    assert is_in_memory(x[3:])
    for labeled in ((), (4, 60)):
        expected = plain_greedy(x, 12, labeled)
        sliced = Sliced(x)
        assert k_center_greedy(mapped, 12, labeled, chunk=11).tolist() == expected
        assert k_center_greedy(sliced, 12, labeled, chunk=11).tolist() == expected
        assert sliced.most <= 11
        assert k_center_greedy(torch.from_numpy(x), 12, labeled).tolist() == expected
        assert k_center_greedy(np.asfortranarray(x), 12, labeled).tolist() == expected
    assert np.array_equal(x, np.load(tmp_path / "x.npy"))


def test_integers_are_embeddings_too():
    x = np.random.default_rng(0).integers(0, 9, size=(30, 2), dtype=np.uint8)
    assert k_center_greedy(x, 10, [3]).tolist() == plain_greedy(x, 10, [3])


def test_a_file_is_never_read_as_a_whole(tmp_path):
    n, dim = 60_000, 128  # 30 MB
    file = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.float32, shape=(n, dim))
    file[:] = np.random.default_rng(0).standard_normal((n, dim), dtype=np.float32)
    file.flush()
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for labeled in ((), np.arange(20)):
        tracemalloc.start()
        try:
            k_center_greedy(mapped, 5, labeled, chunk=1000)
            assert tracemalloc.get_traced_memory()[1] < 12 * 2**20
        finally:
            tracemalloc.stop()


# -- the bound ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [1, 7, 300])
def test_bounds_hold(kind, dim, both_passes):
    """No bound is below the distance in float64, nor far above it."""
    rng = np.random.default_rng(dim)
    rows = CenteredRows(make(kind, rng, 200, dim))
    cover = k_center._Cover(rows, np.arange(9), torch.device("cpu"))
    scaled = rows.scaled(slice(0, 200))
    exact = np.min([((scaled - scaled[c]) ** 2).sum(-1) for c in range(9)], axis=0)[9:]
    assert (cover.bound[9:] >= exact).all()
    norms = ((scaled - rows.center) ** 2).sum(-1)
    assert (cover.bound[9:] <= exact + 6 * (dim + 30) * 2**-24 * (norms[9:] + norms[:9].max()) + 1e-30).all()


@pytest.mark.skipif(not has_faiss(), reason="faiss is not installed")
def test_faiss_takes_a_long_first_pass_and_no_short_one(monkeypatch):
    indexed = []
    monkeypatch.setattr(k_center, "flat_index", lambda rows: indexed.append(len(rows)) or flat_index(rows))
    x = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    monkeypatch.setattr(k_center, "_LONG", 300 * 8 * 20)
    k_center_greedy(x, 5, np.arange(19))
    assert indexed == []
    expected = k_center_greedy(x, 5, np.arange(20))
    assert indexed == [20]
    monkeypatch.setattr(k_center, "has_faiss", lambda: False)
    assert k_center_greedy(x, 5, np.arange(20)).tolist() == expected.tolist() == plain_greedy(x, 5, range(20))
    assert indexed == [20]


@pytest.mark.parametrize("precision", ["medium", "high"])
def test_the_precision_that_others_ask_for_changes_nothing(precision, narrow):
    x = np.random.default_rng(0).normal(size=(400, 64)).astype(np.float32) + 30
    expected = plain_greedy(x, 20, range(10))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        with torch.autocast("cpu"):
            assert k_center_greedy(x, 20, np.arange(10)).tolist() == expected
            with k_center._full_precision(torch.device("cpu")):
                assert torch.get_float32_matmul_precision() == "highest"
                assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)


def test_precision_that_is_set_for_each_module_is_restored():
    program = (
        "import torch; from monai_al.selection import k_center_greedy\n"
        "module = torch.backends.mkldnn.matmul\n"
        "if hasattr(module, 'fp32_precision'):\n"
        "    module.fp32_precision = 'bf16'\n"
        "    assert k_center_greedy([[0.0], [1.0], [3.0]], 2).tolist() == [1, 2]\n"
        "    assert module.fp32_precision == 'bf16'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_a_gpu_gives_the_same():
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    x = np.random.default_rng(0).normal(size=(5000, 64)).astype(np.float32)
    for labeled in ((), np.arange(100)):
        expected = k_center_greedy(x, 50, labeled).tolist()
        assert k_center_greedy(x, 50, labeled, device="cuda").tolist() == expected


# -- the contract ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("embeddings", "budget", "labeled", "message"),
    [
        (np.empty((0, 3)), 0, (), r"shape \(0, 3\) are empty"),
        (np.empty((3, 0)), 0, (), r"shape \(3, 0\) are empty"),
        ([1.0, 2.0], 1, (), r"must have the shape \(N, D\), got \(2,\)"),
        ([["a"]], 1, (), "real numbers"),
        (np.ones((2, 2), complex), 1, (), "real numbers, got complex128"),
        ([[1.0, 2.0], [3.0, math.nan]], 1, (), r"embeddings\[1\] is not finite: column 1 holds nan"),
        ([[1.0], [2.0], [-math.inf]], 1, (), r"embeddings\[2\] is not finite: column 0 holds -inf"),
        (np.eye(2), 3, (), "budget 3 is more than the 2 unlabeled items"),
        (np.eye(2), 2, (0,), "budget 2 is more than the 1 unlabeled items"),
        (np.eye(2), -1, (), "negative, got -1"),
        (np.eye(2), 0.5, (), "whole number of items, got 0.5"),
        (np.eye(3), 1, (1, 1), "labeled index 1 occurs twice"),
        (np.eye(3), 1, (0, 3), "labeled index 3 is out of range"),
    ],
)
def test_errors(embeddings, budget, labeled, message):
    with pytest.raises(ValueError, match=message):
        k_center_greedy(embeddings, budget, labeled)


def test_option_errors():
    with pytest.raises(ValueError, match="start 'first' is none of mean, random"):
        k_center_greedy(np.eye(2), 1, start="first")
    wrong: list[Any] = [0, -1, 2.0, True]
    for chunk in wrong:
        with pytest.raises(ValueError, match="chunk must be a whole number"):
            k_center_greedy(np.eye(2), 1, chunk=chunk)
    with pytest.raises(ValueError, match=r"features\[70\] is not finite"):
        check_embeddings(np.where(np.arange(99) == 70, math.nan, 1.0)[:, None], "features", chunk=8)


def test_no_budget_is_no_item():
    chosen = k_center_greedy(np.eye(3), 0, [1])
    assert chosen.dtype == np.int64
    assert chosen.tolist() == []
    assert k_center_greedy(np.eye(2), 0, [0, 1]).tolist() == []
    assert k_center_greedy([[5.0]], 1).tolist() == [0]
