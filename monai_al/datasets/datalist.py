# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Any data set that a JSON file lists: a datalist of MONAI, a task of the Decathlon, a data set of nnU-Net."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from monai_al.data.reading import name_without_suffix
from monai_al.datasets.files import Pair, existing_folder, listed_error, pool_of, shortened, volume_name, ways_out
from monai_al.datasets.folder import classes_found
from monai_al.datasets.listing import Entry, classes_of, entries_of, read_listing
from monai_al.datasets.patients import with_patients
from monai_al.datasets.unusable import without
from monai_al.records import DataError, Pool
from monai_al.records.stored_files import as_channels, of_channel

__all__ = ["datalist"]


def datalist(
    root: str | os.PathLike,
    *,
    file: str | None = None,
    image_key: str | Sequence[str] = "image",
    label_key: str = "label",
    fold: int | None = None,
    classes: Sequence[str] | None = None,
    label_values: Mapping[int, int] | None = None,
    patient: str | None = None,
    channel: int | None = None,
    item: str = "slice",
    require_labels: bool = True,
    skip_incomplete: bool = False,
    exclude: Sequence[str] | None = None,
    affine_tolerated: bool = False,
    slice_axis: int | str = 2,
) -> Pool:
    """The images of a JSON file: ``{"training": [{"image": ..., "label": ...}, ...], "validation": ..., "test": ...}``.

    Paths are absolute or start at the folder. Several images of an entry are channels, in their order. ``validation``
    and ``test`` (or ``testing``) are these parts of the pool; test images without a label are left out. Classes come
    from ``labels``, if there are any, which maps values to names or names to values.

    The ``dataset.json`` of nnU-Net has no list: its cases are ``imagesTr/<case>_0000.nii.gz``, ``<case>_0001`` and so
    on, the channels, with ``labelsTr/<case>.nii.gz``; ``imagesTs`` with ``labelsTs``, where there is one, is the test
    part. The label ``ignore`` means not annotated.

    A volume is called by its image's file, by what the names of several share, or, where two were called alike, by the
    path below the folder that all images share.

    Args:
        root: the JSON file, or the folder that holds it.
        file: the JSON file, where ``root`` is the folder that its paths start from. Default: ``dataset.json``, or the
            only JSON file there.
        image_key: where in an entry the image stands; several keys name channels.
        label_key: where the label stands.
        fold: entries of this ``fold`` are the validation part.
        classes: names of the classes, background first, instead of the list's.
        label_values: stored label value -> class number or 255. Default: as the list says, or the values found.
        patient: regular expression that is searched in an image's path below the folder that all images share, as in
            :func:`monai_al.datasets.folder`.
        channel: take this channel of every file alone, counted from 0.
        item: ``"slice"`` or ``"volume"``.
        require_labels: False also takes images to be annotated that have no label yet.
        skip_incomplete: leave out entries with a missing file or without a label, and name them in the notes.
        exclude: names of volumes that are left out.
        affine_tolerated: where the affines of an image and its label differ, warn and use the image's for both.
        slice_axis: the stored axis along which the slices lie, counted from 0, or ``"coarsest"`` for that of the
            largest voxel size of each file; see :func:`monai_al.datasets.files.pool_of`.

    Raises:
        DataError: there is no such list, it is malformed, files or labels are missing (all are listed), ``labels``
            names regions, or a patient lies in two parts.

    Example:
        >>> import json, tempfile, nibabel, numpy as np
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("t1", "t2", "seg"):
        ...         volume = nibabel.Nifti1Image(np.zeros((4, 4, 3), np.uint8), np.eye(4))
        ...         nibabel.save(volume, f"{root}/case_1_{name}.nii.gz")
        ...     images = ["case_1_t1.nii.gz", "case_1_t2.nii.gz"]
        ...     listing = {"training": [{"image": images, "label": "case_1_seg.nii.gz"}]}
        ...     _ = Path(root, "list.json").write_text(json.dumps(listing))
        ...     [i.id for i in datalist(root, classes=("background", "organ"))]
        ['case_1/0000', 'case_1/0001', 'case_1/0002']
    """
    path, base = _list_and_folder(root, file)
    listing = read_listing(path)
    entries = entries_of(listing, path, base, image_key=image_key, label_key=label_key)
    if not entries:
        raise DataError(f"{path}: lists no images, and {base} holds no imagesTr with labelsTr")
    named = classes_of(listing, path) if classes is None and listing.get("labels") else None
    entries, notes = _usable(entries, path, base, require_labels, skip_incomplete)
    if not entries:
        raise DataError(f"{path}: no image is left: {' '.join(notes)}")
    entries, fold_notes = _in_fold(entries, fold, path)
    pairs = _pairs(entries, channel, path)
    entry_of = {pair.volume: entry for pair, entry in zip(pairs.values(), entries, strict=True)}
    pairs = without(pairs, exclude)
    with_patient, patient_notes = with_patients(pairs, patient)
    notes += [*fold_notes, *patient_notes]
    if named is None and classes is None:
        classes, found_values, found_notes = classes_found(list(pairs.values()), label_values)
        named, notes = (classes, found_values), notes + found_notes
    names, values = (classes, None) if named is None else named
    pool = pool_of(
        with_patient.values(),
        item=item,
        classes=names or (),
        label_values=label_values or values,
        root=base,
        notes=notes,
        affine_tolerated=affine_tolerated,
        slice_axis=slice_axis,
    )
    part_of = {pair.volume: entry_of[pair.volume].part for pair in pairs.values()}
    _check_parts(pool, part_of, path)
    return pool.with_items(pool.items.with_wholes(lambda one: replace(one, split=part_of[one.volume])))


def _list_and_folder(root: str | os.PathLike, file: str | None) -> tuple[Path, Path]:
    place = Path(os.path.abspath(Path(root).expanduser())) if root is not None else None
    if place is not None and place.is_file():
        return place, place.parent
    folder = existing_folder(root)
    if file is not None:
        path = folder / Path(file).expanduser()
        if not path.is_file():
            raise DataError(f"{path}: there is no such file; 'file' names the JSON file that lists the images")
        return path, folder
    if (folder / "dataset.json").is_file():
        return folder / "dataset.json", folder
    found = sorted(path for path in folder.glob("*.json") if path.is_file() and path.name[0] != ".")
    if len(found) != 1:
        names = f"several: {shortened([path.name for path in found])}" if found else "none"
        raise DataError(
            f"{folder}: which JSON file lists the images? There is no dataset.json, and of others {names}; name it by "
            "--datalist#file, or give it as the dataset_dir"
        )
    return found[0], folder


def _usable(
    entries: list[Entry], path: Path, base: Path, require_labels: bool, skip_incomplete: bool
) -> tuple[list[Entry], list[str]]:
    """The entries that can be used, and notes on the others."""
    untested = [entry for entry in entries if entry.part == "test" and entry.label is None]
    notes = [f"{len(untested)} images of the test list have no label and are left out."] if untested else []
    entries = [entry for entry in entries if entry.part != "test" or entry.label is not None]
    problems: dict[str, str] = {}
    for entry in entries:
        missing = [_below(file, base) for file in entry.missing()]
        if missing:
            problems[entry.place] = f"{entry.place}: there is no {' and no '.join(missing)}"
        elif entry.label is None and (require_labels or entry.part != "train"):
            problems[entry.place] = f"{entry.place}: {_below(entry.images[0], base)} has no label"
    if problems and not skip_incomplete:
        raise listed_error(
            f"{path}: {len(problems)} entries lack files or labels ({ways_out(unlabeled=True)})",
            list(problems.values()),
        )
    if problems:
        notes.append(f"{len(problems)} incomplete entries are left out: {shortened(list(problems.values()))}.")
    return [entry for entry in entries if entry.place not in problems], notes


def _below(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)


def _in_fold(entries: list[Entry], fold: int | None, path: Path) -> tuple[list[Entry], list[str]]:
    folds = sorted({entry.fold for entry in entries if entry.fold is not None})
    if fold is None:
        hint = f"The list has the folds {shortened(folds)}: --datalist#fold makes one of them the validation part."
        return entries, [hint] if folds else []
    if fold not in folds:
        raise DataError(f"{path}: no entry has the fold {fold}; there are {shortened(folds) or 'none'}")
    split = [replace(entry, part="validation") if entry.fold == fold else entry for entry in entries]
    if all(entry.part != "train" for entry in split):
        raise DataError(f"{path}: all training entries have the fold {fold}, so that none is left to train on")
    return split, []


def _pairs(entries: Sequence[Entry], channel: int | None, path: Path) -> dict[str, Pair]:
    """The name that a rule for patients sees -> image and label."""
    if not entries:
        return {}
    shared = Path(os.path.commonpath([entry.images[0].parent for entry in entries]))
    cases = Counter(entry.case for entry in entries)
    pairs = {}
    for entry in entries:
        folder = entry.images[0].parent.relative_to(shared)
        own = entry.name or (len(entry.images) > 1 and entry.case != folder.name)
        name = entry.case if own else name_without_suffix(entry.images[0])
        key = (folder / name).as_posix()
        volume = entry.case if cases[entry.case] == 1 else volume_name(key)
        image = as_channels(entry.images)
        image = image if channel is None else of_channel(image, channel)
        if key in pairs:
            raise DataError(f"{path}: {entry.place}: {image} is listed more than once; remove one of them")
        pairs[key] = Pair(image, entry.label, volume, volume)
    return pairs


def _check_parts(pool: Pool, part_of: Mapping[str, str], path: Path) -> None:
    first: dict[str, str] = {}
    for one in pool:
        other = first.setdefault(one.patient, one.volume)
        if part_of[other] != part_of[one.volume]:
            raise DataError(
                f"{path}: patient {one.patient} lies in two parts of the list: {other} in {part_of[other]} and "
                f"{one.volume} in {part_of[one.volume]}; put all scans of a patient into one part, or "
                "tell patients apart by the option patient, where '.+' makes every file one"
            )
