# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Items as dictionaries, as they stand in ``pool.json``, of a table that takes little memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from monai_al.records.item import SLICE_AXIS, Item
from monai_al.records.item_table import ItemTable

__all__ = ["StoredItems"]


class StoredItems(Sequence[dict[str, Any]]):
    """A table of items, each a dictionary that is made when it is asked for.

    Args:
        table: the items, with paths as they are to be told.

    Example:
        >>> StoredItems(ItemTable.of([Item("a", "a.png", "a", "a")]))[0]["image"]
        'a.png'
    """

    def __init__(self, table: ItemTable) -> None:
        self.table = table

    @classmethod
    def of(cls, items: Sequence[Mapping[str, Any]]) -> StoredItems:
        """The same of a list of dictionaries.

        Example:
            >>> len(StoredItems.of([{"id": "a", "image": "a.png", "volume": "a", "patient": "a"}]))
            1
        """
        return items if isinstance(items, StoredItems) else cls(ItemTable.of(Item(**item) for item in items))

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(_told, self.table)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        found = self.table[index]
        return [_told(item) for item in found] if isinstance(found, tuple) else _told(found)


def _told(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "image": item.image,
        "label": item.label,
        "volume": item.volume,
        "patient": item.patient,
        "slice": item.slice,
        "split": item.split,
        **({} if item.slice_axis == SLICE_AXIS else {"slice_axis": item.slice_axis}),
    }
