# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What an applied run scores on labeled data, as files and as a table."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from monai_al.engines.applied_run import AppliedRun
from monai_al.metrics import VolumeScores
from monai_al.records import shown
from monai_al.records.csv_files import write_csv
from monai_al.records.files import write_json
from monai_al.sources import summary_of

__all__ = ["evaluation_text", "write_evaluation"]

logger = logging.getLogger(__name__)


def write_evaluation(
    applied: AppliedRun,
    scores: Iterable[tuple[str, str, VolumeScores]],
    output_dir: str | Path,
    empty_policy: str = "strict",
) -> dict[str, Any]:
    """Write ``metrics.json`` and ``per_volume.csv``, and print a table.

    Args:
        applied: what was evaluated.
        scores: volume, patient and scores, of a :class:`monai_al.handlers.VolumeScoresHandler`.
        output_dir: where the files go.
        empty_policy: see :func:`monai_al.metrics.summarize`.

    Returns:
        The content of ``metrics.json``: the run, the round and the part beside what a round's own file holds.

    Example:
        >>> import tempfile
        >>> from types import SimpleNamespace
        >>> from monai_al.records import Pool
        >>> from monai_al.sources import SliceSource
        >>> from monai_al.metrics import score_volume
        >>> data = SliceSource(Pool([]), cache=None)
        >>> run = SimpleNamespace(path="runs/a")
        >>> applied = AppliedRun(run, data, (), trained=None, round=1, part="test")
        >>> scores = [("case_1", "p", score_volume([[[0, 1]]], [[[0, 1]]], (1, 1, 1), n_classes=2))]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     metrics = write_evaluation(applied, scores, folder)
        class       3D Dice  2D Dice  HD95 mm
        foreground   1.0000   1.0000     0.00
        mean         1.0000   1.0000     0.00
        1 volumes of 1 patients, empty masks: strict
    """
    scores = list(scores)
    metrics = {
        "run": str(applied.run.path),
        "round": applied.round,
        "part": applied.part,
        **summary_of(applied.data, scores, applied.items, empty_policy=empty_policy),
    }
    folder = Path(output_dir).expanduser()
    _write_per_volume(folder / "per_volume.csv", metrics, {volume: patient for volume, patient, _ in scores})
    write_json(folder / "metrics.json", metrics)
    print(evaluation_text(metrics))
    logger.info("written to %s", folder)
    return metrics


def evaluation_text(metrics: Mapping[str, Any]) -> str:
    """A table of an evaluation: one row for each class and one for their mean, a dash where a number is undefined.

    Args:
        metrics: the content of ``metrics.json``.

    Example:
        >>> score = {"mean": None, "per_class": {"liver": None}}
        >>> metrics = {"dice_3d": score, "dice_2d": score, "hd95_3d": score, "empty_policy": "strict"}
        >>> print(evaluation_text(metrics | {"counts": {"volumes": 0, "patients": 0}}))
        class  3D Dice  2D Dice  HD95 mm
        liver        –        –        –
        mean         –        –        –
        0 volumes of 0 patients, empty masks: strict
    """
    columns = {"3D Dice": ("dice_3d", ".4f"), "2D Dice": ("dice_2d", ".4f"), "HD95 mm": ("hd95_3d", ".2f")}
    rows = [("class", *columns)]
    for name in [*metrics["dice_3d"]["per_class"], None]:
        entries = [(metrics[key], form) for key, form in columns.values()]
        values = [(entry["mean"] if name is None else entry["per_class"][name], form) for entry, form in entries]
        rows.append((name or "mean", *(shown(value, form) for value, form in values)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(n) for cell, n in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    counts = metrics["counts"]
    numbers = f"{counts['volumes']} volumes of {counts['patients']} patients"
    lines.append(f"{numbers}, empty masks: {metrics['empty_policy']}")
    if metrics["hd95_3d"].get("spacing_is_placeholder"):
        lines.append("the spacing is a placeholder, so millimetres mean nothing")
    return "\n".join(lines)


def _write_per_volume(path: Path, metrics: Mapping[str, Any], patients: Mapping[str, str]) -> None:
    keys = ("dice_3d", "hd95_3d", "dice_2d")
    rows = [
        (volume, patients[volume], name, *(metrics[key]["per_volume"][volume][name] for key in keys))
        for volume, classes in metrics["dice_3d"]["per_volume"].items()
        for name in classes
    ]
    write_csv(path, ("volume", "patient", "class", *keys), rows)
