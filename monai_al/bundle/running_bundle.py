# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a running bundle knows of itself, and the check of its overrides."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

from monai_al.bundle.errors import BundleConfigError, show_errors_briefly, unknown_ids

__all__ = ["RunningBundle", "bundle_root", "running_bundle"]

# ids that MONAI itself reads, so that nothing in a config has to refer to them
_STANDARD_IDS = {
    "_meta_", "imports", "initialize", "run", "finalize", "bundle_root", "device", "dataset_dir", "output_dir",
    "ckpt_dir", "network_def", "train", "validate", "val_interval", "save_execute_config",
}  # fmt: skip
# ids that belong to one side and are never forwarded
_OWN_IDS = {"_meta_", "imports", "initialize", "run", "finalize", "bundle_root", "ckpt_dir"}
_REFERENCE = re.compile(r"@(\w+)")


@dataclass(frozen=True)
class RunningBundle:
    """The bundle whose config is being evaluated.

    Args:
        root: the bundle's folder.
        config: its merged config with overlays and overrides, unresolved.

    Example:
        >>> RunningBundle(Path("bundles/a"), {"seed": 3, "steps": 10}).file("train.yaml").as_posix()
        'bundles/a/configs/train.yaml'
    """

    root: Path
    config: Mapping[str, Any]

    def file(self, name: str) -> Path:
        """A config file of this bundle: a path as it is, a mere name in its ``configs`` folder."""
        path = Path(name)
        return path if path.is_absolute() or len(path.parts) > 1 else self.root / "configs" / name

    def forwarded(self, name: str) -> dict[str, Any]:
        """The flat ids that the training config of this name declares too, unresolved, to be set there."""
        declared = _read(self.file(name))
        return {id: value for id, value in self.config.items() if id in declared and id not in _OWN_IDS}

    def check_overrides(self, name: str) -> None:
        """Refuse every flat id that nothing refers to, here or in the training config of this name.

        From here on the command line shows errors in the user's input as one message.

        Raises:
            BundleConfigError: lists them, with the nearest ids that exist.
        """
        show_errors_briefly()
        inner = _read(self.file(name))
        known = _STANDARD_IDS | _referred(self.config) | {id for id in inner if id in _referred(inner) | _STANDARD_IDS}
        unknown = [id for id in self.config if id not in known]
        if unknown:
            raise BundleConfigError(unknown_ids(unknown, known, "nothing in the bundle refers to it"))


def running_bundle() -> RunningBundle:
    """The bundle whose config evaluates the expression that calls this.

    MONAI gives an expression no way to its workflow, so it is looked up among the callers.

    Raises:
        BundleConfigError: no bundle is running.

    Example:
        >>> running_bundle()
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: no bundle is running: call this from a config's expression
    """
    frame = sys._getframe(1)
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, ConfigWorkflow):
            root = bundle_root(Path(caller.config_root_path) / "any.yaml")
            return RunningBundle(root, {k: v for k, v in caller.parser.get().items() if k != "_meta_"})
        frame = frame.f_back
    raise BundleConfigError("no bundle is running: call this from a config's expression")


def bundle_root(config_file: Path) -> Path:
    """The folder of the bundle that a config file belongs to.

    Example:
        >>> bundle_root(Path("/bundles/a/configs/train.yaml")).as_posix()
        '/bundles/a'
    """
    folder = config_file.resolve().parent
    return folder.parent if folder.name == "configs" else folder


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise BundleConfigError(f"training config {file} does not exist")
    return ConfigParser.load_config_file(str(file))


def _referred(config: Any) -> set[str]:
    """First parts of all ids that some text in a config refers to."""
    if isinstance(config, Mapping):
        return set().union(*(_referred(value) for value in config.values()))
    if isinstance(config, (list, tuple)):
        return set().union(*(_referred(value) for value in config))
    return set(_REFERENCE.findall(config)) if isinstance(config, str) else set()
