# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The pictures of a report: what a run's networks see of chosen items and of test volumes."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from monai_al.bundle.process_state import quiet
from monai_al.engines.seen_items import (
    SeenItem,
    foreground_of,
    planes_of,
    predicted_items,
    recorded_measures,
    upright_item,
)
from monai_al.engines.trained_run import TrainedRun
from monai_al.inferers import TrainedNetwork
from monai_al.records import TEST, DataError, Item, derived_seed
from monai_al.report.page import Picture, RunPage, ShownItem, ShownRound, ShownVolume, Swatch
from monai_al.report.pictures import (
    AGREEMENT_COLOR,
    ERROR_COLOR,
    REGION_COLORS,
    Panel,
    agreement_panel,
    class_color,
    flat_labels,
    image_panel,
    label_panel,
    map_panel,
    write_panels,
)
from monai_al.uncertainty import REGIONS, Measure

__all__ = ["NO_PICTURES", "told", "with_pictures"]

HATCHED = Swatch("not annotated", "#9aa3ab", "hatch")
CACHE_LOGGER = "monai_al.data.volume_cache"
# what data, weights, configs or code raise that are gone or have changed since
NO_PICTURES = (ValueError, OSError, RuntimeError, ImportError, LookupError, EOFError, pickle.UnpicklingError)


def with_pictures(page: RunPage, run: TrainedRun, place: Path, items: int, volumes: int, progress: bool) -> RunPage:
    """A page with pictures of its rounds' items and of test volumes, as far as data and weights are there.

    Args:
        page: what the small files of the run tell.
        run: its networks and data.
        place: the folder to draw into.
        items: pictures per round, at most.
        volumes: pictures of test volumes, at most.
        progress: show a progress bar.

    Example:
        >>> from types import SimpleNamespace
        >>> source = SimpleNamespace(data=None, cache=None)
        >>> run = SimpleNamespace(source=source, record={})
        >>> with_pictures(RunPage("a", {}), run, Path("."), 0, 0, progress=False).rounds
        []
    """
    last = next((shown for shown in reversed(page.rounds) if shown.metrics is not None), None)
    names = _volume_places(last.metrics, volumes) if last is not None and last.metrics is not None else []
    total = sum(min(items, len(shown.items)) for shown in page.rounds) + len(names)
    with tqdm(total=total, desc="pictures", unit="picture", disable=None if progress else True) as bar:
        artist = _Artist(run, place, bar)
        rounds = [artist.round(shown, items) for shown in page.rounds]
        page = replace(page, rounds=rounds)
        return artist.volumes(page, last.number, names) if last is not None and names else page


class _Artist:
    """Predicts with a run's networks and draws."""

    def __init__(self, run: TrainedRun, place: Path, bar: Any) -> None:
        self.run = run
        self.place = place
        self.bar = bar
        self.pool = run.source.data
        if run.source.cache is not None:
            run.source.cache.progress = False  # one bar is enough
        learner = (run.record.get("config") or {}).get("learner") or {}
        self.seed = int(run.record.get("seed") or 0)
        self.measures = recorded_measures(learner.get("strategy_settings"))

    def round(self, shown: ShownRound, n_items: int) -> ShownRound:
        """The round with pictures of the first items of its query."""
        chosen = shown.items[:n_items]
        if not chosen:
            return shown
        about, notes = [], []
        network = None
        if shown.number == 0:
            about.append("There was no model yet, so its pictures have neither prediction nor uncertainty.")
        else:
            try:
                network = self.run.network(shown.number - 1, all_members=self._needs_members())
            except NO_PICTURES as error:
                notes.append(f"The pictures have neither prediction nor uncertainty: {told(error)}")
        try:
            seen = self._see_items(chosen, network, shown.number)
        except NO_PICTURES as error:
            return replace(shown, notes=[f"There are no pictures of this round: {told(error)}"])
        if network is not None:
            about.append(self._about(shown))
        if len(chosen) < len(shown.items):
            about.append(f"Pictures of the first {len(chosen)} of {len(shown.items)}, in the order of the choice.")
        limit = max((float(one.heat.max()) for one, _ in seen.values() if one.heat is not None), default=0.0)
        drawn = [self._draw_item(shown.number, i, item, *seen[item.id], limit) for i, item in enumerate(chosen)]
        return replace(
            shown,
            items=[*drawn, *shown.items[n_items:]],
            about=about,
            notes=notes,
            legend=self._legend([one for one, _ in seen.values()]),
            scale=(f"uncertainty ({self._map_name()})", limit) if network is not None else None,
        )

    def _needs_members(self) -> bool:
        return any(measure.samples == "members" for measure in self.measures)

    def _map_name(self) -> str:
        return (self.measures[0].map if self.measures else "entropy").replace("_", " ")

    def _about(self, shown: ShownRound) -> str:
        text = (
            f"Prediction and uncertainty are those of the model of round {shown.number - 1}, before these items were "
        )
        text += "labeled."
        if not self.measures:
            return f"{text} The strategy {shown.strategy} looks at no uncertainty: the entropy decided nothing."
        return text + _from_several(self.measures[0])

    def _see_items(
        self, chosen: Sequence[ShownItem], network: TrainedNetwork | None, number: int
    ) -> dict[str, tuple[SeenItem, str | None]]:
        """Each item's slice that is shown, and which one it is."""
        labels = self.run.folder.labels(number)
        items = [labels.of_item(own) if own.id in labels else own for own in (self._item(one.id) for one in chosen)]
        with quiet(CACHE_LOGGER):  # the run has told what lies outside, of all volumes
            self.run.source.prepare(items)
        found = {}
        for item in items:
            (seen,) = self._see([item], network, self.measures or [Measure()], number)
            found[item.id] = self._one_slice(item, seen)
            self.bar.update()
        return found

    def _see(
        self, items: Sequence[Item], trained: TrainedNetwork | None, measures: Sequence[Measure] = (), number: int = 0
    ) -> list[SeenItem]:
        return predicted_items(
            self.run.source, items, trained, measures, seed=derived_seed(self.seed, number, "report")
        )

    def _item(self, id: str) -> Item:
        try:
            return self.pool[self.pool.index(id)]
        except KeyError:
            raise DataError(f"item {id!r} is not in the data set any more") from None

    def _one_slice(self, item: Item, seen: SeenItem) -> tuple[SeenItem, str | None]:
        """Of a whole volume the slice with most uncertainty, or with most foreground."""
        note = None
        if seen.depth:
            by_heat = seen.heat is not None
            weight = seen.heat if seen.heat is not None else foreground_of(seen.truth, seen.image)
            z, n = int(weight.reshape(-1, seen.depth).sum(0).argmax()), seen.depth
            seen = seen.at(z)
            note = f"slice {z} of {n}, the one with most {'uncertainty' if by_heat else 'foreground'}"
        return upright_item(self.run.source, item, seen), note

    def _draw_item(
        self, number: int, i: int, item: ShownItem, seen: SeenItem, note: str | None, limit: float
    ) -> ShownItem:
        panels = [image_panel("image", seen.image)]
        if seen.heat is not None:
            panels.append(map_panel("uncertainty", seen.heat, limit, seen.regions))
        if seen.prediction is not None:
            panels.append(label_panel("prediction", seen.image, seen.prediction))
        if seen.truth is not None and item.labeled:
            panels.append(label_panel("label", seen.image, seen.truth))
        elif not item.labeled:
            note = "; ".join(filter(None, (note, item.refused or "its label is not there yet")))
        file = f"round_{number:02d}_item_{i:03d}.png"
        alt = f"{item.id}: {_listed([panel.title for panel in panels])}"
        return replace(item, picture=self._write([panels], file, alt), note=note)

    def _write(self, rows: list[list[Panel]], file: str, alt: str, titles: Sequence[str] = ()) -> Picture:
        return Picture(file, alt, *write_panels(rows, self.place / file, titles))

    def _legend(self, seen: Sequence[SeenItem], *more: Swatch) -> list[Swatch]:
        """The classes and the rest that the pictures hold."""
        maps = [m for one in seen for m in (one.truth, one.prediction) if m is not None]
        values = sorted({int(value) for labels in maps for value in np.unique(flat_labels(labels))})
        legend = [Swatch(self._class_name(value), class_color(value)) for value in values if 0 < value < 255]
        regions = [name for name in REGIONS if any(name in one.regions for one in seen)]
        legend += [Swatch(f"{name} region", REGION_COLORS[name], "outline") for name in regions]
        return [*legend, *more, *([HATCHED] if 255 in values else [])]

    def _class_name(self, number: int) -> str:
        classes = self.pool.classes
        return classes[number] if number < len(classes) else f"class {number}"

    # -- test volumes --------------------------------------------------------------------------------------------------

    def volumes(self, page: RunPage, number: int, names: Sequence[tuple[str, str]]) -> RunPage:
        """The page with pictures of test volumes, predicted by the model of a round."""
        try:
            trained = self.run.network(number)
            shown = [self._volume(trained, i, name, place) for i, (name, place) in enumerate(names)]
        except NO_PICTURES as error:
            return replace(page, volumes_notes=[f"There are no pictures of test volumes: {told(error)}"])
        colors = (Swatch("agreement", AGREEMENT_COLOR), Swatch("error", ERROR_COLOR))
        legend = self._legend([seen for _, rows in shown for seen in rows], *colors)
        return replace(page, volumes=[volume for volume, _ in shown], volumes_round=number, volumes_legend=legend)

    def _volume(self, trained: TrainedNetwork, i: int, name: str, place: str) -> tuple[ShownVolume, list[SeenItem]]:
        labels = self.run.folder.labels(TEST)  # there are some where people annotate the test set
        items = [item for item in self.pool.part("test") if item.volume == name]
        items = [labels.of_item(item) if item.id in labels else item for item in items]
        if not items:
            raise DataError(f"test volume {name!r} is not in the data set any more")
        with quiet(CACHE_LOGGER):  # the run has told what lies outside, of all volumes
            self.run.source.prepare(items)
        planes = planes_of(items, self._see(items, trained))
        rows = {z: upright_item(self.run.source, items[0], planes[z]) for z in _around_foreground(planes)}
        several = len(planes) > 1
        titles = [f"slice {z}" for z in rows] if several else []
        drawn = [_test_panels(seen) for seen in rows.values()]
        file, alt = f"test_{i:02d}.png", f"{name}: image, truth, prediction and their agreement"
        about = f"slices {_listed(list(map(str, rows)))} of {len(planes)}" if several else ""
        self.bar.update()
        return ShownVolume(name, place, self._write(drawn, file, alt, titles), about), list(rows.values())


def _test_panels(seen: SeenItem) -> list[Panel]:
    if seen.truth is None or seen.prediction is None:
        raise DataError(f"item {seen.id!r} has no ground truth any more")
    return [
        image_panel("image", seen.image),
        label_panel("truth", seen.image, seen.truth),
        label_panel("prediction", seen.image, seen.prediction),
        agreement_panel("agreement", seen.image, seen.prediction, seen.truth),
    ]


def _around_foreground(planes: Mapping[int, SeenItem]) -> list[int]:
    """Numbers of up to three slices: the one with most foreground, and one halfway to either end of the foreground."""
    numbers = list(planes)
    areas = [int(foreground_of(seen.truth, seen.image).sum()) for seen in planes.values()]
    if not any(areas):
        areas = [int(foreground_of(seen.prediction, seen.image).sum()) for seen in planes.values()]
    held = np.flatnonzero(areas).tolist() or [len(numbers) // 2]
    middle = int(np.argmax(areas)) if any(areas) else held[0]
    before = min((held[0] + middle) // 2, middle - 1)
    after = max((middle + held[-1] + 1) // 2, middle + 1)
    return [numbers[place] for place in (before, middle, after) if 0 <= place < len(numbers)]


def _volume_places(metrics: Mapping[str, Any], n: int) -> list[tuple[str, str]]:
    """Names of test volumes from the best to the worst 3D Dice, evenly spread, and where each stands."""
    per_volume = metrics.get("dice_3d", {}).get("per_volume") or {}
    defined = {v: [x for x in own.values() if x is not None] for v, own in per_volume.items()}
    ranked = sorted((v for v in defined if defined[v]), key=lambda v: -float(np.mean(defined[v])))
    total = len(ranked)
    if total <= n:
        picks = list(range(total))
    else:
        picks = [(total - 1) // 2] if n == 1 else [round(i * (total - 1) / (n - 1)) for i in range(n)]
    words = {total - 1: f"worst of {total}", 0: f"best of {total}"} if total > 1 else {0: "the only one"}
    return [(ranked[pick], words.get(pick, f"rank {pick + 1} of {total}")) for pick in picks]


def told(error: BaseException) -> str:
    """What went wrong; an error that is not about data or files by its kind, too.

    Example:
        >>> told(DataError("case_1: is gone")), told(KeyError("a"))
        ('case_1: is gone', "KeyError: 'a'")
    """
    return str(error) if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: {error}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _from_several(measure: Measure) -> str:
    """Where the predictions come from that an uncertainty is made of, for people; nothing where it is one."""
    if not measure.stochastic:
        return ""
    source = {
        "dropout": f"{measure.passes} passes, drawn anew for this report",
        "augmentation": f"the image and {measure.passes - 1} changed copies, drawn anew for this report",
        "members": "all networks of the round",
    }
    return f" The uncertainty is that of {source[measure.samples]}."
