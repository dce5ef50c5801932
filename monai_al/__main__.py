# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""``python -m monai_al``."""

from __future__ import annotations

import sys

from monai_al.commands import main

if __name__ == "__main__":
    sys.exit(main())
