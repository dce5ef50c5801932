# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Writes ``docs/data_license.txt`` of every bundle from ``data_sets.yaml``. ``make bundles`` calls it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

__all__ = ["data_license", "licenses"]

ROOT = Path(__file__).resolve().parents[1]
HEAD = """Third-party licenses: data

The bundle holds none of these data. Its docs tell of them, and whoever uses them is bound by their terms. Where the
bundle comes with models/model.pt, that was trained on a phantom, which a program draws, and on none of these.
"""
ENTRY = """
{number}. {name}
   {what}
   {address}
   License: {license}
   Cite: {cite}
"""


def main() -> None:
    """Write what changed, and say so."""
    for path, text in licenses(ROOT).items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")


def licenses(root: Path) -> dict[Path, str]:
    """Path and text of the file of each bundle.

    Args:
        root: the checkout.
    """
    known = yaml.safe_load((root / "bundle_sources" / "data_sets.yaml").read_text(encoding="utf-8"))
    return {
        root / "bundles" / bundle / "docs" / "data_license.txt": data_license(
            {name: known["data_sets"][name] for name in names}
        )
        for bundle, names in known["bundles"].items()
    }


def data_license(data_sets: Mapping[str, Mapping[str, str]]) -> str:
    """The text of one file: what each data set is, where it comes from, its terms, and what to cite.

    Args:
        data_sets: name -> ``what``, ``address``, ``license`` and ``cite``.

    Example:
        >>> text = data_license({"A": {"what": "MR", "address": "https://a", "license": "CC0", "cite": "B, 2020"}})
        >>> text.splitlines()[-5:]
        ['1. A', '   MR', '   https://a', '   License: CC0', '   Cite: B, 2020']
    """
    entries = enumerate(data_sets.items(), start=1)
    return HEAD + "".join(ENTRY.format(number=number, name=name, **one) for number, (name, one) in entries)


if __name__ == "__main__":
    main()
