# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the items that pass through an engine are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from monai.utils import CommonKeys
from torch import Tensor

__all__ = ["ItemIds", "batch_entries"]

FILE_NAME = "filename_or_obj"  # where MONAI's meta data holds it


class ItemIds:
    """Names the items of an engine's run, in the order of the visit.

    An item is called what the batch calls it; else by its file name in MONAI's meta data; else by its running number
    ``"0"``, ``"1"``, ... Where one file gives several items, as patches do, the later ones get ``"#1"``, ``"#2"``, ...
    behind the name.

    Args:
        image_key: the image in the batch and in ``engine.state.output``.
        id_key: the ids in the batch.

    Example:
        >>> from types import SimpleNamespace
        >>> from monai.data import MetaTensor
        >>> image = MetaTensor([[0.0], [0.0]], meta={"filename_or_obj": ["a.nii.gz", "a.nii.gz"]})
        >>> state = SimpleNamespace(batch={"image": image}, output={"image": image})
        >>> ItemIds().take(SimpleNamespace(state=state), 2)
        ['a.nii.gz', 'a.nii.gz#1']
    """

    def __init__(self, image_key: str = CommonKeys.IMAGE, id_key: str = "id") -> None:
        self.image_key = image_key
        self.id_key = id_key
        self.reset()

    def reset(self) -> None:
        """Forget all items."""
        self.seen: list[Any] = []
        self._used: set[str] = set()
        self._copies: Counter[str] = Counter()

    def take(self, engine: Any, n: int) -> list[Any]:
        """Name the items of the batch that the engine has just predicted.

        Args:
            engine: its state holds ``batch`` and ``output``.
            n: number of items in the batch.

        Raises:
            ValueError: the batch holds another number of ids.
        """
        found = batch_entries(engine.state.batch, self.id_key, n)
        ids = self._made_up(engine, n) if found is None else found
        self.seen.extend(ids)
        return ids

    def _made_up(self, engine: Any, n: int) -> list[str]:
        names = next(self._file_names(engine, n), None)
        return [self._distinct(name) for name in names or map(str, range(len(self.seen), len(self.seen) + n))]

    def _file_names(self, engine: Any, n: int) -> Iterator[list[str]]:
        places = [place for place in (engine.state.output, engine.state.batch) if isinstance(place, Mapping)]
        metas = [getattr(place.get(self.image_key), "meta", None) for place in places]
        metas += [place.get(f"{self.image_key}_meta_dict") for place in places]
        for meta in metas:
            found = meta.get(FILE_NAME) if isinstance(meta, Mapping) else None
            names = [found] * n if isinstance(found, str) else found
            if isinstance(names, (list, tuple)) and len(names) == n:
                yield [str(name) for name in names]

    def _distinct(self, name: str) -> str:
        id = name
        while id in self._used:
            self._copies[name] += 1
            id = f"{name}#{self._copies[name]}"
        self._used.add(id)
        return id


def batch_entries(batch: Any, key: str, n: int) -> list[Any] | None:
    """What a batch says of each item under a key; None where it says nothing.

    Args:
        batch: of the engine's state.
        key: where it says so.
        n: number of items in the batch.

    Raises:
        ValueError: there are not as many entries as items.

    Example:
        >>> batch_entries({"patient": ["p1", "p2"]}, "patient", 2)
        ['p1', 'p2']
    """
    found = batch.get(key) if isinstance(batch, Mapping) else None
    if found is None:
        return None
    entries = found.tolist() if isinstance(found, (Tensor, np.ndarray)) else list(found)
    if len(entries) != n:
        raise ValueError(f"the batch has {n} items but {len(entries)} entries in {key!r}")
    return entries
