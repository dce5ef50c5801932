# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Inferers: one call, several predictions."""

from monai_al.inferers.mc_dropout import MCDropoutInferer, dropout_enabled

__all__ = ["MCDropoutInferer", "dropout_enabled"]
