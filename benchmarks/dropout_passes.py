# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What several dropout passes cost beside the work that cannot be shared.

MONAI's ``FlexibleUNet`` drops in its decoder only. Measures on one batch, on the CPU and in one run, in turn: (a) the
passes of an ``MCDropoutInferer``; (b) the network up to its first dropout layer, where it is stopped; (c) one whole
pass. Prints the fastest repeat of each and the ratio a / (b + passes x (c - b)): 1 means that the shared part is
computed once and that sharing itself costs nothing. The last line tells what the passes would have cost without
sharing. Times are the processor's, of one thread, which other processes disturb least.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable

import torch
from monai.inferers import SimpleInferer
from monai.networks.nets import FlexibleUNet
from scoring import keep_freed_memory
from torch import Tensor, nn

from monai_al.inferers import MCDropoutInferer, dropout_enabled


def main() -> None:
    args = parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    decoder = (64, 32, 16, 8, 8)
    network = FlexibleUNet(1, 4, "resnet18", spatial_dims=2, dropout=0.2, decoder_channels=decoder).eval()
    images = torch.randn(args.batch_size, 1, args.size, args.size)

    def passes() -> None:
        for _ in MCDropoutInferer(args.passes).samples(images, network):
            pass

    def shared_part() -> None:
        until_dropout(network, images)

    def one_pass() -> None:
        with dropout_enabled(network):
            SimpleInferer()(images, network)

    with torch.no_grad():
        all_passes, shared, whole = fastest(passes, shared_part, one_pass, repeats=args.repeats)
    bound = shared + args.passes * (whole - shared)
    print(f"{args.batch_size} images of {args.size} x {args.size}, {args.passes} passes")
    print(f"passes                       {1e3 * all_passes:9.1f} ms")
    print(f"up to the first dropout      {1e3 * shared:9.1f} ms")
    print(f"from there on                {1e3 * (whole - shared):9.1f} ms")
    print(f"ratio                        {all_passes / bound:9.3f}")
    print(f"without sharing              {args.passes * whole / bound:9.3f}")
    if args.at_most is not None and all_passes / bound > args.at_most:
        raise SystemExit(f"the ratio is above {args.at_most}")


class Reached(Exception):
    """The first dropout layer is called."""


def until_dropout(network: nn.Module, images: Tensor) -> None:
    """Run the network as far as its first dropout layer."""

    def stop(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        raise Reached

    handles = [m.register_forward_pre_hook(stop) for m in network.modules() if isinstance(m, nn.Dropout)]
    with dropout_enabled(network), contextlib.suppress(Reached):
        network(images)
    for handle in handles:
        handle.remove()


def fastest(*functions: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of the fastest call of each function; they are called in turn, after one call of each to warm up."""
    for function in functions:
        function()
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats):
        for function, each in zip(functions, times, strict=True):
            start = time.process_time()
            function()
            each.append(time.process_time() - start)
    return [min(each) for each in times]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=10, help="predictions of one batch (default: 10)")
    parser.add_argument("--batch-size", type=int, default=8, help="images in the batch (default: 8)")
    parser.add_argument("--size", type=int, default=128, help="side of an image in pixels (default: 128)")
    parser.add_argument("--repeats", type=int, default=15, help="repeats of each (default: 15)")
    parser.add_argument("--at-most", type=float, help="fail where the ratio is above this")
    return parser.parse_args()


if __name__ == "__main__":
    main()
