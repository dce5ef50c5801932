# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""One fresh standard MONAI training workflow per round."""

from __future__ import annotations

import contextlib
import gc
import logging
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.inferers import Inferer, SimpleInferer
from monai.utils import set_determinism

from monai_al.bundle.errors import BundleConfigError, own_errors, unknown_ids
from monai_al.bundle.running_bundle import OF_A_ROUND, bundle_root
from monai_al.bundle.training_options import infer_activation

__all__ = ["RoundTraining", "TrainedNetwork"]

ITEMS_ID = "train::dataset::data"
VALIDATION_ITEMS_ID = "validate::dataset::data"


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with all that is needed to predict with it.

    Args:
        network: the network, on its device.
        device: where it lies.
        inferer: how one batch is predicted.
        activation: from its outputs to probabilities: softmax, sigmoid, multilabel or none.

    Example:
        >>> TrainedNetwork(torch.nn.Identity(), torch.device("cpu"), SimpleInferer(), "softmax").activation
        'softmax'
    """

    network: torch.nn.Module
    device: torch.device
    inferer: Inferer
    activation: str


class RoundTraining:
    """A standard MONAI training config, run anew for each round.

    Each run builds a fresh ``ConfigWorkflow``: network, optimizer, schedulers, handlers and data sets are new, and
    nothing but the returned weights stays.

    Args:
        config_file: the training config and its overlays; later files win.
        overrides: id -> value, unresolved as in a config file; every id must exist in the files.

    Raises:
        BundleConfigError: a config file is missing, the config lacks a required id, or an override names an id that it
            does not declare.

    Example:
        >>> from monai_al.cli import find_asset
        >>> training = RoundTraining([find_asset("selective_uncertainty_spleen") / "configs" / "train.yaml"])
        >>> training.declares("batch_size"), training.declares("batch_sise")
        (True, False)
    """

    def __init__(self, config_file: str | Path | Sequence[str | Path], overrides: Mapping[str, Any] | None = None):
        files = [config_file] if isinstance(config_file, (str, Path)) else list(config_file)
        self.config_file = [str(file) for file in files]
        for file in self.config_file:
            if not Path(file).is_file():
                raise BundleConfigError(f"training config {file} does not exist")
        self.root = bundle_root(Path(self.config_file[0]))
        self.overrides = dict(overrides or {})
        self._shared: dict[str, Any] = {}
        self._declared = self._parser({}).get()
        unknown = [id for id in self.overrides if not self.declares(id)]
        if unknown:
            raise BundleConfigError(unknown_ids(unknown, self._declared, f"{self.config_file[0]} declares no such id"))
        for id in (ITEMS_ID, "train::trainer", "network_def"):
            if not self.declares(id):
                raise BundleConfigError(
                    f"{self.config_file[0]} has no {id.replace('::', '#')}, which active learning needs"
                )

    def declares(self, id: str) -> bool:
        """Whether the config files hold this id (``#`` or ``::`` between its levels)."""
        return id in ConfigParser(self._declared)

    def raw(self) -> dict[str, Any]:
        """The merged config with the overrides, unresolved."""
        return {key: value for key, value in self._parser(self.overrides).get().items() if key != "_meta_"}

    def share(self, **objects: Any) -> None:
        """Use these objects for their ids in every run from now on, instead of building them anew."""
        self._shared = objects

    def resolve(self, *ids: str) -> list[Any]:
        """The objects behind some ids, from one fresh parse of the config.

        Raises:
            BundleConfigError: the config does not declare an id.
        """
        parser = self._parser(self._all_overrides({}))
        missing = [id for id in ids if id not in parser]
        if missing:
            raise BundleConfigError(f"{self.config_file[0]} declares no {missing[0]!r}")
        with own_errors():
            return [parser.get_parsed_content(id) for id in ids]

    def run(
        self,
        items: Sequence[Any],
        *,
        seed: int,
        validation: Sequence[Any] = (),
        state: Mapping[str, torch.Tensor] | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> dict[str, torch.Tensor]:
        """Train once and return the weights.

        Args:
            items: what ``train#dataset`` shall hold.
            seed: fixes initial weights, order and augmentation.
            validation: what ``validate#dataset`` shall hold; empty leaves it as the config has it.
            state: weights to start from; None starts from scratch.
            overrides: further overrides of this run alone, such as a folder for checkpoints.

        Returns:
            The ``state_dict`` of ``network_def`` on the CPU.

        Raises:
            BundleConfigError: the workflow does not train on the items it was given.
        """
        with own_errors(), _untouched_process(seed):
            workflow = self._workflow(self._all_overrides(overrides or {}))
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
                _check_length(workflow.train_dataset, items)
                workflow.run()
                weights = {key: value.detach().cpu().clone() for key, value in network.state_dict().items()}
                workflow.finalize()
            finally:
                _close_handlers(workflow.parser)
                del workflow
                gc.collect()  # engines, handlers and network refer to each other
        return weights

    def load(self, state: Mapping[str, torch.Tensor] | None, activation: str | None = None) -> TrainedNetwork:
        """A network with these weights, and how to predict with it.

        Args:
            state: ``state_dict`` of ``network_def``; None leaves the network as the config builds it.
            activation: softmax, sigmoid, multilabel or none; None reads it off the config.

        Raises:
            BundleConfigError: the activation is not given and cannot be read off the config.
        """
        parser = self._parser(self._all_overrides({}))
        device = torch.device(parser.get_parsed_content("device")) if "device" in parser else torch.device("cpu")
        with torch.random.fork_rng():  # its first weights are drawn, and dropped
            network = parser.get_parsed_content("network_def")
        if state is not None:
            network.load_state_dict(state)
        inferer = next(
            (parser.get_parsed_content(id) for id in ("validate::inferer", "train::inferer") if id in parser), None
        )
        return TrainedNetwork(network.to(device), device, inferer or SimpleInferer(), activation or _activation(parser))

    def _all_overrides(self, more: Mapping[str, Any]) -> dict[str, Any]:
        root = {"bundle_root": str(self.root)} if self.declares("bundle_root") else {}
        return {**root, **self.overrides, **self._shared, **more}

    def _parser(self, overrides: Mapping[str, Any]) -> ConfigParser:
        parser = ConfigParser()
        parser.read_config(self.config_file)
        parser.update(pairs=dict(overrides))
        return parser

    def _workflow(self, overrides: Mapping[str, Any]) -> ConfigWorkflow:
        with _quiet("monai.bundle.workflows"):
            workflow = ConfigWorkflow(
                config_file=self.config_file, logging_file=False, workflow_type="train", **dict(overrides)
            )
        setattr(workflow, OF_A_ROUND, True)
        return workflow


def _activation(parser: ConfigParser) -> str:
    if parser.get("activation") is not None:
        return parser.get_parsed_content("activation")
    ids = [id for id in ("validate::postprocessing", "train::postprocessing") if id in parser]
    postprocessing = parser.get_parsed_content(ids[0]) if ids else None
    loss_id = next((id for id in ("loss", "train::loss", "train::trainer::loss_function") if id in parser), None)
    found = infer_activation(postprocessing, parser.get_parsed_content(loss_id) if loss_id else None)
    if found is None:
        raise BundleConfigError(
            "neither the postprocessing nor the loss tells the activation: give --activation softmax, sigmoid, "
            "multilabel or none"
        )
    return found


def _require(workflow: ConfigWorkflow, id: str) -> None:
    if id not in workflow.parser:
        raise BundleConfigError(f"the training config has no {id.replace('::', '#')}, so it cannot be set")


def _check_length(dataset: Any, items: Sequence[Any]) -> None:
    if hasattr(dataset, "__len__") and len(dataset) != len(items):
        raise BundleConfigError(
            f"the training data set holds {len(dataset)} entries although it was given {len(items)} labeled items: "
            "its class must use all of train#dataset#data"
        )


def _close_handlers(parser: ConfigParser) -> None:
    resolved: dict[str, Any] = parser.ref_resolver.resolved_content
    for id in ("train::handlers", "validate::handlers"):
        for handler in resolved.get(id) or []:
            if callable(getattr(handler, "close", None)):
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
