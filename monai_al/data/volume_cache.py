# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Volumes, read, checked and preprocessed once per machine, as memory-mapped arrays."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import math
import shutil
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from monai_al.data.cut_labels import labeled_voxels, what_is_cut
from monai_al.data.fingerprint import fingerprint
from monai_al.data.geometry import VolumeGeometry
from monai_al.data.grids import same_view
from monai_al.data.reading import StoredVolume, read_volume
from monai_al.records import NOT_ANNOTATED, content_hash, file_identity, whole_label_values
from monai_al.records.errors import DataError
from monai_al.records.files import TEMPORARY, new_folder, read_json, write_json
from monai_al.records.item import SLICE_AXIS, STORED_CODES, Item
from monai_al.records.item_table import ItemTable
from monai_al.records.pool import Pool

__all__ = ["CachedVolume", "VolumeCache", "track_meta"]

_log = logging.getLogger(__name__)

_FORMAT = 3
_SHOWN = 20
_ABANDONED_AFTER = 24 * 3600  # seconds
_MOST_OPEN = 4096  # volumes: each has four memory maps, of which Linux lets a process have 65,530
CLASS_VALUES = {number: number for number in range(256)}  # of labels that hold class numbers


@dataclass(frozen=True)
class CachedVolume:
    """One preprocessed volume; the arrays are memory-mapped, slices of them are views.

    Args:
        image: float32 ``(d, C, h, w)``.
        label: uint8 class numbers ``(d, h, w)`` on the preprocessed grid, 255 outside the stored grid, or None.
        truth: uint8 class numbers ``(D, H, W)`` on the stored grid, D along the slice axis, or None.
        valid: bool ``(d or 1, h, w)``, False outside the stored grid.
        geometry: the two grids and the way back; the stored one is the image's, or that of a label of another size.
        hashes: SHA-256 of the image file and of the label file (None without a label).

    Example:
        >>> geometry = VolumeGeometry((4, 4, 2), np.eye(4), (4, 4, 2), np.eye(4), (1.0, 1.0, 1.0))
        >>> image = np.zeros((2, 1, 4, 4), np.float32)
        >>> CachedVolume(image, None, None, geometry.valid(), geometry, ("e3b0", None)).valid.shape
        (1, 4, 4)
    """

    image: np.ndarray
    label: np.ndarray | None
    truth: np.ndarray | None
    valid: np.ndarray
    geometry: VolumeGeometry
    hashes: tuple[str, str | None]


_Key = tuple[str, str | None, str, int]


class _Facts(NamedTuple):
    """What stays known of a volume that is not open any more."""

    shape: tuple[int, ...]
    hashes: tuple[str, str | None]


class VolumeCache:
    """Reads, checks and preprocesses each volume once and keeps it on disk.

    An entry is found by the identity of its files (path, size, time of change), the slice axis, the transform and the
    meaning of the label values; it is written to a temporary folder and renamed, so that runs and processes may share
    the cache. One that was cut off or lost a file is made again, with a warning.

    Args:
        cache_dir: where the entries lie; it may be deleted at any time between runs.
        transform: deterministic dictionary transform over the keys ``"image"`` ``(C, H, W, D)`` and ``"label"``
            ``(1, H, W, D)``, both ``MetaTensor`` with their affine; the label may be absent
            (``allow_missing_keys=True``).
        label_values: stored label value -> class number or 255; needed where items have labels.
        progress: show a progress bar while :meth:`prepare` reads.
        affine_tolerated: where image and label disagree about their position, warn and use the image's geometry.
        sizes_tolerated: pictures and their labels may differ in rows and columns: both show the whole view.

    Attributes:
        recipe: fingerprint of what the entries depend on beside their files.

    Raises:
        ValueError: the transform is random, or a label value is no whole number.

    Example:
        >>> import tempfile
        >>> from monai_al.records import Item
        >>> from monai_al.datasets import phantom
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pool = phantom(folder, patients=1, shape=(16, 16, 6))
        ...     VolumeCache(folder, label_values=pool.label_values).get(pool[0]).image.shape
        (6, 1, 16, 16)
    """

    def __init__(
        self,
        cache_dir: str | Path,
        transform: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None,
        label_values: Mapping[int, int] | None = None,
        progress: bool = True,
        affine_tolerated: bool = False,
        sizes_tolerated: bool = False,
    ) -> None:
        _refuse_random(transform)
        self.cache_dir = Path(cache_dir)
        self.transform = transform
        self.label_values = None if label_values is None else whole_label_values(label_values)
        self.progress = progress
        self.affine_tolerated = affine_tolerated
        self.sizes_tolerated = sizes_tolerated
        self.recipe = fingerprint((_FORMAT, importlib.metadata.version("monai"), transform))
        self._open: OrderedDict[_Key, CachedVolume] = OrderedDict()  # the last that were asked for
        self._facts: dict[_Key, _Facts] = {}  # of all that were open

    def __getstate__(self) -> dict[str, Any]:
        """Without the open volumes, which another process maps anew."""
        return {**self.__dict__, "_open": OrderedDict()}

    def prepare(self, items: Iterable[Item]) -> None:
        """Read and check every volume of these items that is not in the cache yet, and that they are alike.

        Raises:
            DataError: images or labels that cannot be used; all of them are listed. Or images with different numbers of
                channels, or 2D images beside whole volumes.
        """
        items = ItemTable.of(items.items if isinstance(items, Pool) else items).firsts()
        self._drop_abandoned()
        files = {_key(item): item for item in items if _key(item) not in self._facts}
        problems = []
        hidden = None if self.progress and files else True
        bar = tqdm(files.items(), desc="reading volumes", unit="volume", disable=hidden)
        for key, item in bar:
            try:
                self.get(item)
            except DataError as error:
                problems.append(f"{key[0]}: {error}" if key[0] not in str(error) else str(error))
        if problems:
            more = f"\n... and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
            listed = "\n".join(problems[:_SHOWN])
            raise DataError(f"{len(problems)} of {len(files)} volumes cannot be used:\n{listed}{more}")
        self._check_alike({item.image: item for item in items}.values())
        if files:
            self._tell_outside(files.values())

    def _tell_outside(self, items: Collection[Item]) -> None:
        """Say how much of what is labeled the preprocessing cuts away."""
        entries = ((item, self._entries(item)[1]) for item in items)
        counts = {item.image: read_json(entry / "label.json") for item, entry in entries if entry is not None}
        told = what_is_cut(counts, self._known(next(iter(items))).shape[2:])
        if told is not None:
            _log.warning("%s", told)

    def _drop_abandoned(self) -> None:
        """Remove what processes that were killed more than a day ago left half-written."""
        for left in self.cache_dir.glob(f"*/{TEMPORARY}*"):
            with contextlib.suppress(FileNotFoundError):  # another process finished or removed it
                if time.time() - left.stat().st_mtime > _ABANDONED_AFTER:
                    shutil.rmtree(left, ignore_errors=True)

    def get(self, item: Item) -> CachedVolume:
        """The preprocessed volume that holds this item.

        Raises:
            DataError: the image or label cannot be used, or the transform changes the slices of a slice item.
        """
        key = _key(item)
        if key in self._open:
            self._open.move_to_end(key)
        else:
            volume = self._load(item)
            known = self._facts.setdefault(key, _Facts(volume.image.shape, volume.hashes))
            if known.hashes != volume.hashes:
                raise DataError(f"{item.image} or its label has changed since this command began; start it again")
            self._open[key] = volume
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
        volume = self._open[key]
        if item.slice is not None and not volume.geometry.keeps_slices:
            raise DataError(
                f"{item.image}: the preprocessing changes the slice axis ({volume.geometry.stored_shape} -> "
                f"{volume.geometry.shape}); keep it (size -1, no re-orientation), or take whole volumes as items"
            )
        return volume

    def hashes(self, item: Item) -> tuple[str, str | None]:
        """SHA-256 of the image and of the label of an item.

        Raises:
            DataError: see :meth:`get`.
        """
        return self._known(item).hashes

    def _known(self, item: Item) -> _Facts:
        key = _key(item)
        if key not in self._facts:
            self.get(item)
        return self._facts[key]

    def _check_alike(self, items: Iterable[Item]) -> None:
        """One network takes one number of channels, and either planes or volumes."""
        shapes = [(item, self._known(item).shape) for item in items]
        _check_one_kind(
            {item.image: f"of {shape[1]} channel{'s' * (shape[1] > 1)}" for item, shape in shapes},
            "store all alike, or take one channel of each: --datalist#channel 0 of the data sets folder and datalist, "
            "which is all there is of grey images stored as colours",
        )
        _check_one_kind(
            {item.image: "2D" if shape[0] == 1 else "3D" for item, shape in shapes if item.slice is None},
            "keep flat images and whole volumes in data sets of their own, or take slices as items",
        )

    def _load(self, item: Item) -> CachedVolume:
        image_entry, label_entry = self._entries(item)
        entries = [entry for entry in (image_entry, label_entry) if entry is not None]
        if all(entry.is_dir() for entry in entries):
            try:
                return self._opened(image_entry, label_entry)
            except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
                _log.warning("%s is damaged in the cache, and is made again (%s)", item.image, error)
                for entry in entries:
                    shutil.rmtree(entry)
        self._build(item, image_entry, label_entry)
        return self._opened(image_entry, label_entry)

    @staticmethod
    def _opened(image_entry: Path, label_entry: Path | None) -> CachedVolume:
        content = read_json(image_entry / "geometry.json")
        label = truth = label_hash = None
        geometry = content["geometry"]
        if label_entry is not None:
            label, truth = _map(label_entry / "label.npy"), _map(label_entry / "truth.npy")
            of_label = read_json(label_entry / "label.json")
            label_hash, geometry = of_label["sha256"], of_label.get("geometry", geometry)
        return CachedVolume(
            _map(image_entry / "image.npy"),
            label,
            truth,
            _map(image_entry / "valid.npy"),
            VolumeGeometry.from_json(geometry),
            (content["sha256"], label_hash),
        )

    def _entries(self, item: Item) -> tuple[Path, Path | None]:
        image = self._identity(item.image)
        if item.slice_axis != SLICE_AXIS:
            image += f"|slices along axis {item.slice_axis}"
        image_entry = self.cache_dir / "images" / fingerprint((self.recipe, image))[:32]
        if item.label is None:
            return image_entry, None
        key = (self.recipe, image, self._identity(item.label), self._values_of(item))
        key += ("affine tolerated",) * self.affine_tolerated  # else it was never compared with that of its image
        key += ("sizes tolerated",) * self.sizes_tolerated
        return image_entry, self.cache_dir / "labels" / fingerprint(key)[:32]

    def _values_of(self, item: Item) -> dict[int, int] | None:
        """What the values of the item's label mean."""
        return self.label_values if item.coding == STORED_CODES else CLASS_VALUES

    @staticmethod
    def _identity(path: str) -> str:
        try:
            return file_identity(path)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None

    def _build(self, item: Item, image_entry: Path, label_entry: Path | None) -> None:
        stored = read_volume(
            item.image,
            item.label,
            label_values=self._values_of(item),
            affine_tolerated=self.affine_tolerated,
            sizes_tolerated=self.sizes_tolerated,
            slice_axis=item.slice_axis,
        )
        image, label, affine = self._preprocess(stored, item)
        geometry = VolumeGeometry(
            tuple(stored.image.shape[1:]),
            stored.affine,
            tuple(image.shape[1:]),
            affine,
            stored.spacing,
            stored.placeholder_spacing,
        )
        valid = geometry.valid()
        if image_entry.is_dir() and read_json(image_entry / "geometry.json")["geometry"] != geometry.to_json():
            raise DataError(
                f"{item.image}: the preprocessing places it otherwise with this label than before, so it looks at the "
                "label (source_key='label', say); an image must be seen alike whoever labels it"
            )
        if not image_entry.is_dir():
            with new_folder(image_entry) as folder:
                np.save(folder / "image.npy", np.ascontiguousarray(image.transpose(3, 0, 1, 2)))
                np.save(folder / "valid.npy", valid)
                write_json(
                    folder / "geometry.json",
                    {"image": item.image, "sha256": content_hash(item.image), "geometry": geometry.to_json()},
                )
        if label_entry is not None and stored.label is not None and label is not None and item.label is not None:
            planes = np.where(valid, label.transpose(2, 0, 1), NOT_ANNOTATED).astype(np.uint8)
            truth, own = stored.label.transpose(2, 0, 1), geometry.of_size(stored.label.shape)
            content = {"label": item.label, "sha256": content_hash(item.label), **labeled_voxels(truth, own)}
            content |= {} if own is geometry else {"geometry": own.to_json()}
            with new_folder(label_entry) as folder:
                np.save(folder / "label.npy", np.ascontiguousarray(planes))
                np.save(folder / "truth.npy", np.ascontiguousarray(truth))
                write_json(folder / "label.json", content)

    def _preprocess(self, stored: StoredVolume, item: Item) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        shape = stored.image.shape[1:]
        if self.transform is None and (stored.label is None or stored.label.shape == shape):
            return stored.image, stored.label, stored.affine
        from monai.data import MetaTensor

        data = {"image": MetaTensor(torch.from_numpy(stored.image), affine=torch.from_numpy(stored.affine))}
        if stored.label is not None:
            affine = torch.from_numpy(same_view(stored.affine, shape, stored.label.shape))
            data["label"] = MetaTensor(torch.from_numpy(stored.label[None].astype(np.float32)), affine=affine)
        try:
            with track_meta(True):
                out = data if self.transform is None else self.transform(data)
        except Exception as error:
            cause = error.__cause__ or error  # MONAI's own error names the transform alone
            raise DataError(f"{item.image}: the preprocessing failed ({type(cause).__name__}: {cause})") from error
        image = out["image"]
        if not isinstance(image, MetaTensor) or image.ndim != 4:
            raise DataError(f"{item.image}: the preprocessing must return a MetaTensor (C, H, W, D) under 'image'")
        if not bool(torch.isfinite(image).all()):
            raise DataError(f"{item.image}: the preprocessing made voxels that are NaN or infinite")
        planes = None if stored.label is None else _checked_label(out.get("label"), image, item)
        return np.asarray(image, dtype=np.float32), planes, np.asarray(image.affine, dtype=np.float64)


def _check_one_kind(kind_of: Mapping[str, str], advice: str) -> None:
    """Refuse images of several kinds; one of the rarest and one of the most frequent kind are named."""
    counts = Counter(kind_of.values()).most_common()
    if len(counts) < 2:
        return
    (usual, most), (other, fewest) = counts[0], counts[-1]
    first, odd = (next(image for image in kind_of if kind_of[image] == kind) for kind in (usual, other))
    raise DataError(f"{odd}: is {other}, as {fewest} of {len(kind_of)} images are, {first} {usual} ({most}); {advice}")


def _key(item: Item) -> _Key:
    return item.image, item.label, item.coding, item.slice_axis


@contextlib.contextmanager
def track_meta(on: bool) -> Iterator[None]:
    """MONAI's transforms with or without meta data; the setting of before comes back.

    Example:
        >>> from monai.data import get_track_meta
        >>> with track_meta(False):
        ...     get_track_meta()
        False
    """
    from monai.data import get_track_meta, set_track_meta

    before = get_track_meta()
    set_track_meta(on)
    try:
        yield
    finally:
        set_track_meta(before)


def _map(path: Path) -> np.ndarray:
    """A view of the file's pages that may be written to without changing the file.

    NumPy's own memory maps hold a file descriptor each, of which a process has few.

    Raises:
        ValueError: the file is cut off or damaged.
    """
    with open(path, "rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
    size, expected = path.stat().st_size, start + math.prod(shape) * dtype.itemsize
    if size != expected:
        raise ValueError(f"{path} has {size} bytes, expected {expected}")
    pages = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8).numpy()
    return pages[start:].view(dtype).reshape(shape)


def _checked_label(label: Any, image: Any, item: Item) -> np.ndarray:
    """The preprocessed label ``(H, W, D)``, as whole numbers on the image's grid."""
    affine = getattr(label, "affine", None)
    if affine is None or label.shape[1:] != image.shape[1:] or not np.allclose(affine, image.affine, atol=1e-5):
        raise DataError(
            f"{item.label}: the preprocessing must return a MetaTensor under 'label' that lies where the image lies; "
            "spatial transforms need both keys"
        )
    values = np.asarray(label)[0]
    whole = np.rint(values)
    if np.abs(values - whole).max() > 1e-3:
        raise DataError(f"{item.label}: the preprocessing interpolates the label; give it the mode 'nearest'")
    return whole


def _refuse_random(transform: Any) -> None:
    if transform is None:
        return
    from monai.transforms import Compose, OneOf, RandomizableTrait, RandomOrder, SomeOf

    if isinstance(transform, Compose) and not isinstance(transform, (OneOf, RandomOrder, SomeOf)):
        for part in transform.transforms:
            _refuse_random(part)
    elif isinstance(transform, RandomizableTrait):
        raise ValueError(
            f"{type(transform).__name__} is random: what is cached must be deterministic. Move it to the training "
            "transform, which runs per slice"
        )
