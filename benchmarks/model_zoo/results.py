# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Results as lines of JSON, one for each bundle and step, and a table of them for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo_bundles import ZooBundle

COLUMNS = ("bundle", "version", "what it is", "result", "options")


def read_lines(file: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """(bundle, step) -> the last line of it; a line that was cut off in writing counts as none."""
    found = {}
    for text in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        found[line["bundle"], line["step"]] = line
    return found


def add_line(file: Path, line: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = not file.is_file() or file.read_bytes()[-1:] in (b"", b"\n")
    with file.open("a", encoding="utf-8") as out:
        out.write(("" if whole else "\n") + json.dumps(line) + "\n")


def table(lines: Mapping[tuple[str, str], Mapping[str, Any]], bundles: Mapping[str, ZooBundle]) -> str:
    """A Markdown table with a row for each bundle that has a line."""
    rows = [list(COLUMNS), ["---"] * len(COLUMNS)]
    for name, bundle in bundles.items():
        of = {step: line for (other, step), line in lines.items() if other == name}
        if of:
            version = next(iter(of.values()))["version"]
            rows.append([name, version, described(bundle), result(of), options(bundle.options)])
    return "\n".join(f"| {' | '.join(cell(text) for text in row)} |" for row in rows) + "\n"


def described(bundle: ZooBundle) -> str:
    needs = f"; needs {', '.join(bundle.packages)}" if bundle.packages else ""
    repairs = f"; repaired by {options(bundle.repairs)}" if bundle.repairs else ""
    return bundle.what + needs + (f"; with {bundle.stand_in}" if bundle.stand_in else "") + repairs


def result(of: Mapping[str, Mapping[str, Any]]) -> str:
    """How the active learner ended, unless the bundle fails by itself, too.

    Args:
        of: step -> its line.
    """
    alone, repaired, active = (of.get(step, {}) for step in ("alone", "repaired", "active"))
    fails = "" if alone.get("ok", True) else ended(alone)
    if active.get("ok"):
        return ended(active) + (f"; unrepaired it {fails}" if fails and repaired.get("ok") else "")
    if fails and not repaired.get("ok"):
        return fails
    return ended(active or repaired or alone)


def ended(line: Mapping[str, Any]) -> str:
    """How one step ended."""
    active = line["step"] == "active"
    if "status" not in line:  # nothing was run
        return line["reason"]
    if not line["ok"]:
        return f"{'refused' if active else 'fails by itself'}: {line['reason']}"
    if not active:
        return "runs by itself"
    own = f" (its own validation: {arrows(line['own_dice'])})" if line["own_dice"] else ""
    return f"{len(line['dice'])} rounds, Dice {arrows(line['dice'])}{own}"


def arrows(values: Sequence[float | None]) -> str:
    return " -> ".join("–" if value is None else f"{value:.3f}" for value in values)


def options(given: Mapping[str, Any]) -> str:
    return ", ".join(f"`{id} {value}`" for id, value in given.items())


def cell(text: str, longest: int = 600) -> str:
    flat = " ".join(text.replace("|", "\\|").split())
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"


def missing(
    names: Iterable[str],
    steps: Sequence[str],
    lines: Mapping[tuple[str, str], Any],
    bundles: Mapping[str, ZooBundle],
    again: bool,
) -> list[tuple[str, str]]:
    """The bundles and steps that have no line yet, or all of them; only those with repairs run repaired."""
    wanted = [(name, step) for step in steps for name in names if step != "repaired" or bundles[name].repairs]
    return [one for one in wanted if again or one not in lines]
