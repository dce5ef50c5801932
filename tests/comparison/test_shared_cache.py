# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Two runs of a comparison that start at once with one empty cache."""

from __future__ import annotations

import threading

import numpy as np

from monai_al.data import VolumeCache
from monai_al.datasets import phantom
from monai_al.records.files import TEMPORARY

MEET = threading.Barrier(2, timeout=30)


def doubled(data):
    """A preprocessing in which both runs meet, so that both write the same entry at once."""
    MEET.wait()
    return {**data, "image": data["image"] * 2}


def test_both_runs_get_whole_volumes_and_one_copy_stays(tmp_path):
    pool = phantom(tmp_path / "data", patients=1, shape=(16, 16, 6))
    items = list({item.image: item for item in pool}.values())
    caches = [VolumeCache(tmp_path / "cache", doubled, pool.label_values, progress=False) for _ in range(2)]
    failures = []

    def prepare(cache):
        try:
            cache.prepare(items)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=prepare, args=(cache,)) for cache in caches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for item in items:
        first, second = (cache.get(item) for cache in caches)
        assert np.array_equal(first.image, second.image)
        assert np.array_equal(first.label, second.label)
    for kind in ("images", "labels"):
        assert len(list((tmp_path / "cache" / kind).iterdir())) == len(items)
    assert not list((tmp_path / "cache").rglob(f"{TEMPORARY}*"))
