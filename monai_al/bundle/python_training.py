# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A training workflow written in Python, run anew for each round."""

from __future__ import annotations

import contextlib
import copy
import gc
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from monai.bundle import BundleWorkflow
from monai.inferers import SimpleInferer
from monai.utils import set_determinism

from monai_al.bundle.activation import told_activation
from monai_al.bundle.dataset_entries import entries_of, refuse_empty, uncached
from monai_al.bundle.errors import BundleConfigError, failing_by_itself, own_errors
from monai_al.bundle.found_parts import ROLES, FoundParts
from monai_al.bundle.loaded_weights import LoadedWeights, loaded_files, refuse_loaded, weights_watched
from monai_al.bundle.process_state import close_handlers, seeds_replaced, untouched_process
from monai_al.bundle.round_start import RoundStart, check_length, check_steps, give_entries, watch_start
from monai_al.bundle.scratch_writing import writing_into
from monai_al.bundle.started_trainer import before_start, trainer_of
from monai_al.bundle.training_parts import (
    TrainingParts,
    parts_of,
    postprocessing_of,
    stop_validating,
    with_named,
)
from monai_al.bundle.validation_use import deciding_handlers
from monai_al.bundle.workflow_access import built_by, held_by, loads_afterwards, offer
from monai_al.bundle.workflow_building import CKPT_DIR, WorkflowBuilder
from monai_al.bundle.workflow_file import WORKFLOW_ID, read_workflow
from monai_al.distributed import train_together, visible_processes
from monai_al.inferers import TrainedNetwork
from monai_al.networks import load_pretrained

__all__ = ["PythonTraining"]

ITEMS, TEST_ITEMS, EVALUATOR = "train_dataset_data", "val_dataset_data", "evaluator"  # MONAI's properties
VALIDATION_INTERVAL = "val_interval"


class PythonTraining:
    """A Python file with a class derived from MONAI's ``BundleWorkflow`` or ``PythonicWorkflow``, as a training.

    It takes the place of a :class:`monai_al.bundle.RoundTraining`. Its parts are found as objects from the trainer that
    its ``run`` starts. Each run builds a fresh workflow; wherever that seeds for itself, it is seeded by the round.

    Args:
        training_file: the file, or ``FILE:CLASS`` where it holds several workflows.
        overrides: option -> value, unresolved as in a config file: a parameter of the constructor, a part of the
            ``config_file`` that a ``PythonicWorkflow`` reads, a property of MONAI's, or an attribute.
        train_map: the loop's word for an option -> the workflow's, beside ``epochs`` for the property ``max_epochs``.
        bundle_ids: role of :data:`monai_al.bundle.found_parts.ROLES` -> the property or attribute that holds it, where
            it is not found by what it is.
        own_weights: let trainings start from weights that the workflow itself loads into its network.

    Raises:
        BundleConfigError: the file cannot be read, or the workflow takes no such option.

    Example:
        >>> PythonTraining("no/workflow.py")
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: training config no/workflow.py does not exist
    """

    has_pool = False

    def __init__(
        self,
        training_file: str | Path,
        overrides: Mapping[str, Any] | None = None,
        train_map: Mapping[str, Any] | None = None,
        bundle_ids: Mapping[str, str | None] | None = None,
        *,
        own_weights: bool = False,
    ) -> None:
        self.file = read_workflow(training_file)
        self.name, self.root = str(training_file), self.file.root
        self.own_weights = own_weights
        self.ids = {role: name for role, name in (bundle_ids or {}).items() if name is not None}
        self.weights: list[dict[str, Any]] | None = None  # the files that it loads into its network by itself
        self._builder = WorkflowBuilder(self.file, overrides or {}, train_map, keeps_weights=own_weights)
        self._sha256 = self._builder.sha256()
        self._known: _Known | None = None
        unknown = [role for role in self.ids if role not in ROLES or role == "trainer"]
        if unknown:
            raise BundleConfigError(
                f"--bundle_ids: there is no part {unknown[0]!r} to be named of a Python workflow, whose run starts its "
                f"trainer; the parts are {', '.join(ROLES[1:])}"
            )

    @property
    def overrides(self) -> dict[str, Any]:
        """Option -> value, unresolved."""
        return self._builder.options

    def declares(self, id: str) -> bool:
        """Whether the workflow takes an option of this name."""
        return self._builder.taken.place_of(id) is not None

    def raw(self) -> dict[str, Any]:
        """The file, the class and the hashes of what is read, and the overrides."""
        named = {"file": self.file.inside, "class": self.file.workflow.__name__, "sha256": self._sha256}
        return {WORKFLOW_ID: named, **self.overrides}

    def deciding(self) -> list[str]:
        """What of it lets validation scores decide how training goes on, or when it ends."""
        return list(self._found().deciding)

    def find(self) -> FoundParts:
        """Build the workflow once, up to where its trainer starts, and see what it consists of. Nothing is trained.

        Raises:
            BundleConfigError: it fails by itself, runs no trainer, or lacks a part that active learning needs.
        """
        with tempfile.TemporaryDirectory() as folder, self._at_work(0, folder) as seen:
            with failing_by_itself(self.name), self._reading_nothing_from(folder, seen):
                workflow = self._builder.build(folder)
                workflow.initialize()
                refuse_empty(self.name, ITEMS, held_by(workflow, ITEMS), held_by(workflow, "dataset_dir"))
                trainer = trainer_of(workflow.run)
                if trainer is None:
                    raise BundleConfigError(
                        f"{self.name} runs no trainer: active learning needs a workflow whose run() starts one of "
                        "MONAI's trainers"
                    )
                parts = self._parts(workflow, trainer)
                self._builder.check_taken(workflow, trainer)
                self.weights = _shown(loaded_files(seen, trainer, parts.network), folder)
            self._known = _known(parts)
            close_handlers(built_by(workflow, parts))
        return FoundParts(parts, dict(self.ids), self.weights, [])

    def load(self, state: Mapping[str, torch.Tensor] | None, activation: str | None = None) -> TrainedNetwork:
        """A network with these weights, and how to predict with it.

        Args:
            state: ``state_dict`` of the network; None leaves it as the workflow builds it.
            activation: softmax, sigmoid, multilabel or none; None reads it off the workflow.

        Raises:
            BundleConfigError: the activation is not given and cannot be read off the workflow.
        """
        found = self._found()
        network = copy.deepcopy(found.network)
        if state is not None:
            network.load_state_dict(state)
        meant = activation or told_activation(found.postprocessing, [found.loss])
        return TrainedNetwork(network.to(found.device), found.device, found.inferer or SimpleInferer(), meant)

    def run(
        self,
        items: Sequence[Any],
        *,
        seed: int,
        validation: Sequence[Any] = (),
        state: Mapping[str, torch.Tensor] | None = None,
        pretrained: Mapping[str, torch.Tensor] | None = None,
        scratch: str | Path | None = None,
        attach: Callable[[Any], None] | None = None,
    ) -> dict[str, torch.Tensor]:
        """Train once and return the weights.

        Args:
            items: the entries that the trainer's data set shall hold.
            seed: fixes initial weights, order and augmentation.
            validation: the entries that the evaluator's data set shall hold; empty leaves it as the workflow has it.
            state: weights to start from; None starts from scratch.
            pretrained: without a state, weights for all but the last layer; see
                :func:`monai_al.networks.load_pretrained`.
            scratch: folder for all files that the training writes; None leaves them where the workflow has them.
            attach: is called with the trainer before it starts.

        Returns:
            The ``state_dict`` of the network on the CPU.

        Raises:
            BundleConfigError: the workflow does not train on the items it was given, or starts from weights that it
                loads by itself.
        """
        self._found()  # what it lacks is told first
        if self.weights is not None:
            refuse_loaded(self.name, [one["file"] for one in self.weights], "bundle" if self.own_weights else "scratch")
        try:
            return self._trained(list(items), seed, list(validation), state, pretrained, scratch, attach)
        finally:
            gc.collect()  # engines, handlers and network refer to each other

    def _trained(
        self,
        entries: list[Any],
        seed: int,
        validation: list[Any],
        state: Mapping[str, torch.Tensor] | None,
        pretrained: Mapping[str, torch.Tensor] | None,
        scratch: str | Path | None,
        attach: Callable[[Any], None] | None,
    ) -> dict[str, torch.Tensor]:
        ready: list[TrainingParts] = []
        started = contextlib.ExitStack()
        with self._at_work(seed, scratch, entries) as seen:
            workflow = self._builder.build(scratch)

            def prepare(trainer: Any) -> None:
                parts = self._parts(workflow, trainer)
                start = RoundStart(seed, seen.reached(parts.network), seen, self.own_weights)
                if state is not None:
                    parts.network.load_state_dict(state)
                elif pretrained is not None:
                    load_pretrained(parts.network, pretrained)
                self._give(parts, entries, validation)
                watch_start(trainer, parts.network, start, name=self.name)
                if attach is not None:
                    attach(trainer)
                if visible_processes() > 1:
                    started.enter_context(train_together(trainer, seed=seed))
                ready.append(parts)

            try:
                offer(workflow, self.ids.get("train_data", ITEMS), entries)
                workflow.initialize()
                set_determinism(seed)
                with before_start(prepare), started:
                    workflow.run()
                if not ready:
                    raise BundleConfigError(f"{self.name} did not start its trainer in this round")
                check_steps(ready[0].trainer, entries)
                state_dict = ready[0].network.state_dict()
                weights = {key: value.detach().cpu().clone() for key, value in state_dict.items()}
                workflow.finalize()
            finally:
                close_handlers(built_by(workflow, *ready))
        return weights

    def _found(self) -> _Known:
        if self._known is None:
            self.find()
        assert self._known is not None
        return self._known

    @contextlib.contextmanager
    def _at_work(
        self, seed: int, folder: str | Path | None, entries: list[Any] | None = None
    ) -> Iterator[LoadedWeights]:
        """What holds while the workflow is built and runs; gives what is seen of weights that are loaded."""
        writing = contextlib.nullcontext() if folder is None else writing_into(folder)
        with (
            own_errors(),
            untouched_process(seed),
            seeds_replaced(seed),
            self.file.importing(),
            uncached(but=entries),
            writing,
            weights_watched() as seen,
        ):
            yield seen

    @contextlib.contextmanager
    def _reading_nothing_from(self, folder: str, seen: LoadedWeights) -> Iterator[None]:
        """Tell a failure for weights that the workflow would load from its own folder as that."""
        try:
            yield
        except Exception:
            wanted = [{"file": file} for file in seen.files if _inside(file, folder) is not None]
            if wanted:
                refuse_loaded(self.name, [one["file"] for one in _shown(wanted, folder) or ()], "scratch")
            raise

    def _parts(self, workflow: BundleWorkflow, trainer: Any) -> TrainingParts:
        named = self._named(workflow, self.ids[EVALUATOR]) if EVALUATOR in self.ids else None
        parts = parts_of(trainer, named, usual=lambda: held_by(workflow, EVALUATOR), name=self.name)
        return with_named(parts, self.ids, lambda name: self._named(workflow, name))

    def _named(self, workflow: BundleWorkflow, name: str) -> Any:
        found = held_by(workflow, name)
        if found is None:
            raise BundleConfigError(f"--bundle_ids: {self.name} holds no property or attribute {name!r}")
        return found

    def _give(self, parts: TrainingParts, entries: list[Any], validation: list[Any]) -> None:
        """Let the engines read these entries, and validate only where it is needed."""
        for engine, dataset, asked in (
            (parts.trainer, parts.train_dataset, entries),
            (parts.evaluator, parts.test_dataset, validation),
        ):
            if asked and dataset is not None and not _equal(entries_of(dataset), asked):
                give_entries(engine, asked)
        check_length(parts.trainer.data_loader.dataset, entries)
        asked_for = VALIDATION_INTERVAL in self.overrides
        if not (asked_for or self.deciding() or loads_afterwards(self.file.workflow)):
            stop_validating(parts.trainer)


class _Known(NamedTuple):
    """What is kept of a workflow that was built once."""

    network: torch.nn.Module
    device: torch.device
    inferer: Any
    postprocessing: Any
    loss: Any
    deciding: list[str]


def _known(parts: TrainingParts) -> _Known:
    trainer = parts.trainer
    device = getattr(trainer.state, "device", None) or next(iter(parts.network.parameters())).device
    return _Known(
        copy.deepcopy(parts.network).cpu(),
        torch.device(device),
        parts.inferer if parts.inferer is not None else getattr(trainer, "inferer", None),
        parts.postprocessing if parts.postprocessing is not None else postprocessing_of(trainer),
        getattr(trainer, "loss_function", None),
        deciding_handlers([trainer, parts.evaluator]),
    )


def _equal(held: list[Any] | None, asked: list[Any]) -> bool:
    try:
        return bool(held == asked)
    except (RuntimeError, ValueError):  # arrays among them
        return False


def _inside(file: str, folder: str) -> str | None:
    """The path of a file in a folder; None where it lies elsewhere."""
    path, root = Path(file).resolve(), Path(folder).resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else None


def _shown(files: list[dict[str, Any]] | None, folder: str) -> list[dict[str, Any]] | None:
    """Files of weights, those of a folder that stands for the workflow's own by the name of that."""
    inside = {one["file"]: _inside(one["file"], folder) for one in files or ()}
    named = {file: file if path is None else f"{CKPT_DIR}/{path}" for file, path in inside.items()}
    return None if files is None else [one | {"file": named[one["file"]]} for one in files]
