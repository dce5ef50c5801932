# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gc
import os

import pytest

# One thread for each test process and for the processes that it starts: several that share the cores would only wait
# for each other, and results do not depend on the machine. Read by libraries when they are imported, so it comes first.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"


def pytest_collection_finish():
    """Leave out what was imported and collected whenever garbage is collected from here on, as each training does."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def one_thread():
    """Keep torch to one thread, so that results do not depend on the machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
