# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A training config: what it declares, the objects behind its ids, and how its network predicts."""

from __future__ import annotations

import sys

import pytest
import torch
from monai.inferers import SimpleInferer

from monai_al.bundle import BundleConfigError, TrainingConfig
from monai_al.data import DataError

NET = "$torch.nn.Conv2d(1, 2, 1)"
SOFTMAX = {"_target_": "Activationsd", "keys": "pred", "softmax": True}
SIGMOID = {"_target_": "Activationsd", "keys": "pred", "sigmoid": True}
DICE = {"_target_": "DiceLoss", "softmax": True}
ARGMAX = {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}
SIMPLE = {"_target_": "SimpleInferer"}
WINDOW = {"_target_": "SlidingWindowInferer", "roi_size": [8, 8]}


def compose(*transforms):
    return {"_target_": "Compose", "transforms": list(transforms)}


# -- ids and objects ---------------------------------------------------------------------------------------------------


def test_ids_at_every_depth():
    config = TrainingConfig({"a": {"b": [1, {"c": 2}]}, "_meta_": {"x": 1}})
    assert [config.declares(id) for id in ("a", "a#b", "a::b::1::c", "a#d", "_meta_")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_unknown_overrides_are_refused_with_a_hint():
    with pytest.raises(BundleConfigError, match="--epocs: my.json declares no such id; did you mean epochs"):
        TrainingConfig({"epochs": 3}, {"epocs": 4}, name="my.json")


def test_a_knob_goes_where_the_config_has_it():
    inner = {"train": {"trainer": {"max_epochs": "@n"}, "dataloader": {"batch_size": 4}}, "n": 9}
    config = TrainingConfig(inner, {"epochs": 2, "batch_size": 1, "speed": 7}, train_map={"speed": "n"})
    assert config.overrides == {"n": 7, "train#dataloader#batch_size": 1}
    assert config.resolve("train#trainer#max_epochs") == [7]
    assert inner["n"] == 9
    own = TrainingConfig(inner | {"epochs": 1}, {"epochs": 2})  # its own id comes first
    assert own.resolve("epochs", "train::trainer::max_epochs") == [2, 9]


def test_each_parse_is_fresh_and_one_parse_is_shared():
    config = TrainingConfig({"a": "$object()", "b": "$[@a]", "c": "$[@a]"})
    b, c = config.resolve("b", "c")
    assert b[0] is c[0]
    assert config.resolve("b")[0][0] is not b[0]
    kept = object()
    config.share(a=kept)
    assert config.resolve("b")[0][0] is kept


def test_a_missing_id_is_named():
    with pytest.raises(BundleConfigError, match="x.yaml declares no 'train#dataset'"):
        TrainingConfig({}, name="x.yaml").resolve("train::dataset")


def test_our_own_errors_come_through(monkeypatch):
    def fail():
        raise DataError("case_1: unreadable")

    monkeypatch.setattr(torch, "fail", fail, raising=False)
    with pytest.raises(DataError, match="case_1: unreadable"):
        TrainingConfig({"a": "$torch.fail()"}).resolve("a")


def test_raw_holds_the_overrides_unresolved():
    assert TrainingConfig({"a": 1, "b": "$@a"}, {"a": "$2 + 2"}).raw() == {"a": "$2 + 2", "b": "$@a"}


# -- networks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, "SimpleInferer"),
        (
            {"validate": {"inferer": WINDOW}, "train": {"inferer": SIMPLE}},
            "SlidingWindowInferer",
        ),
        ({"train": {"inferer": WINDOW}}, "SlidingWindowInferer"),
        ({"validate": {"evaluator": {"inferer": WINDOW}}}, "SlidingWindowInferer"),
        ({"validate": {"evaluator": {"inferer": None}, "inferer": WINDOW}}, "SlidingWindowInferer"),
        ({"validate": {"evaluator": {"inferer": "@how"}}, "how": WINDOW}, "SlidingWindowInferer"),
    ],
)
def test_it_predicts_as_the_validation_does(config, expected):
    trained = TrainingConfig({"network_def": NET, "activation": "softmax", **config}).load(None)
    assert type(trained.inferer).__name__ == expected
    assert (trained.device, trained.activation) == (torch.device("cpu"), "softmax")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            {"validate": {"postprocessing": compose(SIGMOID)}, "loss": {"_target_": "DiceLoss", "softmax": True}},
            "sigmoid",
        ),
        ({"validate": {"evaluator": {"postprocessing": compose(compose(SOFTMAX))}}}, "softmax"),
        ({"train": {"postprocessing": compose(SOFTMAX, ARGMAX)}}, "softmax"),
        (
            {"validate": {"postprocessing": compose(ARGMAX)}, "loss": {"_target_": "DiceCELoss", "softmax": True}},
            "softmax",
        ),
        ({"train": {"trainer": {"loss_function": {"_target_": "DiceLoss", "sigmoid": True}}}}, "sigmoid"),
        ({"loss": {"_target_": "DiceFocalLoss", "softmax": True}}, "softmax"),
        ({"loss": {"_target_": "DiceFocalLoss", "sigmoid": True}}, "sigmoid"),
        ({"loss": {"_target_": "GeneralizedDiceFocalLoss", "softmax": True}}, "softmax"),
        ({"loss": {"_target_": "TverskyLoss", "sigmoid": True}}, "sigmoid"),
        ({"loss": {"_target_": "FocalLoss"}}, "sigmoid"),
        ({"loss": {"_target_": "FocalLoss", "use_softmax": True}}, "softmax"),
        ({"loss": {"_target_": "torch.nn.CrossEntropyLoss"}}, "softmax"),
        ({"loss": {"_target_": "torch.nn.BCEWithLogitsLoss"}}, "sigmoid"),
        ({"loss": {"_target_": "DeepSupervisionLoss", "loss": DICE}}, "softmax"),
        (
            {
                "loss": {"_target_": "DiceLoss", "softmax": True},
                "train": {"trainer": {"loss_function": "$lambda o, t: 0"}},
            },
            "softmax",
        ),
    ],
)
def test_the_activation_is_read_off_the_config(config, expected):
    config = TrainingConfig({"network_def": NET, **config})
    assert config.load(None).activation == expected
    assert config.load(None, "none").activation == "none"


@pytest.mark.parametrize("config", [{}, {"loss": "$lambda o, t: 0"}, {"loss": {"_target_": "DiceLoss"}}])
def test_an_unknown_activation_is_asked_for(config):
    with pytest.raises(BundleConfigError, match="give --activation"):
        TrainingConfig({"network_def": NET, **config}).load(None)


def test_weights_are_loaded_and_randomness_is_left_alone():
    config = TrainingConfig({"network_def": NET, "activation": "softmax"})
    state = {"weight": torch.ones(2, 1, 1, 1), "bias": torch.zeros(2)}
    before = torch.get_rng_state()
    loaded = config.load(state)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(loaded.network.weight, state["weight"])
    assert isinstance(loaded.inferer, SimpleInferer)


# -- a bundle's own code -----------------------------------------------------------------------------------------------


def bundle_with_scripts(root, value):
    (root / "configs").mkdir(parents=True)
    (root / "scripts").mkdir()
    (root / "scripts" / "__init__.py").touch()
    (root / "scripts" / "tool.py").write_text(f"VALUE = {value}\n\n\ndef make(x):\n    return VALUE + x\n")
    return root


@pytest.fixture
def forgotten():
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "scripts"]:
        del sys.modules[name]


def test_two_bundles_with_scripts_in_one_process(tmp_path, forgotten):
    roots = [bundle_with_scripts(tmp_path / name, value) for name, value in (("a", 10), ("b", 20))]
    inner = {
        "imports": ["$from scripts.tool import make"],
        "x": "$make(1)",
        "y": {"_target_": "scripts.tool.make", "x": 2},
    }
    configs = [TrainingConfig({**inner, "bundle_root": "."}, root=root) for root in roots]
    before = list(sys.path)
    for config, expected in [*zip(configs, (10, 20), strict=True), (configs[0], 10)]:
        assert config.resolve("x", "y") == [expected + 1, expected + 2]
    assert sys.path == before
    assert configs[1].resolve("bundle_root") == [str(roots[1])]


def test_an_id_that_only_happens_to_be_called_activation():
    config = {
        "activation": "relu",
        "network_def": "$torch.nn.Conv2d(1, 2, 1)",
        "loss": {"_target_": "DiceLoss", "softmax": True},
    }
    assert TrainingConfig(config).load(None).activation == "softmax"


def test_a_bundle_whose_folder_is_gone_is_still_read(tmp_path):
    config = TrainingConfig({"bundle_root": ".", "where": "@bundle_root"}, root=tmp_path / "gone")
    assert config.resolve("where") == [str(tmp_path / "gone")]
