# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from monai_al.records import config_hash
from monai_al.records.signature import sign_run

sys.path.insert(0, str(Path(__file__).parent))  # for presets


@pytest.fixture(scope="session")
def script():
    """Loads a script of the checkout, such as ``bundle_sources/make_bundles.py``, as a module."""

    def load(path: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(Path(path).stem, Path(__file__).parents[2] / path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def begun_otherwise():
    """Copies a run, as one's own that was begun with another record, before rounds had manifests."""

    def copy(run_dir, place, change):
        shutil.copytree(run_dir, place, ignore=shutil.ignore_patterns("manifest.json"))
        record = json.loads((place / "run.json").read_text())
        change(record)
        (place / "run.json").write_text(json.dumps(record | {"config_hash": config_hash(record["config"])}))
        sign_run(place)
        return place

    return copy
