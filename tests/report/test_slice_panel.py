# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from monai_al.report.pictures import class_color
from monai_al.report.slice_panel import ComparedSlice, choose_slices, slice_dice, write_slice_panel

CLASSES = ["background", "right ventricle", "myocardium"]


@pytest.fixture
def figures(monkeypatch):
    """The figures that are written."""
    written, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: (written.append(figure), save(figure, *a, **k))[1])
    return written


def a_slice(title="case_1/0003", shape=(12, 16), runs=("random", "entropy"), seed=0):
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 3, shape).astype(np.uint8)
    image = generator.normal(size=(1, *shape))
    return ComparedSlice(title, image, truth, {name: np.roll(truth, i, axis=0) for i, name in enumerate(runs)})


class TestChoice:
    @pytest.mark.parametrize(
        ("areas", "n", "expected"),
        [
            ({"a": [0, 2, 5, 1]}, 2, [("a", 1), ("a", 2)]),
            ({"a": [0, 2, 5, 1]}, 1, [("a", 2)]),
            ({"a": [5, 2, 0]}, 2, [("a", 0)]),  # the largest is the first one, too
            ({"a": [1, 5, 2], "b": [3, 7, 7, 1, 0]}, 4, [("a", 0), ("a", 1), ("b", 1), ("b", 3)]),  # ends in turn
            ({"a": [1, 5, 2], "b": [3, 7, 1]}, 3, [("a", 0), ("a", 1), ("b", 1)]),
            ({c: [1, 2] for c in "abcdef"}, 4, [("b", 0), ("b", 1), ("e", 1)]),
            ({c: [9] for c in "abcdef"}, 3, [("b", 0), ("d", 0), ("f", 0)]),  # images: one from each
            ({"a": [0, 0], "b": []}, 4, []),
            ({}, 4, []),
        ],
    )
    def test_by_hand(self, areas, n, expected):
        assert choose_slices(areas, n) == expected

    @given(st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=9), st.integers(1, 12))
    def test_slices_are_different_and_hold_foreground(self, areas, n):
        areas = {f"v{i}": own for i, own in enumerate(areas)}
        chosen = choose_slices(areas, n)
        assert len(chosen) == len(set(chosen)) <= n
        assert all(areas[volume][z] > 0 for volume, z in chosen)
        assert bool(chosen) == any(map(any, areas.values()))
        assert [volume for volume, _ in chosen] == sorted((v for v, _ in chosen), key=lambda v: int(v[1:]))
        for volume in {volume for volume, _ in chosen}:
            assert max(areas[volume]) == max(areas[volume][z] for v, z in chosen if v == volume)

    def test_no_slices_asked_for(self):
        with pytest.raises(ValueError, match="at least 1, got 0"):
            choose_slices({"a": [1]}, 0)


def slow_dice(prediction, truth, n_classes):
    scores = []
    for number in range(1, n_classes):
        own, true = (prediction == number) & (truth != 255), truth == number
        if own.any() or true.any():
            scores.append(2 * (own & true).sum() / (own.sum() + true.sum()))
    return np.mean(scores) if scores else None


class TestDice:
    @pytest.mark.parametrize("seed", range(5))
    def test_against_loops(self, seed):
        generator = np.random.default_rng(seed)
        prediction, truth = generator.integers(0, 4, (2, 6, 5)).astype(np.uint8)
        truth[generator.random((6, 5)) < 0.2] = 255
        assert slice_dice(prediction, truth, 6) == pytest.approx(slow_dice(prediction, truth, 6))

    def test_overlapping_masks(self):
        truth = np.array([[[1, 1, 0]], [[0, 1, 0]], [[0, 0, 0]]], dtype=np.uint8)
        prediction = np.array([[[1, 0, 0]], [[0, 1, 0]], [[0, 0, 0]]], dtype=np.uint8)
        assert slice_dice(prediction, truth, 4) == pytest.approx((2 / 3 + 1) / 2)

    def test_empty(self):
        assert slice_dice(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8), 2) is None
        assert slice_dice(np.ones((2, 2), np.uint8), np.zeros((2, 2), np.uint8), 2) == 0


class TestFigure:
    def test_rows_and_columns(self, tmp_path, figures):
        slices = [a_slice(), a_slice("case_2/0001", seed=1), a_slice("case_3/0000", shape=(20, 10), seed=2)]
        write_slice_panel(slices, tmp_path / "new" / "a.png", classes=CLASSES, title="Mine", caption="A rule. " * 30)
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]
        (figure,) = figures
        assert len(figure.axes) == 12
        assert [axes.get_title() for axes in figure.axes[:5]] == ["image", "truth", "random", "entropy", ""]
        below = [axes.texts[0].get_text() for axes in figure.axes[:4]]
        assert below[:3] == ["", "", "Dice 1.000"]
        assert below[3] == f"Dice {slow_dice(slices[0].predictions['entropy'], slices[0].truth, 3):.3f}"
        assert [figure.axes[i].texts[-1].get_text() for i in (0, 4, 8)] == [one.title for one in slices]
        assert [len(axes.images) for axes in figure.axes] == [1, 2, 2, 2] * 3
        np.testing.assert_allclose(figure.axes[3].images[1].get_array(), _overlay(slices[0].predictions["entropy"]))
        (legend,) = figure.legends
        assert [text.get_text() for text in legend.get_texts()] == CLASSES[1:]
        assert legend.get_title().get_text() == "Mine"
        assert figure.get_supxlabel().replace("\n", " ") == ("A rule. " * 30).strip()

    def test_agreement(self, tmp_path, figures):
        write_slice_panel([a_slice()], tmp_path / "a.png", classes=CLASSES, view="agreement")
        names = [text.get_text() for text in figures[0].legends[0].get_texts()]
        assert names == [*CLASSES[1:], "agreement", "error"]
        right = figures[0].axes[2].images[1].get_array()
        assert len(np.unique(right.reshape(-1, 4), axis=0)) == 2  # background and agreement: nothing is wrong

    def test_what_is_not_annotated_and_what_is_empty(self, tmp_path, figures):
        empty, unknown = np.zeros((8, 8), np.uint8), np.full((8, 8), 255, np.uint8)
        one = ComparedSlice("a", np.zeros((1, 8, 8)), unknown, {"random": empty})
        write_slice_panel([one], tmp_path / "a.png", classes=CLASSES)
        assert figures[0].axes[2].texts[0].get_text() == "Dice –"
        assert [text.get_text() for text in figures[0].legends[0].get_texts()] == ["not annotated"]
        write_slice_panel([ComparedSlice("a", np.zeros((1, 8, 8)), empty, {})], tmp_path / "a.png", classes=CLASSES)
        assert len(figures[1].axes) == 2

    def test_colour_and_overlapping_masks(self, tmp_path, figures):
        masks = np.zeros((2, 8, 8), np.uint8)
        masks[0, :4], masks[1, 2:6] = 1, 1
        one = ComparedSlice("a", np.random.default_rng(0).random((3, 8, 8)), masks, {"random": masks})
        write_slice_panel([one], tmp_path / "a.png", classes=CLASSES)
        assert figures[0].axes[2].texts[0].get_text() == "Dice 1.000"

    def test_what_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="no slices to draw"):
            write_slice_panel([], tmp_path / "a.png", classes=CLASSES)
        with pytest.raises(ValueError, match="predictions of the same runs"):
            write_slice_panel([a_slice(), a_slice(runs=["random"])], tmp_path / "a.png", classes=CLASSES)
        with pytest.raises(ValueError, match="view must be one of classes, agreement, got 'x'"):
            write_slice_panel([a_slice()], tmp_path / "a.png", classes=CLASSES, view="x")
        with pytest.raises(ValueError, match=r"a: random predicts the shape \(4, 4\), the truth has \(8, 8\)"):
            ComparedSlice("a", np.zeros((1, 8, 8)), np.zeros((8, 8), int), {"random": np.zeros((4, 4), int)})
        assert list(tmp_path.iterdir()) == []


def _overlay(labels):
    """RGBA of a label map, pixel by pixel."""
    found = np.zeros((*labels.shape, 4))
    for index, number in np.ndenumerate(labels):
        if number:
            color = class_color(int(number))
            found[index] = [*(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)), 0.6]
    return found
