# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor, get_track_meta, set_track_meta
from monai.transforms import Compose, DeleteItemsd, EnsureTyped, Flipd, RandFlipd, RandGaussianNoised, SpatialPadd
from torch.utils.data import DataLoader

from monai_al.data import Item, SliceDataset, VolumeCache, slices_of

KEYS = ["image", "label"]


def make(folder, name, patient, shape=(6, 5, 4), channels=1, label=True):
    random = np.random.default_rng(len(name) + shape[0])
    image = random.random((*shape, channels) if channels > 1 else shape).astype(np.float32)
    nib.save(nib.Nifti1Image(image, np.eye(4)), folder / f"{name}.nii")
    nib.save(nib.Nifti1Image(random.integers(0, 3, shape, np.uint8), np.eye(4)), folder / f"{name}_label.nii")
    path = str(folder / f"{name}_label.nii") if label else None
    return slices_of(shape[2], image=str(folder / f"{name}.nii"), volume=name, patient=patient, label=path)


@pytest.fixture
def items(tmp_path):
    return make(tmp_path, "b1", "b") + make(tmp_path, "a1", "a") + make(tmp_path, "b22", "b")


@pytest.fixture
def cache(tmp_path):
    return VolumeCache(tmp_path / "cache", SpatialPadd(KEYS, (8, 6, -1)), {0: 0, 1: 1, 2: 2}, progress=False)


class Changing:
    """A rude transform that writes into what it gets."""

    def __call__(self, entry):
        entry["image"][:] = -1
        entry["label"].fill_(9)
        entry["valid"][:] = False
        entry["extra"] = get_track_meta()
        return entry


class Failing:
    def __call__(self, entry):
        raise RuntimeError("no")


def test_entries_are_the_slices(items, cache):
    dataset = SliceDataset(items, cache)
    assert len(dataset) == 12
    for index, item in enumerate(items):
        entry, volume = dataset[index], cache.get(item)
        assert list(entry) == ["image", "valid", "label", "id", "slice", "patient", "volume"]
        assert (entry["id"], entry["slice"]) == (item.id, index % 4)
        assert (entry["image"].dtype, entry["image"].shape) == (torch.float32, (1, 8, 6))
        assert (entry["label"].dtype, entry["label"].shape) == (torch.uint8, (1, 8, 6))
        assert (entry["valid"].dtype, entry["valid"].shape) == (torch.bool, (1, 8, 6))
        np.testing.assert_array_equal(entry["image"], volume.image[index % 4])
        np.testing.assert_array_equal(entry["label"][0], volume.label[index % 4])
        np.testing.assert_array_equal(entry["valid"][0], volume.valid[0])
        assert (entry["label"][~entry["valid"]] == 255).all()
        assert all(type(entry[key]) is torch.Tensor for key in ("image", "label", "valid"))
    assert [dataset[i]["volume"] for i in range(12)] == [0] * 4 + [1] * 4 + [2] * 4
    assert [dataset[i]["patient"] for i in range(12)] == [0] * 4 + [1] * 4 + [0] * 4


def test_order_and_subset_are_the_given_ones(items, cache):
    chosen = (items[7], items[2], items[7])
    dataset = SliceDataset(chosen, cache)
    assert [dataset[i]["id"] for i in range(3)] == [item.id for item in chosen]
    with pytest.raises(IndexError):
        dataset[3]


def test_entries_are_views(items, cache):
    dataset = SliceDataset(items, cache)
    for index in (0, 3, 9):
        entry, volume = dataset[index], cache.get(items[index])
        for key in ("image", "label", "valid"):
            assert np.shares_memory(entry[key].numpy(), getattr(volume, key))
            assert dataset[index][key].data_ptr() == entry[key].data_ptr()


def test_transforms_get_copies(tmp_path, items, cache):
    before = [{k: SliceDataset(items, cache)[i][k].clone() for k in ("image", "label", "valid")} for i in range(12)]
    dataset = SliceDataset(items, cache, Changing())
    for i in range(12):
        assert (dataset[i]["image"] == -1).all()
    fresh = VolumeCache(tmp_path / "cache", SpatialPadd(KEYS, (8, 6, -1)), {0: 0, 1: 1, 2: 2}, progress=False)
    for found in (SliceDataset(items, cache), SliceDataset(items, fresh)):
        for i in range(12):
            for key, value in before[i].items():
                assert torch.equal(found[i][key], value)


@pytest.mark.parametrize("track", [True, False])
def test_transforms_work_on_plain_tensors_and_the_setting_comes_back(items, cache, track):
    before = get_track_meta()
    try:
        set_track_meta(track)
        assert SliceDataset(items, cache, Changing())[0]["extra"] is False
        assert get_track_meta() is track
        with pytest.raises(RuntimeError, match="no"):
            SliceDataset(items, cache, Failing())[0]
        assert get_track_meta() is track
        chain = Compose([EnsureTyped(KEYS), Flipd(KEYS, 0), RandFlipd(KEYS, 1.0, 1), RandGaussianNoised("image", 1.0)])
        entry = SliceDataset(items, cache, chain)[5]
        assert not isinstance(entry["image"], MetaTensor)
        assert type(entry["label"]) is torch.Tensor
        np.testing.assert_array_equal(entry["label"].flip(1, 2)[0], cache.get(items[5]).label[1])
    finally:
        set_track_meta(before)


class Watched:
    """A volume that counts how often its label and truth are asked for."""

    def __init__(self, volume):
        self.volume, self.asked = volume, 0
        self.image, self.valid, self.geometry = volume.image, volume.valid, volume.geometry

    @property
    def label(self):
        self.asked += 1
        return self.volume.label

    @property
    def truth(self):
        self.asked += 1
        return self.volume.truth


@pytest.mark.parametrize("whole", [False, True])
def test_labels_are_not_read_unless_they_are_wanted(items, cache, whole):
    if whole:
        items = [Item("b1", items[0].image, "b1", "b", items[0].label)]
    watched = {item.image: Watched(cache.get(item)) for item in items}
    watching = SimpleNamespace(get=lambda item: watched[item.image])
    without = SliceDataset(items, watching, with_label=False)
    assert all("label" not in without[i] for i in range(len(items)))
    assert sum(volume.asked for volume in watched.values()) == 0
    assert "label" in SliceDataset(items, watching)[0]
    assert sum(volume.asked for volume in watched.values()) > 0


def test_items_without_label_have_no_entry_for_it(tmp_path, cache):
    cache.transform.allow_missing_keys = True
    entry = SliceDataset(make(tmp_path, "u", "u", label=False), cache)[0]
    assert sorted(entry) == ["id", "image", "patient", "slice", "valid", "volume"]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_and_whole_volumes_are_items(tmp_path, channels):
    cache = VolumeCache(tmp_path / "cache", None, {0: 0, 1: 1, 2: 2}, progress=False)
    flat = make(tmp_path, "flat", "p", (6, 5, 1), channels)[0]
    deep = make(tmp_path, "deep", "q", (6, 5, 4), channels)[0]
    whole = [Item("flat", flat.image, "flat", "p", flat.label), Item("deep", deep.image, "deep", "q", deep.label)]
    image, volume = (SliceDataset(whole, cache)[i] for i in range(2))
    assert (image["id"], image["slice"], volume["id"], volume["slice"]) == ("flat", -1, "deep", -1)
    assert (image["image"].shape, image["label"].shape, image["valid"].shape) == (
        (channels, 6, 5),
        (1, 6, 5),
        (1, 6, 5),
    )
    assert volume["image"].shape == (channels, 6, 5, 4)
    assert volume["label"].shape == volume["valid"].shape == (1, 6, 5, 4)
    stored = nib.load(deep.image).get_fdata(dtype=np.float32).reshape(6, 5, 4, channels)
    np.testing.assert_array_equal(volume["image"], np.moveaxis(stored, -1, 0))
    np.testing.assert_array_equal(volume["label"][0], nib.load(deep.label).get_fdata())
    assert volume["valid"].all()
    for z, entry in enumerate(SliceDataset(make(tmp_path, "deep", "q", (6, 5, 4), channels), cache)):
        np.testing.assert_array_equal(volume["image"][..., z], entry["image"])


def test_valid_of_a_whole_volume_with_padded_slices(tmp_path):
    first = make(tmp_path, "a", "a")[0]
    cache = VolumeCache(tmp_path / "cache", SpatialPadd(KEYS, (8, -1, 6)), {0: 0, 1: 1, 2: 2}, progress=False)
    entry = SliceDataset([Item("a", first.image, "a", "a", first.label)], cache)[0]
    assert entry["image"].shape[1:] == entry["valid"].shape[1:] == (8, 5, 6)
    expected = torch.zeros(1, 8, 5, 6, dtype=torch.bool)
    expected[:, 1:7, :, 1:5] = True
    assert torch.equal(entry["valid"], expected)
    assert torch.equal(entry["label"] == 255, ~expected)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("transform", [None, DeleteItemsd("valid")])
def test_data_loader(items, cache, workers, transform):
    dataset = SliceDataset(items, cache, transform)
    single = [dataset[i] for i in range(12)]
    batches = list(DataLoader(dataset, batch_size=5, num_workers=workers))
    assert [len(batch["id"]) for batch in batches] == [5, 5, 2]
    assert [id for batch in batches for id in batch["id"]] == [item.id for item in items]
    assert ("valid" in batches[0]) is (transform is None)
    for key in ("image", "label"):
        joined = torch.cat([batch[key] for batch in batches])
        assert torch.equal(joined, torch.stack([entry[key] for entry in single]))
    for key in ("slice", "patient", "volume"):
        assert torch.cat([batch[key] for batch in batches]).tolist() == [entry[key] for entry in single]


def test_workers_may_start_from_scratch(items, cache):
    """What another process gets of a data set are names, not arrays."""
    dataset = SliceDataset(items, cache)
    before = dataset[3]
    received = pickle.loads(pickle.dumps(dataset))
    assert received.cache._open == {}
    assert torch.equal(received[3]["image"], before["image"])
