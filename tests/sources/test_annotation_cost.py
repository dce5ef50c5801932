# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What both sources say of the cost of labels."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.transforms import EnsureChannelFirstd, LoadImaged

from monai_al.records import Item, Pool, slices_of
from monai_al.records.cost_model import AreaScale, CostSettings
from monai_al.sources import SliceSource
from monai_al.sources.entry_source import EntrySource

ASSUMED = CostSettings(scribble_speed=10, slice_overhead=0.25, opening_cost=3)


class Cache:
    """Label file -> its class numbers (slices, rows, columns)."""

    def __init__(self, truths):
        self.truths = truths

    def get(self, item):
        truth = self.truths.get(item.label)
        rows = (4, 4, 3) if truth is None else (*truth.shape[1:], len(truth))
        return SimpleNamespace(truth=truth, geometry=SimpleNamespace(stored_shape=rows))


def items_of(names, *, whole=False):
    if whole:
        return [Item(name, name, name, name, label=name) for name in names]
    return [item for name in names for item in slices_of(3, image=name, volume=name, patient=name, label=name)]


def truths_of(seed, names="abc", *, n=3):
    generator = np.random.default_rng(seed)
    return {name: (generator.random((n, 4, 4)) < generator.random((n, 1, 1)) ** 3).astype(np.uint8) for name in names}


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), whole=st.booleans(), data=st.data())
def test_costs_of_a_pool_equal_loops(seed, whole, data):
    truths = truths_of(seed)
    items = items_of("abc", whole=whole)
    labeled = data.draw(st.lists(st.sampled_from(items), unique=True, min_size=1))
    kinds = [data.draw(st.sampled_from(["full", "weak"])) for _ in labeled]
    scribbles = {name: np.where(truth, 255, truth) for name, truth in truths.items()}  # they leave the foreground out
    cache = Cache({**truths, **{f"weak {name}": own for name, own in scribbles.items()}})
    answered = [
        item if kind == "full" else replace(item, label=f"weak {item.label}")
        for item, kind in zip(labeled, kinds, strict=True)
    ]
    found = SliceSource(Pool(items), cache).cost(answered, kinds, ASSUMED)

    filled = [int(plane.sum()) for truth in truths.values() for plane in truth if plane.any()]
    slices = area = 0.0
    for item, kind in zip(labeled, kinds, strict=True):
        price = 0.1 if kind == "weak" else 1.0
        for plane in truths[item.volume] if whole else [truths[item.volume][item.slice]]:
            slices += price
            area += price * (0.25 + (0.75 * plane.sum() / np.mean(filled) if filled else 0))
    opened = len({item.volume for item in labeled})
    assert found["total"] == pytest.approx(kinds.count("full") + kinds.count("weak") / 10)
    assert found["models"] == pytest.approx({"slices": slices, "area": area, "volumes": 3 * opened + slices})
    assert found["parameters"]["mean_area_of"] == ("the pool" if filled else None)
    assert found["slices"] == sum(3 if whole else 1 for _ in labeled)


def test_what_was_there_stays_what_it_was():
    source = SliceSource(Pool(items_of("abc")), Cache(truths_of(0)))
    found = source.cost(source.data.items[:4], ["full", "weak", "full", "weak"])
    assert found["total"] == 2.0 + 2 * (1 / 15)
    assert found["per_kind"] == {"full": {"items": 2, "cost": 2.0}, "weak": {"items": 2, "cost": 2 * (1 / 15)}}
    assert (found["items"], found["volumes"], found["patients"], found["voxels"]) == (4, 2, 2, 64)
    assert found["sensitivity"]["5"]["total"] == pytest.approx(2.4)
    assert list(found["sensitivity"]) == ["5", "10", "20"]


def test_strokes_without_a_mask_have_no_area():
    truths = truths_of(1)
    strokes = {name: np.where(np.arange(4) % 2, 255, truth) for name, truth in truths.items()}
    source = SliceSource(Pool(items_of("abc")), Cache(strokes))
    items = source.data.items[:2]
    found = source.cost(items, ["weak", "weak"])
    assert (found["models"]["area"], found["parameters"]["mean_area"]) == (None, None)
    assert found["models"]["slices"] == pytest.approx(2 / 15)
    assert all(own["area"] is None for own in found["sensitivity"].values())


def test_without_all_masks_the_mean_is_that_of_the_first_full_labels_and_stays():
    truths = {name: np.full((3, 4, 4), 0, np.uint8) for name in "ab"}
    truths["a"][0, :2, :2], truths["a"][1] = 1, 1  # 4 and 16 pixels
    source = SliceSource(Pool([*items_of("a"), *(replace(item, label=None) for item in items_of("b"))]), Cache(truths))
    first = source.cost(source.data.items[:1], ["full"])
    assert first["models"]["area"] == pytest.approx(1)
    assert first["parameters"]["mean_area_of"] == "the first full labels"
    scale = AreaScale.of_cost(first)
    assert scale == AreaScale(4.0, "the first full labels")
    second = source.cost(source.data.items[:3], ["full"] * 3, None, scale)
    assert second["models"]["area"] == pytest.approx(1 + (0.2 + 0.8 * 4) + 0.2)
    assert AreaScale.of_cost(second) == scale


def test_entries_of_a_foreign_bundle(tmp_path):
    """Slices of volumes lie along the last axis; a weak label has the area of the mask in the datalist."""
    truths, entries = truths_of(5, n=5), []
    for name, truth in truths.items():
        for kind, values in (("image", truth), ("label", truth), ("scribble", np.where(truth, 255, truth))):
            nib.save(nib.Nifti1Image(values.transpose(1, 2, 0), np.eye(4)), tmp_path / f"{name}_{kind}.nii.gz")
        entries.append({key: str(tmp_path / f"{name}_{key}.nii.gz") for key in ("image", "label")})
    keys = ["image", "label"]
    source = EntrySource(entries[:2], entries[2:], preprocessing=[LoadImaged(keys), EnsureChannelFirstd(keys)])
    first, second, _ = source.data.items
    drawn = replace(second, label=str(tmp_path / "b_scribble.nii.gz"))
    found = source.cost([first, drawn], ["full", "weak"], ASSUMED)
    filled = [plane.sum() for name in "ab" for plane in truths[name] if plane.any()]
    prices = [(0.25 * 5 + 0.75 * truths[name].sum() / np.mean(filled)) for name in "ab"]
    assert found["models"] == pytest.approx({"slices": 5.5, "area": prices[0] + prices[1] / 10, "volumes": 6 + 5.5})
    (tmp_path / "b_label.nii.gz").write_bytes(b"broken")  # it is told where somebody asks for it
    again = EntrySource(entries[:2], entries[2:], preprocessing=[LoadImaged(keys), EnsureChannelFirstd(keys)])
    assert again.cost([first], ["full"])["parameters"]["mean_area_of"] == "the first full labels"
