# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Pre-trained weights of a ResNet, from a file of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

from monai_al.networks.stored_weights import check_weights, is_counter, listed, tensors_in

__all__ = ["load_backbone"]

FIRST, INNER = "conv1.weight", "layer1.0.conv1.weight"  # by which a ResNet is found among the names of a file

Network = TypeVar("Network", bound=nn.Module)


def load_backbone(
    network: Network, path: str | Path | None, prefix: str | None = None, *, option: str = "backbone_weights"
) -> Network:
    """Load pre-trained weights into the ResNet of a network.

    The file is a state dict with torchvision's names, as also MONAI's ResNets bear them (``conv1.weight``,
    ``bn1.weight``, ``layer1.0.conv1.weight``, ...), in whatever dictionaries and behind whatever prefix it lies there
    (``{"state_dict": {"module.backbone.conv1.weight": ...}}``): the ``encoder.pt`` of a pretraining will do. Everything
    of the ResNet must be there and fit, but

    * ``fc`` and the batch norms' counters are left out;
    * of a first convolution with other input channels, the kernels are added up over the channels and shared evenly by
      the network's: an image whose channels are all alike looks the same to both;
    * the bias of a shortcut's convolution, which MONAI's ResNets have by default, is taken into its batch norm.

    Args:
        network: its part ``encoder`` is the ResNet, or else it is one itself; changed in place.
        path: the file; it is loaded with ``weights_only=True``.
        prefix: what stands before the names; needed only where the file holds several ResNets.
        option: the one that names the file, for the message.

    Returns:
        The network.

    Raises:
        ValueError: no file is given, it cannot be read, the network or the file holds no ResNet, the file holds
            several, or weights are missing, unexpected, of another shape or not finite; the message lists them.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from monai.networks.nets import resnet50
        >>> small = {"spatial_dims": 2, "widen_factor": 0.125, "bias_downsample": False}
        >>> colour, grey = resnet50(**small), resnet50(n_input_channels=1, **small)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({"model": colour.state_dict()}, f"{folder}/resnet50.pt")
        ...     _ = load_backbone(grey, f"{folder}/resnet50.pt")
        >>> torch.equal(grey.conv1.weight, colour.conv1.weight.sum(1, keepdim=True))
        True
    """
    encoder = getattr(network, "encoder", network)
    expected = encoder.state_dict() if isinstance(encoder, nn.Module) else {}
    if FIRST not in expected or INNER not in expected:
        raise ValueError(f"{type(network).__name__} holds no ResNet: it has no layers {FIRST} and {INNER}")
    found = _resnet_of(tensors_in(path, option), str(path), prefix)
    found = _without_shortcut_bias({name: weight for name, weight in found.items() if not _ignored(name)}, expected)
    found[FIRST] = _with_channels(found[FIRST], expected[FIRST])
    wanted = {name: weight for name, weight in expected.items() if not _ignored(name)}
    check_weights(found, wanted, str(path), "this ResNet")
    encoder.load_state_dict({**expected, **found})
    return network


def _resnet_of(tensors: Mapping[str, Tensor], file: str, wanted: str | None) -> dict[str, Tensor]:
    """The tensors of the one ResNet among them, without what stands before their names."""
    starts = [name.removesuffix(FIRST) for name in tensors if f".{name}".endswith(f".{FIRST}")]
    starts = [start for start in starts if f"{start}{INNER}" in tensors]
    fitting = [start for start in starts if f".{start}".endswith(f".{wanted}")] if wanted else starts
    if len(fitting) == 1:
        return {name[len(fitting[0]) :]: tensor for name, tensor in tensors.items() if name.startswith(fitting[0])}
    if not starts:
        some = listed(list(tensors)) or "nothing"
        raise ValueError(f"{file}: holds no ResNet with the names of torchvision ({FIRST}, {INNER}), but {some}")
    behind = f" behind {wanted!r}" if wanted else ""
    raise ValueError(
        f"{file}: holds {len(fitting)} ResNets{behind}: give the prefix of one, which is "
        + " or ".join(map(repr, starts))
    )


def _ignored(name: str) -> bool:
    return name.startswith("fc.") or is_counter(name)


def _without_shortcut_bias(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A batch norm takes off its mean what the convolution before it adds."""
    out = dict(found)
    for name, bias in found.items():
        mean = name.replace("downsample.0.bias", "downsample.1.running_mean")
        if mean != name and name not in expected and mean in found:
            out[mean] = found[mean] - bias
            del out[name]
    return out


def _with_channels(weight: Tensor, expected: Tensor) -> Tensor:
    """First kernels ``(F, C, *k)`` for another number of input channels, the only thing they may differ in."""
    if weight.ndim != expected.ndim or weight.shape[:1] + weight.shape[2:] != expected.shape[:1] + expected.shape[2:]:
        return weight
    if weight.shape == expected.shape:
        return weight
    return (weight.sum(1, keepdim=True) / expected.shape[1]).expand_as(expected)
