# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the data are: items, labels, patients, classes, and how predictions become classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monai_al.bundle import infer_activation
from monai_al.bundle_check.bench import Bench
from monai_al.records import Item
from monai_al.sources.entry_source import EntrySource

__all__ = ["data_section"]


def data_section(bench: Bench) -> Iterator[tuple[str, str]]:
    """Rows about the data; then the network is tried on them, as a run does before it starts.

    Args:
        bench: where the bundle is tried, with its parts found; its data are read and its network tried here.

    Raises:
        ValueError: a run would not start.

    Example:
        >>> from types import SimpleNamespace as Made
        >>> source = EntrySource([{"image": "/data/a.png"}], [], preprocessing=[])
        >>> next(data_section(Made(read=lambda: source)))
        ('items', '1, none of them with a label')
    """
    source = bench.read()
    items, test = source.data.part("train").items, source.data.part("test").items
    yield "items", _counted(items)
    yield "test items", _counted(test)
    yield "patients", _patients([*items, *test])
    yield from (("note", note) for note in source.data.notes)
    learner = bench.learner
    bench.check(learner)
    trained = learner.training.load(None, learner.settings.activation)
    bench.trained = source.adapted(trained)
    yield "classes", _classes(source)
    yield "activation", f"{bench.trained.activation}, {_told_by(bench)}"


def _counted(items: Sequence[Item]) -> str:
    labeled = sum(item.label is not None for item in items)
    return f"{len(items)}, {'all' if labeled == len(items) else labeled or 'none'} of them with a label"


def _patients(items: Sequence[Item]) -> str:
    known = len({item.patient for item in items})
    return f"{known}" if known < len(items) else "not told, so that each item counts as one"


def _classes(source: EntrySource) -> str:
    known = f", {len(source.data.classes)} classes"
    told = "named by metadata.json" if source.names else "numbered, as metadata.json names none"
    overlap = ", which may overlap" if source.overlapping else ""
    return f"{', '.join(source.data.classes)}{known}{overlap}; {told}"


def _told_by(bench: Bench) -> str:
    """From where the activation is known, in the order in which it is looked for."""
    if bench.learner.settings.activation is not None:
        return "as --activation says"
    if bench.learner.training.declares("activation"):
        return "as its id activation says"
    if infer_activation(bench.found.parts.postprocessing, None) is not None:
        return "as its postprocessing tells"
    loss = getattr(bench.found.parts.trainer, "loss_function", None)
    return f"as its loss tells ({type(loss).__name__})"
