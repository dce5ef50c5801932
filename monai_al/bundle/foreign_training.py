# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a training config was written without this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_al.bundle.config_files import read_config
from monai_al.bundle.running_bundle import RunningBundle, bundle_root
from monai_al.bundle.training_config import POOL_ID
from monai_al.bundle.workflow_file import file_and_class, is_python
from monai_al.options import is_expression

__all__ = ["is_foreign"]


def is_foreign(loop: Path, training: Any) -> bool:
    """Whether a training config declares no pool, or is a Python workflow.

    Args:
        loop: config of the loop, in whose folder a mere name is looked for.
        training: name or path of the training config; nothing is known of None, of an expression, and of what is not
            there.

    Example:
        >>> from monai_al.assets import bundle_config
        >>> is_foreign(bundle_config("active_learning"), "train.yaml"), is_foreign(Path("a.yaml"), None)
        (False, False)
    """
    if not training or is_expression(training):
        return False
    file, _ = file_and_class(RunningBundle(bundle_root(loop), {}).file(str(training)))
    return file.is_file() and (is_python(file) or POOL_ID not in read_config([file]))
