# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors as the one who typed a command meets them: one message, an exit status, and a log of the rest.

Needs neither torch nor MONAI: their errors are told by their types' names and their texts.
"""

from __future__ import annotations

from monai_al.failures.chain import chain, is_deliberate
from monai_al.failures.log import LOG_NAME, log_to
from monai_al.failures.shown import BUG, USER_ERROR, show_errors_briefly, show_failure, shown_errors
from monai_al.failures.stops import Stopped, stopping
from monai_al.failures.told import told

__all__ = [
    "BUG",
    "LOG_NAME",
    "USER_ERROR",
    "Stopped",
    "chain",
    "is_deliberate",
    "log_to",
    "show_errors_briefly",
    "show_failure",
    "shown_errors",
    "stopping",
    "told",
]
