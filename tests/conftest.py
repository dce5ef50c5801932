# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import functools
import gc
import os
import sys

import pytest

# One thread for each test process and for the processes that it starts: several that share the cores would only wait
# for each other, and results do not depend on the machine. Read by libraries when they are imported, so it comes first.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"


_frozen = 0


def _freeze():
    """Leave out what was imported so far whenever garbage is collected from here on, as each training does."""
    global _frozen
    gc.collect()
    gc.freeze()
    _frozen = len(sys.modules)


def pytest_collection_finish():
    _freeze()


def pytest_runtest_teardown():
    if len(sys.modules) > _frozen + 100:  # torch and MONAI import much when something is used for the first time
        _freeze()


@pytest.fixture(scope="session", autouse=True)
def quick_runs(request):
    """What makes up much of a tiny run's time is done once for all runs, or not at all; not in make nightly.

    Runs copy the learning curve that the first of them draws, MONAI finds its classes again only where modules came
    to those it knows and compares two names once, and nothing waits for the disk.
    """
    if "not nightly" not in request.config.option.markexpr:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        if "monai_al.engines.active_learner" in sys.modules:
            _share_what_runs_repeat(patch)
        yield


def _share_what_runs_repeat(patch):
    import monai.utils.module
    from monai.bundle.config_item import ComponentLocator

    module = sys.modules["monai_al.engines.active_learner"]
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

    distance = "damerau_levenshtein_distance"  # that of each id in a config from one that it is asked for
    patch.setattr(monai.utils.module, distance, functools.cache(getattr(monai.utils.module, distance)))
    patch.setattr(module, "write_learning_curve", copy)
    patch.setattr(ComponentLocator, "_find_classes_or_functions", find_once)


@pytest.fixture
def one_thread():
    """Keep torch to one thread, so that results do not depend on the machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
