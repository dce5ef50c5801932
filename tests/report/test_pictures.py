# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.image import imread

from monai_al.report.pictures import (
    AGREEMENT_COLOR,
    ERROR_COLOR,
    REGION_COLORS,
    _edges,
    agreement,
    agreement_panel,
    class_color,
    flat_labels,
    gray_or_color,
    image_panel,
    label_panel,
    map_panel,
    upright,
    write_panels,
)

GRIDS = st.tuples(st.integers(1, 6), st.integers(1, 6))
CLASS_MAPS = GRIDS.flatmap(lambda shape: arrays(np.uint8, (2, *shape), elements=st.sampled_from([0, 1, 2, 255])))
MASKS = GRIDS.flatmap(lambda shape: arrays(np.uint8, (2, 3, *shape), elements=st.sampled_from([0, 1, 255])))


def rgb(color):
    return [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]


class TestAgreement:
    @given(CLASS_MAPS)
    @settings(deadline=None, max_examples=40)
    def test_class_numbers_against_a_loop(self, maps):
        prediction, truth = np.where(maps[0] == 255, 0, maps[0]), maps[1]
        right, wrong = agreement(prediction, truth)
        for place in np.ndindex(truth.shape):
            p, t = prediction[place], truth[place]
            assert right[place] == (t != 255 and p == t and p > 0)
            assert wrong[place] == (t != 255 and p != t)

    @given(MASKS)
    @settings(deadline=None, max_examples=40)
    def test_overlapping_classes_against_a_loop(self, masks):
        prediction, truth = np.where(masks[0] == 255, 0, masks[0]), masks[1]
        right, wrong = agreement(prediction, truth)
        for i, j in np.ndindex(truth.shape[1:]):
            p, t = prediction[:, i, j].tolist(), truth[:, i, j].tolist()
            assert right[i, j] == (255 not in t and p == t and any(p))
            assert wrong[i, j] == (255 not in t and p != t)

    def test_shapes_must_fit(self):
        with pytest.raises(ValueError, match=r"the prediction has the shape \(2, 2\), the truth \(2, 3\)"):
            agreement(np.zeros((2, 2)), np.zeros((2, 3)))


class TestFlatLabels:
    @given(MASKS)
    @settings(deadline=None, max_examples=40)
    def test_the_smallest_class_lies_on_top(self, masks):
        masks = masks[0]
        sizes = [(masks[c] == 1).sum() for c in range(len(masks))]
        flat = flat_labels(masks)
        for i, j in np.ndindex(flat.shape):
            here = [c for c in range(len(masks)) if masks[c, i, j] == 1]
            if 255 in masks[:, i, j]:
                assert flat[i, j] == 255
            elif not here:
                assert flat[i, j] == 0
            else:
                assert sizes[flat[i, j] - 1] == min(sizes[c] for c in here)
                assert flat[i, j] - 1 in here

    def test_class_numbers_stay(self):
        labels = np.array([[0, 3], [255, 1]], dtype=np.uint8)
        assert flat_labels(labels) is labels


class TestGrayOrColor:
    @pytest.mark.parametrize(("channels", "shape"), [(1, (5, 7)), (2, (5, 7)), (3, (5, 7, 3)), (4, (5, 7))])
    def test_three_channels_are_colour(self, channels, shape):
        image = np.random.default_rng(0).normal(100, 30, (channels, 5, 7))
        shown = gray_or_color(image)
        assert shown.shape == shape
        assert shown.min() == 0
        assert shown.max() == 1
        if channels != 3:
            assert np.array_equal(shown.ravel().argsort()[1:-1], image[0].ravel().argsort()[1:-1])

    @pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
    def test_nothing_to_see_is_black(self, value):
        assert (gray_or_color(np.full((1, 3, 3), value)) == 0).all()

    def test_a_lonely_bright_pixel_is_seen(self):
        image = np.zeros((1, 32, 32))
        image[0, 3, 4] = 5
        assert gray_or_color(image)[3, 4] == 1

    def test_what_is_not_finite_is_black(self):
        assert gray_or_color(np.array([[[1.0, np.nan, 2.0, np.inf]]])).tolist() == [[0, 0, 1, 0]]


ORIENTATIONS = [
    (order, signs) for order in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
]


class TestUpright:
    @pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
    def test_front_or_head_up_and_right_on_the_left(self, order, signs):
        """RAS coordinates fall from left to right and from top to bottom, and the lower axis lies across."""
        affine = np.eye(4)
        affine[:3, :3] = 0
        for column, (row, sign) in enumerate(zip(order, signs, strict=True)):
            affine[row, column] = 0.7 * sign
        affine[:3, :3] += 0.05  # a little oblique
        i, j = np.meshgrid(range(4), range(5), indexing="ij")
        world = np.stack([affine[axis, 0] * i + affine[axis, 1] * j for axis in range(3)])
        turned = upright(world, affine)
        across, down = sorted(order[:2])
        assert (np.diff(turned[across], axis=1) < 0).all()
        assert (np.diff(turned[down], axis=0) < 0).all()

    def test_without_an_affine_it_stays(self):
        array = np.arange(6).reshape(2, 3)
        assert upright(array, None) is array


class TestPanels:
    def test_labels_take_their_colour_and_unknown_is_hatched(self):
        labels = np.zeros((9, 9), dtype=np.uint8)
        labels[2, 3], labels[4, 4], labels[6:] = 1, 2, 255
        overlay = label_panel("truth", np.zeros((1, 9, 9)), labels).overlay
        assert overlay[2, 3, :3].tolist() == rgb(class_color(1))
        assert overlay[4, 4, :3].tolist() == rgb(class_color(2))
        assert (overlay[:6, :, 3] > 0).sum() == 2
        assert (overlay[6:, :, 3] > 0).all()
        assert len(np.unique(overlay[6:].reshape(-1, 4), axis=0)) == 2

    def test_agreement_is_blue_and_errors_are_red(self):
        prediction, truth = np.array([[0, 1, 0, 1, 2, 1]]), np.array([[0, 1, 1, 0, 1, 255]])
        overlay = agreement_panel("agreement", np.zeros((1, 1, 6)), prediction, truth).overlay
        assert overlay[0, 0, 3] == 0
        assert overlay[0, 1, :3].tolist() == rgb(AGREEMENT_COLOR)
        assert [overlay[0, i, :3].tolist() for i in (2, 3, 4)] == [rgb(ERROR_COLOR)] * 3
        assert overlay[0, 5, :3].tolist() not in (rgb(AGREEMENT_COLOR), rgb(ERROR_COLOR))

    def test_colour_images_turn_gray_below_labels(self):
        image = np.random.default_rng(0).random((3, 4, 4))
        assert image_panel("image", image).image.shape == (4, 4, 3)
        assert label_panel("truth", image, np.zeros((4, 4), dtype=np.uint8)).image.shape == (4, 4)

    @pytest.mark.parametrize("limit", [0.0, 0.5, 2.0])
    def test_map_is_scaled_by_its_limit(self, limit):
        values = np.array([[0.0, 0.25, 1.0, np.nan]])
        shown = map_panel("uncertainty", values, limit, {"target": values > 0.5})
        expected = [min(v / limit, 1) if limit else 0 for v in (0.0, 0.25, 1.0, 0.0)]
        assert shown.image[0].tolist() == expected
        assert list(shown.outlines) == ["target"]

    def test_class_colours_differ_and_never_end(self):
        colors = [class_color(number) for number in range(1, 9)]
        assert len(set(colors)) == 8
        assert class_color(9) == colors[0]
        assert not {AGREEMENT_COLOR, ERROR_COLOR} & set(colors)


@given(GRIDS.flatmap(lambda shape: arrays(bool, shape)))
@settings(deadline=None, max_examples=40)
def test_edges_lie_between_inside_and_outside(mask):
    expected = set()
    for i, j in np.argwhere(mask).tolist():
        for di, dj in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            a, b = i + di, j + dj
            if not (0 <= a < mask.shape[0] and 0 <= b < mask.shape[1] and mask[a, b]):
                expected.add(((j + b) / 2, (i + a) / 2))
    found = {((x0 + x1) / 2, (y0 + y1) / 2) for (x0, y0), (x1, y1) in _edges(mask)}
    assert found == expected
    assert len(_edges(mask)) == len(expected)


class TestWritePanels:
    @pytest.mark.parametrize("shape", [(8, 8), (48, 64), (300, 200), (600, 500)])
    def test_size_is_what_it_says(self, tmp_path, shape):
        panels = [image_panel(name, np.random.default_rng(0).random((1, *shape))) for name in ("a", "b", "c")]
        width, height = write_panels([panels, panels], tmp_path / "new" / "a.png", ["slice 1", "slice 2"])
        image = imread(tmp_path / "new" / "a.png")
        assert image.shape[:2] == (height, width)
        longer = max(shape)
        panel = min(max(longer, 320), 384)
        assert width > 3 * round(shape[1] * panel / longer)
        assert height > 2 * round(shape[0] * panel / longer)
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]

    def test_pixels_lie_where_they_should(self, tmp_path):
        truth = np.zeros((4, 4), dtype=np.uint8)
        truth[0, :] = 1
        prediction = np.zeros((4, 4), dtype=np.uint8)
        prediction[0, :2] = 1
        panel = agreement_panel("", np.zeros((1, 4, 4)), prediction, truth)
        _, height = write_panels([[panel]], tmp_path / "a.png")
        image = imread(tmp_path / "a.png")[height - 320 :, :, :3]
        blue, red, black = image[40, 40], image[40, 280], image[280, 160]
        np.testing.assert_allclose(blue, 0.7 * np.array(rgb(AGREEMENT_COLOR)), atol=0.02)
        np.testing.assert_allclose(red, 0.7 * np.array(rgb(ERROR_COLOR)), atol=0.02)
        np.testing.assert_allclose(black, 0, atol=0.02)

    def test_outlines_are_drawn(self, tmp_path):
        mask = np.zeros((4, 4), dtype=bool)
        mask[1:3, 1:3] = True
        panel = map_panel("", np.zeros((4, 4)), 1.0, {"boundary": mask})
        _, height = write_panels([[panel]], tmp_path / "a.png")
        image = imread(tmp_path / "a.png")[height - 320 :, :, :3]
        assert np.abs(image[77:84, 160] - rgb(REGION_COLORS["boundary"])).max(-1).min() < 0.2
        np.testing.assert_allclose(image[40, 40], image[160, 160], atol=0.02)

    def test_bad_panels_are_refused(self, tmp_path):
        small, large = image_panel("a", np.zeros((1, 2, 2))), image_panel("b", np.zeros((1, 3, 3)))
        for rows, message in [([], "got none"), ([[small, large]], r"got \[\(2, 2\), \(3, 3\)\]")]:
            with pytest.raises(ValueError, match=message):
                write_panels(rows, tmp_path / "a.png")
        assert list(tmp_path.iterdir()) == []


def test_no_global_state(tmp_path):
    code = (
        "import sys, numpy as np; from monai_al.report.pictures import image_panel, write_panels; "
        f"write_panels([[image_panel('a', np.zeros((1, 4, 4)))]], {str(tmp_path / 'a.png')!r}); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
