# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""``report``: write an HTML page about a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from monai_al.commands.parsing import add_command, existing_folder
from monai_al.options import literal

__all__ = ["add_to", "report"]


def add_to(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command and its options; returns its parser.

    Example:
        >>> parser = add_to(argparse.ArgumentParser().add_subparsers())
        >>> parser.parse_args(["runs/spleen", "--items", "20"]).items
        20
    """
    parser = add_command(
        commands,
        "report",
        report,
        "write an HTML page about a run: learning curve, what was chosen and why, predictions beside truth",
        "  python -m monai_al report runs/spleen\n"
        "  python -m monai_al report runs/spleen --items 20 --volumes 8\n"
        "The page is RUN_FOLDER/report/index.html; it needs nothing but the pictures beside it.\n",
    )
    parser.add_argument("run_folder", metavar="RUN_FOLDER", help="the output_dir of a run, finished or not")
    parser.add_argument(
        "--items", type=int, default=8, metavar="N", help="pictures of chosen items per round (default 8; 0: none)"
    )
    parser.add_argument(
        "--volumes", type=int, default=4, metavar="N", help="test volumes shown, best to worst (default 4; 0: none)"
    )
    parser.add_argument(
        "--baseline",
        metavar="RUN",
        help="a run on the same items, whose curve is drawn, too (default: one of random queries that lies beside)",
    )
    parser.add_argument(
        "--minutes", type=float, default=5, metavar="M", help="what annotating a full slice takes, assumed (default 5)"
    )
    parser.add_argument("--dataset_dir", metavar="D", help="folder of the data set, if it has moved since the run")
    parser.add_argument("--trust", action="store_true", help="execute the config of a run that is not your own")
    return parser


def report(arguments: argparse.Namespace) -> None:
    """Write the report of a run folder and print where it is.

    Args:
        arguments: with ``run_folder`` and the options.

    Raises:
        RunFolderError: the folder has changed since it was written, or is not known and not trusted.
        ValueError: there is no run folder, no such data set, or a number is negative.

    Example:
        >>> from monai_al.commands import main
        >>> main(["report", "no/such/folder"])
        2
    """
    folder = existing_folder(arguments.run_folder)
    from monai_al.engines.run_report import write_report

    if arguments.dataset_dir and not Path(arguments.dataset_dir).expanduser().exists():
        raise ValueError(f"--dataset_dir {arguments.dataset_dir}: does not exist; give the folder of the data set")
    overrides = {"dataset_dir": literal(arguments.dataset_dir)} if arguments.dataset_dir else None
    names = ("items", "volumes", "trust", "baseline", "minutes")
    asked = {name: getattr(arguments, name) for name in names}
    print(write_report(folder, overrides=overrides, **asked))
