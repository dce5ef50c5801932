# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Active learning for medical image segmentation, as an extension of MONAI."""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["__version__"]
