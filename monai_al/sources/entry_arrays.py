# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Entries whose images or labels are arrays in memory: what they are called, their hashes, and what needs files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from monai_al.records import DataError, Item

__all__ = ["array_hash", "array_name", "is_array", "is_array_name", "is_blank", "refuse_arrays"]

_ARRAY = "array:"  # no path of an item begins so, for they are absolute


def is_array(value: Any) -> bool:
    """Whether a value of an entry is an array or tensor with at least two dimensions, or a list of such.

    Example:
        >>> is_array(np.zeros((4, 4))), is_array([torch.zeros(2, 2)]), is_array("a.nii"), is_array(np.int64(3))
        (True, True, False, False)
    """
    values = value if isinstance(value, (list, tuple)) else [value]
    return bool(values) and all(isinstance(one, (np.ndarray, torch.Tensor)) and one.ndim > 1 for one in values)


def array_name(id: str, key: str) -> str:
    """What stands for an array where an item names a file.

    Example:
        >>> array_name("train/0007", "image")
        'array:train/0007/image'
    """
    return f"{_ARRAY}{id}/{key}"


def is_array_name(path: str) -> bool:
    """Whether an item names an array in this place, and no file.

    Example:
        >>> is_array_name("array:train/0007/image"), is_array_name("/data/a.nii")
        (True, False)
    """
    return path.startswith(_ARRAY)


def array_hash(value: Any) -> str:
    """SHA-256 of the type, shape and bytes of an array, or of each of a list.

    Example:
        >>> array_hash(np.zeros((2, 3))) == array_hash(torch.zeros(2, 3, dtype=torch.float64))
        True
        >>> array_hash(np.zeros((2, 3))) == array_hash(np.zeros((3, 2)))
        False
    """
    digest = hashlib.sha256()
    for array in _arrays(value):
        digest.update(f"{array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def is_blank(value: Any) -> bool:
    """Whether an array holds one number everywhere, so that it tells nothing of where it is from.

    Example:
        >>> is_blank(np.zeros((2, 3))), is_blank(np.eye(2))
        (True, False)
    """
    return all(array.size == 0 or bool((array == array.flat[0]).all()) for array in _arrays(value))


def refuse_arrays(items: Iterable[Item], what: str) -> None:
    """Refuse what needs files where images are arrays.

    Args:
        items: the items.
        what: what needs files, at the beginning of a sentence.

    Raises:
        DataError: an item's image is an array.

    Example:
        >>> refuse_arrays([Item("train/0000", "array:train/0000/image", "", "")], "Drawing labels")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: this bundle's images are arrays, such as train/0000, not files. Drawing ...
    """
    first = next((item for item in items if is_array_name(item.image)), None)
    if first is not None:
        raise DataError(
            f"this bundle's images are arrays, such as {first.id}, not files. {what} needs files: save the images and "
            "let the bundle's lists name them, or let the oracle answer with the arrays of the labels"
        )


def _arrays(value: Any) -> list[np.ndarray]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [one.detach().cpu().numpy() if isinstance(one, torch.Tensor) else np.asarray(one) for one in values]
