# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""As which of how many processes this one was started, and the device that is its own."""

from __future__ import annotations

import os
from typing import NamedTuple

import torch

__all__ = ["Launched", "launched", "process_device"]


class Launched(NamedTuple):
    """What ``torchrun`` told a process of itself.

    Args:
        rank: its number among all.
        size: how many there are.
        local_rank: its number on its machine.
        local_size: how many there are on its machine.

    Example:
        >>> Launched().size
        1
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def launched() -> Launched:
    """What the launcher told this process, read off the environment; one process where none did.

    Example:
        >>> launched().rank
        0
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    told = [os.environ.get(name, "") for name in names]
    return Launched(*map(int, told)) if all(one.isdigit() for one in told) else Launched()


def process_device() -> torch.device:
    """The device of this process: of several on a machine with GPUs each has the GPU of its number.

    Raises:
        ValueError: there are fewer GPUs than processes.

    Example:
        >>> process_device().type in ("cpu", "cuda")
        True
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    own = launched()
    if own.local_size > torch.cuda.device_count():
        raise ValueError(
            f"{own.local_size} processes were started on a machine with {torch.cuda.device_count()} GPUs, and each "
            "needs its own: start as many processes as there are GPUs (--nproc_per_node), or give --device cpu"
        )
    return torch.device("cuda", own.local_rank)
