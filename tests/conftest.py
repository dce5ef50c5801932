# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gc
import os
import sys

import pytest

# One thread for each test process and for the processes that it starts: several that share the cores would only wait
# for each other, and results do not depend on the machine. Read by libraries when they are imported, so it comes first.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"


def pytest_collection_finish():
    """Leave out what was imported and collected whenever garbage is collected from here on, as each training does."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def one_learning_curve_for_all_runs(request):
    """Runs copy the learning curve of the first one, as drawing takes a quarter of a tiny run; not in make nightly."""
    module = sys.modules.get("monai_al.engines.active_learner")
    if module is None or request.config.option.markexpr != "not nightly":
        yield
        return
    draw, drawn = module.write_learning_curve, []

    def copy(rows, path):
        if not drawn:
            draw(rows, path)
            drawn.append(path.read_bytes())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(drawn[0])

    module.write_learning_curve = copy
    yield
    module.write_learning_curve = draw


@pytest.fixture
def one_thread():
    """Keep torch to one thread, so that results do not depend on the machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
