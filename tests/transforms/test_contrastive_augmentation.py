# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from statistics import fmean

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from monai_al.transforms import AugmentationParameters, ContrastiveAugmentation, augmented

NEUTRAL = {
    "crop": (1.0, 1.0),
    "flip": 0.0,
    "rotate": 0.0,
    "translate": 0.0,
    "scale": (1.0, 1.0),
    "shear": 0.0,
    "blur": (0.0, 0.0),
    "erase": 0.0,
}
STRONG = {
    "crop": (0.2, 0.9),
    "rotate": 180.0,
    "translate": 0.5,
    "scale": (0.5, 2.0),
    "shear": 40.0,
    "blur": (0.0, 3.0),
    "erase": 0.7,
}

pytestmark = pytest.mark.usefixtures("one_thread")


def images(*shape: int, dtype=torch.float64) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def set_to(n: int, **values) -> AugmentationParameters:
    """Parameters that do nothing but what is given, the same for all images."""
    parameters = ContrastiveAugmentation(**NEUTRAL).draw(n)
    changed = {
        name: torch.as_tensor(value, dtype=getattr(parameters, name).dtype).expand_as(getattr(parameters, name))
        for name, value in values.items()
    }
    return parameters._replace(**changed)


# -- against an image at a time ----------------------------------------------------------------------------------------


def one_by_hand(image: np.ndarray, parameters: AugmentationParameters, i: int, blur_size: int) -> np.ndarray:
    """The steps one after the other, a pixel at a time, in pixels; ``image`` is (C, H, W)."""
    height, width = image.shape[1:]
    top, left, tall, wide = parameters.crop[i].tolist()
    angle, skew = math.radians(parameters.rotate[i].item()), math.tan(math.radians(parameters.shear[i].item()))
    down, right = (parameters.translate[i] * torch.tensor([height, width])).tolist()
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    back = np.linalg.inv(parameters.scale[i].item() * turn @ np.array([[1, skew], [0, 1]]))  # of (x, y)
    rows, columns = np.empty((height, width)), np.empty((height, width))
    for r in range(height):
        for c in range(width):
            x, y = back @ [c - (width - 1) / 2 - right, r - (height - 1) / 2 - down]
            if parameters.flip[i]:
                x = -x
            rows[r, c] = (top + tall * (y / height + 0.5)) * height - 0.5
            columns[r, c] = (left + wide * (x / width + 0.5)) * width - 0.5
    distance = np.arange(blur_size) - blur_size // 2
    kernel = (distance == 0).astype(float)
    if parameters.blur[i] > 0:
        kernel = np.exp(-(distance**2) / (2 * parameters.blur[i].item() ** 2))
    out = np.empty_like(image)
    for channel, plane in enumerate(image):
        moved = ndimage.map_coordinates(plane, [rows, columns], order=1, mode="nearest")
        for axis in (0, 1):
            moved = ndimage.correlate1d(moved, kernel / kernel.sum(), axis=axis, mode="mirror")
        out[channel] = moved
    top, left, tall, wide = parameters.erase[i].tolist()
    for r in range(height):
        for c in range(width):
            if top <= (r + 0.5) / height < top + tall and left <= (c + 0.5) / width < left + wide:
                out[:, r, c] = 0
    return out


@pytest.mark.parametrize("shape", [(6, 1, 16, 16), (5, 3, 17, 30), (4, 2, 31, 12)])
@pytest.mark.parametrize(("options", "blur_size"), [({}, 5), (STRONG, 3), (STRONG, 7), ({"blur": (0.1, 0.2)}, 1)])
def test_each_image_as_by_hand(shape, options, blur_size):
    x = images(*shape)
    parameters = ContrastiveAugmentation(**options, blur_size=blur_size).draw(len(x), seeded())
    found = augmented(x, parameters, blur_size=blur_size).numpy()
    for i, image in enumerate(x.numpy()):
        np.testing.assert_allclose(found[i], one_by_hand(image, parameters, i, blur_size), atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_single_precision(seed):
    x = images(8, 1, 64, 64)
    smooth = torch.from_numpy(ndimage.gaussian_filter(x.numpy(), (0, 0, 2, 2)))
    parameters = ContrastiveAugmentation(erase=0).draw(8, seeded(seed))
    torch.testing.assert_close(
        augmented(smooth.float(), parameters), augmented(smooth, parameters).float(), rtol=0, atol=1e-5
    )


# -- each step, by eye -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 2, 16, 16), (3, 1, 15, 40)])
def test_neutral_settings_change_nothing(dtype, shape):
    x = images(*shape, dtype=dtype)
    torch.testing.assert_close(ContrastiveAugmentation(**NEUTRAL)(x), x)


X = images(2, 1, 12, 12)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"flip": True}, X.flip(3)),
        ({"rotate": 90}, torch.rot90(X, -1, (2, 3))),  # clockwise
        ({"rotate": 180}, X.flip(2, 3)),
        ({"rotate": 90, "flip": True}, torch.rot90(X.flip(3), -1, (2, 3))),  # first the flip
        ({"translate": [0.25, 0]}, torch.cat([X[:, :, :1].expand(-1, -1, 3, -1), X[:, :, :-3]], dim=2)),
        ({"translate": [0, 0.25]}, torch.cat([X[..., :1].expand(-1, -1, -1, 3), X[..., :-3]], dim=3)),
        ({"translate": [0, 0.25], "rotate": 180}, X.flip(2, 3)[..., [0, 0, 0, *range(9)]]),
        ({"crop": [0.25, 0.5, 0.5, 0.25]}, None),
        ({"erase": [0.25, 0.5, 0.5, 0.25]}, None),
    ],
)
def test_steps(settings, expected):
    found = augmented(X, set_to(2, **settings))
    if "crop" in settings:  # every second row and fourth column lies halfway between two pixels
        part = X[:, :, 3:9, 6:9]
        found, expected = found[..., 1:-1, 1:-1].mean((2, 3)), part.mean((2, 3))
        torch.testing.assert_close(found, expected, rtol=0.2, atol=0)
        return
    if "erase" in settings:
        expected = X.clone()
        expected[:, :, 3:9, 6:9] = 0
    torch.testing.assert_close(found, expected)


def test_scale_above_one_enlarges_and_shear_moves_lower_rows_right():
    disc = torch.zeros(1, 1, 41, 41, dtype=torch.float64)
    disc[..., 15:26, 15:26] = 1
    areas = [augmented(disc, set_to(1, scale=scale)).sum().item() for scale in (0.8, 1.0, 2.0)]
    np.testing.assert_allclose(areas, [121 * 0.64, 121, 121 * 4], rtol=0.1)
    sheared = augmented(disc, set_to(1, shear=45))[0, 0]
    columns = torch.arange(41.0, dtype=torch.float64)
    centres = [(sheared[r] @ columns / sheared[r].sum()).item() for r in range(15, 26)]
    np.testing.assert_allclose(centres, range(15, 26), atol=1e-9)


def test_crop_enlarges_its_part():
    ramp = torch.arange(12.0, dtype=torch.float64).expand(1, 1, 12, 12)
    found = augmented(ramp, set_to(1, crop=[0.25, 0.5, 0.5, 0.25]))
    np.testing.assert_allclose(found[0, 0, 0], 6 + (np.arange(12) + 0.5) / 4 - 0.5)
    np.testing.assert_allclose(found[0, 0, 7], found[0, 0, 0])


# -- the draw ----------------------------------------------------------------------------------------------------------


def test_parameters_are_within_their_ranges():
    augment = ContrastiveAugmentation()
    drawn = augment.draw(4000, seeded())
    for name, low, high in [("rotate", -15, 15), ("scale", 0.8, 1.2), ("shear", -10, 10), ("blur", 0.1, 2.0)]:
        assert stats.kstest(getattr(drawn, name).numpy(), stats.uniform(low, high - low).cdf).pvalue > 1e-3
    for axis in (0, 1):
        assert stats.kstest(drawn.translate[:, axis].numpy(), stats.uniform(-0.2, 0.4).cdf).pvalue > 1e-3
    assert drawn.flip.double().mean().item() == pytest.approx(0.5, abs=0.03)
    top, left, height, width = drawn.crop.T.numpy()
    assert stats.kstest(height * width, stats.uniform(0.8, 0.2).cdf).pvalue > 1e-3
    assert min(top.min(), left.min()) >= 0
    assert max((top + height).max(), (left + width).max()) <= 1
    assert 3 / 4 <= (height / width).min() < 0.82 < 1.2 < (height / width).max() <= 4 / 3
    assert fmean(np.log(height / width)) == pytest.approx(0, abs=0.01)
    places = top[height < 0.98] / (1 - height[height < 0.98])
    assert stats.kstest(places, stats.uniform(0, 1).cdf).pvalue > 1e-3


def test_erased_parts_are_within_their_ranges():
    drawn = ContrastiveAugmentation().draw(8000, seeded()).erase
    erased = drawn[drawn[:, 2] > 0].numpy()
    assert len(erased) == pytest.approx(1600, abs=150)
    assert not drawn[drawn[:, 2] == 0].any()
    top, left, height, width = erased.T
    assert stats.kstest(height * width, stats.uniform(0.02, 0.31).cdf).pvalue > 1e-3
    assert 0.3 <= (height / width).min() < 0.35 < 3 < (height / width).max() <= 3.3 + 1e-9
    assert max((top + height).max(), (left + width).max()) <= 1
    assert min(top.min(), left.min()) >= 0


def test_the_share_of_erased_pixels():
    found = ContrastiveAugmentation(**{**NEUTRAL, "erase": 1.0, "erase_area": (0.1, 0.1)})(torch.ones(500, 1, 50, 50))
    assert (found == 0).double().mean().item() == pytest.approx(0.1, rel=0.02)


def test_each_image_has_its_own_parameters():
    drawn = ContrastiveAugmentation(erase=1).draw(50, seeded())
    for name, values in zip(drawn._fields, drawn, strict=True):
        assert len(values.unique(dim=0)) == (2 if name == "flip" else 50)
    same = ContrastiveAugmentation()(X[:1].expand(6, 1, 12, 12), seeded())
    assert len(same.unique(dim=0)) == 6


def test_parameters_do_not_depend_on_each_other():
    drawn = ContrastiveAugmentation(erase=1).draw(4000, seeded())
    values = [drawn.flip, drawn.rotate, *drawn.translate.T, drawn.scale, drawn.shear, drawn.blur]
    for top, left, height, width in (drawn.crop.T, drawn.erase.T):
        values += [height * width, height / width, top / (1 - height + 1e-9), left / (1 - width + 1e-9)]
    correlations = np.corrcoef(np.stack(values)) - np.eye(len(values))
    assert np.abs(correlations).max() < 0.1


def test_draws_come_from_the_generator_alone():
    augment, x = ContrastiveAugmentation(), images(4, 1, 20, 20)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = augment(x, seeded(5))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(augment(x, seeded(5)), first)
    assert not torch.equal(augment(x, seeded(6)), first)
    one = augment(x)
    assert not torch.equal(augment(x), one)
    torch.manual_seed(3)
    assert torch.equal(augment(x), one)
    assert torch.equal(augmented(x, augment.draw(4, seeded(5))), first)


def test_an_image_does_not_depend_on_its_batch():
    x, parameters = images(4, 2, 20, 20), ContrastiveAugmentation().draw(4, seeded())
    whole = augmented(x, parameters)
    alone = [augmented(x[i : i + 1], AugmentationParameters(*(p[i : i + 1] for p in parameters))) for i in range(4)]
    torch.testing.assert_close(torch.cat(alone), whole)


# -- tensors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_shape_type_and_input_are_kept(dtype):
    x = images(5, 2, 18, 25, dtype=dtype)
    before = x.clone()
    found = ContrastiveAugmentation()(x, seeded())
    assert (found.shape, found.dtype, type(found)) == (x.shape, dtype, torch.Tensor)
    assert torch.equal(x, before)
    expected = ContrastiveAugmentation()(x.double(), seeded())
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-2 if dtype.itemsize == 2 else 1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu():
    x = images(8, 2, 40, 56)
    for dtype, tolerance in [(torch.float64, 1e-9), (torch.float32, 1e-4)]:
        found = ContrastiveAugmentation(**STRONG)(x.to("cuda", dtype), seeded())
        assert found.is_cuda
        expected = ContrastiveAugmentation(**STRONG)(x.to(dtype), seeded())
        differs = (found.cpu() - expected).abs() > tolerance  # a pixel centre may fall on an erased box's side
        assert differs.double().mean() < 1e-3


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"crop": (0, 1)}, "crop must be within"),
        ({"crop": (0.9, 0.8)}, r"crop .* smaller number first, got \(0.9, 0.8\)"),
        ({"crop": (0.9, 1.1)}, "crop"),
        ({"flip": 1.5}, "flip must be within 0 and 1, .* got 1.5"),
        ({"rotate": -1}, "rotate"),
        ({"rotate": math.nan}, "rotate"),
        ({"translate": 2}, "translate"),
        ({"scale": (0, 1)}, "scale"),
        ({"shear": 90}, "shear"),
        ({"blur": (-1, 1)}, "blur"),
        ({"blur_size": 4}, "blur_size must be odd, got 4"),
        ({"blur_size": -1}, "blur_size must be odd"),
        ({"erase": 2}, "erase must"),
        ({"erase_area": (0.5, 2)}, "erase_area"),
    ],
)
def test_wrong_settings(options, match):
    with pytest.raises(ValueError, match=match):
        ContrastiveAugmentation(**options)


def test_wrong_images():
    augment = ContrastiveAugmentation()
    with pytest.raises(ValueError, match=r"floating point \(B, C, H, W\), got torch.float32 \(3, 8, 8\)"):
        augment(torch.zeros(3, 8, 8))
    with pytest.raises(ValueError, match="got torch.uint8"):
        augment(torch.zeros(3, 1, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match="there are 3 images but parameters for 2"):
        augmented(torch.zeros(3, 1, 8, 8), augment.draw(2))
