# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Training configs by themselves: a constant learning rate, and overlays of data sets over them."""

from __future__ import annotations

from pathlib import Path

import pytest
from monai.bundle import ConfigParser, ConfigWorkflow

from monai_al.bundle import RunningBundle

ROOT = Path(__file__).parents[2]
TRAINING = sorted((ROOT / "bundles").glob("*/configs/train*.yaml"))
PRETRAINING = sorted((ROOT / "bundles").glob("*/configs/pretrain.yaml"))
DATASETS = sorted((ROOT / "configs" / "datasets").glob("*.yaml"))


@pytest.mark.parametrize("config", TRAINING, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_a_constant_learning_rate_is_the_one_that_was_given(config, tmp_path):
    small = {"patients": 8, "shape": [32, 32, 6]}
    workflow = ConfigWorkflow(
        str(config), workflow_type="train", logging_file=False, lr_schedule="constant", learning_rate=0.0123,
        phantom=small | {"classes": ConfigParser.load_config_file(str(config))["phantom"]["classes"]},
        image_size=[32, 32], steps=2, output_dir=str(tmp_path / "t"), device="cpu", progress=False,
    )  # fmt: skip
    workflow.initialize()
    assert workflow.parser.get_parsed_content("train::trainer") is not None
    (group,) = workflow.parser.get_parsed_content("optimizer").param_groups
    assert group["lr"] == 0.0123
    workflow.run()
    assert group["lr"] == 0.0123


@pytest.mark.parametrize("overlay", DATASETS, ids=lambda path: path.stem)
@pytest.mark.parametrize("config", [*TRAINING, *PRETRAINING], ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_the_overlay_of_a_data_set_fits_a_training_config_alone(config, overlay):
    merged = ConfigParser.load_config_files([str(config), str(overlay)])
    bundle = RunningBundle(config.parents[1], merged)
    if config in PRETRAINING and "default_steps" in merged:  # of the segmenter
        pytest.skip("the overlay also says how long a segmenter trains")
    bundle.check_overrides(defaults=config.name)
