# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How much time scoring a pool takes beside running the network on it.

Measures, on the CPU and in one run, in turn: (a) the network alone in evaluation mode without gradients on batches that
already lie in memory, and (b) the pass that scores a pool for a strategy, on the same slices: read from the volume
cache, batched, predicted by a MONAI ``SupervisedEvaluator`` and scored by an ``UncertaintyHandler``. Prints the fastest
repeat of each and their ratio b / a: what else the machine does can only add time, so the fastest repeat is the one it
disturbed least. The C library is told to keep freed memory: else each of the two gets fresh pages from the system again
and again or not at all, by chance, and a ratio says more about that chance than about the work.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import tempfile
import time
from collections.abc import Callable

import torch
from monai.networks.nets import UNet
from torch.utils.data import DataLoader

from monai_al.data import SliceDataset, VolumeCache
from monai_al.datasets import phantom
from monai_al.passes import score_items
from monai_al.sources.slice_source import SliceSource
from monai_al.uncertainty import Measure


def main() -> None:
    args = parse_args()
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    network = UNet(2, 1, args.classes, channels=(16, 32, 64, 128, 256), strides=(2, 2, 2, 2)).eval()
    with tempfile.TemporaryDirectory() as folder:
        pool = phantom(folder, patients=args.patients, volumes_per_patient=1, shape=(args.size, args.size, 32))
        cache = VolumeCache(folder, label_values=pool.label_values, progress=False)
        batches = list(DataLoader(SliceDataset(pool.items, cache), batch_size=args.batch_size))

        def bare() -> None:
            with torch.no_grad():
                for batch in batches:
                    network(batch["image"])

        def scored() -> None:
            loader = SliceSource(pool, cache).loader(pool.items, batch_size=args.batch_size)
            score_items(network, loader, {"score": Measure.of(args.measure)})

        times = interleaved(bare, scored, repeats=args.repeats)
    alone, whole = (1e3 * min(each) / len(pool) for each in times)
    print(f"{len(pool)} slices of {args.size} x {args.size}, {args.classes} classes, {args.threads} threads")
    print(f"network alone          {alone:8.3f} ms a slice")
    print(f"scoring by {args.measure:11s} {whole:8.3f} ms a slice")
    print(f"ratio                  {whole / alone:8.3f}")
    if args.at_most is not None and whole / alone > args.at_most:
        raise SystemExit(f"the ratio is above {args.at_most}")


def keep_freed_memory() -> None:
    with contextlib.suppress(OSError, AttributeError):  # only glibc has it
        mallopt = ctypes.CDLL(None).mallopt
        trim_threshold, top_pad, mmap_threshold = -1, -2, -3
        for option, size in ((trim_threshold, 2**31 - 1), (top_pad, 2**28), (mmap_threshold, 2**25)):
            mallopt(option, size)


def interleaved(
    first: Callable[[], object], second: Callable[[], object], *, repeats: int
) -> tuple[list[float], list[float]]:
    """Seconds of two functions that are called in turn, after one call of each to warm up."""
    times: tuple[list[float], list[float]] = ([], [])
    first(), second()
    for repeat in range(repeats):
        for which in (0, 1) if repeat % 2 == 0 else (1, 0):
            start = time.perf_counter()
            (first, second)[which]()
            times[which].append(time.perf_counter() - start)
    return times


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", default="entropy", help="entropy, least_confidence or margin (default: entropy)")
    parser.add_argument("--patients", type=int, default=6, help="volumes of 32 slices in the pool (default: 6)")
    parser.add_argument("--batch-size", type=int, default=64, help="slices in a batch (default: 64)")
    parser.add_argument("--size", type=int, default=128, help="side of a slice in pixels (default: 128)")
    parser.add_argument("--classes", type=int, default=4, help="number of classes (default: 4)")
    parser.add_argument("--threads", type=int, default=2, help="threads of PyTorch (default: 2)")
    parser.add_argument("--repeats", type=int, default=20, help="repeats of each (default: 20)")
    parser.add_argument("--at-most", type=float, help="fail where the ratio is above this")
    return parser.parse_args()


if __name__ == "__main__":
    main()
