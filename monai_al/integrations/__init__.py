# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Programs in which people annotate: what they need of a run, and how their work comes back."""

from __future__ import annotations

__all__: list[str] = []
