# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the commands share in reading their arguments."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable
from pathlib import Path

__all__ = ["add_command", "existing_folder", "label_values"]


def add_command(
    commands: argparse._SubParsersAction,
    name: str,
    run: Callable[[argparse.Namespace], None],
    summary: str,
    examples: str,
) -> argparse.ArgumentParser:
    """Add a command to the parser's commands; its options come after.

    Args:
        commands: what ``add_subparsers`` returns.
        name: what is typed.
        run: called with the arguments; what it raises is told by :func:`monai_al.failures.show_failure`.
        summary: what the command does, beginning in lower case and without a full stop.
        examples: calls of it, one a line.

    Returns:
        The parser of the command.

    Example:
        >>> commands = argparse.ArgumentParser(prog="monai_al").add_subparsers()
        >>> parser = add_command(commands, "greet", print, "say hello", "  python -m monai_al greet")
        >>> parser.prog, parser.description
        ('monai_al greet', 'Say hello.')
    """
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog="examples:\n" + examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def label_values(text: str) -> dict[int, int]:
    """What stored label values mean, as an option of that name takes it.

    Raises:
        argparse.ArgumentTypeError: it is no such mapping.

    Example:
        >>> label_values("{0: 0, 127: 1}")
        {0: 0, 127: 1}
    """
    from monai_al.records.label_values import whole_label_values

    try:
        return whole_label_values(ast.literal_eval(text))
    except (AttributeError, SyntaxError, ValueError) as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no such mapping; give one as {{0: 0, 127: 1, 255: 255}}"
        ) from error


def existing_folder(name: str, *, of: str = "a run") -> Path:
    """The folder that was asked for.

    Args:
        name: its path, in which ``~`` is the home folder.
        of: what wrote it, for the message.

    Raises:
        ValueError: there is no such folder.

    Example:
        >>> existing_folder("no/such/folder")
        Traceback (most recent call last):
        ...
        ValueError: no/such/folder: no such folder; give the output_dir of a run
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise ValueError(
            f"{folder}: {'is a file' if folder.exists() else 'no such folder'}; give the output_dir of {of}"
        )
    return folder
