# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The report of a run: from its folder to predictions, pictures and the page."""

from __future__ import annotations

import datetime
import struct
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from monai_al.annotators.places import Place
from monai_al.engines.encoder import PICTURES
from monai_al.engines.random_baseline import random_baseline
from monai_al.engines.report_pictures import NO_PICTURES, told, with_pictures
from monai_al.engines.trained_run import TrainedRun
from monai_al.records import DataError, Query, RunFolder, RunFolderError
from monai_al.records.files import read_json, write_file
from monai_al.records.manifest import check_intact
from monai_al.records.pool_file import read_pool
from monai_al.report import write_learning_curve
from monai_al.report.annotations import describe_agreement, waiting_notes
from monai_al.report.cost_curve import write_cost_curve
from monai_al.report.embedding_map import read_embedded_items, write_round_map
from monai_al.report.page import Picture, RunPage, ShownItem, ShownRound, page_html
from monai_al.report.patient_spread import patient_dice, quartiles, spread_text
from monai_al.report.plateau import plateau_hint

__all__ = ["write_report"]


def write_report(
    path: str | Path,
    *,
    items: int = 8,
    volumes: int = 4,
    overrides: Mapping[str, Any] | None = None,
    progress: bool = True,
    trust: bool = False,
    baseline: str | Path | None = None,
    minutes: float = 5.0,
) -> Path:
    """Write ``report/index.html`` and its pictures into a run folder.

    What the small files of the run tell is always there; pictures that need images or weights which are gone are left
    out, and the page says why. A run that is not finished gets a report, too.

    Args:
        path: the run folder.
        items: pictures of chosen items per round, the first ones chosen; 0 draws none.
        volumes: test volumes to show, from the best to the worst; 0 shows none.
        overrides: id -> value over the recorded training config, such as ``dataset_dir`` where the data have moved.
        progress: show a progress bar while predictions are made.
        trust: execute the recorded config for the pictures although the user did not make the folder on this machine.
        baseline: folder of a run on the same pool, whose curve stands beside this one's; None looks for one of random
            queries, see :func:`monai_al.engines.random_baseline.random_baseline`.
        minutes: what annotating a full slice is assumed to take.

    Returns:
        The page.

    Raises:
        RunFolderError: a file of the run differs from what was written; or pictures are asked for, and the run is not
            known and not trusted.
        DataError: there is no run folder, or the baseline is none.
        ValueError: a number is negative.

    Example:
        >>> import json, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "run.json").write_text(json.dumps({"strategy": "random", "sizes": [4]}))
        ...     write_report(folder).name
        'index.html'
    """
    for name, number in (("items", items), ("volumes", volumes), ("minutes", minutes)):
        if number < 0:
            raise ValueError(f"{name} must not be negative, got {number}")
    folder = RunFolder(Path(path).expanduser())
    if not (folder.path / "run.json").is_file():
        raise DataError(f"{folder.path} is no run folder: it holds no run.json; give the output_dir of a run")
    place = folder.path / "report"
    run, notes = None, []
    if items + volumes and any(folder.path.glob("round_*")):
        try:
            run = TrainedRun(folder.path, overrides, trust=trust)
            run.source.prepare([])  # read the list of items now
        except RunFolderError:
            raise
        except NO_PICTURES as error:
            run = None
            notes.append(f"There are no pictures of images: {told(error)}")
    else:
        check_intact(folder.path, reading=True)
    record, rounds = _record(folder), list(_rounds(folder))
    page = RunPage(
        name=folder.path.resolve().name,
        record=record,
        rounds=rounds,
        curve=_curve(folder, record, random_baseline(folder, baseline)),
        remarks=[text for text in (plateau_hint(folder.curve()), _spread_of_last(folder)) if text],
        minutes=minutes,
        cost_curve=_cost_curve(folder),
        embedding=_embedding_map(folder),
        restoration=_restoration(folder),
        notes=notes,
        written=f"Written {datetime.datetime.now():%Y-%m-%d %H:%M} by monai_al {version('monai_al')}.",
    )
    if run is not None:
        page = with_pictures(page, run, place, items, volumes, progress)
    write_file(place / "index.html", lambda file: file.write(page_html(page).encode()))
    if not (page.notes or page.volumes_notes or any(shown.notes for shown in page.rounds)):
        _drop_old_pictures(place, page)  # else some may be the last of what is gone
    return place / "index.html"


def _record(folder: RunFolder) -> dict[str, Any]:
    extensions = sorted(folder.path.glob("extension_*.json"))
    later = read_json(extensions[-1]) if extensions else {}
    return read_json(folder.path / "run.json") | {key: value for key, value in later.items() if key != "when"}


def _rounds(folder: RunFolder) -> Iterator[ShownRound]:
    for number in range(len(list(folder.path.glob("round_*")))):
        query = folder.query(number) or Query(number, "", 0, ())
        labels = folder.labels(number)
        asked = set(labels.asked)
        notes = waiting_notes(folder.path, number, [id for id in query.ids if id not in asked])
        agreed = describe_agreement(folder.path, query.ids)
        yield ShownRound(
            number=number,
            strategy=query.strategy,
            items=[
                ShownItem(
                    item.id,
                    item.score,
                    item.reason,
                    item.id in labels,
                    refused=labels.refused.get(item.id),
                    place=None if item.place is None else str(Place.from_json(item.place)),
                )
                for item in query.items
            ],
            returns=folder.returns(number),
            problems=[*(f"{id} waits: {note}" for id, note in notes.items()), *agreed],
            metrics=folder.metrics(number),
            timings=folder.timings(number),
        )


def _curve(folder: RunFolder, record: Mapping[str, Any], baseline: RunFolder | None) -> Picture | None:
    rows = folder.curve()
    if not rows:
        return None
    path = folder.path / "report" / "learning_curve.png"
    known = [(row["labeled"], quartiles(list(_patient_dice(folder, row["round"]).values()))) for row in rows]
    spread = [(labeled, *between) for labeled, between in known if between is not None]
    beside = None if baseline is None else (str(_record(baseline).get("strategy", "run")), baseline.curve())
    write_learning_curve({str(record.get("strategy", "run")): rows}, path, spread=spread, baseline=beside)
    last = rows[-1]
    score = "not defined" if last["dice_3d"] is None else f"{last['dice_3d']:.3f}"
    alt = f"Learning curve: 3D Dice against labeled items; {score} with {last['labeled']} items after the last round"
    return _written(path, alt)


def _patient_dice(folder: RunFolder, number: int) -> dict[str, float]:
    """Patient -> 3D Dice of a round on the test volumes."""
    metrics = folder.metrics(number) or {}
    patients = {item["volume"]: item["patient"] for item in read_pool(folder.path)["items"]}
    return patient_dice((metrics.get("dice_3d") or {}).get("per_volume") or {}, patients)


def _spread_of_last(folder: RunFolder) -> str:
    rows = folder.curve()
    return spread_text(_patient_dice(folder, rows[-1]["round"])) if rows else ""


def _cost_curve(folder: RunFolder) -> Picture | None:
    """None where the rounds tell the cost by no model but the number of items."""
    path = folder.path / "report" / "cost_curve.png"
    drawn = write_cost_curve(folder.curve(), path)
    return _written(path, "3D Dice against what the labels cost, by several models") if drawn else None


def _embedding_map(folder: RunFolder) -> Picture | None:
    """The pool as the pretrained encoder sees it; None where there is no encoder or its embeddings are gone."""
    try:
        items = read_embedded_items(folder)
    except (ValueError, OSError):
        return None
    queries = (folder.query(number) for number in range(len(list(folder.path.glob("round_*")))))
    rounds = {id: query.round for query in queries if query is not None for id in query.ids}
    path = folder.path / "report" / "embedding_map.png"
    write_round_map(items, rounds, path)
    return _written(path, "Map of the pool by the pretrained encoder; items are colored by the round that chose them")


def _restoration(folder: RunFolder) -> Picture | None:
    """What the pretrained encoder restored; None where it was not trained so, or its folder is gone."""
    encoder = folder.encoder()
    source = None if encoder is None else Path(encoder["folder"], PICTURES)
    if source is None or not source.is_file():
        return None
    path = folder.path / "report" / PICTURES
    write_file(path, lambda file: file.write(source.read_bytes()))
    return _written(path, "Images of the pool, as they were, deformed, and restored by the pretrained network")


def _written(path: Path, alt: str) -> Picture:
    return Picture(path.name, alt, *struct.unpack(">II", path.read_bytes()[16:24]))  # where a PNG keeps its size


def _drop_old_pictures(place: Path, page: RunPage) -> None:
    """Pictures of an earlier report that the page no longer shows."""
    shown = {item.picture.file for shown in page.rounds for item in shown.items if item.picture is not None}
    shown |= {volume.picture.file for volume in page.volumes}
    for pattern in ("round_*_item_*.png", "test_*.png"):
        for path in place.glob(pattern):
            if path.name not in shown:
                path.unlink(missing_ok=True)
