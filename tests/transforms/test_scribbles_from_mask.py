# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from monai.data import MetaTensor

from monai_al.transforms import ScribblesFromMask, ScribblesFromMaskd

ACDC = Path(__file__).resolve().parents[3] / "shared" / "data" / "ACDC"


def pieces_of(region: np.ndarray) -> list[set[tuple[int, int]]]:
    """The pixels of each connected piece; those that touch at a corner are connected."""
    left, pieces = {tuple(pixel) for pixel in np.argwhere(region).tolist()}, []
    while left:
        piece, edge = set(), {left.pop()}
        while edge:
            piece |= edge
            edge = {(r + i, c + j) for r, c in edge for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= edge
        pieces.append(piece)
    return pieces


def radii(height: int, width: int) -> np.ndarray:
    """Distance of each pixel to the centre."""
    rows, columns = np.mgrid[:height, :width]
    return np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2)


def angles_of(pixels: np.ndarray, bins: int = 24) -> int:
    """In how many of some equal angles, seen from the centre, there are pixels."""
    rows, columns = np.nonzero(pixels)
    angles = np.arctan2(rows - (pixels.shape[0] - 1) / 2, columns - (pixels.shape[1] - 1) / 2)
    return len(set(np.floor(angles / (2 * np.pi) * bins).astype(int) % bins))


@st.composite
def masks(draw) -> np.ndarray:
    """From noise of single pixels to regions some pixels wide, of touching classes, with holes and unknown pixels."""
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    values = st.sampled_from(draw(st.sampled_from([(0, 1), (0, 1, 2, 255), (0, 3, 254), (1, 2), (0,), (255, 1)])))
    coarse = draw(arrays.arrays(np.uint8, shape, elements=values))
    return coarse.repeat(draw(st.integers(1, 5)), 0).repeat(draw(st.integers(1, 5)), 1)


HANDS = st.fixed_dictionaries(
    {"width": st.integers(1, 5), "length": st.floats(0.01, 1), "wobble": st.floats(0, 1), "distance": st.floats(0, 0.5)}
)


@settings(max_examples=300, deadline=None)
@given(masks(), HANDS, st.integers(0, 3))
def test_each_region_has_one_connected_stroke_of_its_class(mask, hand, turns):
    mask = np.ascontiguousarray(np.rot90(mask, turns))
    before = mask.copy()
    scribbles = ScribblesFromMask(**hand)(mask[None], "a")[0]
    assert scribbles.dtype == np.uint8
    assert scribbles.shape == mask.shape
    np.testing.assert_array_equal(mask, before)
    annotated = scribbles != 255
    np.testing.assert_array_equal(scribbles[annotated], mask[annotated])
    for number in set(mask.ravel().tolist()) - {255}:
        strokes = pieces_of(scribbles == number)
        if number == 0:
            assert len(strokes) == 1
        else:
            regions = pieces_of(mask == number)
            assert len(strokes) == len(regions)
            assert all(any(stroke <= region for stroke in strokes) for region in regions)


@pytest.mark.parametrize("mask", [np.full((9, 9), 255), np.ones((1, 1)), np.zeros((1, 1))])
def test_where_there_is_nothing_to_choose(mask):
    np.testing.assert_array_equal(ScribblesFromMask()(mask[None], "a")[0], mask)


def heart() -> np.ndarray:
    """A ring around a disc, beside a crescent."""
    mask = np.zeros((120, 100), np.uint8)
    away = radii(60, 60)
    mask[20:80, 25:85][away < 22] = 2
    mask[20:80, 25:85][away < 15] = 3
    crescent = (np.hypot(*np.mgrid[-60:60, -46:54]) < 30) & (mask == 0)
    mask[crescent] = 1
    return mask


def test_an_item_always_has_the_same_strokes_and_each_its_own():
    mask = heart()[None]
    first = ScribblesFromMask()(mask, "a/0001")
    np.testing.assert_array_equal(first, ScribblesFromMask()(mask, "a/0001"))
    others = [ScribblesFromMask()(mask, "a/0002"), ScribblesFromMask(seed=1)(mask, "a/0001")]
    for other in others:
        for number in range(4):
            assert ((first == number) != (other == number)).any()


def test_slices_of_a_volume_are_those_of_the_items():
    volume = np.stack([heart(), np.zeros_like(heart()), heart()], -1)
    scribbles = ScribblesFromMask()(volume[None], "a")
    for z in range(3):
        np.testing.assert_array_equal(
            scribbles[..., z], ScribblesFromMask()(volume[None, ..., z], f"a/{z:04d}"), err_msg=str(z)
        )
    assert (scribbles[..., 0] != scribbles[..., 2]).any()


@pytest.mark.parametrize("wobble", [0.0, 1.0])
def test_a_ring_is_followed_all_the_way_round(wobble):
    away = radii(81, 81)
    ring = (away > 24) & (away < 32)
    stroke = ScribblesFromMask(length=1, wobble=wobble)(ring[None], "a")[0] == 1
    assert angles_of(stroke) == 24
    assert np.abs(away[stroke] - 28).max() < (1.5 if wobble == 0 else 4)
    part = ScribblesFromMask(length=0.5, wobble=wobble)(ring[None], "a")[0] == 1
    assert 11 <= angles_of(part) <= 15


def test_a_compact_region_is_annotated_round_about_inside():
    away = radii(70, 70)
    disc = away < 30
    stroke = ScribblesFromMask(length=1, wobble=0)(disc[None], "a")[0] == 1
    assert angles_of(stroke) == 24
    assert 19 < away[stroke].min() < away[stroke].max() < 23
    disc[34:36, 46:48] = False
    for z in range(8):  # a hole does not matter
        assert angles_of(ScribblesFromMask(length=1, wobble=0)(disc[None], f"a/{z:04d}")[0] == 1) == 24


@pytest.mark.parametrize("length", [0.001, 0.25, 0.5, 0.9, 1.0])
def test_length_is_a_share_of_the_middle_line(length):
    mask = np.zeros((9, 60))
    mask[4, 10:50] = 1
    stroke = ScribblesFromMask(length=length)(mask[None], "a")[0] == 1
    assert stroke.sum() == max(1, round(40 * length))


@pytest.mark.parametrize("width", [1, 2, 3, 4, 7])
def test_width_is_in_pixels(width):
    mask = np.zeros((40, 140))
    mask[10:31, 10:130] = 1
    stroke = ScribblesFromMask(width=width, wobble=0)(mask[None], "a")[0] == 1
    assert set(stroke[:, 60:80].sum(0)) == {width}


def test_the_pen_does_not_leap_over_another_class():
    mask = np.full((11, 60), 2, np.uint8)
    mask[5, :50] = 1  # two arms of class 2 beside it, connected at one end
    arms = [ScribblesFromMask(width=9, length=0.2)(mask[None], f"a/{z:04d}")[0] == 2 for z in range(8)]
    assert all(len(pieces_of(stroke)) == 1 for stroke in arms)
    assert any(not (stroke[:5].any() and stroke[6:].any()) for stroke in arms)


@pytest.mark.parametrize(("distance", "wobble"), [(0.03, 0.0), (0.05, 0.4), (0.1, 0.8)])
def test_the_background_goes_around_the_foreground_and_stays_away(distance, wobble):
    mask = np.zeros((200, 240), np.uint8)
    mask[70:110, 90:120] = 1
    mask[100:130, 130:140] = 2
    stroke = ScribblesFromMask(length=1, distance=distance, wobble=wobble)(mask[None], "a")[0] == 0
    foreground = np.argwhere(mask)
    nearest = [np.hypot(*(foreground - pixel).T).min() for pixel in np.argwhere(stroke)]
    assert min(nearest) >= 200 * distance * (1 - wobble) - 1
    assert max(nearest) <= 2 * 200 * distance * 2 + 15  # the gap between the two and their hull comes on top
    assert angles_of(stroke) == 24


def test_an_empty_slice_has_a_line_to_and_fro_through_its_middle():
    stroke = ScribblesFromMask(length=1)(np.zeros((1, 200, 300)), "a")[0] == 0
    rows, columns = np.nonzero(stroke)
    assert np.abs([rows - 100, columns - 150]).max() < 80
    assert 200 < len(rows) < 800
    assert angles_of(stroke) >= 12


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32, torch.bool])
def test_kinds_of_arrays(dtype):
    mask = torch.zeros(1, 40, 50, 2, dtype=dtype)
    mask[:, 10:30, 20:25] = 1
    expected = ScribblesFromMask()(mask.numpy(), "a")
    assert isinstance(expected, np.ndarray)
    affine = torch.diag(torch.tensor([2.0, 2.0, 8.0, 1.0], dtype=torch.float64))
    for kind in (mask, MetaTensor(mask, affine=affine)):
        scribbles = ScribblesFromMask()(kind, "a")
        assert type(scribbles) is type(kind)
        assert scribbles.dtype == torch.uint8
        np.testing.assert_array_equal(np.asarray(scribbles), expected)
    assert torch.equal(scribbles.affine, affine)


def test_dictionary_form():
    data = {"label": heart()[None], "image": np.zeros((1, 120, 100)), "id": "a/0001"}
    scribbled = ScribblesFromMaskd("label", width=2, seed=3)(data)
    np.testing.assert_array_equal(scribbled["label"], ScribblesFromMask(width=2, seed=3)(heart()[None], "a/0001"))
    assert scribbled["image"] is data["image"]
    np.testing.assert_array_equal(data["label"], heart()[None])
    renamed = ScribblesFromMaskd("mask", id_key="name")({"mask": heart()[None], "name": "a/0001"})
    np.testing.assert_array_equal(renamed["mask"], ScribblesFromMask()(heart()[None], "a/0001"))
    assert ScribblesFromMaskd("label", allow_missing_keys=True)({"id": "a"}) == {"id": "a"}
    with pytest.raises(KeyError, match="'id' is missing.*id_key"):
        ScribblesFromMaskd()({"label": heart()[None]})


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            np.zeros((9, 9)),
            r"a/0001: a mask must have the shape \(1, h, w\) or .*, got \(9, 9\)",
        ),
        (np.zeros((2, 9, 9)), r"got \(2, 9, 9\)"),
        (np.zeros((1, 0, 9)), r"got \(1, 0, 9\)"),
        (np.full((1, 9, 9), 0.5), "a/0001: a mask must hold whole class numbers .* it holds 0.5"),
        (np.full((1, 9, 9), np.nan), "it holds nan"),
        (np.full((1, 9, 9), -1), "it holds -1"),
        (np.full((1, 9, 9), 256), "it holds 256"),
    ],
)
def test_masks_that_are_none(mask, message):
    with pytest.raises(ValueError, match=message):
        ScribblesFromMask()(mask, "a/0001")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width must be a whole number of at least 1, got 0"),
        ({"width": 1.5}, "width must be a whole number"),
        ({"length": 0}, "length must be above 0"),
        ({"length": 1.1}, "length must be within 0 and 1"),
        ({"wobble": -0.1}, "wobble must be within 0 and 1"),
        ({"distance": float("nan")}, "distance must be within 0 and 1"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        ScribblesFromMask(**options)
    with pytest.raises(ValueError, match=message):
        ScribblesFromMaskd("label", **options)


@pytest.mark.skipif(not ACDC.is_dir(), reason=f"needs ACDC with scribbles in {ACDC}")
def test_as_much_is_annotated_as_by_experts():
    drawn = np.zeros((2, 4))
    for path in sorted(ACDC.rglob("*_scribble.nii.gz"))[::8]:
        experts = np.asarray(nibabel.load(path).dataobj)
        mask = np.asarray(nibabel.load(str(path).replace("_scribble", "_gt")).dataobj)
        ours = ScribblesFromMask()(mask[None], path.name)[0]
        drawn += [[(scribbles == number).sum() for number in range(4)] for scribbles in (experts, ours)]
    assert drawn[0].min() > 0
    assert (drawn[1] / drawn[0] > 0.5).all()
    assert (drawn[1] / drawn[0] < 2).all()
