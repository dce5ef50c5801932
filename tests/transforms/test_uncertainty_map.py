# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose

from monai_al.transforms import UncertaintyMap, UncertaintyMapd
from monai_al.uncertainty import MAPS, ClassMeasure, Measure, boundary_region, entropy, least_confidence, margin

FUNCTIONS = dict(zip(MAPS, (entropy, least_confidence, margin), strict=True))


def random_probs(classes: int, *spatial: int) -> torch.Tensor:
    return torch.randn(classes, *spatial, generator=torch.Generator().manual_seed(0)).softmax(0)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("spatial", [(5,), (3, 4), (2, 3, 4)])
def test_is_the_map_of_one_item(name, spatial):
    probs = random_probs(3, *spatial)
    assert torch.equal(UncertaintyMap(name)(probs), FUNCTIONS[name](probs[None]))


def test_single_and_overlapping_channels():
    one = torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(UncertaintyMap()(one), entropy(one[None]))
    many = torch.cat([one, one / 2])
    assert torch.equal(UncertaintyMap(multilabel=True)(many), entropy(many[None], multilabel=True))
    with pytest.raises(ValueError, match="multilabel"):
        UncertaintyMap()(many)


def test_outside_the_region_of_a_measure_is_zero():
    probs = random_probs(3, 8, 8)
    inside = boundary_region(probs[None], 0.2)
    actual = UncertaintyMap(Measure("margin", region="boundary", width=0.2))(probs)
    assert torch.equal(actual, torch.where(inside, margin(probs[None]), 0))


def test_keeps_the_kind_of_array_and_the_metadata():
    probs = random_probs(2, 4, 4)
    as_array = UncertaintyMap()(probs.numpy())
    assert isinstance(as_array, np.ndarray)
    assert as_array.dtype == np.float32
    affine = torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0], dtype=torch.float64))
    meta = UncertaintyMap()(MetaTensor(probs, affine=affine))
    assert isinstance(meta, MetaTensor)
    assert torch.equal(meta.affine, affine)
    assert meta.shape == (1, 4, 4)


def test_dictionary_form():
    data = {"pred": random_probs(2, 4, 4), "name": "a"}
    expected = UncertaintyMap("margin")(data["pred"])
    added = Compose([UncertaintyMapd("pred", "margin")])(data)
    assert list(added) == ["pred", "name", "pred_uncertainty"]
    assert torch.equal(added["pred_uncertainty"], expected)
    assert "pred_uncertainty" not in data
    replaced = UncertaintyMapd("pred", "margin", postfix=None)(data)
    assert torch.equal(replaced["pred"], expected)
    assert UncertaintyMapd("other", allow_missing_keys=True)(data) == data
    with pytest.raises(KeyError, match="other"):
        UncertaintyMapd("other")(data)


@pytest.mark.parametrize("name", ["bald", "mc_dropout", "variance"])
def test_refuses_measures_of_several_predictions(name):
    with pytest.raises(ValueError, match="several predictions"):
        UncertaintyMap(name)
    with pytest.raises(ValueError, match="several predictions"):
        UncertaintyMapd("pred", name)


def test_refuses_a_measure_with_a_map_for_each_class():
    with pytest.raises(ValueError, match="a map for each class; a transform makes one"):
        UncertaintyMap(ClassMeasure())
