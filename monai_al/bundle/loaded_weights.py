# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights that a bundle loads into its network by itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from monai_al.bundle.errors import BundleConfigError
from monai_al.bundle.training_parts import handlers_of
from monai_al.records import content_hash

__all__ = ["LoadedWeights", "loaded_files", "loaders_of", "refuse_loaded", "weights_watched"]


@dataclass
class LoadedWeights:
    """What was loaded while somebody watched.

    Args:
        files: the files that were read as weights.
        modules: the modules, by identity, that took a state.
    """

    files: list[str] = field(default_factory=list)
    modules: set[int] = field(default_factory=set)

    def reached(self, network: torch.nn.Module) -> bool:
        """Whether a part of the network took a state."""
        return any(id(module) in self.modules for module in network.modules())

    def record(self) -> list[dict[str, Any]]:
        """The files with the SHA-256 of their content, JSON-ready.

        Example:
            >>> LoadedWeights().record()
            []
        """
        return [
            {"file": path, "sha256": content_hash(path) if Path(path).is_file() else None}
            for path in dict.fromkeys(self.files)
        ]


@contextlib.contextmanager
def weights_watched() -> Iterator[LoadedWeights]:
    """Note which files are read by ``torch.load``, and which modules take a state.

    Example:
        >>> network = torch.nn.Linear(1, 1)
        >>> with weights_watched() as seen:
        ...     _ = network.load_state_dict(torch.nn.Linear(1, 1).state_dict())
        >>> seen.reached(torch.nn.Sequential(network)), seen.files
        (True, [])
    """
    seen = LoadedWeights()
    load, take = torch.load, torch.nn.Module.load_state_dict

    def watched_load(f: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(f, (str, Path)):
            seen.files.append(str(Path(f).resolve()))
        return load(f, *args, **kwargs)

    def watched_take(self: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        seen.modules.add(id(self))
        return take(self, *args, **kwargs)

    take_in = mock.patch.object(torch.nn.Module, "load_state_dict", watched_take)
    with mock.patch.object(torch, "load", watched_load), take_in:
        yield seen


def loaders_of(handlers: Sequence[Any], network: torch.nn.Module) -> list[str]:
    """The files that handlers will load into a network once its training starts, as ``CheckpointLoader`` does.

    Args:
        handlers: of the trainer.
        network: what they load into, also where it is wrapped.

    Example:
        >>> from types import SimpleNamespace
        >>> network = torch.nn.Identity()
        >>> loaders_of([SimpleNamespace(load_path="start.pt", load_dict={"model": network})], network)
        ['start.pt']
    """
    return list(dict.fromkeys(str(one.load_path) for one in handlers if _loads_into(one, network)))


def loaded_files(seen: LoadedWeights, trainer: Any, network: torch.nn.Module) -> list[dict[str, Any]] | None:
    """The weights that a training takes by itself: those that were loaded, and those that a handler will load.

    Args:
        seen: what was loaded while it was built.
        trainer: the engine that trains.
        network: what it trains.

    Returns:
        The files with their SHA-256; None where it takes none.

    Example:
        >>> print(loaded_files(LoadedWeights(), None, torch.nn.Identity()))
        None
    """
    early = seen.record() if seen.reached(network) else None
    late = loaders_of([handler for _, handler in handlers_of(trainer)], network)
    return None if early is None and not late else [*(early or ()), *LoadedWeights(late).record()]


def refuse_loaded(name: str, files: Sequence[str], initial_weights: str) -> None:
    """Refuse weights that a bundle loads by itself, which would enter every round.

    Args:
        name: what the message calls the training config.
        files: where they come from, as far as that is known.
        initial_weights: what was asked for.

    Raises:
        BundleConfigError: other initial weights were asked for than the bundle's.

    Example:
        >>> refuse_loaded("train.json", ["models/model.pt"], "scratch")
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: train.json loads weights into its network by itself, from ...
    """
    if initial_weights != "bundle":
        source = f", from {', '.join(map(str, files))}" if files else ""
        raise BundleConfigError(
            f"{name} loads weights into its network by itself{source}: every round would start from what may have seen "
            "other labels. Turn that off by an option of the bundle or by --nested_overrides, or take these weights in "
            f"each round by --initial_weights bundle (asked for: {initial_weights})"
        )


def _loads_into(handler: Any, network: torch.nn.Module) -> bool:
    """Whether a handler has a file to load into the network, a part of it, or what it is a part of."""
    targets = getattr(handler, "load_dict", None)
    if getattr(handler, "load_path", None) is None or not isinstance(targets, Mapping):
        return False
    modules = [one for one in targets.values() if isinstance(one, torch.nn.Module)]
    return any(one is part for one in modules for part in network.modules()) or any(
        part is network for one in modules for part in one.modules()
    )
