# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle's own transforms, applied to the entries of its datalists."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, LazyTransform, MapTransform, SaveImage, SaveImaged, allow_missing_keys_mode

from monai_al.bundle.other_tasks import of_clicks, of_two_images
from monai_al.failures.configs import of_package
from monai_al.records import DataError
from monai_al.sources.entry_arrays import is_array
from monai_al.sources.entry_items import paths_of
from monai_al.sources.entry_settings import IMAGE, LABEL, USUAL, EntrySettings
from monai_al.uncertainty import probabilities

__all__ = ["EntryTransforms", "Watch", "affine_of", "in_space"]

_PRED = "pred"  # MONAI's key of a prediction

Watch = Callable[[Mapping[str, Any]], None]
"""Is shown what a transform makes of an entry."""


class EntryTransforms:
    """The deterministic preprocessing of a bundle, and its postprocessing.

    Args:
        preprocessing: from an entry to what the network sees.
        postprocessing: from a prediction to what is scored, or None. What it would save is not saved.
        settings: under which keys entries hold images and labels, and so does what is preprocessed, where the
            preprocessing does not make ``image`` and ``label`` of them.

    Example:
        >>> EntryTransforms(Compose([])).network_input({"image": 3, "label": 4}, "a", with_label=False)
        {'image': 3}
    """

    def __init__(self, preprocessing: Any, postprocessing: Any = None, settings: EntrySettings = USUAL) -> None:
        self.settings = settings
        self.preprocessing = _flat(preprocessing)
        # what keeps the voxels where they are: MONAI's spatial transforms are the lazy ones
        self._keeping = Compose([one for one in self.preprocessing.transforms if not isinstance(one, LazyTransform)])
        self.postprocessing = None if postprocessing is None else _without_saving(postprocessing)

    def network_input(
        self,
        entry: Mapping[str, Any],
        id: str,
        *,
        with_label: bool,
        watch: Watch | None = None,
    ) -> dict[str, Any]:
        """The entry as the network sees it; without its label, which then is not read, but to say why that fails.

        Args:
            entry: the entry.
            id: what errors call it.
            with_label: read the label, too.
            watch: is shown what the transforms make of an entry with its label, from the first spatial one on.

        Raises:
            DataError: the preprocessing fails, or gives several images.
        """
        if with_label:
            watched = self.preprocessing if watch is None else _watched(self.preprocessing, self._shown(watch, entry))
            return self._applied(watched, entry, id)
        labels = self.settings.labels_of(entry)
        alone = {key: value for key, value in entry.items() if key not in labels}
        try:
            return self._applied(self.preprocessing, alone, id, without="its label")
        except DataError as error:
            clicks = self._clicks(entry, id) if _is_stored(entry.get(self.settings.label_key)) else None
            if clicks is None:
                raise
            raise DataError(f"{id}: {clicks}") from error

    def _shown(self, watch: Watch, entry: Mapping[str, Any]) -> Watch:
        """What shows a watch all that has a shape, with the image and the label of an entry under these names."""

        def shows(data: Mapping[str, Any]) -> None:
            named = self._with_usual_keys(data, entry)
            seen = named.get(IMAGE, named.get(LABEL))
            if hasattr(seen, "shape") and not getattr(seen, "pending_operations", None):
                watch(named)

        return shows

    def _with_usual_keys(self, made: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
        """What was made of an entry, with an ``image`` and a ``label`` where it has them under other keys."""
        keys = {IMAGE: self.settings.image_key, LABEL: self.settings.label_key}
        named = {name: made[key] for name, key in keys.items() if key in made and (name not in made or name in entry)}
        return {**made, **named}

    def _clicks(self, entry: Mapping[str, Any], id: str) -> str | None:
        """A sentence where the preprocessing makes channels of the image from the label; None where it does not.

        Raises:
            DataError: it fails with the label, too, so that this is not the reason.
        """
        seen = _transformed(self.preprocessing, entry, id, None, reads_image=True)
        if not isinstance(seen, Mapping) or IMAGE not in seen:
            return None
        labels = self.settings.labels_of(entry)
        given: Any = {key: value for key, value in entry.items() if key not in labels}
        with contextlib.suppress(Exception), allow_missing_keys_mode(self.preprocessing):
            for one in self.preprocessing.transforms:
                given = one(given)
        stored, channels = given.get(IMAGE), len(seen[IMAGE])
        return of_clicks(len(stored), channels) if hasattr(stored, "shape") and channels > len(stored) else None

    def stored_label(self, entry: Mapping[str, Any], id: str) -> tuple[torch.Tensor, np.ndarray]:
        """The label ``(C, *spatial)`` as the preprocessing reads it, where it is stored, and its ``(4, 4)`` affine.

        Raises:
            DataError: the entry has no label, or it cannot be read.
        """
        if not _is_stored(entry.get(self.settings.label_key)):
            raise DataError(
                f"{id}: its entry of the bundle's datalist has no {self.settings.label_key!r}, so it cannot be scored"
            )
        labels = self.settings.labels_of(entry)
        alone = {key: value for key, value in entry.items() if key in labels or not _is_stored(value)}
        try:
            found = self._applied(self._keeping, alone, id, without="its image", needed=LABEL)
        except DataError:  # a transform that takes the image and the label together
            found = self._applied(self._keeping, entry, id, needed=LABEL)
        label = torch.as_tensor(found[LABEL])
        affine = affine_of(label)
        return label.as_subclass(torch.Tensor), np.eye(4) if affine is None else affine

    def _applied(
        self, transform: Compose, entry: Mapping[str, Any], id: str, *, without: str | None = None, needed: str = IMAGE
    ) -> dict[str, Any]:
        """What a transform makes of an entry, with an ``image`` and a ``label`` where it has them under other keys."""
        out = _transformed(transform, entry, id, without, reads_image=needed == IMAGE)
        made = self._with_usual_keys(out, entry) if isinstance(out, Mapping) else {}
        if needed not in made:
            two = of_two_images(made) if needed == IMAGE else None
            if two is not None:
                raise DataError(f"{id}: {two}")
            key = self.settings.image_key if needed == IMAGE else self.settings.label_key
            other = "" if needed == key else f", or {key!r},"
            raise DataError(
                f"the bundle's validation preprocessing gives {_described(out)} for {id}; one dictionary with "
                f"{needed!r}{other} is needed, so no random crops; --{needed}_key takes another key for it"
            )
        return made

    def place_of(
        self, prediction: torch.Tensor, seen: Mapping[str, Any], stored: tuple[int, ...], affine: np.ndarray, id: str
    ) -> np.ndarray:
        """Where a postprocessed prediction lies: still where the network saw its input, or back on the stored grid.

        Args:
            prediction: ``(C, *spatial)``.
            seen: ``image`` and ``label`` as the network saw them; they lie on each other, whatever their headers say.
            stored: the spatial shape of the stored label.
            affine: ``(4, 4)``, that of the stored label.
            id: what errors call it.

        Returns:
            ``(4, 4)``, voxel index -> millimetres of the stored label.

        Raises:
            DataError: nothing tells.
        """
        shape, image = tuple(prediction.shape[1:]), seen[IMAGE]
        place = affine_of(image)
        own = None if place is None else affine_of(prediction)  # else MONAI's postprocessing made it up
        if shape == tuple(image.shape[1:]) and (own is None or place is None or np.allclose(own, place, atol=1e-3)):
            label = seen.get(LABEL)
            if label is not None and tuple(label.shape[1:]) == shape and affine_of(label) is not None:
                place = affine_of(label)
            if place is not None:
                return place
        if shape == stored and (own is not None or self.keeps_place):
            return affine
        if own is not None and (place is None or not np.allclose(own, place, atol=1e-3)):
            return own
        raise DataError(
            f"{id}: it is not known where the postprocessed prediction {tuple(prediction.shape)} lies on the stored "
            f"grid {stored}: let the preprocessing and the postprocessing keep MONAI's meta data (track_meta)"
        )

    def to_probabilities(self, prediction: torch.Tensor, activation: str) -> torch.Tensor:
        """Apply the activation to a postprocessed prediction ``(C, *spatial)`` where the postprocessing did not.

        Args:
            prediction: what the postprocessing gave.
            activation: softmax, sigmoid, multilabel or none.
        """
        parts = [] if self.postprocessing is None else self.postprocessing.transforms
        if any(type(part).__name__.startswith(("Activations", "AsDiscrete")) and _is_of(part, _PRED) for part in parts):
            return prediction
        numbers = len(prediction) == 1 and bool((prediction == prediction.round()).all())
        done = bool((prediction >= 0).all()) and (numbers or bool((prediction <= 1).all()))
        return prediction if parts and done else probabilities(prediction[None], activation)[0]

    @property
    def keeps_place(self) -> bool:
        """Whether the preprocessing leaves the voxels where they are stored."""
        return len(self._keeping.transforms) == len(self.preprocessing.transforms)


def affine_of(image: Any) -> np.ndarray | None:
    """Voxel index -> millimetres ``(4, 4)`` of a MetaTensor, also where it has two dimensions; None of anything else.

    Example:
        >>> flat = MetaTensor(torch.zeros(1, 4, 4), affine=torch.tensor([[2.0, 0, 5], [0, 3, 6], [0, 0, 1]]))
        >>> affine_of(flat).tolist()
        [[2.0, 0.0, 0.0, 5.0], [0.0, 3.0, 0.0, 6.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    """
    return in_space(image.affine) if isinstance(image, MetaTensor) else None


def in_space(affine: Any) -> np.ndarray:
    """An affine of two or three dimensions as a ``(4, 4)`` one.

    Example:
        >>> in_space(np.eye(3)).shape
        (4, 4)
    """
    given = np.asarray(affine, dtype=np.float64)
    n = len(given) - 1
    whole = np.eye(4)
    whole[:n, :n], whole[:n, 3] = given[:n, :n], given[:n, n]
    return whole


def _flat(preprocessing: Any) -> Compose:
    if isinstance(preprocessing, (list, tuple)):
        preprocessing = Compose(preprocessing)
    return preprocessing.flatten() if type(preprocessing) is Compose else Compose([preprocessing])


def _without_saving(postprocessing: Any) -> Compose:
    flat = _flat(postprocessing)
    flat.transforms = tuple(one for one in flat.transforms if not isinstance(one, (SaveImage, SaveImaged)))
    return flat


def _watched(preprocessing: Compose, watch: Watch) -> Compose:
    """The same transforms; what each gives, from the first spatial one on, is shown."""
    parts = list(preprocessing.transforms)
    first = next((n for n, one in enumerate(parts) if isinstance(one, LazyTransform)), len(parts))
    shown = [part for one in parts[first:] for part in (one, _Shows(watch))]
    return Compose(
        [*parts[:first], *shown],
        map_items=preprocessing.map_items,
        unpack_items=preprocessing.unpack_items,
        lazy=preprocessing.lazy,
        overrides=preprocessing.overrides,
    )


class _Shows(LazyTransform):
    """Shows an entry as it is, without that MONAI carries out before it what lazy resampling puts off."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(lazy=True)
        self.watch = watch

    def __call__(self, data: Any, lazy: bool | None = None) -> Any:
        if isinstance(data, Mapping):
            self.watch(data)
        return data


def _transformed(
    transform: Compose, entry: Mapping[str, Any], id: str, without: str | None, *, reads_image: bool
) -> Any:
    try:
        may_lack = without is not None and any(isinstance(one, MapTransform) for one in transform.transforms)
        with allow_missing_keys_mode(transform) if may_lack else contextlib.nullcontext():
            return transform(dict(entry))
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:  # MONAI's own errors name the transform alone
            cause = cause.__cause__
        why = "" if without is None else f" without {without}"
        why += ", which must not be read before it is annotated" if reads_image and without else ""
        told = of_package(cause) or f"{type(cause).__name__}: {cause}"
        raise DataError(f"the bundle's validation preprocessing fails on {id}{why} ({told})") from error


def _is_of(part: Any, key: str) -> bool:
    """Whether a transform works on a key, or knows of none."""
    return key in getattr(part, "keys", (key,))


def _is_stored(value: Any) -> bool:
    """Whether a value of an entry is an image or a label: paths, or an array."""
    return bool(paths_of(value)) or is_array(value)


def _described(out: Any) -> str:
    return f"the keys {', '.join(map(repr, out))}" if isinstance(out, Mapping) else f"a {type(out).__name__}"
