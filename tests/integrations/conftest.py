# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "annotators"))  # for the desk of the annotators' tests
sys.path.insert(0, str(Path(__file__).parent))  # for label_server


@pytest.fixture
def handed(tmp_path):
    """Four slices of two volumes that were handed out; on each the prediction is drawn."""
    from desk import Desk

    desk = Desk(tmp_path)
    desk.ask()
    return desk
