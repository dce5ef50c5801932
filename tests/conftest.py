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
def quick_runs(request):
    """Two things that make up half of a tiny run's time are done once for all runs; not in make nightly.

    Runs copy the learning curve that the first of them draws, and MONAI finds its classes again only where modules came
    to those it knows.
    """
    module = sys.modules.get("monai_al.engines.active_learner")
    if module is None or request.config.option.markexpr != "not nightly":
        yield
        return
    from monai.bundle.config_item import ComponentLocator

    draw, find, drawn, found = module.write_learning_curve, ComponentLocator._find_classes_or_functions, [], {}

    def copy(rows, path):
        if not drawn:
            draw(rows, path)
            drawn.append(path.read_bytes())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(drawn[0])

    def find_once(self, names):
        key = tuple(names)
        if key not in found:
            found[key] = find(self, names)
        return found[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "write_learning_curve", copy)
        patch.setattr(ComponentLocator, "_find_classes_or_functions", find_once)
        yield


@pytest.fixture
def one_thread():
    """Keep torch to one thread, so that results do not depend on the machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
