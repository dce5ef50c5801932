# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib

import pytest

from monai_al import cli

HOMES = {
    "monai_al.assets": ["ASSET_KINDS", "CONFIG_SUFFIXES", "asset_folders", "asset_names", "find_asset"],
    "monai_al.commands": ["main"],
    "monai_al.commands.compare": ["compare"],
    "monai_al.commands.datalist": ["ALIASES", "DATASETS", "datalist"],
    "monai_al.commands.report": ["report"],
    "monai_al.commands.status": ["status"],
    "monai_al.commands.where": ["print_where"],
}


@pytest.mark.parametrize(("home", "name"), [(home, name) for home, names in HOMES.items() for name in names])
def test_the_older_address_of_everything_works(home, name):
    assert getattr(cli, name) is getattr(importlib.import_module(home), name)
