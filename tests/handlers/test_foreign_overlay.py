# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Our overlays over a bundle in the style of the Model Zoo that knows nothing of us."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from monai.bundle import run as run_bundle
from monai.networks.nets import UNet

from monai_al.data import Query
from monai_al.handlers import UncertaintyHandler

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
torch.set_num_threads(1)

TRAIN = {
    "imports": ["$import glob", "$import os"],
    "bundle_root": ".",
    "ckpt_dir": "$@bundle_root + '/models'",
    "output_dir": "$@bundle_root + '/eval'",
    "dataset_dir": "/nowhere",
    "images": "$list(sorted(glob.glob(@dataset_dir + '/imagesTr/*.nii.gz')))",
    "labels": "$list(sorted(glob.glob(@dataset_dir + '/labelsTr/*.nii.gz')))",
    "val_interval": 1,
    "device": "$torch.device('cpu')",
    "network_def": {
        "_target_": "UNet",
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 2,
        "channels": [4, 8],
        "strides": [2],
        "norm": "batch",
        "dropout": 0.1,
    },
    "network": "$@network_def.to(@device)",
    "loss": {"_target_": "DiceCELoss", "to_onehot_y": True, "softmax": True},
    "optimizer": {"_target_": "torch.optim.Adam", "params": "$@network.parameters()", "lr": 0.01},
    "train": {
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": ["image", "label"], "ensure_channel_first": True},
                {
                    "_target_": "RandSpatialCropd",
                    "keys": ["image", "label"],
                    "roi_size": [8, 8, 8],
                    "random_size": False,
                },
            ],
        },
        "dataset": {
            "_target_": "CacheDataset",
            "data": "$[{'image': i, 'label': l} for i, l in zip(@images[:2], @labels[:2])]",
            "transform": "@train#preprocessing",
            "progress": False,
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@train#dataset", "batch_size": 2, "shuffle": True},
        "inferer": {"_target_": "SimpleInferer"},
        "handlers": [
            {
                "_target_": "ValidationHandler",
                "validator": "@validate#evaluator",
                "epoch_level": True,
                "interval": "@val_interval",
            }
        ],
        "trainer": {
            "_target_": "SupervisedTrainer",
            "max_epochs": 2,
            "device": "@device",
            "train_data_loader": "@train#dataloader",
            "network": "@network",
            "loss_function": "@loss",
            "optimizer": "@optimizer",
            "inferer": "@train#inferer",
            "train_handlers": "@train#handlers",
        },
    },
    "validate": {
        "preprocessing": {
            "_target_": "LoadImaged",
            "keys": ["image", "label"],
            "ensure_channel_first": True,
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "softmax": True},
                {"_target_": "AsDiscreted", "keys": ["pred", "label"], "argmax": [True, False], "to_onehot": 2},
            ],
        },
        "dataset": {
            "_target_": "CacheDataset",
            "data": "$[{'image': i, 'label': l} for i, l in zip(@images[2:], @labels[2:])]",
            "transform": "@validate#preprocessing",
            "progress": False,
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@validate#dataset", "batch_size": 2},
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [8, 8, 8], "sw_batch_size": 3, "overlap": 0.25},
        "key_metric": {
            "val_mean_dice": {
                "_target_": "MeanDice",
                "include_background": False,
                "output_transform": "$monai.handlers.from_engine(['pred', 'label'])",
            }
        },
        "handlers": [
            {
                "_target_": "CheckpointSaver",
                "save_dir": "@ckpt_dir",
                "save_dict": {"model": "@network"},
                "save_key_metric": True,
                "key_metric_filename": "model.pt",
            }
        ],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@validate#dataloader",
            "network": "@network",
            "inferer": "@validate#inferer",
            "postprocessing": "@validate#postprocessing",
            "key_val_metric": "@validate#key_metric",
            "val_handlers": "@validate#handlers",
        },
    },
    "initialize": ["$monai.utils.set_determinism(seed=123)"],
    "run": ["$@train#trainer.run()"],
}

EVALUATE = {
    "validate#handlers": [
        {
            "_target_": "CheckpointLoader",
            "load_path": "$@ckpt_dir + '/model.pt'",
            "load_dict": {"model": "@network"},
        },
        {"_target_": "MetricsSaver", "save_dir": "@output_dir", "metrics": ["val_mean_dice"], "metric_details": ["*"]},
    ],
    "initialize": ["$setattr(torch.backends.cudnn, 'benchmark', True)"],
    "run": ["$@validate#evaluator.run()"],
}

INFERENCE = {key: TRAIN[key] for key in ("imports", "bundle_root", "output_dir", "dataset_dir", "device")} | {
    "datalist": "$list(sorted(glob.glob(@dataset_dir + '/imagesTr/*.nii.gz')))",
    "network_def": TRAIN["network_def"],
    "network": "$@network_def.to(@device)",
    "preprocessing": {"_target_": "LoadImaged", "keys": "image", "ensure_channel_first": True},
    "dataset": {
        "_target_": "Dataset",
        "data": "$[{'image': i} for i in @datalist]",
        "transform": "@preprocessing",
    },
    "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1},
    "inferer": TRAIN["validate"]["inferer"],
    "postprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "Activationsd", "keys": "pred", "softmax": True},
            {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
            {
                "_target_": "SaveImaged",
                "keys": "pred",
                "meta_keys": "pred_meta_dict",
                "output_dir": "@output_dir",
                "print_log": False,
            },
        ],
    },
    "handlers": [
        {
            "_target_": "CheckpointLoader",
            "load_path": "$@bundle_root + '/models/model.pt'",
            "load_dict": {"model": "@network"},
        }
    ],
    "evaluator": {
        "_target_": "SupervisedEvaluator",
        "device": "@device",
        "val_data_loader": "@dataloader",
        "network": "@network",
        "inferer": "@inferer",
        "postprocessing": "@postprocessing",
        "val_handlers": "@handlers",
    },
    "run": ["$@evaluator.run()"],
}

BUNDLE_CONFIGS = {"train": TRAIN, "evaluate": EVALUATE, "inference": INFERENCE}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for i in range(7):
        label = np.zeros((12, 10, 8), dtype=np.uint8)
        label[2 + i % 3 : 8, 2:7, 2:6] = 1
        image = (label + random.normal(0, 0.1 * (i + 1), label.shape)).astype(np.float32)
        for kind, array in (("images", image), ("labels", label)):
            path = folder / f"{kind}Tr" / f"case_{i}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            nibabel.Nifti1Image(array, np.eye(4)).to_filename(path)
    return folder


@pytest.fixture
def bundle(tmp_path) -> Path:
    root = tmp_path / "theirs"
    (root / "configs").mkdir(parents=True)
    (root / "models").mkdir()
    for name, content in BUNDLE_CONFIGS.items():
        (root / "configs" / f"{name}.json").write_text(json.dumps(content, indent=4))
    torch.manual_seed(0)
    network = UNet(3, 1, 2, channels=(4, 8), strides=(2,), norm="batch", dropout=0.1)
    torch.save({"model": network.state_dict()}, root / "models" / "model.pt")
    return root


def run(bundle: Path, data: Path, theirs: list[str], ours: list[str], **overrides) -> None:
    files = [str(bundle / "configs" / f"{name}.json") for name in theirs] + [str(CONFIGS / name) for name in ours]
    run_bundle(config_file=files, logging_file=False, bundle_root=str(bundle), dataset_dir=str(data), **overrides)


def content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def names(ids) -> list[str]:
    return [Path(id).name for id in ids]


FIVE = [f"case_{i}.nii.gz" for i in range(2, 7)]


def test_scores_of_a_foreign_evaluation(bundle, data, tmp_path):
    run(bundle, data, ["train", "evaluate"], [], output_dir=str(tmp_path / "alone"))
    configs = content(bundle)
    run(
        bundle, data, ["train", "evaluate"], ["handlers/uncertainty.yaml"],
        output_dir=str(tmp_path / "with"), scores_file=str(tmp_path / "scores.json"), measure="margin",
    )  # fmt: skip
    assert content(bundle) == configs
    assert content(tmp_path / "with") == content(tmp_path / "alone") != {}
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert names(scores["ids"]) == FIVE
    assert all(Path(id).is_file() for id in scores["ids"])
    np.testing.assert_allclose(scores["scores"]["margin"], by_hand(bundle, data, "margin"), rtol=1e-5)


def by_hand(bundle: Path, data: Path, measure: str) -> np.ndarray:
    """The scores of the evaluator that the bundle builds, with a handler attached in Python."""
    files = [str(bundle / "configs" / f"{name}.json") for name in ("train", "evaluate")]
    workflow = ConfigWorkflow(
        files, workflow_type="train", logging_file=False, bundle_root=str(bundle), dataset_dir=str(data)
    )
    workflow.initialize()
    handler = UncertaintyHandler(measure)
    handler.attach(workflow.evaluator)
    workflow.run()
    return handler.scores[measure]


def test_a_query_from_a_foreign_evaluation(bundle, data, tmp_path):
    configs = content(bundle)
    labeled = [str(data / "imagesTr" / name) for name in FIVE[:2]]
    run(
        bundle, data, ["train", "evaluate"], ["handlers/query.yaml"],
        output_dir=str(tmp_path / "eval"), query_file=str(tmp_path / "query.json"), budget=2, labeled=labeled,
    )  # fmt: skip
    query = Query.from_json(json.loads((tmp_path / "query.json").read_text()))
    scores = by_hand(bundle, data, "entropy")
    assert names(query.ids) == [FIVE[i] for i in np.argsort(-scores[2:])[:2] + 2]
    assert query.strategy == "entropy"
    assert {k: v for k, v in content(bundle).items() if not k.startswith("eval")} == configs


@pytest.mark.parametrize("strategy", ["random", "selective_bald"])
def test_another_strategy_beside_scores_and_embeddings(bundle, data, tmp_path, strategy):
    ours = [
        "handlers/uncertainty.yaml",
        "handlers/query.yaml",
        "handlers/embedding.yaml",
        f"strategies/{strategy}.yaml",
    ]
    run(
        bundle, data, ["train", "evaluate"], ours, output_dir=str(tmp_path / "eval"), budget=4,
        layer="model.1.submodule", query_file=str(tmp_path / "query.json"),
        scores_file=str(tmp_path / "scores.json"), embeddings_file=str(tmp_path / "embeddings.npz"),
    )  # fmt: skip
    query = json.loads((tmp_path / "query.json").read_text())
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert len({item["id"] for item in query["items"]} & set(scores["ids"])) == 4
    np.testing.assert_allclose(scores["scores"]["entropy"], by_hand(bundle, data, "entropy"), rtol=1e-5)
    with np.load(tmp_path / "embeddings.npz") as file:
        assert file["ids"].tolist() == scores["ids"]
        assert file["embeddings"].shape == (5, 8)


def test_a_query_after_each_validation_of_a_foreign_training(bundle, data, tmp_path):
    (bundle / "models" / "model.pt").unlink()
    query_file = tmp_path / "query.json"
    run(bundle, data, ["train"], ["handlers/query.yaml"], budget=3, query_file=str(query_file))
    assert len(json.loads(query_file.read_text())["items"]) == 3
    assert (bundle / "models" / "model.pt").is_file()


def test_a_foreign_inference(bundle, data, tmp_path):
    run(
        bundle, data, ["inference"], ["handlers/query.yaml", "handlers/inference.yaml"], budget=7,
        output_dir=str(tmp_path / "eval"), query_file=str(tmp_path / "query.json"),
    )  # fmt: skip
    query = json.loads((tmp_path / "query.json").read_text())
    assert sorted(names(item["id"] for item in query["items"])) == ["case_0.nii.gz", "case_1.nii.gz", *FIVE]
    assert len(list((tmp_path / "eval").rglob("*_trans.nii.gz"))) == 7


def test_an_activation_that_nothing_tells_is_asked_for(bundle, data, tmp_path):
    with pytest.raises(RuntimeError) as caught:
        run(
            bundle, data, ["train", "evaluate"], ["handlers/uncertainty.yaml"],
            **{"validate#postprocessing": {"_target_": "Identityd", "keys": "pred"}},
        )  # fmt: skip
    assert "activation None is none of softmax, sigmoid, multilabel, none" in str(caught.value.__cause__)
    run(
        bundle, data, ["train", "evaluate"], ["handlers/uncertainty.yaml"],
        output_dir=str(tmp_path / "eval"), scores_file=str(tmp_path / "scores.json"), scoring_activation="softmax",
        **{"validate#postprocessing": {"_target_": "AsDiscreted", "keys": ["pred", "label"], "to_onehot": 2,
                                       "argmax": [True, False]}},
    )  # fmt: skip
    scores = json.loads((tmp_path / "scores.json").read_text())["scores"]["entropy"]
    np.testing.assert_allclose(scores, by_hand(bundle, data, "entropy"), rtol=1e-5)
