# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A training by the name of its file, or by what a run recorded of it: a config, or a workflow in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from monai_al.bundle.config_files import read_config
from monai_al.bundle.errors import BundleConfigError
from monai_al.bundle.property_ids import ids_of_properties
from monai_al.bundle.python_training import PythonTraining
from monai_al.bundle.round_training import RoundTraining
from monai_al.bundle.training_config import TrainingConfig
from monai_al.bundle.workflow_file import WORKFLOW_ID, is_python
from monai_al.options import literal, literal_of

__all__ = ["open_training", "reopened_training"]


def open_training(
    config_file: str | Path | Sequence[str | Path],
    overrides: Mapping[str, Any] | None = None,
    train_map: Mapping[str, Any] | None = None,
    bundle_ids: Mapping[str, str] | None = None,
    *,
    properties_path: str | Path | None = None,
    own_weights: bool = False,
) -> RoundTraining | PythonTraining:
    """The training of each round.

    Args:
        config_file: the training config and its overlays, see :class:`RoundTraining`; or a Python file, see
            :class:`PythonTraining`.
        overrides: id or option -> value, unresolved.
        train_map: knob -> id or ids.
        bundle_ids: part of the training -> its id.
        properties_path: MONAI's JSON file of properties, whose ids stand for ``bundle_ids`` that are not given; a
            Python workflow gets it in its constructor.
        own_weights: let trainings start from weights that the training itself loads into its network.

    Raises:
        BundleConfigError: a file cannot be read, or there is no such id or option.

    Example:
        >>> open_training("no/train.json")
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: training config no/train.json does not exist
    """
    files = [config_file] if isinstance(config_file, (str, Path)) else list(config_file)
    if is_python(files[0]):
        if files[1:]:
            raise BundleConfigError(f"--train_overlays {files[1]}: {files[0]} is no config that it could be laid over")
        given = {} if properties_path is None else {"properties_path": literal(str(properties_path))}
        return PythonTraining(files[0], {**given, **(overrides or {})}, train_map, bundle_ids, own_weights=own_weights)
    if properties_path is not None and all(Path(file).is_file() for file in files):
        parser = ConfigParser(read_config(files))
        bundle_ids = {**ids_of_properties(properties_path, parser, name=str(files[0])), **(bundle_ids or {})}
    return RoundTraining(files, overrides, train_map, bundle_ids, own_weights=own_weights)


def reopened_training(
    training: Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    *,
    name: str,
    ids: Mapping[str, str | None] | None = None,
    own_weights: bool = False,
) -> TrainingConfig | PythonTraining:
    """The training of a run, for its networks and data.

    Args:
        training: what the run recorded of it, with the places where it lay.
        overrides: id or option -> value, over what is recorded.
        name: what errors call a config.
        ids: role -> id, as they were found, or given for a Python workflow.
        own_weights: the workflow loads weights into its network, as was asked for.

    Raises:
        BundleConfigError: it takes no such override, or the Python file is gone or fails.

    Example:
        >>> reopened_training({"steps": 3}, {"stepz": 4}, name="the training config of runs/a")
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: --stepz: the training config of runs/a declares no such id; did ...
    """
    root = literal_of(training.get("bundle_root"))
    if WORKFLOW_ID not in training:  # gone: what needs no scripts of the bundle works all the same
        folder = Path(root) if root and Path(root).is_dir() else None
        named = {role: id for role, id in (ids or {}).items() if id is not None}
        return TrainingConfig(training, overrides, root=folder, name=name, bundle_ids=named, ids=ids)
    options = {id: value for id, value in training.items() if id not in (WORKFLOW_ID, "bundle_root")}
    recorded = training[WORKFLOW_ID]
    file = f"{(Path(root or '.') / recorded['file']).as_posix()}:{recorded['class']}"
    return PythonTraining(file, options | dict(overrides or {}), bundle_ids=ids, own_weights=own_weights)
