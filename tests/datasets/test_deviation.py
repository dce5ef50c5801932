# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import nibabel
import numpy as np
import pytest

from monai_al.datasets import phantom, slice_deviations
from monai_al.records import DataError, split_by_patient


def test_equals_reading_scaling_and_comparing_by_hand(tmp_path):
    """At the size of the files, so that nothing is resampled; items of the test part have no share."""
    pool = split_by_patient(phantom(tmp_path, patients=3, shape=(16, 16, 6)), test=0.34)
    items = pool.part("train").items
    planes = []
    for item in items:
        volume = nibabel.load(item.image).get_fdata()
        low, high = volume.min(), np.percentile(volume, 99)
        planes.append(((volume[..., item.slice] - low) / (high - low)).clip(0, 1))
    kinds = {
        "all": lambda a, b: True,
        "patient": lambda a, b: a.patient == b.patient,
        "volume": lambda a, b: a.volume == b.volume,
        "neighbors": lambda a, b: a.volume == b.volume and abs(a.slice - b.slice) == 1,
    }
    found = slice_deviations(pool, size=16)
    assert list(found) == list(kinds)
    for name, fits in kinds.items():
        pairs = [(i, j) for i, j in itertools.combinations(range(len(items)), 2) if fits(items[i], items[j])]
        assert found[name].pairs == len(pairs)
        expected = np.mean([np.abs(planes[i] - planes[j]).mean() for i, j in pairs])
        assert found[name].mean == pytest.approx(expected, abs=1e-5)


def test_channels_and_sizes(tmp_path):
    found = slice_deviations(phantom(tmp_path, patients=1, shape=(16, 16, 6), channels=3), size=8)
    assert 0 < found["neighbors"].mean < found["all"].mean < 1


def test_whole_volumes_have_no_pairs_of_slices(tmp_path):
    with pytest.raises(DataError, match="pairs are those of slices"):
        slice_deviations(phantom(tmp_path, patients=1, item="volume"))
