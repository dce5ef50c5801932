# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How fast ProbCover's choice is beside one that keeps all distances, and what it takes of memory for a large pool.

First, with equal threads and in one run, in turn, on float32 embeddings whose columns vary less and less, as those of
trained encoders do, and of which the first items are labeled:

* ours: ``prob_cover``;
* dense: all distances at once, one mask of which ball holds which item, and its sums anew for each pick.

Prints the fastest repeat of each, their ratio, and the share of the pool that is covered by both, which has to be
equal. Then ``prob_cover`` and ``radius_of_clusters`` alone, in a process of their own, on a pool whose mask would take
gigabytes: the time, and the largest memory of that process beyond what it held before, as only Linux tells it. Times
are the processor's with one thread, which other processes disturb least, and the clock's with more. ``--large-items 0``
leaves the second part out.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from monai_al.selection import prob_cover, radius_of_clusters

CLUSTERS = 100


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    with threadpool_limits(args.threads):
        ratio = side_by_side(args)
    memory = alone(args) if args.large_items else 0.0
    if ratio < args.at_least:
        sys.exit(f"the ratio is below {args.at_least}")
    if memory > args.at_most_memory:
        sys.exit(f"the memory is above {args.at_most_memory} MiB")


def side_by_side(args: argparse.Namespace) -> float:
    x = features(args.items, args.dim)
    labeled = np.arange(args.labeled)
    delta = radius_of_clusters(x, CLUSTERS)
    clock = time.process_time if args.threads == 1 else time.perf_counter
    functions: list[Callable[[], np.ndarray]] = [
        lambda: prob_cover(x, args.budget, delta, labeled),
        lambda: dense(x, args.budget, delta, labeled),
    ]
    seconds: list[list[float]] = [[], []]
    shares = [0.0, 0.0]
    for _ in range(args.repeats):
        for which, function in enumerate(functions):
            start = clock()
            chosen = function()
            seconds[which].append(clock() - start)
            shares[which] = covered(x, np.concatenate([labeled, chosen]), delta)
    ratio = min(seconds[1]) / min(seconds[0])
    print(f"{args.items} x {args.dim}, {args.labeled} labeled, {args.budget} picks, {args.threads} threads")
    print(f"prob_cover {min(seconds[0]):9.2f} s, {shares[0]:.6f} covered")
    print(f"dense      {min(seconds[1]):9.2f} s, {shares[1]:.6f} covered")
    print(f"ratio      {ratio:9.1f}")
    if not np.isclose(shares[0], shares[1], atol=1e-3):
        sys.exit("the shares differ")
    return ratio


def dense(x: np.ndarray, budget: int, delta: float, labeled: np.ndarray) -> np.ndarray:
    """The plain algorithm: a mask of N x N, of which each pick sums what is not held yet."""
    rows = torch.nn.functional.normalize(torch.from_numpy(x))
    holds = torch.cdist(rows, rows) < delta
    free = torch.ones(len(x), dtype=torch.bool)
    free[labeled] = False
    held = holds[labeled].any(0)
    chosen = []
    for _ in range(budget):
        gains = holds[:, ~held].sum(1).masked_fill(~free, -1)
        chosen.append(int(gains.argmax()))
        free[chosen[-1]] = False
        held |= holds[chosen[-1]]
    return np.array(chosen)


def covered(x: np.ndarray, centers: np.ndarray, delta: float) -> float:
    """The share of the items in any of these balls."""
    rows = torch.nn.functional.normalize(torch.from_numpy(x))
    return float((torch.cdist(rows, rows[centers]) < delta).any(1).float().mean())


def alone(args: argparse.Namespace) -> float:
    """MiB beyond those before."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        radius, choice, memory, delta = pool.apply(choose, (args.large_items, args.dim, args.budget, args.threads))
    print(f"{args.large_items} x {args.dim}, {args.budget} picks, {args.threads} threads")
    print(f"radius_of_clusters {radius:9.1f} s, delta {delta:.3f}")
    print(f"prob_cover         {choice:9.1f} s")
    print(
        f"{memory:.0f} MiB beside the {4 * args.large_items * args.dim / 2**20:.0f} MiB of embeddings; a mask of all "
        f"pairs would be {args.large_items**2 / 2**20:.0f} MiB"
    )
    return memory


def choose(n: int, dim: int, budget: int, threads: int) -> tuple[float, float, float, float]:
    """Seconds of both steps, MiB beyond those before, and the radius."""
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    x = features(n, dim)
    radius_of_clusters(x[:1000], CLUSTERS)  # what is loaded once
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from now
    before = memory_of("VmRSS")
    with threadpool_limits(threads):
        start = clock()
        delta = radius_of_clusters(x, CLUSTERS)
        middle = clock()
        prob_cover(x, budget, delta)
        end = clock()
    return middle - start, end - middle, memory_of("VmHWM") - before, delta


def memory_of(name: str) -> float:
    """MiB of this process: what it holds, or its peak."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def features(n: int, dim: int) -> np.ndarray:
    """Normal rows, float32, whose column j has the standard deviation 1 / sqrt(j)."""
    rng = np.random.default_rng(0)
    scale = np.arange(1, dim + 1, dtype=np.float32) ** -0.5
    rows = np.empty((n, dim), dtype=np.float32)
    for start in range(0, n, 10_000):
        part = rows[start : start + 10_000]
        part[:] = rng.standard_normal(part.shape, dtype=np.float32)
        part *= scale
    return rows


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000, help="items in the pool (default: 10000)")
    parser.add_argument("--dim", type=int, default=512, help="numbers in an embedding (default: 512)")
    parser.add_argument("--labeled", type=int, default=20, help="labeled items (default: 20)")
    parser.add_argument("--budget", type=int, default=100, help="picks (default: 100)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each (default: 1)")
    parser.add_argument("--repeats", type=int, default=3, help="repeats of each (default: 3)")
    parser.add_argument("--large-items", type=int, default=50_000, help="items of the second part (default: 50000)")
    parser.add_argument("--at-least", type=float, default=0.0, help="fail where the ratio is below this (default: 0)")
    parser.add_argument(
        "--at-most-memory", type=float, default=np.inf, help="fail where the second part takes more MiB"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
