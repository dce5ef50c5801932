# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Random draws of torch from a seed, beside the process's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["seeded"]


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Within the context torch draws from this seed; afterwards its random state is what it was.

    Args:
        seed: any 64-bit number.
        device: a GPU whose random state counts, too.

    Example:
        >>> with seeded(0):
        ...     first = torch.rand(3)
        >>> with seeded(0):
        ...     torch.equal(first, torch.rand(3))
        True
    """
    device = torch.device(device)
    on_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        torch.default_generator.manual_seed(seed)
        if on_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
