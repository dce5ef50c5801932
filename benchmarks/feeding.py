# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How fast slices of cached volumes reach a network: ours beside MONAI's way from volumes to slices.

Feeds every slice of the same preprocessed volumes, image and label, in batches, on the CPU and in one run, in turn:

* ours: a ``SliceDataset`` over the volume cache through a ``DataLoader``, as the scoring pass takes them;
* MONAI: ``GridPatchDataset(Dataset(volumes), PatchIterd(keys, (None, None, 1)), SqueezeDimd(dim=-1))`` through MONAI's
  ``DataLoader``; the volumes are dictionaries of ``MetaTensor`` that already lie in memory.

Both must give the same batches, which is checked once. Prints the median of slices per second of both and the median
of the ratios of neighbouring repeats, which a slowly changing load of the machine does not disturb.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence

import monai.data
import torch
from monai.data import MetaTensor
from monai.transforms import ScaleIntensityd, SqueezeDimd
from torch.utils.data import DataLoader

from monai_al.data import SliceDataset, VolumeCache
from monai_al.datasets import phantom
from monai_al.records import Pool

KEYS = ("image", "label")


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        pool = phantom(folder, patients=args.volumes, volumes_per_patient=1, shape=args.shape)
        cache = VolumeCache(folder, ScaleIntensityd("image"), pool.label_values, progress=False)
        cache.prepare(pool)
        ours = DataLoader(SliceDataset(pool.items, cache), batch_size=args.batch_size)
        theirs = patch_loader(pool, cache, args.batch_size)
        check_equal(ours, theirs)
        seconds: tuple[list[float], list[float]] = ([], [])
        for repeat in range(args.repeats):
            for which in (0, 1) if repeat % 2 == 0 else (1, 0):
                seconds[which].append(timed((ours, theirs)[which], args.passes[which]))
    ratio = statistics.median(b / a for a, b in zip(*seconds, strict=True))
    size = " x ".join(map(str, args.shape))
    print(f"{args.volumes} volumes of {size}, batches of {args.batch_size}, {args.threads} threads")
    print(f"SliceDataset     {len(pool) / statistics.median(seconds[0]):10.0f} slices/s")
    print(f"GridPatchDataset {len(pool) / statistics.median(seconds[1]):10.0f} slices/s")
    print(f"ratio            {ratio:10.1f}")
    if ratio < args.at_least:
        sys.exit(f"the ratio is below {args.at_least}")


def patch_loader(pool: Pool, cache: VolumeCache, batch_size: int) -> Iterable[dict]:
    """MONAI's way to slices, over the same preprocessed volumes held in memory."""
    volumes = []
    for item in {item.volume: item for item in pool}.values():
        volume = cache.get(item)
        assert volume.label is not None
        affine = torch.from_numpy(volume.geometry.affine)
        image = torch.from_numpy(volume.image).permute(1, 2, 3, 0).contiguous()
        label = torch.from_numpy(volume.label).permute(1, 2, 0)[None].contiguous()
        volumes.append({"image": MetaTensor(image, affine=affine), "label": MetaTensor(label, affine=affine)})
    patches = monai.data.GridPatchDataset(
        monai.data.Dataset(volumes),
        monai.data.PatchIterd(KEYS, (None, None, 1)),
        SqueezeDimd(KEYS, dim=-1),
        with_coordinates=False,
    )
    return monai.data.DataLoader(patches, batch_size=batch_size)


def check_equal(ours: Iterable[dict], theirs: Iterable[dict]) -> None:
    """Both ways give the same slices in the same order."""
    for a, b in zip(ours, theirs, strict=True):
        for key in KEYS:
            assert torch.equal(a[key].float(), b[key].as_tensor().float()), key


def timed(loader: Iterable[dict], passes: int) -> float:
    """Seconds of one pass over all slices, as a mean of several passes."""
    start = time.perf_counter()
    for _ in range(passes):
        for _batch in loader:
            pass
    return (time.perf_counter() - start) / passes


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=4, help="number of volumes (default: 4)")
    parser.add_argument("--shape", type=int, nargs=3, default=[128, 128, 40], help="H W D (default: 128 128 40)")
    parser.add_argument("--batch-size", type=int, default=64, help="slices in a batch (default: 64)")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (default: 1)")
    parser.add_argument("--repeats", type=int, default=15, help="repeats of each (default: 15)")
    parser.add_argument(
        "--passes", type=int, nargs=2, default=[10, 1], help="passes over all slices in a repeat (default: 10 1)"
    )
    parser.add_argument("--at-least", type=float, default=0.0, help="fail where the ratio is below this (default: 0)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
