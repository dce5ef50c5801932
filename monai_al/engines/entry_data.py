# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a loop knows of the data of a bundle that was written without it: each entry of its datalist is an item."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, MetaTensor
from monai.transforms import Compose, LazyTransform, allow_missing_keys_mode
from tqdm import tqdm

from monai_al.data import DataError, Item, Pool, content_hash, slice_id
from monai_al.engines.annotation_cost import annotation_cost
from monai_al.engines.entry_scores import score_entry, spacing_matters, truth_of
from monai_al.engines.first_try import check_dropout, output_channels
from monai_al.engines.passes import run_pass
from monai_al.metrics import VolumeScores, summarize
from monai_al.uncertainty import Measure, probabilities

__all__ = ["EntryData"]

IMAGE, LABEL = "image", "label"
_SHOWN = 10


class EntryData:
    """The entries of a bundle's own datalists: dictionaries with the paths ``image`` and ``label``.

    An item's id is the path of its image relative to the folder that all images share; entries that name one image
    differ in a whole number ``slice``, and then go by it.

    Args:
        train: the entries that may be annotated.
        test: those to test on.
        preprocessing: the bundle's deterministic transforms, from an entry to what the network sees.
        postprocessing: the bundle's transforms of a prediction, applied before it is scored; None takes the most
            probable class.
        names: names of the network's output channels, by their number; others are numbered.
        classes: names of all classes, background first, where they are known already.

    Raises:
        DataError: an entry cannot be used; the message names it.

    Example:
        >>> entries = [{"image": f"/data/imagesTr/{name}.nii.gz", "label": f"/data/labelsTr/{name}.nii.gz"} for name in "ab"]
        >>> data = EntryData(entries[:1], entries[1:], preprocessing=Compose([]))
        >>> [(item.id, item.split) for item in data.data]
        [('a.nii.gz', 'train'), ('b.nii.gz', 'test')]
    """

    gives_logits = True  # the postprocessing applies the activation

    def __init__(
        self,
        train: Sequence[Mapping[str, Any]],
        test: Sequence[Mapping[str, Any]],
        *,
        preprocessing: Any,
        postprocessing: Any = None,
        names: Mapping[int, str] | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        given = [(entry, split) for split, part in (("train", train), ("test", test)) for entry in part]
        self.preprocessing = _one_transform(preprocessing)
        self.postprocessing = postprocessing
        self.names = dict(names or {})
        items = _items([_checked(entry, split, number) for number, (entry, split) in enumerate(given)], given)
        self._entries = {item.id: dict(entry) for item, (entry, _) in zip(items, given, strict=True)}
        self.data = Pool(items, classes or ("background", "foreground"))
        self._channels: int | None = None
        self._voxels: dict[str, tuple[int, int]] = {}

    def prepare(self, items: Sequence[Item] | None = None) -> None:
        """Check that the files are there.

        Raises:
            DataError: lists those that are not.
        """
        missing = [
            path
            for item in (self.data if items is None else items)
            for key in (IMAGE, LABEL)
            for path in _paths(self._entries[item.id].get(key))
            if not os.path.exists(path)
        ]
        if missing:
            more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
            raise DataError(f"{len(missing)} files of the bundle's datalists do not exist: "
                            f"{', '.join(missing[:_SHOWN])}{more}. Give its dataset_dir, or correct the list")  # fmt: skip

    def try_network(self, trained: Any, measures: Iterable[Measure]) -> None:
        """Predict one item, so that what cannot work fails early, and learn the classes from what comes out.

        Raises:
            DataError: the preprocessing or the network cannot work on it, or the label's channels do not fit.
            ValueError: a measure needs dropout and the network has none.
        """
        check_dropout(trained.network, measures)
        channels = self._output_channels(trained)
        labels = self._label_channels
        if labels not in (1, channels):
            raise DataError(f"the labels have {labels} channels after the preprocessing, the network {channels}")
        overlapping = labels > 1 and trained.activation != "softmax"
        numbers = range(channels) if overlapping else range(1, max(channels, 2))
        # with one output channel the only name is that of the foreground, or of both classes
        shift = 0 if overlapping or channels > 1 or len(self.names) > 1 else 1
        names = [self.names.get(c - shift, f"class {c + 1 if overlapping else c}") for c in numbers]
        self.data = Pool(self.data.items, ("background", *names))

    def adapted(self, trained: Any) -> Any:
        """The network with the activation that its channels mean: several sigmoids may overlap."""
        several = trained.activation == "sigmoid" and self._output_channels(trained) > 1
        return replace(trained, activation="multilabel") if several else trained

    def _output_channels(self, trained: Any) -> int:
        if self._channels is None:
            first = self.data[0]
            image = self._preprocessed(first, with_label=False)[IMAGE]
            self._channels = output_channels(trained, torch.as_tensor(image).as_subclass(torch.Tensor), first.id)
        return self._channels

    def entries(self, items: Sequence[Item]) -> tuple[Any, ...]:
        """What the training data set gets for these items."""
        return tuple(self._entries[item.id] for item in items)

    def loader(self, items: Sequence[Item], *, batch_size: int = 1, with_label: bool = False) -> DataLoader:
        """One item at a time, as the preprocessing gives it: ``image``, ``id`` and, where asked for, ``label``.

        Args:
            items: what to load.
            batch_size: not used, because entries differ in shape.
            with_label: hold labels; otherwise the preprocessing never sees them.
        """

        def batch(number: int) -> dict[str, Any]:
            out = self._preprocessed(items[number], with_label)
            image = torch.as_tensor(out[IMAGE]).as_subclass(torch.Tensor).float()
            found = {IMAGE: image[None], "id": [items[number].id]}
            if with_label and LABEL in out:
                truth = truth_of(
                    torch.as_tensor(out[LABEL]), len(self.data.classes), self.overlapping, items[number].id
                )
                found[LABEL] = torch.from_numpy(truth if self.overlapping else truth[None])[None]
            return found

        return _loader(_Lazy(len(items), batch), collate_fn=_only)

    @property
    def overlapping(self) -> bool:
        """Whether an item may belong to several classes at one place."""
        return 1 < self._label_channels == len(self.data.classes) - 1

    @functools.cached_property
    def _label_channels(self) -> int:
        return len(self._truth(self.data.part("test")[0])[0])

    def evaluate(
        self, trained: Any, items: Sequence[Item], *, empty_policy: str = "strict", **options: Any
    ) -> dict[str, Any]:
        """Predict, apply the bundle's postprocessing, and score on the grid of the stored label.

        Args:
            trained: network, inferer, device and activation.
            items: what to score.
            empty_policy: see :func:`monai_al.metrics.summarize`.
            **options: ``description`` of the progress bar.
        """
        options.pop("batch_size", None)
        scores: list[tuple[str, str, VolumeScores]] = []
        overlapping, n_classes = self.overlapping, len(self.data.classes)

        def score(engine: Engine) -> None:
            batch: Any = engine.state.batch
            output: Any = engine.state.output
            item = self._item(batch[0]["id"])
            prediction = output[0]["pred"]
            if self.postprocessing is None:
                prediction = probabilities(prediction[None], trained.activation)[0]
            label, affine = self._truth(item)
            truth = truth_of(label, n_classes, overlapping, item.id)
            found = score_entry(
                prediction,
                _affine_of(prediction, batch[0][IMAGE], truth.shape[-label.ndim + 1 :], affine, item.id),
                truth,
                affine,
                n_classes=n_classes,
                overlapping=overlapping,
            )
            scores.append((item.volume, item.patient, found))

        dataset = _Lazy(len(items), lambda i: {**self._preprocessed(items[i], with_label=True), "id": items[i].id})
        run_pass(
            trained.network,
            _loader(dataset, batch_size=1),
            [_OnCompleted(score)],
            device=trained.device,
            inferer=trained.inferer,
            postprocessing=self.postprocessing,
            decollate=True,
            **options,
        )
        summary = summarize(scores, self.data.classes, empty_policy)
        summary["hd95_3d"]["spacing_is_placeholder"] = self.placeholder_spacing(items)
        return summary

    def cost(self, labeled: Sequence[Item], returns: Sequence[Mapping[str, Any]]) -> dict[str, float | int]:
        """See :func:`monai_al.engines.annotation_cost.annotation_cost`."""
        return annotation_cost(labeled, returns, self._counted)

    def _counted(self, item: Item) -> tuple[int, int]:
        if item.id not in self._voxels:
            label, _ = self._truth(item)
            truth = truth_of(label, len(self.data.classes), self.overlapping, item.id)
            foreground = truth.any(0) if self.overlapping else (truth > 0) & (truth != 255)
            self._voxels[item.id] = (foreground.size, int(foreground.sum()))
        return self._voxels[item.id]

    def placeholder_spacing(self, items: Sequence[Item]) -> bool:
        """Whether millimetres mean nothing for these items."""
        return not spacing_matters([item.image for item in items])

    def hashes(self) -> dict[str, str]:
        """Path of every image and label -> SHA-256 of its content."""
        found: dict[str, str] = {}
        for item in tqdm(self.data, desc="checking files", unit="item", disable=None, leave=False):
            for key, path in ((IMAGE, item.image), (LABEL, item.label)):
                if path is not None and path not in found:
                    found[path] = " ".join(content_hash(part) for part in _paths(self._entries[item.id][key]))
        return found

    def _item(self, id: str) -> Item:
        return self.data[self.data.index(id)]

    def _preprocessed(self, item: Item, with_label: bool) -> dict[str, Any]:
        entry = {key: value for key, value in self._entries[item.id].items() if with_label or key != LABEL}
        return _applied(self.preprocessing, entry, item.id, missing_keys=not with_label)

    def _truth(self, item: Item) -> tuple[torch.Tensor, np.ndarray]:
        """The label on its stored grid: the preprocessing without its spatial transforms."""
        if item.label is None:
            raise DataError(f"{item.id}: the bundle's datalist gives no {LABEL!r} for it, so it cannot be scored")
        keeping = Compose([part for part in self.preprocessing.transforms if not isinstance(part, LazyTransform)])
        label = _applied(keeping, self._entries[item.id], item.id)[LABEL]
        affine = label.affine if isinstance(label, MetaTensor) else torch.eye(4)
        return torch.as_tensor(label).as_subclass(torch.Tensor), np.asarray(affine, dtype=np.float64)


class _Lazy(torch.utils.data.Dataset):
    def __init__(self, n: int, get: Any) -> None:
        self.n, self.get = n, get

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Any:
        return self.get(index)


class _OnCompleted:
    """Calls a function after each iteration."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.function)


def _loader(dataset: Any, **options: Any) -> DataLoader:
    return DataLoader(dataset, num_workers=0, generator=torch.Generator(), **options)


def _only(batch: list[Any]) -> Any:
    return batch[0]


def _one_transform(preprocessing: Any) -> Compose:
    if isinstance(preprocessing, (list, tuple)):
        preprocessing = Compose(preprocessing)
    return preprocessing.flatten() if type(preprocessing) is Compose else Compose([preprocessing])


def _applied(transform: Compose, entry: Mapping[str, Any], id: str, missing_keys: bool = False) -> dict[str, Any]:
    try:
        if missing_keys and transform.transforms:
            with allow_missing_keys_mode(transform):
                out = transform(dict(entry))
        else:
            out = transform(dict(entry))
    except Exception as error:
        cause = error.__cause__ or error  # MONAI's own error names the transform alone
        without = " without its label, which must not be read before it is annotated" if missing_keys else ""
        raise DataError(
            f"the bundle's validation preprocessing fails on {id}{without} ({type(cause).__name__}: {cause})"
        ) from error
    if not isinstance(out, Mapping) or IMAGE not in out:
        raise DataError(
            f"the bundle's validation preprocessing gives {type(out).__name__} for {id}; one dictionary with "
            f"{IMAGE!r} is needed, so no random crops"
        )
    return dict(out)


def _affine_of(prediction: Any, image: Any, stored: tuple[int, ...], stored_affine: np.ndarray, id: str) -> np.ndarray:
    """Where a postprocessed prediction lies: still where the network saw the image, or back on the stored grid."""
    own = np.asarray(prediction.affine) if isinstance(prediction, MetaTensor) else None
    if tuple(prediction.shape[1:]) == tuple(stored) and (own is None or np.allclose(own, stored_affine, atol=1e-3)):
        seen = np.asarray(image.affine) if isinstance(image, MetaTensor) else stored_affine
        moved = (
            own is None and tuple(image.shape[1:]) == tuple(stored) and not np.allclose(seen, stored_affine, atol=1e-3)
        )
        return seen if moved else stored_affine
    if own is not None:
        return own
    if tuple(prediction.shape[1:]) == tuple(image.shape[1:]) and isinstance(image, MetaTensor):
        return np.asarray(image.affine)
    raise DataError(
        f"{id}: it is not known where the postprocessed prediction {tuple(prediction.shape)} lies on the stored grid "
        f"{tuple(stored)}: let the preprocessing and the postprocessing keep MONAI's meta data"
    )


def _paths(value: Any) -> list[str]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [os.path.abspath(path) for path in values if isinstance(path, (str, os.PathLike))]


def _checked(entry: Any, split: str, number: int) -> str:
    """The path of an entry's image, or of its first one."""
    place = "train#dataset#data" if split == "train" else "validate#dataset#data"
    if not isinstance(entry, Mapping) or IMAGE not in entry:
        found = ", ".join(map(repr, entry)) if isinstance(entry, Mapping) else type(entry).__name__
        raise DataError(f"entry {number} of the datalists is {found}; {place} needs dictionaries with an {IMAGE!r}")
    paths = _paths(entry[IMAGE])
    if not paths:
        raise DataError(f"entry {number} of {place}: its {IMAGE!r} is {type(entry[IMAGE]).__name__}, no path of a file")
    return paths[0]


def _items(images: Sequence[str], given: Sequence[tuple[Mapping[str, Any], str]]) -> list[Item]:
    if not images:
        return []
    root = os.path.commonpath([os.path.dirname(path) for path in images])
    twice = len(set(images)) < len(images)
    items, seen = [], {}
    for path, (entry, split) in zip(images, given, strict=True):
        id = Path(os.path.relpath(path, root)).as_posix()
        number = entry.get("slice") if twice else None
        if isinstance(number, (int, np.integer)):
            id = slice_id(id, int(number))
        if seen.setdefault(id, split) != split:
            raise DataError(
                f"{path} is in the bundle's training list and in its validation list: scores would be false"
            )
        labels = _paths(entry.get(LABEL))
        items.append(Item(id, path, id, id, label=labels[0] if labels else None, split=split))
    ids = [item.id for item in items]
    if len(set(ids)) < len(ids):
        again = next(id for id in ids if ids.count(id) > 1)
        raise DataError(f"{again} is listed twice; entries of one image must differ in a whole number 'slice'")
    return items
