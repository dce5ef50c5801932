# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The bundle from MONAI's own command line, as a user runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from pydoc import locate

import monai.bundle
import pytest
import torch
from monai.bundle import ConfigParser

from monai_al.failures import USER_ERROR, show_failure
from monai_al.records import RunFolder
from monai_al.strategies import Strategy
from monai_al.uncertainty import MEASURES

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "bundles" / "selective_uncertainty_spleen" / "configs"
SMALL = {
    "phantom": {"patients": 4, "shape": [32, 32, 6], "classes": ["background", "spleen"]},
    "image_size": [32, 32], "channels": [4, 8], "steps": 3, "batch_size": 4, "progress": False, "device": "cpu",
}  # fmt: skip
OVERLAYS = sorted((ROOT / "configs" / "strategies").glob("*.yaml"))
OVERLAYS.remove(ROOT / "configs" / "strategies" / "random_volumes.yaml")  # test_random_volumes.py
BATCHES = ROOT / "bundles" / "stochastic_batches_prostate" / "configs"
ENCODER = {  # of the strategies that need one
    "encoder": str(ROOT / "bundles" / "group_contrastive_cardiac" / "configs" / "pretrain.yaml"),
    "pretrain_epochs": 1, "encoder_width": 0.125, "pretrain_batch_size": 3, "tensorboard": False,
}  # fmt: skip


def class_of(overlay):
    return locate(ConfigParser.load_config_file(str(overlay))["strategy"]["_target_"])


def brings(overlay):
    """What a strategy overlay needs of the loop and of the bundle."""
    settings = ConfigParser.load_config_file(str(overlay))
    strategy = class_of(overlay)
    found = {id for id in settings if id not in ("strategy", "dropout")}
    if strategy.needs is not Strategy.needs:
        found.add(settings["strategy"].get("embedding"))
    measure = settings["strategy"].get("measure")
    if measure is not None:
        found.add(MEASURES[measure].samples if MEASURES[measure].stochastic else "one prediction")
    return found | {"truth" if strategy.uses_truth else "no truth"}


def one_of_each_kind():
    """All overlays; those that bring nothing that an earlier one did not bring are for the night."""
    known, overlays = set(), []
    for overlay in OVERLAYS:
        found = brings(overlay)
        overlays.append(pytest.param(overlay, id=overlay.stem, marks=() if found - known else pytest.mark.nightly))
        known |= found
    return overlays


def few(overlay):
    """Options that keep an overlay's run short."""
    options = {"members": 2} if overlay.stem.startswith("ens") else {}
    options |= ENCODER if "embedding: encoder" in overlay.read_text(encoding="utf-8") else {}
    return options | ({"strategy#steps": 3, "strategy#size": 16} if overlay.stem == "vaal" else {})


def run(*names, configs=CONFIGS, **overrides):
    files = [str(configs / "active_learning.yaml"), *(str(ROOT / "configs" / f"{name}.yaml") for name in names)]
    monai.bundle.run(config_file=files, **({**SMALL, "rounds": 2, "budget": 4} | overrides))


def second_query(run_dir):
    return json.loads((run_dir / "round_01" / "query.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("overlay", one_of_each_kind())
def test_every_strategy_overlay(overlay, tmp_path):
    """Here end to end; tests/strategies/test_strategy_overlays.py asks all of them on a made-up round."""
    run(f"strategies/{overlay.stem}", output_dir=str(tmp_path / "run"), **few(overlay))
    query = second_query(tmp_path / "run")
    assert len({item["id"] for item in query["items"]}) == 4
    unscored = class_of(overlay).needs is Strategy.needs or query["strategy"] == "typiclust"
    assert all((item["score"] is None) == unscored for item in query["items"])
    assert (tmp_path / "cache").is_dir()  # beside the run, for other runs to share


@pytest.mark.nightly
@pytest.mark.parametrize("training", [[], ["weak_supervision"]], ids=["plain", "two decoders"])
@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_every_strategy_overlay_on_scribbles(overlay, training, tmp_path):
    """Half of the items are answered by scribbles, half by masks, in one pool, one round and one batch."""
    options = {"weak_share": 0.5, "output_dir": str(tmp_path / "run"), "channels": [4, 4, 8, 8, 8], **few(overlay)}
    if training:
        options["train_overlays"] = training
    if training and overlay.stem in ("dsal", "learning_loss"):
        with pytest.raises(RuntimeError) as caught:
            run(f"strategies/{overlay.stem}", "annotators/scribbles_from_masks", budget=6, **options)
        assert "no other overlay in --train_overlays may replace it" in str(caught.value.__cause__)
        return
    run(f"strategies/{overlay.stem}", "annotators/scribbles_from_masks", budget=6, **options)
    labels = RunFolder(tmp_path / "run").labels(1)
    assert labels.counts["weak"] + labels.counts["full"] == 12
    assert min(labels.counts.values()) > 0
    assert len({item["id"] for item in second_query(tmp_path / "run")["items"]}) == 6


@pytest.mark.nightly
@pytest.mark.parametrize(
    "overlay", [path for path in OVERLAYS if "'@selector'" in path.read_text()], ids=lambda path: path.stem
)
def test_every_scoring_strategy_with_stochastic_batches(overlay, tmp_path):
    """In the bundle that has them by default, and in the other one by one overlay."""
    names, configs = [f"strategies/{overlay.stem}"], BATCHES
    if overlay.stem.startswith("selective"):
        names, configs = [*names, "selectors/stochastic_batches"], CONFIGS
    run(*names, configs=configs, output_dir=str(tmp_path / "run"), test_fraction=0.25, **few(overlay))
    query = second_query(tmp_path / "run")
    assert query["strategy"].endswith(" with stochastic batches")
    assert all("best of the stochastic batches" in item["reason"] for item in query["items"])


def test_stochastic_batches_with_settings(tmp_path):
    """One batch is a random choice; another selector is another run."""
    mine = tmp_path / "mine.json"
    settings = {"_target_": "monai_al.selection.stochastic_batches", "_mode_": "callable", "n_batches": 1}
    mine.write_text(json.dumps({"selector": settings}), encoding="utf-8")
    files = [str(CONFIGS / "active_learning.yaml"), str(mine)]
    monai.bundle.run(config_file=files, output_dir=str(tmp_path / "run"), rounds=2, budget=4, **SMALL)
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    selector = record["config"]["learner"]["strategy_settings"]["selector"]
    assert selector == {"name": "stochastic_batches", "settings": {"n_batches": 1}}
    assert record["strategy"] == "selective entropy with stochastic batches"


def learning_loss(bundle, output_dir, **settings) -> monai.bundle.ConfigWorkflow:
    configs = ROOT / "bundles" / bundle / "configs"
    files = [str(configs / "train.yaml"), str(configs / "learning_loss.yaml")]
    settings = {**SMALL, "steps_per_epoch": 1, "output_dir": str(output_dir), **settings}
    workflow = monai.bundle.ConfigWorkflow(files, workflow_type="train", logging_file=False, **settings)
    workflow.initialize()
    workflow.run()
    return workflow


def test_learning_loss_trains_with_the_ranking_and_stops_its_features(tmp_path):
    workflow = learning_loss("stochastic_batches_prostate", tmp_path, steps=8)
    assert workflow.network_def.stop_gradient  # after 8 * 20 // 75 = 2 of 8 epochs
    assert set(workflow.network_def.state_dict()) > {"loss_predictor.out.weight", "network.head.conv.conv.weight"}


def test_the_stochastic_batches_bundle_trains_the_loss_predictor_by_an_optimizer_of_its_own(tmp_path):
    workflow = learning_loss("stochastic_batches_prostate", tmp_path, steps=2)
    own, rest = (workflow.parser.get_parsed_content(name) for name in ("predictor_optimizer", "optimizer"))
    assert type(own) is torch.optim.SGD
    assert own.param_groups[0]["params"] == list(workflow.network_def.loss_predictor.parameters())
    assert rest.param_groups[0]["params"] == list(workflow.network_def.network.parameters())
    asked = {"lr": 0.001, "momentum": 0.9, "weight_decay": 0.0005}
    assert {name: own.param_groups[0][name] for name in asked} == asked
    assert own.state[own.param_groups[0]["params"][0]]["momentum_buffer"].abs().sum() > 0  # it has stepped
    assert workflow.parser.get_parsed_content("loss").ranking.margin == 0


ONE_CHANNEL = {
    "out_channels": 1,
    "segmentation_loss": {"_target_": "monai_al.losses.PartialDiceCELoss", "sigmoid": True, "lambda_dice": 0.0},
    "phantom": {"patients": 4, "volumes_per_patient": 1, "shape": [32, 32, 8], "classes": ["background", "spleen"]},
}


@pytest.mark.parametrize(
    ("bundle", "settings"),
    [
        pytest.param("active_learning", {}, marks=pytest.mark.nightly),
        pytest.param("group_contrastive_cardiac", {}, marks=pytest.mark.nightly),
        ("selective_uncertainty_spleen", ONE_CHANNEL),  # as its paper.yaml
    ],
)
def test_learning_loss_learns_in_the_other_bundles(tmp_path, bundle, settings):
    workflow = learning_loss(bundle, tmp_path, steps=3, **settings)
    weights = workflow.network_def.loss_predictor.out.weight
    assert torch.isfinite(weights).all()
    assert workflow.parser.get_parsed_content("loss").ranking.margin == 1
    assert workflow.parser.get_parsed_content("optimizer").state[weights]["exp_avg"].abs().sum() > 0


def test_training_config_runs_alone(tmp_path):
    monai.bundle.run(
        config_file=str(CONFIGS / "train.yaml"), output_dir=str(tmp_path / "train"), **{**SMALL, "steps": 5}
    )
    weights = torch.load(tmp_path / "train" / "models" / "model.pt", weights_only=True)
    assert all(torch.isfinite(value).all() for value in weights.values())


def test_training_config_runs_alone_with_validation(tmp_path):
    validation = {"validation_fraction": 0.25, "steps": 4, "steps_per_epoch": 2, "model": "best", "early_stopping": 3}
    monai.bundle.run(config_file=str(CONFIGS / "train.yaml"), output_dir=str(tmp_path / "t"), **{**SMALL, **validation})
    assert (tmp_path / "t" / "models" / "best.pt").is_file()


@pytest.mark.nightly
def test_the_other_paper_overlay_trains(tmp_path):
    small = {"image_size": [32, 32], "channels": [4, 8], "steps": 4, "steps_per_epoch": 2, "rounds": 2, "budget": 4}
    configs = ROOT / "bundles" / "stochastic_batches_prostate" / "configs"
    files = [str(configs / name) for name in ("active_learning.yaml", "paper.yaml")]
    shares = {"validation_fraction": 0.25, "test_fraction": 0.25}
    monai.bundle.run(config_file=files, output_dir=str(tmp_path / "run"), **{**SMALL, **small, **shares})
    metrics = json.loads((tmp_path / "run" / "round_01" / "metrics.json").read_text())
    assert (metrics["model"], metrics["validation_labeled"]) == ("last", 0)


def test_paper_overlay_trains(tmp_path):
    """The paper's settings, with only the sizes made small."""
    small = {"image_size": [32, 32], "channels": [2, 2, 4, 4, 4], "epochs": 2, "steps": None}
    small |= {"rounds": 2, "budget": [5, 3]}
    files = [str(CONFIGS / name) for name in ("active_learning.yaml", "paper.yaml")]
    shares = {"validation_fraction": 0.25, "test_fraction": 0.25}
    monai.bundle.run(config_file=files, output_dir=str(tmp_path / "run"), **{**SMALL, **small, **shares})
    metrics = json.loads((tmp_path / "run" / "round_01" / "metrics.json").read_text())
    assert metrics["model"] == "best on validation"


def test_network_fits_its_metadata(tmp_path):
    files = {"meta_file": str(CONFIGS / "metadata.json"), "config_file": str(CONFIGS / "train.yaml")}
    monai.bundle.verify_net_in_out(net_id="network_def", n=4, device="cpu", output_dir=str(tmp_path / "t"), **files)


@pytest.mark.nightly  # as every bundle's, in tests/bundles/test_metadata.py
def test_network_is_exported(tmp_path):
    monai.bundle.run(config_file=str(CONFIGS / "train.yaml"), output_dir=str(tmp_path / "t"), **{**SMALL, "steps": 1})
    monai.bundle.ckpt_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(tmp_path / "t" / "models" / "model.pt"),
        meta_file=str(CONFIGS / "metadata.json"),
        config_file=str(CONFIGS / "train.yaml"),
        key_in_ckpt="model",
        output_dir=str(tmp_path / "t"),
        channels=[4, 8],
    )
    assert torch.jit.load(str(tmp_path / "model.ts"))(torch.zeros(1, 1, 16, 16)).shape == (1, 2, 16, 16)


def test_a_missing_data_set_is_told_with_one_message(tmp_path, capsys):
    with pytest.raises(RuntimeError) as caught:
        run(dataset_dir="nowhere", output_dir=str(tmp_path / "run"))
    capsys.readouterr()
    assert show_failure(caught.value) == USER_ERROR  # which the command line calls
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "nowhere: does not exist" in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.nightly
def test_bundles_configs_and_pages_are_in_the_wheel(tmp_path):
    source = tmp_path / "source"
    for name in ("monai_al", "bundles", "configs", "docs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    left = ["models/model.pt", "eval/schema.json", "large_files.yml"]  # by a training, or by the Model Zoo's checks
    for place in (source / "bundles" / "active_learning" / name for name in left):
        place.parent.mkdir(exist_ok=True)
        place.write_text("")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        str(source),
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
    ]
    done = subprocess.run(build, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"monai_al/{path.relative_to(ROOT).as_posix()}"
        for folder in ("bundles", "configs")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not {"models", "eval", "__pycache__"} & set(path.relative_to(ROOT).parts)
    }
    assert len(expected) > 15
    assert expected <= names
    pages = {f"monai_al/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "docs").glob("[!s]*/*.[mps]*")}
    assert pages | {f"monai_al/docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= names
    assert not [name for name in names if name.endswith(tuple(left))]
    assert "monai_al/py.typed" in names
    templates = (ROOT / "monai_al" / "report" / "templates").iterdir()
    assert {f"monai_al/report/templates/{path.name}" for path in templates} <= names
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    where = [sys.executable, "-m", "monai_al", "where", "selective_uncertainty_spleen"]
    found = subprocess.run(where, capture_output=True, text=True, cwd=tmp_path / "site", check=True).stdout.strip()
    assert Path(found) == tmp_path / "site" / "monai_al" / "bundles" / "selective_uncertainty_spleen"
    page = [sys.executable, "-c", "from monai_al.assets import docs_page; print(docs_page('annotators.md'))"]
    found = subprocess.run(page, capture_output=True, text=True, cwd=tmp_path / "site", check=True).stdout.strip()
    assert Path(found) == tmp_path / "site" / "monai_al" / "docs" / "annotators.md"
