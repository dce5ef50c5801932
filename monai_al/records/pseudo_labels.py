# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels that a strategy made for one round: in no count, in no cost, in no later round."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from monai_al.records.errors import DataError
from monai_al.records.files import read_json, write_json
from monai_al.records.labels import PSEUDO, Label

__all__ = [
    "PSEUDO_FOLDER",
    "PSEUDO_LABELS",
    "forget_pseudo_labels",
    "read_pseudo_labels",
    "write_pseudo_labels",
]

PSEUDO_LABELS = "pseudo.json"
PSEUDO_FOLDER = "pseudo"


def read_pseudo_labels(round_path: Path) -> list[Label]:
    """The labels that the strategy made for a round, with their files found from the round's folder; often none.

    Args:
        round_path: the folder of the round.

    Raises:
        DataError: the file is no record of pseudo labels; the message names it.

    Example:
        >>> read_pseudo_labels(Path("runs/a/round_00"))
        []
    """
    path = round_path / PSEUDO_LABELS
    if not path.exists():
        return []
    try:
        content = read_json(path)
        labels = [Label(**entry, annotator=content["strategy"]) for entry in content["labels"]]
        if any(label.kind != PSEUDO for label in labels):
            raise ValueError("holds a label of another kind")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        why = str(error).partition(";")[0]
        raise DataError(f"{path} is no record of pseudo labels ({why}); restore it") from None
    return [label.under(round_path) for label in labels]


def write_pseudo_labels(round_path: Path, labels: Sequence[Label], strategy: str) -> None:
    """Record the labels that a strategy made for a round. Equal labels give an equal file.

    Args:
        round_path: the folder of the round.
        labels: of the kind ``"pseudo"``, with the paths of their files relative to that folder.
        strategy: its name.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as path:
        ...     write_pseudo_labels(Path(path), [Label("a/0007", "pseudo", "pseudo/000.nii.gz", 7)], "ceal")
        ...     [(label.id, label.kind, label.annotator) for label in read_pseudo_labels(Path(path))]
        [('a/0007', 'pseudo', 'ceal')]
    """
    write_json(round_path / PSEUDO_LABELS, {"strategy": strategy, "labels": [label.to_json() for label in labels]})


def forget_pseudo_labels(round_path: Path) -> None:
    """Remove the pseudo labels of a round whose query is not there, or is to be chosen again.

    Args:
        round_path: the folder of the round.

    Example:
        >>> forget_pseudo_labels(Path("no/run/round_01"))
    """
    (round_path / PSEUDO_LABELS).unlink(missing_ok=True)
    shutil.rmtree(round_path / PSEUDO_FOLDER, ignore_errors=True)
