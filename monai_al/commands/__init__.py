# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The command line: run bundles, find them and their configs, look at data sets, see how a run is doing.

Each command is a module here with its options (``add_to``) and what it does, side by side; a new one is a module like
these and its name in ``COMMANDS``. Help and ``where`` load neither torch nor MONAI: every command imports what it needs
when it is called.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

__all__ = ["COMMANDS", "main"]

COMMANDS = ("run", "where", "datalist", "status", "report", "compare")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments. Default: those of the process.

    Returns:
        The exit code: 0, or 2 after an error, which is told on stderr without a traceback.

    Example:
        >>> main(["status", "no/such/folder"])
        2
    """
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (ValueError, OSError) as error:  # a DataError is a ValueError
        print(f"monai_al {arguments.command}: error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m monai_al",
        description="Active learning for medical image segmentation with MONAI.",
        epilog=(
            "examples:\n"
            "  python -m monai_al run active_learning               the loop on built-in data\n"
            "  python -m monai_al where                             list all bundles and configs\n"
            "  python -m monai_al datalist hippocampus --dataset_dir Task04_Hippocampus\n"
            "  python -m monai_al status runs/hippocampus\n"
            "  python -m monai_al report runs/hippocampus\n\n"
            "'python -m monai_al COMMAND --help' tells more about a command."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        import_module(f"monai_al.commands.{name}").add_to(commands)
    return parser
