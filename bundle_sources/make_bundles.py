# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Writes what the bundles share: the configs of ``bundles/active_learning`` with each bundle's differences laid over.

``make bundles`` calls it; README.md beside it says how the differences are written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

__all__ = ["lay_over", "patched", "used_alone", "written_files"]

ROOT = Path(__file__).resolve().parents[1]
BASE = "bundles/active_learning"
TRAIN = "train.yaml"
PRETRAIN, TRAIN_WEAK = "pretrain.yaml", "train_weak.yaml"
OVER_TRAIN = {PRETRAIN: "configs/training/restoration.yaml", TRAIN_WEAK: "configs/training/weak_supervision.yaml"}
SOURCES = "bundle_sources"
SUFFIXES = (".conf", ".json", ".yaml")
ROOTS = {  # of a training config: what MONAI or a loop reads of it by name
    "bundle_root", "ckpt_dir", "encoder_embedding", "imports", "initialize", "network_def", "output_dir", "run",
    "train", "validate",
}  # fmt: skip
REFERENCE = re.compile(r"@(\w+)")
KEY = re.compile(r"([^\s#-].*?):(\s|$)")


@dataclass(frozen=True)
class Block:
    """A top-level key of a YAML text: the blank and comment lines before it, and all lines up to the next key's."""

    key: str
    lead: str
    body: str


def main() -> None:
    """Write what changed, and say so."""
    for path, text in written_files(ROOT).items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")


def written_files(root: Path) -> dict[Path, str]:
    """Path and text of every file that is written, for all bundles with a folder in ``bundle_sources``.

    Args:
        root: the checkout.

    Raises:
        ValueError: a file of differences that fits no config of the base.
    """
    base, found = root / BASE, {}
    configs = {path.name: path.read_text(encoding="utf-8") for path in _configs(base / "configs")}
    for source in sorted(path for path in (root / SOURCES).iterdir() if path.is_dir() and path.name[0] not in "._"):
        differences = {path.name: path.read_text(encoding="utf-8") for path in _configs(source)}
        for name in differences:
            if name not in {*configs, *OVER_TRAIN} or name.endswith(".conf"):
                raise ValueError(f"{source / name}: {BASE}/configs holds no YAML or JSON file {name} to lay it over")
        bundle = root / "bundles" / source.name
        found[bundle / "LICENSE"] = (base / "LICENSE").read_text(encoding="utf-8")
        for name, text in configs.items():
            found[bundle / "configs" / name] = _written(text, differences.get(name, ""), name, source.name)
        for name, overlay in OVER_TRAIN.items():
            if name in differences:
                text = lay_over(
                    found[bundle / "configs" / TRAIN], (root / overlay).read_text(encoding="utf-8"), overlay
                )
                text = lay_over(text, differences[name], f"{SOURCES}/{source.name}/{name}")
                text = used_alone(text) if name == PRETRAIN else text
                sources = f"{TRAIN}, {overlay} and {SOURCES}/{source.name}"
                found[bundle / "configs" / name] = (
                    f"# Written by 'make bundles' from {sources}; change it there.\n{text}"
                )
    return found


def _configs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and not path.name.startswith("."))


def _written(base: str, over: str, name: str, bundle: str) -> str:
    if name.endswith(".json"):
        return json.dumps(patched(json.loads(base), json.loads(over or "{}")), indent=4, ensure_ascii=False) + "\n"
    head = f"# Written by 'make bundles' from {BASE} and {SOURCES}/{bundle}; change it there.\n"
    return head + (lay_over(base, over, f"{SOURCES}/{bundle}/{name}") if name.endswith(".yaml") else base)


def lay_over(base: str, over: str, name: str = "differences") -> str:
    r"""A YAML text with the top-level keys of another one, comments included.

    A key that the base has is replaced where it stands; a new one follows the key before it; the entries of ``+key``
    are added to a list that the base has. The lines before the first key are the head of the file. Comments of the base
    stay where the other text has none: the lines before a key, and, where both are a single line, the comment at its
    end.

    Args:
        base: the whole text.
        over: what differs.
        name: what errors call the second text.

    Raises:
        ValueError: the second text begins with a key that the base does not have, holds one twice, or none.

    Example:
        >>> print(lay_over("a: 1 # one\nb: 2\n", "a: 3\nnew: 4 # after a\n"), end="")
        a: 3 # one
        new: 4 # after a
        b: 2
    """
    head, blocks = _split(base)
    other_head, others = _split(over if over.endswith("\n") or not over else f"{over}\n")
    keys = [block.key for block in others]
    if len(set(keys)) < len(keys) or (over.strip() and not keys):
        raise ValueError(f"{name}: should hold top-level keys, each once, got {', '.join(keys) or 'none'}")
    before = None
    for block in others:
        keys = [block.key for block in blocks]
        if block.key[0] == "+" and block.key[1:] in keys:
            at = keys.index(block.key[1:])
            blocks[at] = replace(blocks[at], body=blocks[at].body + block.body.partition("\n")[2])
            continue
        if block.key in keys:
            blocks[keys.index(block.key)] = _merged(blocks[keys.index(block.key)], block)
        elif before is None:
            raise ValueError(f"{name}: the base has no {block.key}; put it after the key that it is to follow")
        else:
            blocks.insert(keys.index(before) + 1, block)
        before = block.key
    return (other_head or head) + "".join(block.lead + block.body for block in blocks)


def used_alone(text: str) -> str:
    r"""A YAML text without the top-level keys that nothing in it needs when it runs as a training config.

    Args:
        text: the whole text.

    Example:
        >>> print(used_alone("# A config.\nsteps: 3\nepochs: 4\nrun: $@train.run(@epochs)\ntrain: 5\n"), end="")
        # A config.
        epochs: 4
        run: $@train.run(@epochs)
        train: 5
    """
    head, blocks = _split(text)
    used, waiting = set(), ROOTS & {block.key for block in blocks}
    while waiting:
        used |= waiting
        waiting = {id for block in blocks if block.key in waiting for id in REFERENCE.findall(block.body)} - used
    return head + "".join(block.lead + block.body for block in blocks if block.key in used)


def patched(base: Any, patch: Any) -> Any:
    """JSON with the changes of a merge patch (RFC 7386): mappings are merged, null takes a key away.

    Example:
        >>> patched({"a": {"b": 1, "c": 2}}, {"a": {"b": None, "d": [3]}})
        {'a': {'c': 2, 'd': [3]}}
    """
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(base) if isinstance(base, Mapping) else {}
    merged |= {key: patched(merged.get(key), value) for key, value in patch.items()}
    return {key: value for key, value in merged.items() if value is not None or key not in patch}


def _split(text: str) -> tuple[str, list[Block]]:
    """The head of a YAML text, and its blocks."""
    head, lead, blocks = "", "", []
    for line in text.splitlines(keepends=True):
        if KEY.match(line):
            head, lead = (head, lead) if blocks else (lead, "")
            blocks.append(Block(KEY.match(line)[1], lead, line))
            lead = ""
        elif not blocks or not line.strip() or line.startswith("#"):
            lead += line
        else:
            blocks[-1] = replace(blocks[-1], body=blocks[-1].body + lead + line)
            lead = ""
    if blocks:
        blocks[-1] = replace(blocks[-1], body=blocks[-1].body + lead)
    return head, blocks


def _merged(base: Block, over: Block) -> Block:
    """The second block, with the comments of the first where it has none."""
    comment, body = re.search(" # .*$", base.body), over.body
    if comment and base.body.count("\n") == over.body.count("\n") == 1 and " # " not in body:
        body = f"{body.rstrip()}{comment[0]}\n"
    return replace(over, body=body, lead=over.lead if over.lead.strip() else base.lead)


if __name__ == "__main__":
    main()
