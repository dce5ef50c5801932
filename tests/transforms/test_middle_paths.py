# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from monai_al.transforms._middle_paths import longest_path
from monai_al.transforms._strokes import pixels_along, waves


def steps_between(line: np.ndarray) -> np.ndarray:
    """How many steps it is from each pixel of a line to each other (Floyd and Warshall)."""
    pixels = np.argwhere(line)
    apart = np.abs(pixels[:, None] - pixels).max(2)
    steps = np.where(apart <= 1, apart, np.inf)
    for via in range(len(pixels)):
        steps = np.minimum(steps, steps[:, via, None] + steps[via])
    return steps


def check_path(path: np.ndarray, line: np.ndarray) -> None:
    assert line[tuple(path.T)].all()
    assert len({tuple(pixel) for pixel in path.tolist()}) == len(path)
    assert (np.abs(np.diff(path, axis=0)).max(1, initial=0) <= 1).all()


@settings(max_examples=200, deadline=None)
@given(arrays.arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))), st.integers(0, 5))
def test_no_shortest_path_in_its_piece_is_longer(line, seed):
    line = np.pad(line | (~line.any() & (line == line)), 1)
    path = longest_path(line, np.random.default_rng(seed))
    check_path(path, line)
    steps = steps_between(line)
    piece = np.isfinite(steps[np.argwhere(line).tolist().index(path[0].tolist())])
    assert len(path) - 1 >= steps[np.ix_(piece, piece)].max()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(2, 9)), min_size=1, max_size=5), st.integers(0, 5))
def test_in_a_tree_it_is_the_longest_path_but_for_corners_that_are_cut(twigs, seed):
    line = np.zeros((24, 30), bool)
    line[12, 1:29] = True
    for place, length in twigs:  # four pixels apart, upward and downward
        column, way = 3 + 4 * place, 1 if place % 2 else -1
        line[12 : 12 + way * (length + 1) : way, column] = True
    path = longest_path(line, np.random.default_rng(seed))
    check_path(path, line)
    assert steps_between(line).max() <= len(path) - 1 <= steps_between(line).max() + 2 * len(twigs)


def test_a_ring_is_opened_somewhere():
    line = np.zeros((30, 40), bool)
    line[4, 5:35] = line[25, 5:35] = line[5:25, 4] = line[5:25, 35] = True
    paths = [longest_path(line, np.random.default_rng(seed)) for seed in range(20)]
    for path in paths:
        check_path(path, line)
        assert len(path) == line.sum()
    assert len({tuple(path[0]) for path in paths}) > 5


@settings(max_examples=200, deadline=None)
@given(arrays.arrays(float, st.tuples(st.integers(1, 9), st.just(2)), elements=st.floats(-50, 50)))
def test_pixels_along_have_no_gap_and_keep_to_the_lines(points):
    pixels = pixels_along(points)
    assert (np.abs(np.diff(pixels, axis=0)).max(1, initial=0) <= 1).all()
    np.testing.assert_array_equal(pixels[[0, -1]], np.floor(points[[0, -1]] + 0.5))
    starts, ways = points[:-1], np.diff(points, axis=0)
    for pixel in pixels if len(ways) else []:
        lengths = np.maximum((ways**2).sum(1), 1e-12)
        shares = np.clip(((pixel - starts) * ways).sum(1) / lengths, 0, 1)
        assert np.hypot(*(starts + shares[:, None] * ways - pixel).T).min() < 1.5


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**20))
def test_waves_are_smooth_and_bounded(seed):
    course = waves(np.linspace(0, 1, 500), np.random.default_rng(seed))
    assert np.abs(course).max() <= 1
    assert np.abs(course).max() > 0.05
    assert np.abs(np.diff(course)).max() <= 2 * np.pi * 4 / 499
