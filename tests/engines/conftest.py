# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A loop that is over in a second."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def small(cache_dir):
    """Overrides of the spleen bundle's training config for a run that is over in a second."""
    return {
        "cache_dir": str(cache_dir),
        "phantom": {"patients": 4, "shape": [32, 32, 6], "classes": ["background", "spleen"]},
        "image_size": [32, 32],
        "channels": [4, 8],
        "steps": 4,
        "batch_size": 4,
        "device": "cpu",
        "progress": False,
    }


@pytest.fixture(autouse=True)
def in_one_thread(one_thread):
    """All tests of this folder."""
