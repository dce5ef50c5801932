# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""``import-labels``: take what people returned, without training."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from monai_al.commands.parsing import add_command, existing_folder

if TYPE_CHECKING:
    from monai_al.engines.label_import import ImportedRound

__all__ = ["add_to", "import_labels"]


def add_to(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command and its options; returns its parser.

    Example:
        >>> parser = add_to(argparse.ArgumentParser().add_subparsers())
        >>> parser.parse_args(["runs/spleen", "returned", "--annotator", "Ada"]).annotator
        'Ada'
    """
    parser = add_command(
        commands,
        "import-labels",
        import_labels,
        "take the labels that people returned into a run, without training",
        "  python -m monai_al import-labels runs/spleen                     as saved where they were handed out\n"
        "  python -m monai_al import-labels runs/spleen returned_by_ada --annotator Ada\n"
        "Files are known by their folders and names. What is right is taken, the rest stays waiting, with its reason.\n"
        "The same command as before then goes on with the run.\n",
    )
    parser.add_argument("run_folder", metavar="RUN_FOLDER", help="the output_dir of a run")
    parser.add_argument("folder", metavar="FOLDER", nargs="?", help="where the files lie; else where they were made")
    parser.add_argument("--annotator", help="who returned them; else the name of the user")
    parser.add_argument("--take_extra", action="store_true", help="take slices, too, that nobody asked for")
    return parser


def import_labels(arguments: argparse.Namespace) -> None:
    """Print what was taken, what waits and why.

    Args:
        arguments: as :func:`add_to` declares them.

    Raises:
        ValueError: there is no such folder, or it is no run that has handed out work.

    Example:
        >>> from monai_al.commands import main
        >>> main(["import-labels", "no/such/folder"])
        2
    """
    run = existing_folder(arguments.run_folder)
    folder = None if arguments.folder is None else Path(arguments.folder).expanduser()
    if folder is not None and not folder.exists():
        raise ValueError(f"{folder}: no such folder; give the one in which the returned files lie")
    from monai_al.annotators.folder import user_name
    from monai_al.engines.label_import import import_labels as take

    who = arguments.annotator or user_name()
    done = take(run, who, folder=folder, take_extra=arguments.take_extra)
    print("\n".join(_told(run, who, done)))


def _told(run: Path, who: str, done: Sequence[ImportedRound]) -> list[str]:
    from monai_al.records import TEST, RunFolder, round_title
    from monai_al.report.annotations import describe_agreement

    lines = []
    for one in [one for one in done if one.taken or one.extra or one.waiting or one.problems or one.notes] or done[-1:]:
        extra = f", and {len(one.extra)} that nobody asked for" if one.extra else ""
        lines.append(
            f"{round_title(one.number)}: {len(one.taken)} taken{extra}, by {who}; {len(one.waiting)} still waiting"
        )
        lines += [f"  {id}: {why}" for id, why in one.problems.items()]
        lines += [f"  {note}" for note in one.notes]
    lines = [*dict.fromkeys(lines), *describe_agreement(run)]  # a list that cannot be read may be of any round
    if any(one.waiting for one in done if one.number != TEST):
        return [*lines, "Import again when more is in."]
    if RunFolder(run).is_done():
        return [*lines, "All rounds are done: the command that began the run goes on with a larger --rounds."]
    return [*lines, "No round is waiting: the command that began the run goes on with it."]
