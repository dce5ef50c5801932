# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How fast, and in how much memory, the group contrastive loss and its gradients are computed.

Measures loss plus gradients of random embeddings, on one CPU thread and in one run, in turn:

* ours: ``GroupContrastiveLoss``;
* a plain loop over anchors and positives, with boolean masks over the other views, in the same precision.

Prints the median time of both, the largest difference of their losses and gradients, and the median of the ratios of
neighboring repeats. Then prints, for a large batch, the time and the peak of the memory beside the embeddings of each
loss, each in a process of its own (where ``/proc`` is there to tell).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_al.losses import GroupContrastiveLoss, MetricLearningLoss, NTXentLoss

LARGE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "group": lambda views, ids: ours(views, ids),
    "NT-Xent": lambda views, ids: NTXentLoss()(*views.chunk(2)),
    "all four terms": lambda views, ids: MetricLearningLoss(1, 0.1, 0.2, 0.05)(views, ids),
    "all four, both sides": lambda views, ids: MetricLearningLoss(1, 0.1, 0.2, 0.05, two_sided=True)(views, ids),
}


def main() -> None:
    args = parse_args()
    torch.set_num_threads(1)
    if args.measure:
        measure(LARGE[args.measure], args.large)
        return
    compare(args)
    if Path("/proc/self/status").exists():
        print(f"{args.large} slices:")
        for name in LARGE:
            command = [sys.executable, __file__, "--large", str(args.large), "--measure", name]
            print(f"{name:22s} {subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()}")


def compare(args: argparse.Namespace) -> None:
    views, ids = batch(args.slices)
    functions = ours, plain
    results: list[list[Tensor]] = [[], []]
    seconds: tuple[list[float], list[float]] = ([], [])
    for repeat in range(args.repeats + 1):
        for which in (0, 1) if repeat % 2 == 0 else (1, 0):
            start = time.perf_counter()
            loss = functions[which](views, ids)
            results[which] = [loss, *torch.autograd.grad(loss, views)]
            if repeat:  # the first one warms up
                seconds[which].append(time.perf_counter() - start)
    ratio = statistics.median(b / a for a, b in zip(*seconds, strict=True))
    mine, theirs = (1e3 * statistics.median(each) for each in seconds)
    difference = max((a - b).abs().max().item() for a, b in zip(*results, strict=True))
    print(f"{args.slices} slices, loss and gradients, one thread")
    print(f"GroupContrastiveLoss   {mine:9.3f} ms")
    print(f"loop over masks        {theirs:9.3f} ms, largest difference {difference:.1e}")
    print(f"ratio                  {ratio:9.0f}")
    if ratio < args.at_least:
        sys.exit(f"the ratio is below {args.at_least}")


def batch(n: int) -> tuple[Tensor, Tensor]:
    """Embeddings ``(2N, 64)`` and ids ``(N, 3)`` of patients of 12 slices, volumes of 6 and neighbors of 2."""
    views = torch.randn(2 * n, 64, generator=torch.Generator().manual_seed(0))
    return views.requires_grad_(), torch.stack([torch.arange(n) // size for size in (12, 6, 2)], 1)


def ours(views: Tensor, ids: Tensor) -> Tensor:
    """The loss of volumes."""
    return GroupContrastiveLoss()(*views.chunk(2), ids[:, 1], ids[:, 0])


def plain(views: Tensor, ids: Tensor) -> Tensor:
    """The same, as equation 4 is written."""
    n = len(ids)
    unit = F.normalize(views, dim=1)
    exp = (unit @ unit.T / 0.5).exp()
    patients, groups, _ = ids.repeat(2, 1).T
    total = torch.zeros(())
    for i in range(n):
        kept = (groups == groups[i]) | (patients != patients[i])
        kept[i] = False
        for j in range(n, 2 * n):
            if groups[j] == groups[i]:
                total = total - torch.log(exp[i, j] / exp[i][kept].sum())
    return total / (n * (n / len(groups.unique())))


def measure(loss: Callable[[Tensor, Tensor], Tensor], n: int) -> None:
    """Prints seconds and MiB of one step in this process."""
    loss(*batch(8)).backward()
    views, ids = batch(n)
    before, start = status("VmRSS"), time.perf_counter()
    loss(views, ids).backward()
    seconds = time.perf_counter() - start
    print(f"{seconds:9.1f} s, {(status('VmHWM') - before) / 2**10:5.0f} MiB")


def status(name: str) -> int:
    """KiB of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=96, help="slices in the batch that is timed (default: 96)")
    parser.add_argument("--large", type=int, default=4096, help="slices in the large batch (default: 4096)")
    parser.add_argument("--repeats", type=int, default=7, help="repeats of each (default: 7)")
    parser.add_argument("--at-least", type=float, default=0.0, help="fail where the ratio is below this (default: 0)")
    parser.add_argument("--measure", choices=LARGE, help="only one step of the large batch, with this loss")
    return parser.parse_args()


if __name__ == "__main__":
    main()
