# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The options of a bundle, as ``run --help`` and ``docs/options.md`` show them."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from monai_al.options import OPTIONS, SECTIONS, Option, options_of

__all__ = ["bundle_help", "common_options", "defaults_of", "options_page"]

INNER = ("train.yaml", "pretrain.yaml")  # options of these are handed on to them
COMMON = ("rounds", "budget", "seed", "members", "steps", "epochs", "batch_size", "learning_rate", "image_size",
          "dataset_dir", "output_dir", "cache_dir", "device", "threads", "num_workers", "progress")  # fmt: skip


def bundle_help(usage: str, files: Sequence[Path]) -> str:
    """The options of a bundle's config with overlays, by section, with their defaults.

    Args:
        usage: the first line.
        files: the config and its overlays.

    Example:
        >>> from monai_al.assets import bundle_config
        >>> print(bundle_help("run NAME", [bundle_config("active_learning/inference")]).splitlines()[0])
        usage: run NAME
    """
    defaults = defaults_of(files)
    head = _comment(files[0])
    body = "\n\n".join(
        f"{title}:\n{_listed(options, defaults)}"
        for section, title in SECTIONS.items()
        if (options := [option for option in options_of(defaults) if option.section == section])
    )
    others = sorted(id for id in defaults if id not in OPTIONS and id[:1] not in "_+")
    rest = textwrap.fill(
        ", ".join(others), _width(), initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False
    )
    return (
        f"usage: {usage}\n\n{head}\n\n{body}\n\nother ids of its configs, whole or in parts "
        f"(--strategy#measure margin):\n{rest}\n"
    )


def common_options() -> str:
    """The options that every bundle has.

    Example:
        >>> common_options().splitlines()[0]
        'options of every bundle:'
    """
    return "options of every bundle:\n" + _listed([OPTIONS[name] for name in COMMON], {})


def defaults_of(files: Sequence[Path]) -> dict[str, Any]:
    """Id -> default value of a config with its overlays, and of the training configs beside it that it hands them to.

    Args:
        files: the config and its overlays; later ones win.

    Example:
        >>> from monai_al.assets import bundle_config
        >>> defaults_of([bundle_config("active_learning")])["rounds"]
        4
    """
    inner = [file for file in (files[0].parent / name for name in INNER) if file.is_file()]
    found: dict[str, Any] = {}
    for file in [*(inner if files[0].name not in INNER else ()), *files]:
        found |= yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return {id: value for id, value in found.items() if id not in ("imports", "initialize", "run", "bundle_root")}


def options_page(configs: Mapping[str, Path]) -> str:
    """The page of all options in Markdown.

    Args:
        configs: name of a bundle -> its config.

    Example:
        >>> from monai_al.assets import bundle_config
        >>> options_page({"active_learning": bundle_config("active_learning")}).splitlines()[0]
        '# Options'
    """
    defaults = {name: defaults_of([file]) for name, file in configs.items()}
    lines = [_PAGE_HEAD]
    for section, title in SECTIONS.items():
        lines += [f"\n## {title}\n", "| option | takes | default | meaning |", "|---|---|---|---|"]
        for option in OPTIONS.values():
            if option.section == section:
                cells = (f"`--{option.name}`", option.takes, _default_cell(option.name, defaults), option.help)
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


_COLUMN = 28  # of the help, where the meaning begins
_PAGE_HEAD = """# Options

<!-- written by 'make bundles' from monai_al/options/table.py; change it there -->

Every option of our bundles. `python -m monai_al run NAME --help` lists those of one bundle, with its own defaults. An
option is an id of a config: it may stand on the command line (`--rounds 3`) or in an overlay (`rounds: 3`), and either
front takes it: `python -m monai_al run active_learning --rounds 3`, or `python -m monai.bundle run --config_file
.../active_learning.yaml --rounds 3`. All values are checked before anything is written. Where bundles have different
defaults, that of `active_learning` stands first.

**What MONAI refuses by itself.** `python -m monai.bundle run` reads the command line and the config files before our
config is asked: a config file that does not exist, broken YAML, a nested id whose parent is in no config
(`--train#dataloader#num_workers 0`: the loop's config has no `train`) end in its own traceback.
`python -m monai_al run` answers each with one line, and hands nested ids to the config that declares them; with MONAI's
command the same is `--nested_overrides "{'train#dataloader#num_workers': 0}"`."""


def _default_cell(name: str, defaults: Mapping[str, Mapping[str, Any]]) -> str:
    shown = {bundle: _shown(found[name]) for bundle, found in defaults.items() if name in found}
    distinct = list(dict.fromkeys(shown.values()))
    return ", ".join(f"`{value}`" for value in distinct) if distinct else "by an overlay"


def _listed(options: Iterable[Option], defaults: Mapping[str, Any]) -> str:
    lines = []
    for option in options:
        default = f"; default: {_shown(defaults[option.name])}" if option.name in defaults else ""
        name = f"  --{option.name}  ".ljust(_COLUMN)
        text = textwrap.wrap(f"{option.help} ({option.takes}{default})", max(_width() - _COLUMN, 20))
        lines += [name + text[0], *(" " * _COLUMN + line for line in text[1:])]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "{...}" if "_target_" in value else _flow(value)
    if isinstance(value, str) and value.startswith("$"):
        return "computed"
    return _flow(value)


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("\n").removesuffix("\n...")


def _comment(file: Path) -> str:
    """What a config says of itself in its first lines."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# Written by"):
            lines.append(line.lstrip("# "))
    return textwrap.fill(" ".join(lines), _width())


def _width() -> int:
    return min(shutil.get_terminal_size().columns, 100)
