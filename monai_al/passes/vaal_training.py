# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Training of an auto-encoder against a discriminator that tells labeled from unlabeled images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import trange

from monai_al.data.seeding import seeded
from monai_al.networks.vaal import VAALNetwork

__all__ = ["autoencoder_loss", "discriminator_loss", "train_vaal", "unlabeled_probability"]

AUTOENCODER_UPDATES = 2  # for each update of the discriminator
ADVERSARY = 0.03  # with the authors' 1 the code hides even what is clearly different, and all scores are about 1/2


def autoencoder_loss(
    images: Tensor,
    reconstruction: Tensor,
    mean: Tensor,
    log_variance: Tensor,
    logits: Tensor,
    labeled: Tensor,
    beta: float = 1.0,
    adversary: float = ADVERSARY,
) -> Tensor:
    """Reconstruct the images, keep the latent code near a standard normal, and make all of them look labeled.

    S. Sinha, S. Ebrahimi, T. Darrell, "Variational adversarial active learning", ICCV 2019, eq. 1 to 3. Of each image:
    the mean squared error of its pixels, + ``beta`` * the divergence of its code, + ``adversary`` * the cross entropy
    of its logit with "labeled"; averaged over the labeled and over the unlabeled images, and added. The divergence is
    divided by the number of pixel values, too: beside a mean error one that is summed, or averaged over the few latent
    values, collapses the latent code, and beside sums over hundreds of pixels the adversary has no effect.

    Args:
        images: ``(B, C, *spatial)``.
        reconstruction: ``(B, C, *spatial)``.
        mean: of the latent code ``(B, latent)``.
        log_variance: of the latent code ``(B, latent)``.
        logits: of being labeled ``(B,)``.
        labeled: ``(B,)``, bool; at least one of each.
        beta: weight of the divergence.
        adversary: weight of the cross entropy.

    Example:
        >>> images, code, logits = torch.ones(2, 1, 4, 4), torch.zeros(2, 3), torch.zeros(2)
        >>> autoencoder_loss(images, images - 1, code, code, logits, torch.tensor([True, False]))
        tensor(2.0416)
    """
    error = (reconstruction - images).square().flatten(1).mean(1)
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / images[0].numel()
    return _of_both(error + beta * divergence + adversary * F.softplus(-logits), labeled)


def discriminator_loss(logits: Tensor, labeled: Tensor) -> Tensor:
    """The cross entropy of the logits with what the images are: target 1 for labeled and 0 for unlabeled ones.

    S. Sinha, S. Ebrahimi, T. Darrell, "Variational adversarial active learning", ICCV 2019, eq. 4, as the sum of the
    means over the labeled and over the unlabeled images.

    Args:
        logits: of being labeled ``(B,)``.
        labeled: ``(B,)``, bool; at least one of each.

    Example:
        >>> discriminator_loss(torch.tensor([9.0, -9.0]), torch.tensor([True, False])) < 1e-3
        tensor(True)
    """
    return _of_both(F.softplus(torch.where(labeled, -logits, logits)), labeled)


def train_vaal(
    images: Tensor,
    labeled: np.ndarray,
    *,
    latent: int = 32,
    channels: Sequence[int] = (8, 16, 32, 64),
    beta: float = 1.0,
    adversary: float = ADVERSARY,
    steps: int = 200,
    batch_size: int = 32,
    learning_rate: float = 5e-4,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> VAALNetwork:
    """Train a :class:`~monai_al.networks.VAALNetwork` with Adam.

    Each step updates the auto-encoder twice and the discriminator once. A batch holds labeled and unlabeled images, and
    is normalized as one, so that the normalization cannot hide what tells them apart. The process's own random state
    stays untouched.

    Args:
        images: ``(N, C, *spatial)``, of about zero mean and unit variance.
        labeled: ``(N,)``, bool; at least one of each.
        latent: of the network.
        channels: of the network.
        beta: of :func:`autoencoder_loss`.
        adversary: of :func:`autoencoder_loss`.
        steps: number of updates of the discriminator.
        batch_size: how many images of each kind a batch holds, or all where there are fewer.
        learning_rate: of Adam.
        seed: fixes the first weights, the batches and the drawn codes.
        device: where to train.
        progress: whether a terminal shows a progress bar.

    Returns:
        The network in evaluation mode.

    Raises:
        ValueError: no image is labeled, or all of them, or what :class:`~monai_al.networks.VAALNetwork` refuses.

    Example:
        >>> images = torch.randn(6, 1, 8, 8)
        >>> network = train_vaal(images, np.arange(6) < 2, latent=2, channels=(4, 8), steps=1)
        >>> unlabeled_probability(network, images).shape
        (6,)
    """
    labeled = np.asarray(labeled, dtype=bool)
    groups = [torch.from_numpy(np.flatnonzero(group)) for group in (labeled, ~labeled)]
    if not all(len(group) for group in groups):
        raise ValueError(
            f"the discriminator needs labeled and unlabeled images, but {labeled.sum()} of {len(labeled)} are labeled"
        )
    sizes = [min(batch_size, len(group)) for group in groups]
    is_labeled = (torch.arange(sum(sizes)) < sizes[0]).to(device)

    def batch() -> Tensor:
        drawn = [group[torch.randperm(len(group))[:size]] for group, size in zip(groups, sizes, strict=True)]
        return images[torch.cat(drawn)].to(device)

    with seeded(seed, device), torch.enable_grad():
        network = VAALNetwork(tuple(images.shape[1:]), latent, channels).to(device).train()
        of_autoencoder = torch.optim.Adam(network.autoencoder.parameters(), learning_rate)
        of_discriminator = torch.optim.Adam(network.discriminator.parameters(), learning_rate)
        for _ in trange(steps, desc="vaal", unit="step", disable=None if progress else True, leave=False):
            for _ in range(AUTOENCODER_UPDATES):
                x = batch()
                of_autoencoder.zero_grad()
                reconstruction, mean, log_variance, logits = network(x)
                autoencoder_loss(x, reconstruction, mean, log_variance, logits, is_labeled, beta, adversary).backward()
                of_autoencoder.step()
            with torch.no_grad():
                code = network.encode(x)
            of_discriminator.zero_grad()
            discriminator_loss(network.discriminator(code)[:, 0], is_labeled).backward()
            of_discriminator.step()
    return network.eval()


def unlabeled_probability(network: VAALNetwork, images: Tensor, batch_size: int = 128) -> np.ndarray:
    """1 - D: the probability ``(N,)``, float64, that the discriminator gives to an image being unlabeled.

    Args:
        network: trained, in evaluation mode.
        images: ``(N, C, *spatial)``.
        batch_size: how many images at once.

    Example:
        >>> network = VAALNetwork((1, 8, 8), latent=2, channels=(4, 8)).eval()
        >>> unlabeled_probability(network, torch.zeros(3, 1, 8, 8)).round().shape
        (3,)
    """
    device = next(network.parameters()).device
    with torch.no_grad():
        logits = [network.discriminator(network.encode(part.to(device))) for part in images.split(batch_size)]
    return torch.cat(logits)[:, 0].double().neg().sigmoid().cpu().numpy()


def _of_both(losses: Tensor, labeled: Tensor) -> Tensor:
    """Mean of the labeled + mean of the unlabeled ones."""
    return losses[labeled].mean() + losses[~labeled].mean()
