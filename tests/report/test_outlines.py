# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from monai_al.report.outlines import class_rgb, outlined_png


def drawn(*arguments, **settings):
    return np.asarray(Image.open(io.BytesIO(outlined_png(*arguments, **settings))))


def pixels_of(picture, number):
    return np.argwhere((picture == class_rgb(number)).all(axis=-1))


@pytest.mark.parametrize("affine", [None, np.diag([-1.0, -1, 1, 1]), np.eye(4)[[1, 0, 2, 3]]])
def test_outlines_lie_on_the_rim_of_what_is_predicted(affine):
    image = np.zeros((1, 28, 28))
    labels = np.zeros((28, 28), np.uint8)
    image[0, 4:12, 6:20] = 100.0
    labels[4:12, 6:20] = 2
    picture = drawn(image, labels, affine=affine)
    plain = drawn(image, affine=affine)
    bright = plain[..., 0] > 128
    rim = pixels_of(picture, 2)
    assert len(rim)
    box = np.argwhere(bright)
    assert np.abs(rim.min(axis=0) - box.min(axis=0)).max() <= 1
    assert np.abs(rim.max(axis=0) - box.max(axis=0)).max() <= 1
    inside = np.all((rim > box.min(axis=0) + 3) & (rim < box.max(axis=0) - 3), axis=1)
    assert not inside.any()  # the image is seen within
    assert not len(pixels_of(picture, 1))


def test_slices_keep_their_proportions():
    assert drawn(np.zeros((1, 10, 40)), spacing=(4.0, 1.0)).shape == (448, 448, 3)
    assert drawn(np.zeros((1, 10, 40)), spacing=(2.0, 1.0)).shape == (224, 448, 3)
    # with the first stored axis from left to right it becomes the width
    ras = np.eye(4)
    assert drawn(np.zeros((1, 10, 40)), spacing=(2.0, 1.0), affine=ras).shape == (448, 224, 3)
    assert drawn(np.zeros((1, 1, 4000))).shape == (24, 448, 3)


def test_colours_are_kept():
    image = np.zeros((3, 8, 8))
    image[0], image[1] = 255, 51
    image[:, 0] = 0
    picture = drawn(image)
    assert picture[-1, -1].tolist() == [255, 51, 0]
