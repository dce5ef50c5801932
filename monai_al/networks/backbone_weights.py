# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Pre-trained weights of a ResNet, from a file of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from monai_al.networks.torch_file import read_torch_file

__all__ = ["load_backbone"]

FIRST, INNER = "conv1.weight", "layer1.0.conv1.weight"  # by which a ResNet is found among the names of a file
SHOWN = 6

Network = TypeVar("Network", bound=nn.Module)


def load_backbone(network: Network, path: str | Path | None, prefix: str | None = None) -> Network:
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

    Returns:
        The network.

    Raises:
        ValueError: no file is given, it cannot be read, the network or the file holds no ResNet, the file holds
            several, or weights are missing, unexpected or of another shape; the message lists them.

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
    found = _resnet_of(_tensors_in(path), str(path), prefix)
    found = _without_shortcut_bias({name: weight for name, weight in found.items() if not _ignored(name)}, expected)
    found[FIRST] = _with_channels(found[FIRST], expected[FIRST])
    _check(found, {name: weight for name, weight in expected.items() if not _ignored(name)}, str(path))
    encoder.load_state_dict({**expected, **found})
    return network


def _tensors_in(path: str | Path | None) -> dict[str, Tensor]:
    """Everything in a file that is a tensor, by the names of the dictionaries around it, joined by dots."""
    if path is None:
        raise ValueError("no pre-trained weights are given: name the file with --backbone_weights")
    if not Path(path).is_file():
        raise ValueError(f"{path}: there is no such file of pre-trained weights")
    return dict(_leaves(read_torch_file(path)))


def _leaves(content: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Tensor]]:
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from _leaves(value, (*path, str(key)))
    elif isinstance(content, Tensor):
        yield ".".join(path), content


def _resnet_of(tensors: Mapping[str, Tensor], file: str, wanted: str | None) -> dict[str, Tensor]:
    """The tensors of the one ResNet among them, without what stands before their names."""
    starts = [name.removesuffix(FIRST) for name in tensors if f".{name}".endswith(f".{FIRST}")]
    starts = [start for start in starts if f"{start}{INNER}" in tensors]
    fitting = [start for start in starts if f".{start}".endswith(f".{wanted}")] if wanted else starts
    if len(fitting) == 1:
        return {name[len(fitting[0]) :]: tensor for name, tensor in tensors.items() if name.startswith(fitting[0])}
    if not starts:
        some = _listed(list(tensors)) or "nothing"
        raise ValueError(f"{file}: holds no ResNet with the names of torchvision ({FIRST}, {INNER}), but {some}")
    behind = f" behind {wanted!r}" if wanted else ""
    raise ValueError(
        f"{file}: holds {len(fitting)} ResNets{behind}: give the prefix of one, which is "
        + " or ".join(map(repr, starts))
    )


def _ignored(name: str) -> bool:
    return name.startswith("fc.") or name.endswith("num_batches_tracked")


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


def _check(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], file: str) -> None:
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    others = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(weight.shape)}"
        for name, weight in expected.items()
        if name in found and found[name].shape != weight.shape
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": others}
    problems = [f"{len(names)} {kind}: {_listed(names)}" for kind, names in kinds.items() if names]
    if problems:
        raise ValueError(f"{file}: its weights are not those of this ResNet; {'; '.join(problems)}")


def _listed(names: Sequence[str]) -> str:
    more = f", ... and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
