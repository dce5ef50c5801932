# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The figures of a comparison beside its curves: embeddings of encoders, and predictions side by side."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_al.comparison.config import Comparison, PlannedRun
from monai_al.comparison.drawn import draw_once, state_of
from monai_al.comparison.markdown import markdown_table
from monai_al.comparison.state import is_done
from monai_al.engines.report_pictures import NO_PICTURES
from monai_al.engines.seen_items import SeenItem, foreground_of, planes_of, predicted_items, upright_item
from monai_al.engines.trained_run import TrainedRun
from monai_al.handlers.needs import ENCODER
from monai_al.records import DataError, Item, RunFolder, RunFolderError, shown
from monai_al.report.embedding_map import read_embedded_items, write_embedding_map
from monai_al.report.slice_panel import SLICE_RULE, ComparedSlice, choose_slices, write_slice_panel
from monai_al.sources import Source

__all__ = ["check_encoders", "uses_encoder", "write_figures"]


def check_encoders(comparison: Comparison) -> None:
    """Refuse an embedding map of runs whose strategy uses no pretrained encoder, as far as their configs tell.

    Raises:
        DataError: names the run.

    Example:
        >>> check_encoders(Comparison("a", "al.yaml", runs={"random": {}}))
    """
    asked = comparison.figures.get("embedding_map", {}).get("runs", ())
    first = {run.name: run for run in reversed(comparison.planned("."))}
    for name in asked:
        if name in first and uses_encoder(first[name]) is False:
            raise DataError(
                f"figures: embedding_map names {name!r}, whose strategy uses no pretrained encoder: name runs that do, "
                "such as those of Coreset with embedding: encoder"
            )


def uses_encoder(run: PlannedRun) -> bool | None:
    """Whether the strategy of a run that is not done yet needs a pretrained encoder; None where it cannot be told.

    Example:
        >>> uses_encoder(PlannedRun("random", 0, Path("out"), ("no/such/config.yaml",), {})) is None
        True
    """
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    try:
        parser.read_config(list(run.config_files))
        parser.update(pairs=dict(run.options))
        strategy = parser.get_parsed_content("strategy")
        needs = [*strategy.needs().values(), *(strategy.initial_needs() or {}).values()]
    except Exception:  # noqa: BLE001, the run tells what is wrong with its own configs
        return None
    return ENCODER in needs


def write_figures(comparison: Comparison, output_dir: str | Path, *, trust: bool = False) -> list[str]:
    """Draw the figures that a comparison asks for, from the runs that are done.

    Args:
        comparison: what is compared; its ``figures`` say what to draw.
        output_dir: where its runs lie; the figures go there as ``embedding_map.png`` and ``slice_panel.png``.
        trust: execute the recorded configs of runs although the user did not make them on this machine.

    Returns:
        A part in Markdown for each figure: what it shows, or why it is not there.

    Example:
        >>> from monai_al.comparison.asked_figures import asked_figures
        >>> figures = asked_figures({"slice_panel": ["random"]})
        >>> write_figures(Comparison("a", "al.yaml", runs={"random": {}}, figures=figures), "no/such/folder")
        ['There is no slice_panel.png: no seed has all of its runs done yet (random)']
    """
    draw = {"embedding_map": _embedding_map, "slice_panel": functools.partial(_slice_panel, trust=trust)}
    told = []
    for name, asked in comparison.figures.items():
        path = Path(output_dir) / f"{name}.png"
        try:
            runs = _runs_of_one_seed(comparison, output_dir, asked["runs"], asked["seed"])
            inputs = [comparison.title, comparison.everything, asked, state_of(runs)]
            told.append(draw_once(path, inputs, functools.partial(draw[name], comparison, runs, asked, path)))
        except NO_PICTURES as error:
            kind = "" if isinstance(error, (ValueError, OSError, RunFolderError)) else f"{type(error).__name__}: "
            told.append(f"There is no {path.name}: {kind}{error}")
    return told


def _runs_of_one_seed(
    comparison: Comparison, output_dir: str | Path, names: Sequence[str], seed: int | None
) -> list[PlannedRun]:
    """The named runs of the seed that is asked for, or of the first one of which all are done."""
    planned = comparison.planned(output_dir)
    for own in comparison.seeds if seed is None else (seed,):
        done = {run.name: run for run in planned if run.seed == own and run.name in names and is_done(run.folder)}
        if len(done) == len(names):
            return [done[name] for name in names]
    which = "no seed has" if seed is None else f"seed {seed} does not have"
    raise DataError(f"{which} all of its runs done yet ({', '.join(names)})")


# -- embedding map -----------------------------------------------------------------------------------------------------


def _embedding_map(comparison: Comparison, runs: Sequence[PlannedRun], asked: Mapping[str, Any], path: Path) -> str:
    items = [
        read_embedded_items(
            RunFolder(run.folder), run.name, query=asked["query"], cache_dir=run.options.get("cache_dir")
        )
        for run in runs
    ]
    seed = f"seed {runs[0].seed}"
    marks = "" if asked["query"] is None else f"the query of round {asked['query']}"
    found = write_embedding_map(
        items, path, title=f"{comparison.title}: {seed}", n_clusters=asked["clusters"], marks=marks
    )
    rows = [[run.name, *(shown(value, ".3f") for value in own.values())] for run, own in zip(runs, found, strict=True)]
    about = f"{path.name}: the pool as the pretrained encoders see it, {seed}. Mean silhouette of its groups among the "
    about += "embeddings: near 1 where each group is tight and far from others, 0 or less where there are no groups."
    return f"{about}\n\n{markdown_table(['silhouette', *found[0]], rows)}"


# -- slices ------------------------------------------------------------------------------------------------------------


def _slice_panel(
    comparison: Comparison, runs: Sequence[PlannedRun], asked: Mapping[str, Any], path: Path, *, trust: bool
) -> str:
    again = {run.name: _read_again(run, trust) for run in runs}
    number = asked["round"]
    if number is None:
        number = min(run.last_round for name, run in again.items() if name != comparison.everything or len(again) == 1)
    first = next(iter(again.values())).source
    chosen = choose_slices(_foreground(first), asked["slices"])
    if not chosen:
        raise DataError("no test slice holds annotated foreground")
    seen = {
        name: _see(run, chosen, run.last_round if name == comparison.everything else number)
        for name, run in again.items()
    }
    slices = [_compared({name: of_run[i] for name, of_run in seen.items()}) for i in range(len(chosen))]
    when = f"after round {number}, seed {runs[0].seed}"
    if comparison.everything in again and len(again) > 1:
        when += f" ({comparison.everything}: its last round)"
    rule = f"{SLICE_RULE}; predictions count for nothing in the choice."
    scores = "Dice of the slice as the network sees it: mean of the structures that truth or prediction hold."
    write_slice_panel(
        slices,
        path,
        classes=first.data.classes,
        title=f"{comparison.title}: {when}",
        caption=f"{rule} {scores}",
        view=asked["view"],
    )
    return f"{path.name}: test slices {when}. {rule} {scores}"


def _read_again(run: PlannedRun, trust: bool) -> TrainedRun:
    """A run with its data and its cache where they lie now."""
    recorded = TrainedRun(run.folder, trust=trust)
    ids = [id for id in ("dataset_dir", "cache_dir") if id in run.options and recorded.training.declares(id)]
    again = recorded.with_overrides({id: run.options[id] for id in ids})
    if again.source.cache is not None:
        again.source.cache.progress = False
    return again


def _foreground(data: Source) -> dict[str, list[int]]:
    """Test volume -> annotated foreground pixels of each of its slices."""
    areas = {}
    for volume, items in _test_volumes(data).items():
        data.prepare(items)
        planes = planes_of(items, predicted_items(data, items))
        areas[volume] = [int(foreground_of(seen.truth, seen.image).sum()) for seen in planes.values()]
    return areas


def _see(run: TrainedRun, chosen: Sequence[tuple[str, int]], number: int) -> list[tuple[str, SeenItem]]:
    """The chosen slices, their names, and what a run predicts for them."""
    trained, data, found = run.network(number), run.source, []
    volumes = _test_volumes(data)
    for volume, position in chosen:
        if volume not in volumes:
            raise DataError(f"test volume {volume!r} is not in the data of {run.folder.path}")
        items = volumes[volume]
        item = items[0 if items[0].slice is None else position]
        data.prepare([item])
        (seen,) = predicted_items(data, [item], trained)
        title = f"{volume}, slice {position}" if seen.depth else item.id
        found.append((title, upright_item(data, item, seen.at(position) if seen.depth else seen)))
    return found


def _compared(seen: Mapping[str, tuple[str, SeenItem]]) -> ComparedSlice:
    """One slice as all runs see it; image and truth are those of the first."""
    title, first = next(iter(seen.values()))
    predictions = {name: own.prediction for name, (_, own) in seen.items() if own.prediction is not None}
    assert first.truth is not None  # as it holds foreground
    return ComparedSlice(title, first.image, first.truth, predictions)


def _test_volumes(data: Source) -> dict[str, list[Item]]:
    volumes: dict[str, list[Item]] = {}
    for item in data.data.part("test"):
        volumes.setdefault(item.volume, []).append(item)
    return volumes
