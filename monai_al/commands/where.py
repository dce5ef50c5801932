# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""``where``: the path of a bundle or a config overlay, or the names of all of them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from monai_al.assets import asset_folders, asset_names, find_asset
from monai_al.commands.parsing import add_command

__all__ = ["add_to", "print_where"]


def add_to(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command and its options; returns its parser.

    Example:
        >>> parser = add_to(argparse.ArgumentParser().add_subparsers())
        >>> parser.parse_args(["strategies/entropy"]).name
        'strategies/entropy'
    """
    parser = add_command(
        commands,
        "where",
        print_where,
        "print the path of a bundle or a config overlay, or list all of them",
        "  python -m monai_al where\n"
        "  python -m monai_al where active_learning\n"
        "  python -m monai_al where datasets/hippocampus\n"
        "  python -m monai.bundle run --config_file \\\n"
        '    "$(python -m monai_al where active_learning)/configs/active_learning.yaml"\n',
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="such as strategies/entropy; left out: list everything")
    return parser


def print_where(arguments: argparse.Namespace, folders: Mapping[str, Path] | None = None) -> None:
    """Print the path of what ``arguments.name`` names, or all names.

    Args:
        arguments: with ``name``, a string or None.
        folders: kind -> folder. Default: :func:`asset_folders`.

    Raises:
        ValueError: nothing has this name; the message gives close matches.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     Path(root, "my_bundle").mkdir()
        ...     print_where(argparse.Namespace(name=None), {"bundles": Path(root)})
        bundles:
          my_bundle
    """
    folders = asset_folders() if folders is None else folders
    if arguments.name is not None:
        print(find_asset(arguments.name, folders))
        return
    for kind, folder in folders.items():
        print(f"{kind}:")
        for name in asset_names(kind, folder):
            print(f"  {name}")
