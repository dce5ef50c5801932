# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The process group of torch: one for as long as the processes work together, and only seen where all take part.

MONAI's and ignite's metrics and handlers exchange numbers as soon as torch says that there is a group, also in what
one process does by itself, such as the training of a member or the choice of a query, where the others would never
answer. There the group is hidden from them.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
from collections.abc import Iterator
from typing import Any
from unittest import mock

import ignite.distributed as idist
import torch
import torch.distributed as dist
from ignite.distributed import utils as ignite_state
from ignite.distributed.comp_models import _SerialModel
from torch.distributed import distributed_c10d

from monai_al.distributed.launched import process_device

__all__ = [
    "close_group",
    "from_first",
    "hidden_group",
    "is_first",
    "is_open",
    "open_group",
    "shown_group",
    "visible_processes",
]

# who dies is noticed by the launcher; who takes long, as a choice of items may, is waited for
_PATIENCE = datetime.timedelta(days=30)
_everybody: list[Any] = []


def open_group() -> dist.ProcessGroup:
    """Let all processes form a group, by NCCL where there are GPUs, by gloo otherwise; until this process ends.

    A group that is there already stays.

    Returns:
        A second group of all, by gloo, for what is no tensor on a GPU; the same each time.

    Example:
        >>> everybody = open_group()  # doctest: +SKIP
    """
    if not is_open():
        backend = "gloo"
        if torch.cuda.is_available() and dist.is_nccl_available():
            with contextlib.suppress(ValueError):  # fewer GPUs than processes: only what runs on the CPU can go well
                torch.cuda.set_device(process_device())
                backend = "nccl"
        dist.init_process_group(backend, timeout=_PATIENCE)
        atexit.register(close_group)
    if not _everybody:
        _everybody.append(dist.new_group(backend="gloo", timeout=_PATIENCE))
    return _everybody[0]


def close_group() -> None:
    """End the group of this process, if there is one; those who wait for it are told by an error.

    Example:
        >>> close_group()
    """
    _everybody.clear()
    if is_open():
        dist.destroy_process_group()


def is_open() -> bool:
    """Whether there is a process group, hidden or not.

    Example:
        >>> is_open()
        False
    """
    return dist.is_available() and distributed_c10d.is_initialized()


@contextlib.contextmanager
def hidden_group() -> Iterator[None]:
    """Inside the block torch and ignite say that there is no group.

    Example:
        >>> with hidden_group():
        ...     dist.is_initialized(), idist.get_world_size()
        (False, 1)
    """
    with (
        mock.patch.object(dist, "is_initialized", _there_is_none),
        mock.patch.object(ignite_state, "_model", _SerialModel()),
        mock.patch.object(ignite_state, "_need_to_sync", False),
    ):
        yield


@contextlib.contextmanager
def shown_group() -> Iterator[None]:
    """Inside the block torch and ignite say what is so; all processes enter it at the same time.

    Example:
        >>> with hidden_group(), shown_group():
        ...     idist.get_world_size()
        1
    """
    with (
        mock.patch.object(dist, "is_initialized", distributed_c10d.is_initialized),
        mock.patch.object(ignite_state, "_model", _SerialModel()),
        mock.patch.object(ignite_state, "_need_to_sync", True),
    ):
        idist.sync()  # it asks the other processes, which it must not do when only one of them happens to need it
        yield


def visible_processes() -> int:
    """How many processes take part in what is done now.

    Example:
        >>> visible_processes()
        1
    """
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def from_first(value: Any) -> Any:
    """What the first of the processes that take part now has; all call this at the same time.

    Args:
        value: in the first process; what the others give does not matter.

    Example:
        >>> from_first(3)
        3
    """
    if visible_processes() == 1:
        return value
    held = [value]
    dist.broadcast_object_list(held, src=0, group=open_group())
    return held[0]


def is_first() -> bool:
    """Whether this process is the first of those that take part in what is done now, and so the one that writes.

    Example:
        >>> is_first()
        True
    """
    return visible_processes() == 1 or dist.get_rank() == 0


def _there_is_none() -> bool:
    return False
