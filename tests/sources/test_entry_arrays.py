# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Entries whose images and labels are arrays in memory."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from monai.data import NPZDictItemDataset
from monai.transforms import EnsureChannelFirstd, EnsureTyped, Resized
from torch.utils.data import Subset

from monai_al.annotators import Folder, Work
from monai_al.annotators.base import Answer
from monai_al.data import DataError
from monai_al.engines.answers import record_answer
from monai_al.engines.label_import import import_labels
from monai_al.inferers import TrainedNetwork
from monai_al.passes import evaluate_items
from monai_al.records import Label, Query, QueryItem, RunFolder, pool_to_json
from monai_al.records.files import write_json
from monai_al.sources.entry_source import EntrySource

BOTH = ["image", "label"]
READ = [EnsureChannelFirstd(BOTH, channel_dim="no_channel"), EnsureTyped(BOTH)]
NAMES = [f"{part}/000{n}" for part, size in (("train", 3), ("test", 2)) for n in range(size)]


@pytest.fixture
def stored(tmp_path):
    """A small file of arrays: boxes, nowhere the same."""
    labels = np.zeros((5, 12, 10), np.uint8)
    for number, label in enumerate(labels):
        label[1 + number : 5 + number, 2:6] = 1
    np.savez(tmp_path / "data.npz", pictures=labels * 100.0, masks=labels)
    return tmp_path / "data.npz"


class Threshold(torch.nn.Module):
    def forward(self, x):
        return torch.cat([50 - x, x - 50], dim=1)


def trained():
    return TrainedNetwork(Threshold(), torch.device("cpu"), lambda image, network: network(image), "softmax")


@pytest.mark.parametrize("kind", ["npz", "subset", "arrays", "tensors"])
def test_items_of_arrays(kind, stored):
    whole = NPZDictItemDataset(str(stored), {"pictures": "image", "masks": "label"})
    entries = list(whole)
    if kind == "subset":
        entries = [*Subset(whole, [0, 1, 2]), *Subset(whole, [3, 4])]
    elif kind == "arrays":
        entries = [{key: np.array(value) for key, value in one.items()} for one in entries]
    elif kind == "tensors":
        entries = [{key: torch.as_tensor(value) for key, value in one.items()} for one in entries]
    data = EntrySource(entries[:3], entries[3:], preprocessing=READ)
    assert [item.id for item in data.data] == NAMES
    assert [item.patient for item in data.data] == NAMES
    assert data.data.notes == (
        "Every array counts as a patient of its own, unless its entry has a key 'patient', or --patient tells.",
    )
    data.prepare()
    data.try_network(trained(), [])
    found = evaluate_items(data, trained(), data.data.part("test").items)
    assert found["dice_3d"]["mean"] == 1
    assert found["dice_3d"]["per_volume"].keys() == {"test/0000", "test/0001"}
    assert data.placeholder_spacing(data.data.items)
    cost = data.cost(data.data.part("train").items, ["full"] * 3)
    assert (cost["voxels"], cost["foreground_voxels"], cost["slices"]) == (3 * 120, 3 * 16, 3)
    assert data.present(data.data.items).all()
    for entry, given in zip(data.entries(data.data.items), entries, strict=True):
        assert all(entry[key] is given[key] for key in BOTH)


def test_a_grid_that_the_preprocessing_changes(stored):
    finer = Resized(BOTH, spatial_size=(24, 20), mode="nearest")
    entries = list(NPZDictItemDataset(str(stored), {"pictures": "image", "masks": "label"}))
    data = EntrySource(entries[:3], entries[3:], preprocessing=[*READ, finer])
    data.try_network(trained(), [])
    assert evaluate_items(data, trained(), data.data.part("test").items)["dice_3d"]["mean"] == 1


def test_labels_are_not_seen_before_they_are_there(stored):
    entries = list(NPZDictItemDataset(str(stored), {"pictures": "image", "masks": "label"}))
    data = EntrySource(entries[:3], entries[3:], preprocessing=READ)
    assert all(set(batch) == {"image", "id"} for batch in data.loader(data.data.items))


def test_records_hold_no_array(stored):
    entries = list(NPZDictItemDataset(str(stored), {"pictures": "image", "masks": "label"}))
    data = EntrySource(entries[:3], entries[3:], preprocessing=READ)
    hashes = data.hashes()
    content = pool_to_json(data.data, hashes)
    assert len(json.dumps(content)) < 5000
    assert content["items"][1]["image"] == "array:train/0001/image"
    assert len(set(hashes.values())) == 10
    entries[1]["image"] = entries[1]["image"] + 1
    changed = EntrySource(entries[:3], entries[3:], preprocessing=READ).hashes()
    assert {path for path, found in changed.items() if hashes[path] != found} == {"array:train/0001/image"}


def test_what_looks_the_same_when_it_is_printed_is_not_the_same():
    """Large arrays are printed in part; all but one pixel in their middle are equal."""
    made = [{"image": np.zeros((200, 200)), "label": np.eye(200)} for _ in range(4)]
    for number, entry in enumerate(made):
        entry["image"][100, 100] = 1 + number
    assert len(EntrySource(made[:3], made[3:], preprocessing=[]).data) == 4
    assert len(EntrySource(made[:3] * 2, made[3:], preprocessing=[]).data) == 4  # a list that is repeated


def test_an_entrys_own_patient():
    made = [{"image": np.full((4, 4), n), "label": np.eye(4), "patient": np.int64(n // 2)} for n in range(4)]
    data = EntrySource(made[:2], made[2:], preprocessing=[])
    assert [item.patient for item in data.data] == ["0", "0", "1", "1"]


# -- what needs files --------------------------------------------------------------------------------------------------


@pytest.fixture
def data():
    made = [{"image": np.full((4, 4), n), "label": np.eye(4)} for n in range(4)]
    return EntrySource(made[:3], made[3:], preprocessing=READ)


def test_people_cannot_be_handed_arrays(data, tmp_path):
    with pytest.raises(DataError, match=r"images are arrays, such as train/0000, not files. Handing out work"):
        Folder().check(data)
    with pytest.raises(DataError, match="images are arrays, such as train/0000"):
        Work(tmp_path, data).image(data.data[0])


def test_labels_cannot_be_imported(data, tmp_path):
    write_json(tmp_path / "run.json", {})
    write_json(tmp_path / "pool.json", pool_to_json(data.data, data.hashes()))
    with pytest.raises(DataError, match=r"images are arrays, such as train/0000, not files. Taking labels that people"):
        import_labels(tmp_path, "somebody")


def test_a_file_is_no_label_of_an_array(data, tmp_path):
    (tmp_path / "label.nii").write_bytes(b"whatever")
    query = Query(0, "random", 0, (QueryItem("train/0001"),))
    answer = Answer((Label("train/0001", where=str(tmp_path / "label.nii")),))
    with pytest.raises(DataError, match=r"images are arrays, such as train/0001, not files. A label that comes back"):
        record_answer(RunFolder(tmp_path / "run"), query, answer, "somebody", data)
