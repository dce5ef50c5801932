# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The deformations of restoration as MONAI transforms of the entries of a dictionary."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable
from monai.utils import TransformBackends, ensure_tuple

from monai_al.transforms.deformations import (
    RandBezierIntensity,
    RandInPainting,
    RandOutPainting,
    RandPixelShuffling,
    RandRestorationPair,
)
from monai_al.transforms.restoration_augmentation import RestorationAugmentation

__all__ = [
    "RandBezierIntensityd",
    "RandInPaintingd",
    "RandOutPaintingd",
    "RandPixelShufflingd",
    "RandRestorationPaird",
]


class _RandDictionary(Randomizable, MapTransform):
    """One draw of an array transform for all keys.

    Args:
        keys: entries ``(C, *spatial)`` of one size.
        transform: the array transform; its random state is the one that counts.
        allow_missing_keys: pass over entries that are not there.
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, keys: KeysCollection, transform: Any, allow_missing_keys: bool = False) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.transform = transform

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> _RandDictionary:
        """Set the random state of the array transform.

        Args:
            seed: of the random state.
            state: the random state itself.
        """
        self.transform.set_random_state(seed, state)
        return self

    def randomize(self, data: Mapping[Hashable, Any]) -> None:
        """Draw for the size of the first entry.

        Args:
            data: the dictionary.
        """
        key = next(iter(self.key_iterator(dict(data))), None)
        if key is not None:
            self.transform.randomize(data[key].shape[1:])

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """A shallow copy of ``data`` with the deformed entries.

        Args:
            data: floating point entries ``(C, *spatial)`` with intensities in [0, 1], not modified.

        Raises:
            ValueError: an entry is not of floating point, or of another size than the first.
        """
        result = dict(data)
        self.randomize(result)
        for key in self.key_iterator(result):
            result[key] = self.transform(data[key], randomize=False)
        return result


class RandBezierIntensityd(_RandDictionary):
    """Dictionary form of :class:`RandBezierIntensity`, with one curve for all keys.

    Args:
        keys: entries ``(C, *spatial)`` of one size.
        prob: probability that it is done.
        inverting: share of the curves that turn bright into dark.
        allow_missing_keys: pass over entries that are not there.

    Example:
        >>> falling = RandBezierIntensityd("image", prob=1, inverting=1)
        >>> falling({"image": np.array([[0.0, 1.0]])})["image"].tolist()
        [[1.0, 0.0]]
    """

    def __init__(
        self, keys: KeysCollection, prob: float = 0.9, inverting: float = 0.5, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, RandBezierIntensity(prob, inverting), allow_missing_keys)


class RandPixelShufflingd(_RandDictionary):
    """Dictionary form of :class:`RandPixelShuffling`, with the same permutations for all keys.

    Args:
        keys: entries ``(C, *spatial)`` of one size.
        prob: probability that it is done.
        blocks: how many blocks.
        side: the largest side of a block, as a share of the image's.
        allow_missing_keys: pass over entries that are not there.

    Example:
        >>> images = RandPixelShufflingd(["t1", "t2"], prob=1)(dict.fromkeys(["t1", "t2"], np.random.rand(1, 20, 20)))
        >>> bool((images["t1"] == images["t2"]).all())
        True
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.5,
        blocks: int = 10_000,
        side: float = 0.1,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, RandPixelShuffling(prob, blocks, side), allow_missing_keys)


class RandInPaintingd(_RandDictionary):
    """Dictionary form of :class:`RandInPainting`, with the same rectangles and noise for all keys.

    Args:
        keys: entries ``(C, *spatial)`` of one size.
        prob: probability that it is done.
        rectangles: the most of them; none is possible.
        another: probability that the next one is drawn.
        sides: range of their sides, as shares of the image's.
        allow_missing_keys: pass over entries that are not there.

    Example:
        >>> painted = RandInPaintingd("image", prob=1, another=1)({"image": np.full((1, 30, 30), 2.0)})["image"]
        >>> bool((painted == 2).any()), bool((painted < 1).any())
        (True, True)
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.9,
        rectangles: int = 5,
        another: float = 0.95,
        sides: tuple[float, float] = (1 / 6, 1 / 3),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, RandInPainting(prob, rectangles, another, sides), allow_missing_keys)


class RandOutPaintingd(_RandDictionary):
    """Dictionary form of :class:`RandOutPainting`, with the same windows and noise for all keys.

    Args:
        keys: entries ``(C, *spatial)`` of one size.
        prob: probability that it is done.
        windows: the most of them; there is at least one.
        another: probability that the next one is drawn.
        sides: range of their sides, as shares of the image's.
        allow_missing_keys: pass over entries that are not there.

    Example:
        >>> painted = RandOutPaintingd("image", prob=1, another=0)({"image": np.full((1, 70, 70), 2.0)})["image"]
        >>> bool(900 <= (painted == 2).sum() <= 1600)
        True
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.9,
        windows: int = 5,
        another: float = 0.95,
        sides: tuple[float, float] = (3 / 7, 4 / 7),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, RandOutPainting(prob, windows, another, sides), allow_missing_keys)


class RandRestorationPaird(_RandDictionary):
    """Dictionary form of :class:`RandRestorationPair`: deform entries and put beside them what is to be restored.

    Args:
        keys: entries ``(C, *spatial)`` of one size.
        target_keys: where the targets are stored, one for each key.
        augmentation: the probabilities and sizes; None: the defaults.
        allow_missing_keys: pass over entries that are not there.

    Raises:
        ValueError: there is another number of target keys than of keys.

    Example:
        >>> pair = RandRestorationPaird("image", "target")({"image": np.zeros((1, 32, 32))})
        >>> sorted(pair), pair["target"].max()
        (['image', 'target'], np.float64(0.0))
    """

    def __init__(
        self,
        keys: KeysCollection,
        target_keys: KeysCollection = "target",
        augmentation: RestorationAugmentation | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, RandRestorationPair(augmentation), allow_missing_keys)
        self.target_keys = ensure_tuple(target_keys)
        if len(self.target_keys) != len(self.keys):
            raise ValueError(
                f"target_keys must name an entry for each of the {len(self.keys)} keys, got {self.target_keys}"
            )

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """A shallow copy of ``data`` with the deformed entries and the targets.

        Args:
            data: floating point entries ``(C, *spatial)`` with intensities in [0, 1], not modified.

        Raises:
            ValueError: an entry is not of floating point, or of another size than the first.
        """
        result = dict(data)
        self.randomize(result)
        for key, target_key in self.key_iterator(result, self.target_keys):
            result[key], result[target_key] = self.transform(data[key], randomize=False)
        return result
