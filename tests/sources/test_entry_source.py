# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The datalists of a bundle of others as a pool, scored where their labels are stored."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import DataLoader, decollate_batch
from monai.inferers import SimpleInferer, SliceInferer
from monai.transforms import (
    Activationsd,
    AsDiscreted,
    CenterSpatialCropd,
    Compose,
    ConcatItemsd,
    CropForegroundd,
    EnsureChannelFirstd,
    EnsureTyped,
    Invertd,
    Lambdad,
    LoadImaged,
    MapTransform,
    Orientationd,
    RandCropByPosNegLabeld,
    ResampleToMatchd,
    Resized,
    SaveImaged,
    ScaleIntensityd,
    Spacingd,
    SpatialPadd,
    SqueezeDimd,
)
from PIL import Image

from monai_al.data import DataError
from monai_al.inferers import TrainedNetwork
from monai_al.passes import evaluate_items
from monai_al.sources.entry_items import check_files, entry_items
from monai_al.sources.entry_source import EntrySource
from monai_al.sources.entry_transforms import EntryTransforms
from monai_al.uncertainty import Measure

BOTH = ["image", "label"]
READ = [LoadImaged(BOTH), EnsureChannelFirstd(BOTH, channel_dim="no_channel")]
AFFINE = np.array([[-1.5, 0, 0, 30], [0, -2.0, 0, 12], [0, 0, 4.0, -7], [0, 0, 0, 1]])
SHAPE = (20, 16, 10)


class Classes(torch.nn.Module):
    """Logits that are right where the image is 100 times the class number, moved by some voxels."""

    def __init__(self, channels=3, shift=0):
        super().__init__()
        self.channels, self.shift = channels, shift

    def forward(self, x):
        numbers = torch.roll(x, self.shift, dims=2) / 100
        return torch.cat([20 - 40 * (numbers - c).abs() for c in range(self.channels)], dim=1)


def trained(network=None, activation="softmax", inferer=None):
    return TrainedNetwork(network or Classes(), torch.device("cpu"), inferer or SimpleInferer(), activation)


def label_of(shape=SHAPE, seed=0):
    """Two boxes, nowhere symmetric."""
    low = np.random.default_rng(seed).integers(1, 4, len(shape))
    label = np.zeros(shape, np.uint8)
    label[tuple(slice(a, a + n // 2) for a, n in zip(low, shape, strict=True))] = 1
    label[tuple(slice(a + 1, a + n // 3) for a, n in zip(low, shape, strict=True))] = 2
    return label


def save(path, array, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)
    return str(path)


@pytest.fixture
def entries(tmp_path):
    made = []
    for number in range(4):
        label = label_of(seed=number)
        image = save(tmp_path / "im" / f"{number}.nii.gz", (label * 100).astype(np.int16))
        made.append({"image": image, "label": save(tmp_path / "la" / f"{number}.nii.gz", label)})
    return made


def dice_of(prediction, truth, c):
    a, b = prediction == c, truth == c
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def evaluated(data, network=None, **how):
    found = trained(network, **how)
    data.try_network(found, [])
    return evaluate_items(data, data.adapted(found), data.data.part("test").items)


# -- the scores --------------------------------------------------------------------------------------------------------

ROUTES = {
    "as stored": ([], 1),
    "flipped": ([Orientationd(BOTH, axcodes="RAS")], 1),
    "turned": ([Orientationd(BOTH, axcodes="SPL")], 1),
    "cropped": ([CropForegroundd(BOTH, source_key="image")], 1),
    "padded": ([SpatialPadd(BOTH, spatial_size=(25, 24, 24))], 2),
    "finer": ([Resized(BOTH, spatial_size=(40, 32, 20), mode="nearest")], 2),
    "all": (
        [
            Orientationd(BOTH, axcodes="RAS"),
            CropForegroundd(BOTH, source_key="image", margin=1),
            SpatialPadd(BOTH, spatial_size=(24, 24, 24)),
        ],
        1,
    ),
}
POST = {
    "none": None,
    "classes": [Activationsd("pred", softmax=True), AsDiscreted("pred", argmax=True)],
    "channels": [AsDiscreted(["pred", "label"], argmax=[True, False], to_onehot=3)],
}


@pytest.mark.parametrize("post", POST)
@pytest.mark.parametrize("route", ROUTES)
def test_the_score_is_that_of_monais_own_way_back(route, post, entries):
    """MONAI inverts each transform; here only the affines are used. Without interpolation both are exact."""
    spatial, shift = ROUTES[route]
    preprocessing = Compose([*READ, *spatial])
    network = Classes(shift=shift)
    postprocessing = None if POST[post] is None else Compose(POST[post])
    data = EntrySource(entries[:2], entries[2:], preprocessing=preprocessing, postprocessing=postprocessing)
    found = evaluated(data, network)["dice_3d"]["per_volume"]

    invert = Invertd("pred", preprocessing, orig_keys="image", nearest_interp=True)
    for entry in entries[2:]:
        (batch,) = DataLoader([preprocessing(entry)])
        batch["pred"] = network(batch["image"]).argmax(1, keepdim=True)
        stored = invert(decollate_batch(batch)[0])["pred"][0].numpy()
        truth = nib.load(entry["label"]).get_fdata()
        name = entry["image"].rpartition("/")[2]
        for c in (1, 2):
            assert found[name][f"class {c}"] == pytest.approx(dice_of(stored, truth, c), abs=1e-9)
            assert found[name][f"class {c}"] < 1  # the prediction was moved


@pytest.mark.parametrize("post", [[EnsureTyped("pred")], [Lambdad("pred", lambda x: torch.softmax(x, 0))]])
@pytest.mark.parametrize("below", [0, 1000])
def test_a_postprocessing_that_leaves_logits_or_probabilities(post, below, entries):
    class Lower(Classes):
        def forward(self, x):
            return super().forward(x) - below  # all logits may be negative

    data = EntrySource(entries[:2], entries[2:], preprocessing=READ, postprocessing=post)
    assert evaluated(data, Lower())["dice_3d"]["mean"] == 1


def test_one_sigmoid_that_is_left_as_it_is(entries):
    class Foreground(torch.nn.Module):
        def forward(self, x):
            return (x > 50).float() * 20 - 0.1  # the background is just below 0

    classes = Lambdad("label", lambda label: (label > 0).float())
    data = EntrySource(entries[:2], entries[2:], preprocessing=[*READ, classes], postprocessing=[EnsureTyped("pred")])
    assert evaluated(data, Foreground(), activation="sigmoid")["dice_3d"]["mean"] == 1


def test_a_network_whose_output_has_another_size_is_refused(entries):
    class Half(Classes):
        def forward(self, x):
            return super().forward(x)[:, :, ::2, ::2, ::2]

    data = EntrySource(entries[:2], entries[2:], preprocessing=READ)
    with pytest.raises(DataError, match="2.nii.gz: it is not known where"):
        evaluated(data, Half())


@pytest.mark.parametrize("route", ROUTES)
def test_a_perfect_prediction_scores_1(route, entries):
    data = EntrySource(entries[:2], entries[2:], preprocessing=[*READ, *ROUTES[route][0]])
    assert evaluated(data)["dice_3d"]["mean"] == 1


def test_a_coarser_prediction_differs_at_the_border_alone(entries):
    coarse = Spacingd(BOTH, pixdim=(2.2, 2.7, 4), mode=["bilinear", "nearest"])
    data = EntrySource(entries[:2], entries[2:], preprocessing=[*READ, Orientationd(BOTH, axcodes="RAS"), coarse])
    found = evaluated(data)
    assert 0.7 < found["dice_3d"]["mean"] < 1
    assert found["hd95_3d"]["mean"] <= 3


@pytest.mark.parametrize("saved", [True, False])
def test_the_bundles_own_invertd(saved, entries, tmp_path):
    """It refers to the preprocessing, and what follows it already lies on the stored grid."""
    preprocessing = Compose([*READ, *ROUTES["all"][0]])
    invert = Invertd("pred", preprocessing, orig_keys="image", nearest_interp=True)
    parts = [AsDiscreted("pred", argmax=True), invert]
    if saved:
        parts.append(SaveImaged("pred", output_dir=str(tmp_path / "saved")))
    found = evaluated(
        EntrySource(entries[:2], entries[2:], preprocessing=preprocessing, postprocessing=Compose(parts)),
        Classes(shift=1),
    )
    plain = evaluated(EntrySource(entries[:2], entries[2:], preprocessing=preprocessing), Classes(shift=1))
    assert found["dice_3d"] == plain["dice_3d"]
    assert not (tmp_path / "saved").exists()  # where a bundle would save is none of a round's folders


def test_headers_that_differ_do_not_matter_as_the_bundle_ignores_them_too(entries, tmp_path):
    for number, entry in enumerate(entries):
        entry["label"] = save(tmp_path / "other" / f"{number}.nii.gz", label_of(seed=number), np.diag([1, 1, 2, 1.0]))
    for spatial in ([], [SpatialPadd(BOTH, spatial_size=(30, 30, 30))], [CropForegroundd(BOTH, source_key="image")]):
        data = EntrySource(entries[:2], entries[2:], preprocessing=[*READ, *spatial])
        assert evaluated(data)["dice_3d"]["mean"] == 1


def test_a_network_that_drops_the_meta_data(entries):
    class Plain(Classes):
        def forward(self, x):
            return super().forward(x).as_subclass(torch.Tensor)

    post = Compose([Activationsd("pred", softmax=True), AsDiscreted("pred", argmax=True)])
    data = EntrySource(entries[:2], entries[2:], preprocessing=[*READ, *ROUTES["all"][0]], postprocessing=post)
    assert evaluated(data, Plain())["dice_3d"]["mean"] == 1


def test_a_preprocessing_that_drops_the_meta_data(entries):
    dropped = EnsureTyped(BOTH, track_meta=False)
    post = Compose([Activationsd("pred", softmax=True), AsDiscreted("pred", argmax=True)])
    for spatial in ([Orientationd(BOTH, axcodes="RAS")], [SpatialPadd(BOTH, spatial_size=(30, 30, 30))]):
        data = EntrySource(entries[:2], entries[2:], preprocessing=[*READ, *spatial, dropped], postprocessing=post)
        with pytest.raises(DataError, match=r"2.nii.gz: it is not known where .*meta data"):
            data.try_network(trained(), [])
    data = EntrySource(entries[:2], entries[2:], preprocessing=[*READ, dropped], postprocessing=post)
    assert evaluated(data)["dice_3d"]["mean"] == 1  # nothing was moved


def test_slices_of_volumes_by_a_2d_network(entries):
    inferer = SliceInferer(roi_size=(20, 16), spatial_dim=2, sw_batch_size=4)
    data = EntrySource(entries[:2], entries[2:], preprocessing=READ)
    assert evaluated(data, inferer=inferer)["dice_3d"]["mean"] == 1


@pytest.mark.parametrize("third", [True, False])
def test_2d_files(third, tmp_path):
    made = []
    for number in range(2):
        label = label_of((20, 16), seed=number)[..., None if third else slice(None)]
        image = save(tmp_path / f"{number}.nii", (label * 100).astype(np.int16))
        made.append({"image": image, "label": save(tmp_path / "la" / f"{number}.nii", label)})
    squeeze = [SqueezeDimd(BOTH, dim=-1)] if third else []
    finer = Resized(BOTH, spatial_size=(40, 32), mode="nearest")
    data = EntrySource(made[:1], made[1:], preprocessing=[*READ, *squeeze, finer])
    found = evaluated(data)
    assert found["dice_3d"]["mean"] == found["dice_2d"]["mean"] == 1
    expected = dice_of(np.roll(nib.load(made[1]["label"]).get_fdata(), 1, 0), nib.load(made[1]["label"]).get_fdata(), 1)
    assert evaluated(data, Classes(shift=2))["dice_3d"]["per_class"]["class 1"] == pytest.approx(expected)


def test_pictures_of_0_and_255(tmp_path):
    made = []
    for number in range(2):
        mask = (label_of((20, 16), seed=number) > 0).astype(np.uint8)
        Image.fromarray(mask * 100).save(tmp_path / f"{number}.png")
        Image.fromarray(mask * 255).save(tmp_path / f"{number}_mask.png")
        made.append({"image": str(tmp_path / f"{number}.png"), "label": str(tmp_path / f"{number}_mask.png")})
    data = EntrySource(made[:1], made[1:], preprocessing=[*READ, ScaleIntensityd("label")])
    assert evaluated(data, Classes(channels=2))["dice_3d"] == {
        "mean": 1.0, "per_class": {"class 1": 1.0}, "per_volume": {"1.png": {"class 1": 1.0}}
    }  # fmt: skip
    assert data.placeholder_spacing(data.data.items)
    unscaled = EntrySource(made[:1], made[1:], preprocessing=READ)
    with pytest.raises(DataError, match="1.png: its label holds 255.*scale it"):
        unscaled.try_network(trained(Classes(channels=2)), [])


class Regions(MapTransform):
    """Masks of any class, and of the second."""

    def __call__(self, data):
        return {**data, **{key: torch.cat([data[key] > 0, data[key] == 2]).float() for key in self.key_iterator(data)}}


def test_classes_that_overlap(entries):
    class Masks(torch.nn.Module):
        def forward(self, x):
            return torch.cat([x - 50, x - 150], dim=1)

    preprocessing = [*READ, Regions("label"), Orientationd(BOTH, axcodes="RAS")]
    data = EntrySource(entries[:2], entries[2:], preprocessing=preprocessing, names={0: "any", 1: "inner"})
    found = evaluated(data, Masks(), activation="sigmoid")
    assert data.overlapping
    assert data.data.classes == ("background", "any", "inner")
    assert found["dice_3d"]["per_class"] == {"any": 1.0, "inner": 1.0}
    label = nib.load(entries[2]["label"]).get_fdata()
    counted = data.cost([data.data[2]], ["full"])
    assert (counted["voxels"], counted["foreground_voxels"]) == (label.size, (label > 0).sum())


def test_labels_in_one_channel_for_each_class(entries):
    onehot = AsDiscreted("label", to_onehot=3)
    data = EntrySource(entries[:2], entries[2:], preprocessing=[*READ, onehot], names={0: "nothing", 1: "a", 2: "b"})
    found = evaluated(data)
    assert not data.overlapping
    assert found["dice_3d"]["per_class"] == {"a": 1.0, "b": 1.0}


def test_several_files_make_one_image(entries, tmp_path):
    coarse = save(tmp_path / "t2.nii.gz", np.zeros((10, 8, 10), np.int16), AFFINE @ np.diag([2, 2, 1, 1.0]))
    listed = [{**entry, "image": [entry["image"], entry["image"]]} for entry in entries]
    assert EntrySource(listed[:2], listed[2:], preprocessing=[]).data[0].id == "0.nii.gz"
    named = [{"t1": e["image"], "t2": coarse, "label": e["label"], "name": "case"} for e in entries]
    keys = ["t1", "t2", "label"]
    preprocessing = [
        LoadImaged(keys),
        EnsureChannelFirstd(keys),
        ResampleToMatchd("t2", key_dst="t1"),
        ConcatItemsd(["t1", "t2"], name="image"),
    ]
    data = EntrySource(named[:2], named[2:], preprocessing=preprocessing)

    class First(Classes):
        def forward(self, x):
            return super().forward(x[:, :1])

    assert evaluated(data, First())["dice_3d"]["mean"] == 1
    before = data.hashes()
    assert set(before) == {entry[key] for entry in entries for key in BOTH}
    save(tmp_path / "t2.nii.gz", np.ones((10, 8, 10), np.int16))
    changed = {path for path, found in data.hashes().items() if found != before[path]}
    assert changed == {entry["image"] for entry in entries}


# -- labels are not read before they are there -------------------------------------------------------------------------


def test_scoring_never_reads_a_label(entries, tmp_path):
    for entry in entries[:2]:
        (tmp_path / "la" / entry["label"].rpartition("/")[2]).write_bytes(b"no image at all")

    def fail(_):
        raise AssertionError("a label was touched")

    preprocessing = [*READ, Lambdad("label", fail), CropForegroundd(BOTH, source_key="image")]
    data = EntrySource(entries[:2], entries[2:], preprocessing=preprocessing)
    batches = list(data.loader(data.data.part("train").items))
    assert [batch["id"] for batch in batches] == [["0.nii.gz"], ["1.nii.gz"]]
    assert all(set(batch) == {"image", "id"} for batch in batches)
    with pytest.raises(DataError, match="0.nii.gz"):
        list(data.loader(data.data.part("train").items, with_label=True))


def test_a_loader_with_labels(entries):
    data = EntrySource(entries[:2], entries[2:], preprocessing=READ)
    data.try_network(trained(), [])
    for entry, batch in zip(entries, data.loader(data.data.items, with_label=True), strict=True):
        np.testing.assert_array_equal(batch["label"][0, 0], nib.load(entry["label"]).get_fdata())
        np.testing.assert_array_equal(batch["image"][0, 0], nib.load(entry["image"]).get_fdata())


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (CropForegroundd(BOTH, source_key="label"), "0.nii.gz without its label, which must not be read .*KeyError"),
        (RandCropByPosNegLabeld(BOTH, label_key="label", spatial_size=(4, 4, 4)), "without its label"),
        (Lambdad("image", lambda x: x[:, :0]), "cannot predict '0.nii.gz'"),
    ],
)
def test_a_preprocessing_that_cannot_be_used(spoiled, message, entries):
    data = EntrySource(entries[:2], entries[2:], preprocessing=[*READ, spoiled])
    network = torch.nn.Conv3d(1, 3, 1)
    with pytest.raises(DataError, match=message):
        data.try_network(trained(network), [])


def test_several_crops_of_one_image_are_refused(entries):
    class Twice(MapTransform):
        def __call__(self, data):
            return [data, data]

    data = EntrySource(entries[:2], entries[2:], preprocessing=[*READ, Twice("image")])
    with pytest.raises(DataError, match="0.nii.gz.*no random crops"):
        data.try_network(trained(), [])


# -- what fails early --------------------------------------------------------------------------------------------------


def test_a_network_that_does_not_fit(entries):
    data = EntrySource(entries[:2], entries[2:], preprocessing=READ)
    with pytest.raises(DataError, match="2.nii.gz: its label holds 2 .* 2 classes"):
        data.try_network(trained(Classes(channels=2)), [])
    with pytest.raises(ValueError, match="dropout"):
        EntrySource(entries[:2], entries[2:], preprocessing=READ).try_network(trained(), [Measure.of("bald")])
    onehot = EntrySource(entries[:2], entries[2:], preprocessing=[*READ, AsDiscreted("label", to_onehot=4)])
    with pytest.raises(DataError, match="labels have 4 channels .* network 3"):
        onehot.try_network(trained(), [])


def test_entries_without_labels(entries):
    bare = [{"image": entry["image"]} for entry in entries]
    data = EntrySource(bare[:2], entries[2:], preprocessing=READ)
    data.prepare()
    assert data.data[0].label is None
    assert data.data[2].label == entries[2]["label"]
    data.try_network(trained(), [])
    with pytest.raises(DataError, match="1 entries of the validation list have no 'label', such as 3.nii.gz"):
        EntrySource(entries[:2], [entries[2], bare[3]], preprocessing=READ).try_network(trained(), [])


def test_missing_files_are_listed(entries):
    entries[1]["label"] += ".gone"
    with pytest.raises(DataError, match=r"1 files .* do not exist: .*1.nii.gz.gone"):
        EntrySource(entries[:2], entries[2:], preprocessing=READ).prepare()
    many = [{"image": f"/no/{i}.nii"} for i in range(14)]
    with pytest.raises(DataError, match=r"14 files .*9.nii and 4 more"):
        check_files(many)


# -- how entries are called --------------------------------------------------------------------------------------------


def test_ids_are_paths_below_the_common_folder():
    train = [{"image": f"/data/{case}/t1.nii.gz", "label": f"/data/{case}/seg.nii.gz"} for case in "ab"]
    items = entry_items(train, [{"image": "/data/c/deep/t1.nii.gz", "label": "/data/c/seg.nii.gz"}])
    assert [item.id for item in items] == ["a/t1.nii.gz", "b/t1.nii.gz", "c/deep/t1.nii.gz"]
    assert [item.split for item in items] == ["train", "train", "test"]
    assert items[0].label == "/data/a/seg.nii.gz"
    assert entry_items([], []) == []


def test_slices_of_one_image():
    train = [{"image": "/d/a.nii", "slice": np.int64(z)} for z in range(3)]
    items = entry_items(train, [{"image": "/d/b.nii", "slice": 7}])
    assert [item.id for item in items] == ["a.nii/0000", "a.nii/0001", "a.nii/0002", "b.nii/0007"]
    assert {item.patient for item in items} == {"a.nii", "b.nii"}
    with pytest.raises(DataError, match="a.nii is in the training list and in the validation list"):
        entry_items(train, [{"image": "/d/a.nii", "slice": 9}])
    with pytest.raises(DataError, match="a.nii is listed twice .* 'slice'"):
        entry_items([*train, train[0]], [])


def test_a_list_that_is_repeated_to_be_drawn_from_more_often(entries):
    data = EntrySource(entries[:2] * 3, entries[2:], preprocessing=READ)
    assert [item.id for item in data.data.part("train")] == ["0.nii.gz", "1.nii.gz"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("/d/a.nii", "entry 1 of the training list is a str, not a dictionary"),
        ({"image": np.zeros(3)}, "entry 1 of the training list: its 'image' is a ndarray, not the path"),
        ({"t1": "/no/such/file", "label": "/d/l.nii"}, "entry 1 of the training list has 't1', 'label'; it needs"),
        ({"image": "/d/b.nii"}, "b.nii is listed twice"),
    ],
)
def test_entries_that_cannot_be_used(wrong, message):
    with pytest.raises(DataError, match=message):
        entry_items([{"image": "/d/b.nii"}, wrong], [])


# -- the label as it is stored -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES)
def test_the_stored_label_is_what_nibabel_reads(route, entries):
    transforms = EntryTransforms([*READ, *ROUTES[route][0]])
    for entry in entries:
        label, affine = transforms.stored_label(entry, "a")
        np.testing.assert_array_equal(label[0], nib.load(entry["label"]).get_fdata())
        np.testing.assert_allclose(affine, AFFINE)
    assert transforms.keeps_place == (route == "as stored")


def test_a_transform_that_takes_both_reads_both(entries):
    class Masked(MapTransform):
        """Keeps the label where the image is bright."""

        def __call__(self, data):
            return {**data, "label": data["label"] * (data["image"] > 150)} if "label" in data else data

    label, _ = EntryTransforms([*READ, Masked(BOTH), CenterSpatialCropd(BOTH, roi_size=4)]).stored_label(
        entries[0], "a"
    )
    truth = nib.load(entries[0]["label"]).get_fdata()
    np.testing.assert_array_equal(label[0], np.where(truth == 2, 2, 0))
