# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""All randomness is derived from the experiment's seed, the round and the purpose."""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["derived_seed", "rng"]


def derived_seed(seed: int, round: int, purpose: str) -> int:
    """A 32-bit seed that depends on the three arguments alone: not on the process, the machine or a strategy's name.

    Example:
        >>> derived_seed(0, 1, "train") == derived_seed(0, 1, "train") != derived_seed(0, 2, "train")
        True
    """
    digest = hashlib.sha256(f"{int(seed)}/{int(round)}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def rng(seed: int, round: int, purpose: str) -> np.random.Generator:
    """A fresh generator for one purpose of one round.

    Example:
        >>> int(rng(0, 1, "ties").integers(100)) == int(rng(0, 1, "ties").integers(100))
        True
    """
    return np.random.default_rng(derived_seed(seed, round, purpose))
