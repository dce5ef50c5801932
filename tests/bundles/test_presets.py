# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The presets of the papers: what they set, that the page says so, and that they train."""

from __future__ import annotations

import json

import monai.bundle
import numpy as np
import pytest
import torch
from preset_sources import EXPECTED, GCC, PARAMETERS, SAAL, SB, SEL
from presets import PHANTOM, PRESETS, Built, head, table

from monai_al.cli import find_asset
from monai_al.commands import main
from monai_al.data import NOT_ANNOTATED


@pytest.fixture(params=PRESETS)
def built(request, tmp_path):
    return request.param, Built(PRESETS[request.param], tmp_path)


def test_what_a_preset_sets_and_what_its_page_says(built):
    name, configs = built
    ours = configs.settings()
    print(table(name, ours))
    assert ours == {setting: expected for setting, (expected, _) in EXPECTED[name].items()}
    page = (find_asset("active_learning").parents[1] / "docs" / "presets.md").read_text(encoding="utf-8")
    assert head(name) + table(name, ours) in page, "python tests/bundles/presets.py prints the tables"


def test_the_number_of_parameters_is_the_published_one(built):
    name, configs = built
    published = PARAMETERS.get(name, PARAMETERS.get(configs.preset.bundle))
    if published is None:
        pytest.skip("the authors do not tell it")
    assert configs.parameters() == pytest.approx(published, rel=0.01)


def test_each_preset_file_has_a_row():
    root = find_asset("active_learning").parent
    files = set(root.glob("*/configs/paper*.yaml"))
    assert {file for preset in PRESETS.values() for file in preset.files if file.stem.startswith("paper")} == files


def kind_of_draw(drawn, image):
    """What was done to a square image whose pixels all differ."""
    turned = [np.rot90(image, times) for times in range(4)]
    if np.array_equal(drawn, image):
        return "nothing"
    if any(np.array_equal(drawn, np.flip(one, 0)) for one in turned):
        return "flip"
    return "turn" if any(np.array_equal(drawn, one) for one in turned) else "rotation"


@pytest.mark.nightly
def test_half_of_the_cardiac_slices_are_turned_and_flipped_and_half_of_the_rest_are_rotated(tmp_path):
    augmentation = Built(PRESETS["GCC, ACDC"], tmp_path)["augmentation"]
    augmentation.set_random_state(0)
    image = torch.arange(1.0, 26 * 26 + 1).reshape(1, 26, 26)
    label = (image > 300).to(torch.uint8)
    n = 800
    found = []
    for _ in range(n):
        drawn = augmentation({"image": image.clone(), "label": label.clone(), "valid": label})
        found.append(kind_of_draw(drawn["image"][0].numpy(), image[0].numpy()))
        if found[-1] != "rotation":
            assert torch.equal(drawn["label"], (drawn["image"] > 300).to(torch.uint8))
    shares = {kind: found.count(kind) / n for kind in set(found)}
    assert set(shares) == {"nothing", "flip", "rotation"}
    for kind, share in {"nothing": 0.25, "flip": 0.5, "rotation": 0.25}.items():
        assert abs(shares[kind] - share) < 4 * np.sqrt(share * (1 - share) / n)


def test_a_rotated_cardiac_slice_is_within_20_degrees(tmp_path):
    augmentation = Built(PRESETS["GCC, ACDC"], tmp_path)["augmentation"]
    augmentation.set_random_state(1)
    image = torch.zeros(1, 65, 65)
    image[0, 32, 32:60] = 1  # a hand of a clock
    label = torch.ones(1, 65, 65, dtype=torch.uint8)
    angles = []
    for _ in range(200):
        drawn = augmentation({"image": image.clone(), "label": label.clone(), "valid": label})
        rows, columns = np.nonzero(drawn["image"][0].numpy() > 0.3)
        angle = np.degrees(np.arctan2(rows.mean() - 32, columns.mean() - 32))
        if (drawn["label"] == NOT_ANNOTATED).any():  # only a rotation leaves corners open
            angles.append(angle)
    assert 20 < len(angles) < 90
    assert 12 < max(np.abs(angles)) < 21.5
    assert min(angles) < 0 < max(angles)


SMALL = {
    "image_size": [32, 32], "batch_size": 2, "rounds": 1, "budget": 3, "progress": False, "device": "cpu",
    "test_fraction": 0.25, "validation_fraction": 0.25, "dataset_dir": "none", "datalist": PHANTOM, "threads": 1,
}  # fmt: skip
OF_BUNDLE = {
    GCC: {"channels": [2, 2, 4, 4, 4], "steps": 2, "steps_per_epoch": 1, "members": 2, "pretrain_epochs": 1,
          "encoder_width": 0.125, "tensorboard": False},
    SB: {"channels": [4, 8], "steps": 1, "steps_per_epoch": 1},
    SEL: {"channels": [2, 2, 4, 4, 4], "epochs": 2},
    SAAL: {"channels": [2, 2, 4, 4, 4], "pretrain_epochs": 1, "pretrain_batch_size": 8, "tensorboard": False},
}  # fmt: skip
QUICK = ("GCC, DAVIS", "SEL, BraTS")


@pytest.mark.parametrize("name", PRESETS)
def test_the_command_of_a_preset_gets_as_far_as_its_data(name, tmp_path, capsys):
    _, _, _, command, *names = PRESETS[name].command.split()
    assert main([command, *names, "--dataset_dir", str(tmp_path / "gone"), "--output_dir", str(tmp_path / "run")]) == 2
    assert f"{tmp_path / 'gone'}: does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.nightly) for name in PRESETS]
)
def test_a_preset_trains(name, tmp_path, one_thread):
    preset = PRESETS[name]
    classes = ["background", *(f"class {number}" for number in range(1, preset.classes))]
    phantom = {"patients": 8, "volumes_per_patient": 1, "shape": [32, 32, 6], "classes": classes}
    options = {**SMALL, **OF_BUNDLE[preset.bundle], "phantom": phantom | {"channels": preset.volume[0]}}
    monai.bundle.run(config_file=[str(file) for file in preset.files], output_dir=str(tmp_path / "run"), **options)
    metrics = json.loads((tmp_path / "run" / "round_00" / "metrics.json").read_text())
    assert metrics["labeled"] == 3
    assert 0 <= metrics["dice_3d"]["mean"] <= 1
    assert metrics["model"] == ("last" if preset.bundle in (SB, SAAL) else "best on validation")
    if preset.bundle == GCC:
        found = metrics["validation_dice_3d"]
        assert metrics["tested_member"] == int(np.argmax(found))
