# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a running bundle knows of itself, and the overrides it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from monai.bundle import ConfigParser, ConfigWorkflow

from monai_al.bundle import BundleConfigError, RunningBundle, running_bundle, training_length

BUNDLE = Path(__file__).parents[2] / "bundles" / "selective_uncertainty_spleen"


def test_monai_ignores_an_unknown_override(tmp_path):
    """Why the bundle checks for itself."""
    (tmp_path / "a.json").write_text(json.dumps({"rounds": 1, "run": ["$@rounds"]}))
    workflow = ConfigWorkflow(str(tmp_path / "a.json"), logging_file=False, workflow_type=None, roundz=3)
    workflow.initialize()
    assert workflow.run() == [1]


def test_the_running_workflow_is_found_from_an_expression(tmp_path):
    configs = tmp_path / "my_bundle" / "configs"
    configs.mkdir(parents=True)
    config = {
        "imports": ["$from monai_al.bundle import running_bundle"],
        "me": "$running_bundle()",
        "answer": 41,
        "lazy": {"_target_": "no.such.Class", "value": "$@answer + 1"},
        "initialize": ["$@me"],
        "run": ["$@me"],
    }
    (configs / "active_learning.json").write_text(json.dumps(config))
    file = str(configs / "active_learning.json")
    workflow = ConfigWorkflow(file, logging_file=False, workflow_type=None, answer=42)
    (found,) = workflow.initialize()
    assert found.root == configs.parent
    assert found.config["answer"] == 42
    assert found.config["lazy"] == {"_target_": "no.such.Class", "value": "$@answer + 1"}  # nothing is resolved
    assert found.file("train.yaml") == configs / "train.yaml"
    assert found.files("train", ["paper", "/else/where.json"]) == [
        str(configs / "train.yaml"), str(configs / "paper.yaml"), "/else/where.json"
    ]  # fmt: skip


def test_without_a_workflow_the_evaluated_config_tells_the_folder(tmp_path):
    """As MONAI's commands evaluate one that look at a network alone."""
    config = {
        "imports": ["$from monai_al.bundle import running_bundle"],
        "bundle_root": str(tmp_path / "mine"),
        "me": "$running_bundle()",
        "answer": 42,
    }
    found = ConfigParser(config).get_parsed_content("me")
    assert (found.root, found.config["answer"]) == (tmp_path / "mine", 42)
    assert found.file("train.yaml") == tmp_path / "mine" / "configs" / "train.yaml"


def test_no_running_workflow_is_an_error():
    with pytest.raises(BundleConfigError, match="no bundle is running"):
        running_bundle()


@pytest.fixture
def bundle(tmp_path):
    configs = tmp_path / "configs"
    configs.mkdir()
    inner = {
        "steps": 5,
        "dataset_dir": None,
        "unused": 1,
        "train": {"trainer": {"max_epochs": "@steps"}},
        "run": ["$@train"],
        "output_dir": "x",
        "pool": [],
    }
    (configs / "train.json").write_text(json.dumps(inner))

    def make(**config):
        return RunningBundle(
            tmp_path, {"rounds": 2, "learner": {"rounds": "$@rounds + 0"}, "run": ["$@learner"], **config}
        )

    return make


def test_known_ids_pass(bundle):
    bundle(steps=3, dataset_dir="d", output_dir="o").check_overrides("train.json")


def test_the_training_config_is_that_of_monais_command_line_which_drops_what_follows_a_hash(
    bundle, tmp_path, monkeypatch
):
    (tmp_path / "a #1.json").write_text((tmp_path / "configs" / "train.json").read_text())
    main = SimpleNamespace(__spec__=SimpleNamespace(name="monai.bundle.__main__"))
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(sys.modules["monai_al.bundle.running_bundle"], "show_errors_briefly", lambda: None)
    typed = str(tmp_path / "a #1.json")
    monkeypatch.setattr(sys, "argv", ["run", "run", "--training_config", typed])
    bundle(steps=3).check_overrides(str(tmp_path / "a"))
    monkeypatch.setattr(sys, "argv", ["run", "run"])
    with pytest.raises(BundleConfigError, match=r"a\.yaml does not exist"):
        bundle(steps=3).check_overrides(str(tmp_path / "a"))


def test_a_foreign_bundle_keeps_its_ids_that_are_called_like_settings_of_the_loop(bundle, tmp_path):
    inner = {"handlers": ["theirs"], "rounds": 7, "lr": 0.1, "run": [], "train": {"trainer": {"max_epochs": 3}}}
    (tmp_path / "configs" / "theirs.json").write_text(json.dumps(inner))
    outer = bundle(handlers=[], lr=0.2, epochs=5, learner={"rounds": "@rounds", "handlers": "@handlers"})
    assert outer.forwarded("theirs.json") == {"lr": 0.2, "epochs": 5}


def test_ids_that_only_options_of_a_foreign_bundle_refer_to_are_its_own(bundle, tmp_path):
    """They go with the options, in whose words they are; what the loop itself refers to stays."""
    inner = {"dataset_dir": "/theirs", "items": "$[@dataset_dir]", "rounds": 7, "run": ["$@items"], "part": {"a": 1}}
    (tmp_path / "configs" / "theirs.json").write_text(json.dumps(inner))
    nested = {"part#a": "$@dataset_dir"}
    outer = bundle(dataset_dir="/ours", items="$[@dataset_dir, @rounds]", nested_overrides=nested)
    assert outer.forwarded("theirs.json") == {"dataset_dir": "/ours", "items": "$[@dataset_dir, @rounds]", **nested}


@pytest.mark.parametrize(
    ("id", "hint"),
    [
        ("roundz", "did you mean rounds"),
        ("step", "did you mean steps"),
        ("unused", "nothing"),
        ("xyzzy", "nothing"),
        ("ckpt_dir", "nothing"),  # each round has its own
        ("bundle_root", "nothing"),
    ],
)
def test_what_nothing_refers_to_is_refused(bundle, id, hint):
    with pytest.raises(BundleConfigError, match=f"--{id}: .*{hint}"):
        bundle(**{id: 1}).check_overrides("train.json")


def test_an_id_that_only_refers_to_itself_is_refused(bundle):
    with pytest.raises(BundleConfigError, match="--loop: nothing"):
        bundle(loop="$@loop + 1").check_overrides("train.json")


def test_overlays_of_the_training_add_ids(bundle, tmp_path):
    (tmp_path / "configs" / "more.json").write_text(
        json.dumps({"extra": 1, "train": {"trainer": {}, "extra": "@extra"}})
    )
    with pytest.raises(BundleConfigError, match="--extra"):
        bundle(extra=2).check_overrides("train.json")
    bundle(extra=2).check_overrides("train.json", ["more.json"])
    assert bundle(extra=2).forwarded("train.json", ["more.json"]) == {"extra": 2}


def test_a_training_config_alone_is_checked(tmp_path):
    names = {"network_def": None, "device": "cpu", "steps": 3, "train": {"n": "@steps"}, "run": []}
    RunningBundle(tmp_path, names).check_overrides()
    with pytest.raises(BundleConfigError, match="--stepz: .*did you mean steps"):
        RunningBundle(tmp_path, {**names, "stepz": 5}).check_overrides()


def test_flat_ids_of_the_training_config_are_forwarded_unresolved(bundle):
    raw = {"_target_": "a.b", "root": "@dataset_dir"}
    forwarded = bundle(steps="$1 + 1", dataset_dir=raw, run=["$1"]).forwarded("train.json")
    assert forwarded == {"steps": "$1 + 1", "dataset_dir": raw}


def test_nested_overrides_are_in_the_words_of_the_training_config(bundle):
    """Where they are resolved, ``@device`` is the training's and the function is known there alone."""
    nested = {"train#trainer#max_epochs": "$theirs(@device)", "nowhere#at": 1}
    assert bundle(nested_overrides=nested).forwarded("train.json") == {"train#trainer#max_epochs": "$theirs(@device)"}


def test_the_network_of_the_segmentation_is_not_that_of_the_encoder():
    root = BUNDLE.parent / "group_contrastive_cardiac"
    outer = {"network_def": {"_target_": "UNet"}, "loss": {"_target_": "DiceLoss"}, "optimizer": {"_target_": "SGD"}}
    found = RunningBundle(root, {**outer, "image_size": [8, 8], "nt_xent": 0.5}).forwarded_ids("pretrain.yaml")
    assert found == {"image_size": [8, 8], "nt_xent": 0.5}


@pytest.mark.parametrize("bundle", ["selective_uncertainty_spleen", "stochastic_batches_prostate"])
def test_every_overlay_names_only_ids_that_are_read(bundle):
    root = BUNDLE.parent / bundle
    loop, configs = str(root / "configs" / "active_learning.yaml"), BUNDLE.parents[1] / "configs"
    kinds = ("datasets", "selectors", "strategies", "tracking")
    laid_over = [path for kind in kinds for path in (configs / kind).rglob("*.yaml")]
    overlays = [*sorted(laid_over), root / "configs" / "paper.yaml"]
    assert len(overlays) > 10
    for overlay in overlays:
        content = ConfigParser.load_config_file(str(overlay))
        assert not any("#" in id or "::" in id for id in content), f"{overlay.name} sets a nested id"
        merged = ConfigParser.load_config_files([loop, str(overlay)])
        RunningBundle(root, merged).check_overrides(
            "train.yaml", merged["train_overlays"], defaults="active_learning.yaml"
        )


def test_an_id_whose_reader_an_overlay_took_away_is_an_error_only_where_it_is_set():
    files = [BUNDLE / "configs" / "active_learning.yaml", BUNDLE.parents[1] / "configs" / "strategies" / "random.yaml"]
    merged = ConfigParser.load_config_files([str(file) for file in files])
    RunningBundle(BUNDLE, merged).check_overrides("train.yaml", defaults="active_learning.yaml")
    with pytest.raises(BundleConfigError, match="--selector: nothing in the bundle refers to it"):
        RunningBundle(BUNDLE, {**merged, "selector": "top_k"}).check_overrides(
            "train.yaml", defaults="active_learning.yaml"
        )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((None, None, 300), (1, 300)),
        ((500, None, 300), (1, 500)),
        ((None, 7, 300), (7, None)),
        ((500, None, 300, 50), (10, 50)),
        ((20, None, 300, 50), (1, 20)),
    ],
)
def test_training_length(arguments, expected):
    assert training_length(*arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((500, 7, 300), "both given"),
        ((0, None, 300), "steps must be a whole number"),
        ((None, 0, 300), "epochs must be a whole number"),
        ((503, None, 300, 50), "multiple"),
    ],
)
def test_training_length_refuses(arguments, message):
    with pytest.raises(BundleConfigError, match=message):
        training_length(*arguments)
