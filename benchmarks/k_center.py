# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How fast k-center greedy is beside scikit-activeml's, and how much memory it takes for embeddings in a large file.

First, with equal threads and in one run, in turn, on float32 embeddings in 40 blobs of which the first items are
labeled:

* ours: ``k_center_greedy``, with its first pass by faiss, where that is installed, and without;
* scikit-activeml: ``k_greedy_center``, where it is installed: ``pip install scikit-activeml``.

Prints the fastest repeat of each, their ratios, and the covering radius of each, the largest distance of an item to its
nearest labeled or chosen one, which has to be equal; so have the picks with and without faiss. Times are those of the
processor with one thread, which other processes disturb least, and of the clock with more.

Then, in a process of its own, on embeddings in a memory-mapped file: the time, and the largest anonymous memory of that
process, Python and its libraries included, as Linux tells it. ``--file-items 0`` leaves this out.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from monai_al.selection import k_center, k_center_greedy
from monai_al.selection.flat_index import has_faiss

k_greedy_center: Callable[..., tuple[np.ndarray, np.ndarray]] | None
try:
    k_greedy_center = importlib.import_module("skactiveml.pool").k_greedy_center
except ImportError:
    k_greedy_center = None


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    with threadpool_limits(args.threads):
        ratio = side_by_side(args)
    memory = in_a_file(args) if args.file_items else 0
    if ratio is not None and ratio < args.at_least:
        sys.exit(f"the ratio is below {args.at_least}")
    if memory > args.at_most_memory:
        sys.exit(f"the memory is above {args.at_most_memory} MiB")


def side_by_side(args: argparse.Namespace) -> float | None:
    x = np.concatenate(list(blobs(args.items, args.dim)))
    labeled = np.arange(args.labeled)
    theirs = k_greedy_center
    y = np.where(np.arange(args.items) < args.labeled, 0.0, np.nan)
    clock = time.process_time if args.threads == 1 else time.perf_counter
    functions: dict[str, Callable[[], np.ndarray]] = {}
    functions["k_center_greedy"] = lambda: k_center_greedy(x, args.budget, labeled)
    if has_faiss():
        functions["  without faiss"] = lambda: without_faiss(x, args.budget, labeled)
    if theirs is not None:
        functions["scikit-activeml"] = lambda: theirs(x, y, batch_size=args.budget, random_state=0)[0]
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    picks: dict[str, np.ndarray] = {}
    for _ in range(args.repeats):
        for name, function in functions.items():
            start = clock()
            picks[name] = function()
            seconds[name].append(clock() - start)
    print(f"{args.items} x {args.dim}, {args.labeled} labeled, {args.budget} picks, {args.threads} threads")
    radii = {name: radius(x, np.concatenate([labeled, chosen])) for name, chosen in picks.items()}
    for name, times in seconds.items():
        print(f"{name:<15} {min(times):9.3f} s, radius {radii[name]:.9f}")
    ours = min(seconds["k_center_greedy"])
    if has_faiss():
        print(f"ratio of faiss  {min(seconds['  without faiss']) / ours:9.2f}")
        if not np.array_equal(picks["k_center_greedy"], picks["  without faiss"]):
            sys.exit("the picks with and without faiss differ")
    if not np.allclose([*radii.values()], radii["k_center_greedy"], rtol=1e-6, atol=0):
        sys.exit("the radii differ")
    if theirs is None:
        print("scikit-activeml is not there: pip install scikit-activeml")
        return None
    ratio = min(seconds["scikit-activeml"]) / ours
    print(f"ratio           {ratio:9.1f}")
    return ratio


def without_faiss(x: np.ndarray, budget: int, labeled: np.ndarray) -> np.ndarray:
    """The same picks, where faiss counts as not installed."""
    with mock.patch.object(k_center, "has_faiss", return_value=False):
        return k_center_greedy(x, budget, labeled)


def in_a_file(args: argparse.Namespace) -> float:
    """MiB of anonymous memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "embeddings.npy"
        shape = (args.file_items, args.file_dim)
        file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        start = 0
        for part in blobs(*shape):
            file[start : start + len(part)] = part
            start += len(part)
        del file
        processes = multiprocessing.get_context("spawn")
        with processes.Pool(1) as pool:
            seconds, before, peak = pool.apply(choose_from_file, (path, args.budget, args.labeled, args.threads))
    print(f"{args.file_items} x {args.file_dim} in a file of {4 * shape[0] * shape[1] / 2**20:.0f} MiB")
    print(f"k_center_greedy {seconds:9.2f} s, {peak:.0f} MiB of anonymous memory, {before:.0f} MiB of it before")
    return peak


def choose_from_file(path: Path, budget: int, labeled: int, threads: int) -> tuple[float, float, float]:
    """Seconds, and MiB before and at the peak."""
    torch.set_num_threads(threads)
    x = np.load(path, mmap_mode="r")
    before, peaks, done = anonymous_memory(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            peaks.append(anonymous_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    with threadpool_limits(threads):
        k_center_greedy(x, budget, np.arange(labeled))
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    return seconds, before, max(peaks)


def anonymous_memory() -> float:
    """MiB; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    return 0.0


def blobs(n: int, dim: int, chunk: int = 10_000) -> Iterator[np.ndarray]:
    """Blocks of rows around 40 centers."""
    rng = np.random.default_rng(0)
    centers = 3 * rng.standard_normal((40, dim), dtype=np.float32)
    for start in range(0, n, chunk):
        size = min(chunk, n - start)
        yield centers[rng.integers(40, size=size)] + rng.standard_normal((size, dim), dtype=np.float32)


def radius(x: np.ndarray, centers: np.ndarray) -> float:
    """Largest distance of an item to its nearest center."""
    others = torch.from_numpy(x[centers]).double()
    return max(
        torch.cdist(torch.from_numpy(part).double(), others).amin(1).max().item()
        for part in np.array_split(x, max(1, len(x) // 5000))
    )


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=50_000, help="items in the pool (default: 50000)")
    parser.add_argument("--dim", type=int, default=512, help="numbers in an embedding (default: 512)")
    parser.add_argument("--labeled", type=int, default=500, help="labeled items (default: 500)")
    parser.add_argument("--budget", type=int, default=200, help="picks (default: 200)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each (default: 1)")
    parser.add_argument("--repeats", type=int, default=3, help="repeats of each (default: 3)")
    parser.add_argument("--file-items", type=int, default=1_000_000, help="items in the file (default: 1000000)")
    parser.add_argument("--file-dim", type=int, default=256, help="numbers in their embeddings (default: 256)")
    parser.add_argument("--at-least", type=float, default=0.0, help="fail where the ratio is below this (default: 0)")
    parser.add_argument("--at-most-memory", type=float, default=np.inf, help="fail where the file takes more MiB")
    return parser.parse_args()


if __name__ == "__main__":
    main()
