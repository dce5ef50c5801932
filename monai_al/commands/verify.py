# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""``verify``: whether all files of a run are as they were written."""

from __future__ import annotations

import argparse
from pathlib import Path

from monai_al.commands.parsing import add_command, existing_folder

__all__ = ["add_to", "verify"]


def add_to(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command and its options; returns its parser.

    Example:
        >>> parser = add_to(argparse.ArgumentParser().add_subparsers())
        >>> parser.parse_args(["runs/spleen"]).run_folder
        'runs/spleen'
    """
    parser = add_command(
        commands,
        "verify",
        verify,
        "say which files of a run differ from what was written, or are missing",
        "  python -m monai_al verify runs/spleen\n"
        "  python -m monai_al verify runs/table3       a comparison: all its runs\n"
        "Closed rounds are compared with their manifest.json; of the round that is still open not every change can be\n"
        "found. The exit code is 0 where all is as it was written, else 2 with one line for each file.\n",
    )
    parser.add_argument("run_folder", metavar="RUN_FOLDER", help="the output_dir of a run, or of a comparison")
    return parser


def verify(arguments: argparse.Namespace) -> None:
    """Print what was checked.

    Args:
        arguments: with ``run_folder``.

    Raises:
        ValueError: there is no run; or files are not as they were written: the message has a line for each.

    Example:
        >>> from monai_al.commands import main
        >>> main(["verify", "no/such/folder"])
        2
    """
    folder = existing_folder(arguments.run_folder)
    from monai_al.records.manifest import changed_files

    runs = _runs(folder)
    if not runs:
        raise ValueError(f"{folder} holds no run; give the output_dir of a run or of a comparison")
    lines = []
    for run in runs:
        inner = "" if run == folder else f"{run.relative_to(folder).as_posix()}/"
        changes = changed_files(run)
        lines += [f"{inner}{change}" for change in changes]
        if not changes:
            print(f"{run}: {_state(run)}")
    if lines:
        what = f"{len(lines)} {'file is' if len(lines) == 1 else 'files are'} not as they were written"
        raise ValueError(
            "\n".join([f"{folder}: {what}; restore them, or remove their round and all later ones", *lines])
        )


def _runs(folder: Path) -> list[Path]:
    """The run folders at or below a folder; one without ``run.json`` is known by its manifests."""
    found = {path.parent for path in folder.rglob("run.json")}
    found |= {path.parent.parent for path in folder.rglob("round_*/manifest.json")}
    return sorted(found)


def _state(run: Path) -> str:
    from monai_al.records.manifest import closed_rounds

    closed = closed_rounds(run)
    if not closed:
        return "no round has closed yet, so there is little to compare; nothing is wrong with what is there"
    return f"all files are as they were written, up to round {closed[-1]}"
