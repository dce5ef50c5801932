# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Several processes that do one run together, started by ``torchrun``: who does what, and how it comes together."""

from monai_al.distributed.data_parallel import train_together
from monai_al.distributed.dealt_batches import DealtBatches, deal
from monai_al.distributed.launched import (
    Launched,
    device_identity,
    launched,
    own_folder,
    process_device,
    refuse_shared_devices,
)
from monai_al.distributed.process_group import (
    close_group,
    from_first,
    hidden_group,
    is_first,
    is_open,
    open_group,
    shown_group,
    visible_processes,
)
from monai_al.distributed.shares import share_of, shares_by_weight
from monai_al.distributed.team import ProcessError, Team

__all__ = [
    "DealtBatches",
    "Launched",
    "ProcessError",
    "Team",
    "close_group",
    "deal",
    "device_identity",
    "from_first",
    "hidden_group",
    "is_first",
    "is_open",
    "launched",
    "process_device",
    "refuse_shared_devices",
    "open_group",
    "own_folder",
    "share_of",
    "shares_by_weight",
    "shown_group",
    "train_together",
    "visible_processes",
]
