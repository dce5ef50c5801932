# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch.nn.functional import binary_cross_entropy

from monai_al.passes import train_vaal
from monai_al.passes.vaal_training import autoencoder_loss, discriminator_loss, unlabeled_probability

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"latent": 4, "channels": (4, 8)}


def draws(n: int, seed: int = 0, shape=(2, 6, 5), latent=3):
    rng = np.random.default_rng(seed)
    images, reconstruction = rng.normal(size=(2, n, *shape))
    mean, log_variance = rng.normal(size=(2, n, latent))
    return images, reconstruction, mean, log_variance, rng.normal(size=n)


def autoencoder_loss_by_hand(images, reconstruction, mean, log_variance, logits, labeled, beta, adversary) -> float:
    """Each group, each image, each number."""
    total = 0.0
    for group in (True, False):
        errors, divergences, wanted = [], [], []
        for i in np.flatnonzero(np.asarray(labeled) == group):
            pairs = list(zip(images[i].ravel(), reconstruction[i].ravel(), strict=True))
            errors.append(sum((a - b) ** 2 for a, b in pairs) / len(pairs))
            code = list(zip(mean[i], log_variance[i], strict=True))
            divergences.append(sum(-0.5 * (1 + v - m**2 - np.exp(v)) for m, v in code) / len(pairs))
            wanted.append(-np.log(1 / (1 + np.exp(-logits[i]))))  # target 1, whatever it is
        total += np.mean(errors) + beta * np.mean(divergences) + adversary * np.mean(wanted)
    return total


@pytest.mark.parametrize(("beta", "adversary"), [(0.0, 1.0), (1.0, 0.0), (3.5, 0.3)])
@pytest.mark.parametrize(("n", "n_labeled"), [(2, 1), (7, 2), (9, 8)])
def test_the_autoencoders_loss_by_hand(n, n_labeled, beta, adversary):
    parts = draws(n, seed=n)
    labeled = np.arange(n) < n_labeled
    found = autoencoder_loss(*map(torch.from_numpy, parts), torch.from_numpy(labeled), beta, adversary)
    assert float(found) == pytest.approx(autoencoder_loss_by_hand(*parts, labeled, beta, adversary), rel=1e-9)


@pytest.mark.parametrize(("n", "n_labeled"), [(2, 1), (7, 2), (9, 8)])
def test_the_discriminators_loss_by_hand(n, n_labeled):
    logits = torch.from_numpy(draws(n, seed=n)[-1])
    labeled = torch.arange(n) < n_labeled
    d = logits.sigmoid()
    expected = binary_cross_entropy(d[labeled], torch.ones(n_labeled, dtype=torch.float64))
    expected += binary_cross_entropy(d[~labeled], torch.zeros(n - n_labeled, dtype=torch.float64))
    torch.testing.assert_close(discriminator_loss(logits, labeled), expected)


def test_the_balance_does_not_depend_on_the_size_of_the_image_nor_on_the_batch():
    """An image of three times as many pixels whose code is three times as long weighs as much."""
    images, reconstruction, mean, log_variance, logits = (torch.from_numpy(part) for part in draws(4))
    labeled = torch.tensor([True, True, False, False])

    def loss(pixels=1, code=1, copies=1):
        return autoencoder_loss(
            *(part.repeat(copies, 1, pixels, 1) for part in (images, reconstruction)),
            *(part.repeat(copies, code) for part in (mean, log_variance)),
            logits.repeat(copies),
            labeled.repeat(copies),
        )

    torch.testing.assert_close(loss(3, 3), loss())
    torch.testing.assert_close(loss(copies=5), loss())
    assert loss(1, 3) > loss() > loss(3, 1)


def test_the_two_play_against_each_other_on_unlabeled_images_alone():
    logits = torch.zeros(4, requires_grad=True)
    labeled = torch.tensor([True, True, False, False])
    images, code = torch.zeros(4, 1, 2, 2), torch.zeros(4, 2)
    (of_autoencoder,) = torch.autograd.grad(autoencoder_loss(images, images, code, code, logits, labeled), logits)
    (of_discriminator,) = torch.autograd.grad(discriminator_loss(logits, labeled), logits)
    assert (of_autoencoder < 0).all()
    assert of_discriminator.sign().tolist() == [-1, -1, 1, 1]


def two_sets(n=40, n_labeled=12, size=16, seed=0):
    """Stripes along one axis, and along the other: the labeled and the unlabeled ones."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 2 * np.pi, size=(n, 1, 1, 1))
    y, x = np.mgrid[:size, :size]
    labeled = np.arange(n) < n_labeled
    waves = np.where(labeled[:, None, None, None], np.sin(x + phase), np.sin(y + phase))
    images = waves + 0.1 * rng.normal(size=waves.shape)
    return torch.from_numpy((images / images.std()).astype(np.float32)), labeled


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in (1, 2))])
def test_two_clearly_different_sets_are_told_apart(seed):
    images, labeled = two_sets(seed=seed)
    network = train_vaal(images, labeled, steps=80, batch_size=16, seed=seed, latent=8, channels=(8, 16))
    told = unlabeled_probability(network, images) > 0.5
    assert (told == ~labeled).mean() > 0.9


def organs(n=60, size=32, seed=0):
    """Ellipses of any place, size and grey value in a noisy body, all of one kind: a third of them is labeled."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    images = []
    for _ in range(n):
        (cy, cx), (a, b), grey = rng.uniform(-0.4, 0.4, 2), rng.uniform(0.15, 0.5, 2), rng.uniform(0.3, 1)
        inside = ((y - cy) / a) ** 2 + ((x - cx) / b) ** 2 < 1
        images.append(0.4 * (y**2 + x**2 < 0.9) + grey * inside + 0.05 * rng.normal(size=y.shape))
    images = np.stack(images)[:, None]
    return torch.from_numpy(((images - images.mean()) / images.std()).astype(np.float32)), rng.permutation(n) < n // 3


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in (1, 2))])
def test_the_adversary_moves_the_discriminators_answer(seed):
    images, labeled = organs(seed=seed)
    settings = {"steps": 60, "batch_size": 16, "seed": seed, "latent": 16, "channels": (8, 16, 16)}

    def scores(**options):
        return unlabeled_probability(train_vaal(images, labeled, **settings, **options), images)

    def told_apart(scores):
        return scores[~labeled].mean() - scores[labeled].mean()

    alone, together = scores(adversary=0.0), scores()
    assert told_apart(alone) > 0.1
    assert told_apart(together) < 0.6 * told_apart(alone)
    assert spearmanr(alone[~labeled], together[~labeled])[0] < 0.95


@pytest.mark.nightly
def test_images_are_reconstructed_and_the_latent_code_does_not_collapse():
    images, labeled = two_sets()
    network = train_vaal(images, labeled, steps=150, batch_size=16, latent=8, channels=(8, 16))
    with torch.no_grad():
        mean = network.encode(images)
        found = network.autoencoder.decode_forward(mean, use_sigmoid=False)
    assert (found - images).square().mean() < 0.5 * images.var(0).mean()
    assert (mean.var(0) > 0.1).sum() >= 4  # sine and cosine of the phases of both kinds


def test_the_seed_fixes_all_and_the_random_state_stays():
    images, labeled = two_sets(size=8)
    settings = {**SMALL, "steps": 3, "batch_size": 5}
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = unlabeled_probability(train_vaal(images, labeled, seed=7, **settings), images)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    with torch.no_grad():
        same = unlabeled_probability(train_vaal(images, labeled, seed=7, **settings), images)
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, unlabeled_probability(train_vaal(images, labeled, seed=8, **settings), images))


def test_scores_do_not_depend_on_the_batch_size():
    images, labeled = two_sets(size=8)
    network = train_vaal(images, labeled, steps=2, **SMALL)
    assert not network.training
    scores = unlabeled_probability(network, images)
    assert scores.shape == (40,)
    assert scores.dtype == np.float64
    assert ((scores > 0) & (scores < 1)).all()
    for size in (1, 7, 40):
        np.testing.assert_allclose(unlabeled_probability(network, images, size), scores, atol=1e-6)


@pytest.mark.parametrize("n_labeled", [1, 2, 39])
def test_few_images_of_a_kind_make_smaller_batches(n_labeled):
    images, labeled = two_sets(n_labeled=n_labeled, size=8)
    network = train_vaal(images, labeled, steps=2, batch_size=8, **SMALL)
    assert np.isfinite(unlabeled_probability(network, images)).all()


@pytest.mark.parametrize("n_labeled", [0, 40])
def test_one_kind_alone_is_an_error(n_labeled):
    images, _ = two_sets(size=8)
    with pytest.raises(ValueError, match=f"needs labeled and unlabeled images, but {n_labeled} of 40 are labeled"):
        train_vaal(images, np.arange(40) < n_labeled, **SMALL)


def test_each_step_updates_the_autoencoder_twice_and_the_discriminator_once(monkeypatch):
    updates = []
    plain = torch.optim.Adam.step
    monkeypatch.setattr(
        torch.optim.Adam, "step",
        lambda self, *a, **k: (updates.append(len(self.param_groups[0]["params"])), plain(self, *a, **k))[1],
    )  # fmt: skip
    images, labeled = two_sets(size=8)
    network = train_vaal(images, labeled, steps=3, **SMALL)
    autoencoder, discriminator = (len(list(part.parameters())) for part in (network.autoencoder, network.discriminator))
    assert updates == [autoencoder, autoencoder, discriminator] * 3
