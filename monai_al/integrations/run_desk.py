# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A run as a server of images and labels sees it: what to annotate next, and where labels go."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from monai_al.assets import docs_page
from monai_al.integrations.asked_volumes import AskedVolume, asked_volumes
from monai_al.integrations.image_ids import match_images
from monai_al.integrations.received import ALL, Received, empty_slices, keep, received
from monai_al.integrations.taking import Taken, take
from monai_al.records import TEST, DataError, RunFolder, round_title
from monai_al.records.files import read_json
from monai_al.records.stored_files import content_hash

__all__ = ["FACTS", "ImageStore", "RunDesk", "segment_names"]

logger = logging.getLogger(__name__)

FACTS = "monai_al"  # the key under which clients find what is asked
FINAL = "final"  # the tag of labels that their authors have finished
LEASE = 3600.0  # seconds for which an image is left to the client that got it


class ImageStore(Protocol):
    """What is needed of a server's images and labels, as MONAI Label's datastores have it.

    Example:
        >>> hasattr(ImageStore, "list_images")
        True
    """

    def list_images(self) -> list[str]:
        """Ids of all images."""
        ...

    def get_image_uri(self, image_id: str) -> str:
        """The path of an image."""
        ...

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """What is noted of an image."""
        ...

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Note something of an image."""
        ...

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """The path of a label; empty where there is none."""
        ...

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        """What is noted of a label."""
        ...


class RunDesk:
    """Hands out the volumes of a run one by one, and takes in their labels.

    Everything that it knows lies in the run folder and in the store, so that it may be killed at any point, and several
    may work for one run.

    Args:
        run: the run folder, of a run with the overlay ``annotators/folder``.
        empty: a requested slice without any label, in a label that somebody sends, is truly empty; else somebody has to
            say so.

    Raises:
        DataError: it is no run folder, or the run asks for strokes.

    Example:
        >>> RunDesk("no/such/run")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: no/such/run is no run folder: it holds no run.json; give the output_dir ...
    """

    def __init__(self, run: str | Path, *, empty: bool = False) -> None:
        self.run = Path(run).expanduser()
        if not (self.run / "run.json").is_file():
            raise DataError(f"{run} is no run folder: it holds no run.json; give the output_dir of a run")
        if _asks_for_strokes(self.run):
            raise DataError(
                f"{run} asks for strokes (annotators/folder_scribbles), and MONAI Label's clients know the classes "
                "alone, and no strokes of the background: draw them in napari by 'python -m monai_al annotate', in "
                f"ITK-SNAP or in 3D Slicer, as {docs_page('annotators.md')} tells"
            )
        self.empty = empty
        self._seen: dict[str, tuple[float, int]] = {}

    @property
    def classes(self) -> list[str]:
        """Names of the classes, background first."""
        return list(read_json(self.run / "pool.json")["classes"])

    # -- labels that come in ---------------------------------------------------------------------------------------

    def receive(self, store: ImageStore, image: str) -> Taken:
        """Keep the label of an image that was just saved, and take it into the run.

        Args:
            store: the server's images and labels.
            image: the image's id.

        Raises:
            DataError: the image is no volume of which anything was asked.
        """
        asked = asked_volumes(self.run)
        volume = next((name for name, id in self._matched(store, asked)[0].items() if id == image), None)
        if volume is None:
            raise DataError(f"{image}: {self.run} has asked for no slice of this image; its label stays on the server")
        self._keep(store, image, volume, [one.round for one in asked if one.volume == volume])
        return self._take()

    def collect(self, store: ImageStore) -> Taken:
        """Keep all labels that were saved since, also those whose saving was cut short, and take what is due.

        Args:
            store: the server's images and labels.
        """
        asked = asked_volumes(self.run)
        last = {one.image: one for one in received(self.run)}
        for volume, image in self._matched(store, asked)[0].items():
            path = Path(store.get_label_uri(image, FINAL) or "/")
            if not path.is_file() or not self._has_changed(path, last.get(image)):
                continue
            saved = path.stat().st_mtime
            rounds = [one.round for one in asked if one.volume == volume and saved >= self._asked_at(one.round)]
            if rounds:
                self._keep(store, image, volume, rounds)
        return self._take()

    def say_empty(self, annotator: str) -> None:
        """Record that what an annotator has left without a label, in the last label of each image, is truly empty.

        Args:
            annotator: as the labels that are kept name it.
        """
        own = {one.image: one for one in received(self.run) if one.annotator == annotator}
        waiting = {one.volume for one in asked_volumes(self.run) if one.waiting}
        for one in own.values():
            if one.volume in waiting and one.empty != ALL:
                one.with_empty(ALL)

    def _keep(self, store: ImageStore, image: str, volume: str, rounds: Iterable[int]) -> None:
        info = store.get_label_info(image, FINAL)
        try:
            empty = empty_slices(info.get("empty"))
        except ValueError as error:
            logger.warning("%s: %s; it is left out", image, error)
            empty = ()
        one = Received(
            Path(),
            "",
            "",
            image,
            volume,
            tuple(rounds),
            str(info.get("annotator") or info.get("client_id") or ""),
            empty or (ALL if self.empty else ()),
            *segment_names(info.get("label_info")),
        )
        try:
            keep(self.run, Path(store.get_label_uri(image, FINAL)), one)
        except OSError as error:
            logger.warning("the label of %s cannot be kept now (%s): it is taken at the next request", image, error)

    def _take(self) -> Taken:
        done = take(self.run)
        if done.taken:
            logger.info("taken into %s: %s", self.run, ", ".join(done.taken))
        for what, why in done.problems.items():
            logger.warning("%s: %s", what, why)
        if done.postponed:
            logger.warning(done.postponed)
        return done

    def _has_changed(self, path: Path, last: Received | None) -> bool:
        """Whether a label is another one than the last that was kept of its image."""
        stat = path.stat()
        seen = (stat.st_mtime, stat.st_size)
        if last is not None and self._seen.get(str(path)) == seen:
            return False
        if last is not None and content_hash(path) == last.sha256:
            self._seen[str(path)] = seen
            return False
        return True

    def _asked_at(self, number: int) -> float:
        """When a round was asked for: a label that was saved before says nothing of it."""
        path = RunFolder(self.run).round_path(number) / "query.json"
        return path.stat().st_mtime if path.is_file() else 0.0

    # -- work that goes out ----------------------------------------------------------------------------------------

    def next_image(self, store: ImageStore, client: str = "") -> tuple[str, dict[str, Any]] | None:
        """The image to annotate next.

        It has slices that wait, and stands first in the query. Images of which a label has come, though slices of it
        still wait, come after the others, and so do those that another client got within the hour.

        Args:
            store: the server's images and labels.
            client: who asks.

        Returns:
            The image's id and what is asked of it; None where nothing waits.

        Raises:
            DataError: what waits is on no image of the server, or it cannot be told on which.
        """
        facts, asked = self.facts(store), asked_volumes(self.run)
        waiting = [one for one in asked if one.waiting]
        if not waiting:
            logger.info("no image is waiting: %s", self._what_next(asked))
            return None
        matched, others = self._matched(store, waiting)
        for why in others.values():
            logger.warning(why)
        if not matched:
            raise DataError("; ".join(others.values()))
        came = {(one.volume, number) for one in received(self.run) for number in one.rounds}
        first = min(
            (one for one in waiting if one.volume in matched),
            key=lambda one: ((one.volume, one.round) in came, self._is_lent(store, matched[one.volume], client)),
        )
        return matched[first.volume], facts[matched[first.volume]]

    def facts(self, store: ImageStore) -> dict[str, dict[str, Any]]:
        """What is asked of each image of which anything was asked, noted with the image, too.

        Of an image of which nothing waits it says so. ``rank`` counts the images that wait, from 1, in the order of the
        queries; ``score`` is the highest one of the slices that wait.

        Args:
            store: the server's images and labels.

        Returns:
            The image's id -> what is asked.
        """
        asked = asked_volumes(self.run)
        matched = self._matched(store, asked)[0]
        found: dict[str, dict[str, Any]] = {}
        waiting = [one for one in asked if one.waiting and one.volume in matched]
        for rank, one in enumerate(waiting, start=1):
            found.setdefault(matched[one.volume], _facts(one, rank))
        for one in reversed(asked):  # the last round that asked for it
            if one.volume in matched:
                found.setdefault(matched[one.volume], _facts(one, None))
        for image, facts in found.items():
            if store.get_image_info(image).get(FACTS) != facts:
                store.update_image_info(image, {FACTS: facts})
        return found

    def _matched(self, store: ImageStore, asked: Iterable[AskedVolume]) -> tuple[dict[str, str], dict[str, str]]:
        return match_images(asked, {id: store.get_image_uri(id) for id in store.list_images()})

    @staticmethod
    def _is_lent(store: ImageStore, image: str, client: str) -> bool:
        """Whether another client got the image within the hour, as the server notes it."""
        stamps = store.get_image_info(image).get("strategy", {}) if client else {}
        now = time.time()
        return any(
            isinstance(stamp, Mapping)
            and stamp.get("client_id") not in (None, "", client)
            and now - float(stamp.get("ts") or 0) < LEASE
            for stamp in stamps.values()
        )

    def _what_next(self, asked: Iterable[AskedVolume]) -> str:
        record = RunFolder(self.run)
        if (self.run / "process.json").is_file():
            return (
                f"{self.run} is in use, such as for training, or its process was killed: 'python -m monai_al status "
                f"{self.run}' tells; the next query comes when the command that began the run has chosen it"
            )
        if record.is_done():
            return f"all rounds of {self.run} are done: the command that began the run goes on with a larger --rounds"
        number = max((one.round for one in asked), default=None)
        if number is None:
            return f"{self.run} has handed out nothing: run it with the overlay annotators/folder"
        return f"{round_title(number)} is answered: the command that began the run goes on with it"


def _asks_for_strokes(run: Path) -> bool:
    """Whether a run hands out strokes, as it records it."""
    found: Any = read_json(run / "run.json")
    for key in ("config", "learner", "annotator_settings"):
        found = found.get(key) or {}
    return found.get("scribbles") is True


def segment_names(told: object) -> tuple[tuple[str, ...] | None, str]:
    """The names of the values 1, 2, ... of a label that 3D Slicer sends.

    Its client numbers the values in the order of the segments that it sends. The numbers that it tells beside the names
    count all segments, so that they differ where one is not sent; others may mean the values by them.

    Args:
        told: ``label_info`` of the label: a list of ``{"name": ..., "idx": ...}``.

    Returns:
        The names, None where none are told; and why it is not sure what the values mean, empty where it is.

    Example:
        >>> segment_names([{"name": "liver", "idx": 1}, {"name": "spleen", "idx": 2}]), segment_names(None)
        ((('liver', 'spleen'), ''), (None, ''))
    """
    if not isinstance(told, list) or not told:
        return None, ""
    named = [one for one in told if isinstance(one, Mapping) and one.get("name")]
    if len(named) < len(told):
        return None, f"its label_info {told} does not name each segment"
    names = tuple(str(one["name"]) for one in named)
    numbers = [one.get("idx", n) for n, one in enumerate(named, start=1)]
    if numbers != list(range(1, len(told) + 1)):
        return names, (
            f"its label_info numbers the segments {numbers}, so that it is not sure which values are theirs: remove "
            "the segments that are not sent, such as 'background', and submit again, or send a .seg.nrrd file"
        )
    return names, ""


def _facts(one: AskedVolume, rank: int | None) -> dict[str, Any]:
    scores = [part.score for part in one.waiting if part.score is not None]
    return {
        "round": "test" if one.round == TEST else one.round,
        "rank": rank,
        "score": max(scores, default=None),
        "waiting": len(one.waiting),
        "slices": [part.to_json() for part in one.waiting],
    }
