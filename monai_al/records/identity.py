# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a run was started with, as its folder keeps it, and what tells it from another one."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from monai_al.records.item import SLICE_AXIS
from monai_al.records.pool import Pool
from monai_al.records.stored_files import as_channels, stored_channels
from monai_al.records.stored_items import StoredItems

__all__ = [
    "config_difference",
    "config_hash",
    "pool_difference",
    "pool_from_json",
    "pool_record",
    "pool_to_json",
]


def config_hash(config: Any) -> str:
    """SHA-256 of JSON-ready content, independent of the order of keys.

    Example:
        >>> config_hash({"a": 1, "b": 2}) == config_hash({"b": 2, "a": 1})
        True
    """
    return hashlib.sha256(json.dumps(config, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def config_difference(before: Any, now: Any, path: str = "") -> str:
    """The first place where two configs differ, in words.

    Example:
        >>> config_difference({"a": {"b": 1}}, {"a": {"b": 2}})
        'a#b was 1 and is now 2'
    """
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*before, *now]):
            here = f"{path}#{key}" if path else str(key)
            if key not in now:
                return f"{here} is gone (it was {before[key]!r})"
            if key not in before:
                return f"{here} is new ({now[key]!r})"
            if before[key] != now[key]:
                return config_difference(before[key], now[key], here)
    return f"{path} was {before!r} and is now {now!r}"


def pool_to_json(pool: Pool, hashes: Mapping[str, str]) -> dict[str, Any]:
    """The content of ``pool.json``. A slice axis stands there only where it is not the third one.

    Args:
        pool: all items.
        hashes: path of an image or label file -> SHA-256 of its content.

    Example:
        >>> from monai_al.records import Item
        >>> pool_to_json(Pool([Item("a", "/data/a.png", "a", "a")], root="/data"), {"/data/a.png": "e3b0"})["files"]
        {'a.png': 'e3b0'}
    """
    record = pool_record(pool, hashes)
    return record | {"items": list(record["items"])}


def pool_record(pool: Pool, hashes: Mapping[str, str]) -> dict[str, Any]:
    """:func:`pool_to_json`, with items that are made when they are asked for.

    Args:
        pool: all items.
        hashes: path of an image or label file -> SHA-256 of its content.

    Example:
        >>> from monai_al.records import Item
        >>> len(pool_record(Pool([Item("a", "a.png", "a", "a")]), {"a.png": "e3b0"})["items"])
        1
    """

    def shown(path: str | None) -> str | None:
        if path is None or pool.root is None:
            return path
        return as_channels(_below(str(part), pool.root) for part in stored_channels(path))

    wholes = pool.items.wholes
    paths = {path: shown(path) for one in wholes for path in (one.image, one.label) if path is not None}
    told = pool.items.with_wholes(
        lambda one: replace(one, image=str(paths[one.image]), label=None if one.label is None else paths[one.label])
    )
    return {
        "classes": list(pool.classes),
        "label_values": {str(k): v for k, v in pool.label_values.items()},
        **_said(pool.slice_axis),
        **({"patients_shared": True} if pool.patients_shared else {}),
        "items": StoredItems(told),
        "files": {str(name): hashes[path] for path, name in paths.items()},
    }


def _below(path: str, root: str) -> str:
    relative = os.path.relpath(path, root)
    return path if relative.startswith("..") else Path(relative).as_posix()


def _said(slice_axis: int | str) -> dict[str, int | str]:
    return {} if slice_axis == SLICE_AXIS else {"slice_axis": slice_axis}


def pool_from_json(content: Mapping[str, Any]) -> Pool:
    """The pool that :func:`pool_to_json` told; its paths are relative to wherever the data lay.

    Example:
        >>> from monai_al.records import Item
        >>> pool_from_json(pool_to_json(Pool([Item("a", "a.png", "a", "a")]), {"a.png": "e3b0"}))[0].image
        'a.png'
    """
    values = {int(value): number for value, number in content["label_values"].items()}
    axis = content.get("slice_axis", SLICE_AXIS)
    shared = content.get("patients_shared", False)
    items = StoredItems.of(content["items"]).table
    return Pool(items, content["classes"], values, slice_axis=axis, patients_shared=shared)


def pool_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """What tells two pools apart, in words; None where they are one.

    A pool is known by its items, their images, its classes and what its label values mean. Labels may come and change.

    Args:
        before: of :func:`pool_to_json`.
        now: the same.

    Example:
        >>> pool = {"classes": ["background"], "label_values": {}, "items": [], "files": {}}
        >>> pool_difference(pool, pool | {"label_values": {"1": 1}})[:31]
        "other label_values: {}, now {'1"
    """
    if all(before[key] == now[key] for key in ("classes", "label_values")) and _same_items(before, now):
        return None
    ids_before, ids = ({item["id"]: item for item in pool["items"]} for pool in (before, now))
    changed = next((i for i in [*ids, *ids_before] if (i in ids) != (i in ids_before)), None)
    if changed is not None:
        return (
            f"another pool ({len(ids_before)} items, now {len(ids)}): item {changed!r} is "
            f"{'new' if changed in ids else 'missing'}; give another output_dir"
        )
    for i, key in ((i, key) for i in ids for key in ("split", "volume", "patient", "slice", "slice_axis")):
        was, now_is = (found[i].get(key, SLICE_AXIS) for found in (ids_before, ids))
        if now_is != was:
            return f"another pool: the {key} of item {i!r} was {was!r} and is now {now_is!r}; give another output_dir"
    if list(ids) != list(ids_before):
        first = next(i for i, j in zip(ids, ids_before, strict=True) if i != j)
        return f"another order of items, from {first!r} on"
    for key in ("classes", "label_values"):
        if now[key] != before[key]:
            return (
                f"other {key}: {before[key]}, now {now[key]}; give the data set the classes and label values that it "
                "had, or give another output_dir"
            )
    changed = next((i for i in ids if _image_hash(ids[i], now) != _image_hash(ids_before[i], before)), None)
    if changed is None:
        return None
    return (
        f"other images: that of {changed!r} has changed since ({ids[changed]['image']}); restore it, or give another "
        "output_dir"
    )


def _same_items(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two large pools hold the same items of the same images in the same order; False says: look again."""
    if not all(isinstance(pool["items"], StoredItems) for pool in (before, now)):
        return False
    return all(a == b for a, b in itertools.zip_longest(_told(before), _told(now)))


def _told(pool: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    for one, number, first, id in pool["items"].table.stretches():
        yield one.volume, one.patient, one.split, one.slice_axis, pool["files"].get(one.image), number, first, id


def _image_hash(item: Mapping[str, Any], pool: Mapping[str, Any]) -> str | None:
    return pool["files"].get(item["image"])
