# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""``run``: a bundle by its name, with overlays and options; what follows is MONAI's ``run``."""

from __future__ import annotations

import argparse
import logging
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_al.assets import bundle_config, find_overlay
from monai_al.options import OPTIONS, is_expression, literal, literals_in

__all__ = ["add_to", "as_monai_takes", "config_values", "merged_config", "run_bundle", "words_and_options"]

_OF_THE_COMMAND = {  # options of MONAI's run that this command gives
    "config_file": "give the config as NAME, and what is laid over it as OVERLAY",
    "workflow_type": "the config decides it",
    "workflow_name": "it is MONAI's ConfigWorkflow",
}
_OF_MONAI = {"properties_path"}  # ids of ours that MONAI's workflow takes for itself, unless a level stands before them
_PLAIN = {"true": True, "false": False, "null": None}  # as a config has them; for MONAI's command line they are texts
_NOTHING = "$None"  # MONAI's run leaves out what is None, and the config would keep its own value
EXAMPLES = """examples:
  python -m monai_al run active_learning
  python -m monai_al run active_learning hippocampus entropy --dataset_dir Task04_Hippocampus --output_dir runs/entropy
  python -m monai_al run stochastic_batches_prostate paper promise12 --dataset_dir PROMISE12
  python -m monai_al run active_learning/inference --run_dir runs/entropy --dataset_dir scans
  python -m monai_al run active_learning --help        the options of this bundle, with their defaults
"""
USAGE = "python -m monai_al run NAME [OVERLAY ...] [--OPTION VALUE ...]"
ABOUT = """Run a bundle, and go on with a run that was stopped.

NAME is a bundle (its active_learning.yaml), BUNDLE/CONFIG, or the path of a config. An OVERLAY is laid over it: one of
configs/ by its name (hippocampus, entropy, tracking/mlflow), one of the bundle (paper), or a path. 'python -m monai_al
where' lists all names. An OPTION is an id of the configs; --train#dataloader#num_workers 2 names a nested one."""


def add_to(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command; its options are those of the bundle, so all words are kept for :func:`run_bundle`.

    Example:
        >>> parser = add_to(argparse.ArgumentParser().add_subparsers())
        >>> parser.parse_args(["active_learning", "entropy", "--rounds", "3"]).words
        ['active_learning', 'entropy', '--rounds', '3']
    """
    parser = commands.add_parser("run", help="run a bundle by its name", add_help=False, prefix_chars="\n")
    parser.add_argument("words", nargs="*")
    parser.set_defaults(run=run_bundle)
    return parser


def run_bundle(arguments: argparse.Namespace) -> None:
    """Run the bundle that the words name.

    Raises:
        ValueError: nothing has such a name, or an option cannot be read.

    Example:
        >>> run_bundle(argparse.Namespace(words=["active_lerning"]))
        Traceback (most recent call last):
        ...
        ValueError: no bundle is called 'active_lerning'; did you mean active_learning?
    """
    names, typed = words_and_options(arguments.words)
    wants_help = "help" in typed or "-h" in names
    names = [name for name in names if name != "-h"]
    if not names:
        if not wants_help:
            raise ValueError(f"name a bundle: {USAGE}; 'python -m monai_al where' lists them")
        print(_general_help())
        return
    config = bundle_config(names[0])
    files = [config, *(find_overlay(name, config.parent) for name in names[1:])]
    if wants_help:
        from monai_al.commands.run_help import bundle_help

        print(bundle_help(USAGE, files))
        return
    read = merged_config(files)
    from monai_al.bundle.foreign_training import is_foreign

    named = typed.get("training_config") or read.get("training_config")
    _run(files, config_values(typed, read, foreign=is_foreign(config, named)))


def words_and_options(words: Sequence[str]) -> tuple[list[str], dict[str, str | None]]:
    """Names, and option -> its text; None where an option stands without a value.

    Raises:
        ValueError: an option is given twice, is no option, or the shell tore a list apart.

    Example:
        >>> words_and_options(["active_learning", "--rounds", "2", "entropy", "--progress"])
        (['active_learning', 'entropy'], {'rounds': '2', 'progress': None})
    """
    names: list[str] = []
    typed: dict[str, str | None] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or word == "--":
            if word.endswith("]") and typed:
                raise ValueError(f'{word!r} stands alone: put a list into quotes, such as --image_size "[64, 64]"')
            if word[:1] == "-" and word not in ("-h", "-", "--") or re.match(r"\w+=", word):
                option, _, text = word.lstrip("-").partition("=")
                raise ValueError(f"{word!r}: write an option as --{option} {text or 'VALUE'}")
            names.append(word)
            continue
        option, equals, text = word[2:].partition("=")
        head, *inner = option.replace("::", "#").split("#")
        option = "#".join([head.replace("-", "_"), *inner])
        if option in _OF_THE_COMMAND:
            raise ValueError(f"--{option} is no option here: {_OF_THE_COMMAND[option]}")
        if option in typed:
            raise ValueError(f"--{option} is given twice: give it once")
        typed[option] = text if equals else None if not rest or rest[0].startswith("--") else rest.pop(0)
    return names, typed | _first_and_overlays(typed)


def _first_and_overlays(typed: Mapping[str, str | None]) -> dict[str, str | None]:
    """A list of training configs, as MONAI takes one, as the first of them and what is laid over it."""
    text = (typed.get("training_config") or "").strip()
    if not text.startswith("["):
        return {}
    try:
        first, *others = map(str, OPTIONS["train_overlays"].typed(text))
    except ValueError:
        known = "a path, or a list of some such as \"['a.json','b.json']\""
        raise ValueError(f"--training_config must be {known}, got {text}") from None
    given = typed.get("train_overlays")
    more = [] if given is None else OPTIONS["train_overlays"].typed(given)
    return {"training_config": first, "train_overlays": repr([*others, *more])}


def config_values(
    typed: Mapping[str, str | None], config: Mapping[str, Any], *, foreign: bool = False
) -> dict[str, Any]:
    """What MONAI gets for the typed options: id -> value.

    Args:
        typed: option -> its text, None where it stands alone, which switches it on.
        config: the merged config files, unresolved. Nested ids that are not in it are handed to the training config.
        foreign: the training config is another bundle's, which says itself what its options take.

    Raises:
        ValueError: texts that are no values of their options; the message has a line for each.

    Example:
        >>> config_values({"rounds": "3", "train#dataloader#num_workers": "2"}, {"nested_overrides": {}})
        {'rounds': 3, 'nested_overrides': {'train#dataloader#num_workers': 2}}
    """
    values: dict[str, Any] = {}
    nested: dict[str, Any] = {}
    wrong = []
    for id, text in typed.items():
        try:
            value = _value(id, text, foreign)
            _check_parent(id, config)
        except ValueError as error:
            wrong.append(str(error))
            continue
        if "#" in id and id.split("#")[0] not in config and "nested_overrides" in config:
            nested[id] = value
        else:
            values[id] = value
    if wrong:
        raise ValueError("\n       ".join(wrong))
    if nested:
        values["nested_overrides"] = (values.get("nested_overrides", config["nested_overrides"]) or {}) | nested
    return values


def _value(id: str, text: str | None, foreign: bool) -> Any:
    if id == "config_file":
        raise ValueError(f"--config_file: name the configs without it: {USAGE}")
    if foreign and id in OPTIONS and OPTIONS[id].kind not in ("text", "path"):
        from monai_al.bundle.option_checks import is_theirs

        if is_theirs(OPTIONS[id]):
            return True if text is None else _undeclared(text)
    if text is None:
        if id in OPTIONS and OPTIONS[id].kind != "flag":
            raise ValueError(f"--{id} needs a value: {OPTIONS[id].takes}")
        return True
    if id not in OPTIONS:
        return _undeclared(text)
    option = OPTIONS[id]
    value = option.typed(text)
    if option.kind in ("text", "path") and isinstance(value, str):
        return literal(value)
    return value


def _undeclared(text: str) -> Any:
    """What MONAI's command line reads in a text, without its taking what follows a ``#`` for a comment."""
    from fire.parser import DefaultParseValue

    if text.lower() in _PLAIN:
        return _PLAIN[text.lower()]
    if is_expression(text):
        return text
    return literals_in(text if "#" in text and text[0] not in "[{('\"" else DefaultParseValue(text))


def _check_parent(id: str, config: Mapping[str, Any]) -> None:
    """Refuse a nested id whose parent has no parts.

    Raises:
        ValueError: it stands below a plain value, an expression or a reference.
    """
    part: Any = config
    path: list[str] = []
    for key in id.split("#"):
        known = isinstance(part, Mapping) and key in part or isinstance(part, list) and key.isdigit()
        if path and not isinstance(part, (Mapping, list)) or isinstance(part, list) and not known:
            parent = "#".join(path)
            raise ValueError(
                f"--{id}: {parent} is {part!r}, which has no part {key!r}; give --{parent} as a whole, or lay an "
                "overlay that sets it over it"
            )
        if not known or isinstance(part, list) and int(key) >= len(part):
            return
        part = part[key] if isinstance(part, Mapping) else part[int(key)]
        path.append(key)


def merged_config(files: Sequence[Path]) -> dict[str, Any]:
    """The merged config.

    Args:
        files: a config that runs something, and its overlays.

    Raises:
        ValueError: a file is no config or no overlay, or there is nothing in them that runs.

    Example:
        >>> merged_config([bundle_config("active_learning")])["rounds"]
        4
    """
    from monai_al.bundle.config_files import check_overlays, read_config, values_of

    check_overlays(files)
    whole = [file for file in files[1:] if file.parent == files[0].parent and "run" in values_of(file)]
    if whole:
        raise ValueError(f"{whole[0].stem!r} is no overlay, but a config of its own: run {whole[0]}")
    config = read_config(files)
    if "run" not in config:
        raise ValueError(f"{files[0]}: there is nothing to run in it, no id 'run'; name a bundle first: {USAGE}")
    return config


def as_monai_takes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Options for MONAI's workflow, which leaves out those that are None, and keeps some for itself.

    Example:
        >>> as_monai_takes({"rounds": 2, "threads": None, "properties_path": "mine.json"})
        {'rounds': 2, 'threads': '$None', '::properties_path': 'mine.json'}
    """
    names = {id: f"::{id}" if id in _OF_MONAI else id for id in values}
    return {names[id]: _NOTHING if value is None else value for id, value in values.items()}


def _run(files: Sequence[Path], values: Mapping[str, Any]) -> None:
    """MONAI's ``run``, without what it says before the bundle begins."""
    from monai.bundle import run

    logging.getLogger("monai.bundle").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message="parsing config_file")
    for name in ("monai.bundle.scripts", "monai.bundle.workflows", "py.warnings"):
        logging.getLogger(name).setLevel(logging.ERROR)
    run(config_file=[str(file) for file in files], **as_monai_takes(values))


def _general_help() -> str:
    from monai_al.commands.run_help import common_options

    return f"usage: {USAGE}\n\n{ABOUT}\n\n{common_options()}\n\n{EXAMPLES}"
