# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_al.data import DataError, Item, Pool, slices_of, split_by_patient, whole_volumes
from monai_al.datasets import phantom


def test_it_is_the_pool_of_volumes(tmp_path):
    shape = {"patients": 3, "shape": (16, 16, 6)}
    slices, volumes = (phantom(tmp_path, item=item, **shape) for item in ("slice", "volume"))
    found = whole_volumes(slices)
    assert list(found) == list(volumes)
    assert (found.classes, found.label_values, found.root, found.notes) == (
        volumes.classes, volumes.label_values, volumes.root, volumes.notes
    )  # fmt: skip
    assert list(whole_volumes(volumes)) == list(volumes)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 5)), unique=True), st.integers(0, 3))
def test_one_item_for_each_volume(places, seed):
    items = [Item(f"{v}/{z:04d}", f"{v}.nii", v, f"patient {v}", f"{v}_seg.nii", z) for v, z in places]
    pool = Pool(items)
    if len({item.patient for item in items}) > 2:
        pool = split_by_patient(pool, test=0.3, seed=seed)
    found = whole_volumes(pool)
    names = []
    for item in items:
        names += [] if item.volume in names else [item.volume]
    assert [item.id for item in found] == names
    split = {item.volume: item.split for item in pool}
    for item in found:
        expected = {"image": f"{item.id}.nii", "label": f"{item.id}_seg.nii", "volume": item.id, "slice": None}
        assert expected.items() <= asdict(item).items()
        assert (item.patient, item.split) == (f"patient {item.id}", split[item.id])


def test_images_stay_as_they_are():
    items = [Item(name, f"{name}.png", name, name) for name in "ab"]
    assert list(whole_volumes(Pool(items))) == items


def test_a_volume_in_several_files_is_refused():
    frames = [Item(f"dog/{z:04d}", f"dog/{z:05d}.jpg", "dog", "dog", slice=z) for z in range(2)]
    with pytest.raises(DataError, match="volume 'dog' lies in several files, such as dog/00000.jpg and dog/00001.jpg"):
        whole_volumes(Pool(frames))
    masks = slices_of(2, image="a.nii", volume="a", patient="a")[:1]
    masks += slices_of(2, image="a.nii", volume="a", patient="a", label="a_seg.nii")[1:]
    with pytest.raises(DataError, match="volume 'a' lies in several files"):
        whole_volumes(Pool(masks))
