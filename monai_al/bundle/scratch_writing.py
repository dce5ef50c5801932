# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What MONAI's components write in a round, in whatever folder they are built with."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from monai.data import PersistentDataset
from monai.handlers import CheckpointSaver, ClassificationSaver, LogfileHandler, MetricsSaver
from monai.handlers.tensorboard_handlers import TensorBoardHandler
from monai.transforms import SaveImage

__all__ = ["writing_into"]

# class -> the argument that is its folder
_WRITERS: dict[type, str] = {
    CheckpointSaver: "save_dir",
    ClassificationSaver: "output_dir",
    LogfileHandler: "output_dir",
    MetricsSaver: "save_dir",
    PersistentDataset: "cache_dir",
    SaveImage: "output_dir",
    TensorBoardHandler: "log_dir",
}


@contextlib.contextmanager
def writing_into(folder: str | Path) -> Iterator[None]:
    """Let the components of MONAI that write files, and those derived from them, write into one folder.

    Args:
        folder: takes the place of the folder that they are built with meanwhile.

    Example:
        >>> with writing_into("/tmp/scratch"):
        ...     LogfileHandler(output_dir="/bundles/a/eval").output_dir
        '/tmp/scratch'
    """
    with contextlib.ExitStack() as stack:
        for writer, argument in _WRITERS.items():
            stack.enter_context(mock.patch.object(writer, "__init__", _redirected(writer.__init__, argument, folder)))
        yield


def _redirected(build: Callable[..., None], argument: str, folder: str | Path) -> Callable[..., None]:
    signature = inspect.signature(build)

    @functools.wraps(build)
    def build_there(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        if bound.arguments[argument] is not None:
            bound.arguments[argument] = str(folder)
        build(*bound.args, **bound.kwargs)

    return build_there
