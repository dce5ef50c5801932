# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Scribbles made from full masks: what an expert in a hurry might have drawn."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_data_type, convert_to_dst_type
from scipy import ndimage

from monai_al.records import NOT_ANNOTATED, rng, slice_id
from monai_al.transforms._background_paths import background_path
from monai_al.transforms._draws import check_count, check_range
from monai_al.transforms._middle_paths import EIGHT, middle_path
from monai_al.transforms._strokes import drawn, part_of, pixels_of_pen

__all__ = ["ScribblesFromMask", "ScribblesFromMaskd"]


class ScribblesFromMask(Transform):
    """Turn a mask into scribbles: class numbers along a few strokes, 255 (not annotated) everywhere else.

    Each connected region of a class (pixels that touch at a corner are connected) gets one connected stroke along the
    longest path of its skeleton. The skeleton of a compact region, less than three times as large as the largest disc
    inside, is short or a mere point: its stroke goes round inside of it. One stroke through the background goes around
    the convex hull of the foreground, or to and fro through the middle of a slice without foreground; where there is no
    room for either it takes the middle of the largest piece of background. Every pixel of a stroke has the class that
    the mask has there.

    The defaults give about as many annotated pixels, in all and of each class, as the scribbles that experts drew for
    ACDC (Valvano et al., IEEE TMI 40(8), 2021), which are one pixel wide at a pixel size of 0.7 to 1.9 mm.

    Args:
        width: of the strokes, in pixels.
        length: of the strokes, as a share of the longest path, above 0 to 1.
        wobble: how much strokes are moved to and fro at most: as a share of the room beside a path, and of the distance
            of the background's stroke. 0 to 1.
        distance: of the nearer end of the background's stroke from the convex hull of the foreground, as a share of the
            slice's shorter side, 0 to 1; the other end is twice as far away.
        seed: another seed gives other strokes, as another person would.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> mask = np.zeros((1, 64, 64), np.uint8)
        >>> mask[:, 20:40, 20:25] = 1
        >>> scribbles = ScribblesFromMask()(mask, "patient_1/0007")
        >>> np.unique(scribbles).tolist(), bool((scribbles == mask)[scribbles != 255].all())
        ([0, 1, 255], True)
    """

    backend = [TransformBackends.NUMPY]

    def __init__(
        self, width: int = 1, length: float = 0.9, wobble: float = 0.4, distance: float = 0.035, seed: int = 0
    ) -> None:
        check_count("width", width, 1)
        check_range("length", (length, length), 0.0, 1.0)
        if length == 0:
            raise ValueError("length must be above 0: a stroke has a pixel at least")
        check_range("wobble", (wobble, wobble), 0.0, 1.0)
        check_range("distance", (distance, distance), 0.0, 1.0)
        self.hand = _Hand(int(width), float(length), float(wobble), float(distance))
        self.seed = seed

    def __call__(self, mask: NdarrayOrTensor, id: str) -> NdarrayOrTensor:
        """The scribbles of one item.

        Args:
            mask: class numbers 0 to 254, 0 is background, and 255 where nobody knows, of any type. ``(1, h, w)``, or
                ``(1, h, w, d)``, a volume whose slices lie along the last axis. It is not modified.
            id: of the item, from which its strokes are drawn. Slice 7 of the volume ``"a"`` has the strokes of the item
                ``"a/0007"``.

        Returns:
            uint8 of the mask's shape and kind of array; a MetaTensor keeps its metadata.

        Raises:
            ValueError: the mask has another shape or holds something else.
        """
        values = _class_numbers(convert_data_type(mask, np.ndarray)[0], id)
        if values.ndim == 3:
            scribbles = self._slice(values[0], id)[None]
        else:
            planes = [self._slice(values[0, ..., z], slice_id(id, z)) for z in range(values.shape[3])]
            scribbles = np.stack(planes, -1)[None]
        return convert_to_dst_type(scribbles, dst=mask, dtype=np.uint8)[0]

    def _slice(self, mask: np.ndarray, id: str) -> np.ndarray:
        return _scribbled(mask, self.hand, rng(self.seed, 0, f"scribbles of {id}"))


class ScribblesFromMaskd(MapTransform):
    """Dictionary form of :class:`ScribblesFromMask`.

    Args:
        keys: entries ``(1, h, w)`` or ``(1, h, w, d)`` of class numbers.
        width: of the strokes, in pixels.
        length: of the strokes, as a share of the longest path.
        wobble: how much strokes are moved to and fro at most.
        distance: of the background's stroke from the foreground, as a share of the slice's shorter side.
        seed: another seed gives other strokes.
        id_key: the entry with the item's id, from which the strokes are drawn.
        allow_missing_keys: pass over entries that are not there.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> scribbles = ScribblesFromMaskd("label")({"label": np.ones((1, 9, 30)), "id": "a/0000"})["label"]
        >>> np.unique(scribbles).tolist()
        [1, 255]
    """

    backend = ScribblesFromMask.backend

    def __init__(
        self,
        keys: KeysCollection = "label",
        width: int = 1,
        length: float = 0.9,
        wobble: float = 0.4,
        distance: float = 0.035,
        seed: int = 0,
        id_key: str = "id",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = ScribblesFromMask(width, length, wobble, distance, seed)
        self.id_key = id_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """A shallow copy of ``data`` with scribbles instead of masks.

        Raises:
            KeyError: there is no id.
            ValueError: a mask has another shape or holds something else.
        """
        result = dict(data)
        if self.id_key not in result:
            raise KeyError(f"{self.id_key!r} is missing: strokes are drawn from the item's id; give its key as id_key")
        for key in self.key_iterator(result):
            result[key] = self.transform(data[key], str(data[self.id_key]))
        return result


class _Hand(NamedTuple):
    """How somebody draws."""

    width: int
    length: float
    wobble: float
    distance: float


def _class_numbers(values: np.ndarray, id: str) -> np.ndarray:
    """The values of a mask as uint8, checked."""
    if values.ndim not in (3, 4) or len(values) != 1 or values.size == 0:
        raise ValueError(f"{id}: a mask must have the shape (1, h, w) or (1, h, w, d), with pixels, got {values.shape}")
    others = values[~((values >= 0) & (values <= NOT_ANNOTATED) & (np.rint(values) == values))]
    if others.size:
        raise ValueError(
            f"{id}: a mask must hold whole class numbers from 0 to 254, or {NOT_ANNOTATED} for not annotated; it holds "
            f"{others[0]:g}: give class numbers, not probabilities or stored codes"
        )
    return values.astype(np.uint8)


def _scribbled(mask: np.ndarray, hand: _Hand, chance: np.random.Generator) -> np.ndarray:
    """The scribbles of one slice, uint8 ``(h, w)``."""
    scribbles = np.full_like(mask, NOT_ANNOTATED)
    for number, box, region in _regions(mask):
        scribbles[box][_region_stroke(region, hand, chance)] = number
    background = mask == 0
    if background.any():
        foreground = ~background & (mask != NOT_ANNOTATED)
        scribbles[_background_stroke(background, foreground, hand, chance)] = 0
    return scribbles


def _regions(mask: np.ndarray) -> Iterator[tuple[int, tuple[slice, ...], np.ndarray]]:
    """Class number, bounding box, and pixels in the box, of each connected region of the foreground."""
    for number, outer in enumerate(ndimage.find_objects(mask), start=1):
        if outer is not None and number != NOT_ANNOTATED:
            pieces, _ = ndimage.label(mask[outer] == number, EIGHT)
            for piece, inner in enumerate(ndimage.find_objects(pieces), start=1):
                box = tuple(slice(o.start + i.start, o.start + i.stop) for o, i in zip(outer, inner, strict=True))
                yield number, box, pieces[inner] == piece


def _region_stroke(region: np.ndarray, hand: _Hand, chance: np.random.Generator) -> np.ndarray:
    """The stroke of one connected region, bool of its shape."""
    padded = np.pad(region, 1)
    depth = np.asarray(ndimage.distance_transform_edt(padded))
    path = part_of(middle_path(padded, depth, chance), hand.length, chance)
    pixels = drawn(path, depth, hand.wobble, chance) - 1
    return _painted(pixels, region, hand.width)


def _background_stroke(
    background: np.ndarray, foreground: np.ndarray, hand: _Hand, chance: np.random.Generator
) -> np.ndarray:
    """The stroke through the background, bool ``(h, w)``."""
    path = background_path(background, foreground, hand.distance, hand.wobble, chance)
    if len(path):
        return _painted(part_of(path, hand.length, chance), background, hand.width)
    pieces, _ = ndimage.label(background, EIGHT)
    largest = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return _region_stroke(largest, hand, chance)


def _painted(pixels: np.ndarray, region: np.ndarray, width: int) -> np.ndarray:
    line = np.zeros(region.shape, bool)
    line[tuple(pixels.T)] = True
    return pixels_of_pen(line, region, width)
