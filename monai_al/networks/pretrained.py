# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights of a network that was pretrained, for another one that differs in its number of output channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

__all__ = ["MatchedWeights", "load_pretrained", "matched_weights"]

SHOWN = 4


class MatchedWeights(NamedTuple):
    """What of pretrained weights fits to a network.

    Args:
        weights: name in the network -> pretrained values.
        new: names in the network that keep their own values: the last layer, and what the network has around.

    Example:
        >>> found = matched_weights(nn.Linear(3, 2), nn.Sequential(nn.Linear(3, 2)).state_dict())
        Traceback (most recent call last):
        ...
        ValueError: the pretrained weights hold nothing for Linear but its last layer
    """

    weights: dict[str, Tensor]
    new: list[str]


def matched_weights(network: nn.Module, pretrained: Mapping[str, Tensor]) -> MatchedWeights:
    """Find the weights of a network among those of one that was pretrained.

    Both are the same network but for their last layer, which has other output channels, or means something else where
    it has as many. Either may be a part of a larger one, under whatever name, such as the U-Net that a network with
    deep supervision holds.

    Args:
        network: the network.
        pretrained: name -> values.

    Raises:
        ValueError: names are missing or left over, or shapes differ before the last layer; the message lists them.

    Example:
        >>> def network(n_out):
        ...     return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, n_out, 1))
        >>> found = matched_weights(network(3), {f"net.{name}": w for name, w in network(1).state_dict().items()})
        >>> list(found.weights)[:3], found.new
        (['0.weight', '0.bias', '1.weight'], ['2.weight', '2.bias'])
    """
    own = network.state_dict()
    theirs, prefix = _aligned(list(own), list(pretrained))
    part = {
        name: pretrained[theirs + name.removeprefix(prefix)]
        for name in own
        if _within(name, prefix, theirs, pretrained)
    }
    missing = [name for name in own if name.startswith(prefix) and name not in part]
    extra = [name for name in pretrained if name.startswith(theirs) and prefix + name.removeprefix(theirs) not in own]
    what = type(network).__name__
    if missing or extra or not part:
        lines = [f"{what} has no {_listed(extra)}"] * bool(extra)
        lines += [f"the pretrained weights have no {_listed(missing or list(own))}"] * (bool(missing) or not part)
        raise ValueError(f"the pretrained weights are of another network than {what}: {'; '.join(lines)}")
    last = _last_layer(network, part, own)
    wrong = [name for name in part if name not in last and part[name].shape != own[name].shape]
    if wrong:
        told = [f"{name} {tuple(part[name].shape)} instead of {tuple(own[name].shape)}" for name in wrong]
        raise ValueError(f"the pretrained weights do not fit to {what}: {_listed(told)}")
    weights = {name: value for name, value in part.items() if name not in last}
    if not weights:
        raise ValueError(f"the pretrained weights hold nothing for {what} but its last layer")
    return MatchedWeights(weights, [name for name in own if name not in weights])


def load_pretrained(network: nn.Module, pretrained: Mapping[str, Tensor]) -> MatchedWeights:
    """Load what fits, and leave the last layer as it is.

    Args:
        network: changed in place.
        pretrained: name -> values; see :func:`matched_weights`.

    Returns:
        What was loaded, and what was not.

    Raises:
        ValueError: the weights are those of another network.

    Example:
        >>> first, second = (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, n)) for n in (1, 3))
        >>> load_pretrained(second, first.state_dict()).new
        ['1.weight', '1.bias']
        >>> bool((first[0].weight == second[0].weight).all())
        True
    """
    found = matched_weights(network, pretrained)
    network.load_state_dict({**network.state_dict(), **found.weights})
    return found


def _aligned(own: list[str], pretrained: list[str]) -> tuple[str, str]:
    """What stands before the names of the part that both share: in the pretrained weights, and in the network."""
    best, found = 0, ("", "")
    for theirs in _prefixes(pretrained):
        inner = {name.removeprefix(theirs) for name in pretrained if name.startswith(theirs)}
        for prefix in _prefixes(own):
            shared = sum(name.startswith(prefix) and name.removeprefix(prefix) in inner for name in own)
            if shared > best:
                best, found = shared, (theirs, prefix)
    return found


def _prefixes(names: list[str]) -> list[str]:
    """What may stand before the names of one network: nothing, or the name of what holds it."""
    return ["", *dict.fromkeys(f"{name.split('.')[0]}." for name in names if "." in name)]


def _within(name: str, prefix: str, theirs: str, pretrained: Mapping[str, Tensor]) -> bool:
    return name.startswith(prefix) and theirs + name.removeprefix(prefix) in pretrained


def _last_layer(network: nn.Module, part: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> set[str]:
    """Names of what follows from the number of output channels; of equal ones the last layer with a kernel."""
    differing = [name for name in part if part[name].shape != own[name].shape]
    if differing:
        changes = {change for name in differing for change in _changed_sizes(part[name], own[name]).values()}
        outputs = all(_output_axis(network, name) in _changed_sizes(part[name], own[name]) for name in differing)
        return set(differing) if outputs and len(changes) == 1 and next(iter(part)) not in differing else set()
    places: dict[int, list[str]] = {}  # of a tensor that has several names the first one tells where it stands
    for name in part:
        places.setdefault(own[name].data_ptr(), []).append(name)
    kernels = [names for names in places.values() if own[names[0]].ndim > 1]
    layer = kernels[-1][0].rpartition(".")[0] if kernels else ""
    return {name for names in places.values() if names[0].rpartition(".")[0] == layer for name in names}


def _changed_sizes(before: Tensor, now: Tensor) -> dict[int, tuple[int, int]]:
    """Axis -> its sizes, where they differ."""
    if before.ndim != now.ndim:
        return {}  # no change of channels
    return {axis: sizes for axis, sizes in enumerate(zip(before.shape, now.shape, strict=True)) if sizes[0] != sizes[1]}


def _output_axis(network: nn.Module, name: str) -> int:
    """The axis of a weight that counts the channels that its layer gives."""
    layer, _, kind = name.rpartition(".")
    return int(kind == "weight" and isinstance(network.get_submodule(layer), _ConvTransposeNd))


def _listed(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
