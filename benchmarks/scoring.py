# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How much time scoring a pool takes beside running the network on it.

Measures, on the CPU and in one run, in turn: (a) the network alone in evaluation mode without gradients on every batch
of the pool, and (b) a MONAI ``SupervisedEvaluator`` with an ``UncertaintyHandler`` on the same batches. Prints the
fastest repeat of each and their ratio b / a: what else the machine does can only add time, so the fastest repeat is the
one that it disturbed least. The C library is told to keep freed memory: else each of the two gets fresh pages from the
system again and again or not at all, by chance, and a ratio says more about that chance than about the work. The
batches already lie in memory, so reading and preprocessing are not part of it.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import time
from collections.abc import Callable

import torch
from monai.engines import SupervisedEvaluator
from monai.networks.nets import UNet

from monai_al.handlers import UncertaintyHandler


def main() -> None:
    args = parse_args()
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    network = UNet(2, 1, args.classes, channels=(16, 32, 64, 128, 256), strides=(2, 2, 2, 2)).eval()
    image = (args.batch_size, 1, args.size, args.size)
    batches = [
        {"image": torch.randn(image), "id": [f"{b}/{i:04d}" for i in range(args.batch_size)]}
        for b in range(args.batches)
    ]
    evaluator = SupervisedEvaluator(torch.device("cpu"), batches, network, decollate=False)
    handler = UncertaintyHandler(args.measure, chunk=args.chunk)
    handler.attach(evaluator)

    def bare() -> None:
        with torch.no_grad():
            for batch in batches:
                network(batch["image"])

    alone, scored = interleaved(bare, evaluator.run, repeats=args.repeats)
    fastest = min(alone), min(scored)
    slices = args.batches * args.batch_size
    print(f"{slices} slices of {args.size} x {args.size}, {args.classes} classes, {args.threads} threads")
    print(f"network alone          {1e3 * fastest[0] / slices:8.3f} ms a slice")
    print(f"evaluator + {args.measure:10s} {1e3 * fastest[1] / slices:8.3f} ms a slice")
    print(f"ratio                  {fastest[1] / fastest[0]:8.3f}")


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
    parser.add_argument("--batches", type=int, default=2, help="number of batches in the pool (default: 2)")
    parser.add_argument("--batch-size", type=int, default=64, help="slices in a batch (default: 64)")
    parser.add_argument("--size", type=int, default=128, help="side of a slice in pixels (default: 128)")
    parser.add_argument("--classes", type=int, default=4, help="number of classes (default: 4)")
    parser.add_argument("--chunk", type=int, default=8, help="slices scored at a time (default: 8)")
    parser.add_argument("--threads", type=int, default=2, help="threads of PyTorch (default: 2)")
    parser.add_argument("--repeats", type=int, default=20, help="repeats of each (default: 20)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
