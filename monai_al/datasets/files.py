# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What all data sets share: sorted names, paths that stay in their folder, pairs of files turned into a pool."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from monai_al.data.natural_order import natural_key
from monai_al.data.reading import READABLE_SUFFIXES, stored_shape
from monai_al.datasets.copies import copies
from monai_al.datasets.slice_axes import chosen_axis, coarsest_note, slice_axis_of
from monai_al.datasets.unusable import UnusableVolumes
from monai_al.records import NOT_ANNOTATED, DataError, Item, Pool, slices_of
from monai_al.records.item import SLICE_AXIS

__all__ = [
    "ITEM_KINDS",
    "Pair",
    "contained",
    "existing_folder",
    "folders_below",
    "is_our_output",
    "listed_error",
    "natural_key",
    "pool_of",
    "readable_files",
    "shortened",
    "volume_name",
    "ways_out",
]

ITEM_KINDS = ("slice", "volume")
_RUN_FOLDERS = re.compile(r"annotate|report|round_\d+")  # of a run folder that is searched itself
_WRITTEN = ("*/seed_*/run.json", "*/seed_*.done.json", "images/*/geometry.json")  # by a comparison, by a cache


@dataclass(frozen=True)
class Pair:
    """An image, its label, and where they belong.

    Args:
        image: the stored image: a path, or as :class:`monai_al.records.Item` holds it.
        label: the stored label, or None.
        volume: name of the volume, unique over the data set.
        patient: the patient.

    Example:
        >>> Pair(Path("a.nii.gz"), None, "a", "a").volume
        'a'
    """

    image: Path | str
    label: Path | None
    volume: str
    patient: str


def existing_folder(root: str | os.PathLike | None) -> Path:
    """The absolute path of a folder that exists; ``~`` is the home folder.

    Raises:
        DataError: no folder is given, or there is no such folder.

    Example:
        >>> existing_folder(".").is_absolute()
        True
    """
    if root is None:
        raise DataError("no folder is given for the data set: say where it lies with --dataset_dir")
    folder = Path(os.path.abspath(Path(root).expanduser()))
    if not folder.is_dir():
        found = "is a file, not a folder" if folder.is_file() else "does not exist"
        raise DataError(f"{folder}: {found}; give the folder that holds the data set")
    return folder


def contained(root: Path, entry: str) -> Path:
    """The path of an entry of a list, as long as it stays inside the list's folder.

    Raises:
        DataError: the entry is empty or leads out of the folder, by ``..``, as an absolute path or by a symbolic link.

    Example:
        >>> contained(Path("/data"), "./imagesTr/a.nii.gz").as_posix().endswith("/data/imagesTr/a.nii.gz")
        True
        >>> contained(Path("/data"), "../secret.nii.gz")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: entry '../secret.nii.gz' leads out of /data; refused
    """
    path = Path(os.path.normpath(root / entry))
    if not entry.strip() or ".." in PurePosixPath(entry).parts or not path.is_relative_to(root):
        raise DataError(f"entry {entry!r} leads out of {root}; refused")
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataError(f"entry {entry!r} leads out of {root} by a symbolic link, to {path.resolve()}; refused")
    return path


def readable_files(folder: Path, *, deep: bool = True) -> Iterator[Path]:
    """The image files in a folder, numeric-aware sorted; :func:`folders_below` tells what is left out.

    Example:
        >>> list(readable_files(Path("monai_al"), deep=False))
        []
    """
    found: list[Path] = []
    for where, names in folders_below(folder, deep=deep):
        found += [where / name for name in names if name.lower().endswith(READABLE_SUFFIXES)]
    return iter(sorted(found, key=lambda path: natural_key(path.relative_to(folder).as_posix())))


def folders_below(folder: Path, *, deep: bool = True) -> Iterator[tuple[Path, list[str]]]:
    """A folder and all that may hold data below it, each with the names of its files, numeric-aware sorted.

    Hidden files and folders and ``__MACOSX`` are left out, and so is what this package wrote: run folders, the folder
    of a comparison, and caches. Links are followed, though not in a circle.

    Example:
        >>> [(where.name, names) for where, names in folders_below(Path("configs/tracking"))]
        [('tracking', ['mlflow.yaml', 'tensorboard.yaml'])]
    """
    run = _RUN_FOLDERS if (folder / "run.json").is_file() else None
    for where, folders, names in os.walk(folder, followlinks=True):
        place = Path(where)
        inside = [name for name in folders if not _is_clutter(name) and not is_our_output(place / name)]
        if run is not None and place == folder:
            inside = [name for name in inside if not run.fullmatch(name)]
        folders[:] = sorted((n for n in inside if not _leads_back(place / n)), key=natural_key) if deep else []
        yield place, sorted((name for name in names if not _is_clutter(name)), key=natural_key)


def _is_clutter(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def is_our_output(folder: Path) -> bool:
    """Whether a folder is that of a run or of a comparison, or a cache.

    Example:
        >>> is_our_output(Path("configs"))
        False
    """
    if (folder / "run.json").is_file():
        return True
    return any(next(folder.glob(pattern), None) for pattern in _WRITTEN)


def _leads_back(folder: Path) -> bool:
    """Whether a linked folder is one of those that it lies in."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def volume_name(key: str) -> str:
    """What a volume is called that has this path: each sub-folder's name stands in front, unless it does so already.

    Example:
        >>> volume_name("p1/frame01"), volume_name("p1/p1_frame01")
        ('p1_frame01', 'p1_frame01')
    """
    *folders, name = PurePosixPath(key).parts
    for part in reversed(folders):
        name = name if name.startswith(part) else f"{part}_{name}"
    return name


def listed_error(head: str, entries: Sequence[object], *, limit: int = 20) -> DataError:
    """One error for many findings: a headline, then one line each, at most ``limit`` of them.

    Example:
        >>> print(listed_error("2 files are missing", ["a", "b"], limit=1))
        2 files are missing:
          a
          ... and 1 more
    """
    lines = [f"  {entry}" for entry in entries[:limit]]
    if len(entries) > limit:
        lines.append(f"  ... and {len(entries) - limit} more")
    return DataError("\n".join([f"{head}:", *lines]))


def ways_out(*, unlabeled: bool) -> str:
    """How to go on where files are missing, for a message.

    Args:
        unlabeled: images without a label are an option.

    Example:
        >>> ways_out(unlabeled=False)
        '--datalist#skip_incomplete True leaves them out; in the command datalist --skip_incomplete'
    """
    if not unlabeled:
        return "--datalist#skip_incomplete True leaves them out; in the command datalist --skip_incomplete"
    return (
        "--datalist#skip_incomplete True leaves them out, --datalist#require_labels False keeps images without label; "
        "in the command datalist --skip_incomplete and --unlabeled"
    )


def shortened(entries: Sequence[object], *, limit: int = 10) -> str:
    """The entries in one line, for a note.

    Example:
        >>> shortened("abc", limit=2)
        'a, b, ... (3)'
    """
    shown = ", ".join(str(entry) for entry in entries[:limit])
    return f"{shown}, ... ({len(entries)})" if len(entries) > limit else shown


def pool_of(
    pairs: Iterable[Pair],
    *,
    item: str,
    classes: Sequence[str],
    root: Path,
    label_values: Mapping[int, int] | None = None,
    notes: Sequence[str] = (),
    placeholder_spacing: bool = False,
    affine_tolerated: bool = False,
    slice_axis: int | str | None = None,
    sizes_tolerated: bool = False,
) -> Pool:
    """The pool of a data set's pairs, in the order given.

    Args:
        pairs: images with their labels.
        item: ``"slice"`` reads every header and makes one item per slice; a 2D image is one item. ``"volume"`` makes
            one item per file, and reads headers only where ``slice_axis`` asks for it.
        classes: names of the classes, background first.
        root: the data set's folder.
        label_values: stored label value -> class number or 255.
        notes: sentences for the user.
        placeholder_spacing: the voxel size in the files means nothing.
        affine_tolerated: affines of image and label may differ; the image's is right.
        slice_axis: the stored axis of the slices, 0, 1 or 2, or ``"coarsest"``: that of the largest voxel size of each
            file, if one is at least 1.5 times as large as the others, else the third. None: the third, and the data set
            has no option for it. A whole volume is read with this axis last, too.
        sizes_tolerated: rows and columns of pictures and their labels may differ; both show the same view.

    Raises:
        DataError: no pair at all, two volumes of one name, names that are no text, or unreadable headers (all of them
            are listed).
        ValueError: ``item`` is neither of the two, there is no such ``slice_axis``, names of classes are no list, are
            fewer than two or occur twice, or a label value stands for a class without a name.

    Example:
        >>> pair = Pair(Path("a.nii.gz"), None, "a", "a")
        >>> pool_of([pair], item="volume", classes=("background", "organ"), root=Path(".")).volumes
        ('a',)
    """
    if item not in ITEM_KINDS:
        raise ValueError(f"item must be one of {', '.join(ITEM_KINDS)}, got {item!r}")
    axis = SLICE_AXIS if slice_axis is None else chosen_axis(slice_axis)
    _check_classes(classes, label_values)
    pairs = list(pairs)
    if not pairs:
        raise DataError(f"{root}: no images found; check that this is the data set's folder{_others_there(root)}")
    no_text = [ascii(str(pair.image)) for pair in pairs if not _is_text(f"{pair.image}{pair.label}")]
    if no_text:
        raise listed_error(
            f"{root}: names of files that are no valid UTF-8, so that no record can hold them; rename", no_text
        )
    twice = [name for name, count in Counter(pair.volume for pair in pairs).items() if count > 1]
    if twice:
        raise listed_error(f"{root}: names of volumes that occur more than once; rename the files", twice)
    items: list[Item] = []
    reasons: dict[str, str] = {}
    for pair in pairs:
        try:
            items += _items_of(pair, item, axis)
        except DataError as error:
            reasons[pair.volume] = str(error)
    if reasons:
        head = f"{root}: {len(reasons)} of {len(pairs)} images cannot be used"
        raise UnusableVolumes(str(listed_error(head, [*reasons.values()])), reasons, len(pairs))
    axis_note = None if placeholder_spacing else coarsest_note(items, root, slice_axis)
    notes = [*notes, *_copies_note(pairs), *([axis_note] if axis_note else [])]
    return Pool(
        items, classes, label_values, str(root), notes, placeholder_spacing, affine_tolerated, axis, sizes_tolerated
    )


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_classes(classes: Sequence[str], label_values: Mapping[int, int] | None) -> None:
    if isinstance(classes, str) or not all(isinstance(name, str) and name for name in classes):
        raise ValueError(f"classes must be a list of names, as ['background', 'liver'], got {classes!r}")
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice or len(classes) < 2:
        found = f"{twice[0]!r} occurs more than once" if twice else "only one is given"
        raise ValueError(f"classes {list(classes)}: {found}; name each class once, the background first")
    numbers = [number for number in (label_values or {}).values() if number not in range(len(classes))]
    wrong = next((number for number in numbers if number != NOT_ANNOTATED), None)
    if wrong is not None:
        raise ValueError(
            f"label_values {dict(label_values or {})}: there is no class {wrong}; the {len(classes)} classes are "
            f"numbered 0 to {len(classes) - 1}, and {NOT_ANNOTATED} is not annotated"
        )


def _others_there(root: Path) -> str:
    """What a folder without images holds instead."""
    files = (name for _, names in folders_below(root) for name in names)
    others = Counter(
        PurePosixPath(name).suffix or name for name in files if not name.lower().endswith(READABLE_SUFFIXES)
    )
    if not others:
        return ""
    found = shortened([f"{count} {kind}" for kind, count in others.most_common()], limit=5)
    return f". It holds {found}; readable are {', '.join(READABLE_SUFFIXES)} and DICOM"


def _copies_note(pairs: Sequence[Pair]) -> list[str]:
    volume_of = {str(pair.image): pair.volume for pair in pairs}
    found = copies({str(pair.image): pair.patient for pair in pairs})
    if not found:
        return []
    shown = shortened([" and ".join(volume_of[image] for image in group) for group in found])
    return [
        "Images of equal content count as different patients, so that one scan may lie in the training and in the test "
        f"part: {shown}. Remove the copies, or group them by a patient rule."
    ]


def _items_of(pair: Pair, item: str, slice_axis: int | str) -> list[Item]:
    image, label = str(pair.image), None if pair.label is None else str(pair.label)
    shape = stored_shape(image) if item == "slice" or slice_axis != SLICE_AXIS else ()
    axis = slice_axis_of(pair.image, slice_axis) if len(shape) > 2 else SLICE_AXIS
    if item == "volume" or len(shape) < 3:
        return [Item(pair.volume, image, pair.volume, pair.patient, label, slice_axis=axis)]
    return slices_of(shape[axis], image=image, volume=pair.volume, patient=pair.patient, label=label, slice_axis=axis)
