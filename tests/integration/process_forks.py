# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs something in several forks of this process that work together, as torchrun would start them."""

from __future__ import annotations

import gc
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable

import torch

LIMIT = 120  # seconds after which what still runs counts as hanging


def in_forks(work: Callable[[], object], size: int) -> list[int]:
    """Run something in several children at once.

    Returns:
        Of each its exit status, or the negative number of the signal that ended it.

    Raises:
        TimeoutError: one still runs after so long; all are killed.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sys.stdout.flush()
    gc.freeze()  # what is there already is no garbage of the children's
    children = [_child(work, rank, size, port) for rank in range(size)]
    ended: dict[int, int] = {}
    until = time.monotonic() + LIMIT
    for child in children:
        while True:
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                ended[child] = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                break
            if time.monotonic() > until:
                for one in children:
                    if one not in ended:
                        os.kill(one, 9)
                raise TimeoutError(f"after {LIMIT} s a process still runs")
            time.sleep(0.02)
    return [ended[child] for child in children]


def _child(work: Callable[[], object], rank: int, size: int, port: int) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        if size > 1:
            told = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size}
            os.environ |= {name: str(value) for name, value in told.items()}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        torch.set_num_threads(1)
        work()
        code = 0
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)
