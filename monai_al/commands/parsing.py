# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the commands share in reading their arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable

__all__ = ["add_command"]


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
        run: called with the arguments; a ``ValueError`` or an ``OSError`` is told without a traceback.
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
