# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The check of all options at once, and what the command lines make of what was typed."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest
import torch
from monai.bundle import ConfigWorkflow

from monai_al.bundle import BundleConfigError
from monai_al.bundle.option_checks import checked_options, typed_on_the_command_line
from monai_al.options import literal


def test_all_wrong_options_are_told_at_once():
    with pytest.raises(BundleConfigError) as error:
        checked_options({"rounds": 0, "model": "Best", "seed": 3, "learning_rate": -1})
    assert [line.split()[0] for line in str(error.value).splitlines()] == ["--rounds", "--learning_rate", "--model"]


def test_the_data_and_training_of_another_bundle_are_its_own():
    theirs = {"image_size": 96, "channels": "many", "model": {"_target_": "UNet"}}
    assert checked_options(theirs, foreign=True) == {}
    with pytest.raises(BundleConfigError, match="--batch_size"):
        checked_options(theirs | {"batch_size": 0}, foreign=True)
    typed = {"dataset_dir": "scans #1"}
    assert checked_options({"dataset_dir": "scans ::1"}, typed, foreign=True) == {"dataset_dir": literal("scans #1")}


def test_paths_of_a_config_are_those_of_its_file_though_monai_reads_their_characters():
    found = checked_options({"dataset_dir": "scans ::1", "cache_dir": "$@a::b", "mlflow_uri": "a::b"})
    assert found == {"dataset_dir": literal("scans #1")}


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "gpu", "mps"])
def test_a_device_that_is_not_there(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: device == "cuda:7")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(BundleConfigError, match="--device"):
        checked_options({"device": device})


@pytest.mark.parametrize("name", ["2024", "run #1", "run#1", "1e3", "None of it", "a$b", "['x']"])
def test_monais_command_line_hands_on_paths_as_typed(name, tmp_path, monkeypatch):
    """MONAI's reading makes a number of the first, and drops what follows a #."""
    from fire.parser import DefaultParseValue

    configs = tmp_path / "my_bundle" / "configs"
    configs.mkdir(parents=True)
    config = {
        "imports": ["$import monai_al.bundle as bundle"],
        "output_dir": "runs/a",
        "below": "$@output_dir + '/below'",
        "initialize": ["$bundle.running_bundle().check_overrides()"],
        "run": ["$(@output_dir, @below)"],
    }
    (configs / "train.json").write_text(json.dumps(config))
    monkeypatch.setitem(
        sys.modules, "__main__", SimpleNamespace(__spec__=SimpleNamespace(name="monai.bundle.__main__"))
    )
    monkeypatch.setattr(sys, "argv", ["run", "run", "--output_dir", name])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    workflow = ConfigWorkflow(
        str(configs / "train.json"), logging_file=False, workflow_type=None, output_dir=DefaultParseValue(name)
    )
    workflow.initialize()
    assert workflow.run() == [(name, f"{name}/below")]


def test_the_command_line_is_read_only_where_it_is_monais():
    assert typed_on_the_command_line() == {}
    assert typed_on_the_command_line(["run", "--a-b", "1", "--c=2", "--d", "--e", "-1"]) == {
        "a_b": "1", "c": "2", "e": "-1"
    }  # fmt: skip
    with pytest.raises(BundleConfigError, match="--a_b is given twice"):
        typed_on_the_command_line(["run", "--a-b", "1", "--a_b=2"])
