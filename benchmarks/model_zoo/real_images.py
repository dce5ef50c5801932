# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Real images, cut and resampled to any size: volumes, slices of hearts, tumours, colour pictures, frames of videos."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image
from scipy import ndimage

__all__ = ["RealImages", "as_ct", "recut"]

CT_LOW, CT_HIGH = -150.0, 200.0  # Hounsfield units that stand for the darkest and the brightest voxels
TUMOUR_OF_2018 = np.array([0, 1, 2, 1, 4], np.uint8)  # labels of BraTS 2015 -> those of 2018, which know no 3


@dataclass(frozen=True)
class RealImages:
    """The folder of data sets ``Task04_Hippocampus``, ``ACDC``, ``BraTS2015``, ``ISIC2017`` and ``DAVIS``."""

    folder: Path

    def volumes(self, shape: Sequence[int], classes: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Hippocampi: float32 images and uint8 labels of that shape, their foreground cut into as many classes."""
        for path in self._files("Task04_Hippocampus/imagesTr/*.nii.gz"):
            label = resampled(stored(path.parents[1] / "labelsTr" / path.name), shape, order=0)
            yield resampled(stored(path), shape, order=1), recut(label.astype(np.uint8), classes)

    def tumours(self, shape: Sequence[int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Parts around a brain tumour, every other voxel of them, of that shape: FLAIR images, labels 0, 1, 2, 4."""
        (path,) = self._files("BraTS2015/*/Flair_subtrMeanDivStd.nii.gz")
        image, label = stored(path), stored(path.with_name("OTMultiClass.nii.gz")).round().astype(np.uint8)
        image, label = (image - image.min())[::2, ::2, ::2], TUMOUR_OF_2018[label][::2, ::2, ::2]
        centre = np.argwhere(label > 0).mean(0).astype(int)
        for shift in itertools.product((0, -6, 6), repeat=3):
            low = (centre + shift - np.array(shape) // 2).clip(0, np.array(label.shape) - shape)
            part = tuple(slice(a, a + size) for a, size in zip(low, shape, strict=True))
            yield image[part], label[part]

    def hearts(self, shape: Sequence[int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The middle slice of each cardiac volume: float32 image, labels 0 to 3 as uint8."""
        for path in self._files("ACDC/database/training/*/*_gt.nii.gz"):
            label, image = stored(path), stored(path.with_name(path.name.replace("_gt", "")))
            middle = label.shape[2] // 2
            yield (
                resampled(image[..., middle], shape, order=1),
                resampled(label[..., middle], shape, order=0).astype(np.uint8),
            )

    def skin(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pictures of skin, uint8 ``(size, size, 3)``, and whether each pixel belongs to the lesion."""
        for path in self._files("ISIC2017/*_Data/*.jpg"):
            (mask,) = self._files(f"ISIC2017/*_GroundTruth/{path.stem}_segmentation.png")
            yield picture(path, (size, size), "RGB"), picture(mask, (size, size), "L") > 127

    def frames(self, width: int, height: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Every fifth frame of a video, uint8 ``(height, width, 3)``, and whether each pixel belongs to its object."""
        for path in self._files("DAVIS/JPEGImages/*/*/*.jpg")[::5]:
            mask = Path(str(path).replace("JPEGImages", "Annotations")).with_suffix(".png")
            yield picture(path, (width, height), "RGB"), picture(mask, (width, height), "L") > 127

    def _files(self, pattern: str) -> list[Path]:
        found = sorted(self.folder.glob(pattern))
        if not found:
            raise SystemExit(
                f"{self.folder / pattern}: there is no such file; give the folder of the data sets by --data"
            )
        return found


def recut(label: np.ndarray, classes: int) -> np.ndarray:
    """The label itself if it has so many classes, else its foreground in as many layers of equal size."""
    if label.max() == classes:
        return label
    places = np.argwhere(label > 0)
    out = np.zeros_like(label)
    out[tuple(places.T)] = 1 + np.arange(len(places)) * classes // max(1, len(places))
    return out


def as_ct(image: np.ndarray) -> np.ndarray:
    """An image of any range in the range of soft tissue on CT."""
    low, high = np.percentile(image, (1, 99))
    return (CT_LOW + (image - low) / max(high - low, 1e-6) * (CT_HIGH - CT_LOW)).clip(-1000, 1000).astype(np.float32)


def resampled(array: np.ndarray, shape: Sequence[int], order: int) -> np.ndarray:
    factors = [new / old for new, old in zip(shape, array.shape, strict=True)]
    return ndimage.zoom(array, factors, order=order).astype(np.float32)


def picture(path: Path, size: tuple[int, int], mode: str) -> np.ndarray:
    resample = Image.Resampling.BILINEAR if mode == "RGB" else Image.Resampling.NEAREST
    return np.asarray(Image.open(path).convert(mode).resize(size, resample))


def stored(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj, dtype=np.float32)
