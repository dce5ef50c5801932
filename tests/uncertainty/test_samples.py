# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.uncertainty import (
    SAMPLE_MAPS,
    RunningSamples,
    mutual_information,
    predictive_entropy,
    variance,
    variance_ratio,
)

FUNCTIONS = {
    "predictive_entropy": predictive_entropy,
    "mutual_information": mutual_information,
    "variance": variance,
    "variance_ratio": variance_ratio,
}


def random_samples(passes: int, channels: int, *spatial: int, seed: int = 0, multilabel: bool = False) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(passes, 2, channels, *spatial, generator=generator, dtype=torch.float64)
    return logits.sigmoid() if channels == 1 or multilabel else logits.softmax(2)


def reference(name: str, samples: np.ndarray) -> np.ndarray:
    """Stacked NumPy: classes (T, B, C, ...) -> (B, ...)."""
    if samples.shape[2] == 1:
        samples = np.concatenate([1 - samples, samples], axis=2)
    mean = samples.mean(0)

    def h(p: np.ndarray, axis: int) -> np.ndarray:
        return -np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(axis)

    if name == "predictive_entropy":
        return h(mean, 1)
    if name == "mutual_information":
        return np.maximum(h(mean, 1) - h(samples, 2).mean(0), 0)
    if name == "variance":
        return samples.var(axis=0).mean(1)
    labels = samples.argmax(2)
    votes = np.stack([(labels == c).sum(0) for c in range(samples.shape[2])])
    return 1 - votes.max(0) / len(samples)


@pytest.mark.parametrize("name", SAMPLE_MAPS)
@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("spatial", [(), (4,), (3, 4), (2, 3, 2)])
@pytest.mark.parametrize("passes", [1, 2, 7])
def test_equals_stacked_numpy(name, channels, spatial, passes):
    samples = random_samples(passes, channels, *spatial)
    expected = torch.from_numpy(np.asarray(reference(name, samples.numpy())))
    torch.testing.assert_close(FUNCTIONS[name](samples), expected)
    assert FUNCTIONS[name](samples).shape == (2, *spatial)


@pytest.mark.parametrize("name", SAMPLE_MAPS)
def test_multilabel_is_the_mean_of_the_channels(name):
    samples = random_samples(5, 3, 4, 4, multilabel=True)
    expected = torch.stack([FUNCTIONS[name](samples[:, :, c : c + 1]) for c in range(3)]).mean(0)
    torch.testing.assert_close(FUNCTIONS[name](samples, multilabel=True), expected)
    with pytest.raises(ValueError, match="multilabel=True"):
        FUNCTIONS[name](samples)


def test_worked_bald():
    samples = torch.tensor([0.9, 0.1], dtype=torch.float64).reshape(2, 1, 1)
    assert predictive_entropy(samples).item() == pytest.approx(0.693147, abs=1e-6)
    assert mutual_information(samples).item() == pytest.approx(0.368064, abs=1e-6)


def test_worked_variance_ratio():
    samples = torch.nn.functional.one_hot(torch.tensor([1, 1, 1, 0, 2]), 3).float().reshape(5, 1, 3)
    assert variance_ratio(samples).item() == pytest.approx(0.4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_identical_passes_disagree_by_exactly_nothing(dtype):
    probs = random_samples(1, 3, 5, 5).to(dtype)
    samples = probs.repeat(9, 1, 1, 1, 1)
    for name in ("mutual_information", "variance", "variance_ratio"):
        assert torch.equal(FUNCTIONS[name](samples), torch.zeros(2, 5, 5, dtype=dtype))


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), passes=st.integers(1, 8), channels=st.integers(1, 4))
def test_ranges_and_order_of_passes(seed, passes, channels):
    samples = random_samples(passes, channels, 3, seed=seed)
    classes = max(channels, 2)
    highest = {
        "predictive_entropy": math.log(classes),
        "mutual_information": math.log(classes),
        "variance": 0.25,
        "variance_ratio": 1 - 1 / passes,
    }
    for name, function in FUNCTIONS.items():
        values = function(samples)
        assert (values >= 0).all()
        assert (values <= highest[name] + 1e-9).all()
        torch.testing.assert_close(values, function(samples.flip(0)))


@pytest.mark.parametrize("function", FUNCTIONS.values())
@pytest.mark.parametrize("shape", [(0, 2, 1, 3), (4, 2)])
def test_refuses_no_predictions(function, shape):
    with pytest.raises(ValueError, match="T, B, C"):
        function(torch.zeros(shape))


@pytest.mark.parametrize("name", SAMPLE_MAPS)
@pytest.mark.parametrize("channels", [1, 3])
def test_running_equals_stacked(name, channels):
    samples = random_samples(6, channels, 3, 4)
    running = RunningSamples()
    for probs in samples:
        running.update(probs)
    torch.testing.assert_close(getattr(running, name)(), FUNCTIONS[name](samples))
    torch.testing.assert_close(running.mean, samples.mean(0))
    assert running.passes == 6


def test_memory_does_not_grow_with_the_passes():
    running = RunningSamples()

    def kept() -> int:
        return sum(value.numel() for value in vars(running).values() if isinstance(value, torch.Tensor))

    sizes = []
    for probs in random_samples(12, 3, 4, 4):
        running.update(probs)
        sizes.append(kept())
    assert len(set(sizes)) == 1
    assert not any(isinstance(value, list) for value in vars(running).values())


def test_variance_is_stable_in_single_precision():
    spread = torch.linspace(-1e-4, 1e-4, 1000, dtype=torch.float64)
    samples = (0.9 + spread).float().reshape(-1, 1, 1)
    expected = samples.double().var(unbiased=False).item()
    assert variance(samples).item() == pytest.approx(expected, rel=1e-3)
    textbook = ((samples**2).mean() - samples.mean() ** 2).item()
    assert abs(textbook - expected) > 0.5 * expected


def test_keeps_only_what_was_asked_for():
    running = RunningSamples(["variance"])
    running.update(torch.full((1, 1), 0.5))
    assert running.variance().item() == 0
    assert running.predictive_entropy().item() == pytest.approx(math.log(2))
    with pytest.raises(ValueError, match="variance_ratio was not asked for"):
        running.variance_ratio()


def test_errors_of_running_samples():
    with pytest.raises(ValueError, match="'entropy' is none of"):
        RunningSamples(["entropy"])
    running = RunningSamples()
    for name in SAMPLE_MAPS:
        with pytest.raises(ValueError, match="no prediction yet"):
            getattr(running, name)()
    running.update(torch.full((2, 1, 3), 0.5))
    with pytest.raises(ValueError, match="pass 1 has the shape"):
        running.update(torch.full((2, 1, 4), 0.5))
    with pytest.raises(ValueError, match="NaN"):
        running.update(torch.full((2, 1, 3), float("nan")))
    assert running.passes == 1


def test_input_is_not_changed():
    samples = random_samples(3, 3, 4)
    before = samples.clone()
    for function in FUNCTIONS.values():
        function(samples)
    assert torch.equal(samples, before)


def test_monai_variance_ranks_multi_class_wrongly_and_ours_does_not():
    from monai.metrics.active_learning_metrics import compute_variance

    def both(samples: torch.Tensor) -> tuple[float, float]:
        theirs = compute_variance(samples[:, 0].clone(), spatial_map=True)
        assert isinstance(theirs, torch.Tensor)
        return theirs.flatten()[0].item(), variance(samples).flatten()[0].item()

    certain = torch.tensor([1.0, 0.0]).reshape(1, 1, 2, 1, 1).repeat(5, 1, 1, 1, 1)
    unsure = torch.tensor([[0.4, 0.6], [0.6, 0.4], [0.4, 0.6], [0.6, 0.4], [0.5, 0.5]]).reshape(5, 1, 2, 1, 1)
    (theirs_certain, ours_certain), (theirs_unsure, ours_unsure) = both(certain), both(unsure)
    assert theirs_certain > theirs_unsure
    assert ours_certain == 0 < ours_unsure

    one_channel = random_samples(6, 1, 4, 5).float()[:, :1]
    expected = compute_variance(one_channel[:, 0].clone(), spatial_map=True)
    torch.testing.assert_close(variance(one_channel)[0], expected)
