# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Items kept as columns: those of a volume share all but their number, and an item is made when it is asked for."""

from __future__ import annotations

import bisect
import itertools
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import overload

import numpy as np

from monai_al.records.item import Item, slice_id

__all__ = ["IdIndex", "ItemTable"]

_NO_SLICE = -1
_CHUNK = 65536


class ItemTable(Sequence[Item]):
    """Items in a fixed order, of which a million slices take 8 MB beside their volumes.

    A sequence like a tuple of items; ``items[i]`` makes an item anew each time, a slice of it is a tuple. What holds
    for all items of a volume stands once, in ``wholes``. An item of a class of its own stands there itself.

    Args:
        wholes: what items share, each as an item without a slice, whose id is the volume.
        whole: ``(N,)`` the position in ``wholes`` of each item.
        slices: ``(N,)`` slice numbers, -1 for a whole image or volume.
        ids: position -> id, of items whose id is not the one that their volume and slice make.

    Example:
        >>> items = ItemTable.of([Item(f"a/{z:04d}", "a.nii", "a", "p", slice=z) for z in range(2)])
        >>> len(items), len(items.wholes), items[1].id
        (2, 1, 'a/0001')
    """

    def __init__(
        self, wholes: Sequence[Item], whole: np.ndarray, slices: np.ndarray, ids: Mapping[int, str] | None = None
    ) -> None:
        self.wholes = tuple(wholes)
        self._whole = np.asarray(whole, dtype=np.int32)
        self._slices = np.asarray(slices, dtype=np.int32)
        self._ids = dict(ids or {})

    @classmethod
    def of(cls, items: Iterable[Item]) -> ItemTable:
        """The table of some items, one after the other.

        Example:
            >>> len(ItemTable.of([]))
            0
        """
        if isinstance(items, ItemTable):
            return items
        numbers: dict[tuple[object, ...], int] = {}
        wholes: list[Item] = []
        whole, slices, ids = array("i"), array("i"), {}
        for position, item in enumerate(items):
            if type(item) is Item:
                key = (item.volume, item.image, item.patient, item.label, item.split, item.coding, item.slice_axis)
                number = numbers.setdefault(key, len(wholes))
                if number == len(wholes):
                    wholes.append(item if item.slice is None and item.id == item.volume else _whole(item))
            else:  # which may know more
                number = len(wholes)
                wholes.append(item)
            whole.append(number)
            slices.append(_NO_SLICE if item.slice is None else item.slice)
            if item.id != _id(item.volume, slices[-1]):
                ids[position] = item.id
        return cls(wholes, np.array(whole, dtype=np.int32), np.array(slices, dtype=np.int32), ids)

    @classmethod
    def of_stretches(cls, stretches: Iterable[tuple[Item, int, int | None, str | None]]) -> ItemTable:
        """The table whose :meth:`stretches` are these.

        Args:
            stretches: what the items share; how many there are; the first slice; an id of its own.

        Example:
            >>> [item.id for item in ItemTable.of_stretches([(Item("a", "a", "a", "a"), 2, 7, None)])]
            ['a/0007', 'a/0008']
        """
        numbers: dict[Item, int] = {}
        whole, counts, firsts, ids, total = array("i"), array("q"), array("i"), {}, 0
        for shared, number, first, id in stretches:
            whole.append(numbers.setdefault(shared, len(numbers)))
            counts.append(number)
            firsts.append(_NO_SLICE if first is None else first)
            if id is not None:
                ids[total] = id
            total += number
        repeats = np.array(counts, dtype=np.int64)
        starts = np.repeat(np.cumsum(repeats) - repeats, repeats)
        slices = np.repeat(np.array(firsts, dtype=np.int64), repeats) + np.arange(total) - starts
        return cls(list(numbers), np.repeat(np.array(whole, dtype=np.int32), repeats), slices, ids)

    def __len__(self) -> int:
        return len(self._whole)

    def __iter__(self) -> Iterator[Item]:
        for start in range(0, len(self), _CHUNK):
            stop = start + _CHUNK
            columns = (self._whole[start:stop].tolist(), self._slices[start:stop].tolist())
            for position, (number, z) in enumerate(zip(*columns, strict=True), start):
                yield self._made(position, self.wholes[number], z)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Item, ...]: ...
    def __getitem__(self, index: int | slice) -> Item | tuple[Item, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        position = int(index)
        position += len(self) if position < 0 else 0
        if not 0 <= position < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        return self._made(position, self.wholes[self._whole[position]], int(self._slices[position]))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (ItemTable, tuple, list)):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Iterable[Item]) -> tuple[Item, ...]:
        return (*self, *other)

    def __radd__(self, other: Iterable[Item]) -> tuple[Item, ...]:
        return (*other, *self)

    def __repr__(self) -> str:
        return f"ItemTable({len(self)} items)"

    def _made(self, position: int, whole: Item, z: int) -> Item:
        if (z == _NO_SLICE and not self._ids) or type(whole) is not Item:
            return whole
        id = self._ids.get(position) or _id(whole.volume, z)
        return _item(id, whole, None if z == _NO_SLICE else z)

    # -- all items at once -----------------------------------------------------------------------------------------

    @property
    def slices(self) -> np.ndarray:
        """The slice numbers ``(N,)``, int32; -1 for a whole image or volume."""
        return self._slices

    def take(self, positions: np.ndarray | Sequence[int]) -> ItemTable:
        """The items at these positions, in their order.

        Args:
            positions: ``(k,)`` whole numbers.

        Raises:
            TypeError: they are a mask.

        Example:
            >>> [item.id for item in ItemTable.of([Item(name, name, name, name) for name in "abc"]).take([2, 0])]
            ['c', 'a']
        """
        chosen = np.asarray(positions)
        if chosen.dtype == bool:
            raise TypeError("positions are whole numbers, not a mask: give those of np.flatnonzero")
        chosen = chosen.astype(np.int64)
        used, whole = np.unique(self._whole[chosen], return_inverse=True)
        ids = {}
        if self._ids:
            ids = {new: self._ids[old] for new, old in enumerate(chosen.tolist()) if old in self._ids}
        return ItemTable([self.wholes[i] for i in used], whole, self._slices[chosen], ids)

    def where(self, holds: Callable[[Item], object]) -> np.ndarray:
        """The positions of the items for whose volume something holds, ascending.

        Args:
            holds: called with each of ``wholes``.

        Example:
            >>> items = ItemTable.of([Item("a", "a", "a", "a"), Item("b", "b", "b", "b", split="test")])
            >>> items.where(lambda whole: whole.split == "test").tolist()
            [1]
        """
        return np.flatnonzero(np.array([bool(holds(one)) for one in self.wholes], dtype=bool)[self._whole])

    def with_wholes(self, changed: Callable[[Item], Item]) -> ItemTable:
        """The same slices of other volumes.

        Args:
            changed: a whole -> what is to stand in its place; of the same volume.

        Example:
            >>> from dataclasses import replace
            >>> ItemTable.of([Item("a", "a", "a", "a")]).with_wholes(lambda one: replace(one, split="test"))[0].split
            'test'
        """
        return ItemTable([changed(one) for one in self.wholes], self._whole, self._slices, self._ids)

    def firsts(self) -> tuple[Item, ...]:
        """The first slice of each volume, and the first whole one, in order.

        Example:
            >>> slices = [Item(f"a/{z}", "a", "a", "a", slice=z) for z in (3, 4)]
            >>> [item.id for item in ItemTable.of([*slices, Item("b", "b", "b", "b")]).firsts()]
            ['a/3', 'b']
        """
        kinds = 2 * self._whole.astype(np.int64) + (self._slices == _NO_SLICE)
        return tuple(self[int(i)] for i in np.sort(np.unique(kinds, return_index=True)[1]))

    def names(self, attribute: str) -> tuple[str, ...]:
        """What items share, each once, in order of first appearance.

        Args:
            attribute: ``"volume"``, ``"patient"``, ``"image"`` or another one of the wholes.

        Example:
            >>> ItemTable.of([Item("a", "a", "a", "p"), Item("b", "b", "b", "p")]).names("patient")
            ('p',)
        """
        return tuple(dict.fromkeys(getattr(self.wholes[i], attribute) for i in self._in_order()))

    def numbers(self, attribute: str) -> np.ndarray:
        """The position ``(N,)`` in :meth:`names` of what each item has, int64.

        Example:
            >>> ItemTable.of([Item("a", "a", "a", "p"), Item("b", "b", "b", "p")]).numbers("patient").tolist()
            [0, 0]
        """
        place = {name: i for i, name in enumerate(self.names(attribute))}
        of_whole = np.array([place.get(getattr(one, attribute), -1) for one in self.wholes], dtype=np.int64)
        return of_whole[self._whole] if len(self) else np.empty(0, dtype=np.int64)

    def stretches(self) -> Iterator[tuple[Item, int, int | None, str | None]]:
        """Items one after the other, those of neighboring slices of a volume at once.

        Yields:
            What they share; how many there are; the first slice; and, of an item with an id of its own, the id.

        Example:
            >>> slices = [Item(f"a/{z:04d}", "a", "a", "a", slice=z) for z in (3, 4, 9)]
            >>> [(whole.id, number, first) for whole, number, first, id in ItemTable.of(slices).stretches()]
            [('a', 2, 3), ('a', 1, 9)]
        """
        bounds = [*self._starts().tolist(), len(self)]
        for start, stop in itertools.pairwise(bounds):
            z = int(self._slices[start])
            first = None if z == _NO_SLICE else z
            yield self.wholes[self._whole[start]], stop - start, first, self._ids.get(start)

    def _starts(self) -> np.ndarray:
        """Where stretches begin: another volume, a slice that does not follow, or an id of its own."""
        if not len(self):
            return np.empty(0, dtype=np.int64)
        begins = np.ones(len(self), dtype=bool)
        follows = (np.diff(self._slices) == 1) & (self._slices[:-1] != _NO_SLICE)
        begins[1:] = (np.diff(self._whole) != 0) | ~follows
        for position in self._ids:
            begins[position : position + 2] = True
        return np.flatnonzero(begins)

    def _in_order(self) -> list[int]:
        """Positions in ``wholes``, by the first item of each."""
        found, first = np.unique(self._whole, return_index=True)
        return found[np.argsort(first, kind="stable")].tolist()


class IdIndex:
    """Finds the position of an item by its id, in memory that grows with the volumes and not with their slices.

    Args:
        items: the items.

    Raises:
        ValueError: two items share an id.

    Example:
        >>> index = IdIndex(ItemTable.of([Item("a/0007", "a", "a", "a", slice=7)]))
        >>> index.get("a/0007"), index.get("a/0008"), index.get("a/7")
        (0, None, None)
    """

    def __init__(self, items: ItemTable) -> None:
        self._own: dict[str, int] = {}
        self._runs: dict[str, list[tuple[int, int, int]]] = {}  # volume -> first slice, how many, position
        position = 0
        for whole, number, first, id in items.stretches():
            own = whole.volume if id is None and first is None else id
            if own is not None:
                self._add(own, position)
            else:
                self._runs.setdefault(whole.volume, []).append((first or 0, number, position))
            position += number
        for volume, runs in self._runs.items():
            runs.sort()
            self._check_runs(volume, runs)
        for id in self._own:
            if self._of_slice(id) is not None:
                raise ValueError(_twice(id))

    def get(self, id: str) -> int | None:
        """The position of the item with this id; None where there is none."""
        found = self._own.get(id)
        return self._of_slice(id) if found is None else found

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self.get(id) is not None

    def _add(self, id: str, position: int) -> None:
        if id in self._own:
            raise ValueError(_twice(id))
        self._own[id] = position

    def _check_runs(self, volume: str, runs: list[tuple[int, int, int]]) -> None:
        for (first, number, _), (following, _, _) in itertools.pairwise(runs):
            if following < first + number:
                raise ValueError(_twice(slice_id(volume, following)))

    def _of_slice(self, id: str) -> int | None:
        volume, _, digits = id.rpartition("/")
        if volume not in self._runs or not (digits.isascii() and digits.isdigit()):
            return None
        z = int(digits)
        if slice_id(volume, z) != id:
            return None
        runs = self._runs[volume]
        first, number, at = runs[max(0, bisect.bisect_right(runs, z, key=lambda run: run[0]) - 1)]
        return at + z - first if first <= z < first + number else None


def _twice(id: str) -> str:
    return f"item id {id!r} occurs twice: ids must be unique in a pool"


def _whole(item: Item) -> Item:
    return _item(item.volume, item, None)


def _item(id: str, like: Item, z: int | None) -> Item:
    return Item(id, like.image, like.volume, like.patient, like.label, z, like.split, like.coding, like.slice_axis)


def _id(volume: str, z: int) -> str:
    return volume if z == _NO_SLICE else slice_id(volume, z)
