# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The deformations of pretraining by restoration: ours beside MONAI's, which go block by block.

Deforms one image, every deformation in every call, on the CPU and in one run, in turn:

* ours: ``RestorationAugmentation``, flips, pixel shuffling, Bezier curve and out-painting, and the target beside it;
* MONAI: ``RandFlip`` along both axes, ``RandCoarseShuffle`` with as many blocks of the same sizes,
  ``RandHistogramShift`` and ``RandCoarseDropout`` around windows of the same sizes, of a copy of the image, since they
  change a tensor in place;
* the pixel shuffling of both alone.

Prints the fastest repeat of each and their ratios. Times are the processor's, of one thread, which other processes
disturb least.
"""

from __future__ import annotations

import argparse
import warnings

import monai.data
import torch
from dropout_passes import fastest
from monai.transforms import Compose, RandCoarseDropout, RandCoarseShuffle, RandFlip, RandHistogramShift
from scoring import keep_freed_memory
from torch import Tensor

from monai_al.transforms import RestorationAugmentation, draw_pixel_blocks, shuffled_pixels


def main() -> None:
    args = parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    monai.data.set_track_meta(False)
    size = (args.size, args.size)
    image = torch.rand(1, *size)
    augment = RestorationAugmentation(flip=1, shuffle=1, blocks=args.blocks, curve=1, paint=1, out_paint=1, another=1)
    shuffle = RandCoarseShuffle(args.blocks, 1, max_spatial_size=max(args.size // 10, 1), prob=1)
    windows = {"spatial_size": 3 * args.size // 7, "max_spatial_size": 4 * args.size // 7, "fill_value": (0.0, 1.0)}
    deform = Compose(
        [
            RandFlip(prob=1, spatial_axis=0),
            RandFlip(prob=1, spatial_axis=1),
            shuffle,
            RandHistogramShift(prob=1),
            RandCoarseDropout(5, dropout_holes=False, prob=1, **windows),
        ]
    )

    def ours() -> dict[str, Tensor]:
        return augment(image[None])

    def theirs() -> Tensor:
        return deform(image.clone())

    def our_shuffling() -> Tensor:
        return shuffled_pixels(image[None], draw_pixel_blocks(1, size, blocks=args.blocks))

    def their_shuffling() -> Tensor:
        return shuffle(image.clone())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        times = fastest(ours, theirs, our_shuffling, their_shuffling, repeats=args.repeats)
    print(f"an image of {args.size} x {args.size}, {args.blocks} blocks")
    for name, one, other in (("all deformations", *times[:2]), ("pixel shuffling", *times[2:])):
        print(f"{name:16s} ours {1e3 * one:9.1f} ms, MONAI {1e3 * other:9.1f} ms, ratio {other / one:7.1f}")
    if args.at_least is not None and times[1] / times[0] < args.at_least:
        raise SystemExit(f"the ratio is below {args.at_least}")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="side of the image in pixels (default: 256)")
    parser.add_argument("--blocks", type=int, default=10_000, help="blocks that are shuffled (default: 10000)")
    parser.add_argument("--repeats", type=int, default=10, help="repeats of each (default: 10)")
    parser.add_argument("--at-least", type=float, help="fail where the ratio of all deformations is below this")
    return parser.parse_args()


if __name__ == "__main__":
    main()
