# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""An app for MONAI Label's server: monailabel start_server --app THIS_FOLDER --studies IMAGES --conf run RUN_FOLDER."""

from __future__ import annotations

from monai_al.integrations.monailabel import RunApp

__all__ = ["RunApp"]
