# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The folder of one run: its state is the sum of its complete files."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import logging
import os
import shutil
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import filelock

from monai_al.records.cost_model import COST_COLUMNS, cost_in_column
from monai_al.records.csv_files import write_csv
from monai_al.records.errors import DataError
from monai_al.records.files import TEMPORARY, read_json, write_file, write_json
from monai_al.records.identity import config_difference, config_hash, pool_difference
from monai_al.records.labels import Label, LabelReturn, Labels
from monai_al.records.pool_file import read_pool, write_pool
from monai_al.records.pseudo_labels import forget_pseudo_labels
from monai_al.records.query import TEST, Query, round_name
from monai_al.records.run_start import drop_beginning, foreign_entries, is_beginning
from monai_al.records.stored_items import StoredItems

__all__ = ["RunFolder", "RunFolderError", "read_labels"]

logger = logging.getLogger(__name__)


class RunFolderError(RuntimeError):
    """A run folder that cannot be used as asked; the message names the difference or the process.

    Example:
        >>> raise RunFolderError("runs/a is in use")
        Traceback (most recent call last):
        ...
        monai_al.records.run_folder.RunFolderError: runs/a is in use
    """


def read_labels(round_path: Path) -> list[LabelReturn]:
    """All returns of labels of one round, in order; files by their paths from the round's folder.

    Args:
        round_path: the folder of the round.

    Raises:
        DataError: a file is no record of labels; the message names it.

    Example:
        >>> read_labels(Path("runs/a/round_00"))
        []
    """
    found = []
    for path in sorted(path for path in (round_path / "labels").glob("[0-9]*.json") if path.stem.isdecimal()):
        try:
            found.append(LabelReturn.from_json(read_json(path)))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            why = str(error).partition(";")[0]
            raise DataError(f"{path} is no record of labels ({why}); restore it") from None
    return found


class RunFolder:
    """Reads and writes one run folder. Every file is complete or absent; only derived files are ever rewritten.

    Args:
        path: the folder; made when something is written.

    Example:
        >>> import tempfile
        >>> from monai_al.records import Query, QueryItem
        >>> with tempfile.TemporaryDirectory() as path:
        ...     folder = RunFolder(path)
        ...     folder.write_query(Query(0, "random", 0, (QueryItem("a"),)))
        ...     folder.query(0).ids, folder.query(1)
        (('a',), None)
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock: filelock.BaseFileLock | None = None

    # -- who uses it ---------------------------------------------------------------------------------------------

    def refuse_foreign(self) -> None:
        """Make sure that the folder is empty, is a run's, or does not exist; hidden files do not count.

        Raises:
            RunFolderError: it holds what no run wrote.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunFolderError(f"{self.path} is a file: give a folder, new or of a run, by --output_dir")
        foreign = foreign_entries(self.path)
        if foreign:
            more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
            raise RunFolderError(
                f"{self.path} holds what no run wrote ({foreign[0]}{more}): give a folder of its own by --output_dir"
            )

    def lock(self) -> None:
        """Take the folder for this process.

        Raises:
            RunFolderError: a live process uses it, or it holds what no run wrote.
        """
        self.refuse_foreign()
        self.path.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            user = read_json(self._process_file) if self._process_file.exists() else {}
            raise RunFolderError(
                f"{self.path} is in use by process {user.get('pid', '?')} on {user.get('host', '?')} since "
                f"{user.get('since', '?')}; wait for it, stop it, or give another output_dir"
            ) from None
        self._lock = lock
        write_json(self._process_file, {"pid": os.getpid(), "host": socket.gethostname(), "since": _now()})

    def unlock(self) -> None:
        """Give the folder back."""
        if self._lock is not None:
            self._process_file.unlink(missing_ok=True)
            self._lock.release()
            self._lock = None

    @property
    def _process_file(self) -> Path:
        return self.path / "process.json"

    def drop_incomplete(self) -> None:
        """Remove what killed processes left half-written."""
        work = ("annotate/", "annotate/*/", "annotate/*/*/")
        own = ("", "report/", "round_*/", "round_*/*/", "test/", "test/*/")
        for place in (*own, *work):  # other runs may lie below this folder
            for left in self.path.glob(f"{place}{TEMPORARY}*"):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)

    def scratch(self, round: int) -> Path:
        """A folder for files of a training that is under way; it is dropped when the run goes on."""
        path = self.round_path(round) / f"{TEMPORARY}training"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    # -- what was asked --------------------------------------------------------------------------------------------

    def start(self, run: Mapping[str, Any], pool: Mapping[str, Any], *, threads: int | None = None) -> dict[str, Any]:
        """Record what is asked, or check that it is what was asked before.

        ``rounds`` may grow and ``budget`` be extended at its end; that is recorded in ``extension_NN.json``. What a
        killed process left half-written is dropped. A folder that holds no model, and no query that a person was
        handed, starts afresh where something else is asked now.

        Args:
            run: content of ``run.json``; holds ``config``, ``rounds``, ``budget`` and its ``sizes``.
            pool: of :func:`monai_al.records.pool_record` or :func:`monai_al.records.pool_to_json`.
            threads: the CPU threads that are asked for; None takes those of the first start.

        Returns:
            The content of ``run.json``.

        Raises:
            RunFolderError: another config, pool or number of threads; nothing is touched.
        """
        asked = json.loads(json.dumps(run)) | {"config_hash": config_hash(run["config"])}
        before = read_json(self.path / "run.json") if (self.path / "run.json").exists() else None
        otherwise = self._otherwise(before, asked, pool, threads)
        if otherwise and (before is None or not is_beginning(self.path)):
            raise RunFolderError(f"{self.path} {otherwise}")
        if otherwise:
            what = otherwise.partition("; give ")[0]
            logger.warning("%s %s; it holds no model yet, so it starts afresh", self.path, what)
            drop_beginning(self.path)
        if before is None or otherwise:
            write_pool(self.path, pool)
            write_json(self.path / "run.json", asked)
            before = asked
        self._drop_following_query(asked["sizes"], _to_annotate(pool))
        self._extend(asked)
        self.drop_incomplete()
        return before

    def _drop_following_query(self, sizes: Sequence[int], n_items: int) -> None:
        """Forget the query that followed the last round where a round is added that asks for another number of items.

        What was handed out for it is put aside, for somebody may have begun.
        """
        number = len(self._asked_last()["sizes"])
        query = self.query(number)
        if query is None or len(sizes) <= number or len(query.items) == sizes[number]:
            return
        left = n_items - len(self.labels(number).asked)
        if left < sum(sizes[number:]):
            raise RunFolderError(
                f"{self.path}: --budget asks for {sum(sizes[number:])} items from round {number} on, but only {left} "
                "are left, because slices were labeled that nobody had asked for; give less"
            )
        work = self.path / "annotate" / self.round_path(number).name
        if work.is_dir():
            aside = next(
                path for n in itertools.count(1) if not (path := work.with_name(f"{work.name}_dropped_{n}")).exists()
            )
            work.rename(aside)
            logger.warning(
                "round %d asks for %d items, not for the %d that were handed out, which now lie in %s",
                number,
                sizes[number],
                len(query.items),
                aside,
            )
        (self.round_path(number) / "query.json").unlink()
        forget_pseudo_labels(self.round_path(number))  # which were of other items than the query
        with contextlib.suppress(OSError):  # it holds what nobody knows
            self.round_path(number).rmdir()

    def _otherwise(
        self, before: Mapping[str, Any] | None, asked: Mapping[str, Any], pool: Mapping[str, Any], threads: int | None
    ) -> str | None:
        """What was asked otherwise before, and what to do; None where nothing was."""
        if before is None:  # then nothing in the folder is known to be a run's, and nothing of it may be dropped
            gone = "holds rounds but no run.json: restore it, or give another output_dir"
            left = (*self.path.glob("round_*/**/*"), *self.path.glob("extension_*.json"))
            return gone if any(path.is_file() for path in left) else None
        if before["config_hash"] != asked["config_hash"]:
            difference = config_difference(before["config"], asked["config"])
            return f"was started with another config: {difference}; give another output_dir, or the config as it was"
        if threads not in (None, before.get("threads")):
            return (
                f"was started with {before.get('threads')} threads, now {threads}: results would differ; leave threads "
                "out, or give another output_dir"
            )
        changed = pool_difference(read_pool(self.path), pool)
        if changed is not None:
            return f"was started with {changed}"
        last, sizes = self._asked_last(), asked["sizes"]
        following = self.query(len(last["sizes"]))
        if following is not None and len(sizes) > len(last["sizes"]) and self.returns(following.round):
            last = {"sizes": [*last["sizes"], len(following.items)]}  # people have begun to answer it
        if sizes[: len(last["sizes"])] != last["sizes"]:
            return (
                f"was started with rounds of {last['sizes']} items, now {sizes}: rounds may grow and budget may be "
                "extended at its end, but what was asked before must stay"
            )
        return None

    def sizes(self) -> list[int]:
        """How many items each round asks for, as it was asked last."""
        return self._asked_last()["sizes"]

    def is_done(self) -> bool:
        """Whether all rounds that were asked for last are evaluated."""
        evaluated = len(list(self.path.glob("round_*/metrics.json")))
        return (self.path / "run.json").exists() and evaluated == len(self.sizes())

    def _asked_last(self) -> Mapping[str, Any]:
        """What was asked last of rounds and budget."""
        extensions = sorted(self.path.glob("extension_*.json"))
        return read_json(extensions[-1] if extensions else self.path / "run.json")

    def _extend(self, run: Mapping[str, Any]) -> None:
        last = self._asked_last()
        asked = {"rounds": run["rounds"], "budget": run["budget"]}
        if asked != {"rounds": last["rounds"], "budget": last["budget"]}:
            number = len(list(self.path.glob("extension_*.json")))
            content = {**asked, "sizes": run["sizes"], "when": _now()}
            write_json(self.path / f"extension_{number:02d}.json", content)

    # -- rounds ----------------------------------------------------------------------------------------------------

    def round_path(self, round: int) -> Path:
        """The folder of one round, or of the test set that people annotate."""
        return self.path / round_name(round)

    def query(self, round: int) -> Query | None:
        """The round's query, or None where it is not chosen yet."""
        path = self.round_path(round) / "query.json"
        return Query.from_json(read_json(path)) if path.exists() else None

    def write_query(self, query: Query) -> None:
        """Record a query.

        Raises:
            ValueError: a score is NaN or infinite, or the round has another query already.
        """
        if self.query(query.round) not in (None, query):
            raise ValueError(f"{self.round_path(query.round)} has another query already; a query is never rewritten")
        write_json(self.round_path(query.round) / "query.json", query.to_json())

    def answers_path(self, round: int, number: int) -> Path:
        """Where the label files of one return lie."""
        return self.round_path(round) / "answers" / f"{number:04d}"

    def next_return(self, round: int) -> int:
        """The number of the next return; those of returns that were not recorded to their end are not used again."""
        places = self.round_path(round)
        taken = [path.stem for folder in ("labels", "answers") for path in (places / folder).glob("[0-9]*")]
        return 1 + max((int(number) for number in taken if number.isdecimal()), default=-1)

    def write_labels(
        self,
        round: int,
        labels: Sequence[Label],
        annotator: str,
        *,
        refused: Mapping[str, str] | None = None,
        number: int | None = None,
        extra: Sequence[str] = (),
    ) -> None:
        """Record one return of labels.

        Args:
            round: the round whose query is answered.
            labels: the labels; those that lie in files, by paths relative to the round's folder.
            annotator: who answered.
            refused: id -> why the item has no label.
            number: of :meth:`next_return`, where files of the return lie under it already.
            extra: ids among the labels that the query did not ask for.
        """
        number = self.next_return(round) if number is None else number
        content = LabelReturn(tuple(labels), dict(refused or {}), annotator, _now(), tuple(extra)).to_json()
        write_json(self.round_path(round) / "labels" / f"{number:04d}.json", content)

    def encoder(self) -> dict[str, Any] | None:
        """Which pretrained encoder the run uses, where it lies and its hash; None where it uses none."""
        path = self.path / "encoder.json"
        return read_json(path) if path.exists() else None

    def write_encoder(self, encoder: Mapping[str, Any]) -> None:
        """Record the pretrained encoder, or where it lies now.

        Args:
            encoder: ``config`` and ``folder``, where it lies; ``sha256`` and ``embeddings_sha256``, which stay.

        Raises:
            RunFolderError: the run used another one before, or other embeddings.
        """
        before = self.encoder()
        if before is None:
            write_json(self.path / "encoder.json", encoder)
            return
        for key, what in (("sha256", "another encoder"), ("embeddings_sha256", "other embeddings")):
            if key in before and before[key] != encoder[key]:
                raise RunFolderError(
                    f"{self.path} was started with {what} ({before[key][:12]}, now {encoder[key][:12]}): training the "
                    "encoder again gave other weights, or its files have changed; restore the cache, or give another "
                    "output_dir"
                )
        moved = before | {key: encoder[key] for key in ("config", "folder")}
        if before != moved:
            write_json(self.path / "encoder.json", moved)

    def warm_start(self) -> dict[str, Any] | None:
        """Which pretrained weights the networks started from; None where none did, or none is trained yet."""
        path = self.path / "warm_start.json"
        return read_json(path) if path.exists() else None

    def write_warm_start(self, record: Mapping[str, Any]) -> None:
        """Record which pretrained weights the networks start from.

        Args:
            record: ``from`` and ``sha256`` of the weights; ``loaded`` and ``new``, names in the network.
        """
        write_json(self.path / "warm_start.json", record)

    def returns(self, round: int) -> list[LabelReturn]:
        """All returns of labels of one round, in order; files by their paths from here."""
        folder = self.round_path(round)
        return [one.under(folder) for one in read_labels(folder)]

    def labels(self, last_round: int) -> Labels:
        """The labels of all items that were labeled up to and with a round, or those of the test set."""
        if last_round == TEST:
            return Labels(self.returns(TEST))
        return Labels(one for round in range(last_round + 1) for one in self.returns(round))

    def labeled(self, last_round: int) -> list[str]:
        """Ids of the items that were labeled up to and with a round, in the order they came back."""
        return list(self.labels(last_round))

    def model_path(self, round: int, member: int) -> Path:
        """Where a member's weights lie."""
        return self.round_path(round) / f"model_{member}.pt"

    def write_model(self, round: int, member: int, save: Callable[[IO[bytes]], object]) -> None:
        """Record a member's weights; ``save`` writes them into the open file it gets."""
        write_file(self.model_path(round, member), save)

    def metrics(self, round: int) -> dict[str, Any] | None:
        """The round's metrics, or None where it is not evaluated yet."""
        path = self.round_path(round) / "metrics.json"
        return read_json(path) if path.exists() else None

    def write_metrics(self, round: int, metrics: Mapping[str, Any]) -> None:
        """Record a round's metrics."""
        write_json(self.round_path(round) / "metrics.json", metrics)

    def timings(self, round: int) -> dict[str, float]:
        """Seconds of each finished step of a round; what a killed process spent on an unfinished step is lost."""
        path = self.round_path(round) / "timings.json"
        return read_json(path) if path.exists() else {}

    def add_timing(self, number: int, **seconds: float) -> None:
        """Record how long steps of a round took, in seconds."""
        timings = self.timings(number) | {name: round(value, 2) for name, value in seconds.items()}
        write_json(self.round_path(number) / "timings.json", timings)

    # -- derived ---------------------------------------------------------------------------------------------------

    def curve(self) -> list[dict[str, Any]]:
        """One row for each evaluated round, None for an undefined number."""
        rows = []
        for round in range(len(list(self.path.glob("round_*")))):
            metrics = self.metrics(round)
            if metrics is not None:
                rows.append(_row(round, metrics, self.timings(round)))
        return rows

    def write_curve(self) -> list[dict[str, Any]]:
        """Write ``curve.csv`` anew from the rounds' files; undefined numbers are empty fields.

        Returns:
            The rows.
        """
        rows = self.curve()
        if rows:
            write_csv(self.path / "curve.csv", list(rows[0]), ([row.get(name) for name in rows[0]] for row in rows))
        return rows


def _to_annotate(pool: Mapping[str, Any]) -> int:
    """How many items of a pool may be annotated."""
    items = pool["items"]
    if isinstance(items, StoredItems):
        return len(items.table.where(lambda whole: whole.split == "train"))
    return sum(item["split"] == "train" for item in items)


def _row(number: int, metrics: Mapping[str, Any], timings: Mapping[str, float]) -> dict[str, Any]:
    dice = metrics["dice_3d"]
    return {
        "round": number,
        "labeled": metrics["labeled"],
        "fraction": metrics["fraction"],
        **{column: cost_in_column(metrics["cost"], column) for column in COST_COLUMNS},
        "dice_3d": dice["mean"],
        "dice_2d": metrics["dice_2d"]["mean"],
        "hd95_3d": metrics["hd95_3d"]["mean"],
        "dice_query": (metrics.get("dice_query") or {}).get("mean"),
        "train_s": timings.get("train_s"),
        "score_s": timings.get("score_s"),
        "select_s": timings.get("select_s"),
        "evaluate_s": timings.get("evaluate_s"),
        **{f"dice_3d_{name}": value for name, value in dice["per_class"].items()},
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
