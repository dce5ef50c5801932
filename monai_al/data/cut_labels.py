# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How much of what is labeled lies outside of the pixels that a network gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from monai_al.data.geometry import VolumeGeometry
from monai_al.records import NOT_ANNOTATED
from monai_al.records.outside_text import percent_text

__all__ = ["labeled_voxels", "what_is_cut"]


def labeled_voxels(label: np.ndarray, geometry: VolumeGeometry) -> dict[str, int]:
    """How many voxels of a label are foreground, and how many of these the preprocessing cuts away.

    Args:
        label: class numbers ``(D, H, W)`` on the stored grid; 255 is not annotated.
        geometry: the stored and the preprocessed grid.

    Example:
        >>> cropped = np.eye(4)
        >>> cropped[0, 3] = 1  # the first row is cut away
        >>> geometry = VolumeGeometry((3, 2, 1), np.eye(4), (2, 2, 1), cropped, (1.0, 1.0, 1.0))
        >>> labeled_voxels(np.ones((1, 3, 2), np.uint8), geometry)
        {'foreground': 6, 'outside': 2}
    """
    foreground = (label > 0) & (label != NOT_ANNOTATED)
    outside = np.count_nonzero(foreground & ~geometry.seen())
    return {"foreground": int(np.count_nonzero(foreground)), "outside": int(outside)}


def what_is_cut(counts: Mapping[str, Mapping[str, int]], size: Sequence[int]) -> str | None:
    """A sentence about the foreground that is cut away; None where there is none.

    Args:
        counts: of each labeled image what :func:`labeled_voxels` gives.
        size: rows and columns of the preprocessed slices.

    Example:
        >>> what_is_cut({"a": {"foreground": 8, "outside": 0}}, (64, 64)) is None
        True
    """
    cut = {image: found for image, found in counts.items() if found["outside"]}
    if not cut:
        return None
    foreground, outside = (sum(found[key] for found in counts.values()) for key in ("foreground", "outside"))
    worst = max(cut, key=lambda image: cut[image]["outside"] / cut[image]["foreground"])
    share, most = percent_text(outside / foreground), percent_text(cut[worst]["outside"] / cut[worst]["foreground"])
    pixels = " x ".join(map(str, size))
    return (
        f"{share} of the labeled foreground lies outside the {pixels} pixels that are looked at, in {len(cut)} of "
        f"{len(counts)} labeled volumes, most in {worst} ({most}): it can be neither learned nor found; a larger "
        "--image_size or --spacing takes it in"
    )
