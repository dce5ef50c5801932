# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""``status``: how far a run is and what it waits for."""

from __future__ import annotations

import argparse

from monai_al.commands.parsing import add_command, existing_folder

__all__ = ["add_to", "status"]


def add_to(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command and its options; returns its parser.

    Example:
        >>> parser = add_to(argparse.ArgumentParser().add_subparsers())
        >>> parser.parse_args(["runs/spleen"]).run_folder
        'runs/spleen'
    """
    parser = add_command(
        commands,
        "status",
        status,
        "say how far a run is and what it waits for",
        "  python -m monai_al status runs/spleen\n",
    )
    parser.add_argument("run_folder", metavar="RUN_FOLDER", help="the output_dir of a run")
    return parser


def status(arguments: argparse.Namespace) -> None:
    """Print the state of a run folder.

    Args:
        arguments: with ``run_folder``.

    Raises:
        ValueError: there is no such folder.

    Example:
        >>> from monai_al.commands import main
        >>> main(["status", "no/such/folder"])
        2
    """
    folder = existing_folder(arguments.run_folder)
    from monai_al.report.status import describe_run

    print(describe_run(folder))
