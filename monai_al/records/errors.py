# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The error for input that cannot be used."""

from __future__ import annotations

__all__ = ["DataError"]


class DataError(ValueError):
    """An image, label or data set that cannot be used; the message names the file, what is wrong and what to do.

    Example:
        >>> raise DataError("case_1.nii.gz: holds NaN")
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: case_1.nii.gz: holds NaN
    """
