# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What of a training was found, and where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from monai_al.bundle.found_parts import FoundParts
from monai_al.bundle.overrides import scratch_overrides
from monai_al.bundle.python_training import PythonTraining
from monai_al.bundle.workflow_building import FOLDERS
from monai_al.bundle_check.bench import Bench
from monai_al.options import literal

__all__ = ["found_section"]

_PARTS = {  # of the page -> the role, and where it stands when no id holds it
    "trainer": ("trainer", "what the config runs"),
    "network": ("network", "the trainer"),
    "pool": ("train_data", "the trainer's data set"),
    "evaluator": ("evaluator", "a handler of the trainer"),
    "test set": ("test_data", "the evaluator's data set"),
    "preprocessing": ("preprocessing", "the evaluator's data set"),
    "postprocessing": ("postprocessing", "the evaluator"),
    "inferer": ("inferer", "the evaluator"),
}


def found_section(bench: Bench) -> Iterator[tuple[str, str]]:
    """A row for each part with its class and its id, and what becomes of weights, seeds and files.

    Args:
        bench: where the bundle is tried; its parts are found here.

    Raises:
        BundleConfigError: it lacks a part that active learning needs.

    Example:
        >>> from types import SimpleNamespace as Made
        >>> from monai_al.bundle.training_parts import TrainingParts
        >>> parts = TrainingParts(Made(), Made(), [], [{"image": "a.nii"}])
        >>> found = FoundParts(parts, {"trainer": "train::trainer"}, weights=None, listed=[], seeds=True)
        >>> training = Made(raw=dict, root=None, deciding=list)
        >>> bench = Made(find=lambda: found, learner=Made(training=training), scratch=".")
        >>> rows = dict(found_section(bench))
        >>> rows["trainer"], rows["pool"], rows["inferer"]
        ('SimpleNamespace, train#trainer', "1 entry of a list, inside of the trainer's data set", 'none')
    """
    found = bench.find()
    for name, (role, outside) in _PARTS.items():
        yield name, _part(found, role, outside)
    yield "weights", _weights(found)
    own = ", in place of that which the bundle sets by itself" if found.seeds else ""
    yield "seed", f"that of each round{own}"
    training = bench.learner.training
    if deciding := training.deciding():
        yield "validation", f"{', '.join(deciding)} decides by the labels of the test set: scores flatter"
    yield "redirected", f"{', '.join(_redirected(bench)) or 'nothing'}, into a folder that is dropped after each round"


def _redirected(bench: Bench) -> list[str]:
    """What names the folders that a training writes into."""
    training = bench.learner.training
    if isinstance(training, PythonTraining):
        return [name for name in FOLDERS if training.declares(name)]
    places = scratch_overrides(training.raw(), literal(str(bench.scratch)), training.root)
    return [id.replace("::", "#") for id in places]


def _part(found: FoundParts, role: str, outside: str) -> str:
    fields = {"train_data": "train_dataset", "test_data": "test_dataset"}
    part: Any = getattr(found.parts, fields.get(role, role))
    if part is None:
        return "none"
    entries = {"train_data": found.parts.train_entries, "test_data": found.parts.test_entries}.get(role)
    number = "" if entries is None else f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'} of a "
    what = f"{number}{type(part).__name__}"
    id = found.ids.get(role)
    return f"{what}, inside of {outside}" if id is None else f"{what}, {id.replace('::', '#')}"


def _weights(found: FoundParts) -> str:
    if found.weights is None:
        return "it loads none by itself"
    return f"it loads some by itself: {', '.join(one['file'] for one in found.weights) or 'from no file'}"
