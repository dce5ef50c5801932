# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Training bundles of others, as the tests of active learning use them: ordinary, complete, and ignorant of us."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import shutil
import sys
from pathlib import Path

import jsonschema
import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow, create_workflow, verify_metadata, verify_net_in_out
from PIL import Image

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = ROOT / "tests" / "foreign_bundles"
CONFIGS = {"hippocampus_3d": "train.json", "skin_lesion_2d": "train.yaml", "cardiac_multilabel": "train.json"}
ONE_EPOCH = {
    "hippocampus_3d": {"train#trainer#max_epochs": 1, "val_interval": 1},
    "skin_lesion_2d": {"epochs": 1},
    "cardiac_multilabel": {"epochs": 1, "val_size": 2},
}
ITEMS = {"hippocampus_3d": (2, 10), "skin_lesion_2d": (4, 1), "cardiac_multilabel": (2, 2)}
PREDICTED = {"hippocampus_3d": "_seg.nii.gz", "skin_lesion_2d": "_seg.png", "cardiac_multilabel": "_seg.nii.gz"}
PYTHON_FILES = [
    "LICENSE", "configs/hyperparameters.yaml", "configs/metadata.json", "docs/README.md", "scripts/__init__.py",
    "scripts/parts.py", "scripts/pythonic.py", "scripts/workflow.py",
]  # fmt: skip
FILES = ["LICENSE", "configs/evaluate.json", "configs/inference.json", "configs/metadata.json", "docs/README.md"]
OFFICIAL = ROOT.parent / "shared" / "reference" / "meta_schema_20240725.json"
OFFICIAL_MD5 = "06954cad2cc5d3784e72077ac76f0fc8"
STANDARD_IDS = [
    "imports", "bundle_root", "ckpt_dir", "output_dir", "dataset_dir", "images", "labels", "val_interval", "device",
    "network_def", "network", "loss", "optimizer", "initialize", "run",
    "train#deterministic_transforms", "train#random_transforms", "train#preprocessing", "train#dataset#data",
    "train#dataloader", "train#inferer", "train#postprocessing", "train#handlers", "train#key_metric",
    "train#trainer#max_epochs",
    "validate#preprocessing", "validate#dataset#data", "validate#dataloader", "validate#inferer",
    "validate#postprocessing", "validate#handlers", "validate#key_metric", "validate#additional_metrics",
    "validate#evaluator",
]  # fmt: skip

foreign = pytest.mark.parametrize("name", CONFIGS)


def config(name, file=None):
    return FOREIGN / name / "configs" / (file or CONFIGS[name])


def metadata(name):
    return json.loads(config(name, "metadata.json").read_text(encoding="utf-8"))


# -- made-up data in the layout that each bundle expects ---------------------------------------------------------------


def write_volume(path, array, affine=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine), path)


def labels_of(shape, classes):
    """Boxes inside each other: 1 around 2 around 3, and so on."""
    label = np.zeros(shape, np.uint8)
    for number in range(1, classes + 1):
        label[tuple(slice(n * number // 8, n - n * number // 8) for n in shape)] = number
    return label


def write_hippocampus(root, rng):
    for number in range(13):
        shape = (34 + number % 2, 40, 28)
        label = labels_of(shape, 2)
        image = (label * 100 + rng.integers(0, 40, shape)).astype(np.int16)
        folder = "Ts" if number == 12 else "Tr"
        write_volume(root / f"images{folder}" / f"hippocampus_{number:03}.nii.gz", image)
        write_volume(root / f"labels{folder}" / f"hippocampus_{number:03}.nii.gz", label)


def write_skin(root, rng):
    for number in range(6):
        label = labels_of((80, 96), 1)
        image = (np.stack([label] * 3, -1) * 120 + rng.integers(0, 60, (80, 96, 3))).astype(np.uint8)
        folder = root / ("ISIC-2017_Test_v2_Data" if number == 5 else "ISIC-2017_Training_Data")
        masks = root / "ISIC-2017_Training_Part1_GroundTruth"
        for made in (folder, masks):
            made.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"ISIC_{number:07}.jpg")
        if number < 5:
            Image.fromarray(label * 255).save(masks / f"ISIC_{number:07}_segmentation.png")


def write_cardiac(root, rng):
    affine = np.diag([-1.5, -1.5, 10.0, 1.0])
    for patient in range(3):
        part = "testing" if patient == 2 else "training"
        for frame in (1, 12):
            label = labels_of((120, 100, 9), 3)
            stem = root / "database" / part / f"patient{patient:03}" / f"patient{patient:03}_frame{frame:02}"
            write_volume(Path(f"{stem}.nii.gz"), (label * 200 + rng.integers(0, 99, label.shape)).astype("i2"), affine)
            write_volume(Path(f"{stem}_gt.nii.gz"), label, affine)
            write_volume(Path(f"{stem}_scribble.nii.gz"), label, affine)  # lies beside them and is to be left alone


WRITE = {"hippocampus_3d": write_hippocampus, "skin_lesion_2d": write_skin, "cardiac_multilabel": write_cardiac}
WRITE |= {"python_workflow": write_hippocampus}


@pytest.fixture
def workflow(tmp_path):
    """Builds a workflow of a bundle whose data and results lie in a temporary folder."""
    made = []

    def build(name, *files, **overrides):
        data = tmp_path / name
        if not data.exists():
            WRITE[name](data, np.random.default_rng(0))
        folders = {"ckpt_dir": str(tmp_path / "models"), "output_dir": str(tmp_path / "eval"), "device": "cpu"}
        kind = "inference" if files == ("inference.json",) else "train"
        made.append(
            ConfigWorkflow(
                [str(config(name, file)) for file in files or (None,)],
                logging_file=False,
                workflow_type=kind,
                bundle_root=str(FOREIGN / name),
                dataset_dir=str(data),
                **folders,
                **(ONE_EPOCH[name] if kind == "train" else {}),
                **overrides,
            )
        )
        return made[-1]

    yield build
    for one in made:
        for id in ("train::handlers", "validate::handlers"):
            for handler in one.parser.ref_resolver.resolved_content.get(id) or []:
                if hasattr(handler, "close"):
                    handler.close()


# -- what they are -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*CONFIGS, "python_workflow"])
def test_they_look_like_bundles_and_know_nothing_of_us(name):
    files = sorted(path for path in (FOREIGN / name).rglob("*") if path.is_file() and path.suffix != ".pyc")
    listed = [*FILES, f"configs/{CONFIGS[name]}"] if name in CONFIGS else PYTHON_FILES
    assert [path.relative_to(FOREIGN / name).as_posix() for path in files] == sorted(listed)
    assert [path for path in files if "monai_al" in path.read_text(encoding="utf-8").lower()] == []
    assert "Apache License" in (FOREIGN / name / "LICENSE").read_text(encoding="utf-8")
    assert (FOREIGN / name / "docs" / "README.md").read_text(encoding="utf-8").startswith("# ")


@foreign
def test_standard_ids(name):
    parser = ConfigParser(ConfigParser.load_config_file(str(config(name))))
    assert [id for id in STANDARD_IDS if id not in parser] == []
    assert parser["initialize"][0] == "$monai.utils.set_determinism(seed=123)"


@pytest.mark.parametrize("name", [*CONFIGS, "python_workflow"])
def test_metadata(name):
    schema = json.loads(Path(__file__).with_name("metadata_schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(metadata(name), schema, cls=jsonschema.Draft201909Validator)
    assert metadata(name)["version"] in metadata(name)["changelog"]


@foreign
@pytest.mark.skipif(not OFFICIAL.exists(), reason="the official metadata schema file is not there")
def test_metadata_passes_the_official_check(name):
    assert hashlib.md5(OFFICIAL.read_bytes()).hexdigest() == OFFICIAL_MD5
    verify_metadata(str(config(name, "metadata.json")), filepath=str(OFFICIAL), hash_val=OFFICIAL_MD5)


@foreign
@pytest.mark.parametrize("kind", ["train", "inference"])
def test_the_network_takes_and_gives_what_the_metadata_says(name, kind):
    file = config(name, "inference.json" if kind == "inference" else None)
    verify_net_in_out(
        "network_def", meta_file=str(config(name, "metadata.json")), config_file=str(file), device="cpu", p=1, n=4
    )


def test_the_labels_of_the_cardiac_bundle_overlap():
    parser = ConfigParser(ConfigParser.load_config_file(str(config("cardiac_multilabel"))))
    entry = next(t for t in parser["train#deterministic_transforms"] if "MultiChannel" in t["_target_"])
    convert = ConfigParser(entry).get_parsed_content("")
    regions = convert({"label": torch.tensor([0, 1, 2, 3]).reshape(1, 4, 1, 1)})["label"].reshape(3, 4)
    assert regions.int().tolist() == [[0, 1, 0, 1], [0, 1, 1, 1], [0, 0, 0, 1]]


# -- that they work ----------------------------------------------------------------------------------------------------


@foreign
def test_the_workflow_has_every_standard_property(name, workflow):
    training = workflow(name)
    training.initialize()
    assert training.check_properties() == []
    assert (len(training.train_dataset_data), len(training.val_dataset_data)) == ITEMS[name]
    assert {tuple(entry) for entry in training.train_dataset_data} == {("image", "label")}
    names = {Path(entry[key]).name for entry in training.train_dataset_data for key in entry}
    assert len(names) == ITEMS[name][0] * (1 if name == "hippocampus_3d" else 2)  # images and labels, no other file


@foreign
def test_one_epoch_of_training_then_evaluation_and_inference(name, workflow, tmp_path):
    training = workflow(name)
    training.initialize()
    before = {key: value.clone() for key, value in training.network_def.state_dict().items()}
    training.run()
    assert any(not torch.equal(value, before[key]) for key, value in training.network_def.state_dict().items())
    metrics = training.parser.get_parsed_content("validate#evaluator").state.metrics
    assert all(np.isfinite(value) for value in metrics.values())
    assert set(torch.load(tmp_path / "models" / "model.pt", weights_only=True)) == set(before)

    evaluation = workflow(name, None, "evaluate.json")
    evaluation.initialize()
    evaluation.run()
    with (tmp_path / "eval" / "metrics.csv").open(encoding="utf-8") as file:
        assert {row[0] for row in csv.reader(file)} == set(metrics)

    inference = workflow(name, "inference.json")
    inference.initialize()
    inference.run()
    predictions = sorted((tmp_path / "eval").rglob(f"*{PREDICTED[name]}"))
    assert len(predictions) == (2 if name == "cardiac_multilabel" else 1)
    for path in predictions:
        stored = next((tmp_path / name).rglob(path.name.replace(PREDICTED[name], ".[jn]*")))
        read = (lambda p: nib.load(p).shape) if path.suffix == ".gz" else (lambda p: Image.open(p).size)
        assert read(path) == read(stored)  # on the stored grid


@pytest.mark.parametrize("workflow_name", ["scripts.workflow.HippocampusTraining", "scripts.pythonic.PythonicTraining"])
def test_one_epoch_of_a_workflow_in_python(workflow_name, tmp_path, monkeypatch):
    """As MONAI's command makes it, started in the folder of the bundle."""
    write_hippocampus(tmp_path / "data", np.random.default_rng(0))
    shutil.copytree(FOREIGN / "python_workflow", tmp_path / "bundle")
    monkeypatch.chdir(tmp_path / "bundle")
    monkeypatch.syspath_prepend(tmp_path / "bundle")
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    forget_scripts()
    try:
        training = create_workflow(workflow_name)
        training.dataset_dir, training.max_epochs = str(tmp_path / "data"), 1
        (tmp_path / "bundle" / "models").mkdir()
        training.initialize()
        assert (len(training.train_dataset_data), len(training.val_dataset_data)) == (2, 10)
        before = {key: value.clone() for key, value in training.network_def.state_dict().items()}
        training.run()
        training.finalize()
        assert any(not torch.equal(value, before[key]) for key, value in training.network_def.state_dict().items())
    finally:
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)
        forget_scripts()


def forget_scripts():
    for name in [name for name in sys.modules if name.split(".")[0] == "scripts"]:
        del sys.modules[name]
