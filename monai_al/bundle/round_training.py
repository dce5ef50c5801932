# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""One fresh standard MONAI training workflow per round."""

from __future__ import annotations

import contextlib
import copy
import gc
import logging
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.utils import set_determinism

from monai_al.bundle.config_files import read_config
from monai_al.bundle.errors import BundleConfigError, own_errors
from monai_al.bundle.overrides import RUN_IDS, scratch_overrides, without_seeding
from monai_al.bundle.running_bundle import OF_A_ROUND, bundle_root
from monai_al.bundle.training_config import TrainingConfig
from monai_al.networks import load_pretrained
from monai_al.options import literal

__all__ = ["RoundTraining"]

ITEMS_ID = "train::dataset::data"
TRAINER_ID = "train::trainer"
REQUIRED = (ITEMS_ID, TRAINER_ID, "network_def")
VALIDATION_ITEMS_ID = "validate::dataset::data"


class RoundTraining(TrainingConfig):
    """A standard MONAI training config, run anew for each round.

    Each run builds a fresh ``ConfigWorkflow``: network, optimizer, schedulers, handlers and data sets are new, and
    nothing but the returned weights stays. A config that seeds for itself, as those of the Model Zoo do, gets the
    round's seed all the same.

    Args:
        config_file: the training config and its overlays; later files win.
        overrides: id -> value, unresolved as in a config file; see :class:`TrainingConfig`.
        train_map: see :class:`TrainingConfig`.

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
    ) -> None:
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
        )
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

        Returns:
            The ``state_dict`` of ``network_def`` on the CPU.

        Raises:
            BundleConfigError: the workflow does not train on the items it was given.
        """
        with own_errors(), _untouched_process(seed), self.importing():
            workflow = self._workflow(self._of_a_round(scratch, overrides or {}))
            try:
                # a tuple is opaque to the parser: it is neither copied nor evaluated
                workflow.train_dataset_data = tuple(items)
                if validation:
                    _require(workflow, VALIDATION_ITEMS_ID)
                    workflow.val_dataset_data = tuple(validation)
                workflow.initialize()
                set_determinism(seed)  # after initialize, which may seed for itself
                network = workflow.network_def
                if state is not None:
                    network.load_state_dict(state)
                elif pretrained is not None:
                    load_pretrained(network, pretrained)
                _check_length(workflow.train_dataset, items)
                workflow.run()
                _check_steps(workflow, items)
                weights = {key: value.detach().cpu().clone() for key, value in network.state_dict().items()}
                workflow.finalize()
            finally:
                _close_handlers(workflow.parser)
                del workflow
                gc.collect()  # engines, handlers and network refer to each other
        return weights

    def _of_a_round(self, scratch: str | Path | None, overrides: Mapping[str, Any]) -> dict[str, Any]:
        raw = self.raw()
        places = {} if scratch is None else scratch_overrides(raw, literal(str(scratch)))
        return self.all_overrides({**without_seeding(raw), **places, **overrides})

    def _workflow(self, overrides: Mapping[str, Any]) -> ConfigWorkflow:
        """As MONAI makes it from the config files, which were read once, when this object was made."""
        folder = Path(self.config_file[0]).parent
        with _quiet("monai.bundle.workflows"):
            workflow = ConfigWorkflow(
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
        return workflow


def _lacks(name: str, id: str) -> str:
    return (
        f"{name} has no {id}, which active learning needs: it works with training bundles that have MONAI's standard "
        "ids; an overlay in --train_overlays may add what is missing"
    )


def _require(workflow: ConfigWorkflow, id: str) -> None:
    if id not in workflow.parser:
        raise BundleConfigError(f"the training config has no {id.replace('::', '#')}, so it cannot be set")


def _check_length(dataset: Any, items: Sequence[Any]) -> None:
    held = dataset.data if hasattr(getattr(dataset, "data", None), "__len__") else dataset  # patches may be more
    if hasattr(held, "__len__") and len(held) != len(items):
        raise BundleConfigError(
            f"the training data set holds {len(held)} entries although it was given {len(items)} labeled items: "
            "its class must use all of train#dataset#data"
        )


def _check_steps(workflow: ConfigWorkflow, items: Sequence[Any]) -> None:
    state = getattr(workflow.parser.get_parsed_content(TRAINER_ID), "state", None)
    if getattr(state, "iteration", None) == 0:
        raise BundleConfigError(
            f"the training did no step with its {len(items)} labeled items: lower --batch_size, raise --budget, or "
            "turn off drop_last in train#dataloader"
        )


def _close_handlers(parser: ConfigParser) -> None:
    """Close what a workflow leaves open, such as the threads of TensorBoard's writers."""
    for found in parser.ref_resolver.resolved_content.values():
        for handler in found if isinstance(found, (list, tuple)) else [found]:
            if callable(getattr(handler, "attach", None)) and callable(getattr(handler, "close", None)):
                handler.close()


@contextlib.contextmanager
def _quiet(logger: str) -> Iterator[None]:
    log = logging.getLogger(logger)
    before = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = before


@contextlib.contextmanager
def _untouched_process(seed: int) -> Iterator[None]:
    """Seed everything, and put back afterwards what a training workflow changes in the process."""
    path, python, numpy_state = list(sys.path), random.getstate(), np.random.get_state()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    with torch.random.fork_rng():
        set_determinism(seed)
        try:
            yield
        finally:
            sys.path[:] = path
            random.setstate(python)
            np.random.set_state(numpy_state)
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
