# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs of foreign bundles whose entries are not as one wishes: labels missing, keys of their own, arrays, patients."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import monai.bundle
import numpy as np
import pytest
from PIL import Image

from monai_al.annotators import Annotator, Answer, Folder
from monai_al.assets import find_asset
from monai_al.engines import ActiveLearner, TrainedRun
from monai_al.engines.label_import import import_labels
from monai_al.engines.run_report import write_report
from monai_al.passes import evaluate_items
from monai_al.records import DataError, Label, RunFolderError
from monai_al.sources.entry_source import EntrySource
from monai_al.strategies import Uncertainty

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE = (16, 16)


def masks(n):
    found = np.zeros((n, *SHAPE), np.uint8)
    for number, mask in enumerate(found):
        mask[2 + number % 6 : 9 + number % 6, 3:10] = 1
    return found


def write_pictures(folder, n, *, missing=()):
    for number, mask in enumerate(masks(n)):
        noise = np.random.default_rng(number).integers(0, 90, SHAPE)
        for name, array in (("images", mask * 120 + noise), ("labels", mask * 255)):
            path = folder / name / f"{name[:-1]}_{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if name == "images" or number not in missing:
                Image.fromarray(array.astype(np.uint8)).save(path)


def config(datalist, keys=("image", "label"), *, read=True, **more):
    """A small training bundle whose first two entries are its validation data."""
    keys = list(keys)
    transforms = [
        *([{"_target_": "LoadImaged", "keys": keys}] if read else []),
        {"_target_": "EnsureChannelFirstd", "keys": keys, "channel_dim": "no_channel"},
        {"_target_": "ScaleIntensityd", "keys": keys},
        {"_target_": "EnsureTyped", "keys": keys},
    ]
    by_key = {} if keys == ["image", "label"] else {"prepare_batch": "@batches"}
    return {
        "imports": ["$import glob", "$import monai.data", "$import numpy"],
        "batches": {"_target_": "monai.engines.PrepareBatchExtraInput", "extra_keys": []},
        "dataset_dir": "/nowhere",
        **more,
        "datalist": datalist,
        "network_def": {
            "_target_": "UNet", "spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [2, 4],
            "strides": [2], "norm": "instance",
        },
        "optimizer": {"_target_": "torch.optim.Adam", "params": "$@network_def.parameters()", "lr": 0.01},
        "train": {
            "preprocessing": {"_target_": "Compose", "transforms": transforms},
            "dataset": {"_target_": "Dataset", "data": "$@datalist[2:]", "transform": "@train#preprocessing"},
            "dataloader": {"_target_": "DataLoader", "dataset": "@train#dataset", "batch_size": 2, "num_workers": 0},
            "inferer": {"_target_": "SimpleInferer"},
            "trainer": {
                "_target_": "SupervisedTrainer", "max_epochs": 1, "device": "cpu", "network": "@network_def",
                "train_data_loader": "@train#dataloader", "optimizer": "@optimizer", "inferer": "@train#inferer",
                "loss_function": {"_target_": "DiceLoss", "sigmoid": True}, "train_handlers": [
                    {"_target_": "ValidationHandler", "validator": "@validate#evaluator", "interval": 1}
                ], **by_key,
            },
        },
        "validate": {
            "preprocessing": "%train#preprocessing",
            "dataset": {"_target_": "Dataset", "data": "$@datalist[:2]", "transform": "@validate#preprocessing"},
            "dataloader": {"_target_": "DataLoader", "dataset": "@validate#dataset", "batch_size": 1},
            "inferer": {"_target_": "SimpleInferer"},
            "postprocessing": {"_target_": "Compose", "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
                {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
            ]},
            "evaluator": {
                "_target_": "SupervisedEvaluator", "device": "cpu", "val_data_loader": "@validate#dataloader",
                "network": "@network_def", "inferer": "@validate#inferer", "postprocessing": "@validate#postprocessing",
                **by_key,
            },
        },
        "initialize": ["$monai.utils.set_determinism(seed=1)"],
        "run": ["$@train#trainer.run()"],
    }  # fmt: skip


IMAGES = "$sorted(glob.glob(@dataset_dir + '/images/*.png'))"
LABELS = "$sorted(glob.glob(@dataset_dir + '/labels/*.png'))"
ZIPPED = "$[{'%s': i, '%s': l} for i, l in zip(@images, @labels)]"


@pytest.fixture
def bundle(tmp_path):
    def write(*arguments, **more):
        file = tmp_path / "bundle" / "configs" / "train.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(config(*arguments, **more)))
        return file

    return write


@pytest.fixture
def messages(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("monai_al"), "propagate", True)
    monkeypatch.setattr(logging.getLogger("monai_al"), "handlers", [])
    caplog.set_level(logging.INFO, "monai_al")
    return lambda: [record.getMessage() for record in caplog.records]


def learner(file, folder, dataset_dir=None, **settings):
    where = {} if dataset_dir is None else {"dataset_dir": str(dataset_dir)}
    settings = {"budget": 2, "rounds": 2, "progress": False, **settings}
    return ActiveLearner(file, Uncertainty("entropy"), folder, overrides=where, **settings)


def again(folder):
    """The scores of a run's last test, found anew from its own records."""
    run = TrainedRun(folder)
    assert isinstance(run.source, EntrySource)
    return evaluate_items(run.source, run.network(), run.source.data.part("test").items)["dice_3d"]


class Painter(Annotator):
    """Returns the truth of any image, as somebody would who paints it."""

    name = "painter"

    def __init__(self, folder):
        self.folder = folder

    def annotate(self, query, pool, work=None):
        labels = []
        for id in query.ids:
            number = int(Path(id).stem[-2:])
            path = Path(self.folder) / f"painted_{number:02}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(masks(number + 1)[number] * 255).save(path)
            labels.append(Label(id, where=str(path), coding="stored codes"))
        return Answer(tuple(labels))


def test_labels_that_are_missing(bundle, tmp_path, messages):
    """Two lists that a bundle pairs by position: what it trains and is tested on is paired by name."""
    write_pictures(tmp_path / "data", 9, missing=(4, 5))
    file = bundle(ZIPPED % ("image", "label"), images=IMAGES, labels=LABELS)
    found = learner(file, tmp_path / "run", tmp_path / "data", annotator=Painter(str(tmp_path / "painted")))
    found.run()
    assert any("3 pairs were wrong (image_04 was paired with label_06)" in text for text in messages())
    assert [item.id for item in found.test] == ["image_00.png", "image_01.png"]
    labels = {item.id[-6:-4]: item.label and item.label[-6:-4] for item in found.pool}
    assert labels.items() >= {"02": "02", "03": "03", "04": None, "05": None, "06": "06"}.items()
    assert found.folder.metrics(1)["labeled"] == 4
    assert again(tmp_path / "run") == found.folder.metrics(1)["dice_3d"]


@pytest.mark.parametrize("hidden", [False, True])
def test_a_list_to_test_on_that_is_paired_anew_has_any_id_or_none(hidden, bundle, tmp_path):
    write_pictures(tmp_path / "data", 9, missing=(4, 5))
    file = bundle(ZIPPED % ("image", "label"), images=IMAGES, labels=LABELS, val_interval=1)
    content = json.loads(file.read_text().replace("validate", "tests").replace("train#dataset", "train#items"))
    content["train"]["items"] = content["train"].pop("dataset")
    if hidden:
        loader = "$monai.data.DataLoader(monai.data.Dataset(@datalist[:2], @tests#preprocessing), batch_size=1)"
        content["tests"]["dataloader"] = loader
        content["tests"].pop("dataset")
    file.write_text(json.dumps(content))
    overrides = {"dataset_dir": str(tmp_path / "data"), "val_interval": 1}  # validates while it trains
    found = ActiveLearner(
        file, Uncertainty("entropy"), tmp_path / "run", overrides=overrides, budget=2, rounds=1, progress=False,
        annotator=Painter(str(tmp_path / "painted")),
    )  # fmt: skip
    found.run()
    assert found.training.ids["test_data"] == (None if hidden else "tests::dataset::data")
    assert again(tmp_path / "run") == found.folder.metrics(0)["dice_3d"]


def test_parts_that_were_named_are_those_of_a_run_that_is_read_again(bundle, tmp_path):
    """Two engines validate, and another list than the engine's is tested on."""
    write_pictures(tmp_path / "data", 9)
    file = bundle(ZIPPED % ("image", "label"), images=IMAGES, labels=LABELS)
    content = json.loads(file.read_text())
    content["held_out"] = "$@datalist[6:]"
    content["train"]["dataset"]["data"] = "$@datalist[2:6]"
    content["other"] = content["validate"]["evaluator"]
    handlers = content["train"]["trainer"]["train_handlers"]
    content["train"]["trainer"]["train_handlers"] = [*handlers, {**handlers[0], "validator": "@other"}]
    file.write_text(json.dumps(content))
    named = {"evaluator": "validate#evaluator", "test_data": "held_out"}
    found = learner(file, tmp_path / "run", tmp_path / "data", bundle_ids=named, rounds=1)
    found.run()
    run = TrainedRun(tmp_path / "run")
    assert [item.id for item in run.source.data.part("test")] == [f"image_0{n}.png" for n in (6, 7, 8)]
    assert again(tmp_path / "run") == found.folder.metrics(0)["dice_3d"]


def test_validation_during_training_sees_what_is_paired_anew(tmp_path):
    write_pictures(tmp_path, 9, missing=(1, 5))
    images, labels = ([str(path) for path in sorted((tmp_path / name).iterdir())] for name in ("images", "labels"))
    pairs = [{"image": image, "label": label} for image, label in zip(images, labels, strict=False)]
    data = EntrySource(pairs[:-2], pairs[-2:], preprocessing=[], others=[images, labels])
    assert [item.id for item in data.validation_items] == ["image_07.png", "image_08.png"]
    assert [entry["label"] for entry in data.entries(data.validation_items)] == labels[-2:]
    right = [{"image": image, "label": image} for image in images]
    assert not EntrySource(right[:-2], right[-2:], preprocessing=[]).validation_items  # the bundle's own list is right


def test_keys_and_patients_of_the_command_line(bundle, tmp_path):
    """They stand in the record, which reads the run again; others are another run."""
    write_pictures(tmp_path / "data", 8)
    file = bundle(ZIPPED % ("slide", "tissue"), ["slide", "tissue"], images=IMAGES, labels=LABELS)
    content = json.loads(file.read_text())
    content["batches"] = "$lambda batch, *_, **__: (batch['slide'], batch['tissue'])"
    file.write_text(json.dumps(content))
    options = {
        "training_config": str(file), "dataset_dir": str(tmp_path / "data"), "output_dir": str(tmp_path / "run"),
        "rounds": 1, "budget": 2, "threads": 1, "progress": False, "image_key": "slide", "label_key": "tissue",
        "patient": r"_0(\d)$",
    }  # fmt: skip
    own = str(find_asset("active_learning") / "configs" / "active_learning.yaml")
    monai.bundle.run(config_file=own, **options)
    record = json.loads((tmp_path / "run" / "run.json").read_text())["config"]["learner"]
    assert {key: record[key] for key in ("image_key", "label_key", "patient")} == {
        "image_key": "slide", "label_key": "tissue", "patient": r"_0(\d)$"
    }  # fmt: skip
    pool = json.loads((tmp_path / "run" / "pool.json").read_text())
    assert [item["patient"] for item in pool["items"]] == list("23456701")
    metrics = json.loads((tmp_path / "run" / "round_00" / "metrics.json").read_text())
    assert again(tmp_path / "run") == metrics["dice_3d"]
    assert "There are no pictures" not in write_report(tmp_path / "run", items=1, volumes=1, progress=False).read_text(
        encoding="utf-8"
    )
    said = {"image_key": "slide", "label_key": "tissue", "threads": 1, "rounds": 1}
    with pytest.raises(RunFolderError, match="learner#patient was"):
        learner(file, tmp_path / "run", tmp_path / "data", patient=r"(\d)$", **said).run()
    with pytest.raises(DataError, match=r"patient rule .* does not match 8 images"):
        learner(file, tmp_path / "run", tmp_path / "data", patient=r"x(\d)", **said).run()


@pytest.mark.parametrize("kind", ["NPZDictItemDataset", "Subset"])
def test_arrays(kind, bundle, tmp_path):
    """What needs no files works: oracle, training, scores, costs, and the report."""
    labels = masks(7)
    noise = np.random.default_rng(0).integers(0, 90, labels.shape)
    np.savez(tmp_path / "data.npz", image=labels * 120 + noise, label=labels)
    whole = "monai.data.NPZDictItemDataset(@dataset_dir + '/data.npz', {'image': 'image', 'label': 'label'})"
    parts = f"$list({whole})" if kind == "NPZDictItemDataset" else f"$torch.utils.data.Subset({whole}, range(7))"
    file = bundle(parts, read=False)
    if kind == "Subset":
        content = json.loads(file.read_text())
        content["imports"].append("$import torch.utils.data")
        for part, places in (("train", "range(2, 7)"), ("validate", "(0, 1)")):
            content[part]["dataset"]["data"] = f"$torch.utils.data.Subset(@datalist, {places})"
        file.write_text(json.dumps(content))
    found = learner(file, tmp_path / "run", tmp_path)
    found.run()
    assert found.folder.query(1).ids[0].startswith("train/000")
    metrics = found.folder.metrics(1)
    assert metrics["labeled"] == 4
    assert metrics["cost"]["models"]["slices"] == 4
    assert list(metrics["dice_3d"]["per_volume"]) == ["test/0000", "test/0001"]
    assert metrics["hd95_3d"]["spacing_is_placeholder"]
    assert all((tmp_path / "run" / name).stat().st_size < 20_000 for name in ("run.json", "pool.json"))
    assert again(tmp_path / "run") == metrics["dice_3d"]
    page = write_report(tmp_path / "run", items=1, volumes=1, progress=False).read_text(encoding="utf-8")
    assert "train/000" in page
    assert "There are no pictures" not in page
    with pytest.raises(DataError, match=r"images are arrays, such as train/0000, not files. Taking labels"):
        import_labels(tmp_path / "run", "somebody")
    with pytest.raises(DataError, match=r"images are arrays, such as train/0000, not files. Handing out work"):
        learner(file, tmp_path / "other", tmp_path, annotator=Folder()).run()
    assert not (tmp_path / "other").exists()
