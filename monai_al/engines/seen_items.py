# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a network sees of items and makes of them, as arrays for pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from monai.engines import IterationEvents
from monai.networks import eval_mode

from monai_al.handlers.whole_volumes import hard_labels
from monai_al.inferers import TrainedNetwork, several_predictions
from monai_al.passes import run_pass
from monai_al.records import Item
from monai_al.report.pictures import upright
from monai_al.sources import Source
from monai_al.uncertainty import MAPS, SAMPLE_MAPS, Augmentation, Measure, RunningSamples, maps, probabilities

__all__ = [
    "PredictionWatcher",
    "SeenItem",
    "foreground_of",
    "planes_of",
    "predicted_items",
    "recorded_measures",
    "seen_items",
    "upright_item",
]


@dataclass
class SeenItem:
    """An item as arrays; those of a whole volume have a last axis d.

    Args:
        id: the item's id.
        image: ``(C, h, w)``.
        valid: bool ``(h, w)``, False in padding; None where there is none.
        truth: class numbers ``(h, w)``, or masks ``(C, h, w)`` of overlapping classes; None where there is none.
        prediction: like the truth; None before the network ran.
        heat: uncertainty ``(h, w)``; None where it was not asked for.
        regions: name of a region -> bool ``(h, w)``.

    Example:
        >>> SeenItem("a", np.zeros((1, 4, 4, 3))).at(2).image.shape
        (1, 4, 4)
    """

    id: str
    image: np.ndarray
    valid: np.ndarray | None = None
    truth: np.ndarray | None = None
    prediction: np.ndarray | None = None
    heat: np.ndarray | None = None
    regions: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        """Number of slices of a whole volume, 0 for a slice or an image."""
        return self.image.shape[3] if self.image.ndim == 4 else 0

    def changed(self, change: Any) -> SeenItem:
        """The same with a function applied to every array."""
        arrays = {name: getattr(self, name) for name in ("image", "valid", "truth", "prediction", "heat")}
        changed = {name: None if array is None else change(array) for name, array in arrays.items()}
        return replace(self, **changed, regions={name: change(mask) for name, mask in self.regions.items()})

    def at(self, z: int) -> SeenItem:
        """One slice of a whole volume."""
        return self.changed(lambda array: array[..., z])

    def cropped(self) -> SeenItem:
        """Without the padding around the stored image."""
        if self.valid is None or not self.valid.any():
            return self
        spans = (np.flatnonzero(self.valid.any(axis=axis)) for axis in (1, 0))
        rows, columns = (slice(span[0], span[-1] + 1) for span in spans)
        return self.changed(lambda array: array[..., rows, columns])


class PredictionWatcher:
    """Keeps what an evaluator predicts, with the uncertainty map and the regions of the measures.

    Args:
        activation: from the network's output to probabilities.
        measures: whose map and regions to keep; the map is that of the first one.
        seed: of the stochastic passes.
        overlapping: classes may overlap, so that each channel is a mask of its own.

    After the run ``seen`` holds the items in their order.

    Example:
        >>> PredictionWatcher("softmax", [Measure("entropy")]).seen
        []
    """

    def __init__(
        self, activation: str, measures: Sequence[Measure] = (), seed: int = 0, overlapping: bool = False
    ) -> None:
        self.activation = activation
        self.measures = measures
        self.overlapping = overlapping
        self.seed = seed
        self.seen: list[SeenItem] = []

    def attach(self, engine: Engine) -> None:
        """Watch every run of this evaluator."""
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self)

    @torch.no_grad()
    def __call__(self, engine: Any) -> None:
        """Keep the batch that the engine has just predicted."""
        probs = probabilities(engine.state.output["pred"], self.activation)
        several = self.activation == "multilabel" or (
            self.activation == "none" and probs.shape[1] > 1 and bool((probs.sum(1) - 1).abs().amax() > 0.01)
        )
        entries = list(seen_items(engine.state.batch))
        if self.measures:
            self._measure(engine, probs, several, entries)
        labels = (probs > 0.5).to(torch.uint8) if self.overlapping else hard_labels(probs)
        for seen, own in zip(entries, labels, strict=True):
            seen.prediction = _array(own)
        self.seen += entries

    def _measure(self, engine: Any, probs: torch.Tensor, several: bool, entries: Sequence[SeenItem]) -> None:
        first = self.measures[0]
        if first.stochastic:
            running = RunningSamples((first.map,), multilabel=several)
            predictions = several_predictions(
                first.samples,
                engine.state.output["image"],
                engine.network,
                passes=first.passes,
                inferer=engine.inferer,
                activation=self.activation,
                seed=self.seed,
                augmentation=None if first.augmentation is None else asdict(first.augmentation),
            )
            outside = torch.zeros_like(probs[:, 0], dtype=torch.bool)
            with eval_mode(engine.network):  # the engine has left its own evaluation mode already
                for again, inside in predictions:
                    running.update(again)
                    if inside is not None:
                        outside |= ~inside
            heat, probs = getattr(running, first.map)().masked_fill(outside, 0), running.mean
        else:
            heat = getattr(maps, first.map)(probs, multilabel=several)
        regions = {m.region: m.region_of(probs, multilabel=several) for m in self.measures if m.region is not None}
        for i, seen in enumerate(entries):
            seen.heat = _array(heat[i])
            if seen.valid is not None:
                seen.heat = np.where(seen.valid, seen.heat, 0.0)
            seen.regions = {str(name): _array(masks[i]) for name, masks in regions.items() if masks is not None}


def seen_items(batch: Mapping[str, Any]) -> Iterator[SeenItem]:
    """The items of a batch, without predictions.

    Args:
        batch: ``image``, ``id``, and ``label`` and ``valid`` where there are any.

    Example:
        >>> [item.id for item in seen_items({"id": ["a"], "image": torch.zeros(1, 1, 4, 4)})]
        ['a']
    """
    for i, id in enumerate(batch["id"]):
        label = batch.get("label")
        truth = None if label is None else _array(label[i])
        yield SeenItem(
            id=id,
            image=_array(batch["image"][i]),
            valid=_array(batch["valid"][i, 0]) if batch.get("valid") is not None else None,
            truth=truth if truth is None or len(truth) > 1 else truth[0],
        )


def _array(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach().as_subclass(torch.Tensor).cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def recorded_measures(settings: Any) -> list[Measure]:
    """All measures that stand anywhere in a strategy's recorded settings.

    Args:
        settings: ``strategy_settings`` of a run's record.

    Example:
        >>> [measure.map for measure in recorded_measures({"a": {"map": "margin", "reduction": "mean"}})]
        ['margin']
    """
    if isinstance(settings, Mapping):
        if settings.get("map") in (*MAPS, *SAMPLE_MAPS) and "reduction" in settings:
            known = {name: settings[name] for name in Measure.__dataclass_fields__ if name in settings}
            if known.get("augmentation"):
                known["augmentation"] = Augmentation(**known["augmentation"])
            return [Measure(**known)]
        return [measure for value in settings.values() for measure in recorded_measures(value)]
    return [measure for value in settings for measure in recorded_measures(value)] if isinstance(settings, list) else []


def predicted_items(
    data: Source,
    items: Sequence[Item],
    trained: TrainedNetwork | None = None,
    measures: Sequence[Measure] = (),
    *,
    seed: int = 0,
) -> list[SeenItem]:
    """Items as arrays, with their labels and what a network makes of them.

    Args:
        data: where they lie: the ``source`` of a :class:`monai_al.engines.TrainedRun`.
        items: the items; their volumes are prepared.
        trained: the network; None for images and labels alone.
        measures: uncertainty measures whose map and regions are kept.
        seed: of stochastic passes.

    Example:
        >>> from monai_al.sources import SliceSource
        >>> predicted_items(SliceSource(data=None, cache=None), [])
        []
    """
    whole = any(item.slice is None for item in items)
    loader = data.loader(items, batch_size=1 if whole else 16, with_label=True)
    if trained is None:
        return [seen for batch in loader for seen in seen_items(batch)]
    watcher = PredictionWatcher(trained.activation, measures, seed, data.overlapping)
    run_pass(trained.network, loader, [watcher], device=trained.device, inferer=trained.inferer)
    return watcher.seen


def upright_item(data: Source, item: Item, seen: SeenItem) -> SeenItem:
    """A slice without its padding, turned as radiologists look at it where the file tells how.

    Args:
        data: as for :func:`predicted_items`.
        item: the item, or another one of its volume.
        seen: the slice.

    Example:
        >>> item = Item("a", "a.png", "a", "a")
        >>> from monai_al.sources import SliceSource
        >>> upright_item(SliceSource(data=None, cache=None), item, SeenItem("a", np.zeros((1, 4, 6)))).image.shape
        (1, 4, 6)
    """
    affine = data.slice_affine(item)
    return seen.cropped().changed(lambda array: upright(array, affine))


def planes_of(items: Sequence[Item], seen: Sequence[SeenItem]) -> dict[int, SeenItem]:
    """Slice number -> slice of one volume, whether its items are slices or it is one item.

    Example:
        >>> volume = SeenItem("a", np.zeros((1, 4, 4, 3)))
        >>> list(planes_of([Item("a", "a.nii.gz", "a", "a")], [volume]))
        [0, 1, 2]
    """
    if seen[0].depth:
        return {z: seen[0].at(z) for z in range(seen[0].depth)}
    return {item.slice or 0: own for item, own in zip(items, seen, strict=True)}


def foreground_of(labels: np.ndarray | None, image: np.ndarray) -> np.ndarray:
    """Where a label map holds foreground; nowhere where there is no label map.

    Args:
        labels: class numbers ``(h, w[, d])``, or masks ``(C, h, w[, d])`` of overlapping classes.
        image: ``(C, h, w[, d])``.

    Returns:
        Boolean ``(h, w[, d])``.

    Example:
        >>> foreground_of(np.array([[0, 2, 255]]), np.zeros((1, 1, 3))).tolist()
        [[False, True, False]]
    """
    if labels is None:
        return np.zeros(image.shape[1:], dtype=bool)
    masks = (labels > 0) & (labels != 255)
    return masks.any(axis=0) if masks.ndim == image.ndim else masks
