# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""``python -m monai_al run``: names, options, help, and the same run as MONAI's command."""

from __future__ import annotations

import json

import pytest

from monai_al.assets import bundle_config, find_asset, find_overlay
from monai_al.bundle.option_checks import checked_options
from monai_al.commands import main
from monai_al.commands.run import config_values, words_and_options
from monai_al.engines import TrainedRun

OWN = find_asset("group_contrastive_cardiac") / "configs"


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("active_learning", "active_learning/configs/active_learning.yaml"),
        ("bundles/active_learning", "active_learning/configs/active_learning.yaml"),
        ("active_learning/inference", "active_learning/configs/inference.yaml"),
        ("active_learning/configs/train.yaml", "active_learning/configs/train.yaml"),
        (str(OWN.parent), "group_contrastive_cardiac/configs/active_learning.yaml"),
        (str(OWN / "pretrain.yaml"), "group_contrastive_cardiac/configs/pretrain.yaml"),
    ],
)
def test_a_bundle_is_found_by_name_or_path(name, end):
    assert bundle_config(name).as_posix().endswith(end)


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("hippocampus", "datasets/hippocampus.yaml"),
        ("entropy", "strategies/entropy.yaml"),
        ("strategies/entropy.yaml", "strategies/entropy.yaml"),
        ("learning_loss", "strategies/learning_loss.yaml"),
        ("paper", "group_contrastive_cardiac/configs/paper.yaml"),
        ("mlflow", "tracking/mlflow.yaml"),
        (str(OWN / "paper.yaml"), "group_contrastive_cardiac/configs/paper.yaml"),
    ],
)
def test_an_overlay_is_found_by_name_or_path(name, end):
    assert find_overlay(name, OWN).as_posix().endswith(end)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "name a bundle"),
        (["active_lerning"], "did you mean active_learning?"),
        (["active_learning/inferense"], "did you mean inference?"),
        (["active_learning", "entropi"], "did you mean entropy"),
        (["active_learning", "papr"], "'papr'"),
        (["active_learning", "training/whole_volumes"], '--train_overlays "[whole_volumes]"'),
        (["active_learning", "comparisons/stochastic_batches_acdc"], "compare --config stochastic_batches_acdc"),
        (["active_learning", "--steps"], "--steps needs a value"),
        (["active_learning", "--steps", "1", "--steps=2"], "given twice"),
        (["active_learning", "--image_size", "[64,", "64]"], "quotes"),
        (["active_learning", "--rounds", "x", "--threads", "0"], "--threads must be"),
        (["no/such/config.yaml"], "no/such/config.yaml"),
        (["active_learning", "--config_file", "a.yaml"], "--config_file is no option here"),
    ],
)
def test_a_wrong_name_or_option_is_one_message(words, told, capsys):
    assert main(["run", *words]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error


def test_options_become_what_monai_is_to_get():
    names, typed = words_and_options(
        ["--rounds=2", "active_learning", "--output-dir", "run #1", "--strategy#measure", "margin", "--progress",
         "--train#dataloader#num_workers", "0", "--selector", "null"]
    )  # fmt: skip
    assert names == ["active_learning"]
    config = {"nested_overrides": {}, "strategy": {}}
    assert config_values(typed, config) == {
        "rounds": 2,
        "output_dir": "$'run \\x231'",
        "strategy#measure": "margin",
        "progress": True,
        "nested_overrides": {"train#dataloader#num_workers": 0},
        "selector": None,
    }


def test_a_list_of_training_configs_is_the_first_and_what_is_laid_over_it():
    words = ["active_learning", "--training_config", "['a/train.json', 'b.json']", "--train_overlays", "['c.yaml']"]
    _, typed = words_and_options(words)
    assert typed == {"training_config": "a/train.json", "train_overlays": "['b.json', 'c.yaml']"}
    with pytest.raises(ValueError, match=r"--training_config must be a path, or a list .*got \['a"):
        words_and_options(["active_learning", "--training_config", "['a"])


def test_null_takes_the_place_of_what_the_config_has(monkeypatch):
    """MONAI's run leaves out options that are None."""
    given = {}
    monkeypatch.setattr("monai.bundle.run", lambda **options: given.update(options))
    assert main(["run", "ssl_cluster_skin_lesion", "--warm_start", "null", "--rounds", "1"]) == 0
    del given["config_file"]
    assert given == {"warm_start": "$None", "rounds": 1}
    assert checked_options(given) == {"warm_start": None}
    with pytest.raises(ValueError, match="--rounds must be a whole number of at least 1, got null"):
        checked_options({"rounds": "$None"})


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ({"a#b": "1", "nested_overrides": "{'c#d': 2}"}, {"nested_overrides": {"a#b": 1, "c#d": 2}}),
        ({"strategy#x": "@train#dataset"}, {"strategy#x": "@train#dataset"}),
        ({"strategy#x": "a #1"}, {"strategy#x": "$'a \\x231'"}),
        ({"mine": "['a#b', 2]"}, {"mine": ["$'a\\x23b'", 2]}),
    ],
)
def test_options_that_are_not_declared(typed, found):
    assert config_values(typed, {"nested_overrides": {}, "strategy": {}}) == found


def test_what_another_bundle_says_itself_of_its_options():
    typed = {"image_size": "96", "model": "unet", "amp": None, "dataset_dir": "a #1"}
    found = config_values(typed, {}, foreign=True)
    assert found == {"image_size": 96, "model": "unet", "amp": True, "dataset_dir": "$'a \\x231'"}
    with pytest.raises(ValueError, match="--batch_size"):
        config_values({"batch_size": "0"}, {}, foreign=True)


def test_help_lists_the_options_with_the_bundles_defaults(capsys):
    assert main(["run", "--help"]) == 0
    assert "--learning_rate" in capsys.readouterr().out
    assert main(["run", "stochastic_batches_prostate", "paper", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--rounds number of rounds; may grow when a run goes on (a whole number of at least 1; default: 20)" in text
    assert "default: warmup_cosine" in text


def test_a_run_goes_on_with_either_command_and_keeps_names_as_typed(tmp_path, monkeypatch):
    """``run`` and MONAI's command ask for the same config, nested options of the training included."""
    from monai.bundle import run

    monkeypatch.chdir(tmp_path)
    small = {"rounds": 1, "budget": 2, "steps": 1, "image_size": [32, 32], "channels": [4, 8], "threads": 1}
    small |= {"phantom": {"patients": 3, "shape": [32, 32, 6], "classes": ["background", "liver"]}, "progress": False}
    words = [word for option, value in small.items() for word in (f"--{option}", json.dumps(value))]
    words = [word.replace("false", "False") for word in words]
    nested = ["--validate#dataloader#batch_size", "8"]
    assert main(["run", "active_learning", "random", "--output_dir", "run #1", *words, *nested]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "run #1"]
    files = [str(bundle_config("active_learning")), str(find_overlay("random", OWN))]
    more = {"output_dir": "$'run \\x231'", "nested_overrides": {"validate#dataloader#batch_size": 8}}
    run(config_file=files, **(small | more | {"rounds": 2}))
    folder = tmp_path / "run #1"
    assert json.loads((folder / "round_01" / "metrics.json").read_text())["labeled"] == 4
    training = json.loads((folder / "run.json").read_text())["config"]["training"]
    assert training["validate"]["dataloader"]["batch_size"] == 8
    assert TrainedRun(folder).training.resolve("output_dir") == [str(folder)]
