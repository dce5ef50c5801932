# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Several predictions of one network from randomly changed copies of the images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from monai.inferers import Inferer, SimpleInferer
from torch import Generator, Tensor, nn

from monai_al.inferers.image_changes import change_images, draw_image_changes, undo_image_changes
from monai_al.records.randomness import derived_seed
from monai_al.uncertainty import Augmentation, check_activation, probabilities

__all__ = ["TTAInferer"]


class TTAInferer(Inferer):
    """Test-time augmentation of a whole batch at a time: predict changed copies and bring the probabilities back.

    G. Wang et al., "Aleatoric uncertainty estimation with test-time augmentation for medical image segmentation with
    convolutional neural networks", Neurocomputing 338 (2019); the defaults are those of M. Gaillochet, C. Desrosiers,
    H. Lombaert, "Active learning for medical image segmentation with stochastic batches", 2023.

    The first pass is the batch itself. In every other pass each image draws its own changes, which do not depend on the
    images beside it: flips, quarter turns (images that are not square: half turns), a rotation about the centre of the
    pixel grid, and noise. Flips and turns move pixels, both ways; the rotation interpolates linearly, and back again it
    is the probabilities that are interpolated. All this happens in the plane of the first two spatial axes. The network
    is used in the mode it is in.

    Args:
        passes: number of predictions.
        inferer: how one prediction is made, for example by sliding windows; default: one call of the network.
        activation: from the output to probabilities: ``"softmax"``, ``"sigmoid"``, ``"multilabel"`` or ``"none"``.
        rotation: largest angle in degrees, either way, in [0, 45).
        noise: standard deviation of the Gaussian noise that is added, in the image's own units.
        flips: mirror along each in-plane axis, each with probability one half.
        quarter_turns: rotate by a random multiple of 90 degrees.
        seed: makes the changes of an item depend on this and on the item's number only, and leaves PyTorch's own
            random state untouched; None: draw from that state.

    Raises:
        ValueError: ``passes`` is below 1, a number is out of range, nothing would change, or the activation is unknown.

    Example:
        >>> network = nn.Conv2d(1, 3, 1)
        >>> probs, seen = TTAInferer(passes=4, rotation=30)(torch.zeros(5, 1, 16, 16), network)
        >>> probs.shape, seen.shape
        (torch.Size([4, 5, 3, 16, 16]), torch.Size([5, 16, 16]))
    """

    def __init__(
        self,
        passes: int = 8,
        inferer: Inferer | None = None,
        *,
        activation: str = "softmax",
        rotation: float = 10.0,
        noise: float = 0.01,
        flips: bool = False,
        quarter_turns: bool = False,
        seed: int | None = None,
    ) -> None:
        if isinstance(passes, bool) or not isinstance(passes, int) or passes < 1:
            raise ValueError(f"passes must be an integer of at least 1, got {passes!r}")
        check_activation(activation)
        self.passes = passes
        self.inferer = SimpleInferer() if inferer is None else inferer
        self.activation = activation
        self.augmentation = Augmentation(rotation=rotation, noise=noise, flips=flips, quarter_turns=quarter_turns)
        self.seed = seed

    def samples(
        self,
        inputs: Tensor,
        network: nn.Module,
        *args: Any,
        numbers: Sequence[int] | None = None,
        first: Tensor | None = None,
        **kwargs: Any,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One prediction after the other, so that only one is held at a time.

        Args:
            inputs: a batch ``(B, C, H, W)`` or ``(B, C, H, W, D)``.
            network: the network.
            args: passed on to the network.
            numbers: the items' numbers, from which each derives its changes with ``seed``; default: 0 to B - 1.
            first: the network's output for ``inputs`` where it is known already.
            kwargs: passed on to the network.

        Yields:
            Probabilities ``(B, C, H, W[, D])``, and which pixels were in sight in that pass, bool ``(B, H, W[, D])``,
            both on the device of ``inputs``.

        Raises:
            ValueError: ``inputs`` or ``numbers`` have a wrong shape, or the output does not lie on the images' grid.
        """
        images = _checked(inputs)
        generators = self._generators(len(images), numbers)
        probs = self._probabilities(self.inferer(inputs, network, *args, **kwargs) if first is None else first, images)
        yield probs, torch.ones_like(probs[:, 0], dtype=torch.bool)
        for _ in range(self.passes - 1):
            changes = draw_image_changes(self.augmentation, generators, square=images.shape[2] == images.shape[3])
            output = self.inferer(change_images(images, changes), network, *args, **kwargs)
            yield undo_image_changes(self._probabilities(output, images), changes)

    def __call__(  # type: ignore[override]
        self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """All predictions at once; :meth:`samples` needs less memory and takes the same arguments.

        Returns:
            Probabilities ``(T, B, C, H, W[, D])``, and which pixels were in sight in all passes, bool
            ``(B, H, W[, D])``.
        """
        passes = list(self.samples(inputs, network, *args, **kwargs))
        return torch.stack([probs for probs, _ in passes]), torch.stack([seen for _, seen in passes]).all(0)

    def _generators(self, count: int, numbers: Sequence[int] | None) -> list[Generator]:
        numbers = range(count) if numbers is None else numbers
        if len(numbers) != count:
            raise ValueError(f"numbers must hold one number for each of the {count} items, got {len(numbers)}")
        if self.seed is None:
            return [torch.default_generator] * count
        seeds = [derived_seed(self.seed, number, "test-time augmentation") for number in numbers]
        return [Generator().manual_seed(seed) for seed in seeds]

    def _probabilities(self, output: Any, images: Tensor) -> Tensor:
        if not isinstance(output, Tensor):
            raise ValueError(f"the network's output must be a tensor (B, C, *spatial), got {type(output).__name__}")
        if len(output) != len(images) or output.shape[2:] != images.shape[2:]:
            raise ValueError(
                f"the network's output has the shape {tuple(output.shape)} for images of the shape "
                f"{tuple(images.shape)}: test-time augmentation needs a prediction of every pixel"
            )
        return probabilities(output, self.activation).to(images.device)


def _checked(inputs: Tensor) -> Tensor:
    if inputs.ndim not in (4, 5) or not inputs.is_floating_point():
        raise ValueError(
            "test-time augmentation needs floating-point images (B, C, H, W) or (B, C, H, W, D), got "
            f"{inputs.dtype} of the shape {tuple(inputs.shape)}"
        )
    return inputs.as_subclass(Tensor)
