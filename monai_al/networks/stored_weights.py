# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The weights in a file, found behind any prefix and checked name by name before a network takes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from monai_al.networks.torch_file import read_torch_file

__all__ = ["check_weights", "is_counter", "listed", "load_weights", "tensors_in", "weights_for"]

SHOWN = 6

Network = TypeVar("Network", bound=nn.Module)


def load_weights(
    network: Network,
    path: str | Path | None,
    prefix: str | None = None,
    *,
    left_out: str | None = None,
    option: str = "encoder_file",
) -> Network:
    """Load the weights in a file into a network, if they are all of it and nothing else.

    The file is a state dict in whatever dictionaries and behind whatever prefix it lies there
    (``{"state_dict": {"module.conv.weight": ...}}``). What stands behind another prefix, such as the state of an
    optimizer, is left out, and so are the batch norms' counters.

    Args:
        network: any module; changed in place.
        path: the file; it is loaded with ``weights_only=True``.
        prefix: what stands before the names; needed only where the file holds several such networks.
        left_out: a layer of the file that the network lacks.
        option: the one that names the file, for the message.

    Returns:
        The network.

    Raises:
        ValueError: no file is given, it cannot be read, it holds nothing of this network or several of its kind, or
            weights are missing, unexpected, of another shape, or not finite; the message lists them.

    Example:
        >>> import tempfile
        >>> import torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({"model": {"module.weight": torch.ones(1, 2)}}, f"{folder}/linear.pt")
        ...     load_weights(nn.Linear(2, 1, bias=False), f"{folder}/linear.pt").weight.tolist()
        [[1.0, 1.0]]
    """
    expected = {name: weight for name, weight in network.state_dict().items() if not is_counter(name)}
    found = weights_for(tensors_in(path, option), expected, str(path), prefix)
    if left_out is not None:
        found = {name: weight for name, weight in found.items() if not name.startswith(f"{left_out}.")}
    check_weights(found, expected, str(path), f"this {type(network).__name__}")
    network.load_state_dict({**network.state_dict(), **found})
    return network


def tensors_in(path: str | Path | None, option: str) -> dict[str, Tensor]:
    """Everything in a file that is a tensor, by the names of the dictionaries around it, joined by dots.

    Args:
        path: the file.
        option: the one that names it, for the message.

    Raises:
        ValueError: no file is given, or it cannot be read.

    Example:
        >>> tensors_in(None, "encoder_file")
        Traceback (most recent call last):
        ...
        ValueError: no pre-trained weights are given: name the file with --encoder_file
    """
    if path is None:
        raise ValueError(f"no pre-trained weights are given: name the file with --{option}")
    if not Path(path).is_file():
        raise ValueError(f"{path}: there is no such file of pre-trained weights (--{option})")
    return dict(_leaves(read_torch_file(path)))


def weights_for(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Any], file: str, prefix: str | None = None
) -> dict[str, Tensor]:
    """The tensors behind that prefix behind which most of the expected names stand, by what follows it.

    Args:
        tensors: all of a file.
        expected: names of the network.
        file: what the message calls it.
        prefix: the one that is meant, or its end; None takes the one that fits best.

    Raises:
        ValueError: there is none, or several fit equally well.

    Example:
        >>> found = weights_for({"a.net.w": 1, "a.net.b": 2, "optimizer.w": 3}, {"w": 0, "b": 0}, "a.pt")
        >>> found
        {'w': 1, 'b': 2}
    """
    starts: Counter[str] = Counter()
    for name in tensors:
        parts = name.split(".")
        ends = (i for i in range(len(parts)) if ".".join(parts[i:]) in expected)
        starts.update("".join(f"{part}." for part in parts[:i]) for i in ends)
    if not starts:
        raise ValueError(
            f"{file}: holds no weights of this network ({listed(list(expected))}), but "
            f"{listed(list(tensors)) or 'nothing'}"
        )
    wanted = "" if prefix is None else f".{prefix.strip('.')}."
    fitting = {start: count for start, count in starts.items() if f".{start}".endswith(wanted)}
    best = [start for start, count in fitting.items() if count == max(fitting.values())]
    if len(best) == 1:
        return {
            name.removeprefix(best[0]): tensor
            for name, tensor in tensors.items()
            if name.startswith(best[0]) and not is_counter(name)
        }
    behind = "" if prefix is None else f" behind {prefix!r}"
    raise ValueError(
        f"{file}: holds {len(best)} networks of this kind{behind}: give the prefix of one, which is "
        + " or ".join(map(repr, best or starts))
    )


def check_weights(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], file: str, what: str) -> None:
    """Refuse weights that are not those of a network.

    Args:
        found: those of the file.
        expected: those of the network.
        file: what the message calls the file.
        what: what it calls the network.

    Raises:
        ValueError: some are missing, unexpected, of another shape or not finite; the message lists them.

    Example:
        >>> import torch
        >>> check_weights({"a": torch.zeros(2)}, {"a": torch.zeros(3), "b": torch.zeros(1)}, "a.pt", "mine")
        Traceback (most recent call last):
        ...
        ValueError: a.pt: its weights are not those of mine; 1 missing: b; 1 of another shape: a (2,) instead of (3,)
    """
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    others = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(weight.shape)}"
        for name, weight in expected.items()
        if name in found and found[name].shape != weight.shape
    ]
    infinite = [name for name, weight in found.items() if name in expected and not bool(weight.isfinite().all())]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": others, "not finite": infinite}
    problems = [f"{len(names)} {kind}: {listed(names)}" for kind, names in kinds.items() if names]
    if problems:
        raise ValueError(f"{file}: its weights are not those of {what}; {'; '.join(problems)}")


def listed(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are.

    Example:
        >>> listed("abcdefgh")
        'a, b, c, d, e, f, ... and 2 more'
    """
    more = f", ... and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def is_counter(name: str) -> bool:
    """Whether it counts the batches that a batch norm has seen, which says nothing of the weights.

    Example:
        >>> is_counter("bn1.num_batches_tracked"), is_counter("bn1.weight")
        (True, False)
    """
    return name.endswith("num_batches_tracked")


def _leaves(content: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Tensor]]:
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from _leaves(value, (*path, str(key)))
    elif isinstance(content, Tensor):
        yield ".".join(path), content
