# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Several predictions of one network by leaving its dropout on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from monai.inferers import Inferer, SimpleInferer
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from monai_al.data.seeding import seeded
from monai_al.inferers.shared_prefix import SharedPrefix

__all__ = ["MCDropoutInferer", "active_dropout", "dropout_enabled"]


@contextmanager
def dropout_enabled(network: nn.Module) -> Iterator[nn.Module]:
    """Within the context only dropout layers with p > 0 are in training mode, everything else is in evaluation mode.

    Every module's own mode is restored afterwards, also after an error. Batch-norm statistics stay as they are.

    Args:
        network: any module with at least one active dropout layer of PyTorch, of any dimension.

    Raises:
        ValueError: it has none, so all passes would be equal.

    Example:
        >>> network = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5))
        >>> with dropout_enabled(network):
        ...     [module.training for module in network]
        [False, True]
    """
    active = active_dropout(network)
    if not active:
        raise ValueError(
            f"{type(network).__name__} has no active dropout layer, so its passes would all be equal: build it with a "
            "dropout rate above 0, or choose a measure that needs one prediction"
        )
    modes = {module: module.training for module in network.modules()}
    try:
        for module in modes:
            module.training = module in active
        yield network
    finally:
        for module, mode in modes.items():
            module.training = mode


class MCDropoutInferer(Inferer):
    """Run a network several times with its dropout on.

    Y. Gal, Z. Ghahramani, "Dropout as a Bayesian approximation", ICML 2016. Between two passes, and after an error or
    when the passes are not used up, the network is in the modes it came in.

    Where each prediction is one call of the network and no gradients are recorded, what the network computes before
    its first active dropout layer is computed once for all passes, with the same predictions:
    :class:`~monai_al.inferers.SharedPrefix`.

    Args:
        passes: number of predictions.
        inferer: how one prediction is made, for example by sliding windows; default: one call of the network.
        seed: makes the passes of every call reproducible and leaves PyTorch's own random state untouched; None: draw
            from that state.

    Raises:
        ValueError: ``passes`` is below 1.

    Example:
        >>> network = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))
        >>> MCDropoutInferer(passes=4)(torch.ones(5, 3), network).shape
        torch.Size([4, 5, 2])
    """

    def __init__(self, passes: int = 10, inferer: Inferer | None = None, *, seed: int | None = None) -> None:
        if isinstance(passes, bool) or not isinstance(passes, int) or passes < 1:
            raise ValueError(f"passes must be an integer of at least 1, got {passes!r}")
        self.passes = passes
        self.inferer = SimpleInferer() if inferer is None else inferer
        self.seed = seed

    def samples(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Iterator[Tensor]:
        """One prediction after the other, so that only one is held at a time.

        Args:
            inputs: a batch ``(B, ...)``.
            network: the network; its dropout is on only while a prediction is made.
            args: passed on to the network.
            kwargs: passed on to the network.

        Yields:
            What the inferer returns, once per pass.

        Raises:
            ValueError: the network has no active dropout layer.
        """
        one_call = type(self.inferer) is SimpleInferer and self.passes > 1
        called = SharedPrefix(network, active_dropout(network)) if one_call else network
        for seed in self._seeds():
            with dropout_enabled(network), nullcontext() if seed is None else seeded(seed, inputs.device):
                prediction = self.inferer(inputs, called, *args, **kwargs)
            yield prediction

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:  # type: ignore[override]
        """All predictions at once, ``(T, B, C, ...)``; :meth:`samples` needs less memory."""
        return torch.stack(list(self.samples(inputs, network, *args, **kwargs)))

    def _seeds(self) -> list[int] | list[None]:
        if self.seed is None:
            return [None] * self.passes
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randint(2**62, (self.passes,), generator=generator).tolist()


def active_dropout(network: nn.Module) -> set[Any]:
    """The dropout layers with p > 0, of any dimension.

    Args:
        network: any module.

    Example:
        >>> active_dropout(nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.0), nn.Dropout2d(0.2)))
        {Dropout2d(p=0.2, inplace=False)}
    """
    return {module for module in network.modules() if isinstance(module, _DropoutNd) and module.p > 0}
