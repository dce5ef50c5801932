# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from monai_al.report import curve, write_learning_curve

ROWS = [
    {"round": 0, "labeled": 10, "fraction": 0.05, "dice_3d": 0.31, "dice_3d_lv": 0.5, "dice_3d_rv": None},
    {"round": 1, "labeled": 20, "fraction": 0.1, "dice_3d": None, "dice_3d_lv": None, "dice_3d_rv": None},
    {"round": 2, "labeled": 40, "fraction": 0.2, "dice_3d": 0.62, "dice_3d_lv": 0.7, "dice_3d_rv": 0.54},
    {"round": 3, "labeled": 60, "fraction": 0.3, "dice_3d": 0.71, "dice_3d_lv": 0.8, "dice_3d_rv": 0.62},
]


@pytest.fixture
def drawn(monkeypatch):
    """The axes of every figure that is written."""
    seen: list[Axes] = []
    savefig = Figure.savefig

    def spy(figure, *args, **kwargs):
        seen.append(figure.axes[0])
        return savefig(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", spy)
    return seen


def test_draws_mean_and_classes_with_gaps(tmp_path, drawn):
    path = tmp_path / "report" / "curve.png"
    write_learning_curve(ROWS, path, title="entropy")
    image = imread(path)
    assert image.shape[0] >= 400
    assert image.std() > 0.01
    (axes,) = drawn
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert list(lines) == ["mean 3D Dice", "lv", "rv"]
    assert list(lines["lv"].get_xdata()) == [10, 20, 40, 60]
    np.testing.assert_array_equal(lines["mean 3D Dice"].get_ydata(), [0.31, math.nan, 0.62, 0.71])
    np.testing.assert_array_equal(lines["rv"].get_ydata(), [math.nan, math.nan, 0.54, 0.62])
    assert lines["lv"].get_linewidth() < lines["mean 3D Dice"].get_linewidth()
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("entropy", "labeled items", "3D Dice")
    assert axes.get_legend() is not None


def test_text_of_a_csv_file_gives_the_same(tmp_path):
    as_text = [{k: "–" if v is None else str(v) for k, v in row.items()} for row in ROWS]
    write_learning_curve(ROWS, tmp_path / "a.png")
    write_learning_curve(as_text, tmp_path / "b.png")
    np.testing.assert_array_equal(imread(tmp_path / "a.png"), imread(tmp_path / "b.png"))


def test_a_baseline_is_named_by_its_strategy(tmp_path, monkeypatch):
    """Whatever it is: one that was asked for need not be random."""
    drawn = []
    monkeypatch.setattr(
        curve, "_draw_run", lambda axes, name, rows, **look: drawn.append((name, look.get("line", "-")))
    )
    rows = [{"labeled": 10, "dice_3d": 0.5}]
    curve.write_learning_curve({"entropy": rows}, tmp_path / "curve.png", baseline=("margin", rows))
    assert drawn == [("margin, for comparison", "--"), ("entropy", "-")]


@pytest.mark.parametrize(
    ("n_items", "fraction", "label"),
    [(None, 0.25, "(%) of 40"), (80, 0.25, "(%) of 80"), (None, None, None), (None, "–", None)],
)
def test_percent_axis(tmp_path, drawn, n_items, fraction, label):
    write_learning_curve([{"labeled": 10, "fraction": fraction, "dice_3d": 0.5}], tmp_path / "c.png", n_items=n_items)
    (axes,) = drawn
    percent = [child for child in axes.child_axes if child.get_xlabel()]
    assert len(percent) == (label is not None)
    if label is not None:
        size = int(label.split()[-1])
        assert str(size) in percent[0].get_xlabel()
        low, high = axes.get_xlim()
        assert percent[0].get_xlim() == pytest.approx((100 * low / size, 100 * high / size))


def test_several_runs(tmp_path, drawn):
    other = [row | {"fraction": row["labeled"] / 100} for row in ROWS]
    write_learning_curve({"random": ROWS, "entropy": ROWS}, tmp_path / "a.png")
    write_learning_curve({"random": ROWS, "entropy": other}, tmp_path / "b.png")
    same, different = drawn
    assert [line.get_label() for line in same.get_lines()] == ["random", "entropy"]
    assert len({line.get_color() for line in same.get_lines()}) == 2
    assert len(same.child_axes) == 1
    assert different.child_axes == []  # one percent axis cannot serve two pools


def test_nothing_defined_says_so(tmp_path, drawn):
    write_learning_curve([{"labeled": 10, "dice_3d": None}], tmp_path / "a.png")
    assert [text.get_text() for text in drawn[0].texts] == ["no round has a defined 3D Dice"]


def test_bad_rows_are_refused(tmp_path):
    path = tmp_path / "a.png"
    for rows, message in [
        ([], "no rounds to draw"),
        ({}, "no rounds to draw for any run"),
        ({"random": ROWS, "entropy": []}, "no rounds to draw for 'entropy'"),
        ([{"labeled": 3}], "row 0 of the curve has no 'dice_3d'"),
        ([ROWS[0], {"labeled": "x", "dice_3d": 1}], "'labeled' of row 1 is no number: 'x'"),
    ]:
        with pytest.raises(ValueError, match=message):
            write_learning_curve(rows, path)
    assert not path.exists()


def test_no_global_state(tmp_path):
    code = (
        "import sys; from monai_al.report import write_learning_curve as w; "
        f"w([dict(labeled=1, dice_3d=0.5)], {str(tmp_path / 'a.png')!r}); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
