# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a Python workflow holds, asked for without knowing how it was written."""

from __future__ import annotations

import contextlib
import inspect
import re
from typing import Any

from monai.bundle import BundleWorkflow, ConfigParser

from monai_al.bundle.training_parts import TrainingParts, handlers_of

__all__ = ["built_by", "held_by", "loads_afterwards", "offer"]

_LOADS = re.compile(r"load\w*\(", re.IGNORECASE)


def held_by(workflow: Any, name: str) -> Any:
    """A property or attribute of a workflow; None where it has none.

    Args:
        workflow: the workflow.
        name: of what it may hold.

    Example:
        >>> from types import SimpleNamespace
        >>> held_by(SimpleNamespace(trainer=1), "trainer"), held_by(SimpleNamespace(), "evaluator")
        (1, None)
    """
    with contextlib.suppress(AttributeError, KeyError, NotImplementedError, ValueError):
        return getattr(workflow, name)
    return None


def offer(workflow: Any, name: str, entries: list[Any]) -> None:
    """Set entries where a workflow says that they can be; whether it takes them is seen in its data set.

    Args:
        workflow: the workflow.
        name: of its property or attribute.
        entries: what that is to be.

    Example:
        >>> from types import SimpleNamespace
        >>> workflow = SimpleNamespace(properties={"train_dataset_data": {}})
        >>> offer(workflow, "train_dataset_data", [3])
        >>> offer(workflow, "something_else", [3])
        >>> sorted(vars(workflow))
        ['properties', 'train_dataset_data']
    """
    if name in workflow.properties or name in vars(workflow):
        with contextlib.suppress(Exception):
            setattr(workflow, name, entries)


def built_by(workflow: Any, *parts: TrainingParts) -> list[Any]:
    """What a workflow holds that may have to be closed.

    Args:
        workflow: the workflow.
        *parts: those of its training, as far as they are known.

    Example:
        >>> from types import SimpleNamespace
        >>> built_by(SimpleNamespace(writer="a", made={"handlers": ["b"]}))
        ['a', {'handlers': ['b']}, ['b']]
    """
    held = [value for value in vars(workflow).values() if not isinstance(value, ConfigParser)]
    held += [value for kept in held if isinstance(kept, dict) for value in kept.values()]
    engines = [engine for one in parts for engine in (one.trainer, one.evaluator)]
    return [*held, *(getattr(handler, "__self__", handler) for engine in engines for _, handler in handlers_of(engine))]


def loads_afterwards(workflow: type[BundleWorkflow]) -> bool:
    """Whether the ``run`` of a workflow loads something once the training is over, such as the best weights.

    Args:
        workflow: the class.

    Example:
        >>> class Training(BundleWorkflow):
        ...     def run(self): self.trainer.run()
        >>> loads_afterwards(Training)
        False
    """
    try:
        source = inspect.getsource(workflow.run)
    except (OSError, TypeError):
        return False
    return _LOADS.search(source.rpartition(".run(")[2]) is not None
