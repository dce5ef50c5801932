# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Along which stored axis the slices of each volume lie, as it is asked for, and what the voxel sizes say of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from monai_al.data.slice_axis import coarsest_axis, stored_spacing
from monai_al.records import Item
from monai_al.records.item import SLICE_AXIS

__all__ = ["COARSEST", "chosen_axis", "coarsest_note", "slice_axis_of"]

COARSEST = "coarsest"


def chosen_axis(slice_axis: int | str) -> int | str:
    """The slice axis as it is asked for.

    Raises:
        ValueError: it is neither 0, 1, 2 nor ``"coarsest"``.

    Example:
        >>> chosen_axis("0"), chosen_axis("coarsest")
        (0, 'coarsest')
    """
    if str(slice_axis) in ("0", "1", "2"):
        return int(slice_axis)
    if slice_axis == COARSEST:
        return COARSEST
    raise ValueError(f"slice_axis must be 0, 1, 2 (counted from 0 in the file's order) or coarsest, got {slice_axis!r}")


def slice_axis_of(path: str | Path, slice_axis: int | str) -> int:
    """The slice axis of one volume: the one asked for, or the coarsest one where the header tells one, else the third.

    Args:
        path: the stored image.
        slice_axis: 0, 1, 2 or ``"coarsest"``.

    Raises:
        DataError: the header is asked for and cannot be read.

    Example:
        >>> slice_axis_of(Path("scan.nii.gz"), 1)
        1
    """
    if isinstance(slice_axis, int):
        return slice_axis
    found = coarsest_axis(stored_spacing(path))
    return SLICE_AXIS if found is None else found


def coarsest_note(items: Iterable[Item], root: Path, slice_axis: int | str | None) -> str | None:
    """A sentence about volumes whose voxels are clearly largest along another axis than that of their slices.

    Such slices are views through the thickness of the slices of the scanner, which nobody can annotate well.

    Args:
        items: the pool's items; those that are no slices are left out.
        root: the folder that files are shown relative to.
        slice_axis: as it was asked for; None where the data set takes no such option.

    Example:
        >>> coarsest_note([], Path("."), 2) is None
        True
    """
    volumes = {item.image: item for item in items if item.slice is not None}
    spacings = {image: stored_spacing(image) for image in volumes}
    coarsest = {image: axis for image, spacing in spacings.items() if (axis := coarsest_axis(spacing)) is not None}
    wrong = [image for image, axis in coarsest.items() if axis != volumes[image].slice_axis]
    if not wrong:
        return None
    first = wrong[0]
    sizes = " x ".join(f"{size:.3g}" for size in spacings[first] or ())
    shown = Path(first).relative_to(root) if Path(first).is_relative_to(root) else first
    axes = Counter(coarsest.values())
    better = str(coarsest[first]) if len(axes) == 1 else COARSEST
    option = (
        f"--datalist#slice_axis {better} with an overlay such as configs/datasets/folder.yaml (for the command "
        f"datalist: --slice_axis {better})"
    )
    if slice_axis is None:
        option = f"the data set 'folder' with the option slice_axis {better}"
    return (
        f"{len(wrong)} of {len(volumes)} volumes, such as {shown}, have their largest voxel size along stored axis "
        f"{coarsest[first]} ({sizes}), but their slices are taken along axis {volumes[first].slice_axis}, counted from "
        f"0; {option} takes them along {'the coarsest axis of each file' if better == COARSEST else f'axis {better}'}."
    )
