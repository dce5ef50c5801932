# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Strategies: say what you need, then choose the next query."""

from monai_al.strategies.base import Strategy
from monai_al.strategies.random import Random
from monai_al.strategies.selective import Selective
from monai_al.strategies.uncertainty import Uncertainty

__all__ = ["Random", "Selective", "Strategy", "Uncertainty"]
