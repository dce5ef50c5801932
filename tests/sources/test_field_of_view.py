# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a network sees of stored voxels, and scores of that alone."""

from __future__ import annotations

import copy

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import DataLoader, MetaTensor
from monai.inferers import SimpleInferer
from monai.metrics import DiceMetric
from monai.transforms import (
    CenterSpatialCropd,
    Compose,
    ConcatItemsd,
    CropForegroundd,
    EnsureChannelFirstd,
    Flipd,
    Invertd,
    LazyTransform,
    LoadImaged,
    MapTransform,
    Orientationd,
    Resized,
    ResizeWithPadOrCropd,
    Rotate90d,
    ScaleIntensityRanged,
    Spacingd,
    SpatialPadd,
)

from monai_al.inferers import TrainedNetwork
from monai_al.metrics import score_overlapping, score_volume
from monai_al.passes import answer_dice, evaluate_items
from monai_al.records import NOT_ANNOTATED
from monai_al.sources.entry_scores import score_entry
from monai_al.sources.entry_settings import EntrySettings
from monai_al.sources.entry_source import EntrySource
from monai_al.sources.entry_transforms import EntryTransforms
from monai_al.sources.field_of_view import NetworkView, inside_of, kept_inside, outside_share, outside_voxels, view_of

BOTH = ["image", "label"]
READ = [LoadImaged(BOTH), EnsureChannelFirstd(BOTH, channel_dim="no_channel")]
STORED = np.array([[-1.5, 0, 0, 30], [0, -2.0, 0, 12], [0, 0, 4.0, -7], [0, 0, 0, 1]])
TURN = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])


# -- which voxels are inside, against loops ----------------------------------------------------------------------------


def place(scale=(1, 1, 1), offset=(0, 0, 0), turn=None):
    """Network voxel index -> stored voxel index."""
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if turn is None else turn) @ np.diag(scale)
    matrix[:3, 3] = offset
    return matrix


# name -> stored shape, shape of what the network gets, where its voxels lie on the stored grid
GRIDS = {
    "as stored": ((5, 4, 3), (5, 4, 3), place()),
    "cropped": ((7, 6, 5), (3, 4, 2), place(offset=(2, 1, 3))),
    "padded": ((3, 4, 2), (7, 6, 5), place(offset=(-2, -1, -3))),
    "padded here, cropped there": ((3, 8, 4), (6, 3, 4), place(offset=(-1, 4, 0))),
    "flipped and cropped": ((7, 6, 5), (4, 6, 3), place((-1, 1, -1), (4, 0, 3))),
    "axes exchanged": ((7, 6, 5), (3, 4, 5), place(turn=np.eye(3)[[1, 2, 0]], offset=(1, 2, 0))),
    "finer": ((4, 4, 2), (6, 4, 4), place((0.5, 0.5, 0.5), (0.75, 0.75, -0.25))),
    "coarser": ((8, 7, 4), (3, 2, 2), place((2, 2, 2), (0.5, 1.5, 0.5))),
    "half a voxel beyond": ((9, 3, 1), (2, 3, 1), place((3, 1, 1), (1.5, 0, 0))),
    "a bit more than half": ((9, 3, 1), (2, 3, 1), place((3, 1, 1), (1.51, 0, 0))),
    "oblique": ((8, 8, 4), (5, 6, 3), place((1.1, 0.9, 1), (2.3, -0.4, 1), TURN)),
    "elsewhere": ((4, 4, 4), (3, 3, 3), place(offset=(40, 0, 0))),
    "2D": ((6, 5), (3, 4), place(offset=(2, 1, 0))),
    "2D, oblique": ((8, 8), (5, 6), place((1.1, 0.9, 1), (2.3, -0.4, 0), TURN)),
}


def slowly_inside(stored, shape, affine, stored_affine):
    """For each stored voxel: is one of the network's voxels no more than half of one away along each of its axes?"""
    depth = (0,) * (3 - len(stored))
    found = np.zeros(stored, dtype=bool)
    for index in np.ndindex(*stored):
        x = np.linalg.solve(affine, stored_affine @ [*index, *depth, 1.0])[:3]
        sizes = (*shape, *(1 for _ in depth))
        found[index] = all(any(abs(p - i) <= 0.5 + 1e-6 for i in range(n)) for p, n in zip(x, sizes, strict=True))
    return found


@pytest.mark.parametrize("affine", [np.eye(4), STORED], ids=["plain", "with a header"])
@pytest.mark.parametrize("name", GRIDS)
def test_what_is_inside_against_loops(name, affine):
    stored, shape, lies = GRIDS[name]
    found = inside_of([NetworkView(shape, affine @ lies)], stored, affine)
    assert (found.shape, found.dtype) == (stored, bool)
    np.testing.assert_array_equal(found, slowly_inside(stored, shape, affine @ lies, affine))
    if name in ("as stored", "padded"):
        assert found.all()
    else:
        assert found.any() == (name != "elsewhere")
        assert not found.all()


sizes = st.integers(1, 6)


@settings(deadline=None, max_examples=60)
@given(stored=st.lists(sizes, min_size=2, max_size=3), shape=st.tuples(sizes, sizes, sizes), seed=st.integers(0, 999))
def test_what_is_inside_of_any_grid_against_loops(stored, shape, seed):
    random, flat = np.random.default_rng(seed), len(stored) == 2
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    if flat:
        turn[2], turn[:, 2] = (0, 0, 1), (0, 0, 1)
    lies = place(random.uniform(0.4, 2.5, 3), random.uniform(-2, 3, 3) * [1, 1, not flat], turn)
    if abs(np.linalg.det(lies)) < 0.05:  # no grid
        return
    stored, shape = tuple(stored), shape[: len(stored)]
    found = inside_of([NetworkView(shape, STORED @ lies)], stored, STORED)
    np.testing.assert_array_equal(found, slowly_inside(stored, shape, STORED @ lies, STORED))


@settings(deadline=None, max_examples=40)
@given(stored=st.lists(sizes, min_size=2, max_size=3), before=st.integers(0, 3), after=st.integers(0, 3))
def test_where_nothing_is_cropped_all_is_inside(stored, before, after):
    shape = tuple(n + before + after for n in stored)
    offset = [-before] * len(stored) + [0] * (3 - len(stored))
    assert inside_of([NetworkView(shape, STORED @ place(offset=offset))], tuple(stored), STORED).all()
    assert inside_of([NetworkView((1, 1), None)], tuple(stored), STORED).all()  # nothing was moved


# -- scores of what is inside ------------------------------------------------------------------------------------------


@st.composite
def cropped(draw):
    """Truth, and a perfect prediction of a part of it that was turned, flipped, and made finer."""
    shape = draw(st.lists(st.integers(2, 6), min_size=2, max_size=3))
    random = np.random.default_rng(draw(st.integers(0, 999)))
    truth = random.integers(0, 3, shape).astype(np.uint8)
    start = [draw(st.integers(0, n - 1)) for n in shape]
    size = [draw(st.integers(1, n - a)) for a, n in zip(start, shape, strict=True)]
    box = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
    lies = place(offset=[*start, *[0] * (3 - len(shape))])
    seen = truth[box]
    for axis in range(len(shape)):
        if draw(st.booleans()):
            flip = place([-1 if a == axis else 1 for a in range(3)], np.eye(3)[axis] * (size[axis] - 1))
            seen, lies = np.flip(seen, axis), lies @ flip
        times = draw(st.integers(1, 2))
        fine = np.ones(3)
        fine[axis] = 1 / times
        seen, lies = np.repeat(seen, times, axis), lies @ place(fine, (fine - 1) / 2)
    if draw(st.booleans()):
        seen = np.swapaxes(seen, 0, 1)
        lies = lies @ place(turn=np.eye(3)[[1, 0, 2]])
    return truth, box, seen.copy(), STORED @ lies


@settings(deadline=None, max_examples=60)
@given(cropped(), st.booleans())
def test_a_perfect_prediction_scores_1_inside(made, overlapping):
    truth, box, seen, affine = made
    masks = (lambda labels: np.stack([labels > 0, labels == 2]).astype(np.uint8)) if overlapping else lambda x: x
    inside = inside_of([NetworkView(seen.shape, affine)], truth.shape, STORED)
    expected = np.zeros(truth.shape, bool)
    expected[box] = True
    np.testing.assert_array_equal(inside, expected)
    prediction = torch.from_numpy(masks(seen) if overlapping else seen[None]).float()
    how = {"n_classes": 3, "overlapping": overlapping}
    found = score_entry(prediction, affine, masks(truth), STORED, inside=inside, **how)
    there = np.array([bool(m.any()) for m in (masks(truth[box]) if overlapping else [truth[box] == c for c in (1, 2)])])
    np.testing.assert_array_equal(found.dice_3d, np.where(there, 1, np.nan))
    np.testing.assert_array_equal(found.hd95_3d, np.where(there, 0, np.nan))
    assert (
        found.slices_with_foreground
        == score_entry(
            prediction, affine, kept_inside(masks(truth), inside, 0), STORED @ place(offset=first_of(inside)), **how
        ).slices_with_foreground
    )


def first_of(inside):
    return [*np.argwhere(inside).min(axis=0), 0][:3]


def test_what_lies_outside_changes_nothing():
    """Neither of the truth nor of the prediction, nor how far the stored grid goes on."""
    random = np.random.default_rng(0)
    truth, inside = random.integers(0, 3, (9, 8, 5)).astype(np.uint8), np.zeros((9, 8, 5), bool)
    inside[2:7, 1:6, 1:4] = True
    inside[2, 1:4] = False  # no box
    prediction = random.integers(0, 3, truth.shape)
    prediction[prediction == 2] = 0  # a miss, which costs the diagonal

    def scored(truth, prediction, inside):
        channels = torch.from_numpy(prediction[None]).float()
        return score_entry(channels, STORED, truth, STORED, n_classes=3, inside=inside)

    found = scored(truth, prediction, inside)
    box = np.s_[2:7, 1:6, 1:4]
    apart = np.where(inside, truth, NOT_ANNOTATED)[box]
    assert found == score_volume(prediction[box], apart, (1.5, 2, 4), 3)
    assert found.hd95_3d[1] == pytest.approx(np.linalg.norm([5 * 1.5, 5 * 2, 3 * 4]))
    assert scored(np.where(inside, truth, 1), np.where(inside, prediction, 2), inside) == found
    wide = [(1, 2), (0, 3), (2, 2)]
    assert scored(*(np.pad(array, wide) for array in (truth, prediction, inside))) == found
    nothing = scored(truth, prediction, np.zeros_like(inside))
    assert nothing.empty == ("both_empty", "both_empty")
    assert nothing.annotated_slices == 0

    masks, predicted = (np.stack([labels > 0, labels == 1]).astype(np.uint8) for labels in (truth, prediction))
    overlapping = score_entry(
        torch.from_numpy(predicted).float(), STORED, masks, STORED, n_classes=3, overlapping=True, inside=inside
    )
    assert overlapping == score_overlapping((predicted * inside)[:, *box], (masks * inside)[:, *box], (1.5, 2, 4))


def test_shares_of_what_is_labeled():
    truth = np.array([[1, 2, 0], [NOT_ANNOTATED, 1, 1]], np.uint8)
    inside = np.array([[True, False, False], [False, False, True]])
    assert outside_voxels(truth, inside) == {"foreground": 4, "outside": 2}
    masks = np.stack([truth == 1, truth == 2]).astype(np.uint8)
    assert outside_voxels(np.concatenate([masks, masks]), inside) == {"foreground": 4, "outside": 2}
    empty, cut, whole = ({"foreground": f, "outside": o} for f, o in ((0, 0), (4, 3), (6, 0)))
    assert outside_share({"a": whole, "b": cut, "c": empty}) == {
        "share": 0.3, "voxels": 3, "worst": "b", "per_volume": {"a": 0.0, "b": 0.75, "c": None}
    }  # fmt: skip
    assert outside_share({"c": empty}) == {"share": None, "voxels": 0, "worst": None, "per_volume": {"c": None}}
    assert outside_share({"a": whole, "c": empty})["worst"] is None


# -- a bundle's preprocessing ------------------------------------------------------------------------------------------


class Threshold(torch.nn.Module):
    """Logits that are right where the image is 100 times the class number; or moved by some voxels."""

    def __init__(self, shift=0):
        super().__init__()
        self.shift = shift

    def forward(self, x):
        numbers = torch.roll(x, self.shift, dims=2) / 100
        return torch.cat([20 - 40 * (numbers - c).abs() for c in range(3)], dim=1)


SHAPE = (20, 16, 10)
CROPS = {
    "center": ([CenterSpatialCropd(BOTH, roi_size=(15, 12, 8))], np.s_[3:18, 2:14, 1:9]),
    "foreground": ([CropForegroundd(BOTH, source_key="image", select_fn=lambda x: x > 150, margin=1)], None),
    "turned": (
        [Orientationd(BOTH, axcodes="RAS"), Rotate90d(BOTH), Flipd(BOTH, 2), CenterSpatialCropd(BOTH, (12, 15, 8))],
        np.s_[2:17, 2:14, 1:9],
    ),
    "size": ([ResizeWithPadOrCropd(BOTH, spatial_size=(24, 12, 8))], np.s_[:, 2:14, 1:9]),
}


def label_of(seed):
    """A box around another one, nowhere symmetric, that reaches far to the borders."""
    low = np.random.default_rng(seed).integers(1, 3, 3)
    label = np.zeros(SHAPE, np.uint8)
    label[tuple(slice(a, n - 1) for a, n in zip(low, SHAPE, strict=True))] = 1
    label[tuple(slice(a + 2, n - 2) for a, n in zip(low, SHAPE, strict=True))] = 2
    return label


@pytest.fixture
def entries(tmp_path):
    made = []
    for number in range(3):
        label = label_of(number)
        paths = {key: str(tmp_path / f"{key}_{number}.nii.gz") for key in BOTH}
        nib.save(nib.Nifti1Image((label * 100).astype(np.int16), STORED), paths["image"])
        nib.save(nib.Nifti1Image(label, STORED), paths["label"])
        made.append(paths)
    return made


def source(entries, spatial, **how):
    return EntrySource(entries[:1], entries[1:], preprocessing=Compose([*READ, *spatial]), **how)


def scores(data, shift=0):
    found = TrainedNetwork(Threshold(shift), torch.device("cpu"), SimpleInferer(), "softmax")
    data.try_network(found, [])
    return evaluate_items(data, found, data.data.part("test").items)


def boxes(name, entries):
    """Labels of the test items, and what a crop leaves of them."""
    labels = [np.asarray(nib.load(entry["label"]).dataobj) for entry in entries[1:]]
    if CROPS[name][1] is not None:
        return [(label, label[CROPS[name][1]]) for label in labels]
    around = [tuple(slice(rows.min() - 1, rows.max() + 2) for rows in np.nonzero(label == 2)) for label in labels]
    return [(label, label[box]) for label, box in zip(labels, around, strict=True)]


def monais_dice(entries, spatial, shift):
    """Of each item and class, where the network sees it."""
    metric = DiceMetric(include_background=False, reduction="none", num_classes=3)
    preprocessing = Compose([*READ, *spatial])
    for batch in DataLoader([preprocessing(entry) for entry in entries[1:]], batch_size=1):
        metric(Threshold(shift)(batch["image"]).argmax(1, keepdim=True), batch["label"])
    return metric.aggregate().numpy()


@pytest.mark.parametrize("name", CROPS)
def test_a_perfect_network_behind_a_crop(name, entries):
    spatial, _ = CROPS[name]
    pairs = boxes(name, entries)
    whole, inside = (scores(source(entries, spatial, score_inside=asked)) for asked in (False, True))
    assert (whole["scored_on"], inside["scored_on"]) == ("stored label", "field of view")
    for number, (label, seen) in enumerate(pairs, start=1):
        for c in (1, 2):
            kept, all_of_it = int((seen == c).sum()), int((label == c).sum())
            found = whole["dice_3d"]["per_volume"][f"image_{number}.nii.gz"][f"class {c}"]
            assert found == pytest.approx(2 * kept / (kept + all_of_it), abs=1e-12)
    assert whole["dice_3d"]["mean"] < 0.95
    assert whole["hd95_3d"]["mean"] > 0
    assert set(inside["dice_3d"]["per_class"].values()) == {1.0}
    assert inside["hd95_3d"]["mean"] == 0
    assert (monais_dice(entries, spatial, 0) == 1).all()
    shares = {f"image_{n}.nii.gz": 1 - (seen > 0).sum() / (label > 0).sum() for n, (label, seen) in enumerate(pairs, 1)}
    assert whole["outside"] == inside["outside"]
    assert whole["outside"]["per_volume"] == pytest.approx(shares)
    assert whole["outside"]["worst"] == max(shares, key=shares.get)
    lost, labeled = (sum(int((label > 0).sum()) - k * int((seen > 0).sum()) for label, seen in pairs) for k in (1, 0))
    assert (whole["outside"]["voxels"], whole["outside"]["share"]) == (lost, lost / labeled)


@pytest.mark.parametrize("name", ["center", "foreground", "turned"])
def test_of_what_is_inside_the_score_is_monais_own(name, entries):
    """Where nothing is padded, because MONAI scores padding, too."""
    spatial, _ = CROPS[name]
    found = scores(source(entries, spatial, score_inside=True), shift=1)["dice_3d"]["per_volume"]
    ours = [[found[f"image_{number}.nii.gz"][f"class {c}"] for c in (1, 2)] for number in (1, 2)]
    np.testing.assert_allclose(ours, monais_dice(entries, spatial, 1), atol=1e-6)
    assert np.mean(ours) < 0.99


def test_answers_are_scored_alike(entries):
    network = TrainedNetwork(Threshold(), torch.device("cpu"), SimpleInferer(), "softmax")
    for asked, expected in ((True, 1.0), (False, None)):
        data = source(entries, CROPS["center"][0], score_inside=asked)
        data.try_network(network, [])
        found = answer_dice(data, network, data.data.part("test").items)["mean"]
        assert found == expected or (expected is None and found < 1)


@pytest.mark.parametrize("keys", [["pred"], ["pred", "label"], ["pred", "image", "label"]], ids="+".join)
def test_a_postprocessing_that_goes_back_to_the_stored_grid(keys, entries):
    """The prediction lies on all of it then, but the network saw no more than before."""
    preprocessing = Compose([*READ, *CROPS["turned"][0]])
    originals = ["image", *keys[1:]]
    invert = Invertd(keys, preprocessing, orig_keys=originals, nearest_interp=True)
    data = EntrySource(entries[:1], entries[1:], preprocessing=preprocessing, postprocessing=[invert])
    plain = scores(source(entries, CROPS["turned"][0]))
    assert scores(data) == plain
    assert plain["outside"]["share"] > 0.1
    data.score_inside = True
    assert scores(data)["dice_3d"]["mean"] == 1


PADDED = {
    "at once": [],
    "after a step that is not spatial": [ScaleIntensityRanged("image", 0, 200, 0, 200)],
    "after another spatial one": [Orientationd(BOTH, axcodes="SPL"), Flipd(BOTH, 1)],
}


@pytest.mark.parametrize("lazy", [False, None, True, "each"])
@pytest.mark.parametrize("name", PADDED)
def test_a_crop_that_is_padded_afterwards(name, lazy, entries):
    """The network's grid goes as far as before, and where it sees nothing there is padding; not in lazy resampling."""
    spatial = [*copy.deepcopy(CROPS["center"][0]), *copy.deepcopy(PADDED[name]), SpatialPadd(BOTH, (24, 24, 24))]
    for transform in (one for one in spatial if lazy == "each" and isinstance(one, LazyTransform)):
        transform.lazy = True
    preprocessing = Compose([*READ, *spatial], lazy=None if lazy == "each" else lazy)
    revealed = lazy in (True, "each") and name != "after a step that is not spatial"
    whole, inside = (
        scores(EntrySource(entries[:1], entries[1:], preprocessing=preprocessing, score_inside=asked))
        for asked in (False, True)
    )
    (first, kept), *_ = boxes("center", entries)
    expected = 0 if revealed else 1 - (kept > 0).sum() / (first > 0).sum()
    assert whole["outside"]["per_volume"]["image_1.nii.gz"] == pytest.approx(expected)
    assert (whole["dice_3d"]["mean"] == 1) is revealed
    assert inside["dice_3d"]["mean"] == 1
    watched = EntryTransforms(preprocessing).network_input(entries[0], "a", with_label=True, watch=lambda data: None)
    for key in BOTH:  # that it is watched changes nothing
        assert torch.equal(watched[key], preprocessing(entries[0])[key])


def test_what_is_cropped_under_other_keys(entries):
    """As of a preprocessing that never makes an image and a label of them."""
    keys = {"image": "slide", "label": "tissue"}
    spatial = [CenterSpatialCropd, SpatialPadd]
    found = []
    for names in (dict(zip(BOTH, BOTH, strict=True)), keys):
        read = LoadImaged(list(names.values()), image_only=True, ensure_channel_first=True)
        steps = [
            kind(list(names.values()), size) for kind, size in zip(spatial, ((15, 12, 8), (24, 24, 24)), strict=True)
        ]
        made = [{names[key]: path for key, path in entry.items()} for entry in entries]
        settings = EntrySettings(names["image"], names["label"])
        found.append(scores(EntrySource(made[:1], made[1:], preprocessing=Compose([read, *steps]), settings=settings)))
    assert found[0]["outside"]["share"] > 0.1
    assert found[0]["outside"] == found[1]["outside"]


UNCROPPED = {
    "padded": [SpatialPadd(BOTH, (24, 24, 24))],
    "finer": [Resized(BOTH, spatial_size=(33, 32, 20), mode="nearest")],
    "coarser": [Orientationd(BOTH, axcodes="RAS"), Spacingd(BOTH, pixdim=(2.2, 2.7, 4.5), mode="nearest")],
}


@pytest.mark.parametrize("name", UNCROPPED)
def test_a_preprocessing_that_crops_nothing(name, entries):
    spatial = UNCROPPED[name]
    found, plain = (scores(source(entries, spatial, score_inside=asked), shift=1) for asked in (True, False))
    assert found["outside"]["share"] == plain["outside"]["share"] == 0
    assert found == plain | {"scored_on": "field of view"}
    assert found["dice_3d"]["mean"] < 1


class Regions(MapTransform):
    """Masks of any class, and of the second."""

    def __call__(self, data):
        return {**data, **{key: torch.cat([data[key] > 0, data[key] == 2]).float() for key in self.key_iterator(data)}}


def test_classes_that_overlap(entries):
    class Masks(torch.nn.Module):
        def forward(self, x):
            return torch.cat([x - 50, x - 150], dim=1)

    spatial = [Regions("label"), *CROPS["center"][0]]
    network = TrainedNetwork(Masks(), torch.device("cpu"), SimpleInferer(), "sigmoid")
    for asked in (False, True):
        data = source(entries, spatial, score_inside=asked)
        data.try_network(network, [])
        found = evaluate_items(data, data.adapted(network), data.data.part("test").items)
        assert (found["dice_3d"]["mean"] == 1) is asked
        assert found["outside"]["share"] == pytest.approx(
            1 - sum((seen > 0).sum() for _, seen in boxes("center", entries))
            / sum((label > 0).sum() for label, _ in boxes("center", entries))
        )  # fmt: skip


def test_an_image_that_is_cropped_alone(entries, tmp_path):
    """Its label stays where it is stored, with a header of its own that says something else."""
    for number, entry in enumerate(entries):
        entry["label"] = str(tmp_path / f"plain_{number}.nii.gz")
        nib.save(nib.Nifti1Image(label_of(number), np.eye(4)), entry["label"])
    preprocessing = Compose([*READ, CenterSpatialCropd("image", roi_size=(15, 12, 8))])
    invert = Invertd("pred", preprocessing, orig_keys="image", nearest_interp=True)
    data = EntrySource(
        entries[:1], entries[1:], preprocessing=preprocessing, postprocessing=[invert], score_inside=True
    )
    found = scores(data)
    assert found["dice_3d"]["mean"] == 1
    expected = 1 - sum((seen > 0).sum() for _, seen in boxes("center", entries)) / sum(
        (label > 0).sum() for label, _ in boxes("center", entries)
    )
    assert found["outside"]["share"] == pytest.approx(expected)


def test_several_files_that_are_cropped_and_padded_before_they_are_one_image(entries):
    keys = ["t1", "t2", "label"]
    listed = [{"t1": entry["image"], "t2": entry["image"], "label": entry["label"]} for entry in entries]
    preprocessing = [
        LoadImaged(keys), EnsureChannelFirstd(keys), CenterSpatialCropd(keys, (15, 12, 8)),
        SpatialPadd(keys, (24, 24, 24)), ConcatItemsd(["t1", "t2"], name="image"),
    ]  # fmt: skip

    class First(Threshold):
        def forward(self, x):
            return super().forward(x[:, :1])

    network = TrainedNetwork(First(), torch.device("cpu"), SimpleInferer(), "softmax")
    data = EntrySource(listed[:1], listed[1:], preprocessing=preprocessing, score_inside=True)
    data.try_network(network, [])
    found = evaluate_items(data, network, data.data.part("test").items)
    assert found["dice_3d"]["mean"] == 1
    assert found["outside"] == scores(source(entries, CROPS["center"][0]))["outside"]
    assert found["outside"]["share"] > 0.1


def test_a_view_without_meta_data():
    assert view_of({"image": torch.zeros(1, 4, 5)}) == NetworkView((4, 5), None)
    assert view_of({"image": np.zeros((1, 4, 5)), "label": torch.zeros(1, 4, 5)}) == NetworkView((4, 5), None)
    label = MetaTensor(torch.zeros(1, 4, 5), affine=np.diag([2.0, 3, 1, 1]))
    assert view_of({"image": torch.zeros(1, 4, 5), "label": label}).affine.diagonal().tolist() == [2, 3, 1, 1]
