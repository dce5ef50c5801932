# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which label belongs to which image, by their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from monai_al.datasets.names import CHANNEL, image_core, is_bare_label, is_label_name, label_cores, label_prefix_core
from monai_al.records import DataError
from monai_al.records.stored_files import as_channels

__all__ = ["Named", "joined_channels", "named_apart", "pair_by_name", "with_channels"]


@dataclass(frozen=True)
class Named:
    """An image or a label, and its name.

    Args:
        path: the image, as an item holds it.
        key: its path below the folder of the images or of the labels, without suffix.
        folder: of a DICOM series the key of the folder, where that is not the series' own.

    Example:
        >>> Named("/data/images/p1/a.nii.gz", "p1/a").name
        'a'
    """

    path: str
    key: str
    folder: str = ""

    @property
    def name(self) -> str:
        """The last part of the key."""
        return PurePosixPath(self.key).name

    @property
    def place(self) -> str:
        """The key's folder."""
        return PurePosixPath(self.key).parent.as_posix()


def pair_by_name(
    images: Sequence[Named], labels: Sequence[Named], *, far: Callable[[Named], bool] = lambda label: True
) -> tuple[dict[str, Named], list[Named]]:
    """The label of each image.

    A label has its image's name, with or without a label's ending. Where that finds none, a label that bears no name
    but ``Segmentation`` belongs to the one image of its folder, one that is called like a folder to the one image in
    there; then names are compared without the words for images and labels (``volume-1`` and ``segmentation-1``), in the
    same folder, and at last in folders that images and labels do not share, each time only where it leaves no choice.

    Args:
        images: the images.
        labels: the labels.
        far: whether a label may belong to an image in a folder that is called otherwise.

    Returns:
        Key of an image -> its label, and the labels that belong to none.

    Raises:
        DataError: two labels of one image.

    Example:
        >>> image, label = Named("a.nrrd", "a"), Named("a.seg.nrrd", "a.seg")
        >>> pair_by_name([image], [label])
        ({'a': Named(path='a.seg.nrrd', key='a.seg', folder='')}, [])
    """
    keys = {image.key for image in images}
    label_of: dict[str, Named] = {}
    left = []
    for label in labels:
        key = next((key for key in _label_keys(label) if key in keys), None)
        if key is None:
            left.append(label)
        elif key in label_of:
            raise DataError(f"{label_of[key].path} and {label.path} are both labels of image {key}; keep one")
        else:
            label_of[key] = label
    rules = ((_folders_of_image, _folder_of_label), (_image_here, _label_here), (_image_anywhere, _cores))
    for of_image, of_label in rules:
        apart = of_image is _image_anywhere
        shared = {image.place for image in images} & {label.place for label in labels} if apart else set()
        candidates = [label for label in left if not apart or (label.place not in shared and far(label))]
        known = [image for image in images if image.place not in shared]
        found = _without_choice(known, candidates, of_image, of_label)
        new = {
            key: one for key, one in found.items() if key not in label_of and not (apart and _other_number(key, one))
        }
        label_of |= new
        paired = {label.path for label in new.values()}
        left = [label for label in left if label.path not in paired]
    return label_of, left


def _without_choice(images, labels, handles_of_image, handles_of_label) -> dict[str, Named]:
    """Key of an image -> the label that shares a handle with it, where no other image or label has this handle."""
    image_of: dict[str, list[Named]] = {}
    labels_of: dict[str, list[Named]] = {}
    for named, handles, table in (
        *((image, handles_of_image(image), image_of) for image in images),
        *((label, handles_of_label(label), labels_of) for label in labels),
    ):
        for handle in dict.fromkeys(handles):
            table.setdefault(handle, []).append(named)
    pairs = [
        (image_of[handle][0].key, found[0])
        for handle, found in labels_of.items()
        if len(found) == len(image_of.get(handle, ())) == 1
    ]
    times = Counter(key for key, _ in set(pairs))
    return {key: label for key, label in pairs if times[key] == 1}


# --- what may be shared: the folder, the name in one folder, the name alone -------------------------------------------


def _label_keys(label: Named) -> Iterable[str]:
    names = (label.name, *label_cores(label.name))
    return (label.key, *((PurePosixPath(label.place) / name).as_posix() for name in names if name))


def _folders_of_image(image: Named) -> Iterable[str]:
    folders = [folder.as_posix() for folder in PurePosixPath(image.folder or image.key).parents if folder.name]
    return [image.key, image.folder, *folders] if folders or image.folder else [image.key, "."]


def _folder_of_label(label: Named) -> Iterable[str]:
    if is_bare_label(label.name):
        return [label.place]
    of_folder = PurePosixPath(label.place).name in label_cores(label.name)
    return [*_label_keys(label), *([label.place] if of_folder else [])]


def _image_here(image: Named) -> Iterable[str]:
    return [f"{image.place}/{image_core(image.name)}"]


def _label_here(label: Named) -> Iterable[str]:
    return [f"{label.place}/{core}" for core in _cores(label)]


def _other_number(key: str, label: Named) -> bool:
    """Whether a folder of the image and one of the label differ in nothing but a number: ``p1`` and ``p2``."""
    folders = set(PurePosixPath(key).parts[:-1]), set(PurePosixPath(label.key).parts[:-1])
    ours, theirs = ({re.sub(r"\d+", "", name) for name in own - other} for own, other in (folders, folders[::-1]))
    return bool(ours & theirs)


def _image_anywhere(image: Named) -> Iterable[str]:
    return [image.name, image_core(image.name)]


def _cores(label: Named) -> list[str]:
    prefixed = label_prefix_core(label.name)
    return [core for core in (label.name, *label_cores(label.name), prefixed) if core]


# --- labels among images, channels ------------------------------------------------------------------------------------


def named_apart(names: Iterable[Named]) -> tuple[list[Named], list[Named]]:
    """Images and labels of one folder, told apart by their names.

    A name that begins like a label's, ``segmentation-1``, is one where ``volume-1`` or ``1`` lies beside it.

    Example:
        >>> found = [Named(name, name) for name in ("a", "a.seg", "mask_b", "b", "mask_c")]
        >>> [[one.key for one in part] for part in named_apart(found)]
        [['a', 'b', 'mask_c'], ['a.seg', 'mask_b']]
    """
    names = list(names)
    labels = {one.key for one in names if is_label_name(one.name)}
    images = {handle for one in names if one.key not in labels for handle in _image_here(one)}
    for one in names:
        core = label_prefix_core(one.name)
        if core is not None and f"{one.place}/{image_core(core)}" in images:
            labels.add(one.key)
    return [one for one in names if one.key not in labels], [one for one in names if one.key in labels]


def joined_channels(images: Sequence[Named]) -> list[Named]:
    """The images, where all that end in ``_0000``, ``_0001`` and so on are channels.

    Example:
        >>> sorted(image.key for image in joined_channels([Named(f"{n}.png", n) for n in ("a_0000", "a_0001", "b")]))
        ['a', 'b']
    """
    return with_channels(images, [Named("", CHANNEL.sub("", image.key)) for image in images])


def with_channels(images: Sequence[Named], labels: Sequence[Named]) -> list[Named]:
    """The images, where ``a_0000`` and ``a_0001`` are the channels of an image whose label is ``a``, as in nnU-Net.

    Args:
        images: the images.
        labels: the labels.

    Raises:
        DataError: a channel is missing.

    Example:
        >>> images = [Named(f"a_000{n}.png", f"a_000{n}") for n in (0, 1)]
        >>> with_channels(images, [Named("a.png", "a")])
        [Named(path='a_0000.png|a_0001.png', key='a', folder='')]
    """
    keys = {key for label in labels for key in _label_keys(label)}
    cores = keys - {image.key for image in images}
    found: list[Named] = []
    groups: dict[str, dict[int, Named]] = {}
    for image in images:
        channel, core = CHANNEL.search(image.key), CHANNEL.sub("", image.key)
        if channel and core in cores and image.key not in keys:
            groups.setdefault(core, {})[int(channel[1])] = image
        else:
            found.append(image)
    for key, group in groups.items():
        missing = [number for number in range(max(group)) if number not in group]
        if 0 in missing:  # the numbers tell something else
            found += group.values()
        elif missing:
            raise DataError(f"{group[0].path}: the image {key} has no channel {key}_{missing[0]:04d}; add it")
        else:
            paths = as_channels(group[number].path for number in sorted(group))
            found.append(replace(group[0], key=key, path=paths))
    return found
