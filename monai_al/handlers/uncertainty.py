# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Score every item that passes through a MONAI evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents
from monai.inferers import Inferer
from monai.networks import eval_mode
from monai.utils import CommonKeys
from torch import Tensor

from monai_al.handlers.item_ids import ItemIds
from monai_al.handlers.result_files import of_this_process, result_path
from monai_al.inferers import refuse_equal_predictions, several_predictions
from monai_al.records.files import write_json
from monai_al.uncertainty import Measure, RunningSamples, check_activation, score_logits

__all__ = ["UncertaintyHandler"]


class UncertaintyHandler:
    """Score every item of an evaluator's run by the uncertainty of its prediction.

    Attach it to any ``SupervisedEvaluator``. It reads the raw network output at ``IterationEvents.FORWARD_COMPLETED``,
    before MONAI decollates and postprocesses, and keeps one number per item and measure. After the run they are in
    :attr:`scores` and :attr:`ids`, and in ``engine.state.uncertainty`` (name -> scores) and
    ``engine.state.uncertainty_ids``. An item is called as :class:`~monai_al.handlers.ItemIds` says. Each process keeps
    the items it saw itself.

    Measures that need several predictions run the network again: with dropout on, on augmented copies, or member by
    member, for which the engine's network must be a :class:`~monai_al.networks.MeanOfMembers`. Measures that ask for
    the same predictions share them, and these are folded into running statistics, one in memory at a time.

    Args:
        measure: a name of :data:`~monai_al.uncertainty.MEASURES`, such as ``"entropy"``, ``"bald"`` or ``"tta"``, a
            measure, or a dictionary name -> measure. A single measure's scores go by its name, or by the name of its
            map; those of a :class:`~monai_al.uncertainty.ClassMeasure` by ``"<name> of class 1"`` and so on.
        activation: from the output to probabilities: ``"softmax"``, ``"sigmoid"``, ``"multilabel"`` or ``"none"``.
        inferer: makes one of several predictions; default: the engine's own inferer.
        chunk: measures of one prediction work on this many items at a time, which then stay in the processor's cache.
        image_key: the network's input in ``engine.state.output``.
        pred_key: the network's output in ``engine.state.output``.
        valid_key: optional boolean mask ``(B, 1, *spatial)`` in the batch; only its pixels count.
        id_key: optional ids in the batch.
        multilabel: with ``activation="none"``: the channels are overlapping sigmoids.
        seed: makes the stochastic passes reproducible without touching PyTorch's random state; None: draw from it.
        before: batches, and items in them, of the same pass that other processes score before those of this one; with
            a seed these are then scored as in one process.
        path: a ``.json`` file to write after each run, ``{"ids": [...], "scores": {name: [...]}}``, with null for
            ``-inf``; of several processes each writes its own, ``<stem>.rank<number>.json``.

    Raises:
        ValueError: a measure or the activation is unknown, ``chunk`` is below 1, no measure is given or ``path`` is no
            ``.json``; during the run: the output does not fit, an item's probabilities are not finite (the message
            names its id), or the predictions of the first batch are equal, as they are on any image.

    Example:
        >>> from monai.engines import SupervisedEvaluator
        >>> loader = [{"image": torch.zeros(2, 1, 4, 4), "id": ["a", "b"]}]
        >>> evaluator = SupervisedEvaluator("cpu", loader, torch.nn.Conv2d(1, 3, 1, bias=False), decollate=False)
        >>> handler = UncertaintyHandler("entropy")
        >>> handler.attach(evaluator)
        >>> evaluator.run()
        >>> handler.ids, handler.scores["entropy"].round(4).tolist()
        (['a', 'b'], [1.0986, 1.0986])
    """

    def __init__(
        self,
        measure: str | Measure | Mapping[str, str | Measure] = "entropy",
        activation: str = "softmax",
        inferer: Inferer | None = None,
        chunk: int = 8,
        *,
        image_key: str = CommonKeys.IMAGE,
        pred_key: str = CommonKeys.PRED,
        valid_key: str = "valid",
        id_key: str = "id",
        multilabel: bool = False,
        seed: int | None = None,
        before: tuple[int, int] = (0, 0),
        path: str | Path | None = None,
    ) -> None:
        check_activation(activation)
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1, got {chunk}")
        self.measures = _named(measure)
        self.activation = activation
        self.inferer = inferer
        self.chunk = chunk
        self.image_key = image_key
        self.pred_key = pred_key
        self.valid_key = valid_key
        self.multilabel = multilabel or activation == "multilabel"
        self.seed, self.before = seed, before
        self.path = result_path(path, ".json")
        self._items = ItemIds(image_key, id_key)
        self._seeds = torch.Generator()
        self.reset()

    @property
    def ids(self) -> list[Any]:
        """The items' ids in the order of the visit."""
        return self._items.seen

    @property
    def scores(self) -> dict[str, np.ndarray]:
        """Name -> float64 ``(N,)`` in the order of the visit; ``-inf`` where no pixel counts."""
        return {name: np.concatenate([np.empty(0), *parts]) for name, parts in self._parts.items()}

    def attach(self, engine: Engine) -> None:
        """Score the items of every run of this evaluator; a run forgets the one before.

        Args:
            engine: a ``SupervisedEvaluator`` or another engine with its events, state, ``network`` and ``inferer``.
        """
        engine.add_event_handler(Events.EPOCH_STARTED, self.reset)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.publish)

    def reset(self) -> None:
        """Forget all scores and ids."""
        self._items.reset()
        self._tried: set[str] = set()
        self._parts: dict[str, list[np.ndarray]] = {
            name: [] for name, one in self.measures.items() if not one.per_class
        }
        if self.seed is not None:
            self._seeds.manual_seed(self.seed)
            drawing = sum(next(iter(one.values())).samples != "augmentation" for one in self._sharing_predictions())
            for _ in range(self.before[0] * drawing):
                self._draw_seed()

    def publish(self, engine: Any) -> None:
        """Leave scores and ids in ``engine.state``, beside those of other such handlers, and in the file."""
        engine.state.uncertainty = {**getattr(engine.state, "uncertainty", {}), **self.scores}
        engine.state.uncertainty_ids = self.ids
        if self.path is not None:
            write_json(of_this_process(self.path), self._to_json())

    def _to_json(self) -> dict[str, Any]:
        scores = {name: [s if np.isfinite(s) else None for s in each.tolist()] for name, each in self.scores.items()}
        return {"ids": self.ids, "scores": scores}

    @torch.no_grad()
    def __call__(self, engine: Any) -> None:
        """Score the batch that the engine has just predicted."""
        logits = engine.state.output[self.pred_key]
        if not isinstance(logits, Tensor):
            raise ValueError(
                f"engine.state.output[{self.pred_key!r}] must be a tensor (B, C, *spatial), got {type(logits).__name__}"
            )
        ids = self._items.take(engine, len(logits))
        if self.activation == "none":
            self._refuse_not_finite(logits.as_subclass(Tensor).flatten(1).sum(1), ids)
        valid = self._batch_mask(engine.state.batch, logits)
        once = {name: measure for name, measure in self.measures.items() if not measure.stochastic}
        scores = self._score_once(logits, once, valid) if once else {}
        for measures in self._sharing_predictions():
            running, inside = self._predict_again(engine, list(measures.values()), logits)
            counted = _both(valid, inside)
            self._refuse_out_of_sight(valid, counted, ids)
            for name, measure in measures.items():
                scores[name] = measure.score_unchecked(running, valid=counted)
        for name, values in scores.items():
            for own, each in self.measures[name].named(name, values).items():
                self._refuse_not_finite(each.masked_fill(each == -torch.inf, 0), ids)
                self._parts.setdefault(own, []).append(each.double().cpu().numpy())

    def _score_once(self, logits: Tensor, measures: dict[str, Measure], valid: Tensor | None) -> dict[str, Tensor]:
        return score_logits(
            logits, measures, activation=self.activation, valid=valid, multilabel=self.multilabel, chunk=self.chunk
        )

    def _sharing_predictions(self) -> list[dict[str, Measure]]:
        """The measures that need several predictions, those together that need the same ones."""
        groups: dict[Any, dict[str, Measure]] = {}
        for name, measure in self.measures.items():
            if measure.stochastic:
                passes = 0 if measure.samples == "members" else measure.passes
                groups.setdefault((measure.samples, passes, measure.augmentation), {})[name] = measure
        return list(groups.values())

    def _predict_again(
        self, engine: Any, measures: Sequence[Measure], logits: Tensor
    ) -> tuple[RunningSamples, Tensor | None]:
        """Running statistics, and the pixels that all predictions have, bool ``(B, *spatial)``; None for all."""
        first, augments = measures[0], measures[0].samples == "augmentation"
        seen = self.before[1] + len(self._items.seen)
        seed = self.seed if augments or self.seed is None else self._draw_seed()
        images, inferer = engine.state.output[self.image_key], engine.inferer if self.inferer is None else self.inferer
        augmentation = None if first.augmentation is None else asdict(first.augmentation)
        predictions = several_predictions(
            first.samples,
            images,
            engine.network,
            passes=first.passes,
            inferer=inferer,
            activation=self.activation,
            seed=seed,
            augmentation=augmentation,
            numbers=range(seen - len(logits), seen),
            first=logits if self.inferer is None else None,
        )
        running = RunningSamples(
            {measure.map: None for measure in measures},
            multilabel=self.multilabel,
            validate=self.activation == "none",
        )
        inside: Tensor | None = None
        amp = torch.autocast("cuda", enabled=getattr(engine, "amp", False), **getattr(engine, "amp_kwargs", {}))
        with eval_mode(engine.network), amp:  # the engine has left its own evaluation mode already
            for probs, valid in predictions:
                running.update(probs)
                inside = _both(inside, valid)
            if first.samples not in self._tried and (first.samples == "members" or running.all_equal):
                refuse_equal_predictions(
                    first.samples, images, engine.network, inferer=inferer, augmentation=augmentation
                )
        self._tried.add(first.samples)
        return running, inside

    def _draw_seed(self) -> int:
        return int(torch.randint(2**62, (1,), generator=self._seeds))

    def _refuse_out_of_sight(self, valid: Tensor | None, counted: Tensor | None, ids: list[Any]) -> None:
        if counted is None:
            return
        had_pixels = torch.ones(len(counted), dtype=torch.bool) if valid is None else valid.flatten(1).any(1).cpu()
        lost = (had_pixels & ~counted.flatten(1).any(1).cpu()).nonzero().flatten().tolist()
        if lost:
            raise ValueError(
                f"no pixel of item {ids[lost[0]]!r} stays in sight in all augmented copies: lower the rotation"
            )

    def _batch_mask(self, batch: Any, logits: Tensor) -> Tensor | None:
        found = batch.get(self.valid_key) if isinstance(batch, Mapping) else None
        if found is None:
            return None
        expected = (len(logits), 1, *logits.shape[2:])
        if tuple(found.shape) != expected or found.dtype != torch.bool:
            raise ValueError(
                f"{self.valid_key!r} in the batch must be boolean with the shape {expected}, got {found.dtype} with "
                f"{tuple(found.shape)}"
            )
        mask = found.as_subclass(Tensor).squeeze(1)
        return None if bool(mask.all()) else mask.to(logits.device)

    def _refuse_not_finite(self, values: Tensor, ids: list[Any]) -> None:
        wrong = (~torch.isfinite(values)).nonzero().flatten().tolist()
        if wrong:
            items = ", ".join(repr(ids[i]) for i in wrong)
            raise ValueError(
                f"the network's probabilities are not finite for item {items}: look for NaN in its image and in the "
                "network's weights"
            )


def _both(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Where both masks hold; None is a mask that holds everywhere."""
    if first is None or second is None:
        return second if first is None else first
    return first & second


def _named(measure: str | Measure | Mapping[str, str | Measure]) -> dict[str, Measure]:
    if isinstance(measure, str):
        return {measure: Measure.of(measure)}
    if isinstance(measure, Measure):
        return {measure.map: measure}
    if not measure:
        raise ValueError("no measure is given")
    return {name: Measure.of(one) for name, one in measure.items()}
