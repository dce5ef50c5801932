# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The pool in a run folder: ``pool.json``, and beside it ``pool.jsonl`` where the items are many."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from monai_al.records.errors import DataError
from monai_al.records.files import read_json, write_file, write_json
from monai_al.records.item import SLICE_AXIS, Item
from monai_al.records.item_table import ItemTable
from monai_al.records.stored_items import StoredItems

__all__ = ["POOL_FILE", "STRETCHES_FILE", "read_pool", "write_pool"]

POOL_FILE, STRETCHES_FILE = "pool.json", "pool.jsonl"
_MANY = 50_000
"""Above this many items, those of neighboring slices share a line of a file that is read line by line."""


def write_pool(folder: Path, record: Mapping[str, Any]) -> None:
    """Write what a run keeps of its pool.

    Up to 50,000 items all stand in ``pool.json``. More of them stand in ``pool.jsonl``, a line for neighboring slices
    of a volume: ``{"volume": "a", "slices": [0, 35], ...}`` are the items ``a/0000`` to ``a/0035``.

    Args:
        folder: the run folder.
        record: of :func:`monai_al.records.pool_record` or :func:`monai_al.records.pool_to_json`.

    Example:
        >>> import tempfile
        >>> record = {"classes": ["background"], "label_values": {}, "items": [], "files": {}}
        >>> with tempfile.TemporaryDirectory() as run:
        ...     write_pool(Path(run), record)
        ...     read_pool(Path(run))["classes"]
        ['background']
    """
    items = record["items"]
    if len(items) <= _MANY:
        write_json(folder / POOL_FILE, {**record, "items": list(items)})
        return
    table, files = StoredItems.of(items).table, record["files"]

    def write(file: IO[bytes]) -> None:
        for stretch in table.stretches():
            file.write((json.dumps(_line(*stretch, files), ensure_ascii=False) + "\n").encode())

    write_file(folder / STRETCHES_FILE, write)
    rest = {key: value for key, value in record.items() if key not in ("items", "files")}
    write_json(folder / POOL_FILE, {**rest, "n_items": len(table), "items": STRETCHES_FILE})


def read_pool(folder: Path) -> dict[str, Any]:
    """What :func:`write_pool` wrote; many items are dictionaries that are made when they are asked for.

    Args:
        folder: the run folder.

    Raises:
        ValueError: a file is damaged; the message names it.

    Example:
        >>> read_pool(Path("no/such/run"))
        Traceback (most recent call last):
        ...
        FileNotFoundError: [Errno 2] No such file or directory: 'no/such/run/pool.json'
    """
    record = read_json(folder / POOL_FILE)
    if not isinstance(record.get("items"), str):
        return record
    path = folder / record["items"]
    files: dict[str, str] = {}
    table = ItemTable.of_stretches(_stretches(path, files))
    if len(table) != record["n_items"]:
        raise DataError(f"{path} holds {len(table)} items, and {POOL_FILE} tells of {record['n_items']}; restore it")
    return record | {"items": StoredItems(table), "files": files}


def _line(whole: Item, number: int, first: int | None, id: str | None, files: Mapping[str, str]) -> dict[str, Any]:
    where = {} if first is None else {"slices": [first, first + number - 1]}
    own = {} if id is None else {"id": id}
    axis = {} if whole.slice_axis == SLICE_AXIS else {"slice_axis": whole.slice_axis}
    return {
        **own,
        "volume": whole.volume,
        **where,
        **axis,
        "patient": whole.patient,
        "split": whole.split,
        "image": whole.image,
        "image_sha256": files.get(whole.image),
        "label": whole.label,
        "label_sha256": None if whole.label is None else files.get(whole.label),
    }


def _stretches(path: Path, files: dict[str, str]) -> Iterator[tuple[Item, int, int | None, str | None]]:
    """The lines of a file; the hashes that they tell go into ``files``."""
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                told = json.loads(line)
                axis = told.get("slice_axis", SLICE_AXIS)
                volume, image, label = told["volume"], told["image"], told["label"]
                whole = Item(volume, image, volume, told["patient"], label, split=told["split"], slice_axis=axis)
                first, last = told.get("slices", (None, None))
                hashes = {image: told["image_sha256"], label: told["label_sha256"]}
                stretch = whole, 1 if first is None else last - first + 1, first, told.get("id")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(f"{path}, line {number}: tells of no items ({error}); restore it") from None
            files.update((file, hash) for file, hash in hashes.items() if file is not None and hash is not None)
            yield stretch
