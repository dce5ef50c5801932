# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Test-time augmentation of a batch of slices: ours beside MONAI's, which takes one image at a time.

Predicts the same slices with the same network several times each, rotated by random small angles, with noise, and
brings the probabilities back, on the CPU and in one run, in turn:

* ours: a ``TTAInferer`` on all slices at once; its first pass needs no change, as in the published method;
* MONAI: ``TestTimeAugmentation`` over ``RandRotated`` and ``RandGaussianNoised`` for each slice, all its copies in one
  batch.

Both give the mean probability of every pixel over the passes. Prints the fastest repeat of each and their ratio. Times
are the processor's, of one thread, which other processes disturb least.
"""

from __future__ import annotations

import argparse
import math
import warnings

import monai.data
import torch
from dropout_passes import fastest
from monai.networks.nets import UNet
from monai.transforms import Compose, RandGaussianNoised, RandRotated
from scoring import keep_freed_memory
from torch import Tensor, nn

from monai_al.inferers import TTAInferer


def main() -> None:
    args = parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = UNet(2, 1, 4, channels=(4, 8, 16), strides=(2, 2)).eval()
    slices = torch.rand(args.slices, 1, args.size, args.size)
    theirs = one_image_at_a_time(network, args.passes)

    def ours() -> Tensor:
        return sum(probs for probs, _ in TTAInferer(args.passes).samples(slices, network)) / args.passes

    def monai_each() -> Tensor:
        return torch.stack([theirs({"image": image}, num_examples=args.passes)[1] for image in slices])

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batch, each = fastest(ours, monai_each, repeats=args.repeats)
    print(f"{args.slices} slices of {args.size} x {args.size}, {args.passes} passes")
    print(f"TTAInferer           {1e3 * batch / args.slices:9.3f} ms a slice")
    print(f"TestTimeAugmentation {1e3 * each / args.slices:9.3f} ms a slice")
    print(f"ratio                {each / batch:9.1f}")
    if args.at_least is not None and each / batch < args.at_least:
        raise SystemExit(f"the ratio is below {args.at_least}")


def one_image_at_a_time(network: nn.Module, passes: int) -> monai.data.TestTimeAugmentation:
    """MONAI's way, with the same changes as ours."""
    angle = math.radians(10)
    changes = [RandRotated("image", range_x=angle, prob=1.0), RandGaussianNoised("image", prob=1.0, std=0.01)]
    with warnings.catch_warnings():  # noise cannot be taken back and need not be
        warnings.simplefilter("ignore")
        return monai.data.TestTimeAugmentation(
            Compose(changes),
            batch_size=passes,
            inferrer_fn=lambda images: network(images).softmax(1),
            orig_key="image",
            nearest_interp=False,
            progress=False,
        )


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=64, help="slices in the batch (default: 64)")
    parser.add_argument("--passes", type=int, default=8, help="predictions of each slice (default: 8)")
    parser.add_argument("--size", type=int, default=64, help="side of a slice in pixels (default: 64)")
    parser.add_argument("--repeats", type=int, default=3, help="repeats of each (default: 3)")
    parser.add_argument("--at-least", type=float, help="fail where the ratio is below this")
    return parser.parse_args()


if __name__ == "__main__":
    main()
