# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What holds for all tests and examples."""

from __future__ import annotations

import importlib.util
import os

import pytest

# its examples run where MONAI Label is: make test-monailabel
collect_ignore = [] if importlib.util.find_spec("monailabel") else ["monai_al/integrations/monailabel.py"]


@pytest.fixture(scope="session", autouse=True)
def own_settings(tmp_path_factory):
    """No test touches the user's own settings; the processes that tests start take these, too."""
    before = os.environ.get("XDG_CONFIG_HOME")
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))
    yield
    if before is None:
        del os.environ["XDG_CONFIG_HOME"]
    else:
        os.environ["XDG_CONFIG_HOME"] = before
