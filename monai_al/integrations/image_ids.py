# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which image of a server is which volume of a run: by its file, else by its name."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from monai_al.data.stored_formats import name_without_suffix
from monai_al.integrations.asked_volumes import AskedVolume

__all__ = ["match_images"]


def match_images(volumes: Iterable[AskedVolume], images: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Find the image of each volume.

    The file that the run read counts first, through links; else the image is called like the volume, like its folder
    in the work of a round, like the last part of its name, or like the file of its image.

    Args:
        volumes: of the run.
        images: id -> path of the images on the server.

    Returns:
        Volume -> id of its image; and for the other volumes, why none is theirs, with what to do.

    Example:
        >>> match_images([AskedVolume(0, "case_1", "case_1", (), ())], {"case_1": "/studies/case_1.nii.gz"})
        ({'case_1': 'case_1'}, {})
    """
    volumes = list({one.volume: one for one in volumes}.values())
    files = {id: os.path.realpath(path) for id, path in images.items()}
    names = {id: id for id in images}
    ways = [(_files, files), *((way, names) for way in (_whole_name, _folder, _last_part, _file_names))]
    matched: dict[str, str] = {}
    doubts: dict[str, str] = {}
    for keys, known in ways:
        free = {id: key for id, key in known.items() if id not in matched.values()}
        found = {one.volume: _matching(keys(one), free) for one in volumes}
        claims = Counter(id for ids in found.values() for id in ids)
        for one in volumes:
            ids = found[one.volume]
            if not ids or one.volume in matched or one.volume in doubts:
                continue
            if len(ids) == 1 and claims[ids[0]] == 1:
                matched[one.volume] = ids[0]
            else:
                rivals = [name for name, theirs in found.items() if ids[0] in theirs and name != one.volume]
                doubts[one.volume] = _doubt(one, ids, rivals)
    others = [one for one in volumes if one.volume not in matched]
    return matched, {one.volume: doubts.get(one.volume) or _none(one, len(images)) for one in others}


def _matching(keys: Iterable[str], known: Mapping[str, str]) -> list[str]:
    keys = set(keys)
    return [id for id, key in known.items() if key in keys]


def _files(one: AskedVolume) -> list[str]:
    return [os.path.realpath(path) for path in one.images]


def _whole_name(one: AskedVolume) -> list[str]:
    return [one.volume]


def _folder(one: AskedVolume) -> list[str]:
    return [one.folder]


def _last_part(one: AskedVolume) -> list[str]:
    return [Path(one.volume).name]


def _file_names(one: AskedVolume) -> list[str]:
    return [name_without_suffix(Path(path)) for path in one.images]


def _shown(one: AskedVolume) -> str:
    return f"the volume {one.volume!r} ({one.images[0] if one.images else one.folder})"


def _none(one: AskedVolume, n_images: int) -> str:
    return (
        f"none of the {n_images} images of the server is {_shown(one)}: put its file, a link to it, or a copy under "
        "this name into the studies folder"
    )


def _doubt(one: AskedVolume, ids: Sequence[str], rivals: Sequence[str]) -> str:
    if len(ids) > 1:
        return f"{_shown(one)} may be either of the images {ids[0]!r} and {ids[1]!r}: leave one of them"
    return (
        f"the image {ids[0]!r} may be either of the volumes {one.volume!r} and {rivals[0]!r}: name the images of the "
        "studies folder like the volumes"
    )
