# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How a trainer that was written without this package starts a round, and what is checked of its training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from ignite.engine import Events
from monai.utils import set_determinism

from monai_al.bundle.dataset_entries import inner_dataset, put_entries
from monai_al.bundle.errors import BundleConfigError
from monai_al.bundle.loaded_weights import LoadedWeights, refuse_loaded

__all__ = ["RoundStart", "check_length", "check_steps", "give_entries", "watch_start"]


class RoundStart(NamedTuple):
    """How a training is to start.

    Args:
        seed: of the round.
        loaded: whether the network took weights already, of its own accord.
        seen: what is seen of weights that are loaded.
        own_weights: such weights were asked for.

    Example:
        >>> RoundStart(3, False, LoadedWeights()).own_weights
        False
    """

    seed: int
    loaded: bool
    seen: LoadedWeights
    own_weights: bool = False


def give_entries(engine: Any, entries: Sequence[Any]) -> None:
    """Put entries into the data set that an engine reads, and let its epochs become as long as they then are.

    Args:
        engine: one with a ``data_loader``, not started yet.
        entries: what its data set is to hold.

    Raises:
        BundleConfigError: the data set has no place for them.

    Example:
        >>> from types import SimpleNamespace
        >>> from monai.data import DataLoader, Dataset
        >>> loader = DataLoader(Dataset([1, 2, 3, 4]), batch_size=2)
        >>> engine = SimpleNamespace(data_loader=loader, state=SimpleNamespace(epoch_length=2))
        >>> give_entries(engine, [5])
        >>> engine.state.epoch_length, list(loader)
        (1, [tensor([5])])
    """
    loader = engine.data_loader
    before = len(loader)
    put_entries(loader.dataset, entries)
    if engine.state.epoch_length == before:
        engine.state.epoch_length = len(loader)


def watch_start(trainer: Any, network: torch.nn.Module, start: RoundStart, *, name: str) -> None:
    """Let a trainer start with the round's seed, and refuse weights that its handlers load then.

    Args:
        trainer: the engine, not started yet.
        network: what it trains.
        start: how it is to start.
        name: what errors call the training config.

    Example:
        >>> from ignite.engine import Engine
        >>> trainer = Engine(lambda engine, batch: None)
        >>> watch_start(trainer, torch.nn.Linear(1, 1), RoundStart(3, True, LoadedWeights()), name="train.json")
        >>> trainer.logger.disabled = True
        >>> trainer.run([0])
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: train.json loads weights into its network by itself: ...
    """
    before = {key: value.detach().clone() for key, value in network.state_dict().items()}

    def started() -> None:  # after the handlers of the bundle, which load weights now
        if torch.initial_seed() != start.seed:
            set_determinism(start.seed)
        moved = any(not torch.equal(value, before[key]) for key, value in network.state_dict().items())
        if start.loaded or moved:
            refuse_loaded(name, start.seen.files, "bundle" if start.own_weights else "scratch")

    trainer.add_event_handler(Events.STARTED, started)


def check_length(dataset: Any, items: Sequence[Any]) -> None:
    """A training data set holds all items that it was given.

    Args:
        dataset: the data set.
        items: what it was given.

    Raises:
        BundleConfigError: it holds more or fewer.

    Example:
        >>> check_length([1], [1, 2])
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: the training data set holds 1 entries although it was given 2 ...
    """
    while (inner := inner_dataset(dataset)) is not None:
        dataset = inner
    held = dataset.data if hasattr(getattr(dataset, "data", None), "__len__") else dataset  # patches may be more
    if hasattr(held, "__len__") and len(held) != len(items):
        raise BundleConfigError(
            f"the training data set holds {len(held)} entries although it was given {len(items)} labeled items: "
            "its class must use all of its entries"
        )


def check_steps(trainer: Any, items: Sequence[Any]) -> None:
    """A trainer that ran has done a step.

    Args:
        trainer: the engine, after its training.
        items: what it trained on.

    Raises:
        BundleConfigError: it has done none.

    Example:
        >>> from types import SimpleNamespace
        >>> check_steps(SimpleNamespace(state=SimpleNamespace(iteration=3)), [1])
    """
    state = getattr(trainer, "state", None)
    if getattr(state, "iteration", None) == 0:
        raise BundleConfigError(
            f"the training did no step with its {len(items)} labeled items: lower --batch_size, raise --budget, or "
            "turn off drop_last in train#dataloader"
        )
