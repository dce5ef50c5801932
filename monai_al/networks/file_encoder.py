# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""An encoder whose weights come from a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from monai_al.networks.backbone_weights import load_backbone
from monai_al.networks.image_input import ImageInput
from monai_al.networks.plain_resnet import RESNETS, plain_resnet
from monai_al.networks.stored_weights import load_weights
from monai_al.networks.vision_transformer import VisionTransformer, load_transformer

__all__ = ["FileEncoder"]

TRANSFORMER = "vit"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's red, green and blue, as torchvision's weights
SIDE = 224  # about which a transformer's images are resized where nothing is said


class FileEncoder(nn.Module):
    """A network with weights from a file, as an encoder of images of values of 0 to 1.

    Its part ``encoder`` holds three parts: images as the network expects them
    (:class:`~monai_al.networks.image_input.ImageInput`), the network, and one vector per image of what it gives: a
    vector as it is, feature maps averaged over the image, tokens averaged over each other, of several outputs the last
    one, or the first where the others are no tensors, as of MONAI's ``ViT``.

    Args:
        network: ``"resnet18"``, ``"resnet34"``, ``"resnet50"`` or ``"resnet101"`` of torchvision's layout, ``"vit"``:
            a vision transformer of the sizes that the file tells, or any module.
        file: its weights; see :func:`~monai_al.networks.load_backbone`,
            :func:`~monai_al.networks.vision_transformer.load_transformer` and
            :func:`~monai_al.networks.stored_weights.load_weights` for which names must be there.
        prefix: what stands before the names; needed only where the file holds several such networks.
        head: name of a layer of a module that is taken off, such as that of a classification; what the file holds of it
            is left out.
        mean: of each channel of the network.
        std: standard deviation of each channel.
        value_range: the values of images that become 0 and 1; None: 0 and 1.
        size: pixels of each side that images are resized to; None: as they are, for ``"vit"`` the multiple of its patch
            that is next to 224.

    Raises:
        ValueError: no file is given, its weights are not those of the network, the network has no such name or no such
            head; the message says what to do.

    Example:
        >>> import tempfile
        >>> import torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save(plain_resnet("resnet18", 3).state_dict(), f"{folder}/resnet18.pth")
        ...     network = FileEncoder("resnet18", f"{folder}/resnet18.pth")
        >>> network.eval().encoder(torch.rand(2, 1, 64, 64)).shape
        torch.Size([2, 512])
    """

    def __init__(
        self,
        network: str | nn.Module = "resnet50",
        file: str | Path | None = None,
        *,
        prefix: str | None = None,
        head: str | None = None,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        value_range: Sequence[float] | None = None,
        size: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(network, str) and head is not None:
            raise ValueError(f"--encoder_head is of a network that a config builds; {network!r} has none")
        if network == TRANSFORMER:
            built: nn.Module = load_transformer(file, prefix, in_channels=len(mean))
        elif isinstance(network, str) and network in RESNETS:
            built = load_backbone(plain_resnet(network, len(mean)), file, prefix, option="encoder_file")
        elif isinstance(network, nn.Module):
            built = load_weights(network if head is None else _without(network, head), file, prefix, left_out=head)
        else:
            known = ", ".join(map(repr, (*RESNETS, TRANSFORMER)))
            raise ValueError(f"--encoder_network must be one of {known}, or a part of a config, got {network!r}")
        if size is None and isinstance(built, VisionTransformer):
            size = [round(SIDE / built.patch) * built.patch] * 2
        dims = 2 if isinstance(network, str) else None
        images = ImageInput(mean, std, value_range=value_range, size=size, spatial_dims=dims)
        self.encoder = nn.Sequential(images, built, _Vector())

    def forward(self, x: Tensor) -> Tensor:
        """Features of a batch.

        Args:
            x: ``(B, C, *spatial)``, C being 1 or the number of channels of the network.

        Returns:
            ``(B, F)``.
        """
        return self.encoder(x)


class _Vector(nn.Module):
    """One vector per image of what a network gives."""

    def forward(self, found: Tensor | Sequence[Tensor]) -> Tensor:
        if not isinstance(found, Tensor):
            found = found[-1] if all(isinstance(one, Tensor) for one in found) else found[0]
        if found.ndim == 3:
            return found.mean(1)
        return found.flatten(2).mean(2) if found.ndim > 3 else found


def _without(network: nn.Module, head: str) -> nn.Module:
    layers = dict(network.named_modules())
    if not head or head not in layers:
        last = [name for name in layers if name][-6:]
        raise ValueError(
            f"--encoder_head {head}: {type(network).__name__} has no such layer; its last ones are {', '.join(last)}"
        )
    network.set_submodule(head, nn.Identity())
    return network
