# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Arguments of components: those that exist, and others; and all of our own configs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from monai_al.bundle.component_checks import wrong_arguments

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted([*ROOT.glob("bundles/*/configs/*.yaml"), *ROOT.glob("configs/[!c]*/*.yaml")])
FOLDER = {"_target_": "monai_al.datasets.folder", "root": "d"}


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"datalist": {**FOLDER, "patient": "a", "affine_tolerated": True}}, []),
        ({"datalist": {**FOLDER, "affine_tolerated": "$@flag"}}, []),
        ({"datalist": {**FOLDER, "affine_tolerated": "false"}}, ["--datalist#affine_tolerated must be True or False"]),
        ({"strategy": {"_target_": "monai_al.strategies.Coreset", "stratified": "volume"}}, []),
        ({"datalist": {**FOLDER, "patients": "a"}}, ["--datalist#patients: folder takes no such argument"]),
        ({"a": [{"b": {**FOLDER, "x": 1}}]}, ["--a#0#b#x: folder takes no such argument; it takes root"]),
        ({"a": {"_target_": "monai_al.annotators.Oracle", "folder": 1}}, ["--a#folder: Oracle takes no such argument"]),
        ({"a": {"_target_": "monai_al.engines.ActiveLearner", "anything": 1}}, []),
        ({"a": {"_target_": "monai_al.datasets.foldr", "x": 1}, "b": {"_target_": "UNet", "x": 1}}, []),
    ],
)
def test_what_is_told_of_arguments(config, told):
    found = wrong_arguments(config)
    assert len(found) == len(told)
    assert all(one.startswith(start) for one, start in zip(found, told, strict=True))


def test_our_configs_give_what_their_components_take():
    assert {file.name for file in CONFIGS} > {"active_learning.yaml", "entropy.yaml", "folder.yaml"}
    found = {str(file): wrong_arguments(yaml.safe_load(file.read_text())) for file in CONFIGS}
    assert {file: wrong for file, wrong in found.items() if wrong} == {}
