# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What can be told to be wrong in records that no manifest lists yet."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Container, Iterator
from pathlib import Path
from typing import Any

from monai_al.records.errors import DataError
from monai_al.records.files import read_json
from monai_al.records.identity import config_hash
from monai_al.records.item_table import IdIndex
from monai_al.records.labels import GROUND_TRUTH, LabelReturn
from monai_al.records.pool_file import POOL_FILE, STRETCHES_FILE, read_pool
from monai_al.records.pseudo_labels import PSEUDO_LABELS, read_pseudo_labels
from monai_al.records.query import Query
from monai_al.records.stored_items import StoredItems

__all__ = ["doubts"]

Doubt = tuple[str, str, int | None]  # the file's path from the run folder, what is wrong, and the round


def doubts(folder: Path, *, since: int, known: Collection[str] = ()) -> Iterator[Doubt]:
    """Files that contradict what the rest of the run says, or themselves.

    ``run.json`` holds the hash of its config; a query names items of the pool, each once and in one round, as many as
    were asked for; a return of labels names items of its query, or says of others that nobody asked for them, and files
    that are there; so do pseudo labels, of items that were not asked for; the parts of a file of weights have
    checksums.

    Args:
        folder: the run folder.
        since: the first round whose weights are checked.
        known: paths from the run folder that are known to be as they were written.

    Yields:
        The file's path from the run folder, what is wrong, and its round; None for the whole run.

    Example:
        >>> list(doubts(Path("no/run"), since=0))
        []
    """
    run, pool = _content(folder / "run.json"), _content(folder / POOL_FILE)
    if isinstance(pool, dict) and isinstance(pool.get("items"), str):
        try:
            pool = read_pool(folder)
        except (OSError, ValueError) as error:
            gone = isinstance(error, FileNotFoundError)
            yield STRETCHES_FILE, "is missing" if gone else f"is damaged ({str(error).partition('; ')[0]})", None
            pool = {"items": None}
    for name, content in (("run.json", run), ("pool.json", pool)):
        if isinstance(content, str):
            yield name, content, None
    if pool is None and run is not None and any(folder.glob("round_*")):
        yield "pool.json", "is missing", None
    if isinstance(pool, dict) and pool.get("items", ()) is not None and _ids(pool) is None:
        yield "pool.json", "names no items", None
    if isinstance(run, dict) and "config_hash" in run and run["config_hash"] != config_hash(run.get("config")):
        yield "run.json", "holds another config than the one it was written with", None
    yield from _of_rounds(folder, since, known, pool, _sizes(folder))


def _content(path: Path) -> Any:
    """What a JSON file holds, None where there is none, or a sentence where it cannot be read."""
    if not path.is_file():
        return None
    try:
        content = read_json(path)
    except ValueError:
        return "is not valid JSON"
    return content if isinstance(content, dict) else "holds no JSON object"


def _ids(pool: Any) -> Container[str] | None:
    """Ids of the items that may be annotated."""
    try:
        items = pool["items"]
        if not isinstance(items, StoredItems):
            return {item["id"] for item in items if item["split"] == "train"}
        return IdIndex(items.table.take(items.table.where(lambda whole: whole.split == "train")))
    except (KeyError, TypeError, ValueError):
        return None


def _sizes(folder: Path) -> list[int]:
    extensions = sorted(folder.glob("extension_*.json"))
    content = _content(extensions[-1] if extensions else folder / "run.json")
    sizes = content.get("sizes") if isinstance(content, dict) else None
    return sizes if isinstance(sizes, list) else []


def _of_rounds(folder: Path, since: int, known: Collection[str], pool: Any, sizes: list[int]) -> Iterator[Doubt]:
    ids = _ids(pool)
    asked: dict[str, int] = {}
    places = (path for path in folder.glob("round_*") if path.name[len("round_") :].isdecimal())
    for number, place in sorted((int(path.name[len("round_") :]), path) for path in places):
        query, name = _query(place), f"{place.name}/query.json"
        if query is None and any(place.glob("labels/*.json")):
            yield name, "is missing", number
        if isinstance(query, str):
            yield name, query, number
        elif query is not None:
            if name not in known:
                wrong = _wrong_query(query, ids, asked, sizes[number] if number < len(sizes) else None)
                if wrong is not None:
                    yield name, wrong, number
            asked |= dict.fromkeys(query.ids, number)
        name = f"{place.name}/{PSEUDO_LABELS}"
        wrong = None if name in known else _wrong_pseudo_labels(place, ids, asked)
        if wrong is not None:
            yield name, wrong, number
        for path in sorted((place / "labels").glob("[0-9]*.json")):
            name = f"{place.name}/labels/{path.name}"
            wrong = None if name in known else _wrong_return(path, query if isinstance(query, Query) else None, ids)
            if wrong is not None:
                yield name, wrong, number
        for path in sorted(place.glob("model_*.pt")) if number >= since else ():
            if _is_damaged(path):
                yield f"{place.name}/{path.name}", "is damaged", number


def _query(place: Path) -> Query | str | None:
    content = _content(place / "query.json")
    if content is None or isinstance(content, str):
        return content
    try:
        return Query.from_json(content)
    except (KeyError, TypeError, ValueError) as error:
        return f"is no query ({error})"


def _wrong_query(query: Query, ids: Container[str] | None, asked: dict[str, int], size: int | None) -> str | None:
    seen: set[str] = set()
    for id in query.ids:
        if ids is not None and id not in ids:
            return f"names {id!r}, which is no item of the pool that may be annotated"
        if id in asked or id in seen:
            return f"names {id!r} again, which " + (
                "it names already" if id in seen else f"round {asked[id]} asked for"
            )
        seen.add(id)
    if size is not None and len(query.ids) != size:
        return f"names {len(query.ids)} items, though {size} were asked for"
    return None


def _wrong_return(path: Path, query: Query | None, ids: Container[str] | None) -> str | None:
    content = _content(path)
    try:
        if not isinstance(content, dict):
            raise ValueError(content)
        found = LabelReturn.from_json(content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return f"is no record of labels ({error})"
    answered = (*(label.id for label in found.labels), *found.refused)
    stranger = next((id for id in answered if query and id not in query.ids and id not in found.extra), None)
    if stranger is not None:
        return f"answers {stranger!r}, which the query of its round does not name"
    stranger = next((id for id in found.extra if ids is not None and id not in ids), None)
    if stranger is not None:
        return f"labels {stranger!r}, which is no item of the pool that may be annotated"
    filed = (path.parent.parent / one.where for one in found.labels if one.where != GROUND_TRUTH)
    gone = next((place for place in filed if not place.exists()), None)
    return None if gone is None else f"names {gone.name}, which is missing"


def _wrong_pseudo_labels(place: Path, ids: Container[str] | None, asked: dict[str, int]) -> str | None:
    try:
        labels = read_pseudo_labels(place)
    except DataError as error:
        return str(error).partition(f"{PSEUDO_LABELS} ")[2].partition("; ")[0]
    for label in labels:
        if ids is not None and label.id not in ids:
            return f"labels {label.id!r}, which is no item of the pool that may be annotated"
        if label.id in asked:
            return f"labels {label.id!r}, which round {asked[label.id]} asked for"
        if not Path(label.where).exists():
            return f"names {Path(label.where).name}, which is missing"
    return None


def _is_damaged(path: Path) -> bool:
    """Whether a file of weights, which is a zip archive, breaks its own checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is not None
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError):
        return True
