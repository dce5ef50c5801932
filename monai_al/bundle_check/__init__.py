# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What works with a bundle of others, before anything runs: the sections of one page, and the page."""

from __future__ import annotations

from monai_al.bundle_check.asked import AskedCheck
from monai_al.bundle_check.bundle_page import bundle_page
from monai_al.bundle_check.collected import CheckedBundle, CheckedSection, check_bundle

__all__ = ["AskedCheck", "CheckedBundle", "CheckedSection", "bundle_page", "check_bundle"]
