# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes

from monai_al.comparison import Comparison, comparison_table, comparison_text, write_comparison_figure
from monai_al.comparison.figure import curve_styles


def comparison_of(*names, **more):
    return Comparison("Mine", "al.yaml", runs={name: {} for name in names}, **more)


@pytest.fixture
def drawn(monkeypatch):
    """What is drawn: name -> (labeled, mean, style), and the bands."""
    lines, bands = {}, []
    plot, fill = Axes.plot, Axes.fill_between

    def plotting(axes, x, y, **style):
        lines[style["label"]] = (list(x), list(y), style)
        return plot(axes, x, y, **style)

    def filling(axes, x, low, high, **style):
        bands.append((list(low), list(high), style))
        return fill(axes, x, low, high, **style)

    monkeypatch.setattr(Axes, "plot", plotting)
    monkeypatch.setattr(Axes, "fill_between", filling)
    return lines, bands


def test_means_and_bands(tmp_path, write_all, drawn):
    values = {("random", 0): [0.5, 0.6], ("random", 1): [0.4, 0.8], ("entropy", 0): [0.5, None], ("all", 0): [0.7]}
    write_all(tmp_path, values)
    comparison = comparison_of("random", "entropy", "all", seeds=(0, 1), everything="all")
    write_comparison_figure(comparison, comparison_table(comparison, tmp_path), tmp_path / "new" / "mine.png")
    assert (tmp_path / "new" / "mine.png").read_bytes()[1:4] == b"PNG"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mine.png"]
    lines, bands = drawn
    assert list(lines) == ["random", "entropy"]
    assert lines["random"][0] == [20, 40]
    np.testing.assert_allclose(lines["random"][1], [0.45, 0.7])
    np.testing.assert_allclose(lines["entropy"][1], [0.5, np.nan])
    ((low, high, _),) = bands  # one seed has no spread
    np.testing.assert_allclose(low, [0.45 - np.std([0.5, 0.4], ddof=1), 0.7 - np.std([0.6, 0.8], ddof=1)])
    np.testing.assert_allclose(np.add(low, high) / 2, [0.45, 0.7])


def test_the_first_metric_is_drawn(tmp_path, write_all, drawn):
    write_all(tmp_path, {("random", 0): [{"dice_3d": 0.5, "hd95_3d": 9.0}, {"dice_3d": 0.6, "hd95_3d": 7.0}]})
    comparison = comparison_of("random", metrics=("hd95_3d", "dice_3d"), seeds=(0,))
    write_comparison_figure(comparison, comparison_table(comparison, tmp_path), tmp_path / "mine.png")
    assert drawn[0]["random"][1] == [9, 7]


def test_undefined_scores_can_be_drawn(tmp_path, write_all):
    write_all(tmp_path, {("random", seed): [None, None] for seed in (0, 1)} | {("all", 0): [None]})
    comparison = comparison_of("random", "all", seeds=(0, 1), everything="all")
    write_comparison_figure(comparison, comparison_table(comparison, tmp_path), tmp_path / "mine.png")
    assert (tmp_path / "mine.png").exists()


def test_nothing_to_draw(tmp_path):
    comparison = comparison_of("random")
    with pytest.raises(ValueError, match="no run is done yet"):
        write_comparison_figure(comparison, comparison_table(comparison, tmp_path), tmp_path / "mine.png")
    assert list(tmp_path.iterdir()) == []


def looks(names, **against):
    return {n: (s.color, s.line) for n, s in curve_styles(comparison_of(*names, against=against), names).items()}


def test_pairs_share_a_color_and_the_one_tested_against_is_dashed():
    names = ["random", "entropy", "dropout", "entropy_batches", "dropout_batches"]
    assert looks(names, entropy_batches="entropy", dropout_batches="dropout") == {
        "random": ("C0", "-"), "entropy": ("C1", "--"), "dropout": ("C2", "--"),
        "entropy_batches": ("C1", "-"), "dropout_batches": ("C2", "-"),
    }  # fmt: skip
    assert looks(names[3:], entropy_batches="entropy") == {
        "entropy_batches": ("C0", "-"),
        "dropout_batches": ("C1", "-"),
    }


def test_runs_tested_against_one_run_keep_colors_of_their_own():
    assert looks(["a", "b", "c"], b="a", c="a") == {"a": ("C0", "-"), "b": ("C1", "-"), "c": ("C2", "-")}
    assert looks(["a", "b", "c"], b="a", c="b") == {"a": ("C0", "--"), "b": ("C0", "-"), "c": ("C1", "-")}


def test_many_runs_are_told_apart():
    names = [f"run {i}" for i in range(30)]
    styles = curve_styles(comparison_of(*names), names)
    assert len({(style.color, style.marker, style.line) for style in styles.values()}) == 30


def test_curves_over_what_the_labels_cost(tmp_path, write_run, drawn):
    write_run(tmp_path / "scribbles" / "seed_0", [0.5, 0.6], price=1 / 15)
    write_run(tmp_path / "masks" / "seed_0", [0.6, 0.7])
    comparison = comparison_of("scribbles", "masks", seeds=(0,), axis="cost", summary="aubc")
    table = comparison_table(comparison, tmp_path)
    write_comparison_figure(comparison, table, tmp_path / "mine.png")
    lines, _ = drawn
    assert lines["scribbles"][0] == pytest.approx([20 / 15, 40 / 15])
    assert lines["masks"][0] == [20, 40]
    text = comparison_text(comparison, table)
    assert "Area under the curve over the cost in full items" in text
    assert "5.0 % (1.333 to 20)" in text
