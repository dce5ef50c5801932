# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the Model Zoo asks of a bundle. benchmarks/zoo_verifier.py runs the zoo's own checks, on a copy of it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import monai.bundle
import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser, ConfigWorkflow

import monai_al
from monai_al.bundle import TrainingConfig

ROOT = Path(__file__).resolve().parents[2]
BUNDLES = sorted(path.parents[1] for path in ROOT.glob("bundles/*/configs/metadata.json"))
SECTIONS = [
    *("Authors", "Tags", "Model Description", "Data", "Performance", "Additional Usage Steps", "System Configuration"),
    *("Limitations", "References", "License"),
]
DATA_SETS = yaml.safe_load((ROOT / "bundle_sources" / "data_sets.yaml").read_text(encoding="utf-8"))
SPELLED = {  # how the docs write of a data set, where it is not by its name
    "ACDC scribbles": r"experts' scribbles",
    "BraTS 2019": r"BraTS2019",
    "DAVIS 2016": r"DAVIS",
    "LGG FLAIR": r"LGG",
    "MS-CMR": r"MS-?CMR",
    "Spleen": r"Task09_Spleen|datasets/spleen",
}
SMALL = {"patients": 6, "volumes_per_patient": 1, "shape": [32, 32, 6]}  # a phantom
ONE_NOW = [pytest.param(path, marks=() if path == BUNDLES[0] else pytest.mark.nightly) for path in BUNDLES]

every_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
one_now = pytest.mark.parametrize("bundle", ONE_NOW, ids=lambda path: path.name)


def read(bundle: Path, name: str) -> str:
    return (bundle / name).read_text(encoding="utf-8")


def metadata_of(bundle: Path) -> dict:
    return json.loads(read(bundle, "configs/metadata.json"))


@every_bundle
def test_files(bundle):
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z][a-z0-9]*)+", bundle.name), "lower case, words, no version"
    names = {path.relative_to(bundle).as_posix(): path for path in bundle.rglob("*") if path.is_file()}
    committed = {name: path for name, path in names.items() if not re.match(r"(models|eval)/|.*__pycache__/", name)}
    assert committed.keys() >= {
        "LICENSE", "configs/inference.yaml", "configs/metadata.json", "docs/README.md", "docs/data_license.txt"
    }  # fmt: skip
    assert {Path(name).suffix for name in committed} <= {"", ".conf", ".json", ".md", ".png", ".txt", ".yaml"}
    assert max(path.stat().st_size for path in committed.values()) < 1024**2
    for name, path in committed.items():
        if path.suffix != ".png":
            text = path.read_text(encoding="utf-8")
            assert text.endswith("\n"), name
            assert not text.endswith("\n\n"), name
            assert not re.search(r"[ \t]$", text, re.MULTILINE), f"{name} has spaces at the end of a line"


@every_bundle
def test_readme_has_the_sections(bundle):
    text = re.sub(r"^```.*?^```", "", read(bundle, "docs/README.md"), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert re.findall(r"^# (.*)$", text, re.MULTILINE) == text.splitlines()[0].split("# ")[1:]
    parts = re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]
    assert all(part.strip() for part in parts)
    assert "### Preprocessing" in parts[SECTIONS.index("Data")]


@every_bundle
def test_data_license_names_the_data_sets_of_the_docs(bundle, script):
    licenses = script("bundle_sources/make_data_licenses.py").licenses(ROOT)
    assert read(bundle, "docs/data_license.txt") == licenses[bundle / "docs" / "data_license.txt"], "run 'make bundles'"
    text = read(bundle, "docs/README.md")
    told = {name for name in DATA_SETS["data_sets"] if re.search(SPELLED.get(name, name), text, re.IGNORECASE)}
    assert told == set(DATA_SETS["bundles"][bundle.name])


@every_bundle
def test_metadata_is_written_as_the_zoo_writes_json(bundle):
    assert read(bundle, "configs/metadata.json") == json.dumps(metadata_of(bundle), indent=4) + "\n"


@every_bundle
def test_the_version_is_the_newest_of_the_changelog(bundle):
    metadata = metadata_of(bundle)
    newest = max(metadata["changelog"], key=lambda version: [int(number) for number in version.split(".")])
    assert metadata["version"] == newest == list(metadata["changelog"])[-1]


@every_bundle
def test_required_versions_are_those_that_are_tested(bundle):
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().lower().splitlines() if "==" in line
    )
    tested = {**pins, "monai_al": monai_al.__version__}
    metadata = metadata_of(bundle)
    named = {
        "monai": metadata["monai_version"],
        "torch": metadata["pytorch_version"],
        "numpy": metadata["numpy_version"],
    }
    named |= {name.lower(): version for name, version in metadata["required_packages_version"].items()}
    assert named == {name: tested[name] for name in named}


@every_bundle
def test_scores_are_those_of_the_docs(bundle):
    scores, text = metadata_of(bundle)["eval_metrics"], read(bundle, "docs/README.md")
    assert f"**3D Dice {scores['phantom_mean_dice']:.3f}**" in text
    assert 0.3 < scores["phantom_mean_dice"] < 1, "the network learns"
    for score in scores["mean_dice"]:
        assert score.keys() == {"data", "labeled", "score"}
        assert f"{score['score']:.3f}" in text
        assert score["data"].lower() in text.lower()
        (number,) = re.findall(r"^(?:all )?(\d+)", score["labeled"])
        assert re.search(rf"\b{number}\b", text)


@every_bundle
def test_metadata_tells_the_images_that_the_network_gets(bundle, tmp_path):
    image = metadata_of(bundle)["network_data_format"]["inputs"]["image"]
    assert (image["format"] == "hounsfield") == (image["modality"] == "CT")
    overrides = {f"phantom#{key}": value for key, value in SMALL.items()}
    pool, cache = training_of(bundle, {**overrides, "cache_dir": str(tmp_path), "progress": False}).resolve(
        "pool", "cache"
    )
    seen = np.asarray(cache.get(pool[0]).image)
    assert seen.shape[1] == image["num_channels"] == len(image["channel_def"])
    low, high = image["value_range"]
    assert low <= seen.min() < low + 0.05
    assert high - 0.05 < seen.max() <= high
    assert not image["is_patch_data"]


@every_bundle
def test_metadata_tells_the_channels_of_the_network(bundle):
    output = metadata_of(bundle)["network_data_format"]["outputs"]["pred"]
    classes = ConfigParser.load_config_file(str(bundle / "configs" / "train.yaml"))["phantom"]["classes"]
    assert [output["channel_def"][str(number)] for number in range(output["num_channels"])] == classes
    assert len(output["channel_def"]) == len(classes)
    assert output["value_range"] == []  # logits


@every_bundle
def test_metadata_tells_the_shapes_that_the_network_takes(bundle):
    shapes = metadata_of(bundle)["network_data_format"]
    (shape,) = {tuple(tensors["spatial_shape"]) for side in shapes.values() for tensors in side.values()}
    step = int(re.fullmatch(r"(\d+)\*n", shape[0])[1])
    assert shape == (f"{step}*n", f"{step}*n")
    channels = shapes["outputs"]["pred"]["num_channels"]
    (network,) = training_of(bundle, {"out_channels": channels}).resolve("network_def")
    with torch.no_grad():
        for rows, columns in ((step, step), (3 * step, 2 * step)):
            assert network.eval()(torch.rand(1, 1, rows, columns)).shape == (1, channels, rows, columns)


def training_of(bundle: Path, overrides: dict) -> TrainingConfig:
    config = ConfigParser.load_config_file(str(bundle / "configs" / "train.yaml"))
    return TrainingConfig(config, overrides, root=bundle)


@pytest.fixture
def released(bundle, tmp_path, monkeypatch):
    """A bundle with weights, in the folder where the zoo would have it; what runs there is written there."""
    root = Path(shutil.copytree(bundle, tmp_path / "models" / bundle.name))
    channels = metadata_of(bundle)["network_data_format"]["outputs"]["pred"]["num_channels"]
    (network,) = training_of(bundle, {"out_channels": channels}).resolve("network_def")
    (root / "models").mkdir(exist_ok=True)
    torch.save(network.state_dict(), root / "models" / "model.pt")
    monkeypatch.chdir(tmp_path)
    return root, network.eval()


@one_now
def test_a_released_network_is_verified_and_exported(released, bundle, tmp_path):
    root, network = released
    files = {
        "meta_file": str(root / "configs" / "metadata.json"),
        "config_file": str(root / "configs" / "inference.yaml"),
    }
    monai.bundle.verify_net_in_out(net_id="network_def", device="cpu", bundle_root=str(root), **files)
    weights, exported = str(root / "models" / "model.pt"), str(tmp_path / "model.ts")
    monai.bundle.ckpt_export(net_id="network_def", filepath=exported, ckpt_file=weights, bundle_root=str(root), **files)
    image = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.load(exported).eval()(image), network(image))


@one_now
def test_its_configs_are_standard_workflows_that_run(released, bundle, tmp_path):
    root, _ = released
    phantom = {**ConfigParser.load_config_file(str(bundle / "configs" / "train.yaml"))["phantom"], **SMALL}
    small = {"progress": False, "device": "cpu", "cache_dir": str(tmp_path / "cache"), "phantom": phantom}
    of_training = {"steps": 1, "batch_size": 2, "ckpt_dir": str(root / "models")}
    for config, kind, more in (("train", "train", of_training), ("inference", "infer", {}), ("evaluate", "infer", {})):
        workflow = ConfigWorkflow(
            str(root / "configs" / f"{config}.yaml"),
            meta_file=str(root / "configs" / "metadata.json"),
            logging_file=str(root / "configs" / "logging.conf"),
            workflow_type=kind,
            bundle_root=str(root),
            output_dir=str(tmp_path / config),
            **small,
            **more,
        )
        workflow.initialize()
        assert workflow.check_properties() == []
        workflow.run()
        workflow.finalize()
    assert len(list((tmp_path / "inference").rglob("*_seg.nii.gz"))) > 0
    assert (tmp_path / "evaluate" / "metrics.json").is_file()
