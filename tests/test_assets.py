# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_al.assets import asset_names, find_asset


@pytest.fixture
def assets(tmp_path):
    for name in ("bundles/sel_spleen/configs/train.yaml", "bundles/stochastic/x", "bundles/__pycache__/x"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("")
    for name in ("datasets/hippocampus.yaml", "strategies/entropy.yaml", "strategies/margin.json", "multi_gpu.yaml"):
        (tmp_path / "configs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "configs" / name).write_text("")
    (tmp_path / "configs/README.md").write_text("")
    return {kind: tmp_path / kind for kind in ("bundles", "configs")}


class TestFindAsset:
    @pytest.mark.parametrize(
        ("name", "path"),
        [
            ("sel_spleen", "bundles/sel_spleen"),
            ("bundles/sel_spleen", "bundles/sel_spleen"),
            ("sel_spleen/configs/train.yaml", "bundles/sel_spleen/configs/train.yaml"),
            ("sel_spleen/configs/train", "bundles/sel_spleen/configs/train.yaml"),
            ("datasets/hippocampus", "configs/datasets/hippocampus.yaml"),
            ("datasets/hippocampus.yaml", "configs/datasets/hippocampus.yaml"),
            ("configs/strategies/entropy", "configs/strategies/entropy.yaml"),
            ("strategies/margin", "configs/strategies/margin.json"),
            ("multi_gpu", "configs/multi_gpu.yaml"),
            ("strategies", "configs/strategies"),
        ],
    )
    def test_names(self, assets, tmp_path, name, path):
        assert find_asset(name, assets) == tmp_path / path

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("strategies/entropi", "did you mean strategies/entropy"),
            ("entropy", "did you mean strategies/entropy"),
            ("sel_spleeen", "did you mean sel_spleen"),
            ("qqqqqq", "lists all there is"),
        ],
    )
    def test_unknown_names(self, assets, name, hint):
        with pytest.raises(ValueError, match=f"{name}.*{hint}"):
            find_asset(name, assets)

    @pytest.mark.parametrize("name", ["../secret", "datasets/../../secret", "/etc/hosts", "", "/"])
    def test_names_do_not_leave_the_folders(self, assets, tmp_path, name):
        (tmp_path / "secret").write_text("")
        with pytest.raises(ValueError, match="no bundle or config is called"):
            find_asset(name, assets)

    def test_nothing_installed(self):
        with pytest.raises(ValueError, match="install the package again"):
            find_asset("x", {})


def test_asset_names(assets):
    assert {kind: asset_names(kind, folder) for kind, folder in assets.items()} == {
        "bundles": ["sel_spleen", "stochastic"],
        "configs": ["datasets/hippocampus", "multi_gpu", "strategies/entropy", "strategies/margin"],
    }
