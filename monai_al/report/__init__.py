# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a run did, for people: the learning curve and a description of the run folder."""

from __future__ import annotations

from monai_al.report.curve import write_learning_curve
from monai_al.report.status import describe_run

__all__ = ["describe_run", "write_learning_curve"]
