# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How long a training step takes: the bundles' beside the same step as MONAI's and PyTorch's defaults give it.

Trains the bundles' U-Net on one batch of random slices, forward, loss, backward and optimiser, on the CPU and in turn:

* ours: leaky ReLU, weights in the order channels last (``monai_al.networks.placed``), a fused AdamW;
* default: MONAI's ``UNet`` with its PReLU, weights as they are built, AdamW as PyTorch takes it.

Prints the median seconds of a step of both, and the median of the ratios of neighbouring repeats, which a slowly
changing load of the machine does not disturb. The memory order and the fused optimiser change nothing but the
rounding, which is checked: with the activation alike, two steps of both give equal losses.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from monai.networks.nets import UNet

from monai_al.losses import PartialDiceCELoss
from monai_al.networks import placed

CHANNELS = (16, 32, 64, 128, 256)


def main() -> None:
    args = parse_args()
    check_equal(64)
    print("pixels     threads  default ms  ours ms  ours/default")
    for size, threads in itertools.product(args.sizes, args.threads):
        torch.set_num_threads(threads)
        default, ours = step_of(size, args.batch_size, fast=False), step_of(size, args.batch_size, fast=True)
        pairs = [timed_pair(default, ours, first=repeat % 2) for repeat in range(args.repeats + 1)][1:]
        ratio = statistics.median(b / a for a, b in pairs)
        before, after = (1e3 * statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{size:4d} x {size:<4d}  {threads:6d}  {before:10.1f}  {after:7.1f}  {ratio:12.2f}")


def step_of(size: int, batch_size: int, *, fast: bool, act: Any = None) -> Callable[[], float]:
    """A function that does one training step and returns its loss."""
    torch.manual_seed(0)
    image, label = torch.rand(batch_size, 1, size, size), torch.randint(0, 4, (batch_size, 1, size, size)).byte()
    act = act or ("LEAKYRELU" if fast else "PRELU")
    network = UNet(2, 1, 4, CHANNELS, [2] * (len(CHANNELS) - 1), norm="BATCH", act=act)
    if fast:
        placed(network, "cpu")
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, fused=fast)
    loss_function = PartialDiceCELoss(batch=True)

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_function(network(image), label)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def check_equal(size: int) -> None:
    """The same steps but for rounding."""
    steps = [step_of(size, 4, fast=fast, act="LEAKYRELU") for fast in (False, True)]
    for _ in range(2):
        a, b = (step() for step in steps)
        if abs(a - b) > 1e-3 * a:
            raise SystemExit(f"the losses differ: {a} and {b}")


def timed_pair(default: Callable[[], float], ours: Callable[[], float], first: int) -> tuple[float, float]:
    seconds = [0.0, 0.0]
    for which in (first, 1 - first):
        start = time.perf_counter()
        (default, ours)[which]()
        seconds[which] = time.perf_counter() - start
    return seconds[0], seconds[1]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128], help="pixels each way")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="CPU threads")
    parser.add_argument("--batch_size", type=int, default=16, help="slices in a step")
    parser.add_argument("--repeats", type=int, default=20, help="steps of each")
    return parser.parse_args()


if __name__ == "__main__":
    main()
