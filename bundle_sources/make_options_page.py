# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Writes ``docs/options.md`` from the declared options and the bundles' defaults. ``make bundles`` calls it."""

from __future__ import annotations

from pathlib import Path

from monai_al.commands.run_help import options_page

__all__ = ["page_and_text"]

ROOT = Path(__file__).resolve().parents[1]
FIRST = "active_learning"


def page_and_text(root: Path) -> tuple[Path, str]:
    """The page's path and what it is to hold.

    Args:
        root: the checkout.
    """
    names = sorted((path.name for path in (root / "bundles").iterdir()), key=lambda name: (name != FIRST, name))
    configs = {name: root / "bundles" / name / "configs" / "active_learning.yaml" for name in names}
    return root / "docs" / "options.md", options_page(configs)


if __name__ == "__main__":
    page, text = page_and_text(ROOT)
    if not page.is_file() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")
        print(f"wrote {page.relative_to(ROOT)}")
