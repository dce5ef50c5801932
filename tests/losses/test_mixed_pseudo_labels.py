# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.losses import MixedPseudoLabelLoss

SHAPES = [(5,), (4, 6), (3, 4, 5)]
ANNOTATED = {"nothing": 0.0, "scribbles": 0.1, "half": 0.5, "mask with corners left open": 0.8, "mask": 1.0}


def random_case(patterns, channels, spatial, seed=0, dtype=torch.float64):
    """Two logits, and a target that is annotated as the patterns say, one for each image."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(patterns), channels, *spatial)
    outputs = [(2 * torch.randn(shape, generator=generator, dtype=dtype)).requires_grad_() for _ in range(2)]
    target = torch.randint(0, max(channels, 2), (len(patterns), 1, *spatial), generator=generator)
    for image, pattern in zip(target, patterns, strict=True):
        order = torch.randperm(image.numel(), generator=generator)
        image.view(-1)[order[int(ANNOTATED[pattern] * image.numel()) :]] = 255
    return outputs, target


def probabilities_of(logits):
    """Of one pixel."""
    values = [0.0, *logits] if len(logits) == 1 else logits
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def slow(outputs, target, share, *, mask_share=0.5, batch=True):
    """Pixel by pixel, class by class."""
    first, second = (logits.detach().double().numpy() for logits in outputs)
    target = target.numpy()
    n_classes = max(first.shape[1], 2)
    pixels = list(itertools.product(*map(range, first.shape[2:])))
    sums = {}  # which prediction, class, image -> intersection, squared size of the prediction, size of the label
    for image in range(len(first)):
        annotated = sum(target[(image, 0, *pixel)] != 255 for pixel in pixels)
        for pixel in pixels:
            p, q = (probabilities_of(logits[(image, slice(None), *pixel)].tolist()) for logits in (first, second))
            mixed = [share * a + (1 - share) * b for a, b in zip(p, q, strict=True)]
            label = mixed.index(max(mixed))
            if annotated / len(pixels) > mask_share and target[(image, 0, *pixel)] != 255:
                label = target[(image, 0, *pixel)]
            for (which, probs), number in itertools.product(enumerate((p, q)), range(n_classes)):
                held = sums.setdefault((which, number, 0 if batch else image), [0.0, 0.0, 0.0])
                held[0] += probs[number] * (label == number)
                held[1] += probs[number] ** 2
                held[2] += label == number
    losses = [1 - (2 * both + 1e-5) / (p + y + 1e-5) for both, p, y in sums.values()]
    return sum(losses) / len(losses)


def drawn_share(seed):
    torch.manual_seed(seed)
    share = torch.rand(()).item()
    torch.manual_seed(seed)
    return share


@pytest.mark.parametrize("spatial", SHAPES)
@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("batch", [True, False])
def test_equals_loops(spatial, channels, batch):
    outputs, target = random_case(list(ANNOTATED), channels, spatial)
    share = drawn_share(3)
    found = MixedPseudoLabelLoss(batch=batch)(outputs, target)
    assert found.item() == pytest.approx(slow(outputs, target, share, batch=batch), rel=1e-6)


@given(
    patterns=st.lists(st.sampled_from(list(ANNOTATED)), min_size=1, max_size=3),
    channels=st.integers(1, 3),
    spatial=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    mask_share=st.sampled_from([0.0, 0.5, 0.79, 1.0]),
    seed=st.integers(0, 10_000),
)
@settings(deadline=None, max_examples=40)
def test_equals_loops_for_any_shape_and_annotation(patterns, channels, spatial, mask_share, seed):
    outputs, target = random_case(patterns, channels, spatial, seed)
    share = drawn_share(seed)
    loss = MixedPseudoLabelLoss(mask_share=mask_share)(outputs, target)
    assert loss.item() == pytest.approx(slow(outputs, target, share, mask_share=mask_share), rel=1e-6)
    assert 0 <= loss.item() <= 1
    assert all(torch.isfinite(gradient).all() for gradient in torch.autograd.grad(loss, outputs))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_gradient_takes_the_labels_as_given(channels):
    outputs, target = random_case(["nothing", "scribbles", "mask"], channels, (3, 4))

    def seeded(*both):
        torch.manual_seed(0)
        return MixedPseudoLabelLoss()(both, target)

    assert torch.autograd.gradcheck(seeded, outputs)


def test_each_call_draws_its_own_mixture():
    outputs, target = random_case(["scribbles"], 3, (8, 8))
    torch.manual_seed(0)
    values = {MixedPseudoLabelLoss()(outputs, target).item() for _ in range(20)}
    torch.manual_seed(0)
    assert len(values) > 10
    assert values == {MixedPseudoLabelLoss()(outputs, target).item() for _ in range(20)}


def test_scribbles_have_no_influence_and_a_mask_takes_the_place_of_the_mixture():
    outputs, scribbled = random_case(["scribbles", "scribbles"], 3, (8, 8))
    _, mask = random_case(["mask", "mask"], 3, (8, 8))
    losses = []
    for target in (scribbled, torch.full_like(scribbled, 255), mask):
        torch.manual_seed(0)
        losses.append(MixedPseudoLabelLoss()(outputs, target).item())
    assert losses[0] == losses[1] != losses[2]
    again = MixedPseudoLabelLoss()(outputs, mask).item()  # whatever the mixture is
    assert again == losses[2]


def test_types_and_shapes_agree():
    outputs, target = random_case(["mask", "scribbles"], 3, (4, 5))
    loss = MixedPseudoLabelLoss()
    drawn_share(0)
    expected = loss(outputs, target)
    for other in (target[:, 0], target.to(torch.uint8), target.float()):
        drawn_share(0)
        assert torch.equal(loss(outputs, other), expected)
    for dtype in (torch.float16, torch.bfloat16):
        drawn_share(0)
        halves = [logits.to(dtype) for logits in outputs]
        assert loss(halves, target).dtype == torch.float32


def test_what_is_refused():
    outputs, target = random_case(["mask"], 3, (4, 5))
    with pytest.raises(ValueError, match=r"mask_share must be in \[0, 1\], got 1.5"):
        MixedPseudoLabelLoss(mask_share=1.5)
    with pytest.raises(ValueError, match="target of shape .* does not fit outputs of shape"):
        MixedPseudoLabelLoss()(outputs, target[..., 1:])
    with pytest.raises(ValueError, match="both outputs must have one shape"):
        MixedPseudoLabelLoss()((outputs[0], outputs[1][:, :2]), target)
