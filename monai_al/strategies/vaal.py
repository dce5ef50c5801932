# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The images that a discriminator tells from the labeled ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike

from monai_al.passes.vaal_training import ADVERSARY, train_vaal, unlabeled_probability
from monai_al.records import Query, Round
from monai_al.selection import candidates
from monai_al.strategies.base import Strategy, ranked_reasons
from monai_al.strategies.finite_embeddings import finite_embeddings
from monai_al.strategies.selector import Selector
from monai_al.uncertainty import Measure

__all__ = ["VAAL"]


class VAAL(Strategy):
    """The images that look least like the labeled ones to a discriminator, which an auto-encoder tries to deceive.

    S. Sinha, S. Ebrahimi, T. Darrell, "Variational adversarial active learning", ICCV 2019, algorithm 1 and 2. Both are
    trained anew for each query, on the images of the pool alone; the segmentation network is not looked at. The initial
    set is random, and so is every query while nothing is labeled.

    The paper trains for 100 epochs in batches of 128, which are 600 steps for a pool of 765 items; the default is
    shorter, so that a CPU takes less than half a minute for them.

    Args:
        size: the images are resized to so many pixels each way.
        latent: length of the latent code.
        beta: weight of the divergence of the latent code.
        adversary: weight of the discriminator in the loss of the auto-encoder. The authors have 1, with which the
            discriminator is deceived even where the images are clearly different.
        steps: number of updates of the discriminator, each after two updates of the auto-encoder.
        batch_size: how many labeled and how many unlabeled images a step sees.
        learning_rate: of Adam.
        channels: of the levels of the encoder, each of which halves the image.
        spatial_dims: 2 or 3; None: 3 where the resized images can be volumes, else 2.
        device: where both are trained.
        progress: whether a terminal shows a progress bar.
        selector: how the scores choose, as in :class:`~monai_al.strategies.Uncertainty`.

    Raises:
        ValueError: the selector is unknown or a setting of it is wrong, ``size`` cannot be halved as often as there are
            ``channels``; when a query is chosen: the training diverged.

    Example:
        >>> from monai_al.records import Item, Pool
        >>> pool = Pool([Item(str(i), "", "v", "p") for i in range(8)])
        >>> rows = np.random.default_rng(0).random((8, 64)).astype("float32")
        >>> round = Round(1, pool, labeled=[0, 5], seed=0, embeddings={"pixels:8": rows})
        >>> strategy = VAAL(size=8, channels=(4, 8), steps=2)
        >>> len(strategy.query(round, budget=3).ids)
        3
    """

    def __init__(
        self,
        *,
        size: int = 64,
        latent: int = 32,
        beta: float = 1.0,
        adversary: float = ADVERSARY,
        steps: int = 200,
        batch_size: int = 32,
        learning_rate: float = 5e-4,
        channels: Sequence[int] = (8, 16, 32, 64),
        spatial_dims: int | None = None,
        device: str = "cpu",
        progress: bool = True,
        selector: str | Callable[..., ArrayLike] | None = None,
    ) -> None:
        if len(channels) == 0 or size % 2 ** len(channels):
            raise ValueError(
                f"size {size} cannot be halved once for each of the channels {tuple(channels)}: give a size divisible "
                f"by {2 ** len(channels)}, or other channels"
            )
        if spatial_dims not in (None, 2, 3):
            raise ValueError(f"spatial_dims must be 2, 3 or None, got {spatial_dims!r}")
        self.selector = Selector.of(selector)
        self.name = self.selector.named("vaal")
        self.size = size
        self.spatial_dims = spatial_dims
        self.training = {
            "latent": latent,
            "beta": beta,
            "adversary": adversary,
            "steps": steps,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "channels": tuple(channels),
        }
        self.device = device
        self.progress = progress

    def needs(self) -> dict[str, Measure | str]:
        """See :meth:`Strategy.needs`."""
        return {f"pixels:{self.size}": f"pixels:{self.size}"}

    def select(self, round: Round, budget: int) -> Query:
        """See :meth:`Strategy.select`."""
        unlabeled, budget = candidates(len(round.pool), budget, round.labeled)
        (name,) = self.needs()
        pixels = finite_embeddings(self, round, name)
        if len(round.labeled) == 0 or budget == 0:
            picks = round.rng("vaal start").permutation(unlabeled)[:budget]
            return self.make_query(round, picks, reasons=["drawn: nothing is labeled"] * budget)
        scores = self._scores(self._images(pixels), round)
        picks = self.selector.choose(scores, budget, round)
        reasons = ranked_reasons("unlike the labeled images", scores, picks, round.labeled, "")
        return self.make_query(round, picks, scores[picks], self.selector.reasons(reasons))

    def _scores(self, images: torch.Tensor, round: Round) -> np.ndarray:
        network = train_vaal(
            images,
            np.isin(np.arange(len(images)), round.labeled),
            seed=int(round.rng("vaal").integers(2**62)),
            device=self.device,
            progress=self.progress,
            **self.training,
        )
        scores = unlabeled_probability(network, images)
        if not np.isfinite(scores).all():
            raise ValueError(
                f"the training of vaal diverged: lower --strategy#learning_rate from {self.training['learning_rate']}"
            )
        return scores

    def _images(self, pixels: np.ndarray) -> torch.Tensor:
        """``(N, C, *spatial)``, each channel of zero mean and unit variance over the pool."""
        numbers = pixels.shape[1]
        dims = self.spatial_dims or (3 if numbers % self.size**3 == 0 else 2)
        if numbers == 0 or numbers % self.size**dims:
            raise ValueError(
                f"strategy 'vaal' needs images of {self.size} pixels each way in {dims} dimensions, but the embeddings "
                f"'pixels:{self.size}' hold {numbers} numbers per item"
            )
        images = torch.from_numpy(np.asarray(pixels, dtype=np.float32)).unflatten(1, (-1, *[self.size] * dims))
        each = (0, *range(2, images.ndim))
        spread = images.std(each, keepdim=True, correction=0)
        return (images - images.mean(each, keepdim=True)) / torch.where(spread > 0, spread, 1.0)
