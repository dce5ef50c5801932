# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a check is asked for: a training config of others, and the options that a run would take."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from monai_al.bundle.config_files import read_config
from monai_al.bundle.errors import own_errors
from monai_al.engines import ActiveLearner
from monai_al.options import literal

__all__ = ["AskedCheck"]


@dataclass(frozen=True)
class AskedCheck:
    """A run that is not started.

    Args:
        training: the training config, and what is laid over it.
        loop: the config of the loop, and what is laid over it.
        options: id -> value, as MONAI's workflow takes them.
        typed: option -> its text as it was typed; None where it stood alone.
        names: of the overlays as they were typed.

    Example:
        >>> asked = AskedCheck((Path("theirs/configs/train.json"), Path("mine.json")), (Path("active_learning.yaml"),))
        >>> asked.bundle
        'theirs'
    """

    training: tuple[Path, ...]
    loop: tuple[Path, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    typed: Mapping[str, str | None] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    @property
    def bundle(self) -> str:
        """The name of the bundle's folder."""
        folder = self.training[0].resolve().parent
        return (folder.parent if folder.name == "configs" else folder).name

    @property
    def training_names(self) -> list[str]:
        """The training config and what is laid over it, as options name them; a mere name would be one of ours."""
        return [str(file) if file.name != str(file) else f".{os.sep}{file}" for file in self.training]

    def learner(self, output_dir: Path, *overlays: Path) -> ActiveLearner:
        """The loop that would run; nothing is read, trained or written yet.

        Args:
            output_dir: takes the place of the run folder.
            *overlays: laid over the loop's config, such as those of strategies.

        Raises:
            ValueError: an option is wrong, or an overlay does not fit the training config.
        """
        files = [str(file) for file in (*self.loop, *overlays)]
        training, *laid = (literal(name) for name in self.training_names)
        options = {"train_overlays": read_config(files)["train_overlays"], **self.options}
        places = {"training_config": training, "train_overlays": [*laid, *options["train_overlays"]]}
        options |= {**places, "output_dir": literal(str(output_dir))}
        with own_errors():
            workflow = ConfigWorkflow(files, logging_file=False, workflow_type="train", **options)  # type: ignore[arg-type]
            workflow.initialize()
            return workflow.parser.get_parsed_content("learner")
