# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The check of all declared options of a config at once, before anything is written."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.bundle import ConfigExpression, ConfigItem, ConfigParser

from monai_al.bundle.errors import NEXT_PROBLEM, BundleConfigError
from monai_al.bundle.knobs import KNOBS
from monai_al.options import Option, is_expression, literal, options_of

__all__ = ["as_typed", "checked_options", "is_theirs", "set_option", "typed_on_the_command_line"]

_AS_TYPED = ("path", "text")
_DEVICES = "cpu, cuda, cuda:1 or mps"
_NOTHING = "$None"  # as null has to be written for MONAI's command line, which leaves out what is None
_OF_OURS = ("data", "training")  # sections whose ids mean in another bundle what that bundle says


def checked_options(
    config: Mapping[str, Any], typed: Mapping[str, str] | None = None, *, foreign: bool = False
) -> dict[str, Any]:
    """The declared options of a config whose values are to be changed into what they mean.

    Args:
        config: id -> value, unresolved.
        typed: id -> what stands on the command line for it. Paths and texts are taken from here, because MONAI's
            command line reads a folder ``2024`` as a number and drops what follows a ``#``.
        foreign: the training config is another bundle's: only options of the loop, and knobs that the loop hands on to
            any bundle, are checked.

    Returns:
        id -> the value as it is meant, for those that differ.

    Raises:
        ValueError: values that cannot be used; the message has a line for each, with what the option takes.

    Example:
        >>> checked_options({"rounds": 2, "learning_rate": "1e-4"})
        {'learning_rate': 0.0001}
        >>> checked_options({"spacing": "$None"})
        {'spacing': None}
        >>> checked_options({"rounds": 0})
        Traceback (most recent call last):
        ...
        monai_al.bundle.errors.BundleConfigError: --rounds must be a whole number of at least 1, got 0
    """
    changed, wrong = {}, []
    typed = typed or {}
    for option in options_of(config):
        value = config[option.name]
        try:
            if option.name == "device" and not isinstance(value, str):
                raise ValueError(f"--device must be {_DEVICES}, got {value!r}")
            if option.kind in _AS_TYPED and option.name in typed:
                meant = _as_typed(option, typed[option.name])
            elif foreign and is_theirs(option):
                continue
            else:
                meant = _as_written(option, value)
            if option.name == "device":
                _check_device(meant)
        except ValueError as error:
            wrong.append(str(error))
            continue
        if meant != value or type(meant) is not type(value):
            changed[option.name] = meant
    if wrong:
        raise BundleConfigError(NEXT_PROBLEM.join(wrong))
    return changed


def is_theirs(option: Option) -> bool:
    """Whether an option means in another bundle what that bundle says.

    Example:
        >>> from monai_al.options import OPTIONS
        >>> [is_theirs(OPTIONS[name]) for name in ("image_size", "batch_size", "rounds")]
        [True, False, False]
    """
    return option.section in _OF_OURS and option.name not in KNOBS


def _as_typed(option: Option, text: str) -> Any:
    """MONAI's own command line takes a text that begins with ``$``, ``@`` or ``%`` as its configs do."""
    if is_expression(text):
        return text
    meant = option.typed(text)
    return literal(meant) if isinstance(meant, str) else meant


def _as_written(option: Option, value: Any) -> Any:
    """In a config that MONAI has read, each ``#`` of a path has become ``::``."""
    meant = option.checked(None if value == _NOTHING else value)
    if option.kind == "path" and isinstance(meant, str) and "::" in meant and not is_expression(meant):
        return literal(meant.replace("::", "#"))
    return meant


def _check_device(value: Any) -> None:
    """The device is there.

    Raises:
        ValueError: it is not, or there is no such kind of device.
    """
    if not isinstance(value, str) or is_expression(value):
        return
    try:
        device = torch.device(value)
    except RuntimeError:
        raise ValueError(f"--device must be {_DEVICES}, got {value!r}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"--device {value}: torch finds no CUDA GPU here; give --device cpu, or leave it out")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"--device {value}: there are {torch.cuda.device_count()} GPUs, counted from 0")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError(f"--device {value}: torch finds no such GPU here; give --device cpu, or leave it out")


def typed_on_the_command_line(argv: Sequence[str] | None = None) -> dict[str, str]:
    """What stands for each option on MONAI's command line; nothing in a notebook, a test or a script.

    Args:
        argv: the arguments. Default: those of the process, where it is ``python -m monai.bundle``.

    Raises:
        BundleConfigError: an option stands there twice, of which MONAI would take the last.

    Example:
        >>> typed_on_the_command_line(["run", "--output_dir", "run #1", "--dataset-dir=2024", "--progress"])
        {'output_dir': 'run #1', 'dataset_dir': '2024'}
    """
    if argv is None:
        spec = getattr(sys.modules.get("__main__"), "__spec__", None)
        argv = sys.argv[1:] if spec is not None and spec.name.startswith("monai.bundle") else []
    found: dict[str, str] = {}
    seen = set()
    for word, following in zip(argv, [*argv, "--"][1:], strict=True):
        if word.startswith("--"):
            name, equals, text = word[2:].partition("=")
            name = name.replace("-", "_")
            if name in seen and name:
                raise BundleConfigError(f"--{name} is given twice: give it once")
            seen.add(name)
            if equals or not following.startswith("--"):
                found[name] = text if equals else following
    return found


def as_typed(id: str, value: str) -> str:
    """A path as it stands on MONAI's command line, where it stands there; else the value.

    Example:
        >>> as_typed("training_config", "train.yaml")
        'train.yaml'
    """
    text = typed_on_the_command_line().get(id)
    return value if text is None or is_expression(text) else text


def set_option(parser: ConfigParser, id: str, value: Any) -> None:
    """Set a top-level id of a config that is being resolved, which the parser itself would begin anew.

    Args:
        parser: of the running workflow; what refers to the id is not resolved yet.
        id: the id.
        value: a plain value or an expression.

    Example:
        >>> parser = ConfigParser({"steps": "5", "twice": "$2 * @steps"})
        >>> parser.parse()
        >>> set_option(parser, "steps", 5)
        >>> parser.get_parsed_content("twice")
        10
    """
    parser.get()[id] = value
    resolver = parser.ref_resolver
    for known in [known for known in resolver.items if known == id or known.startswith(f"{id}::")]:
        resolver.items.pop(known)
        resolver.remove_resolved_content(known)
    for number, entry in enumerate(value if isinstance(value, list) else ()):
        resolver.add_item(ConfigItem(entry, f"{id}::{number}"))
    kind = ConfigExpression if ConfigExpression.is_expression(value) else ConfigItem
    resolver.add_item(kind(value, id, **({"globals": parser.globals} if kind is ConfigExpression else {})))
