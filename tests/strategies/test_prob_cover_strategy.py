# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib

import numpy as np
import pytest

from monai_al.data import Item, Pool, Round, rng
from monai_al.selection import k_means
from monai_al.strategies import ProbCover

module = importlib.import_module("monai_al.strategies.prob_cover")


def a_round(rows, labeled=(), number=1, seed=0, name="encoder", first_budget=None) -> Round:
    pool = Pool([Item(f"i{i:02d}", "", "v", "p") for i in range(len(rows))])
    where = {"embeddings": {name: rows}, "first_budget": first_budget}
    return Round(number, pool, np.asarray(labeled, dtype=np.int64), seed, **where)


def picks(query) -> list[int]:
    return [int(item.id[1:]) for item in query.items]


def directions(*sizes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Bundles of vectors of any length, bundle j about axis j; and which bundle each belongs to."""
    draw = np.random.default_rng(seed)
    kind = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.eye(len(sizes))[kind] + 0.1 * draw.normal(size=(len(kind), len(sizes)))
    return rows * draw.uniform(0.1, 10, size=(len(kind), 1)), kind


@pytest.fixture
def radii(monkeypatch):
    """The radii that the choice was made with, in order."""
    seen, chooses = [], module.prob_cover

    def watched(embeddings, budget, delta, labeled):
        seen.append(delta)
        return chooses(embeddings, budget, delta, labeled)

    monkeypatch.setattr(module, "prob_cover", watched)
    return seen


def slow(rows, budget, k, seed=0, purity=0.95) -> tuple[list[int], list[int], float]:
    """Picks, how many items each holds first, and the radius."""
    unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    _, clusters = k_means(unit, k, rng(seed, 0, "prob cover"))
    distances = np.array([np.sqrt(((unit.astype(np.float64) - row) ** 2).sum(1)) for row in unit.astype(np.float64)])
    candidates = sorted({*distances[clusters[:, None] != clusters].tolist()})
    share = [np.mean([len({*clusters[row < radius]}) == 1 for row in distances]) for radius in candidates]
    delta = max(radius for radius, pure in zip(candidates, share, strict=True) if pure >= purity - 1e-9)
    held, chosen, gains = np.zeros(len(rows), dtype=bool), [], []
    for _ in range(budget):
        free = [i for i in range(len(rows)) if i not in chosen]
        new = {i: int(((distances[i] < delta) & ~held).sum()) for i in free}
        chosen.append(max(free, key=lambda i: (new[i], -i)))
        gains.append(new[chosen[-1]])
        held |= distances[chosen[-1]] < delta
    return chosen, gains, delta


@pytest.mark.parametrize("k", [2, 4, 6])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_slow_way(k, seed, radii):
    rows, _ = directions(12, 20, 9, 15, seed=k)
    query = ProbCover(k=k).query(a_round(rows, number=0, seed=seed), 4)
    chosen, gains, delta = slow(rows, 4, k, seed)
    assert picks(query) == chosen
    assert [item.score for item in query.items] == gains
    assert radii == [pytest.approx(delta, abs=1e-12)]
    assert query.items[0].reason == f"first to hold {gains[0]} items"


def test_the_initial_set_has_an_item_of_each_bundle_the_largest_first():
    rows, kind = directions(10, 25, 7, 15)
    assert kind[picks(ProbCover().query(a_round(rows, number=0, first_budget=4), 4))].tolist() == [1, 3, 0, 2]


def test_the_radius_stays_the_same_in_all_rounds(radii):
    """It does not depend on the round, on what is labeled or on the later budgets, and nothing is kept between."""
    rows, _ = directions(20, 20, 20, seed=3)
    labeled: list[int] = []
    for number, budget in enumerate([5, 3, 9, 2]):
        labeled += picks(ProbCover().query(a_round(rows, labeled, number, first_budget=5), budget))
    assert len(set(radii)) == 1
    at_once = picks(ProbCover().query(a_round(rows, number=0, first_budget=5), 19))
    assert labeled == at_once
    ProbCover().query(a_round(rows, number=0, first_budget=12), 5)
    assert radii[-1] < radii[0]


@pytest.mark.parametrize(
    ("k", "first_budget", "labeled", "expected"),
    [(None, None, [], 7), (None, None, [1, 2, 3, 4], 4), (None, 6, [1, 2], 6), (3, 6, [1], 3), (None, 1, [], 2)],
)
def test_how_many_clusters(k, first_budget, labeled, expected, monkeypatch):
    def clusters(embeddings, n_clusters, purity, rng):
        assert n_clusters == expected
        return 0.5

    monkeypatch.setattr(module, "radius_of_clusters", clusters)
    ProbCover(k=k).query(a_round(directions(9, 9)[0], labeled, first_budget=first_budget), 7)


def test_a_purer_ball_is_smaller(radii):
    rows, _ = directions(20, 20, 20)
    for purity in (0.5, 0.9, 1.0):
        ProbCover(k=5, purity=purity).query(a_round(rows), 2)
    assert radii == sorted(radii, reverse=True)
    assert radii[0] > radii[2]


def test_what_it_needs_and_what_it_refuses():
    assert ProbCover().name == "prob cover"
    assert ProbCover().needs() == ProbCover().initial_needs() == {"encoder": "encoder"}
    assert ProbCover("pixels:64").initial_needs() == {"pixels:64": "pixels:64"}
    assert ProbCover("bottleneck").initial_needs() is None
    assert ProbCover("bottleneck").name == "prob cover (bottleneck)"
    for wrong in (1, 0, 2.5, True, "3"):
        with pytest.raises(ValueError, match="k must be a number of clusters, at least 2"):
            ProbCover(k=wrong)
    with pytest.raises(ValueError, match="purity must be"):
        ProbCover(purity=95)
