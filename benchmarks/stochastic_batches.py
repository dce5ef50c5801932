# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How fast, and in how much memory, the best of many stochastic batches is found in a large pool.

Chooses by random scores, with the default number of batches, on one CPU thread and in one run, in turn:

* ours: ``stochastic_batches``;
* a plain loop that shuffles the whole pool for every batch, ``rng.permutation(n)[:budget]``, and keeps the best one; it
  draws fewer batches (``--plain-batches``), since the time of a batch does not depend on their number.

Prints the median time of both, the peak of the memory that ours takes beside the scores, as tracemalloc sees it in a
call of its own, and the median of the ratios of neighbouring repeats, per batch.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from monai_al.selection import stochastic_batches


def main() -> None:
    args = parse_args()
    scores = np.random.default_rng(0).random(args.items)
    batches = args.items // args.budget

    def ours() -> np.ndarray:
        return stochastic_batches(scores, args.budget, partition=args.partition)

    def plain() -> np.ndarray:
        return best_of_permutations(scores, args.budget, args.plain_batches)

    seconds: tuple[list[float], list[float]] = ([], [])
    for repeat in range(args.repeats):
        for which in (0, 1) if repeat % 2 == 0 else (1, 0):
            number = (batches, args.plain_batches)[which]
            seconds[which].append(timed((ours, plain)[which]) / number)
    ratio = statistics.median(b / a for a, b in zip(*seconds, strict=True))
    mine, theirs = (batches * statistics.median(each) for each in seconds)
    print(f"{args.items} scores, {batches} batches of {args.budget}{', partition' if args.partition else ''}")
    print(f"stochastic_batches {mine:8.3f} s, {peak_memory(ours) / 2**20:.0f} MiB beside the scores")
    print(f"permutations       {theirs:8.3f} s, from {args.plain_batches} batches")
    print(f"ratio              {ratio:8.0f}")
    if ratio < args.at_least:
        sys.exit(f"the ratio is below {args.at_least}")


def best_of_permutations(scores: np.ndarray, budget: int, batches: int) -> np.ndarray:
    """The same choice by whole permutations."""
    rng = np.random.default_rng(0)
    best, highest = np.empty(0, dtype=np.int64), -np.inf
    for _ in range(batches):
        batch = rng.permutation(len(scores))[:budget]
        if scores[batch].mean() > highest:
            best, highest = batch, scores[batch].mean()
    return best


def timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def peak_memory(function: Callable[[], object]) -> int:
    """Bytes."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000, help="scores in the pool (default: 1000000)")
    parser.add_argument("--budget", type=int, default=1000, help="items in a batch (default: 1000)")
    parser.add_argument("--partition", action="store_true", help="disjoint batches of one permutation")
    parser.add_argument("--repeats", type=int, default=5, help="repeats of each (default: 5)")
    parser.add_argument("--plain-batches", type=int, default=10, help="batches of the plain loop (default: 10)")
    parser.add_argument("--at-least", type=float, default=0.0, help="fail where the ratio is below this (default: 0)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
