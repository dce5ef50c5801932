# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Handlers that plug into any MONAI engine."""

from monai_al.handlers.uncertainty import UncertaintyHandler
from monai_al.handlers.volume_scores import VolumeScoresHandler

__all__ = ["UncertaintyHandler", "VolumeScoresHandler"]
