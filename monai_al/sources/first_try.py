# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A first try, so that what cannot work fails before anything is written."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import asdict

import torch

from monai_al.bundle.other_tasks import of_call, of_output
from monai_al.data.seeding import seeded
from monai_al.inferers import TrainedNetwork, refuse_equal_predictions
from monai_al.records import DataError
from monai_al.uncertainty import Measure

__all__ = ["check_samples", "output_channels", "output_shape"]


_OPTIONS = "--in_channels and --image_size, or the preprocessing"


def output_channels(trained: TrainedNetwork, image: torch.Tensor, name: str, *, same_size: bool = False) -> int:
    """Predict one image and count the channels of what comes out.

    Args:
        trained: network, inferer and device.
        image: ``(C, *spatial)``.
        name: what errors call it.
        same_size: refuse a prediction of another size than the image, which its label does not fit.

    Raises:
        DataError: the network cannot predict such an image, or gives something other than ``(B, C, *spatial)``.

    Example:
        >>> from types import SimpleNamespace
        >>> from monai.inferers import SimpleInferer
        >>> trained = SimpleNamespace(network=torch.nn.Conv2d(1, 3, 1), inferer=SimpleInferer(), device="cpu")
        >>> output_channels(trained, torch.zeros(1, 4, 4), "a")
        3
    """
    return output_shape(trained, image, name, same_size=same_size)[0]


def output_shape(
    trained: TrainedNetwork, image: torch.Tensor, name: str, *, same_size: bool = False, fits: str = _OPTIONS
) -> tuple[int, ...]:
    """Predict one image; see :func:`output_channels`.

    Args:
        trained: network, inferer and device.
        image: ``(C, *spatial)``.
        name: what errors call it.
        same_size: refuse a prediction of another size than the image.
        fits: what the network and the image depend on, in words.

    Returns:
        ``(C, *spatial)`` of what comes out.

    Raises:
        DataError: the network cannot predict such an image, or gives no segmentation.

    Example:
        >>> from types import SimpleNamespace
        >>> from monai.inferers import SimpleInferer
        >>> trained = SimpleNamespace(network=torch.nn.Conv2d(1, 3, 1), inferer=SimpleInferer(), device="cpu")
        >>> output_shape(trained, torch.zeros(1, 4, 4), "a")
        (3, 4, 4)
    """
    try:
        with torch.no_grad():
            output = trained.inferer(image[None].to(trained.device), trained.network.eval())
    except Exception as error:
        needs_more = of_call(error)
        if needs_more is not None:
            raise DataError(needs_more) from error
        told = str(error).rstrip(".")
        if not isinstance(error, (RuntimeError, ValueError)):
            told = f"{type(error).__name__}: {told}"
        shape = tuple(image.shape)
        raise DataError(
            f"the network cannot predict {name!r}, an image of shape {shape}: {told}. Look whether it fits {fits}"
        ) from error
    other = of_output(output, tuple(image.shape))
    if other is not None:
        raise DataError(f"{name}: {other}")
    if not isinstance(output, torch.Tensor) or output.ndim != image.ndim + 1:
        found = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise DataError(f"the network gives {found} for {name!r}; one segmentation (1, C, *spatial) is needed")
    size, predicted = tuple(image.shape[1:]), tuple(output.shape[2:])
    if same_size and size != predicted:
        raise DataError(
            f"the network gives {_size(predicted)} pixels for {name!r}, an image of {_size(size)}: give an "
            "--image_size that it can halve as often as it does, such as multiples of 16"
        )
    return tuple(output.shape[1:])


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def check_samples(trained: TrainedNetwork, measures: Iterable[Measure], image: torch.Tensor) -> None:
    """Refuse a network that cannot give the several predictions that a measure needs.

    Members are not looked for: the network of a first try is one of them.

    Args:
        trained: network, inferer and device; the network stays as it is.
        measures: what the strategy needs.
        image: ``(C, *spatial)``, of which only the shape and type count.

    Raises:
        ValueError: it has no dropout, or predictions that are to differ are equal bit for bit.

    Example:
        >>> from types import SimpleNamespace
        >>> trained = SimpleNamespace(network=torch.nn.Conv2d(1, 3, 1), inferer=None, device="cpu")
        >>> check_samples(trained, [Measure("entropy")], torch.zeros(1, 4, 4))
    """
    several = [one for one in measures if one.stochastic and one.samples != "members"]
    if not several:
        return
    images = image[None].to(trained.device)
    network = _stirred(trained.network)
    for measure in several:
        augmentation = None if measure.augmentation is None else asdict(measure.augmentation)
        refuse_equal_predictions(measure.samples, images, network, inferer=trained.inferer, augmentation=augmentation)


def _stirred(network: torch.nn.Module) -> torch.nn.Module:
    """A copy with weights slightly changed at random: an untrained head may be all zeros."""
    network = copy.deepcopy(network).eval()
    device = next((parameter.device for parameter in network.parameters()), "cpu")
    with torch.no_grad(), seeded(0, device):
        for parameter in network.parameters():
            if parameter.is_floating_point():
                parameter.add_(0.01 * torch.randn_like(parameter))
    return network
