# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_al.assets import asset_folders, find_asset
from monai_al.bundle import RoundTraining
from monai_al.bundle.foreign_code import foreign_code

TRAIN = find_asset("active_learning") / "configs" / "train.yaml"


@pytest.mark.parametrize("bundle", sorted(path.name for path in asset_folders()["bundles"].iterdir() if path.is_dir()))
def test_nothing_of_an_installed_bundle_is_foreign(bundle):
    root = find_asset(bundle)
    overlay = find_asset("training/whole_volumes")
    training = RoundTraining([root / "configs" / "train.yaml", overlay], {"steps": 3, "datalist": "data.json"})
    assert foreign_code(training.raw() | {"bundle_root": str(root)}) == {}


@pytest.mark.parametrize(
    ("id", "value", "found"),
    [
        ("device", "$print(1)", {"device": "$print(1)"}),
        ("steps", " $print(1)", {"steps": " $print(1)"}),
        ("imports", ["$import shutil"], {"imports#0": "$import shutil"}),
        ("loss", {"_target_": "os.system", "command": "ls"}, {"loss#_target_": "os.system"}),
        ("phantom", [{"a": {"_target_": "$eval"}}], {"phantom#0#a#_target_": "$eval"}),
        ("steps", "%other.yaml::steps", {"steps": "%other.yaml::steps"}),
        ("loss", {"_target_": "DiceLoss", "_requires_": "$print(1)"}, {"loss#_requires_": "$print(1)"}),
        ("dataset_dir", "/data/$a", {}),
        ("steps", "@epochs", {}),
    ],
)
def test_what_no_bundle_holds(id, value, found):
    training = RoundTraining([TRAIN]).raw() | {id: value}
    kept = {key: text for key, text in foreign_code(training).items() if key.split("#")[0] == id}
    kept.pop("loss#_target_", None) if found.get("loss#_target_") is None else None
    assert kept == found


def test_a_target_is_no_expression_and_a_folder_of_modules_counts(tmp_path):
    (tmp_path / "a.yaml").write_text("a: $f()\nb: {_target_: F}\n")
    known = {"configs": tmp_path}
    assert foreign_code({"x": "$f()", "y": {"_target_": "F"}}, known) == {}
    assert foreign_code({"y": {"_target_": "$f()"}}, known) == {"y#_target_": "$f()"}
    elsewhere = tmp_path.parent / f"{tmp_path.name} elsewhere"
    elsewhere.mkdir()
    assert foreign_code({"bundle_root": str(elsewhere)}, known) == {"bundle_root": str(elsewhere)}
    assert foreign_code({"bundle_root": str(tmp_path / "gone")}, known) == {}
