# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What kind of data set a folder is, and which reader takes it: a list, BIDS, two folders, or whatever lies there."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_al.datasets.bids import bids_options, is_bids
from monai_al.datasets.collecting import IMAGES
from monai_al.datasets.files import readable_files, shortened
from monai_al.datasets.finding import holds_images
from monai_al.datasets.listing import read_listing
from monai_al.datasets.names import is_label_name
from monai_al.records import DataError

__all__ = ["Layout", "layout_of"]

_OF_OTHERS = {  # data sets that no reader but their own takes: some of their paths, and the overlay
    "davis": ("JPEGImages/480p", "Annotations/480p"),
    "brats": ("*/OTMultiClass.nii*", "*/Flair_subtrMeanDivStd.nii*"),
    "chaos": ("CT/*/DICOM_anon", "CT/*/Ground"),
}
_KNOWN = {  # data sets that a plain reader takes, too
    "acdc": "patient*/patient*_frame*.nii*",
    "isic": "*/ISIC_???????_segmentation.png",
    "lgg": "TCGA_*/TCGA_*",
    "promise12": "Case*_segmentation.mhd",
}
_PREFIXES = ("", "Train_Sets/", "HGG/", "LGG/")


@dataclass(frozen=True)
class Layout:
    """How a data set lies in its folder.

    Args:
        reader: the reader, ``"folder"`` or ``"datalist"``.
        told: what it is, and what tells so.
        options: options of the reader.
        channel_names: what the data set says that its channels are.

    Example:
        >>> Layout("folder", "labels beside their images").options
        {}
    """

    reader: str
    told: str
    options: Mapping[str, Any] = field(default_factory=dict)
    channel_names: tuple[str, ...] = ()


def layout_of(place: Path, images: str | None = None, labels: str | None = None) -> Layout:
    """The layout of a data set, by the names of its folders and files, and by the list that lies there.

    Args:
        place: the folder, or a JSON file that lists images.
        images: sub-folder or pattern of the images, where it is known, see :func:`monai_al.datasets.folder`.
        labels: the same of the labels.

    Raises:
        DataError: it is no folder and no list, one of several lists has to be named, or the data set has a reader of
            its own that has to be taken.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("Scans", "Masks"):
        ...         Path(root, name).mkdir()
        ...         Path(root, name, "a.png").touch()
        ...     layout_of(Path(root)).options
        {'images': 'Scans', 'labels': 'Masks'}
    """
    if place.is_file():
        return _of_list(place)
    if not place.is_dir():
        raise DataError(f"{place}: does not exist; give the folder of the scans, or the JSON file that lists them")
    given = {name: value for name, value in (("images", images), ("labels", labels)) if value is not None}
    if not given and (place / "dataset.json").is_file():
        return _of_list(place / "dataset.json")
    if is_bids(place):
        options = bids_options(place, images, labels)
        kind = tuple(re.findall(r"_([A-Za-z0-9]+)\.", options["images"] or ""))
        return Layout("folder", "BIDS, told by its folders sub-...", options, kind)
    if given:
        return Layout("folder", "a folder, as the options say", given)
    _refuse_others(place)
    lists = [path for path in sorted(place.glob("*.json")) if path.name[0] != "." and _is_list(path)]
    if len(lists) > 1:
        raise DataError(f"{place}: several lists of images lie there, {shortened([p.name for p in lists])}; give one")
    return _of_list(lists[0], named=True) if lists else _of_folders(place)


# --- lists ------------------------------------------------------------------------------------------------------------


def _is_list(path: Path) -> bool:
    with contextlib.suppress(DataError):
        return bool(read_listing(path))
    return False


def _of_list(path: Path, *, named: bool = False) -> Layout:
    if path.suffix.lower() != ".json":
        raise DataError(f"{path}: is a file; give the folder of the scans, or the JSON file that lists them")
    listing = read_listing(path)
    names = listing.get("channel_names") or listing.get("modality") or {}
    names = tuple(str(name) for name in names.values()) if isinstance(names, Mapping) else ()
    if "channel_names" in listing:
        told = "nnU-Net v2, told by the channel_names of its dataset.json"
    elif "modality" in listing:
        told = "the Decathlon or nnU-Net v1, told by the modality in its dataset.json"
    else:
        told = f"a datalist of MONAI, {path.name}"
    return Layout("datalist", told, {"file": path.name} if named else {}, names)


# --- folders ----------------------------------------------------------------------------------------------------------


def _refuse_others(place: Path) -> None:
    for name, tellers in _OF_OTHERS.items():
        if any(all(next(place.glob(prefix + one), None) for one in tellers) for prefix in _PREFIXES):
            raise DataError(
                f"{place}: looks like the data set {name}, which has a reader and an overlay of its own: "
                f"python -m monai_al run active_learning {name} --dataset_dir {place}; if it is another one, name its "
                "folders by --images and --labels"
            )


def _known(place: Path) -> str:
    name = next((name for name, path in _KNOWN.items() if next(place.glob(path), None)), None)
    return f" that look like {name}, whose overlay of this name knows more of them" if name else ""


def _of_folders(place: Path) -> Layout:
    if (place / IMAGES).is_dir():
        return Layout("folder", "a folder with images/")
    inside = [path for path in sorted(place.iterdir()) if path.is_dir() and path.name[0] != "."]
    filled = [path.name for path in inside if next(readable_files(path), None) or holds_images(path)]
    names = {"images": "imagesTr", "labels": "labelsTr"} if {"imagesTr", "labelsTr"} <= set(filled) else {}
    labels = [name for name in filled if is_label_name(name)]
    if not names and len(labels) == 1 and len(filled) == 2 and not holds_images(place, deep=False):
        names = {"images": next(name for name in filled if name not in labels), "labels": labels[0]}
    told = f"two folders, {names['images']}/ and {names['labels']}/" if names else "files in a folder"
    return Layout("folder", told + _known(place), names)
