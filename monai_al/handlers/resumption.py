# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A training that goes on at its last epoch after it was killed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from monai_al.distributed import from_first, is_first, visible_processes
from monai_al.networks import read_torch_file
from monai_al.records.files import write_file

__all__ = ["Resumption"]

_PROCESSES = "processes"

logger = logging.getLogger(__name__)


class Resumption:
    """Keep the state of a training after each epoch, and start from what a killed training left.

    There is one file, complete at any time: it is replaced by that of the next epoch in one go. Of several processes
    that train together the first keeps it, and all start from it. MONAI's ``CheckpointSaver`` needs the trainer itself
    among what it saves, which the trainer's own handlers cannot name in a config, and removes the last file before it
    writes the next one.

    Args:
        path: the file.
        objects: name -> what has a ``state_dict``, such as network and optimizer.
        settings: name -> value of what makes this training another one; the file of another one is refused.

    Example:
        >>> import tempfile
        >>> network = torch.nn.Linear(1, 1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for epochs in (2, 3):
        ...         trainer = Engine(lambda engine, batch: engine.state.epoch)
        ...         _ = trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: print(engine.state.epoch))
        ...         Resumption(f"{folder}/training.pt", {"network": network}).attach(trainer)
        ...         _ = trainer.run([0], max_epochs=epochs)
        1
        2
        3
    """

    def __init__(self, path: str | Path, objects: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        self.objects = dict(objects)
        self.settings = {name: str(value) for name, value in (settings or {}).items()}

    def attach(self, engine: Engine) -> None:
        """Load when the trainer starts, save after each of its epochs."""
        engine.add_event_handler(Events.STARTED, self.load)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def load(self, engine: Engine) -> None:
        """Go on where the file stands, if there is one.

        Raises:
            ValueError: the file is of another training.
        """
        state = from_first(read_torch_file(self.path) if is_first() and self.path.is_file() else None)
        if state is None:
            return
        if set(state["objects"]) != set(self.objects):
            raise ValueError(
                f"{self.path} holds {', '.join(state['objects'])} but {', '.join(self.objects)} are asked for: remove "
                "it to start anew"
            )
        settings, old = self._settings(), {_PROCESSES: "1", **state["settings"]}
        for name in {**old, **settings}:
            before, now = old.get(name), settings.get(name)
            if before != now:
                raise ValueError(
                    f"{self.path} is of another training, with {name} {before} instead of {now}: remove it, or give "
                    "another folder"
                )
        for name, one in self.objects.items():
            one.load_state_dict(state["objects"][name])
        engine.state.epoch, engine.state.iteration = state["epoch"], state["iteration"]
        logger.info("going on after epoch %d of %s, as %s says", state["epoch"], engine.state.max_epochs, self.path)

    def save(self, engine: Engine) -> None:
        """Replace the file by the state of now."""
        if not is_first():
            return
        state = {
            "epoch": engine.state.epoch,
            "iteration": engine.state.iteration,
            "settings": self._settings(),
            "objects": {name: one.state_dict() for name, one in self.objects.items()},
        }
        write_file(self.path, lambda file: torch.save(state, file))

    def _settings(self) -> dict[str, str]:
        """With the number of processes that train together."""
        return self.settings | {_PROCESSES: str(visible_processes())}
