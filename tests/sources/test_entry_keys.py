# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Entries that hold images and labels under keys of their own."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import CopyItemsd, EnsureChannelFirstd, Lambdad, LoadImaged, MapTransform, SpatialPadd

from monai_al.bundle import BundleConfigError, TrainingConfig
from monai_al.data import DataError
from monai_al.inferers import TrainedNetwork
from monai_al.passes import evaluate_items
from monai_al.sources.entry_settings import EntrySettings
from monai_al.sources.entry_source import EntrySource
from monai_al.sources.entry_transforms import EntryTransforms
from monai_al.sources.source_of import source_of

KEYS = EntrySettings(image_key="ct", label_key="organ")
OWN = ["ct", "organ"]
READ = [LoadImaged(OWN), EnsureChannelFirstd(OWN, channel_dim="no_channel")]


class Threshold(torch.nn.Module):
    def forward(self, x):
        return torch.cat([50 - x, x - 50], dim=1)


def trained():
    return TrainedNetwork(Threshold(), torch.device("cpu"), lambda image, network: network(image), "softmax")


@pytest.fixture
def entries(tmp_path):
    made = []
    for number in range(3):
        label = np.zeros((8, 7, 6), np.uint8)
        label[1 + number : 4 + number, 2:5, 1:4] = 1
        for name, array in (("ct", label * 100), ("organ", label)):
            nib.save(nib.Nifti1Image(array, np.diag([2.0, 2, 3, 1])), tmp_path / f"{name}_{number}.nii.gz")
        made.append({key: str(tmp_path / f"{key}_{number}.nii.gz") for key in OWN})
    return made


@pytest.mark.parametrize("made", [[], [CopyItemsd(OWN, names=["image", "label"])]], ids=["own keys", "usual keys"])
def test_entries_with_keys_of_their_own(made, entries):
    """Preprocessed, an entry has the usual keys, or keeps its own."""
    padded = SpatialPadd(["image", "label"] if made else OWN, spatial_size=(10, 10, 10))
    data = EntrySource(entries[:2], entries[2:], preprocessing=[*READ, *made, padded], settings=KEYS)
    assert [item.id for item in data.data] == [f"ct_{n}.nii.gz" for n in range(3)]
    assert data.data[0].label == entries[0]["organ"]
    data.prepare()
    data.try_network(trained(), [])
    assert evaluate_items(data, trained(), data.data.part("test").items)["dice_3d"]["mean"] == 1
    assert data.cost(data.data[:1], ["full"])["foreground_voxels"] == 27
    assert set(data.hashes()) == {path for entry in entries for path in entry.values()}


def test_a_label_comes_back_under_the_bundles_own_key(entries):
    bare = [{"ct": entry["ct"]} for entry in entries[:2]]
    data = EntrySource(bare, entries[2:], preprocessing=READ, settings=KEYS)
    returned = replace(data.data[0], label=entries[1]["organ"])
    assert data.entries([returned, data.data[1]]) == ({"ct": entries[0]["ct"], "organ": entries[1]["organ"]}, bare[1])
    assert data.annotated_share(returned) == 1


class Joined(MapTransform):
    """Two maps become one, as of nuclei and their types."""

    def __call__(self, data):
        found = dict(data)
        if "label_type" in data:
            found["label_inst"] = data["label_inst"] * (data["label_type"] > 0)
        return found


def test_several_labels_of_one_image(entries, tmp_path):
    """None of them is read where an item is scored, and all are where its label is."""

    def never(_):
        raise AssertionError("a label was read")

    several = [{"image": e["ct"], "label_type": e["organ"], "label_inst": e["organ"]} for e in entries]
    keys = ["image", "label_inst", "label_type"]
    read = [LoadImaged(keys), EnsureChannelFirstd(keys, channel_dim="no_channel"), Joined(keys)]
    settings = EntrySettings(label_key="label_inst")
    data = EntrySource(several[:2], several[2:], preprocessing=read, settings=settings)
    data.try_network(trained(), [])
    assert evaluate_items(data, trained(), data.data.part("test").items)["dice_3d"]["mean"] == 1
    before = data.hashes()
    nib.save(nib.Nifti1Image(np.zeros((8, 7, 6), np.uint8), np.eye(4)), tmp_path / "type.nii.gz")
    several[0]["label_type"] = str(tmp_path / "type.nii.gz")
    changed = EntrySource(several[:2], several[2:], preprocessing=read, settings=settings)
    assert {path for path, found in changed.hashes().items() if before[path] != found} == {entries[0]["organ"]}
    unseen = [*read, Lambdad(["label_inst", "label_type"], never)]
    scored = EntrySource(several[:2], several[2:], preprocessing=unseen, settings=settings)
    assert len(list(scored.loader(scored.data.items))) == 3
    with pytest.raises(DataError, match="a label was read"):
        list(scored.loader(scored.data.items, with_label=True))


def test_a_key_that_the_preprocessing_does_not_make(entries):
    """An entry's own ``label`` is none where another key is named: here the number of a class."""
    classes = [{**entry, "label": 3} for entry in entries]
    transforms = EntryTransforms(READ, settings=KEYS)
    assert transforms.network_input(classes[0], "a", with_label=True)["label"].shape == (1, 8, 7, 6)
    assert transforms.stored_label(classes[0], "a")[0].sum() == 27


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (EntrySettings("mr"), "entry 0 of the training list has 'ct', 'organ'; it needs an 'mr': --image_key says"),
        (EntrySettings("ct", "tumor"), "1 entries of the validation list have no 'tumor', .* keys are 'ct', 'organ'"),
        (EntrySettings("ct"), "have no 'label', such as ct_2.nii.gz, whose keys are 'ct', 'organ': .*--label_key says"),
        (EntrySettings(label_key="organ"), "gives the keys 'ct'.* 'image' is needed.*--image_key takes another key"),
    ],
)
def test_keys_that_entries_do_not_have(settings, message, entries):
    with pytest.raises(DataError, match=message):
        EntrySource(entries[:2], entries[2:], preprocessing=READ, settings=settings).try_network(trained(), [])


def test_what_is_said_of_entries_where_there_are_none():
    own = TrainingConfig({"pool": {"_target_": "monai_al.data.Pool", "items": []}, "cache": "$object()"})
    with pytest.raises(BundleConfigError, match="--label_key and --patient: only for bundles that were written"):
        source_of(own, entries=EntrySettings(label_key="seg", patient="(p)"))
