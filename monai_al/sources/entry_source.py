# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a loop knows of the data of a bundle that was written without it: each entry of its datalist is an item."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader
from tqdm import tqdm

from monai_al.inferers import TrainedNetwork
from monai_al.metrics import VolumeScores
from monai_al.records import NOT_ANNOTATED, DataError, Item, Pool
from monai_al.records.cost_model import AreaScale, CostSettings
from monai_al.records.outside_text import FIELD_OF_VIEW, STORED_LABEL
from monai_al.sources.annotation_cost import annotation_cost, full_mask_areas, pool_area_scale
from monai_al.sources.base import EvaluationPass
from monai_al.sources.entry_arrays import array_hash, is_array_name, refuse_arrays
from monai_al.sources.entry_items import TEST, check_files, distinct, entry_items, files_hash, image_files, label_files
from monai_al.sources.entry_lists import entry_lists
from monai_al.sources.entry_loading import KeepPlace, one_by_one
from monai_al.sources.entry_patients import with_entry_patients
from monai_al.sources.entry_scores import score_entry, spacing_matters, truth_of
from monai_al.sources.entry_settings import IMAGE, LABEL, USUAL, EntrySettings
from monai_al.sources.entry_transforms import EntryTransforms, Watch
from monai_al.sources.field_of_view import NetworkView, inside_of, outside_share, outside_voxels, view_of
from monai_al.sources.first_try import check_samples, output_shape
from monai_al.uncertainty import Measure

__all__ = ["EntrySource"]


class EntrySource:
    """The entries of a bundle's own datalists: dictionaries with the paths, or arrays, ``image`` and ``label``.

    :func:`monai_al.sources.entry_items.entry_items` tells how its items are called,
    :func:`monai_al.sources.entry_lists.entry_lists` what is made right of the lists.

    Args:
        train: the entries that may be annotated.
        test: those to test on.
        preprocessing: the bundle's deterministic transforms, from an entry to what the network sees.
        postprocessing: the bundle's transforms of a prediction, applied before it is scored; None takes the most
            probable class.
        names: names of the network's output channels, by their number; others are numbered.
        classes: names of all classes, background first, where they are known already.
        score_inside: what lies outside of what the network sees counts in no score; else as missed.
        settings: under which keys entries hold images and labels, and how their patients are found.
        others: the lists of paths that the bundle's config holds, from which its entries may be made.

    Attributes:
        output_shape: ``(C, *spatial)`` of what the network gives for the first item, once it was tried.

    Raises:
        DataError: an entry cannot be used; the message names it.

    Example:
        >>> entries = [{"image": f"/data/imagesTr/{name}.png", "label": f"/data/labelsTr/{name}.png"} for name in "ab"]
        >>> data = EntrySource(entries[:1], entries[1:], preprocessing=[])
        >>> [(item.id, item.split) for item in data.data]
        [('a.png', 'train'), ('b.png', 'test')]
    """

    gives_logits = True  # the postprocessing applies the activation
    reads_class_numbers = False  # its own transforms read them
    validates_on_test = True
    cache = None  # entries are read anew each time

    def __init__(
        self,
        train: Sequence[Mapping[str, Any]],
        test: Sequence[Mapping[str, Any]],
        *,
        preprocessing: Any,
        postprocessing: Any = None,
        names: Mapping[int, str] | None = None,
        classes: Sequence[str] | None = None,
        score_inside: bool = False,
        settings: EntrySettings = USUAL,
        others: Sequence[str | Sequence[str]] = (),
    ) -> None:
        self.score_inside = score_inside
        self.transforms = EntryTransforms(preprocessing, postprocessing, settings)
        self.names, self.settings = dict(names or {}), settings
        train, test = distinct(train), distinct(test)
        lists = entry_lists(train, test, others, settings)
        entries = [*lists.train, *lists.test]
        items, notes = with_entry_patients(entry_items(lists.train, lists.test, settings), entries, settings)
        self._entries = {item.id: dict(entry) for item, entry in zip(items, entries, strict=True)}
        self._test_as_listed = lists.test is test
        patients = [{item.patient for item in items if item.split == split} for split in ("train", "test")]
        self.data = Pool(
            items,
            classes or ("background", "foreground"),
            notes=(*lists.notes, *notes),
            patients_shared=not patients[0].isdisjoint(patients[1]),
        )
        self.output_shape: tuple[int, ...] | None = None
        self._counts: dict[tuple[str, str | None], _Counts] = {}

    def prepare(self, items: Sequence[Item] | None = None) -> None:
        """Check that the files are there.

        Raises:
            DataError: lists those that are not.
        """
        check_files((self._entries[item.id] for item in (self.data if items is None else items)), self.settings)

    def try_network(self, trained: TrainedNetwork, measures: Iterable[Measure]) -> None:
        """Predict one item, so that what cannot work fails early, and learn the classes from what comes out.

        Raises:
            DataError: the preprocessing or the network cannot work on it, or the label's channels do not fit.
            ValueError: a measure needs dropout and the network has none, or none that acts.
        """
        without = [item.id for item in self.data.part("test") if item.label is None]
        if without:
            keys = ", ".join(map(repr, self._entries[without[0]]))
            raise DataError(
                f"{len(without)} entries of {TEST} have no {self.settings.label_key!r}, such as {without[0]}, whose "
                f"keys are {keys}: they cannot be tested on; --label_key says which key is the label's"
            )
        channels = self._output_channels(trained)
        labels = self._label_channels
        if labels not in (1, channels):
            raise DataError(f"the labels have {labels} channels after the preprocessing, the network {channels}")
        overlapping = labels > 1 and trained.activation != "softmax"
        numbers = range(channels) if overlapping else range(1, max(channels, 2))
        # with one output channel the only name is that of the foreground, or of both classes
        shift = 0 if overlapping or channels > 1 or len(self.names) > 1 else 1
        names = [self.names.get(c - shift, f"class {c + 1 if overlapping else c}") for c in numbers]
        shared = self.data.patients_shared
        self.data = Pool(self.data.items, ("background", *names), notes=self.data.notes, patients_shared=shared)
        self._check_truth(self.data.part("test")[0])
        check_samples(trained, measures, self._first_image())

    def _check_truth(self, item: Item) -> None:
        """Take an item's own label through the preprocessing and back."""
        truth, affine = self._truth(item)
        if (truth == NOT_ANNOTATED).any() and not ((truth > 0) & (truth != NOT_ANNOTATED)).any():
            raise DataError(
                f"{item.id}: its label holds {NOT_ANNOTATED}, which means 'not annotated', and no class: let the "
                "validation preprocessing scale it to class numbers"
            )
        seen = self._seen(item, with_label=True)
        stored = truth.shape[1:] if self.overlapping else truth.shape
        self.transforms.place_of(torch.as_tensor(seen[IMAGE]), seen, stored, affine, item.id)

    def adapted(self, trained: TrainedNetwork) -> TrainedNetwork:
        """The network with the activation that its channels mean: several sigmoids may overlap."""
        several = trained.activation == "sigmoid" and self._output_channels(trained) > 1
        return replace(trained, activation="multilabel") if several else trained

    def _output_channels(self, trained: TrainedNetwork) -> int:
        if self.output_shape is None:
            image, fits = self._first_image(), "the bundle's preprocessing"
            self.output_shape = output_shape(trained, image, self.data[0].id, fits=fits)
        return self.output_shape[0]

    def _first_image(self) -> torch.Tensor:
        return torch.as_tensor(self._seen(self.data[0], with_label=False)[IMAGE]).as_subclass(torch.Tensor)

    def entries(self, items: Sequence[Item]) -> tuple[Any, ...]:
        """What the training data set gets for these items."""
        return tuple(self._entry(item) for item in items)

    @property
    def validation_items(self) -> Sequence[Item]:
        """What the validation of a round's training gets; none where the bundle's own list is the test set."""
        return () if self._test_as_listed else self.data.part("test").items

    def _entry(self, item: Item) -> dict[str, Any]:
        """An item's entry, with the label that the item names."""
        entry = self._entries[item.id]
        if item.label is None or is_array_name(item.label) or item.label in label_files(entry, self.settings):
            return entry
        refuse_arrays([item], "A label that comes back")
        return {**entry, self.settings.label_key: item.label}

    def loader(self, items: Sequence[Item], *, batch_size: int = 1, with_label: bool = False) -> DataLoader:
        """One item at a time, as the preprocessing gives it: ``image``, ``id`` and, where asked for, ``label``.

        Args:
            items: what to load.
            batch_size: not used, because entries differ in shape.
            with_label: hold labels; otherwise the preprocessing never sees them.
        """

        def batch(number: int) -> dict[str, Any]:
            out = self._seen(items[number], with_label)
            image = torch.as_tensor(out[IMAGE]).as_subclass(torch.Tensor).float()
            found = {IMAGE: image[None], "id": [items[number].id]}
            if with_label and LABEL in out:
                truth = truth_of(
                    torch.as_tensor(out[LABEL]), len(self.data.classes), self.overlapping, items[number].id
                )
                found[LABEL] = torch.from_numpy(truth if self.overlapping else truth[None])[None]
            return found

        return one_by_one(batch, len(items), collate=False)

    @property
    def overlapping(self) -> bool:
        """Whether an item may belong to several classes at one place."""
        return 1 < self._label_channels == len(self.data.classes) - 1

    @functools.cached_property
    def _label_channels(self) -> int:
        first = self.data.part("test")[0]
        return len(self.transforms.stored_label(self._entries[first.id], first.id)[0])

    def evaluation(
        self,
        trained: TrainedNetwork,
        items: Sequence[Item],
        *,
        volumes: Collection[str] | None = None,
        batch_size: int = 1,
    ) -> EvaluationPass:
        """Predict, apply the bundle's postprocessing, and score on the grid of the stored label.

        Args:
            trained: network, inferer, device and activation.
            items: what to score.
            volumes: those of them to score; None: all.
            batch_size: not used, because entries differ in shape.
        """
        items = items if volumes is None else [item for item in items if item.volume in volumes]
        scorer = _EntryScorer(self, items, trained.activation)

        def entry(number: int) -> dict[str, Any]:
            views = scorer.views[items[number].id] = []
            seen = self._seen(items[number], with_label=True, watch=lambda data: views.append(view_of(data)))
            views.append(view_of(seen))
            return {**seen, "id": items[number].id}

        return EvaluationPass(
            one_by_one(entry, len(items)),
            scorer,
            [KeepPlace(), scorer],
            self.transforms.postprocessing,
            decollate=True,
        )

    def told_of_scores(self, outside: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
        """What the scores are of, and how much of the labels the network did not see."""
        scored_on = FIELD_OF_VIEW if self.score_inside else STORED_LABEL
        return {"scored_on": scored_on, "outside": outside_share(outside)}

    def score(
        self,
        item: Item,
        batch: Mapping[str, Any],
        prediction: torch.Tensor,
        activation: str,
        views: Iterable[NetworkView],
    ) -> tuple[VolumeScores, dict[str, int]]:
        """The scores of one entry on the grid of its stored label, and what of that label the network does not see.

        Args:
            item: with its label.
            batch: what the preprocessing made of the entry.
            prediction: what the postprocessing made of the network's output.
            activation: of the output, where the postprocessing applied none.
            views: the grids of what the network got, and of that on the way there.
        """
        truth, affine = self._truth(item)
        stored = truth.shape[1:] if self.overlapping else truth.shape
        inside = inside_of(views, stored, affine)
        scores = score_entry(
            self.transforms.to_probabilities(prediction, activation),
            self.transforms.place_of(prediction, batch, stored, affine, item.id),
            truth,
            affine,
            n_classes=len(self.data.classes),
            overlapping=self.overlapping,
            inside=inside if self.score_inside else None,
        )
        return scores, outside_voxels(truth, inside)

    def cost(
        self,
        labeled: Sequence[Item],
        kinds: Sequence[str],
        settings: CostSettings | None = None,
        scale: AreaScale | None = None,
    ) -> dict[str, Any]:
        """See :func:`monai_al.sources.annotation_cost`; without ``scale`` that of the pool, where it has all masks.

        The slices of a volume lie along the last axis of its stored label.
        """
        return annotation_cost(
            labeled,
            kinds,
            lambda item: (self._counted(item).voxels, sum(self._counted(item).areas)),
            lambda item: len(self._counted(item).areas),
            areas=lambda item, kind: full_mask_areas(item, kind, self.data, self._full_areas),
            settings=settings,
            scale=scale or self._pool_scale,
        )

    @functools.cached_property
    def _pool_scale(self) -> AreaScale | None:
        items = self.data.part("train")
        return pool_area_scale(
            tqdm(items, desc="measuring labels", unit="item", disable=None, leave=False), self._full_areas
        )

    def _full_areas(self, item: Item) -> Sequence[int] | None:
        """Foreground pixels of each slice; None where the label leaves pixels out or cannot be read."""
        try:
            counts = None if item.label is None else self._counted(item)
        except DataError:  # it is told once the item is asked for
            return None
        return None if counts is None or counts.annotated < counts.voxels else counts.areas

    def annotated_share(self, item: Item) -> float:
        """Which share of an item's stored pixels its label annotates."""
        counts = self._counted(item)
        return counts.annotated / counts.voxels

    def _counted(self, item: Item) -> _Counts:
        key = (item.id, item.label)
        if key not in self._counts:
            truth, _ = self._truth(item)
            known = np.ones(truth.shape[1:], bool) if self.overlapping else truth != NOT_ANNOTATED
            foreground = np.asarray(truth.any(0) if self.overlapping else (truth > 0) & known)
            areas = np.atleast_3d(foreground).sum(axis=(0, 1)).tolist()
            self._counts[key] = _Counts(known.size, int(known.sum()), tuple(areas))
        return self._counts[key]

    def present(self, items: Sequence[Item]) -> np.ndarray:
        """Which classes the ground truth of each item holds, bool ``(N, C)``.

        Raises:
            DataError: an item has no label.
        """
        numbers = range(1, len(self.data.classes))
        found = np.zeros((len(items), len(self.data.classes)), dtype=bool)
        for row, item in zip(found, items, strict=True):
            if item.label is None:
                raise DataError(f"{item.id} has no label, and the strategy uses the truth of every item")
            truth, _ = self._truth(item)
            classes = list(truth) if self.overlapping else [truth == number for number in numbers]
            row[1:] = [bool(np.any(mask)) for mask in classes]
            row[0] = bool((~truth.any(0) if self.overlapping else truth == 0).any())
        return found

    def _truth(self, item: Item) -> tuple[np.ndarray, np.ndarray]:
        """Class numbers, or masks of overlapping classes, on the stored grid; and its affine."""
        label, affine = self.transforms.stored_label(self._entry(item), item.id)
        return truth_of(label, len(self.data.classes), self.overlapping, item.id), affine

    def placeholder_spacing(self, items: Sequence[Item]) -> bool:
        """Whether millimetres mean nothing for these items."""
        return not spacing_matters([item.image for item in items])

    def slice_affine(self, item: Item) -> np.ndarray | None:
        """None: where the axes of a preprocessed entry lead is not known."""
        return None

    def hashes(self) -> dict[str, str]:
        """Path of every image and label, or what stands for an array -> SHA-256 of its content."""
        found: dict[str, str] = {}
        for item in tqdm(self.data, desc="checking files", unit="item", disable=None, leave=False):
            entry = self._entries[item.id]
            if item.image not in found:
                found[item.image] = self._hash(item.image, entry, self.settings.image_key, image_files)
            if item.label is not None and item.label not in found:
                found[item.label] = self._hash(item.label, entry, self.settings.label_key, label_files)
        return found

    def _hash(self, name: str, entry: Mapping[str, Any], key: str, files_of: Callable[..., Sequence[str]]) -> str:
        return array_hash(entry[key]) if is_array_name(name) else files_hash(files_of(entry, self.settings))

    def _seen(self, item: Item, with_label: bool, watch: Watch | None = None) -> dict[str, Any]:
        return self.transforms.network_input(self._entry(item), item.id, with_label=with_label, watch=watch)


class _Counts(NamedTuple):
    """How many voxels an item's label has, how many are annotated, and the foreground pixels of each slice."""

    voxels: int
    annotated: int
    areas: tuple[int, ...]


class _EntryScorer:
    """Scores what an evaluator predicts, entry by entry."""

    def __init__(self, source: EntrySource, items: Sequence[Item], activation: str) -> None:
        self.source, self.activation = source, activation
        self.items = {item.id: item for item in items}
        self.scores: list[tuple[str, str, VolumeScores]] = []
        self.views: dict[str, list[NetworkView]] = {}
        self.outside: dict[str, dict[str, int]] = {}

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        prediction, batch = torch.as_tensor(engine.state.output[0]["pred"]), engine.state.batch[0]
        item = self.items[batch["id"]]
        scores, outside = self.source.score(item, batch, prediction, self.activation, self.views.pop(item.id))
        self.scores.append((item.volume, item.patient, scores))
        self.outside[item.volume] = outside
