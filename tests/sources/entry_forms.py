# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How data sets call their images and labels."""

from __future__ import annotations

FORMS = {
    "words": ("images/img{0:02}.nii.gz", "labels/lbl{0:02}.nii.gz"),
    "folders": ("patient{0}/image.nii.gz", "patient{0}/label.nii.gz"),
    "channel": ("imagesTr/case_{0:02}_0000.nii.gz", "labelsTr/case_{0:02}.nii.gz"),
    "isic": ("Training_Data/ISIC_{0:07}.jpg", "Training_Part1_GroundTruth/ISIC_{0:07}_segmentation.png"),
    "zeros": ("im/scan_{0}.png", "la/scan_{0:05}_mask.png"),
    "frames": ("patient{1:03}/patient{1:03}_frame{2:02}.nii", "patient{1:03}/patient{1:03}_frame{2:02}_gt.nii"),
    "flat frames": ("im/patient{1:03}_frame{2:02}.nii", "la/patient{1:03}_frame{2:02}_gt.nii"),
    "bids": ("sub-{0:02}/anat/sub-{0:02}_T1w.nii.gz", "derivatives/sub-{0:02}/anat/sub-{0:02}_dseg.nii.gz"),
    "flat labels": ("sub{0}/scan.nii.gz", "masks/sub{0}.nii.gz"),
    "names repeated": ("P{0}/P{0}_t1.nii.gz", "masks/P{0}_seg.nii.gz"),
    "equal names": ("i/{0}.png", "l/{0}.png"),
    "number of a class": ("i/vol_{0}.png", "l/vol_{0}_label_1.png"),
    "letters": ("im/case_{3}.nii", "la/{3}-label.nii"),
}


def paths_of_form(form: str, number: int) -> tuple[str, str]:
    """The paths of an item's image and label."""
    values = (number, number // 3, number % 3, "abcdefghijklmnopqrst"[number])
    image, label = (f"/d/{part.format(*values)}" for part in FORMS[form])
    return image, label
