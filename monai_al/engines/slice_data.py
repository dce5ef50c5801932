# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The address that the loader of slices had before; see :mod:`monai_al.data` and :mod:`monai_al.sources`."""

from __future__ import annotations

from monai_al.data import slice_loader

__all__ = ["slice_loader"]
