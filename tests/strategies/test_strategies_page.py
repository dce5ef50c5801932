# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""``docs/strategies.md`` tells of every strategy of the package, and of nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from monai_al import strategies
from monai_al.strategies import Strategy

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8")
OVERLAYS = sorted(path.stem for path in (ROOT / "configs" / "strategies").glob("*.yaml"))
CLASSES = [name for name in strategies.__all__ if isinstance(getattr(strategies, name), type)]


def quoted_after(word: str) -> set[str]:
    """Names in backticks after ``**Overlay:**`` and the like, up to the end of the sentence."""
    return {
        name
        for found in re.findall(rf"\*\*{word}s?:\*\*([^.]*)\.", TEXT)
        for name in re.findall(r"`([a-z0-9_]+|[A-Z]\w+)`", found)
    }


def test_every_overlay_is_named_and_every_one_named_exists():
    rows = [line.split("|")[1] for line in TEXT.splitlines() if re.match(r"\|.*\b20\d\d \|$", line)]
    in_table = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert in_table
    named = quoted_after("Overlay") | in_table
    lacking = [f"docs/strategies.md lacks **Overlay:** `{name}`." for name in OVERLAYS if name not in named]
    assert not lacking, "\n".join(lacking)
    assert named <= set(OVERLAYS)


def test_every_class_has_a_section_and_every_section_a_class():
    known = {
        name
        for name in CLASSES
        if issubclass(getattr(strategies, name), Strategy) and not getattr(strategies, name).__abstractmethods__
    }
    told = quoted_after("Class")
    lacking = [f"docs/strategies.md lacks a section with **Class:** `{name}`." for name in sorted(known - told)]
    assert not lacking, "\n".join(lacking)
    assert told <= known
    assert len(re.findall(r"\*\*Class:\*\*", TEXT)) == len(known)


def test_every_strategy_stands_in_the_table_of_families():
    rows = [line for line in TEXT.splitlines() if line.startswith("|")]
    first = rows[: next(n for n, row in enumerate(rows) if row.startswith("| name |"))]
    linked = set(re.findall(r"\]\(#([\w-]+)\)", "".join(first)))
    sections = {part.split("\n")[0]: part for part in TEXT.split("\n## ")[1:]}
    lacking = [
        f"no row of the table at the top of docs/strategies.md links to the section {title!r}"
        for title, part in sections.items()
        if re.search(r"\*\*(Class|Overlays?):\*\*", part) and title.lower().replace(" ", "-") not in linked
    ]
    assert not lacking, "\n".join(lacking)
    assert {"random", "clasp-pe", "probcover"} <= linked


def test_links_within_the_page_lead_somewhere():
    headings = {line[3:].lower().replace(" ", "-") for line in TEXT.splitlines() if line.startswith("## ")}
    links = set(re.findall(r"\]\(#([\w-]+)\)", TEXT))
    assert links
    assert links <= headings
    assert all((ROOT / "docs" / target).is_file() for target in re.findall(r"\]\((\w+\.md)\)", TEXT))
