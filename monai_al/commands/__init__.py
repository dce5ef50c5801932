# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The command line: run bundles, find them and their configs, look at data sets, see how a run is doing.

Each command is a module here with its options (``add_to``) and what it does, side by side; a new one is a module like
these and its name in ``COMMANDS``. Help and ``where`` load neither torch nor MONAI: every command imports what it needs
when it is called.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from monai_al import __version__
from monai_al.failures import USER_ERROR, shown_errors

__all__ = ["COMMANDS", "main"]

COMMANDS = (
    *("init", "run", "check", "where", "datalist", "status", "annotate", "import_labels", "report", "verify"),
    "compare",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments. Default: those of the process.

    Returns:
        The exit status: 0, or that of :func:`monai_al.failures.show_failure`, which tells on stderr what went wrong.

    Raises:
        SystemExit: the arguments cannot be understood, or are ``--help``.

    Example:
        >>> main(["status", "no/such/folder"])
        2
    """
    with shown_errors():
        arguments = _parser().parse_args(argv)
    try:
        with shown_errors():
            if arguments.command != "run" and os.environ.get("WORLD_SIZE", "1") != "1" and "RANK" in os.environ:
                raise ValueError(f"{arguments.command} is done by one process: call it without torchrun")
            arguments.run(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with one line, as every other error does."""
        self.exit(USER_ERROR, f"error: {message}; '{self.prog} --help' tells more\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m monai_al",
        description="Active learning for medical image segmentation with MONAI.",
        epilog=(
            "examples:\n"
            "  python -m monai_al run active_learning               the loop on built-in data\n"
            "  python -m monai_al init scans                        an overlay for your own scans\n"
            "  python -m monai_al check their_bundle                what works with a bundle of others\n"
            "  python -m monai_al where                             list all bundles and configs\n"
            "  python -m monai_al datalist hippocampus --dataset_dir Task04_Hippocampus\n"
            "  python -m monai_al status runs/hippocampus\n"
            "  python -m monai_al annotate runs/hippocampus         draw the requested slices in napari\n"
            "  python -m monai_al import-labels runs/hippocampus\n"
            "  python -m monai_al report runs/hippocampus\n"
            "  python -m monai_al verify runs/hippocampus\n\n"
            "'python -m monai_al COMMAND --help' tells more about a command."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"monai_al {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        import_module(f"monai_al.commands.{name}").add_to(commands)
    return parser
