# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Scribbles made from masks: how long a slice takes, how they look, and how they compare with those of experts.

Times the slices of a phantom and prints the fastest repeat, in the processor's time of one thread. ``--panel FILE``
draws some of these slices: image, mask, and the scribbles of two seeds. ``--acdc FOLDER`` compares the scribbles made
from all masks of ACDC with the experts', which lie beside them (``*_gt.nii.gz`` and ``*_scribble.nii.gz``): the share
of pixels that agree with the mask, and the share of the pixels that is annotated, of all and of each class;
``--acdc_panel FILE`` draws both side by side.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import nibabel
import numpy as np
import torch
from dropout_passes import fastest

from monai_al.datasets import phantom
from monai_al.records import NOT_ANNOTATED
from monai_al.transforms import ScribblesFromMask

CLASSES = ("background", "liver", "spleen", "kidneys", "spine", "aorta")
SHOWN = (3, 6, 9)  # slices of the phantom
COLOURS = np.array(
    [(0.95, 0.9, 0.2), (0.3, 0.65, 1), (0.2, 0.9, 0.35), (1, 0.4, 0.35), (0.9, 0.5, 1), (0.3, 0.95, 0.95)]
)
UNSCRIBBLED = 4  # in the experts' files
ROWS, EVERY_PATIENT, MARGIN = 5, 7, 25  # of the panel of ACDC; the margin in pixels


def main() -> None:
    args = parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        pool = phantom(folder, patients=1, volumes_per_patient=1, shape=(args.size, args.size, 12), classes=CLASSES)
        image, mask = (stored(path) for path in (pool[0].image, pool[0].label))
    print_times(mask, args.repeats)
    if args.panel:
        draw_panel(image, mask, args.panel)
    if args.acdc:
        print_comparison(args.acdc)
        if args.acdc_panel:
            draw_experts_panel(args.acdc, args.acdc_panel)


def print_times(mask: np.ndarray, repeats: int) -> None:
    scribbles = ScribblesFromMask()
    (seconds,) = fastest(lambda: scribbles(mask[None], "phantom"), repeats=repeats)
    height, width, depth = mask.shape
    regions = len(CLASSES) - 1
    print(f"{1e3 * seconds / depth:.1f} ms for a slice of {height} x {width} with up to {regions} organs")


def draw_panel(image: np.ndarray, mask: np.ndarray, path: str) -> None:
    """Slices of the phantom beside what is made of them."""
    both = [ScribblesFromMask(seed=seed)(mask[None], "phantom")[0] for seed in (0, 1)]
    grey = np.clip((image + 160) / 400, 0, 1)
    rows = [[part[..., z] for part in (grey, mask, *both)] for z in SHOWN]
    draw_rows(rows, ("image", "mask", "scribbles", "of another seed"), path)


def draw_experts_panel(folder: str, path: str) -> None:
    """A slice of each of some volumes of ACDC, around the heart: mask, the experts' scribbles, and ours."""
    rows = []
    for place, mask, experts, ours in list(volumes(Path(folder)))[:: 2 * EVERY_PATIENT][:ROWS]:
        image = stored(place).astype(float)
        z = mask.shape[2] * (2 + len(rows)) // (ROWS + 3)  # from base to apex
        inside = np.argwhere(mask[..., z] > 0)
        low, high = (inside.min(0) - MARGIN).clip(0), inside.max(0) + MARGIN
        view = (slice(low[0], high[0]), slice(low[1], high[1]), z)
        grey = np.clip(image[view] / np.percentile(image, 99), 0, 1)
        rows.append([grey, *(part[view] for part in (mask, experts, ours))])
    draw_rows(rows, ("image", "mask", "an expert's scribbles", "made from the mask"), path)


def draw_rows(rows: list[list[np.ndarray]], titles: tuple[str, ...], path: str) -> None:
    """Rows of an image ``(h, w)`` of 0 to 1, its mask, and scribbles."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(rows), len(titles), figsize=(9, 2.3 * len(rows)), layout="constrained")
    for number, (row, (grey, *labels)) in enumerate(zip(axes, rows, strict=True)):
        for axis, title, own in zip(row, titles, (None, *labels), strict=True):
            axis.imshow(coloured(grey, own, title == "mask").transpose(1, 0, 2))
            axis.set_title("" if number else title, fontsize=9)
            axis.axis("off")
    figure.savefig(path, dpi=100)


def coloured(grey: np.ndarray, labels: np.ndarray | None, mask: bool) -> np.ndarray:
    """A grey picture with the colours of its labels, half transparent where they are a mask."""
    picture = np.repeat(0.8 * grey[..., None], 3, axis=2)
    if labels is not None:
        where = (labels != NOT_ANNOTATED) & ((labels > 0) | (not mask))
        picture[where] = (0.5 * picture[where] + 0.5 * COLOURS[labels[where]]) if mask else COLOURS[labels[where]]
    return picture


def print_comparison(folder: str) -> None:
    """Print what of the pixels is annotated over all volumes, and how much of it agrees with the masks."""
    of_class, all_pixels, n_volumes = np.zeros(4), 0, 0
    drawn, agreeing = np.zeros((2, 4)), np.zeros((2, 4))
    for _, mask, experts, ours in volumes(Path(folder)):
        n_volumes, all_pixels = n_volumes + 1, all_pixels + mask.size
        for number in range(4):
            of_class[number] += (mask == number).sum()
            for who, scribbles in enumerate((experts, ours)):
                drawn[who, number] += (scribbles == number).sum()
                agreeing[who, number] += ((scribbles == number) & (mask == number)).sum()
    print(f"{n_volumes} volumes            background    class 1    class 2    class 3        all")
    for who, name in enumerate(("experts", "ours")):
        print_row(f"{name}, % agree", 100 * agreeing[who] / drawn[who], 100 * agreeing[who].sum() / drawn[who].sum())
        print_row(f"{name}, % of pixels", 100 * drawn[who] / all_pixels, 100 * drawn[who].sum() / all_pixels)
        print_row(f"{name}, % of class", 100 * drawn[who] / of_class, 100 * drawn[who].sum() / all_pixels)
    print_row("ours / experts'", drawn[1] / drawn[0], drawn[1].sum() / drawn[0].sum())


def print_row(name: str, each: np.ndarray, total: float) -> None:
    print(f"{name:20s}" + "".join(f"{number:11.3f}" for number in (*each, total)))


def volumes(folder: Path) -> Iterator[tuple[Path, np.ndarray, np.ndarray, np.ndarray]]:
    """Image file of each volume; mask, experts' scribbles and ours, uint8 ``(h, w, d)``."""
    paths = sorted(folder.rglob("*_scribble.nii.gz"))
    if not paths:
        raise SystemExit(f"{folder}: no *_scribble.nii.gz is in there; give the folder of ACDC with scribbles")
    scribbles = ScribblesFromMask()
    for path in paths:
        volume = path.name.removesuffix("_scribble.nii.gz")
        mask, experts = stored(path.with_name(f"{volume}_gt.nii.gz")).astype(np.uint8), stored(path).astype(np.uint8)
        experts = np.where(experts == UNSCRIBBLED, NOT_ANNOTATED, experts)
        yield path.with_name(f"{volume}.nii.gz"), mask, experts, np.asarray(scribbles(mask[None], volume))[0]


def stored(path: str | Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="side of the phantom's slices in pixels (default: 256)")
    parser.add_argument("--repeats", type=int, default=10, help="repeats (default: 10)")
    parser.add_argument("--panel", metavar="FILE", help="draw slices of the phantom into this PNG")
    parser.add_argument("--acdc", metavar="FOLDER", help="compare with the experts' scribbles in this folder")
    parser.add_argument("--acdc_panel", metavar="FILE", help="and draw some of both side by side into this PNG")
    return parser.parse_args()


if __name__ == "__main__":
    main()
