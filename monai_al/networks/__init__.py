# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks that MONAI does not have."""

from monai_al.networks.members import MeanOfMembers

__all__ = ["MeanOfMembers"]
