# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from monai_al.data.colours import brightness
from monai_al.transforms import GreyOfColoursd

COLOURS = np.random.default_rng(0).integers(0, 256, (3, 6, 5), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_it_is_the_grey_of_pillow(kind):
    values = COLOURS.astype(np.float32)
    found = np.asarray(brightness(values if kind == "array" else torch.from_numpy(values)))
    expected = np.asarray(Image.fromarray(COLOURS.transpose(1, 2, 0)).convert("L"), dtype=np.float32)
    assert found.shape == (1, 6, 5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], expected, atol=1)  # whole numbers
    assert abs(float((found[0] - expected).mean())) < 0.5


def test_other_numbers_of_channels_are_refused():
    with pytest.raises(ValueError, match=r"3 channels, red, green and blue; this image has 2"):
        brightness(np.zeros((2, 4, 4)))


def test_the_transform_keeps_the_place_and_grey_images():
    affine = torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0], dtype=torch.float64))
    image = MetaTensor(torch.from_numpy(COLOURS.astype(np.float32))[..., None], affine=affine)
    label = MetaTensor(torch.ones(1, 6, 5, 1))
    out = GreyOfColoursd("image")({"image": image, "label": label})
    assert isinstance(out["image"], MetaTensor)
    torch.testing.assert_close(out["image"].affine, affine)
    torch.testing.assert_close(out["image"].as_tensor(), brightness(image.as_tensor()))
    assert out["label"] is label
    assert GreyOfColoursd("image")({"image": label})["image"] is label
    assert "image" not in GreyOfColoursd("image")({"label": label})
