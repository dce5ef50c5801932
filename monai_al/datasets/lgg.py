# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""LGG FLAIR as NIfTI: lower-grade gliomas of TCGA, whole FLAIR abnormality.

Buda, Saha, Mazurowski, Computers in Biology and Medicine 109, 2019.
"""

from __future__ import annotations

import os

from monai_al.datasets.cases import case_folders, complete, nifti
from monai_al.datasets.files import Pair, existing_folder, pool_of
from monai_al.records import Pool

__all__ = ["lgg"]


def lgg(
    root: str | os.PathLike, *, item: str = "slice", require_labels: bool = True, skip_incomplete: bool = False
) -> Pool:
    """The volumes ``<patient>/<patient>_flair.nii.gz`` with their labels ``<patient>_seg.nii.gz``.

    Args:
        root: the folder of the patients' folders.
        item: ``"slice"`` or ``"volume"``.
        require_labels: False also takes images without a label, for a pool that is still to be annotated.
        skip_incomplete: leave out patients with a missing file, and name them in the notes, instead of raising.

    Raises:
        DataError: the folder is missing or empty, or images or labels are missing (all of them are listed).

    Example:
        >>> import tempfile, nibabel, numpy as np
        >>> with tempfile.TemporaryDirectory() as root:
        ...     os.mkdir(f"{root}/TCGA_1")
        ...     for name in ("TCGA_1_flair", "TCGA_1_seg"):
        ...         volume = nibabel.Nifti1Image(np.zeros((4, 4, 3), np.uint8), np.eye(4))
        ...         nibabel.save(volume, f"{root}/TCGA_1/{name}.nii.gz")
        ...     lgg(root)
        Pool(3 items, 1 volumes, 1 patients)
    """
    folder = existing_folder(root)
    pairs = []
    problems: dict[str, str] = {}
    for case in case_folders(folder):
        name = case.name
        image, label = nifti(case, f"{name}_flair"), nifti(case, f"{name}_seg")
        if image is None:
            problems[name] = f"{name}: no {name}_flair.nii.gz" + (f", but {label.name}" if label else "")
        elif label is None and require_labels:
            problems[name] = f"{name}: no {name}_seg.nii.gz"
        else:
            pairs.append(Pair(image, label, name, name))
    notes = ["The spacing (1, 1, 5) mm in the headers is a placeholder: distances in mm mean nothing."]
    notes += complete(folder, problems, skip_incomplete)
    classes = ("background", "tumour")
    return pool_of(pairs, item=item, classes=classes, root=folder, notes=notes, placeholder_spacing=True)
