# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""As which of how many processes this one was started, and the device that is its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

__all__ = ["Launched", "device_identity", "launched", "own_folder", "process_device", "refuse_shared_devices"]

_FOLDER = "monai_al_process_"


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

    Where each process is shown one GPU alone (``CUDA_VISIBLE_DEVICES``), that one.

    Raises:
        ValueError: there are fewer GPUs than processes.

    Example:
        >>> process_device().type in ("cpu", "cuda")
        True
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    own, n_gpus = launched(), torch.cuda.device_count()
    if n_gpus == 1 and own.local_size > 1 and "CUDA_VISIBLE_DEVICES" in os.environ:
        return torch.device("cuda", 0)
    if own.local_size > n_gpus:
        raise ValueError(
            f"{own.local_size} processes were started on a machine with {n_gpus} GPUs, and each needs its own: start "
            "as many processes as there are GPUs (--nproc_per_node), or give --device cpu"
        )
    return torch.device("cuda", own.local_rank)


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """A temporary folder of this process; what processes left that were ended in such a block is removed before.

    Example:
        >>> with own_folder() as folder:
        ...     folder.is_dir()
        True
    """
    root = Path(tempfile.gettempdir())
    for left in root.glob(f"{_FOLDER}*"):
        pid = left.name[len(_FOLDER) :].partition("_")[0]
        if pid.isdigit() and not _lives(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}_") as name:
        yield Path(name)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def device_identity(device: torch.device) -> tuple[str, str] | None:
    """What tells a GPU from all others, on any machine; None of a CPU.

    Args:
        device: the device.

    Example:
        >>> device_identity(torch.device("cpu")) is None
        True
    """
    if device.type != "cuda":
        return None
    return socket.gethostname(), str(torch.cuda.get_device_properties(device).uuid)


def refuse_shared_devices(devices: Sequence[tuple[str, str] | None]) -> None:
    """Refuse that two processes have one GPU.

    Args:
        devices: of each process what :func:`device_identity` says.

    Raises:
        ValueError: two have the same one.

    Example:
        >>> refuse_shared_devices([("a", "GPU-1"), ("a", "GPU-1")])
        Traceback (most recent call last):
        ...
        ValueError: two processes on a have the same GPU: --train_overlays "['multi_gpu']" gives each its own
    """
    known = [one for one in devices if one is not None]
    shared = next((one for one in known if known.count(one) > 1), None)
    if shared is not None:
        raise ValueError(
            f"two processes on {shared[0]} have the same GPU: --train_overlays \"['multi_gpu']\" gives each its own"
        )
