# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a training consists of, found as objects from the trainer that it runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from ignite.engine import Engine

from monai_al.bundle.dataset_entries import entries_of, transform_of
from monai_al.bundle.errors import BundleConfigError
from monai_al.bundle.other_tasks import of_engine, of_first

__all__ = [
    "TrainingParts",
    "handlers_of",
    "parts_of",
    "postprocessing_of",
    "stop_validating",
    "unwrapped",
    "validator_of",
    "with_named",
]


@dataclass(frozen=True)
class TrainingParts:
    """The objects of a training; None is what there is not.

    Args:
        trainer: the engine that trains.
        network: what it trains, without a wrapper such as that of several processes.
        train_dataset: the data set it reads.
        train_entries: the entries of that data set.
        evaluator: the engine that validates.
        test_dataset: the data set that the evaluator reads.
        test_entries: the entries of that.
        preprocessing: what the evaluator's data set makes of an entry.
        postprocessing: what the evaluator makes of a prediction before it is scored.
        inferer: how the evaluator predicts.

    Example:
        >>> TrainingParts(None, torch.nn.Identity(), [1, 2], [1, 2]).evaluator is None
        True
    """

    trainer: Any
    network: torch.nn.Module
    train_dataset: Any
    train_entries: list[Any]
    evaluator: Any = None
    test_dataset: Any = None
    test_entries: list[Any] | None = None
    preprocessing: Any = None
    postprocessing: Any = None
    inferer: Any = None


def parts_of(
    trainer: Any, evaluator: Any = None, *, usual: Callable[[], Any] = lambda: None, name: str
) -> TrainingParts:
    """What a trainer trains and reads, and what validates it.

    Args:
        trainer: an engine of MONAI, or one like it.
        evaluator: the engine that validates; None looks for it among the trainer's handlers.
        usual: gives what stands where such an engine usually does, in case no handler runs one.
        name: what errors call the training config.

    Raises:
        BundleConfigError: the trainer does not train one network on a data set with a list of entries, or not for
            segmentation.

    Example:
        >>> parts_of(Engine(lambda engine, batch: None), name="train.json")
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: train.json runs a Engine without a network and a data_loader: ...
    """
    _refuse(of_engine(trainer), name)
    network, loader = getattr(trainer, "network", None), getattr(trainer, "data_loader", None)
    dataset = getattr(loader, "dataset", None)
    entries = entries_of(dataset)
    if not isinstance(network, torch.nn.Module) or loader is None:
        raise BundleConfigError(
            f"{name} runs a {type(trainer).__name__} without a network and a data_loader: active learning needs a "
            "trainer such as MONAI's SupervisedTrainer, which trains one network for segmentation"
        )
    if entries is None:
        _refuse(of_first(dataset), name)
        raise BundleConfigError(
            f"{name} trains on a {type(dataset).__name__}, which has no list of entries as its 'data': active learning "
            "takes the items to annotate from there"
        )
    evaluator = evaluator if evaluator is not None else validator_of(trainer, name) or _engine(usual())
    test = getattr(getattr(evaluator, "data_loader", None), "dataset", None)
    return TrainingParts(
        trainer,
        unwrapped(network),
        dataset,
        entries,
        evaluator,
        test,
        None if test is None else entries_of(test),
        None if test is None else transform_of(test),
        None if evaluator is None else postprocessing_of(evaluator),
        getattr(evaluator, "inferer", None),
    )


def with_named(parts: TrainingParts, given: Mapping[str, str], content: Callable[[str], Any]) -> TrainingParts:
    """The parts, with those that were named in place of what was found.

    Args:
        parts: what was found.
        given: role of :data:`monai_al.bundle.found_parts.ROLES` -> the name of its object.
        content: gives the object of a name.

    Example:
        >>> parts = TrainingParts(None, torch.nn.Identity(), [1], [1])
        >>> with_named(parts, {"train_data": "entries"}, {"entries": (2, 3)}.get).train_entries
        [2, 3]
    """
    fields = {"train_data": "train_entries", "test_data": "test_entries"}
    named = {fields.get(role, role): content(id) for role, id in given.items() if role not in ("trainer", "evaluator")}
    for role, key in fields.items():
        if key in named and (entries := entries_of(named[key])) is None:
            raise BundleConfigError(f"--bundle_ids: {role} is {given[role]}, which holds no list of entries")
        if key in named:
            named[key] = entries
    if "network" in named:
        named["network"] = unwrapped(named["network"])
    return replace(parts, **named)


def _refuse(why: str | None, name: str) -> None:
    if why is not None:
        raise BundleConfigError(f"{name}: {why}")


def unwrapped(network: torch.nn.Module) -> torch.nn.Module:
    """A network without what several processes or a compiler put around it.

    Example:
        >>> unwrapped(torch.nn.DataParallel(torch.nn.Identity()))
        Identity()
    """
    around = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
    network = network.module if isinstance(network, around) else network
    return getattr(network, "_orig_mod", network)


def stop_validating(trainer: Any) -> int:
    """Take the handlers from a trainer that run another engine for validation.

    Returns:
        How many there were.

    Example:
        >>> from types import SimpleNamespace
        >>> from ignite.engine import Events
        >>> trainer = Engine(lambda engine, batch: None)
        >>> validates = type("Validates", (), {"validator": trainer, "__call__": lambda self, engine: print("never")})()
        >>> _ = trainer.add_event_handler(Events.EPOCH_COMPLETED(every=2), validates)
        >>> stop_validating(trainer), trainer.run([0], max_epochs=2).epoch
        (1, 2)
    """
    found = {(event, id(handler)): handler for event, handler in handlers_of(trainer) if _validates(handler)}
    for (event, _), handler in found.items():
        trainer.remove_event_handler(handler, event)
    return len({number for _, number in found})


def handlers_of(engine: Any) -> Iterator[tuple[Any, Any]]:
    """Event and handler of an engine, without the wrapper that an event filter puts around a handler.

    Example:
        >>> from ignite.engine import Events
        >>> engine = Engine(lambda engine, batch: None)
        >>> _ = engine.add_event_handler(Events.EPOCH_COMPLETED(every=2), print)
        >>> [handler for _, handler in handlers_of(engine)]
        [<built-in function print>]
    """
    for event, listed in getattr(engine, "_event_handlers", {}).items():
        for handler, *_ in list(listed):
            parent = getattr(handler, "_parent", None)
            yield event, handler if parent is None else parent()


def postprocessing_of(engine: Any) -> Callable[..., Any] | None:
    """The transform that a MONAI engine was given as its ``postprocessing``, which it keeps in a handler alone.

    Example:
        >>> print(postprocessing_of(Engine(lambda engine, batch: None)))
        None
    """
    for _, handler in handlers_of(engine):
        if inspect.isfunction(handler) and handler.__module__ == "monai.engines.workflow":
            found = inspect.getclosurevars(handler).nonlocals.get("posttrans")
            if found is not None:
                return found
    return None


def _engine(value: Any) -> Any:
    return value if isinstance(value, Engine) else None


def _validates(handler: Any) -> bool:
    return isinstance(getattr(handler, "validator", None), Engine)


def validator_of(trainer: Any, name: str) -> Any:
    """The engine that a handler of a trainer runs for validation; None where there is none.

    Raises:
        BundleConfigError: there are several.

    Example:
        >>> print(validator_of(Engine(lambda engine, batch: None), "train.json"))
        None
    """
    found = {id(handler.validator): handler.validator for _, handler in handlers_of(trainer) if _validates(handler)}
    if len(found) > 1:
        raise BundleConfigError(
            f"{name} validates by {len(found)} engines: say which tests, by --bundle_ids \"{{'evaluator': ID}}\" with "
            "the id of it"
        )
    return next(iter(found.values()), None)
