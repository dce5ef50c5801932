# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor, TestTimeAugmentation
from monai.inferers import SimpleInferer, SlidingWindowInferer
from monai.networks.nets import UNet
from monai.transforms import Compose, RandFlipd, RandRotated
from scipy import ndimage
from torch import Tensor, nn

from monai_al.inferers import ImageChanges, TTAInferer
from monai_al.uncertainty import RunningSamples, predictive_entropy, probabilities

pytestmark = pytest.mark.usefixtures("one_thread")

ONLY_FLIPS: dict[str, Any] = {"rotation": 0, "noise": 0, "flips": True}
EVERYTHING: dict[str, Any] = {"rotation": 20, "noise": 0.1, "flips": True, "quarter_turns": True}


class Same(nn.Module):
    """The image as one sigmoid channel and its complement."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, 1 - x], dim=1)


class Seen(SimpleInferer):
    """Remembers what the network is given."""

    def __init__(self) -> None:
        self.inputs: list[Tensor] = []

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Tensor:
        self.inputs.append(inputs)
        return super().__call__(inputs, network, *args, **kwargs)


def smooth(batch: int = 3, height: int = 24, width: int = 24) -> Tensor:
    """Slowly changing images in [0, 1], each different."""
    rows, columns = torch.meshgrid(torch.arange(height) / 24.0, torch.arange(width) / 24.0, indexing="ij")
    return torch.stack([0.5 + 0.4 * torch.sin(2 * rows + i) * torch.cos(columns - i) for i in range(batch)])[:, None]


def small_net(channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return UNet(2, 1, channels, channels=(4, 8), strides=(2,)).eval()


def ours_with(monkeypatch: pytest.MonkeyPatch, changes: ImageChanges, images: Tensor, net: nn.Module) -> Any:
    monkeypatch.setattr("monai_al.inferers.tta.draw_image_changes", lambda *_, **__: changes)
    stack, seen = TTAInferer(3)(images, net)
    return stack[1:].mean(0), seen


def fixed(*, degrees: float | None = None, flips: tuple[bool, bool] = (False, False)) -> ImageChanges:
    angle = None if degrees is None else torch.tensor([degrees], dtype=torch.float64)
    return ImageChanges(torch.tensor([flips]), torch.tensor([0]), angle, torch.tensor([0]), noise=0.0)


# -- what comes back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(24, 24), (16, 29)])
@pytest.mark.parametrize("how", [{"noise": 0}, {"rotation": 30, "noise": 0, "flips": True, "quarter_turns": True}])
def test_a_network_that_looks_at_one_pixel_gives_the_image_back(size, how):
    images = smooth(4, *size)
    for probs, seen in TTAInferer(6, activation="none", seed=0, **how).samples(images, Same()):
        assert seen.shape == (4, *size)
        assert seen.flatten(1).double().mean(1).min() > 0.6
        assert ((probs[:, 0] - images[:, 0])[seen]).abs().max() < 0.02


def test_flips_and_turns_alone_give_the_image_back_exactly():
    images = torch.rand(5, 1, 9, 9)
    for how in (ONLY_FLIPS, {"rotation": 0, "noise": 0, "quarter_turns": True}):
        stack, seen = TTAInferer(6, activation="none", seed=0, **how)(images, Same())
        assert seen.all()
        assert torch.equal(stack[:, :, 0], images[:, 0].expand(6, -1, -1, -1))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 14), st.integers(1, 14), st.integers(2, 5), st.integers(0, 99))
def test_entropy_of_the_mean_of_a_constant_prediction(batch, height, width, classes, seed):
    p = torch.rand(classes, generator=torch.Generator().manual_seed(seed)).softmax(0)

    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return p.log().reshape(1, -1, 1, 1).expand(len(x), -1, *x.shape[2:])

    stack, seen = TTAInferer(4, seed=seed, **EVERYTHING)(torch.rand(batch, 1, height, width), Constant())
    entropies = predictive_entropy(stack)[seen]
    assert torch.allclose(entropies, -(p * p.log()).sum().expand_as(entropies), atol=1e-5)
    running = RunningSamples(["mutual_information"])
    for probs in stack:
        running.update(probs)
    assert (running.mutual_information()[seen] < 1e-5).all()


def test_a_network_that_flips_with_its_input_gives_the_same_in_every_pass():
    kernel = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])
    net = nn.Conv2d(1, 2, 3, padding=1)
    with torch.no_grad():
        net.weight.copy_(torch.stack([kernel, -kernel])[:, None])
        net.bias.zero_()
    images = torch.randint(-4, 5, (6, 1, 10, 10)).float()
    with torch.no_grad():
        for how in (ONLY_FLIPS, ONLY_FLIPS | {"quarter_turns": True}):
            stack, _ = TTAInferer(5, activation="none", seed=3, **how)(images, net)
            assert torch.equal(stack, stack[:1].expand_as(stack))
        turned, _ = TTAInferer(5, activation="none", seed=3)(images, net)
    assert not torch.equal(turned[0], turned[1])


@pytest.mark.parametrize(("activation", "channels"), [("softmax", 3), ("sigmoid", 1), ("multilabel", 2)])
def test_probabilities_come_back(activation, channels):
    images, net = smooth(), small_net(channels)
    with torch.no_grad():
        stack, seen = TTAInferer(4, activation=activation, seed=0, **EVERYTHING)(images, net)
        assert torch.equal(stack[0], probabilities(net(images), activation))
    assert stack.shape == (4, 3, channels, 24, 24)
    assert seen.shape == (3, 24, 24)
    assert seen.dtype == torch.bool
    assert stack.min() >= 0
    assert stack.max() <= 1
    assert not torch.equal(stack[1], stack[2])


@pytest.mark.parametrize("size", [(15, 15), (11, 18)])
def test_probabilities_and_not_logits_are_brought_back(monkeypatch, size):
    image, net = torch.rand(1, 1, *size, dtype=torch.float64), nn.Conv2d(1, 2, 3, padding=1).double()

    def turned(plane: Any, degrees: float) -> Any:
        return ndimage.rotate(plane, degrees, reshape=False, order=1, mode="nearest")

    with torch.no_grad():
        net.weight.mul_(20)
        probs = net(torch.from_numpy(turned(image[0, 0], 20.0))[None, None]).softmax(1)[0]
        ours, _ = ours_with(monkeypatch, fixed(degrees=20.0), image, net)
    np.testing.assert_allclose(ours[0], [turned(plane, -20.0) for plane in probs], atol=1e-9)


# -- MONAI's, one image at a time --------------------------------------------------------------------------------------


def by_monai(transform: Any, image: Tensor, net: nn.Module) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tta = TestTimeAugmentation(
            Compose([transform]),
            batch_size=2,
            inferrer_fn=lambda x: net(x).softmax(1),
            orig_key="image",
            nearest_interp=False,
            progress=False,
        )
        return tta({"image": MetaTensor(image)}, num_examples=2)[1].as_tensor()


@pytest.mark.parametrize("size", [(24, 24), (20, 32)])
@pytest.mark.parametrize("degrees", [7.0, -20.0, 31.0])
def test_a_rotation_is_that_of_monai(monkeypatch, size, degrees):
    net, image = small_net(), smooth(1, *size)
    angle = math.radians(degrees)
    rotate = RandRotated("image", range_x=(angle, angle), prob=1.0, keep_size=True, align_corners=True)
    with torch.no_grad():
        theirs = by_monai(rotate, image[0], net)
        results = [ours_with(monkeypatch, fixed(degrees=d), image, net) for d in (degrees, -degrees)]
    apart = [float((ours[0] - theirs).abs()[:, seen[0]].max()) for ours, seen in results]
    assert min(apart) < 1e-4 < max(apart)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_flip_is_that_of_monai(monkeypatch, axis):
    net, image = small_net(), smooth(1, 20, 32)
    with torch.no_grad():
        theirs = by_monai(RandFlipd("image", prob=1.0, spatial_axis=axis), image[0], net)
        ours, seen = ours_with(monkeypatch, fixed(flips=(axis == 0, axis == 1)), image, net)
    assert seen.all()
    assert torch.allclose(ours[0], theirs, atol=1e-6)


# -- randomness --------------------------------------------------------------------------------------------------------


def test_an_item_does_not_depend_on_its_batch():
    images, inferer = torch.rand(5, 1, 12, 12), TTAInferer(4, activation="none", seed=7, **EVERYTHING)
    together, seen = inferer(images, Same())
    for numbers in ([0], [1, 2], [4, 3]):
        stack, mask = inferer(images[numbers], Same(), numbers=numbers)
        assert torch.equal(stack, together[:, numbers])
        assert torch.equal(mask, seen[numbers])


def test_a_seed_repeats_the_passes_and_leaves_the_random_state_alone():
    images, state = smooth(), torch.get_rng_state()

    def stack(seed: int, **settings_: Any) -> Tensor:
        return TTAInferer(activation="none", seed=seed, **EVERYTHING)(images, Same(), **settings_)[0]

    first = stack(1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert torch.equal(stack(1), first)
    assert not torch.equal(stack(2), first)
    assert not torch.equal(stack(1, numbers=[3, 4, 5]), first)
    shorter = TTAInferer(3, activation="none", seed=1, **EVERYTHING)(images, Same())[0]
    assert torch.equal(shorter, first[:3])


def test_the_random_state_is_used_without_a_seed():
    inferer, images = TTAInferer(3, activation="none", **EVERYTHING), smooth()
    torch.manual_seed(3)
    first, second = inferer(images, Same())[0], inferer(images, Same())[0]
    assert not torch.equal(first, second)
    torch.manual_seed(3)
    assert torch.equal(inferer(images, Same())[0], first)


def test_each_image_and_each_pass_has_its_own_changes():
    images = smooth(1).expand(6, 1, 24, 24)
    stack, _ = TTAInferer(5, activation="none", seed=0)(images, Same())
    changed = stack[1:].flatten(0, 1)
    assert len({tuple(each.flatten().tolist()) for each in changed}) == 24


# -- inputs ------------------------------------------------------------------------------------------------------------


def test_the_first_pass_is_the_batch_itself():
    seen, images = Seen(), MetaTensor(smooth())
    first, mask = next(TTAInferer(4, seen, activation="none").samples(images, Same()))
    assert seen.inputs[0] is images
    assert torch.equal(first[:, :1], images.as_tensor())
    assert mask.all()


def test_a_known_first_prediction_is_not_made_again():
    seen, images, net = Seen(), smooth(), small_net()
    with torch.no_grad():
        known = TTAInferer(4, seen, seed=0)(images, net, first=net(images))
        assert len(seen.inputs) == 3
        again = TTAInferer(4, seed=0)(images, net)
    assert all(map(torch.equal, known, again))


def test_one_pass_is_the_prediction():
    images, net = smooth(), small_net()
    stack, seen = TTAInferer(1)(images, net)
    assert torch.equal(stack[0], net(images).softmax(1))
    assert seen.all()


def test_volumes():
    volumes = torch.rand(2, 1, 10, 14, 3)
    net = UNet(3, 1, 2, channels=(4, 8), strides=((2, 2, 1),), kernel_size=3).eval()
    with torch.no_grad():
        stack, seen = TTAInferer(3, seed=0, **EVERYTHING)(volumes, net)
    assert stack.shape == (3, 2, 2, 10, 14, 3)
    assert seen.shape == (2, 10, 14, 3)
    assert torch.allclose(stack.sum(2), torch.ones(3, 2, 10, 14, 3), atol=1e-5)
    assert torch.equal(seen, seen[..., :1].expand_as(seen))


def test_takes_another_inferer_and_double_precision():
    net = UNet(2, 1, 3, channels=(4, 8), strides=(2,)).eval().double()
    inferer = TTAInferer(3, SlidingWindowInferer((8, 8), progress=False), seed=0)
    with torch.no_grad():
        stack, seen = inferer(torch.rand(2, 1, 12, 20, dtype=torch.float64), net)
    assert stack.shape == (3, 2, 3, 12, 20)
    assert stack.dtype == torch.float64
    assert seen.any()


def test_passes_on_other_arguments():
    class Scaled(nn.Module):
        def forward(self, x: Tensor, factor: float, *, offset: float) -> Tensor:
            return torch.full_like(x, factor + offset)

    stack, _ = TTAInferer(3, activation="none")(torch.rand(1, 1, 6, 6), Scaled(), 0.5, offset=0.25)
    assert torch.allclose(stack, torch.tensor(0.75))


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"passes": 0}, "passes"),
        ({"passes": 2.0}, "passes"),
        ({"passes": True}, "passes"),
        ({"rotation": 45}, "rotation"),
        ({"rotation": -1}, "rotation"),
        ({"rotation": float("nan")}, "rotation"),
        ({"noise": -0.1}, "noise"),
        ({"noise": float("inf")}, "noise"),
        ({"rotation": 0, "noise": 0}, "changes nothing"),
        ({"activation": "relu"}, "activation"),
    ],
)
def test_refuses_wrong_settings(wrong, message):
    with pytest.raises(ValueError, match=message):
        TTAInferer(**wrong)


@pytest.mark.parametrize("inputs", [torch.rand(2, 1, 5), torch.rand(2, 1, 3, 3, 3, 3), torch.ones(2, 1, 5, 5).long()])
def test_refuses_wrong_images(inputs):
    with pytest.raises(ValueError, match="floating-point images"):
        TTAInferer()(inputs, Same())


def test_refuses_wrong_numbers_and_outputs():
    images = torch.rand(2, 1, 8, 8)
    with pytest.raises(ValueError, match="one number for each of the 2 items, got 3"):
        TTAInferer()(images, Same(), numbers=[1, 2, 3])
    with pytest.raises(ValueError, match="every pixel"):
        TTAInferer()(images, nn.AvgPool2d(2))
    with pytest.raises(ValueError, match="every pixel"):
        TTAInferer(activation="none")(images, Same(), first=torch.rand(1, 2, 8, 8))
    with pytest.raises(ValueError, match="must be a tensor"):
        TTAInferer()(images, nn.Identity(), first=[images])
