# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import argparse

import pytest

from monai_al.assets import asset_folders, asset_names
from monai_al.commands import main
from monai_al.commands.where import print_where


@pytest.fixture
def assets(tmp_path):
    for name in ("bundles/sel_spleen/x", "configs/strategies/entropy.yaml", "configs/multi_gpu.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    return {kind: tmp_path / kind for kind in ("bundles", "configs")}


class TestWhere:
    def test_path(self, assets, tmp_path, capsys):
        print_where(argparse.Namespace(name="strategies/entropy"), assets)
        assert capsys.readouterr().out == f"{tmp_path / 'configs/strategies/entropy.yaml'}\n"

    def test_list(self, assets, capsys):
        print_where(argparse.Namespace(name=None), assets)
        listed = "bundles:\n  sel_spleen\nconfigs:\n  multi_gpu\n  strategies/entropy\n"
        assert capsys.readouterr().out == listed

    def test_everything_in_this_tree_is_found(self, capsys):
        folders = asset_folders()
        assert main(["where"]) == 0
        listed = capsys.readouterr().out
        for kind, folder in folders.items():
            assert f"{kind}:" in listed
            for name in asset_names(kind, folder):
                assert main(["where", name]) == 0
                assert capsys.readouterr().out.startswith(str(folder))

    def test_error_is_one_line(self, capsys):
        assert main(["where", "no such thing at all"]) == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.startswith("error: ")
        assert output.err.count("\n") == 1
