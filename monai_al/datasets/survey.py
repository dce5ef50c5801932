# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a folder of scans holds, found out by trying a reader on it: a pool, its options, what had to be left out."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from monai_al.assets import docs_page
from monai_al.data.reading import name_without_suffix
from monai_al.datasets.damage import damaged_volumes
from monai_al.datasets.datalist import datalist
from monai_al.datasets.files import listed_error, natural_key
from monai_al.datasets.folder import folder
from monai_al.datasets.layouts import Layout, layout_of
from monai_al.datasets.modality import GreyValues, Modality, grey_values, modality_of
from monai_al.datasets.names import image_kind
from monai_al.datasets.patients import suggested_rule
from monai_al.datasets.plane_grid import PlaneGrid, plane_grid
from monai_al.datasets.slice_axes import COARSEST
from monai_al.datasets.unusable import UnusableVolumes
from monai_al.records import NOT_ANNOTATED, DataError, Pool
from monai_al.records.item import SLICE_AXIS
from monai_al.records.stored_files import stored_channels

__all__ = ["Survey", "survey"]

_READERS: dict[str, Callable[..., Pool]] = {"folder": folder, "datalist": datalist}
_NUMBERED = re.compile(r"foreground|class \d+")
_LOOKED_AT = 5  # images whose grey values are read


@dataclass(frozen=True)
class Survey:
    """What was found in a folder.

    Args:
        place: the folder, or the list.
        layout: how it lies there.
        pool: its items.
        options: of the reader that give this pool.
        left_out: name of a volume that cannot be used -> why.
        rule_suggested: the rule for patients is one that the names suggest.
        modality: what the images are.
        grey: the grey values of some of them.
        grid: the pixels that a network gets.

    Example:
        >>> import tempfile, nibabel, numpy as np
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("a", "a_seg", "b"):
        ...         nibabel.save(nibabel.Nifti1Image(np.ones((40, 40, 3), np.uint8), None), f"{root}/{name}.nii")
        ...     found = survey(Path(root))
        >>> found.pool, found.labeled, found.options["require_labels"]
        (Pool(6 items, 2 volumes, 2 patients), 1, False)
    """

    place: Path
    layout: Layout
    pool: Pool
    options: Mapping[str, Any]
    left_out: Mapping[str, str]
    rule_suggested: bool
    modality: Modality
    grey: Sequence[GreyValues]
    grid: PlaneGrid

    @property
    def labeled(self) -> int:
        """How many volumes have a label."""
        return len({item.volume for item in self.pool if item.label is not None})

    @property
    def named(self) -> bool:
        """Whether the classes have names, not just their numbers."""
        return not all(_NUMBERED.fullmatch(name) for name in self.pool.classes[1:])

    @property
    def channels(self) -> int:
        """How many channels an image has."""
        return self.grey[0].channels


def survey(
    place: Path,
    *,
    images: str | None = None,
    labels: str | None = None,
    patient: str | None = None,
    classes: Sequence[str] | None = None,
    label_values: Mapping[int, int] | None = None,
    modality: str | None = None,
    channel: int | None = None,
    read: bool = False,
) -> Survey:
    """Look at a folder of scans: headers, all labels where no list says what they hold, grey values of five images.

    Args:
        place: the folder, or a JSON file that lists images.
        images: sub-folder or pattern of the images, see :func:`monai_al.datasets.folder`.
        labels: the same of the labels.
        patient: the rule that finds the patient in a name. Default: one that the names suggest, if any.
        classes: names of the classes, background first. Default: the list's, or numbers.
        label_values: stored label value -> class number or 255.
        modality: what the images are, if that is not to be told from the files.
        channel: take this channel of every image alone, counted from 0.
        read: read every volume, as a run would.

    Raises:
        DataError: there are no images, none can be used, images of several kinds would be mixed, or a reader cannot
            tell what belongs together.

    Example:
        >>> survey(Path("gone"))
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: ...gone: does not exist; give the folder of the scans, or the JSON file ...
    """
    place = Path(os.path.abspath(place.expanduser()))
    layout = layout_of(place, images, labels)
    options: dict[str, Any] = {**layout.options, "patient": patient}
    options |= {} if channel is None else {"channel": channel}
    given = {} if label_values is None else {"label_values": label_values, "classes": classes}
    pool, left_out = _first_pool(_READERS[layout.reader], place, options | given, read)
    if images is None and layout.reader == "folder":
        _check_one_kind(pool, place)
    grey, unread = _some_grey_values(pool)
    left_out = dict(sorted({**left_out, **unread}.items(), key=lambda one: natural_key(one[0])))
    options |= _settled(pool, classes, left_out)
    pool, rule = _last_pool(_READERS[layout.reader], place, options, suggested_rule(pool.notes))
    options["patient"] = options["patient"] or rule
    values = [*grey.values()]
    told = Modality(modality, "--modality") if modality else modality_of([*grey], values, layout.channel_names)
    return Survey(place, layout, pool, options, left_out, rule is not None, told, values, plane_grid(pool))


# --- trying a reader --------------------------------------------------------------------------------------------------


def _first_pool(
    reader: Callable[..., Pool], place: Path, options: Mapping[str, Any], read: bool
) -> tuple[Pool, dict[str, str]]:
    """All that can be used, and the volumes that cannot."""
    left_out: dict[str, str] = {}
    while True:
        tolerant = {"require_labels": False, "slice_axis": COARSEST, "exclude": [*left_out]}
        try:
            pool = reader(place, **options, **tolerant, skip_incomplete=True)
            if _incomplete(pool) and not _labeled(pool):
                reader(place, **options, **tolerant)  # raises: no label has an image
            found = damaged_volumes(pool, read=read)
            if found:
                raise UnusableVolumes(_none_left(place, found), found, len(pool.volumes))
            return pool, left_out
        except UnusableVolumes as error:
            if error.all:
                raise
            left_out |= error.reasons


def _none_left(place: Path, reasons: Mapping[str, str]) -> str:
    return str(listed_error(f"{place}: none of {len(reasons)} volumes can be read", [*reasons.values()]))


def _last_pool(
    reader: Callable[..., Pool], place: Path, options: Mapping[str, Any], rule: str | None
) -> tuple[Pool, str | None]:
    """The pool that the settled options give, with the rule for patients that was suggested, where that is of use."""
    if rule is not None:
        try:
            return reader(place, **{**options, "patient": rule}), rule
        except DataError:  # a list puts what the rule joins into several parts
            pass
    return reader(place, **options), None


def _incomplete(pool: Pool) -> bool:
    return any("without partner are left out" in note or "incomplete entries" in note for note in pool.notes)


def _labeled(pool: Pool) -> bool:
    return any(item.label is not None for item in pool)


# --- what the options are to say --------------------------------------------------------------------------------------


def _settled(pool: Pool, classes: Sequence[str] | None, left_out: Mapping[str, str]) -> dict[str, Any]:
    names, values = _named(pool, classes)
    axes = {item.slice_axis for item in pool if item.slice is not None}
    options: dict[str, Any] = {
        "classes": names,
        "label_values": values,
        "slice_axis": COARSEST if len(axes) > 1 else next(iter(axes), SLICE_AXIS),
        "require_labels": all(item.label is not None for item in pool),
    }
    options |= {"skip_incomplete": True} if _incomplete(pool) else {}
    return options | ({"exclude": [*left_out]} if left_out else {})


def _named(pool: Pool, names: Sequence[str] | None) -> tuple[list[str], dict[int, int]]:
    """Names of the classes, and what the stored values mean."""
    values = dict(pool.label_values)
    if names is None or len(names) == len(pool.classes):
        return list(names or pool.classes), values
    plain = all(value == number for value, number in values.items())
    if len(names) > 1 and (not _labeled(pool) or plain and len(names) > len(pool.classes)):
        return list(names), {number: number for number in range(len(names))} | (values if plain else {})
    stored = ", ".join(str(value) for value, number in values.items() if number != NOT_ANNOTATED)
    raise DataError(
        f"--classes names {len(names)}, {', '.join(names)}, but the labels hold the values {stored}: name each of "
        "them, background first, or say by --label_values which of them are one class"
    )


def _check_one_kind(pool: Pool, place: Path) -> None:
    """Refuse several images of one case, such as T1 and T2, which would become volumes of their own."""
    kinds_of: dict[str, set[str]] = {}
    counts: Counter[str] = Counter()
    for image in dict.fromkeys(item.image for item in pool):
        path = PurePosixPath(stored_channels(image)[0].path)
        name = name_without_suffix(path)
        if kind := image_kind(name):
            core = name[: len(name) - len(kind)]
            tail = f"*{core[-1:] or '/'}{kind}.*"
            counts[tail] += 1
            kinds_of.setdefault(f"{path.parent}/{core}", set()).add(tail)
    mixed = {tail for tails in kinds_of.values() if len(tails) > 1 for tail in tails}
    if mixed:
        head = (
            f"{place}: images of several kinds belong to one case and would become volumes of their own; choose one "
            "kind (with its number of images), or list them as channels of one image in a JSON file, see "
            f"{docs_page('data.md')}"
        )
        raise listed_error(head, [f"--images '{tail}': {n}" for tail, n in counts.most_common() if tail in mixed])


def _some_grey_values(pool: Pool) -> tuple[dict[str, GreyValues], dict[str, str]]:
    """Image -> its grey values, of some spread over the pool; and the volumes of which they cannot be read."""
    firsts = list({item.volume: item for item in pool}.values())
    found: dict[str, GreyValues] = {}
    unread: dict[str, str] = {}
    for item in firsts[:: -(-len(firsts) // _LOOKED_AT)]:
        try:
            found[item.image] = grey_values(item.image)
        except DataError as error:
            unread[item.volume] = str(error)
    if not found:
        raise DataError(_none_left(Path(pool.root or ""), unread))
    _check_channels(found)
    return found, unread


def _check_channels(found: Mapping[str, GreyValues]) -> None:
    one_of = {grey.channels: image for image, grey in found.items()}
    if len(one_of) > 1:
        shown = ", ".join(f"{channels} in {image}" for channels, image in sorted(one_of.items()))
        raise DataError(
            f"images have different numbers of channels, {shown}; a run takes those of one alone: choose them by "
            "--images, or take one channel of each by --channel 0"
        )
