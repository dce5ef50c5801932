# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import matplotlib.image
import numpy as np
import pytest
import torch
from ignite.engine import Engine

from monai_al.handlers import RestorationPictures, restoration_strips


def output(*shape):
    """What an evaluator gives: the restored image as logits."""
    generator = torch.Generator().manual_seed(0)
    label, image, restored = (0.1 + 0.8 * torch.rand(shape, generator=generator) for _ in range(3))
    return {"label": label, "image": image, "pred": restored.logit()}, restored


@pytest.mark.parametrize("shape", [(2, 1, 8, 6), (3, 3, 5, 9), (2, 1, 8, 6, 5), (1, 2, 4, 4, 2)])
def test_strips_hold_the_three_images_side_by_side(shape):
    found, restored = output(*shape)
    strips = restoration_strips(found)
    assert len(strips) == shape[0]
    for i, strip in enumerate(strips):
        for j, part in enumerate((found["label"], found["image"], restored)):
            flat = part[i] if len(shape) == 4 else part[i, ..., shape[-1] // 2]
            torch.testing.assert_close(strip[..., j * shape[3] : (j + 1) * shape[3]], flat)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_of_the_first_images_of_the_last_run(tmp_path, channels):
    evaluator = Engine(lambda engine, batch: output(batch, channels, 16, 24)[0])
    RestorationPictures(tmp_path / "restoration.png", items=2).attach(evaluator)
    shapes = []
    for n in (1, 2, 5):
        evaluator.run([n])
        shapes.append(matplotlib.image.imread(tmp_path / "restoration.png").shape)
    assert shapes[1] == shapes[2]
    assert abs(shapes[1][0] - 2 * shapes[0][0]) <= 2
    colours = np.ptp(matplotlib.image.imread(tmp_path / "restoration.png")[..., :3], axis=2).max()
    assert (colours > 0.1) == (channels == 3)
