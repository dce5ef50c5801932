# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.metrics import EMPTY_POLICIES, dice, hd95, score_overlapping, score_volume, summarize

SPACING = (1.0, 0.5, 3.0)
CLASSES = ("background", "lv", "rv")


def random_volume(seed, shape=(6, 5, 4), n_classes=3, hidden=0.0):
    """Label maps in which classes are missing in some slices or altogether."""
    generator = np.random.default_rng(seed)
    maps = generator.integers(0, n_classes, (2, *shape)).astype(np.uint8)
    for labels in maps:
        for z in range(shape[-1]):
            labels[..., z][np.isin(labels[..., z], np.flatnonzero(generator.random(n_classes) < 0.5))] = 0
        labels[np.isin(labels, np.flatnonzero(generator.random(n_classes) < 0.3))] = 0
    prediction, truth = maps
    truth[generator.random(shape) < hidden] = 255
    if hidden:
        truth[..., 0] = 255
    return prediction, truth


def mean(values):
    defined = [v for v in values if v is not None and not np.isnan(v)]
    return sum(defined) / len(defined) if defined else float("nan")


@pytest.mark.parametrize("slice_axis", [0, 1, 2, -1])
@pytest.mark.parametrize("hidden", [0.0, 0.3])
@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=15)
def test_scores_equal_loops_over_slices(slice_axis, hidden, seed):
    prediction, truth = random_volume(seed, hidden=hidden)
    scores = score_volume(prediction, truth, SPACING, 3, slice_axis=slice_axis)
    np.testing.assert_array_equal(scores.dice_3d, dice(prediction, truth, 3))
    np.testing.assert_array_equal(scores.hd95_3d, hd95(prediction, truth, SPACING, 3))
    pairs = [(prediction.take(z, slice_axis), truth.take(z, slice_axis)) for z in range(truth.shape[slice_axis])]
    pairs = [(np.where(t == 255, 0, p), t) for p, t in pairs if (t != 255).any()]
    valid = np.where(truth == 255, 0, prediction)
    for i, c in enumerate((1, 2)):
        with_class = [(p, t) for p, t in pairs if (t == c).any()]
        without = [(p, t) for p, t in pairs if not (t == c).any()]
        np.testing.assert_allclose(scores.dice_2d[i], mean([dice(p, t, 3)[i] for p, t in with_class]))
        assert scores.slices_with_foreground[i] == len(with_class)
        assert scores.slices_without_foreground[i] == len(without)
        assert scores.false_positive_slices[i] == sum((p == c).any() for p, _ in without)
        names = {(True, True): "defined", (True, False): "prediction_empty", (False, True): "truth_empty"}
        assert scores.empty[i] == names.get(((truth == c).any(), (valid == c).any()), "both_empty")
    empty = [p for p, t in pairs if not np.isin(t, (1, 2)).any()]
    assert scores.annotated_slices == len(pairs)
    assert scores.empty_slices == len(empty)
    assert scores.false_positive_empty_slices == sum(p.any() for p in empty)


def test_3d_dice_is_no_mean_of_slices():
    truth = np.zeros((10, 10, 2), dtype=np.uint8)
    truth[:, :, 0], truth[0, 0, 1] = 1, 1
    prediction = truth.copy()
    prediction[0, 0, 1] = 0
    scores = score_volume(prediction, truth, (1, 1, 1), 2)
    assert scores.dice_3d == (pytest.approx(200 / 201),)
    assert scores.dice_2d == (0.5,)


@pytest.mark.parametrize("slice_axis", [-1, None])
def test_an_image_is_one_slice(slice_axis):
    prediction, truth = random_volume(3, shape=(6, 5))
    image = score_volume(prediction, truth, (1, 2), 3, slice_axis=slice_axis)
    thick = score_volume(prediction[..., None], truth[..., None], (1, 2, 9), 3)
    assert image.annotated_slices == 1
    for i in range(2):
        if image.empty[i] == "defined":
            assert image.dice_2d[i] == image.dice_3d[i] == thick.dice_2d[i]
            assert image.hd95_3d[i] == thick.hd95_3d[i]
    assert "defined" in image.empty


def entries(seeds, volumes_per_patient=2, hidden=0.0):
    return [
        (f"v{i}", f"p{i // volumes_per_patient}", score_volume(*random_volume(seed, hidden=hidden), SPACING, 3))
        for i, seed in enumerate(seeds)
    ]


def summary_by_loops(maps, policy):
    """Means of nested lists, straight from the definitions: patient -> volumes -> (prediction, truth)."""
    values = {"dice_3d": lambda p, t: dice(p, t, 3, policy), "hd95_3d": lambda p, t: hd95(p, t, SPACING, 3, policy)}
    means = {}
    for key, score in values.items():
        table = [[score(p, t) for p, t in volumes] for volumes in maps]
        means[key] = mean([mean([mean(classes) for classes in volumes]) for volumes in table])
        means[f"{key}/per_class"] = [mean([mean([v[c] for v in volumes]) for volumes in table]) for c in range(2)]
    return means


def nan_of(value):
    return float("nan") if value is None else value


@pytest.mark.parametrize("policy", EMPTY_POLICIES)
@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=15)
def test_summary_averages_classes_then_volumes_then_patients(policy, seed):
    seeds = [seed, seed + 1, seed + 2]  # a patient with two volumes and a patient with one
    summary = summarize(entries(seeds), CLASSES, policy)
    maps = [random_volume(s) for s in seeds]
    expected = summary_by_loops([maps[:2], maps[2:]], policy)
    for key in ("dice_3d", "hd95_3d"):
        np.testing.assert_allclose(nan_of(summary[key]["mean"]), expected[key])
        per_class = [nan_of(value) for value in summary[key]["per_class"].values()]
        np.testing.assert_allclose(per_class, expected[f"{key}/per_class"])
    assert summary["counts"]["patients"] == 2
    assert summary["counts"]["volumes"] == 3
    assert summary["empty_policy"] == policy


def test_patients_count_alike_however_many_volumes_they_have():
    full, empty = np.ones((3, 3, 2), dtype=np.uint8), np.zeros((3, 3, 2), dtype=np.uint8)
    good, bad = score_volume(full, full, SPACING, 2), score_volume(empty, full, SPACING, 2)
    summary = summarize([("a1", "a", good), ("a2", "a", good), ("a3", "a", good), ("b1", "b", bad)], ["bg", "fg"])
    assert summary["dice_3d"]["mean"] == 0.5
    assert summary["dice_2d"]["mean"] == 0.5
    assert summary["hd95_3d"]["penalties"] == 1
    assert summary["hd95_3d"]["mean_defined"] == 0.0
    assert summary["hd95_3d"]["mean"] == pytest.approx(np.linalg.norm([3, 1.5, 6]) / 2)


@pytest.mark.parametrize("hidden", [0.0, 0.4])
@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=15)
def test_counts_add_up_and_everything_is_json(hidden, seed):
    scored = entries(range(seed, seed + 3), hidden=hidden)
    summary = summarize(scored, CLASSES)
    json.dumps(summary, allow_nan=False)
    counts = summary["counts"]
    rows = ("defined", "prediction_empty", "truth_empty", "both_empty")
    assert sum(counts[row] for row in rows) == 3 * 2
    assert summary["hd95_3d"]["penalties"] == counts["prediction_empty"] + counts["truth_empty"]
    for i, name in enumerate(CLASSES[1:]):
        own = counts["per_class"][name]
        assert sum(own[row] for row in rows) == 3
        assert own["slices_with_foreground"] == sum(s.slices_with_foreground[i] for _, _, s in scored)
        without = own["slices_without_foreground"]
        assert own["slices_with_foreground"] + without == sum(s.annotated_slices for _, _, s in scored)
        assert own["false_positive_rate"] == (own["false_positive_slices"] / without if without else None)
    for row in rows:
        assert counts[row] == sum(own[row] for own in counts["per_class"].values())
    for volume, _, score in scored:
        assert [nan_of(x) for x in summary["dice_3d"]["per_volume"][volume].values()] == pytest.approx(
            score.dice_3d, nan_ok=True
        )


def test_undefined_is_null_never_zero():
    empty = np.zeros((3, 3, 2), dtype=np.uint8)
    for scored in ([("a", "a", score_volume(empty, empty, SPACING, 2))], []):
        summary = summarize(scored, ["bg", "fg"])
        for key in ("dice_3d", "dice_2d", "hd95_3d"):
            assert summary[key]["mean"] is None
            assert summary[key]["per_class"] == {"fg": None}
        assert summary["hd95_3d"]["mean_defined"] is None
        assert summary["hd95_3d"]["penalties"] == 0
    counted = summarize([("a", "a", score_volume(empty, empty, SPACING, 2))], ["bg", "fg"], "count_empty")
    assert counted["dice_3d"]["mean"] == 1.0
    assert counted["hd95_3d"]["mean"] is None


def test_bad_input_is_refused():
    score = score_volume(np.ones((2, 2, 2), dtype=int), np.ones((2, 2, 2), dtype=int), SPACING, 2)
    with pytest.raises(ValueError, match="volume 'a' is scored twice"):
        summarize([("a", "p", score), ("a", "q", score)], ["bg", "fg"])
    with pytest.raises(ValueError, match="1 foreground classes, but 2 are named"):
        summarize([("a", "p", score)], CLASSES)
    with pytest.raises(ValueError, match="empty_policy 'x'"):
        summarize([("a", "p", score)], ["bg", "fg"], "x")


@pytest.mark.parametrize(
    ("row", "monai_default", "monai_counting", "monai_hd95", "ours", "ours_hd95"),
    [
        ("both_empty", np.nan, 1.0, np.nan, None, None),
        ("truth_empty", np.nan, 0.0, np.nan, 0.0, "penalty"),
        ("prediction_empty", 0.0, 0.0, np.nan, 0.0, "penalty"),
    ],
)
def test_where_monai_differs_for_empty_masks(row, monai_default, monai_counting, monai_hd95, ours, ours_hd95):
    from monai.metrics import DiceMetric, HausdorffDistanceMetric

    maps = np.zeros((2, 4, 4, 3), dtype=np.uint8)
    prediction, truth = maps
    prediction[1:3, 1:3, 1] = row == "truth_empty"
    truth[1:3, 1:3, 1] = row == "prediction_empty"
    y_pred, y = (torch.as_tensor(labels)[None, None].float() for labels in (prediction, truth))
    metrics = [
        DiceMetric(),
        DiceMetric(ignore_empty=False),
        HausdorffDistanceMetric(include_background=True, percentile=95),
    ]
    expected = [monai_default, monai_counting, monai_hd95]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for metric, value in zip(metrics, expected, strict=True):
            np.testing.assert_array_equal(metric(y_pred, y).numpy(), [[value]])
            aggregated = metric.aggregate().item()
            assert aggregated == (0.0 if np.isnan(value) else value)  # all undefined reads as 0, the best distance
    summary = summarize([("a", "a", score_volume(prediction, truth, (3, 4, 1), 2))], ["bg", "fg"])
    assert summary["counts"][row] == 1
    assert summary["dice_3d"]["mean"] == ours
    penalty = pytest.approx(np.linalg.norm([12, 16, 3]))
    assert summary["hd95_3d"]["mean"] == (penalty if ours_hd95 == "penalty" else None)
    assert summary["hd95_3d"]["mean_defined"] is None


# -- classes that overlap ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 5, 4), (6, 5)])
@given(seed=st.integers(0, 10_000), n=st.integers(1, 4))
@settings(deadline=None, max_examples=15)
def test_overlapping_classes_are_scored_one_by_one(shape, seed, n):
    generator = np.random.default_rng(seed)
    prediction, truth = generator.random((2, n, *shape)) < generator.random((2, n, *[1] * len(shape)))
    truth[..., 0] = False  # a slice, or a column, with nothing in it
    axis = -1 if len(shape) == 3 else None
    spacing = SPACING[: len(shape)]
    found = score_overlapping(prediction, truth, spacing, slice_axis=axis)
    for c in range(n):
        p, t = prediction[c].astype(np.uint8), truth[c].astype(np.uint8)
        np.testing.assert_array_equal(found.dice_3d[c], dice(p, t, 2)[0])
        np.testing.assert_array_equal(found.hd95_3d[c], hd95(p, t, spacing, 2)[0])
        slices = [(p.take(z, -1), t.take(z, -1)) for z in range(shape[-1])] if axis else [(p, t)]
        with_class = [(one, other) for one, other in slices if other.any()]
        without = [(one, other) for one, other in slices if not other.any()]
        np.testing.assert_allclose(found.dice_2d[c], mean([dice(one, other, 2)[0] for one, other in with_class]))
        assert found.slices_with_foreground[c] == len(with_class)
        assert found.slices_without_foreground[c] == len(without)
        assert found.false_positive_slices[c] == sum(one.any() for one, _ in without)
    anywhere = [(prediction[..., z].any(), truth[..., z].any()) for z in range(shape[-1])] if axis else None
    if anywhere:
        assert found.annotated_slices == shape[-1]
        assert found.empty_slices == sum(not t for _, t in anywhere)
        assert found.false_positive_empty_slices == sum(p and not t for p, t in anywhere)


def test_numbers_of_masks_that_differ_are_refused():
    with pytest.raises(ValueError):
        score_overlapping(np.zeros((2, 4, 4, 2)), np.zeros((3, 4, 4, 2)), SPACING)
