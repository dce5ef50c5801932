# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The entries behind the data sets that bundles train on."""

from __future__ import annotations

import numpy as np
import pytest
from monai.data import CacheDataset, Dataset, NPZDictItemDataset, PersistentDataset, SmartCacheDataset
from monai.transforms import Lambda
from torch.utils.data import DataLoader, IterableDataset, Subset

from monai_al.bundle import BundleConfigError
from monai_al.bundle.dataset_entries import entries_of, put_entries, transform_of, uncached


class Endless(IterableDataset):
    def __iter__(self):
        return iter(())


ENTRIES = [{"image": f"{number}.nii"} for number in range(4)]


@pytest.fixture
def npz(tmp_path):
    np.savez(tmp_path / "all.npz", images=np.arange(12).reshape(3, 2, 2), segs=np.ones((3, 2, 2)))
    return NPZDictItemDataset(str(tmp_path / "all.npz"), {"images": "image", "segs": "label"})


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        (Dataset(ENTRIES), ENTRIES),
        (Dataset(tuple(ENTRIES)), ENTRIES),
        (Subset(Dataset(ENTRIES), [2, 0]), [ENTRIES[2], ENTRIES[0]]),
        (Subset(Subset(Dataset(ENTRIES), [3, 2, 1]), [0, 2]), [ENTRIES[3], ENTRIES[1]]),
        (Dataset(Subset(Dataset(ENTRIES), [1]), transform=len), [ENTRIES[1]]),
        (Dataset([]), []),
        (iter(()), None),
        (Endless(), None),
        (None, None),
    ],
)
def test_they_are_found(dataset, expected):
    assert entries_of(dataset) == expected


def test_what_reads_one_file_has_its_items_as_entries(npz):
    (entry,) = entries_of(CacheDataset(Subset(npz, [2]), transform=None, progress=False))
    assert entry["image"].tolist() == [[8, 9], [10, 11]]


def test_others_take_their_place_and_other_subsets_keep_theirs():
    whole = Dataset(ENTRIES, transform=lambda entry: entry["image"])
    train, test = Subset(whole, [0, 1]), Subset(whole, [2])
    loader = DataLoader(train, batch_size=1, shuffle=True)
    put_entries(loader.dataset, [{"image": "a"}, {"image": "b"}, {"image": "c"}])
    assert sorted(batch[0] for batch in loader) == ["a", "b", "c"]
    assert [test[0], entries_of(test), transform_of(test)({"image": 5})] == ["2.nii", [ENTRIES[2]], 5]
    with pytest.raises(BundleConfigError, match="a list, which has no 'data'"):
        put_entries([1], [2])


@pytest.mark.parametrize("some", [False, True])
def test_one_data_set_in_another(some):
    """The outer one takes what the inner one made of an entry, also of others that take its place."""
    inner = CacheDataset(ENTRIES, transform=lambda entry: entry["image"], progress=False)
    outer = CacheDataset(Subset(inner, [1, 2]) if some else inner, lambda text: f"read {text}", progress=False)
    assert entries_of(outer) == (ENTRIES[1:3] if some else ENTRIES)
    assert transform_of(outer)({"image": "a"}) == "read a"
    put_entries(outer, [{"image": "b"}, {"image": "c"}])
    assert [outer[i] for i in range(len(outer))] == ["read b", "read c"]


def test_what_keeps_its_items_itself_takes_no_others(npz):
    npz.transform = lambda entry: {key: value + 1 for key, value in entry.items()}
    assert [int(entry["image"][0, 0]) for entry in entries_of(npz)] == [0, 4, 8]  # before its transform
    assert transform_of(npz) is npz.transform
    for dataset in (npz, Subset(npz, [0, 1])):
        with pytest.raises(BundleConfigError, match="a NPZDictItemDataset, which keeps its items itself"):
            put_entries(dataset, [{"image": np.zeros((2, 2))}])


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (CacheDataset, {"num_workers": 0}),
        (SmartCacheDataset, {"replace_rate": 0.5, "num_init_workers": 0, "num_replace_workers": 0, "shuffle": False}),
    ],
)
def test_nothing_is_read_ahead_but_for_some_entries(kind, options):
    read: list[int] = []
    some = ({"image": 1}, {"image": 2}, {"image": 3})
    options |= {"cache_num": 2, "progress": False, "transform": Lambda(lambda entry: read.append(entry["image"]))}
    with uncached(but=some):
        kind([{"image": 9}] * 3, **options)
        assert read == []
        kind(some, **options)
    assert sorted(read) == [1, 2]
    kind([{"image": 9}] * 3, **options)
    assert sorted(read) == [1, 2, 9, 9]


def test_a_persistent_data_set_takes_others(tmp_path):
    dataset = PersistentDataset(ENTRIES, transform=lambda entry: entry["image"], cache_dir=tmp_path / "cache")
    put_entries(dataset, [{"image": "new"}])
    assert [dataset[i] for i in range(len(dataset))] == ["new"]
