# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The loop: one ignite iteration is one round."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from monai_al.annotators import Annotator, Oracle, Work, ask
from monai_al.annotators.places import with_places
from monai_al.bundle import TrainingConfig
from monai_al.bundle.opened_training import open_training
from monai_al.bundle.run_record import EXECUTED, plain, run_record
from monai_al.distributed import Team, device_identity, refuse_shared_devices
from monai_al.engines.answers import follow_corrections, record_answer
from monai_al.engines.checks import (
    check_annotator,
    check_encoder,
    check_initial_weights,
    check_members,
    check_own_group,
    check_parts,
    check_pixels,
    check_truth,
    needs_encoder,
    try_training,
)
from monai_al.engines.components import check_components
from monai_al.engines.done_before import CURVE, is_finished
from monai_al.engines.encoder import EncoderTraining
from monai_al.engines.initial_set import first_strategy
from monai_al.engines.labeled_validation import LABELED
from monai_al.engines.loop_log import (
    tell_answer,
    tell_answered,
    tell_budget,
    tell_own_weights,
    tell_processes,
    tell_pseudo_labels,
    tell_refused,
    tell_round,
    tell_start,
    tell_unused_validation,
    tell_waiting,
)
from monai_al.engines.member_training import MemberTraining
from monai_al.engines.members import Members
from monai_al.engines.pseudo_labeling import record_pseudo_labels, without_foreground
from monai_al.engines.round_events import RoundEvents
from monai_al.engines.round_metrics import RoundMetrics
from monai_al.engines.settings import BUNDLE, LoopSettings
from monai_al.engines.shared_work import SharedWork
from monai_al.engines.strategy_view import StrategyView
from monai_al.engines.threads import torch_threads
from monai_al.engines.warm_start import WarmStart
from monai_al.failures import log_to
from monai_al.handlers.needs import ENCODER
from monai_al.inferers import TrainedNetwork
from monai_al.passes import predict_volume
from monai_al.records import (
    TEST,
    Item,
    Labels,
    Query,
    QueryItem,
    RunFolder,
    config_hash,
    is_oracle,
    pool_record,
    rng,
    round_sizes,
)
from monai_al.records.manifest import check_intact, close_round
from monai_al.records.signature import sign_run
from monai_al.report import write_learning_curve
from monai_al.sources import Source, source_of
from monai_al.strategies import Strategy

__all__ = ["ActiveLearner", "RoundEvents"]

logger = logging.getLogger(__name__)


class ActiveLearner(Engine):
    """Annotate the query, train, evaluate, choose the next query; again for each round.

    An ``ignite.engine.Engine`` whose iterations are rounds; ``state.output`` is the round's metrics, and
    :class:`RoundEvents` fire after each step that is done now. Everything is kept in a run folder: a run that was
    killed goes on where it stopped when the same learner runs again, and on a CPU with as many threads it ends with the
    same files.

    Args:
        config_file: name of a standard training config and its overlays; built anew in each round. It declares
            ``pool`` (:class:`monai_al.records.Pool` with all splits) and ``cache``
            (:class:`monai_al.data.VolumeCache`), or is a bundle that knows nothing of active learning: then the pool is
            what the trainer reads that it runs, and the test set what its evaluator reads, scored through its own
            inferer and postprocessing. So it is with a Python file that holds a training workflow of MONAI's; see
            :class:`monai_al.bundle.PythonTraining`.
        strategy: chooses the items of the next query.
        output_dir: the run folder.
        overrides: id -> value for the training config, unresolved.
        train_map: knob -> the id, or ids, of the training config that it sets; see
            :class:`monai_al.bundle.TrainingConfig`.
        bundle_ids: part of a training -> its id, where it is not found by what it is; see
            :data:`monai_al.bundle.found_parts.ROLES`.
        properties_path: MONAI's JSON file of properties; see :func:`monai_al.bundle.opened_training.open_training`.
        annotator: who labels; the ground truth by default.
        encoder: name of the config, and of its overlays, that trains the encoder of a strategy or a warm start that
            needs one; see :class:`monai_al.engines.EncoderTraining`. It is trained before the first round, on all items
            that may be annotated, and kept in the cache.
        encoder_overrides: id -> value for that config, unresolved.
        handlers: attached to this engine, such as MONAI's for TensorBoard and MLflow.
        config: the command's own config, kept in ``run.json``.
        **settings: those of :class:`monai_al.engines.LoopSettings`, such as ``budget``, ``rounds``, ``seed``.

    Raises:
        ValueError: an argument is out of range.
        BundleConfigError: the training config lacks an id.

    Example:
        >>> import tempfile
        >>> from monai_al.assets import find_asset
        >>> from monai_al.strategies import Random
        >>> train = find_asset("selective_uncertainty_spleen") / "configs" / "train.yaml"
        >>> small = {"steps": 1, "image_size": [32, 32], "channels": [4, 8], "cache_dir": tempfile.mkdtemp()}
        >>> small |= {"phantom": {"patients": 3, "shape": [32, 32, 6]}, "progress": False}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     learner = ActiveLearner(train, Random(), folder, overrides=small, budget=2, rounds=2, progress=False)
        ...     _ = learner.run()
        ...     learner.folder.metrics(1)["labeled"]
        4
    """

    def __init__(
        self,
        config_file: str | Path | Sequence[str | Path],
        strategy: Strategy,
        output_dir: str | Path,
        *,
        overrides: Mapping[str, Any] | None = None,
        train_map: Mapping[str, Any] | None = None,
        bundle_ids: Mapping[str, str] | None = None,
        properties_path: str | Path | None = None,
        annotator: Annotator | None = None,
        encoder: Sequence[str | Path] | None = None,
        encoder_overrides: Mapping[str, Any] | None = None,
        handlers: Sequence[Any] | None = (),
        config: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(self._round)
        self.register_events(*RoundEvents)
        self.settings = LoopSettings(**settings)
        opened = functools.partial(
            open_training,
            config_file,
            train_map=train_map,
            bundle_ids=bundle_ids,
            properties_path=properties_path,
            own_weights=self.settings.initial_weights == BUNDLE,
        )
        self.training = opened(overrides)
        if self.settings.validate_on == LABELED and self.training.declares("validated"):
            self.training = opened(dict(overrides or {}) | {"validated": True})
        self.strategy = strategy
        self.annotator = annotator or Oracle()
        check_components(strategy=strategy, annotator=self.annotator, handlers=handlers or ())
        choosing = [strategy, *filter(None, [first_strategy(strategy, self.settings.initial_set)])]
        self.warm_start = WarmStart(self.settings.warm_start, self.training) if self.settings.warm_start else None
        wanted = needs_encoder(*choosing) or self.settings.warm_start == ENCODER
        self.encoder = EncoderTraining(encoder, encoder_overrides) if encoder and wanted else None
        self.folder = RunFolder(output_dir)
        self.members = Members(
            self.folder, self.training, self.settings.members, self.settings.tested, self.settings.activation
        )
        self.work = SharedWork(Team(), self.training, self.members, self.settings)
        self.config = config
        for handler in handlers or ():
            handler.attach(self)

    def run(self) -> Any:  # type: ignore[override]
        """Run all rounds that are not complete yet.

        Raises:
            DataError: the data set cannot be used.
            RunFolderError: the folder belongs to another run, is in use, or holds a file that is not as it was written.
        """
        with Team.of_launched() as team:
            self.work = SharedWork(team, self.training, self.members, self.settings)
            team.jobs["begin"] = self._begin
            if self.encoder is not None:
                self.encoder.join(team)
            if team.first:
                return self._run()
            team.serve()
            done = [number for number in range(self.settings.rounds) if self.folder.metrics(number) is not None]
            self.state.output = self.folder.metrics(done[-1]) if done else None  # type: ignore[assignment]
            return self.state

    def _begin(self, team: Team, threads: int) -> tuple[str, str] | None:
        """Get ready to do what the first process, which has done this already, says; returns what tells its GPU."""
        told = None
        if team.size > 1 and isinstance(self.training, TrainingConfig) and self.training.declares("device"):
            told = device_identity(torch.device(self.training.resolve("device")[0]))
        if team.first:
            return told
        torch.set_num_threads(threads)
        self.work.source = source_of(
            self.training, entries=self.settings.entries, score_inside=self.settings.score_inside
        )
        self.work.source.prepare()
        if self.work.source.cache is None:  # its network tells the classes
            self.work.source.try_network(self.training.load(None, self.settings.activation), [])
        if self.encoder is not None:
            self.encoder.source = self.work.source
        return told

    def _run(self) -> Any:
        with log_to(self.folder.path, begun=False) as log:
            self.folder.refuse_foreign()
            check_own_group(self.training, self.work.team.size)
            self._prepare()
            self.folder.lock()
            try:
                check_intact(self.folder.path)
                hashes = self.source.hashes()
                pool = pool_record(self.source.data, hashes)
                self.metrics = RoundMetrics(
                    self.folder,
                    self.source,
                    self.work,
                    config_hash({item.id: hashes.get(str(item.label)) for item in self.test}),
                    self._pretrained,
                )
                started = self.folder.start(asked := self._record(), pool, threads=self.settings.threads)
                log.begin()
                if all(plain(asked[key]) == started.get(key) for key in EXECUTED):  # it is what this command says
                    sign_run(self.folder.path)
                with torch_threads(started["threads"]):
                    follow_corrections(self.folder, self.source, self.annotator.name)
                    if is_finished(self.folder, self.sizes):
                        return self._tell_done()
                    tell_processes(self.work.team.size, started.get("processes", 1))
                    if self.encoder is not None:
                        self.encoder.processes = started.get("processes", 1)
                    refuse_shared_devices(self.work.team.each("begin", threads=started["threads"]))
                    return self._run_rounds()
            finally:
                self.folder.unlock()

    def _run_rounds(self) -> Any:
        self._annotate_test()
        if self.training.weights is not None:
            tell_own_weights([one["file"] for one in self.training.weights])
        tell_start(self.strategy.name, self.source, sum(self.sizes), self.metrics.deciding_on_test)
        if self.settings.validate_on == LABELED and not self.metrics.validates:
            tell_unused_validation()
        tell_budget(self.settings.budget, self.settings.rounds, self.sizes, len(self.pool))
        hidden = None if self.settings.progress else True
        with (
            logging_redirect_tqdm([logging.root, logging.getLogger("monai_al")]),
            tqdm(total=len(self.sizes), desc="rounds", unit="round", disable=hidden) as self._bar,
        ):
            try:
                found = super().run(range(len(self.sizes)), max_epochs=1)
            except BaseException:  # it failed or was stopped, and drawing must not hide why
                with suppress(Exception):
                    self._draw_curve()
                raise
            self._draw_curve()
            self._hand_out_next()
            return found

    def _hand_out_next(self) -> None:
        """Give people the query that follows the last round, or take their answers to it."""
        number = len(self.sizes)
        query = self.folder.query(number)
        if query is None or self.folder.metrics(number - 1) is None:
            return
        waiting, problems = self._annotate(number)
        if waiting:
            tell_waiting(number, waiting, self.annotator.name, self.folder.path, problems)
        else:
            tell_answered(number, len(query.items), self.settings.budget)

    def _annotate_test(self) -> None:
        """Give people the volumes to test on, once, and take what they have answered; no round waits for it."""
        if not self.settings.annotate_test:
            return
        if self.folder.query(TEST) is None:
            query = Query(TEST, "test set", self.settings.seed, tuple(map(_to_test_on, self.test)))
            self.folder.write_query(with_places(query, self.source))
        waiting, problems = self._annotate(TEST)
        if waiting:
            tell_waiting(TEST, waiting, self.annotator.name, self.folder.path, problems)

    def _tell_done(self) -> Any:
        self.state.output = self.folder.metrics(len(self.sizes) - 1)  # type: ignore[assignment]
        logger.info("%s is done: all %d rounds are evaluated", self.folder.path, len(self.sizes))
        self._annotate_test()
        self._hand_out_next()
        return self.state

    def _prepare(self) -> None:
        """Read the data and check all that can be wrong, before anything is written."""
        if isinstance(self.training, TrainingConfig) and self.training.has_pool:
            self.training.resolve("train::trainer::max_epochs")  # not used here; what cannot start is to fail
        entries, inside = self.settings.entries, self.settings.score_inside
        self.check(source_of(self.training, entries=entries, score_inside=inside))
        self.pool, self.test = self.source.data.part("train"), self.source.data.part("test")
        self.work.source = self.source
        self.view = StrategyView(
            self.strategy,
            self.source,
            self.work,
            sizes=self.sizes,
            first=self.first,
            encoder=self.encoder,
        )

    def check(self, source: Source, *, trying: Callable[..., None] = try_training) -> None:
        """Check all that can be wrong with a run on some data; nothing is written.

        Args:
            source: the data of the training config.
            trying: called as :func:`monai_al.engines.checks.try_training`.

        Raises:
            ValueError: it cannot work; the message says why.
        """
        self.source = source
        check_initial_weights(self.training, self.settings.initial_weights)
        check_parts(self.source, self.strategy, annotates_test=self.settings.annotate_test > 0)
        n_items = len(self.source.data.part("train"))
        self.sizes = round_sizes(self.settings.budget, self.settings.rounds, n_items)
        check_members(self.strategy, self.members, self.source, validate_on=self.settings.validate_on)
        labels = any(one.label is not None for one in self.source.data.part("train").items.wholes)
        self.first = first_strategy(self.strategy, self.settings.initial_set, labels=labels)
        choosing = [self.strategy, *filter(None, [self.first])]
        warm = self.settings.warm_start == ENCODER
        check_encoder(self.source, *choosing, given=self.encoder is not None, warm_start=warm)
        if not is_finished(self.folder, self.sizes):
            self.source.prepare()
            check_annotator(self.annotator, self.source)
            check_truth(self.source, self.strategy)
            trying(self.training, self.source, self.strategy, self.settings.activation)
            check_pixels(self.source, self.strategy, self.first)
            if self.warm_start is not None:
                self.warm_start.check(None if self.encoder is None else self.encoder.training)
        elif self.source.cache is None:  # its network tells the classes
            self.source.try_network(self.training.load(None, self.settings.activation), [])

    # -- one round -------------------------------------------------------------------------------------------------

    def _round(self, engine: Engine, number: int) -> dict[str, Any]:
        waiting, problems = self._annotate(number)
        if waiting:
            tell_waiting(number, waiting, self.annotator.name, self.folder.path, problems)
            self.terminate()
            return {}
        if MemberTraining(self.work, self._pretrained).train(number):
            self.fire_event(RoundEvents.ROUND_TRAINED)
        evaluated, selected = self.folder.metrics(number) is not None, self.folder.query(number + 1) is not None
        if not evaluated:
            start = time.perf_counter()
            self.folder.write_metrics(number, self.metrics.of(number))
            self.folder.add_timing(number, evaluate_s=time.perf_counter() - start)
        metrics = self.folder.metrics(number) or {}
        engine.state.output = metrics  # type: ignore[assignment]  # handlers look for it before ignite sets it
        if not evaluated:
            self.fire_event(RoundEvents.ROUND_EVALUATED)
        following = self._following(number)
        if following and not selected:
            self._select(number + 1, following)
            self.fire_event(RoundEvents.QUERY_SELECTED)
        self._finish_round(number)
        close_round(self.folder.path, number)
        return metrics

    def _following(self, number: int) -> int:
        """How many items the query after a round asks for; after the last as many, where people answer."""
        if number + 1 < len(self.sizes):
            return self.sizes[number + 1]
        if is_oracle(self.annotator.name):
            return 0
        return min(self.sizes[-1], len(self.pool) - len(self.folder.labels(number).asked))

    def _annotate(self, number: int) -> tuple[Sequence[str], Mapping[str, str]]:
        """Ask for the labels of the round's query that are not there yet.

        Returns:
            The ids that are still waiting, and why those wait for which something came back.
        """
        query = self.folder.query(number)
        if query is None:  # only the first round: later queries are chosen by the round before
            query = with_places(self._initial_query(), self.source)
            self.folder.write_query(query)
        labels = self.folder.labels(number)
        asked = set(labels.asked)
        missing = tuple(item for item in query.items if item.id not in asked)
        if not missing:
            return (), {}
        asked_now = Query(number, query.strategy, query.seed, missing)
        pool = self.test if number == TEST else self.pool
        answer = ask(self.annotator, asked_now, pool, self._work(number, labels))
        waiting, refused = record_answer(self.folder, asked_now, answer, self.annotator.name, self.source)
        tell_answer(number, answer)
        tell_refused(number, refused, len(query.items))
        if not waiting and number != TEST:
            self.fire_event(RoundEvents.QUERY_ANNOTATED)
        return waiting, answer.problems

    def _work(self, number: int, labels: Labels) -> Work:
        """What the annotator may look at."""
        return Work(self.folder.path, self.source, labels, self._predictor(number - 1) if number > 0 else None)

    def _predictor(self, number: int) -> Callable[[Item], np.ndarray | None]:
        """What the network of a round says of an item's volume; it is loaded once it is asked."""

        @functools.cache
        def trained() -> TrainedNetwork:
            return self.members.load(self.source, number, self.members.of_round(number))

        def predict(item: Item) -> np.ndarray | None:
            return predict_volume(self.source, trained(), item, batch_size=self.settings.scoring_batch_size)

        return predict

    def _initial_query(self) -> Query:
        round = self.view.before_round_0()
        if round is not None and self.first is not None:
            return self.first.query(round, self.sizes[0])
        seed = self.settings.seed
        picks = rng(seed, 0, "initial").choice(len(self.pool), self.sizes[0], replace=False)
        items = tuple(QueryItem(self.pool[int(i)].id, reason="initial set, random") for i in picks)
        return Query(0, "random", seed, items)

    def _pretrained(self) -> Mapping[str, torch.Tensor] | None:
        return None if self.warm_start is None else self.warm_start.weights(self.folder, self.view.trained_encoder)

    def _select(self, number: int, size: int) -> None:
        """Choose the query of a round with the network of the round before."""
        start = time.perf_counter()
        round = self.view.after_round(number - 1, self.folder.labels(number - 1).asked)
        scored = time.perf_counter()
        query = with_places(self.strategy.query(round, size), self.source)
        if self.strategy.gives_pseudo_labels:
            ids, empty, predict = self.strategy.pseudo_items(round, query), [], self._predictor(number - 1)
            if ids:  # in this round, of any items
                left = (self.pool[int(i)].id for i in round.unlabeled)
                empty = without_foreground((id for id in left if id not in query.ids), self.source, predict)
                ids = self.strategy.pseudo_items(round, query, empty)
            record_pseudo_labels(self.folder, number, ids, self.strategy.name, self.source, predict)
            tell_pseudo_labels(number, len(ids), len(empty))
        selected = time.perf_counter()
        self.folder.write_query(query)  # the last, so that a kill before it starts the selection again
        self.folder.add_timing(number - 1, score_s=scored - start, select_s=selected - scored)

    # -- details ---------------------------------------------------------------------------------------------------

    def _record(self) -> dict[str, Any]:
        settings = self.settings.results() | {
            "uses_truth": self.strategy.uses_truth,
            "encoder": None if self.encoder is None else self.encoder.settings(),
        }
        if self.training.ids:
            settings["parts"] = self.training.ids
        if self.training.weights is not None:
            settings["bundle_weights"] = self.training.weights
        if self.warm_start is not None:
            settings["warm_start"] = self.warm_start.settings()
        training = self.training.raw() | ({"bundle_root": str(self.training.root)} if self.training.root else {})
        return run_record(self.strategy, self.annotator, training, settings) | {
            "command": plain(self.config),
            "seed": self.settings.seed,
            "threads": self.settings.threads or torch.get_num_threads(),
            **({"processes": self.work.team.size} if self.work.team.size > 1 else {}),
            "items": len(self.pool),
            "rounds": self.settings.rounds,
            "budget": self.settings.budget,
            "sizes": self.sizes,
        }

    def _finish_round(self, number: int) -> None:
        rows = self.folder.write_curve()
        spacing = self.source.placeholder_spacing(self.test.items)
        tell_round(rows[number], len(self.sizes), len(self.pool), placeholder_spacing=spacing)
        self._bar.update()

    def _draw_curve(self) -> None:
        rows = self.folder.write_curve()
        if rows:
            path = self.folder.path / CURVE
            write_learning_curve({self.strategy.name: rows}, path)
            logger.info("learning curve: %s", path)


def _to_test_on(item: Item) -> QueryItem:
    return QueryItem(item.id, reason="test set")
