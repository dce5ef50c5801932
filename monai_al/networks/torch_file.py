# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Files of PyTorch, read without running what they hold, and named where they cannot be read."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

__all__ = ["read_torch_file"]


def read_torch_file(path: str | Path) -> Any:
    """What ``torch.save`` wrote: tensors, numbers, texts and containers of them, on the CPU.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is incomplete, no file of PyTorch, or holds objects that are none of these; the message names it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "model.pt"
        ...     torch.save({"model": {"weight": torch.ones(2)}}, path)
        ...     read_torch_file(path)
        {'model': {'weight': tensor([1., 1.])}}
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path}: holds more than weights, or is no file of PyTorch; save the state dict alone "
            "(torch.save(network.state_dict(), ...))"
        ) from error
    except (RuntimeError, EOFError, OSError, LookupError) as error:
        why = str(error).partition(".")[0] or type(error).__name__
        raise ValueError(f"{path}: cannot be read as a file of PyTorch ({why}); restore it") from error
