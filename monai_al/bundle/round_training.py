# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""One fresh standard MONAI training workflow per round."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigWorkflow
from monai.utils import set_determinism

from monai_al.bundle.config_files import read_config
from monai_al.bundle.dataset_entries import uncached
from monai_al.bundle.engine_ids import run_entries
from monai_al.bundle.errors import BundleConfigError, own_errors
from monai_al.bundle.loaded_weights import weights_watched
from monai_al.bundle.overrides import RUN_IDS, scratch_overrides
from monai_al.bundle.process_state import close_handlers, quiet, untouched_process
from monai_al.bundle.round_start import RoundStart, check_length, check_steps, give_entries, watch_start
from monai_al.bundle.running_bundle import OF_A_ROUND, bundle_root
from monai_al.bundle.training_config import TrainingConfig
from monai_al.bundle.training_parts import stop_validating, unwrapped, validator_of
from monai_al.distributed import train_together, visible_processes
from monai_al.networks import load_pretrained
from monai_al.options import literal

__all__ = ["RoundTraining"]

ITEMS_ID, TRAINER_ID, NETWORK_ID = "train::dataset::data", "train::trainer", "network_def"
REQUIRED = (ITEMS_ID, TRAINER_ID, NETWORK_ID)
VALIDATION_ITEMS_ID, VALIDATION_INTERVAL = "validate::dataset::data", "val_interval"


class RoundTraining(TrainingConfig):
    """A standard MONAI training config, run anew for each round.

    Each run builds a fresh ``ConfigWorkflow``: network, optimizer, schedulers, handlers and data sets are new, and
    nothing but the returned weights stays. A config that seeds for itself, as those of the Model Zoo do, gets the
    round's seed all the same. One that was written without this package does not validate while it trains, unless
    something depends on it or ``val_interval`` is among the overrides.

    Args:
        config_file: the training config and its overlays; later files win.
        overrides: id -> value, unresolved as in a config file; see :class:`TrainingConfig`.
        train_map: see :class:`TrainingConfig`.
        bundle_ids: see :class:`TrainingConfig`.
        own_weights: let trainings start from weights that the config itself loads into the network.

    Raises:
        BundleConfigError: a config file is missing, the config lacks a required id, or an override names an id that it
            does not declare.

    Example:
        >>> from monai_al.assets import find_asset
        >>> training = RoundTraining([find_asset("selective_uncertainty_spleen") / "configs" / "train.yaml"])
        >>> training.declares("batch_size"), training.declares("batch_sise")
        (True, False)
    """

    def __init__(
        self,
        config_file: str | Path | Sequence[str | Path],
        overrides: Mapping[str, Any] | None = None,
        train_map: Mapping[str, Any] | None = None,
        bundle_ids: Mapping[str, str] | None = None,
        *,
        own_weights: bool = False,
    ) -> None:
        self.own_weights = own_weights
        files = [config_file] if isinstance(config_file, (str, Path)) else list(config_file)
        self.config_file = [str(file) for file in files]
        for file in self.config_file:
            if not Path(file).is_file():
                raise BundleConfigError(f"training config {file} does not exist")
        config = read_config(self.config_file)
        self._meta = {"_meta_": config["_meta_"]} if "_meta_" in config else {}
        super().__init__(
            config,
            overrides,
            root=bundle_root(Path(self.config_file[0])),
            name=self.config_file[0],
            train_map=train_map,
            bundle_ids=bundle_ids,
        )
        if self.has_pool:
            for id in REQUIRED:
                if not self.declares(id):
                    raise BundleConfigError(_lacks(self.config_file[0], id.replace("::", "#")))
        run_ids = [id for id in RUN_IDS if self.declares(id)]
        if not run_ids:
            raise BundleConfigError(_lacks(self.config_file[0], "run"))
        self._run_id = run_ids[0]

    def run(
        self,
        items: Sequence[Any],
        *,
        seed: int,
        validation: Sequence[Any] = (),
        state: Mapping[str, torch.Tensor] | None = None,
        pretrained: Mapping[str, torch.Tensor] | None = None,
        scratch: str | Path | None = None,
        overrides: Mapping[str, Any] | None = None,
        attach: Callable[[Any], object] | None = None,
    ) -> dict[str, torch.Tensor]:
        """Train once and return the weights.

        Args:
            items: what ``train#dataset`` shall hold.
            seed: fixes initial weights, order and augmentation.
            validation: what ``validate#dataset`` shall hold; empty leaves it as the config has it.
            state: weights to start from; None starts from scratch.
            pretrained: without a state, weights for all but the last layer; see
                :func:`monai_al.networks.load_pretrained`.
            scratch: folder for all files that the training writes; None leaves them where the config has them.
            overrides: further overrides of this run alone.
            attach: called with the trainer before it starts.

        Returns:
            The ``state_dict`` of the network on the CPU.

        Raises:
            BundleConfigError: the workflow does not train on the items it was given, or starts from weights that it
                loads by itself.
        """
        if not (self.has_pool or self.ids or all(map(self.declares, REQUIRED))):
            self.find()
        entries = tuple(items)  # opaque to the parser: it is neither copied nor evaluated
        with own_errors(), untouched_process(seed), self.importing(), uncached(but=entries), weights_watched() as seen:
            workflow = self._workflow(self._of_a_round(scratch, overrides or {}), seed)
            try:
                self._set(workflow, entries, validation)
                workflow.initialize()
                set_determinism(seed)
                network = self._network(workflow)
                loaded = seen.reached(network)
                if state is not None:
                    network.load_state_dict(state)
                elif pretrained is not None:
                    load_pretrained(network, pretrained)
                if self.has_pool:
                    check_length(workflow.train_dataset, items)
                else:
                    start = RoundStart(seed, loaded, seen, self.own_weights)
                    self._ready(workflow, network, entries, validation, start)
                if attach is not None:
                    attach(self._trainer(workflow))
                if visible_processes() > 1:
                    with train_together(self._trainer(workflow), seed=seed):
                        workflow.run()
                else:
                    workflow.run()
                check_steps(self._part(workflow, "trainer", TRAINER_ID), items)
                weights = {key: value.detach().cpu().clone() for key, value in network.state_dict().items()}
                workflow.finalize()
            finally:
                close_handlers(list(workflow.parser.ref_resolver.resolved_content.values()))
                del workflow
                gc.collect()  # engines, handlers and network refer to each other
        return weights

    def _of_a_round(self, scratch: str | Path | None, overrides: Mapping[str, Any]) -> dict[str, Any]:
        raw = self.raw()
        places = {} if scratch is None else scratch_overrides(raw, literal(str(scratch)), self.root)
        return self.all_overrides({**places, **overrides})

    def _set(self, workflow: ConfigWorkflow, entries: tuple[Any, ...], validation: Sequence[Any]) -> None:
        """Put the entries where the config has its own, as far as an id holds them."""
        id = self.ids.get("train_data", ITEMS_ID)
        if id is not None:
            _require(workflow, id)
            workflow.parser[id] = entries
        id = self.ids.get("test_data", VALIDATION_ITEMS_ID)
        if validation and id is not None:
            _require(workflow, id)
            workflow.parser[id] = tuple(validation)

    def _part(self, workflow: ConfigWorkflow, role: str, usual: str) -> Any:
        """The object of a part in a workflow; None where it stands in another object alone."""
        id = self.ids.get(role, usual)
        return None if id is None else workflow.parser.get_parsed_content(id)

    def _network(self, workflow: ConfigWorkflow) -> torch.nn.Module:
        network = self._part(workflow, "network", NETWORK_ID)
        return unwrapped(self._trainer(workflow).network if network is None else network)

    def _trainer(self, workflow: ConfigWorkflow) -> Any:
        return self._part(workflow, "trainer", TRAINER_ID)

    def _ready(
        self,
        workflow: ConfigWorkflow,
        network: torch.nn.Module,
        entries: tuple[Any, ...],
        validation: Sequence[Any],
        start: RoundStart,
    ) -> None:
        """Make a trainer that was written without this package train on the entries, from the round's start."""
        trainer = self._trainer(workflow)
        if self.ids.get("train_data", ITEMS_ID) is None:
            give_entries(trainer, entries)
        check_length(trainer.data_loader.dataset, entries)
        if not self._validates():
            stop_validating(trainer)
        elif validation and self.ids.get("test_data", VALIDATION_ITEMS_ID) is None:
            given = self._part(workflow, "evaluator", "")
            give_entries(validator_of(trainer, self.name) if given is None else given, tuple(validation))
        watch_start(trainer, network, start, name=self.name)

    def _validates(self) -> bool:
        """Whether the training needs its own validation, or it was asked for."""
        raw = self.raw()
        entries = [entry for entry in run_entries(raw) if isinstance(entry, str)]
        last = max((i for i, entry in enumerate(entries) if ".run(" in entry), default=len(entries))
        loads = any("load" in entry for entry in entries[last + 1 :])
        return VALIDATION_INTERVAL in self.overrides or loads or bool(self.deciding())

    def _workflow(self, overrides: Mapping[str, Any], seed: int) -> ConfigWorkflow:
        """As MONAI makes it from the config files, which were read once, when this object was made."""
        folder = Path(self.config_file[0]).parent
        with quiet("monai.bundle.workflows"):
            workflow = _SeededWorkflow(
                config_file=None,  # type: ignore[arg-type]
                meta_file=str(folder / "metadata.json"),
                logging_file=False,
                workflow_type="train",
                run_id=self._run_id,
            )
        workflow.config_root_path = folder
        workflow.parser.read_config(copy.deepcopy({**self._meta, **self._declared}))
        workflow.parser.update(dict(overrides))
        setattr(workflow, OF_A_ROUND, True)
        workflow.seed = seed
        return workflow


class _SeededWorkflow(ConfigWorkflow):
    """A workflow whose own seeds do not stay: each would start every round and every seed of an experiment alike."""

    seed: int

    def _run_expr(self, id: str, **kwargs: Any) -> list[Any]:
        listed = isinstance(self.parser[id], list) if id in self.parser else False
        results = []
        for one in [f"{id}::{number}" for number in range(len(self.parser[id]))] if listed else [id]:
            results += super()._run_expr(one, **kwargs)
            if torch.initial_seed() != self.seed:
                set_determinism(self.seed)
        return results


def _lacks(name: str, id: str) -> str:
    return (
        f"{name} has no {id}, which active learning needs: it works with training bundles that have MONAI's standard "
        "ids; an overlay in --train_overlays may add what is missing"
    )


def _require(workflow: ConfigWorkflow, id: str) -> None:
    if id not in workflow.parser:
        raise BundleConfigError(f"the training config has no {id.replace('::', '#')}, so it cannot be set")
