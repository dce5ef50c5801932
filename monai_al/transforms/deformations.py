# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The deformations of restoration as MONAI transforms of one image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from monai.config import NdarrayOrTensor
from monai.transforms import RandomizableTransform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor
from torch import Generator, Tensor

from monai_al.transforms._draws import check_range
from monai_al.transforms.bezier_intensity import bezier_intensity, draw_bezier_curves
from monai_al.transforms.painting import draw_in_paintings, draw_out_paintings, painted
from monai_al.transforms.pixel_shuffling import draw_pixel_blocks, shuffled_pixels
from monai_al.transforms.restoration_augmentation import RestorationAugmentation, restoration_pairs

__all__ = ["RandBezierIntensity", "RandInPainting", "RandOutPainting", "RandPixelShuffling", "RandRestorationPair"]

SEEDS = 2**31 - 1


class _RandParameters(RandomizableTransform):
    """Draws the parameters of a batch of one image from a seed of its own random state, and keeps the last ones.

    Args:
        prob: probability that something is done.
        draw: number of images, spatial size and ``generator=`` -> parameters.
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, prob: float, draw: Callable[..., Any]) -> None:
        check_range("prob", (prob, prob), 0.0, 1.0)
        RandomizableTransform.__init__(self, prob)
        draw(0, (1, 1), generator=Generator())  # tells what is wrong with the settings
        self.draw = draw
        self._last: Any = None

    @property
    def parameters(self) -> Any:
        """The last ones drawn.

        Raises:
            ValueError: nothing was drawn yet.
        """
        if self._last is None:
            raise ValueError(
                f"{type(self).__name__} has drawn nothing yet that it could apply again: leave out randomize=False"
            )
        return self._last

    def randomize(self, data: Sequence[int]) -> None:
        """Draw for one image.

        Args:
            data: its spatial size.
        """
        super().randomize(None)
        seed = int(self.R.randint(SEEDS))  # also where nothing is done, so that the next draw does not depend on it
        if self._do_transform:
            self._last = self.draw(1, tuple(data), generator=Generator().manual_seed(seed))


class _RandDeformation(_RandParameters):
    """Deforms one image, a batch of one.

    Args:
        prob: probability that it is done.
        draw: number of images, spatial size and ``generator=`` -> parameters.
        apply: images ``(B, C, *spatial)`` and parameters -> deformed images.
    """

    def __init__(self, prob: float, draw: Callable[..., Any], apply: Callable[[Tensor, Any], Tensor]) -> None:
        super().__init__(prob, draw)
        self.apply = apply

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True) -> NdarrayOrTensor:
        """The deformed image, or the image itself where the draw says so.

        Args:
            img: floating point ``(C, *spatial)`` with intensities in [0, 1], not modified.
            randomize: draw first; else the last draw is applied again.

        Returns:
            The same kind of array, shape and type and, for a MetaTensor, with its metadata.

        Raises:
            ValueError: the image is not of floating point, or the last draw does not fit to its size or is not there.
        """
        if randomize:
            self.randomize(img.shape[1:])
        if not self._do_transform:
            return img
        return _like(self.apply(_batch_of_one(img), self.parameters), img)


class RandBezierIntensity(_RandDeformation):
    """Map intensities through a random cubic Bezier curve, see :func:`~monai_al.transforms.draw_bezier_curves`.

    Args:
        prob: probability that it is done.
        inverting: share of the curves that turn bright into dark.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> import torch
        >>> image = torch.linspace(0, 1, 5)[None]
        >>> bool((RandBezierIntensity(prob=1, inverting=0)(image).diff() >= 0).all())
        True
    """

    def __init__(self, prob: float = 0.9, inverting: float = 0.5) -> None:
        super().__init__(prob, partial(_draw_curves, inverting=inverting), bezier_intensity)


class RandPixelShuffling(_RandDeformation):
    """Permute the pixels of many small blocks, see :func:`~monai_al.transforms.shuffled_pixels`.

    Args:
        prob: probability that it is done.
        blocks: how many blocks.
        side: the largest side of a block, as a share of the image's.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> import torch
        >>> image = torch.rand(1, 64, 64)
        >>> shuffled = RandPixelShuffling(prob=1, blocks=100)(image)
        >>> shuffled.shape, torch.equal(shuffled, image)
        (torch.Size([1, 64, 64]), False)
    """

    def __init__(self, prob: float = 0.5, blocks: int = 10_000, side: float = 0.1) -> None:
        super().__init__(prob, partial(draw_pixel_blocks, blocks=blocks, side=side), shuffled_pixels)


class RandInPainting(_RandDeformation):
    """Put rectangles of noise into an image, see :func:`~monai_al.transforms.draw_in_paintings`.

    Args:
        prob: probability that it is done.
        rectangles: the most of them; none is possible.
        another: probability that the next one is drawn.
        sides: range of their sides, as shares of the image's.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> import torch
        >>> image = RandInPainting(prob=1, another=1)(torch.full((1, 64, 64), 2.0))
        >>> bool((image == 2).any()), bool((image < 1).any())
        (True, True)
    """

    def __init__(
        self,
        prob: float = 0.9,
        rectangles: int = 5,
        another: float = 0.95,
        sides: tuple[float, float] = (1 / 6, 1 / 3),
    ) -> None:
        draw = partial(draw_in_paintings, rectangles=rectangles, another=another, sides=sides)
        super().__init__(prob, draw, painted)


class RandOutPainting(_RandDeformation):
    """Leave windows of an image and put noise around them, see :func:`~monai_al.transforms.draw_out_paintings`.

    Args:
        prob: probability that it is done.
        windows: the most of them; there is at least one.
        another: probability that the next one is drawn.
        sides: range of their sides, as shares of the image's.

    Raises:
        ValueError: a setting is out of its range.

    Example:
        >>> import torch
        >>> image = RandOutPainting(prob=1, another=0)(torch.full((1, 70, 70), 2.0))
        >>> 900 <= int((image == 2).sum()) <= 1600
        True
    """

    def __init__(
        self,
        prob: float = 0.9,
        windows: int = 5,
        another: float = 0.95,
        sides: tuple[float, float] = (3 / 7, 4 / 7),
    ) -> None:
        draw = partial(draw_out_paintings, windows=windows, another=another, sides=sides)
        super().__init__(prob, draw, painted)


class RandRestorationPair(_RandParameters):
    """A deformed image and what is to be restored from it, see :class:`~monai_al.transforms.RestorationAugmentation`.

    Args:
        augmentation: its probabilities and sizes; None: the defaults.

    Example:
        >>> import numpy as np
        >>> image, target = RandRestorationPair(RestorationAugmentation(flip=0))(np.zeros((1, 32, 32), np.float32))
        >>> image.shape, target.max()
        ((1, 32, 32), np.float32(0.0))
    """

    def __init__(self, augmentation: RestorationAugmentation | None = None) -> None:
        self.augmentation = RestorationAugmentation() if augmentation is None else augmentation
        super().__init__(1.0, self.augmentation.draw)

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True) -> tuple[NdarrayOrTensor, NdarrayOrTensor]:
        """The deformed image and the target.

        Args:
            img: floating point ``(C, *spatial)`` with intensities in [0, 1], not modified.
            randomize: draw first; else the last draw is applied again.

        Returns:
            The image deformed, and the image flipped alike but else as it was: each of the same kind of array, shape
            and type and, for a MetaTensor, with its metadata, in which a flip is not entered.

        Raises:
            ValueError: the image is not of floating point, or the last draw does not fit to its size or is not there.
        """
        if randomize:
            self.randomize(img.shape[1:])
        image, target = restoration_pairs(_batch_of_one(img), self.parameters)
        return _like(image, img), _like(target, img)


def _draw_curves(n_images: int, spatial_size: Sequence[int], *, inverting: float, generator: Generator) -> Tensor:
    return draw_bezier_curves(n_images, inverting=inverting, generator=generator)


def _batch_of_one(img: NdarrayOrTensor) -> Tensor:
    return convert_to_tensor(img, track_meta=False)[None]


def _like(batch: Tensor, img: NdarrayOrTensor) -> NdarrayOrTensor:
    return convert_to_dst_type(batch[0], dst=img, dtype=batch.dtype)[0]
