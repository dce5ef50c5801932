# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""``check``: what works with a bundle of others, before anything runs."""

from __future__ import annotations

import argparse
import ast
from pathlib import Path

from monai_al.assets import CONFIG_SUFFIXES, bundle_config, find_overlay
from monai_al.commands.run import as_monai_takes, config_values, merged_config, words_and_options

__all__ = ["add_to", "check"]

_NO_BUNDLE = 1  # exit status where a run would not work
USAGE = "python -m monai_al check THEIR_BUNDLE [OVERLAY ...] [--OPTION VALUE ...]"
ABOUT = """Say what works with a training bundle of others, before anything runs.

THEIR_BUNDLE is its folder, its training config, or a list of configs, later ones laid over the first. An OVERLAY and an
OPTION are those of 'python -m monai_al run active_learning'. The page says which parts were found and where, what the
data and classes are, what becomes of an item on its way to the network and back, whether a first training step works,
which strategies work and why others do not, and the command that starts the run. No file is written.

The exit code is 0 where the run would work, 1 where it would not, and 2 where the command is wrong."""
EXAMPLES = """examples:
  python -m monai_al check their_bundle --dataset_dir Task09_Spleen
  python -m monai_al check their_bundle/configs/train.json --dataset_dir scans --train#trainer#max_epochs 1
  python -m monai_al check "['their_bundle/configs/train.json','mine.json']" --bundle_ids "{'evaluator': 'tests'}"
"""


def add_to(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command; its options are those of a run, so all words are kept for :func:`check`.

    Example:
        >>> parser = add_to(argparse.ArgumentParser().add_subparsers())
        >>> parser.parse_args(["their_bundle", "--epochs", "3"]).words
        ['their_bundle', '--epochs', '3']
    """
    parser = commands.add_parser(
        "check", help="say what works with a bundle of others", add_help=False, prefix_chars="\n"
    )
    parser.add_argument("words", nargs="*")
    parser.set_defaults(run=check)
    return parser


def check(arguments: argparse.Namespace) -> None:
    """Print the page.

    Args:
        arguments: with ``words``.

    Raises:
        ValueError: there is no such bundle, it has several training configs, or an option is wrong.
        SystemExit: with 1, where a run would not work.

    Example:
        >>> from monai_al.commands import main
        >>> main(["check", "no/such/bundle"])
        2
    """
    names, typed = words_and_options(arguments.words)
    if "help" in typed or "-h" in names:
        print(f"usage: {USAGE}\n\n{ABOUT}\n\n{EXAMPLES}")
        return
    if not names:
        raise ValueError(f"name a bundle: {USAGE}")
    from monai_al.bundle_check import AskedCheck, bundle_page, check_bundle

    training = _training(names[0], typed.pop("training_config", None))
    base = bundle_config("active_learning")
    loop = (base, *(find_overlay(name, base.parent) for name in names[1:]))
    options = as_monai_takes(config_values(typed, merged_config(loop), foreign=True))
    checked = check_bundle(AskedCheck(training, loop, options, typed, tuple(names[1:])))
    print(bundle_page(checked))
    if not checked.works:
        raise SystemExit(_NO_BUNDLE)


def _training(name: str, named: str | None) -> tuple[Path, ...]:
    """The training config that is meant, and what is laid over it.

    Raises:
        ValueError: there is no such bundle or config, it has several, or it is one of ours.
        SystemExit: the bundle has no training config.
    """
    from monai_al.bundle import BundleConfigError
    from monai_al.bundle.training_files import training_file
    from monai_al.bundle.workflow_file import file_and_class
    from monai_al.bundle_check import CheckedBundle, CheckedSection, bundle_page

    listed = _listed(name)
    for file in listed:
        if not file_and_class(file)[0].exists():
            raise ValueError(f"{file}: no such bundle or config; {USAGE}")
    if listed[0].is_dir() and len(listed) == 1:
        try:
            listed = (_within(listed[0], named) if named else training_file(listed[0]),)
        except BundleConfigError as error:
            print(bundle_page(CheckedBundle(name, (CheckedSection("found", problem=str(error)),))))
            raise SystemExit(_NO_BUNDLE) from None
    elif named is not None:
        raise ValueError(
            f"--training_config {named}: {name} names one already; give the bundle's folder, or leave it out"
        )
    return listed


def _listed(name: str) -> tuple[Path, ...]:
    """One path, or those of a list; later ones may be named as they stand beside the first."""
    if not name.startswith("["):
        return (Path(name).expanduser(),)
    try:
        texts = [str(text) for text in ast.literal_eval(name)]
    except (SyntaxError, ValueError):
        raise ValueError(f"{name} is no list of configs, such as \"['train.json','mine.json']\"") from None
    if not texts:
        raise ValueError(f"{name} names no config")
    first, *others = (Path(text).expanduser() for text in texts)
    return (first, *(file if file.exists() else first.parent / file for file in others))


def _within(folder: Path, name: str) -> Path:
    """A config or Python file of a bundle by its name or path; of the latter perhaps with a class behind it.

    Raises:
        ValueError: there is none.
    """
    from monai_al.bundle.workflow_file import file_and_class

    places = [Path(name).expanduser(), folder / name, folder / "configs" / name, folder / "scripts" / name]
    found = [place.with_name(place.name + end) for place in places for end in ("", *CONFIG_SUFFIXES)]
    file = next((file for file in found if file_and_class(file)[0].is_file()), None)
    if file is None:
        raise ValueError(f"--training_config {name}: {folder} holds no such config, in no configs/ or scripts/ either")
    return file
