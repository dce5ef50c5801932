# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""All sections of a check, one after the other, up to the first that says that a run would not work."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from monai_al.bundle import BundleConfigError
from monai_al.bundle.config_files import read_config
from monai_al.bundle.engine_ids import run_entries
from monai_al.bundle.training_config import POOL_ID
from monai_al.bundle.workflow_file import is_python
from monai_al.bundle_check.asked import AskedCheck
from monai_al.bundle_check.bench import Bench
from monai_al.bundle_check.data_section import data_section
from monai_al.bundle_check.found_section import found_section
from monai_al.bundle_check.item_section import item_section
from monai_al.bundle_check.next_section import next_section
from monai_al.bundle_check.reasons import reason_of
from monai_al.bundle_check.step_section import step_section
from monai_al.bundle_check.strategies_section import strategies_section
from monai_al.engines.threads import torch_threads

__all__ = ["CheckedBundle", "CheckedSection", "check_bundle"]

SECTIONS: dict[str, Callable[[Bench], Iterator[tuple[str, str]]]] = {
    "found": found_section,
    "data": data_section,
    "one item there and back": item_section,
    "one training step": step_section,
    "strategies": strategies_section,
    "next": next_section,
}


@dataclass(frozen=True)
class CheckedSection:
    """A part of the page.

    Args:
        title: what it is about.
        rows: names and what is to be said of them.
        problem: why a run would not work; None where this section knows of no reason.

    Example:
        >>> CheckedSection("data", (("items", "40"),)).problem is None
        True
    """

    title: str
    rows: tuple[tuple[str, str], ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class CheckedBundle:
    """What a check found.

    Args:
        name: of the training config.
        sections: in the order of the page; the last one may have a problem.

    Example:
        >>> CheckedBundle("train.json", (CheckedSection("found", problem="it runs no trainer"),)).works
        False
    """

    name: str
    sections: tuple[CheckedSection, ...]

    @property
    def problem(self) -> str | None:
        """Why a run would not work."""
        return next((one.problem for one in self.sections if one.problem is not None), None)

    @property
    def works(self) -> bool:
        """Whether a run would work, as far as that can be told before it starts."""
        return self.problem is None


def check_bundle(asked: AskedCheck) -> CheckedBundle:
    """Try a bundle of others as an active learner. No file is left.

    Args:
        asked: the training config and the options of a run.

    Raises:
        ValueError: an option is wrong, or the training config is one of ours.

    Example:
        >>> found = check_bundle(AskedCheck((Path("no/such/train.json"),), ()))
        >>> found.works, found.sections[0].title
        (False, 'found')
    """
    name = str(asked.training[0])
    with tempfile.TemporaryDirectory() as folder, _hushed():
        try:
            config = _readable(asked)
        except Exception as error:
            return CheckedBundle(name, (CheckedSection("found", problem=reason_of(error)),))
        if POOL_ID in config:
            raise ValueError(f"{name} has a pool of its own: its run checks all of this by itself before it starts")
        try:
            bench = Bench(asked, Path(folder))
        except BundleConfigError as error:
            if not is_python(asked.training[0]):  # an option is wrong
                raise
            return CheckedBundle(name, (CheckedSection("found", problem=reason_of(error)),))
        with torch_threads(bench.learner.settings.threads):
            return CheckedBundle(name, tuple(_sections(bench)))


def _sections(bench: Bench) -> Iterator[CheckedSection]:
    for title, collect in tqdm(SECTIONS.items(), desc="checking", file=sys.__stderr__, disable=None, leave=False):
        rows: list[tuple[str, str]] = []
        try:
            for row in collect(bench):
                rows.append(row)
        except Exception as error:
            yield CheckedSection(title, tuple(rows), reason_of(error))
            return
        yield CheckedSection(title, tuple(rows))


def _readable(asked: AskedCheck) -> dict[str, Any]:
    """The training config, where its files can be read and run something, whatever the options."""
    if is_python(asked.training[0]):
        return {}
    config = read_config(asked.training)
    if not run_entries(config):
        raise BundleConfigError(
            f"{asked.training[0]} runs nothing, it has no id 'run': active learning needs the training config of a "
            "bundle"
        )
    return config


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Let nobody but the page speak."""
    level = logging.root.manager.disable
    nowhere = io.StringIO()
    with (
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
        warnings.catch_warnings(action="ignore"),
    ):
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(level)
