# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor, get_track_meta, set_track_meta
from monai.transforms import Compose

from monai_al.transforms import RandLabelAffined

RANGES = {"rotate_range": 0.5, "scale_range": [0.3, 0.3], "translate_range": [5, 5], "shear_range": [0.2, 0.2]}


@pytest.fixture(autouse=True)
def _plain_tensors():
    before = get_track_meta()
    set_track_meta(False)
    yield
    set_track_meta(before)


def transform(prob=1.0, image_mode="nearest", image_padding="zeros", **ranges):
    return RandLabelAffined(
        ["image", "label"], prob=prob, mode=[image_mode, "nearest"], padding_mode=[image_padding, "zeros"],
        **(ranges or RANGES),
    )  # fmt: skip


def label_of(seed, shape=(20, 17), low=1):
    return torch.from_numpy(np.random.default_rng(seed).integers(low, 5, (1, *shape), dtype=np.uint8))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), shape=st.tuples(st.integers(5, 24), st.integers(5, 24)))
def test_image_and_label_stay_aligned_and_outside_is_not_annotated(seed, shape):
    """With the label as image, filled by 0 outside, both must agree: 255 stands exactly where the image was left."""
    label = label_of(seed, shape)
    change = RandLabelAffined(["image", "label"], prob=1.0, mode="bilinear", padding_mode="zeros", **RANGES)
    change.mode = ("bilinear", "nearest")  # what a config gives as a list
    change.set_random_state(seed)
    # a smooth image: each pixel's own coordinates, and a channel of ones that tells what lies inside
    y, x = torch.meshgrid(*(torch.arange(float(n)) for n in shape), indexing="ij")
    out = change({"image": torch.stack([y, x, torch.ones(shape)]), "label": label})
    assert (out["label"].dtype, out["label"].shape) == (torch.uint8, (1, *shape))
    rows, columns, weight = out["image"]
    for i, j in np.ndindex(*shape):
        if weight[i, j] > 0.999:  # entirely inside, where the coordinates are those of the source
            near = {
                int(label[0, a, b])
                for a in {round(float(rows[i, j]) - 0.01), round(float(rows[i, j]) + 0.01)}
                for b in {round(float(columns[i, j]) - 0.01), round(float(columns[i, j]) + 0.01)}
                if 0 <= a < shape[0] and 0 <= b < shape[1]
            }
            assert int(out["label"][0, i, j]) in near
        elif weight[i, j] == 0:
            assert out["label"][0, i, j] == 255


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), not_annotated=st.booleans())
def test_equal_image_and_label_stay_equal(seed, not_annotated):
    label = label_of(seed)
    if not_annotated:
        label[:, 3:9, 4:12] = 255
    out = transform().set_random_state(seed)({"image": label.float(), "label": label})
    outside = out["image"] == 0  # the label holds no 0
    assert torch.equal(out["label"] == 255, outside | (out["image"] == 255))
    assert torch.equal(out["label"][~outside].float(), out["image"][~outside])


def test_a_shift_by_hand():
    shift = transform(translate_range=[(2, 2), (-1, -1)])
    label = label_of(0, (6, 5), low=0)
    label[0, 3, 2] = 255
    out = shift({"image": label.float(), "label": label})["label"]
    expected = torch.full((1, 6, 5), 255, dtype=torch.uint8)
    for i in range(6):
        for j in range(5):
            if i + 2 < 6 and j - 1 >= 0:
                expected[0, i, j] = label[0, i + 2, j - 1]
    assert torch.equal(out, expected)
    assert (out == 255).sum() > (6 * 5 - 4 * 4)


def test_background_stays_background_and_not_annotated_stays_so():
    for value in (0, 1, 254, 255):
        label = torch.full((1, 16, 16), value, dtype=torch.uint8)
        found = set()
        for seed in range(5):
            out = transform().set_random_state(seed)({"image": label.float(), "label": label})["label"]
            found |= set(out.unique().tolist())
        assert found == {value, 255}


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
def test_nothing_changes_with_prob_zero(dtype):
    label = label_of(1).to(dtype)
    label[0, 0, 0] = 255
    image = torch.rand(1, 20, 17)
    given_label, given_image = label.clone(), image.clone()
    out = transform(prob=0.0, image_mode="bilinear")({"image": image, "label": label, "id": "a"})
    assert torch.equal(out["label"].long(), given_label.long())
    assert torch.equal(out["image"], given_image)
    assert out["id"] == "a"


def test_inputs_stay_as_they_are():
    image, label = torch.rand(1, 20, 17), label_of(2)
    before = image.clone(), label.clone()
    data = {"image": image, "label": label}
    transform()(data)
    assert data["image"] is image
    assert data["label"] is label
    assert torch.equal(image, before[0])
    assert torch.equal(label, before[1])


def test_reproducible_under_a_random_state():
    data = {"image": torch.rand(1, 20, 17), "label": label_of(3)}
    change = transform(prob=0.7, image_mode="bilinear", image_padding="border")
    runs = []
    for _ in range(2):
        change.set_random_state(11)
        runs.append([change(data) for _ in range(6)])
    for a, b in zip(*runs, strict=True):
        assert torch.equal(a["image"], b["image"])
        assert torch.equal(a["label"], b["label"])
    assert len({run["image"].sum().item() for run in runs[0]}) > 3
    through_compose = []
    for _ in range(2):
        chain = Compose([transform(image_mode="bilinear")])
        chain.set_random_state(5)
        through_compose.append(chain(data)["label"])
    assert torch.equal(*through_compose)


def test_a_missing_label_is_allowed_where_it_is_said():
    change = RandLabelAffined(
        ["image", "label"], prob=1.0, mode=["bilinear", "nearest"], padding_mode=["border", "zeros"],
        allow_missing_keys=True, **RANGES,
    )  # fmt: skip
    assert list(change({"image": torch.rand(1, 8, 8)})) == ["image"]
    with pytest.raises(KeyError):
        transform()({"image": torch.rand(1, 8, 8)})


def test_volumes_and_meta_tensors():
    set_track_meta(True)
    label = label_of(4, (8, 9, 7))
    change = RandLabelAffined("label", prob=1.0, mode="nearest", padding_mode="zeros", translate_range=[(3, 3)] * 3)
    out = change({"label": MetaTensor(label, affine=torch.eye(4))})["label"]
    expected = torch.full((1, 8, 9, 7), 255, dtype=torch.uint8)
    expected[:, :5, :6, :4] = label[:, 3:, 3:, 3:]
    assert torch.equal(out.as_tensor(), expected)


def test_other_paddings_and_laziness_are_refused():
    data = {"image": torch.rand(1, 8, 8), "label": label_of(5, (8, 8))}
    for padding in ("border", "reflection"):
        with pytest.raises(ValueError, match=f"label 'label' has padding mode '{padding}'"):
            RandLabelAffined(["image", "label"], prob=1.0, mode=["bilinear", "nearest"], padding_mode=padding)(data)
    with pytest.raises(ValueError, match="lazy"):
        transform()(data, lazy=True)
    lazy = RandLabelAffined("label", prob=1.0, mode="nearest", padding_mode="zeros", lazy=True)
    with pytest.raises(ValueError, match="lazy"):
        lazy(data)
