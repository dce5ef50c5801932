# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""``annotate``: draw the requested slices in napari."""

from __future__ import annotations

import argparse

from monai_al.commands.parsing import add_command, existing_folder

__all__ = ["add_to", "annotate"]


def add_to(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command and its options; returns its parser.

    Example:
        >>> parser = add_to(argparse.ArgumentParser().add_subparsers())
        >>> parser.parse_args(["runs/spleen", "--annotator", "Ada", "--round", "test"]).round
        -1
    """
    parser = add_command(
        commands,
        "annotate",
        annotate,
        "draw the slices that a run asks for, in napari",
        "  python -m monai_al annotate runs/spleen\n"
        "  python -m monai_al annotate runs/spleen --annotator Ada\n"
        "  python -m monai_al annotate runs/spleen --round 0        look at, or correct, what was annotated there\n"
        "It needs napari: pip install 'monai_al[napari]'. What is drawn is kept every two seconds; a slice comes into\n"
        "the run when it is called done or empty. The command that began the run then goes on with it.\n",
    )
    parser.add_argument("run_folder", metavar="RUN_FOLDER", help="the output_dir of a run with annotators/folder")
    parser.add_argument("--annotator", help="who draws; else the name of the user")
    parser.add_argument(
        "--round",
        type=_round,
        metavar="N",
        help="which round, or 'test'; else the last one in which slices are waiting",
    )
    return parser


def annotate(arguments: argparse.Namespace) -> None:
    """Open the work in napari; print how far it is when the window is closed.

    Args:
        arguments: as :func:`add_to` declares them.

    Raises:
        ValueError: there is no such folder, it is no run that has handed out work, or napari or a display is missing.

    Example:
        >>> from monai_al.commands import main
        >>> main(["annotate", "no/such/folder"])
        2
    """
    run = existing_folder(arguments.run_folder)
    from monai_al.annotators.folder import user_name
    from monai_al.integrations.napari_app import annotate_in_napari, check_display
    from monai_al.integrations.work_desk import WorkDesk
    from monai_al.integrations.work_rounds import round_to_annotate

    number = round_to_annotate(run, arguments.round)
    check_display()
    print("\n".join(annotate_in_napari(WorkDesk(run, number, arguments.annotator or user_name()))))


def _round(text: str) -> int:
    from monai_al.records import TEST

    if text == "test":
        return TEST
    if text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no round: give a number, or 'test'")
