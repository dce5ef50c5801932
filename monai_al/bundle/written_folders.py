# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which arguments of a config's components name folders that a training writes into."""

from __future__ import annotations

import contextlib
import inspect
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from pydoc import locate
from typing import Any, NamedTuple

from ignite.handlers.checkpoint import BaseSaveHandler, Checkpoint
from monai.transforms import Transform
from torch.utils.data import Dataset

from monai_al.bundle.plain_texts import PlainTexts

__all__ = ["OUTPUT_IDS", "READING_ARGUMENTS", "written_folders"]

OUTPUT_IDS = ("output_dir", "ckpt_dir")
READING_ARGUMENTS = ("load_path", "checkpoint", "ckpt_path", "data_root_dir")
_WRITING_ARGUMENTS = ("save_dir", "log_dir", "output_dir")  # of MONAI's handlers and transforms
_CACHE_ARGUMENT, _PARTS = "cache_dir", ("train", "validate")  # of MONAI's data sets
_FOLDER_NAME = re.compile(r"(dir|dirname|directory|folder)s?$")
_FILE_END = re.compile(r"\.[A-Za-z]\w{0,7}$")


class _Argument(NamedTuple):
    """A value below the top level of a config."""

    id: str
    name: str
    of: Any  # the class or function whose argument it is; None where it is none
    value: str


def written_folders(before: PlainTexts, after: PlainTexts, folder: str | Path) -> dict[str, Any]:
    """The arguments of a config that name a folder to write into, other than a given one or what is below it.

    The arguments ``save_dir``, ``log_dir`` and ``output_dir``, as MONAI calls them, are such, also where a class has
    them by default, and the ``cache_dir`` of a data set. Of all other arguments of components the value tells: a path
    below the bundle's root, or below what its outputs are named by, that is neither a file nor below ``dataset_dir``. A
    folder that exists may be read: then only a handler's counts, and a transform's where it is an output or empty.

    Args:
        before: the config.
        after: the same, with overrides that send its outputs to the folder.
        folder: where all that is written is to go.

    Returns:
        Id -> value.

    Example:
        >>> config = {"bundle_root": "/b", "a": {"_target_": "my.Maps", "to": "$@bundle_root + '/maps'", "of": "x/y"}}
        >>> texts = PlainTexts(config)
        >>> written_folders(texts, texts, "/tmp")
        {'a::to': '/b/maps'}
    """
    arguments = list(_arguments(after.config, after))
    places = _Places.of(before, [one.value for one in arguments if _is_named(one)])
    moved = [f"@{id}" for id in OUTPUT_IDS if before.config.get(id) != after.config.get(id)]
    found = {}
    for one in (one for one in arguments if one.of is not None or _is_named(one)):
        value = after.value(one.id, default=one.value)
        if value is None and _is_named(one) and not any(id in one.value for id in moved):
            value = one.value  # who knows where that is
        if isinstance(value, (str, os.PathLike)) and (_is_named(one) or places.are_written(one, value)):
            found[one.id] = value
    return {id: value for id, value in found.items() if not _absolute(value).is_relative_to(_absolute(folder))}


# -- arguments ---------------------------------------------------------------------------------------------------------


def _arguments(
    config: Any, texts: PlainTexts, path: tuple[str, ...] = (), of: Any = None, name: str = ""
) -> Iterator[_Argument]:
    """The texts at every depth, those in a list by the name of the list; and those that a class has by default."""
    if isinstance(config, Mapping) and "_target_" in config:
        of = _located(config["_target_"], texts)
        for key, value in _defaults(of):
            if key not in config:
                yield _Argument("::".join([*path, key]), key, of, value)
    for key, value in config.items() if isinstance(config, Mapping) else enumerate(config):
        inner = str(key) if isinstance(config, Mapping) else name
        if isinstance(value, (Mapping, list)):
            yield from _arguments(value, texts, (*path, str(key)), of, inner)
        elif path and isinstance(value, str) and not inner.startswith("_") and not set("#:") & set(str(key)):
            yield _Argument("::".join([*path, str(key)]), inner, of, value)


def _located(target: Any, texts: PlainTexts) -> Any:
    """The class or function behind a target; a mere object where it is not found."""
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return locate(texts.target(target)) or object
    return object


def _defaults(of: Any) -> Iterator[tuple[str, str]]:
    with contextlib.suppress(TypeError, ValueError):
        known = inspect.signature(of).parameters
        for name in _WRITING_ARGUMENTS:
            if name in known and isinstance(known[name].default, (str, os.PathLike)):
                yield name, os.fspath(known[name].default)


def _is_named(argument: _Argument) -> bool:
    """Whether its name says that something is written there."""
    cached = argument.id.startswith(tuple(f"{part}::" for part in _PARTS)) or _is_a(argument.of, Dataset)
    return argument.name in _WRITING_ARGUMENTS or argument.name == _CACHE_ARGUMENT and cached


def _is_a(of: Any, *kinds: type) -> bool:
    return isinstance(of, type) and issubclass(of, kinds)


# -- places ------------------------------------------------------------------------------------------------------------


class _Places(NamedTuple):
    """Where a bundle lies, what its outputs are named by, and where its data are."""

    root: Path
    outputs: list[Path]
    data: Path | None

    @classmethod
    def of(cls, texts: PlainTexts, named: Sequence[str]) -> _Places:
        """Of a config with arguments that name outputs."""
        root, data = (_absolute(str(texts.value(id) or "")) for id in ("bundle_root", "dataset_dir"))
        ids = {*OUTPUT_IDS}.union(*map(texts.references, named)) - {"bundle_root", "dataset_dir"}
        values = [texts.value(id) for id in ids]
        outputs = [_absolute(value) for value in values if value and isinstance(value, (str, os.PathLike))]
        around = any(place.is_relative_to(data) for place in (root, Path.cwd()))  # then it tells nothing
        return cls(root, outputs, None if around else data)

    def are_written(self, argument: _Argument, value: str | os.PathLike) -> bool:
        """Whether the value of an argument is a folder that is written there, and not read."""
        if getattr(argument.of, "__module__", "").startswith("monai_al."):  # what lasts longer than a round stays
            return False
        text, place = os.fspath(value), _absolute(value)
        output = any(map(place.is_relative_to, self.outputs))
        if argument.name in READING_ARGUMENTS or not _is_path(argument.name, text, output=output):
            return False
        inside = output or place.is_relative_to(self.root) or not os.path.isabs(text)
        if not inside or place.is_file() or self.data is not None and place.is_relative_to(self.data):
            return False
        if not place.is_dir():
            return not _FILE_END.search(place.name)
        if hasattr(argument.of, "attach") or _is_a(argument.of, Checkpoint, BaseSaveHandler):
            return True
        return _is_a(argument.of, Transform) and (output or _is_empty(place))


def _is_path(name: str, text: str, *, output: bool) -> bool:
    """Whether a text is a path, and no name with a slash in it."""
    if not text or "://" in text:
        return False
    known = os.path.isabs(text) or text in (os.curdir, os.pardir) or text.startswith((f".{os.sep}", f"..{os.sep}"))
    return known or bool(_FOLDER_NAME.search(name)) or output and os.sep in text


def _is_empty(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return not any(folder.iterdir())
    return False


def _absolute(path: str | os.PathLike) -> Path:
    return Path(os.path.abspath(path))
