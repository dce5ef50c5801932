# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What names of files tell: labels and images as people and tools call them, and what is neither of the two."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = [
    "CHANNEL",
    "image_core",
    "image_kind",
    "is_accompanying",
    "is_bare_label",
    "is_label_name",
    "label_cores",
    "label_prefix_core",
]

CHANNEL = re.compile(r"_(\d{4})$")  # nnU-Net's number of a channel, at the end of a name
_LABEL = (
    r"(?:seg|segs|segmentations?|dseg|labels?|label[-_ ]?maps?|masks?|gt|ground[-_ ]?truth|annotations?)"
    r"(?:[-_ ]?\d{1,2})?"
)
_SLICER_SEGMENT = re.compile(r"(?:^|[-_. ])segmentation[-_. ].+$", re.IGNORECASE)  # <segmentation>-<segment>-label
_LABEL_END = re.compile(rf"[-_. ]{_LABEL}$", re.IGNORECASE)
_LABEL_START = re.compile(r"^(?:segmentation|seg|labels?|mask|gt)(?:[-_. ]+(?=.)|(?=\d))", re.IGNORECASE)
_BARE_LABEL = re.compile(_LABEL, re.IGNORECASE)
_DERIVED = re.compile(r"_(?:space|res|den|label|desc|atlas|seg)-[A-Za-z0-9+]+")  # what BIDS adds to the image's name
_ACCOMPANYING = re.compile(r"[-_. ](?:scribbles?|superpixels?)$", re.IGNORECASE)
_IMAGE = r"(?:images?|img|im|volumes?|vol|scan|orig|ct|mri?|pet|flair|adc|dwi|t[12](?:w|c|ce|gd|star|_flair)?|t2flair)"
_IMAGE_END = re.compile(rf"[-_. ]{_IMAGE}$", re.IGNORECASE)
_IMAGE_START = re.compile(rf"^{_IMAGE}(?:[-_. ]+(?=.)|(?=\d))", re.IGNORECASE)


def is_label_name(name: str) -> bool:
    """Whether a file's name, without its suffix, ends like that of a label, or says nothing but that it is one.

    Example:
        >>> [is_label_name(name) for name in ("x.seg", "x-label", "x_GT", "Segmentation", "x_flair", "masked")]
        [True, True, True, True, False, False]
    """
    return bool(_LABEL_END.search(name)) or is_bare_label(name)


def is_bare_label(name: str) -> bool:
    """Whether a name says that it is a label, but not of which image, such as 3D Slicer's ``Segmentation.seg.nrrd``.

    Example:
        >>> [is_bare_label(name) for name in ("Segmentation", "Segmentation_1-label", "x_seg")]
        [True, True, False]
    """
    cores = [name, *label_cores(name)]
    return any(_BARE_LABEL.fullmatch(core) for core in cores) or not cores[-1]


def label_cores(name: str) -> Iterator[str]:
    """What is left of a label's name without its endings, one after another.

    Example:
        >>> list(label_cores("case_1-Segmentation-liver-label"))
        ['case_1-Segmentation-liver', 'case_1']
        >>> list(label_cores("case_1 Segmentation.seg"))
        ['case_1 Segmentation', 'case_1']
        >>> list(label_cores("sub-1_ses-2_space-orig_desc-manual_dseg"))
        ['sub-1_ses-2_space-orig_desc-manual', 'sub-1_ses-2']
    """
    while found := _LABEL_END.search(name):
        name = name[: found.start()]
        yield name
        segment = _SLICER_SEGMENT.search(name)
        if segment:
            name = name[: segment.start()]
            yield name
    if name.startswith("sub-") and (image := _DERIVED.sub("", name)) != name:
        yield image


def label_prefix_core(name: str) -> str | None:
    """What is left of a name that begins like that of a label; None where it does not.

    Example:
        >>> label_prefix_core("segmentation-12"), label_prefix_core("label0001"), label_prefix_core("masked")
        ('12', '0001', None)
    """
    found = _LABEL_START.search(name)
    return name[found.end() :] if found else None


def image_core(name: str) -> str:
    """An image's name without the word that says what it is: ``volume-12``, ``img0001``, ``case_1_flair``.

    Example:
        >>> image_core("volume-12"), image_core("img0001"), image_core("case_1_flair"), image_core("case_1")
        ('12', '0001', 'case_1', 'case_1')
    """
    return _IMAGE_START.sub("", _IMAGE_END.sub("", name))


def image_kind(name: str) -> str:
    """The word at the end of an image's name that says what it is; empty where there is none.

    Example:
        >>> image_kind("case_1_flair"), image_kind("sub-1_T1w"), image_kind("ct"), image_kind("case_1")
        ('flair', 'T1w', 'ct', '')
    """
    found = _IMAGE_END.search(f"_{name}")
    return found[0][1:] if found else ""


def is_accompanying(name: str) -> bool:
    """Whether a file is neither an image nor a full label: a scribble beside its image, ISIC's superpixels.

    Example:
        >>> is_accompanying("ISIC_0000012_superpixels"), is_accompanying("a_scribble"), is_accompanying("a_seg")
        (True, True, False)
    """
    return bool(_ACCOMPANYING.search(name))
