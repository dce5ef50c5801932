# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The list of entries behind a data set, and another list in its place."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any
from unittest import mock

from monai.data import CacheDataset
from monai.transforms import Compose
from torch.utils.data import Dataset, Subset

from monai_al.bundle.errors import BundleConfigError

__all__ = ["entries_of", "inner_dataset", "put_entries", "refuse_empty", "transform_of", "uncached"]


def entries_of(dataset: Any) -> list[Any] | None:
    """The entries that a data set reads its items from; None where it does not tell.

    Args:
        dataset: one with ``data``, as MONAI's have, or a subset of one. The items of a data set without, such as one
            that reads an ``.npz`` file, are its entries.

    Example:
        >>> from monai.data import Dataset
        >>> entries_of(Subset(Dataset([{"image": "a"}, {"image": "b"}]), [1]))
        [{'image': 'b'}]
    """
    if isinstance(dataset, Subset):
        whole = entries_of(dataset.dataset)
        return None if whole is None else [whole[int(i)] for i in dataset.indices]
    data = getattr(dataset, "data", dataset)
    if not (_is_list(data) and _is_list(dataset)):
        return None
    if inner_dataset(dataset) is not None:
        return entries_of(data)
    if _keeps_elsewhere(dataset):
        data = _as_read(dataset)
    return [data[i] for i in range(len(data))]


def inner_dataset(dataset: Any) -> Any:
    """The data set that another one reads its entries from; None where those are a list, or items of their own.

    Example:
        >>> from monai.data import Dataset
        >>> inner = Dataset(["a"], transform=str.upper)
        >>> inner_dataset(Dataset(inner)) is inner, inner_dataset(inner)
        (True, None)
    """
    data = base = getattr(dataset, "data", None)
    while isinstance(base, Subset):
        base = base.dataset
    lists = isinstance(base, Dataset) and _is_list(getattr(base, "data", None)) and not _keeps_elsewhere(base)
    return data if lists else None


def _keeps_elsewhere(dataset: Any) -> bool:
    """Whether a data set, such as one that reads an ``.npz`` file, has more items than its ``data``."""
    data = getattr(dataset, "data", dataset)
    return _is_list(data) and _is_list(dataset) and len(data) == 0 < len(dataset)


def _as_read(dataset: Any) -> Any:
    """The same data set, whose items are left as they are read."""
    if getattr(dataset, "transform", None) is None:
        return dataset
    dataset = copy.copy(dataset)
    dataset.transform = _itself
    return dataset


def _itself(entry: Any) -> Any:
    return entry


def _is_list(value: Any) -> bool:
    return hasattr(value, "__len__") and hasattr(value, "__getitem__")


def transform_of(dataset: Any) -> Any:
    """What a data set makes of an entry, with what one makes of it that it reads from; None: nothing.

    Example:
        >>> from monai.data import Dataset
        >>> transform_of(Subset(Dataset(["a"], transform=len), [0]))("abc")
        3
        >>> transform_of(Dataset(Dataset(["a"], transform=str.upper), transform=list))("abc")
        ['A', 'B', 'C']
    """
    if isinstance(dataset, Subset):
        return transform_of(dataset.dataset)
    inner = inner_dataset(dataset)
    parts = [getattr(dataset, "transform", None), None if inner is None else transform_of(inner)]
    found = [one for one in reversed(parts) if one is not None]
    return Compose(found) if len(found) > 1 else next(iter(found), None)


def put_entries(dataset: Any, entries: Sequence[Any]) -> None:
    """Let a data set read these entries from now on.

    Args:
        dataset: one with ``data``, or a subset of one, whose other subsets keep theirs.
        entries: what it is to hold.

    Raises:
        BundleConfigError: it has no place for them.

    Example:
        >>> from monai.data import Dataset
        >>> subset = Subset(Dataset([{"image": "a"}, {"image": "b"}]), [1])
        >>> put_entries(subset, [{"image": "c"}])
        >>> len(subset), subset[0]
        (1, {'image': 'c'})
    """
    if isinstance(dataset, Subset):
        dataset.dataset = copy.copy(dataset.dataset)
        put_entries(dataset.dataset, entries)
        dataset.indices = range(len(entries))
    elif inner_dataset(dataset) is not None:
        put_entries(dataset.data, entries)
        if callable(getattr(dataset, "set_data", None)):  # it keeps what it read
            dataset.set_data(dataset.data)
    elif _keeps_elsewhere(dataset):
        raise BundleConfigError(
            f"the training data set is a {type(dataset).__name__}, which keeps its items itself, so that the labeled "
            "ones cannot be put into it: let the config read it by another data set, such as "
            "{_target_: Dataset, data: ..., transform: ...}"
        )
    elif callable(getattr(dataset, "set_data", None)):
        dataset.set_data(entries)
    elif hasattr(dataset, "data"):
        dataset.data = entries
    else:
        raise BundleConfigError(
            f"the training data set is a {type(dataset).__name__}, which has no 'data' to put the labeled items into: "
            "build one of MONAI's data sets from a list of entries"
        )


def refuse_empty(name: str, id: str, entries: Any, folder: Any = "") -> None:
    """A list of entries that is empty is told as that, before a loader fails on it.

    Args:
        name: what the message calls the training config.
        id: what holds the entries.
        entries: what it holds; only a list or tuple is looked at.
        folder: where they are read from, as far as that is known.

    Raises:
        BundleConfigError: it is empty.

    Example:
        >>> refuse_empty("train.json", "train#dataset#data", [{"image": "a.png"}])
    """
    if isinstance(entries, (list, tuple)) and not entries:
        raise BundleConfigError(
            f"{id} of {name} is empty: does "
            + (f"--dataset_dir {folder}" if folder else "the folder that it reads")
            + " hold the data in the layout that the bundle expects?"
        )


@contextlib.contextmanager
def uncached(but: Sequence[Any] | None = None) -> Iterator[None]:
    """Let MONAI's caching data sets read nothing ahead, except one that holds these very entries.

    Args:
        but: the entries of the data set that does.

    Example:
        >>> with uncached():
        ...     dataset = CacheDataset([1, 2], transform=lambda number: 10 * number, progress=False)
        >>> dataset.cache_num, dataset[1]
        (0, 20)
    """
    fill = CacheDataset.set_data

    def set_data(self: CacheDataset, data: Sequence[Any]) -> None:
        number = self.set_num
        self.set_num = number if but is not None and data is but else 0
        fill(self, data)
        self.set_num = number

    with mock.patch.object(CacheDataset, "set_data", set_data):
        yield
