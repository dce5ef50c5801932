# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The loop: one ignite iteration is one round."""

from __future__ import annotations

import functools
import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, EventEnum
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from monai_al.annotators import Annotator, Oracle
from monai_al.bundle import RoundTraining
from monai_al.bundle.run_record import plain, run_record
from monai_al.bundle.validation_use import decides_on_validation
from monai_al.engines.encoder import EncoderTraining
from monai_al.engines.members import BEST, MEAN, Members
from monai_al.handlers.named_embeddings import BOTTLENECK, bottleneck_of
from monai_al.handlers.needs import ENCODER, before_training, check_needs, is_layer, of_members
from monai_al.handlers.watched_call import find_layer
from monai_al.inferers import TrainedNetwork
from monai_al.metrics import check_empty_policy
from monai_al.passes.run import score_items
from monai_al.records import (
    DataError,
    Item,
    Query,
    QueryItem,
    Round,
    RunFolder,
    content_hash,
    derived_seed,
    pool_to_json,
    rng,
    round_sizes,
)
from monai_al.records.run_folder import UNDEFINED
from monai_al.report import write_learning_curve
from monai_al.sources import source_of
from monai_al.sources.entry_source import EntrySource
from monai_al.sources.slice_source import SliceSource
from monai_al.strategies import Strategy
from monai_al.uncertainty import Measure, check_activation

__all__ = ["ActiveLearner", "RoundEvents"]

logger = logging.getLogger(__name__)


class RoundEvents(EventEnum):
    """What an :class:`ActiveLearner` fires in each round, in this order, after a step that it did now.

    A run that goes on fires nothing for the steps it finds done, and the last round selects nothing.

    Example:
        >>> [event.value for event in RoundEvents][:2]
        ['query_annotated', 'round_trained']
    """

    QUERY_ANNOTATED = "query_annotated"
    ROUND_TRAINED = "round_trained"
    ROUND_EVALUATED = "round_evaluated"
    QUERY_SELECTED = "query_selected"


class ActiveLearner(Engine):
    """Annotate the query, train, evaluate, choose the next query; again for each round.

    An ``ignite.engine.Engine`` whose iterations are rounds; ``state.output`` is the round's metrics, and
    :class:`RoundEvents` fire after each step that is done now. Everything is kept in a run folder: a run that was
    killed goes on where it stopped when the same learner runs again, and on a CPU with as many threads it ends with the
    same files.

    Args:
        config_file: name of a standard training config and its overlays; built anew in each round. It declares
            ``pool`` (:class:`monai_al.records.Pool` with all splits) and ``cache`` (:class:`monai_al.data.VolumeCache`),
            or is a bundle that knows nothing of active learning: then its ``train#dataset#data`` is the pool and its
            ``validate#dataset#data`` the test set, scored through its own inferer and postprocessing.
        strategy: chooses the items of the next query.
        output_dir: the run folder.
        overrides: id -> value for the training config, unresolved.
        budget: see :func:`monai_al.records.round_sizes`.
        rounds: number of rounds.
        seed: the experiment's seed; all randomness derives from it.
        members: networks trained per round, each from its own seed.
        tested: which of several members is evaluated: ``"mean"``, their mean probability, or ``"best"``, the one with
            the highest 3D Dice on the validation part. It is scored, too, where a strategy does not need all of them.
        initial_weights: ``"scratch"``, or ``"previous"`` to start from the previous round's weights.
        annotator: who labels; the ground truth by default.
        activation: from the network's outputs to probabilities; None reads it off the training config.
        empty_policy: how Dice and HD95 treat empty masks: ``strict``, ``ignore_empty`` or ``count_empty``.
        scoring_batch_size: items per batch where nothing is trained.
        threads: CPU threads of torch; None keeps the process's number, or that of the start when a run goes on.
        config: the command's own config, kept in ``run.json``.
        progress: show progress bars.
        train_map: knob -> the id, or ids, of the training config that it sets; see
            :class:`monai_al.bundle.TrainingConfig`.
        handlers: attached to this engine, such as MONAI's for TensorBoard and MLflow.
        encoder: name of the config, and of its overlays, that trains the encoder of a strategy that needs one; see
            :class:`monai_al.engines.EncoderTraining`. It is trained before the first round, on all items that may be
            annotated, and kept in the cache.
        encoder_overrides: id -> value for that config, unresolved.
        initial_set: ``"strategy"`` lets a strategy that can choose the first query; ``"random"`` never does.

    Raises:
        ValueError: an argument is out of range.
        BundleConfigError: the training config lacks an id.

    Example:
        >>> import tempfile
        >>> from monai_al.cli import find_asset
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
        budget: int | float | Sequence[int | float] = 10,
        rounds: int = 5,
        seed: int = 0,
        members: int = 1,
        initial_weights: str = "scratch",
        annotator: Annotator | None = None,
        activation: str | None = None,
        empty_policy: str = "strict",
        scoring_batch_size: int = 64,
        threads: int | None = None,
        config: Mapping[str, Any] | None = None,
        progress: bool = True,
        train_map: Mapping[str, Any] | None = None,
        handlers: Sequence[Any] = (),
        tested: str = MEAN,
        encoder: Sequence[str | Path] | None = None,
        encoder_overrides: Mapping[str, Any] | None = None,
        initial_set: str = "strategy",
    ) -> None:
        super().__init__(self._round)
        self.register_events(*RoundEvents)
        _check_numbers(
            members=members,
            rounds=rounds,
            scoring_batch_size=scoring_batch_size,
            threads=1 if threads is None else threads,
        )
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ValueError(f"seed must be a whole number, got {seed!r}")
        if initial_weights not in ("scratch", "previous"):
            raise ValueError(f"initial_weights must be 'scratch' or 'previous', got {initial_weights!r}")
        if initial_set not in ("strategy", "random"):
            raise ValueError(f"initial_set must be 'strategy' or 'random', got {initial_set!r}")
        if activation is not None:
            check_activation(activation)
        check_empty_policy(empty_policy)
        self.training = RoundTraining(config_file, overrides, train_map)
        self.strategy = strategy
        self.initial_set = initial_set
        self.encoder = EncoderTraining(encoder, encoder_overrides) if encoder and self._needs_encoder() else None
        self.annotator = annotator or Oracle()
        self.folder = RunFolder(output_dir)
        self.budget, self.rounds, self.seed = budget, rounds, seed
        self.members = Members(self.folder, members, tested, activation)
        self.initial_weights, self.activation, self.empty_policy = initial_weights, activation, empty_policy
        self.scoring_batch_size, self.threads = scoring_batch_size, threads
        self.config, self.progress = config, progress
        for handler in handlers or ():
            handler.attach(self)

    def run(self) -> Any:  # type: ignore[override]
        """Run all rounds that are not complete yet.

        Raises:
            DataError: the data set cannot be used.
            RunFolderError: the folder belongs to another run, or is in use.
        """
        # the number of epochs is not used here, but a training that cannot start is to fail before anything is written
        self.training.resolve("train::trainer::max_epochs")
        self.source = source_of(self.training)
        self.pool, self.test = self.source.data.part("train"), self.source.data.part("test")
        if not len(self.pool) or not len(self.test):
            raise DataError(f"{len(self.pool)} items to annotate and {len(self.test)} to test on: both are needed")
        self.sizes = round_sizes(self.budget, self.rounds, len(self.pool))
        needs = self._needs().values()
        self._check_members(needs)
        self._check_encoder()
        self.source.prepare()
        trained = self.training.load(None, self.activation)
        self.source.try_network(trained, [need for need in needs if isinstance(need, Measure)])
        for layer in filter(is_layer, needs):
            find_layer(trained.network, str(layer))
        if BOTTLENECK in needs:
            (first,) = self.source.loader(self.pool.items[:1], batch_size=1)
            bottleneck_of(trained.network, trained.inferer, first["image"].to(trained.device))
        self.folder.lock()
        try:
            pool = pool_to_json(self.source.data, self.source.hashes())
            started = self.folder.start(self._record(), pool, threads=self.threads)
            with _torch_threads(started["threads"]):
                self._tell_start()
                hidden = None if self.progress else True
                with (
                    logging_redirect_tqdm([logging.root, logging.getLogger("monai_al")]),
                    tqdm(total=len(self.sizes), desc="rounds", unit="round", disable=hidden) as self._bar,
                ):
                    return super().run(range(len(self.sizes)), max_epochs=1)
        finally:
            self.folder.unlock()

    # -- one round -------------------------------------------------------------------------------------------------

    def _round(self, engine: Engine, number: int) -> dict[str, Any]:
        waiting = self._annotate(number)
        if waiting:
            logger.info(
                "round %d: %d answers of %s are still waiting, such as %s; run the same command again when they are in",
                number, len(waiting), self.annotator.name, waiting[0],
            )  # fmt: skip
            self.terminate()
            return {}
        self._train(number)
        last = number + 1 == len(self.sizes)
        evaluated, selected = self.folder.metrics(number) is not None, self.folder.query(number + 1) is not None
        if not evaluated:
            self._evaluate(number)
        metrics = self.folder.metrics(number) or {}
        engine.state.output = metrics  # type: ignore[assignment]  # handlers look for it before ignite sets it
        if not evaluated:
            self.fire_event(RoundEvents.ROUND_EVALUATED)
        if not (last or selected):
            self._select(number + 1)
            self.fire_event(RoundEvents.QUERY_SELECTED)
        self._tell_round(number)
        return metrics

    def _annotate(self, number: int) -> Sequence[str]:
        """Ask for the labels of the round's query that are not there yet; returns the ids that are still waiting."""
        query = self.folder.query(number)
        if query is None:  # only the first round: later queries are chosen by the round before
            query = self._initial_query()
            self.folder.write_query(query)
        labeled = set(self.folder.labeled(number))
        missing = tuple(item for item in query.items if item.id not in labeled)
        if not missing:
            return ()
        answer = self.annotator.annotate(Query(number, query.strategy, query.seed, missing), self.pool)
        if answer.labeled:
            self.folder.write_labels(number, answer.labeled, self.annotator.name, answer.kind)
        if not answer.waiting:
            self.fire_event(RoundEvents.QUERY_ANNOTATED)
        return answer.waiting

    def _initial_query(self) -> Query:
        needs = self._initial_needs()
        if needs is not None:
            round = Round(
                0, self.pool, np.empty(0, dtype=np.int64), self.seed, {}, self._embeddings_before_training(needs)
            )
            return self.strategy.query(round, self.sizes[0])
        picks = rng(self.seed, 0, "initial").choice(len(self.pool), self.sizes[0], replace=False)
        items = tuple(QueryItem(self.pool[int(i)].id, reason="initial set, random") for i in picks)
        return Query(0, "random", self.seed, items)

    def _train(self, number: int) -> None:
        items = self._labeled_items(number)
        missing = [
            member for member in range(self.members.number) if not self.folder.model_path(number, member).exists()
        ]
        for member in missing:
            start = time.perf_counter()
            scratch = self.folder.scratch(number)
            weights = self.training.run(
                self.source.entries(items),
                seed=derived_seed(self.seed, number, f"train member {member}"),
                validation=self.source.entries(self.source.data.part("validation").items),
                state=self._initial_state(number, member),
                scratch=scratch,
            )
            bad = [name for name, value in weights.items() if not bool(torch.isfinite(value).all())]
            if bad:
                raise ValueError(
                    f"training of round {number} diverged ({bad[0]} is not finite): lower the learning rate"
                )
            self.folder.write_model(number, member, functools.partial(torch.save, {"model": weights}))
            spent = self.folder.timings(number).get("train_s", 0.0) if member else 0.0
            self.folder.add_timing(number, train_s=spent + time.perf_counter() - start)
            shutil.rmtree(scratch)
        if missing:
            self.fire_event(RoundEvents.ROUND_TRAINED)

    def _initial_state(self, number: int, member: int) -> Mapping[str, torch.Tensor] | None:
        if self.initial_weights == "scratch" or number == 0:
            return None
        return self.members.state(number - 1, member)

    def _load(self, number: int, members: Iterable[int]) -> TrainedNetwork:
        return self.members.load(self.training, self.source, number, members)

    def _evaluate(self, number: int) -> None:
        start = time.perf_counter()
        members, choice = self.members.choose(functools.partial(self._validated, number))
        scores = self._scores_of(self._load(number, members), self.test.items, "evaluating")
        labeled = self._labeled_items(number)
        returns = [entry for earlier in range(number + 1) for entry in self.folder.labels(earlier)]
        metrics = {
            "labeled": len(labeled),
            "fraction": len(labeled) / len(self.pool),
            "cost": self.source.cost(labeled, returns),
            **scores,
            **self._model_choice(),
            **choice,
        }
        self.folder.write_metrics(number, metrics)
        self.folder.add_timing(number, evaluate_s=time.perf_counter() - start)

    def _validated(self, number: int, member: int) -> float | None:
        items = self.source.data.part("validation").items
        return self._scores_of(self._load(number, [member]), items, "validating")["dice_3d"]["mean"]

    def _scores_of(self, trained: TrainedNetwork, items: Sequence[Item], what: str) -> dict[str, Any]:
        options = {"batch_size": self.scoring_batch_size, "description": self._description(what)}
        return self.source.evaluate(trained, items, empty_policy=self.empty_policy, **options)

    def _select(self, number: int) -> None:
        """Choose the query of a round with the network of the round before."""
        start = time.perf_counter()
        round = self._seen_by_strategy(number)
        scored = time.perf_counter()
        query = self.strategy.query(round, self.sizes[number])
        selected = time.perf_counter()
        self.folder.write_query(query)
        self.folder.add_timing(number - 1, score_s=scored - start, select_s=selected - scored)

    def _seen_by_strategy(self, number: int) -> Round:
        labeled = np.asarray([self.pool.index(id) for id in self.folder.labeled(number - 1)], dtype=np.int64)
        stored, needs = self._encoder_embeddings(self._needs())
        embeds = any(isinstance(need, str) for need in needs.values())  # those of labeled items count, too
        seen = np.arange(len(self.pool)) if embeds else np.setdiff1d(np.arange(len(self.pool)), labeled)
        found = self._scored(number, [self.pool[int(i)] for i in seen], needs) if needs else {}
        embeddings = {name: values for name, values in found.items() if isinstance(needs[name], str)} | stored
        scores = {name: np.full(len(self.pool), -np.inf) for name in found if name not in embeddings}
        for name, values in scores.items():
            values[seen] = found[name]
            values[labeled] = -np.inf
        present = self.source.present(self.pool.items) if self.strategy.uses_truth else None
        return Round(number, self.pool, labeled, self.seed, scores, embeddings, present)

    def _scored(self, number: int, items: Sequence[Item], needs: Mapping[str, Measure | str]) -> dict[str, np.ndarray]:
        """What a strategy needs of these items, from the networks of the round before."""
        if all(before_training(need) for need in needs.values()):
            return self._embeddings_before_training(needs)
        trained = self._load(number - 1, self.members.to_score(number - 1, needs.values()))
        return score_items(
            trained.network,
            self.source.loader(items, batch_size=self.scoring_batch_size),
            needs,
            activation=trained.activation,
            seed=derived_seed(self.seed, number, "scoring"),
            device=trained.device,
            inferer=trained.inferer,
            description=self._description("scoring"),
        )

    def _embeddings_before_training(self, needs: Mapping[str, Measure | str]) -> dict[str, np.ndarray]:
        """The embeddings that need no trained network."""
        stored, others = self._encoder_embeddings(needs)
        wrong = [need for need in others.values() if not before_training(need)]
        if wrong:
            raise ValueError(
                f"strategy {self.strategy.name} needs {wrong[0]!r} for the initial set: no network is trained"
            )
        loader = self.source.loader(self.pool.items, batch_size=self.scoring_batch_size)
        return stored | score_items(torch.nn.Identity(), loader, others, description=self._description("scoring"))

    def _encoder_embeddings(
        self, needs: Mapping[str, Measure | str]
    ) -> tuple[dict[str, np.ndarray], dict[str, Measure | str]]:
        """Those of the pretrained encoder, and what else is needed."""
        names = [name for name, need in needs.items() if need == ENCODER]
        others = {name: need for name, need in needs.items() if need != ENCODER}
        if not names:
            return {}, others
        assert self.encoder is not None
        assert isinstance(self.source, SliceSource)
        seed = derived_seed(self.seed, 0, ENCODER)
        start = time.perf_counter()
        entry = self.encoder.entry(self.source, self.pool.items, seed=seed, progress=self.progress)
        if self.folder.encoder() is None:
            self.folder.add_timing(0, encoder_s=time.perf_counter() - start)
        place = {"config": self.encoder.training.name, "folder": str(entry)}
        self.folder.write_encoder(place | {"sha256": content_hash(entry / "encoder.pt")})
        embeddings = np.load(entry / "embeddings.npy", mmap_mode="r")
        return dict.fromkeys(names, embeddings), others

    def _needs(self) -> dict[str, Measure | str]:
        return check_needs(self.strategy.needs(), self.strategy.name)

    def _initial_needs(self) -> dict[str, Measure | str] | None:
        needs = self.strategy.initial_needs() if self.initial_set == "strategy" else None
        return None if needs is None else check_needs(needs, self.strategy.name)

    def _needs_encoder(self) -> bool:
        return ENCODER in (*self._needs().values(), *(self._initial_needs() or {}).values())

    def _check_members(self, needs: Iterable[Measure | str]) -> None:
        for need in needs:
            several = self.members.number > 1
            if isinstance(need, str) and not before_training(need) and several and self.members.tested == MEAN:
                raise ValueError(
                    f"strategy {self.strategy.name} needs the layer {need!r} of one network: members = 1, or "
                    "tested = best"
                )
            if of_members(need) and not several:
                raise ValueError(f"strategy {self.strategy.name} needs several networks per round: --members 5")
        if self.members.tested == BEST and not len(self.source.data.part("validation")):
            raise ValueError(
                "tested = best needs a validation part: "
                + ("set --validation_fraction" if isinstance(self.source, SliceSource) else "this bundle has none")
            )

    def _check_encoder(self) -> None:
        if self._needs_encoder() and self.encoder is None:
            raise ValueError(
                f"strategy {self.strategy.name} needs a pretrained encoder: name the config that trains it by "
                "--encoder, such as configs/pretrain.yaml of the bundle group_contrastive_cardiac"
            )
        if self.encoder is not None and not isinstance(self.source, SliceSource):
            raise ValueError("an encoder needs a training config with a pool and a cache of its own")

    # -- details ---------------------------------------------------------------------------------------------------

    def _labeled_items(self, number: int) -> list[Item]:
        return [self.pool[self.pool.index(id)] for id in self.folder.labeled(number)]

    def _description(self, what: str) -> str | None:
        return what if self.progress else None

    def _model_choice(self) -> dict[str, Any]:
        """Which model was tested, and how many labels that choice used."""
        raw = self.training.raw()
        if isinstance(self.source, EntrySource):  # its own validation is on the test set
            return {"model": "last", "validation_labeled": len(self.test) if decides_on_validation(raw) else 0}
        best = raw.get("model") == "best"
        validated = best or raw.get("early_stopping") is not None or self.members.tested == BEST
        return {
            "model": "best on validation" if best else "last",
            "validation_labeled": len(self.source.data.part("validation")) if validated else 0,
        }

    def _record(self) -> dict[str, Any]:
        settings = {
            "seed": self.seed,
            "members": self.members.number,
            "initial_weights": self.initial_weights,
            "activation": self.activation,
            "empty_policy": self.empty_policy,
            "scoring_batch_size": self.scoring_batch_size,
            "uses_truth": self.strategy.uses_truth,
            "tested": self.members.tested,
            "initial_set": self.initial_set,
            "encoder": None if self.encoder is None else self.encoder.settings(),
        }
        plan = {"items": len(self.pool), "rounds": self.rounds, "budget": self.budget, "sizes": self.sizes}
        threads = self.threads or torch.get_num_threads()
        training = self.training.raw() | ({"bundle_root": str(self.training.root)} if self.training.root else {})
        return run_record(self.strategy, self.annotator, training, settings) | {
            "command": plain(self.config),
            "seed": self.seed,
            "threads": threads,
            **plan,
        }

    def _tell_start(self) -> None:
        for note in self.source.data.notes:
            logger.info("note: %s", note)
        deciding = decides_on_validation(self.training.raw()) if isinstance(self.source, EntrySource) else []
        if deciding:
            logger.warning(
                "the bundle's own %s looks at its validation data, which are the test set here: the scores flatter. "
                "Disable it by an overlay in train_overlays",
                ", ".join(deciding),
            )
        test_volumes = len(self.test.volumes)
        logger.info(
            "%s: %d items of %d patients may be annotated, %d in the end; tested on %d volumes of %d patients",
            self.strategy.name, len(self.pool), len(self.pool.patients), sum(self.sizes), test_volumes,
            len(self.test.patients),
        )  # fmt: skip

    def _tell_round(self, number: int) -> None:
        rows = self.folder.write_curve()
        write_learning_curve({self.strategy.name: rows}, self.folder.path / "report" / "learning_curve.png")
        row = rows[number]
        logger.info(
            "round %d (%d of %d): %d of %d items labeled (%.1f %%), 3D Dice %s, 2D Dice %s, HD95 %s %s; "
            "train %s s, evaluate %s s, score %s s",
            number, number + 1, len(self.sizes), row["labeled"], len(self.pool), 100 * row["fraction"],
            *(_shown(row[name], 3) for name in ("dice_3d", "dice_2d")), _shown(row["hd95_3d"], 1),
            "mm" if not self.source.placeholder_spacing(self.test.items) else "(the spacing is a placeholder)",
            *(_shown(row[name], 1) for name in ("train_s", "evaluate_s", "score_s")),
        )  # fmt: skip
        self._bar.update()
        if number + 1 == len(self.sizes):
            logger.info("learning curve: %s", self.folder.path / "report" / "learning_curve.png")


def _check_numbers(**numbers: Any) -> None:
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {number!r}")


def _shown(value: float | None, digits: int) -> str:
    return UNDEFINED if value is None else f"{value:.{digits}f}"


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
