# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Every bundle is whole: metadata, license and README, a loop whose network is exported, applied and evaluated."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import jsonschema
import monai.bundle
import nibabel as nib
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from monai_al.engines import TrainedRun

ROOT = Path(__file__).resolve().parents[2]
BUNDLES = sorted(path.parents[1] for path in ROOT.glob("bundles/*/configs/metadata.json"))
FOLDERS = sorted(path for path in ROOT.glob("bundles/*") if path.is_dir() and not path.name.startswith(("_", ".")))
ONE_NOW = [
    pytest.param(path, id=path.name, marks=() if path == BUNDLES[0] else pytest.mark.nightly) for path in BUNDLES
]
SCHEMA = json.loads(Path(__file__).with_name("metadata_schema.json").read_text(encoding="utf-8"))
OFFICIAL = ROOT.parent / "shared" / "reference" / "meta_schema_20240725.json"
OFFICIAL_MD5 = "06954cad2cc5d3784e72077ac76f0fc8"

# the smallest run; of these, a bundle gets what its training config declares, beside the common knobs
SMALL = {
    "phantom": {"patients": 8, "volumes_per_patient": 1, "shape": [32, 32, 6]}, "image_size": [32, 32],
    "channels": [4, 8], "steps": 2, "batch_size": 4, "device": "cpu", "progress": False,
}  # fmt: skip
SMALL_ENCODER = {"encoder_width": 0.125, "pretrain_epochs": 1, "tensorboard": False}
KNOBS = {"steps", "batch_size", "device", "progress"}

TENSOR = {
    "type": "image",
    "format": "magnitude",
    "num_channels": 1,
    "spatial_shape": ["16*n", 96],
    "dtype": "float32",
    "value_range": [],
}
COMPLETE = {
    "schema": "https://project-monai.github.io/schema/meta_schema_20240725.json",
    "version": "0.1.0",
    "changelog": {"0.1.0": "first version"},
    "monai_version": "1.6.1",
    "pytorch_version": "2.13.0",
    "numpy_version": "2.4.6",
    "required_packages_version": {"pytorch-ignite": "0.5.5"},
    "task": "segmentation",
    "description": "segments",
    "authors": "somebody",
    "copyright": "somebody",
    "network_data_format": {"inputs": {"image": TENSOR}, "outputs": {"pred": TENSOR}},
}


def complaints(metadata: dict) -> list[str]:
    """What is wrong with a bundle's metadata; the changelog has to know its version."""
    validator = jsonschema.Draft201909Validator(SCHEMA)
    found = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(metadata)]
    if not found and metadata["version"] not in metadata["changelog"]:
        found.append(f"$.changelog: does not name version {metadata['version']}")
    return found


def test_there_are_bundles_and_each_has_metadata():
    assert FOLDERS, "no bundle under bundles/"
    assert FOLDERS == BUNDLES


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_metadata_is_complete(bundle):
    assert complaints(json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
@pytest.mark.skipif(not OFFICIAL.exists(), reason="the official metadata schema file is not there")
def test_metadata_passes_the_official_check(bundle):
    from monai.bundle import verify_metadata

    assert hashlib.md5(OFFICIAL.read_bytes()).hexdigest() == OFFICIAL_MD5
    verify_metadata(meta_file=str(bundle / "configs" / "metadata.json"), filepath=str(OFFICIAL), hash_val=OFFICIAL_MD5)


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_license_and_readme(bundle):
    assert "Apache License" in (bundle / "LICENSE").read_text(encoding="utf-8")
    assert (bundle / "docs" / "README.md").read_text(encoding="utf-8").startswith("# ")


def small(bundle: Path) -> dict:
    declared = ConfigParser.load_config_file(str(bundle / "configs" / "train.yaml"))
    found = {id: value for id, value in SMALL.items() if id in KNOBS or id in declared}
    if "phantom" in found:
        found["phantom"] = {**declared["phantom"], **found["phantom"]}
    return found


def small_encoder(bundle: Path) -> dict:
    file = bundle / "configs" / "pretrain.yaml"
    declared = ConfigParser.load_config_file(str(file)) if file.is_file() else {}
    return {id: value for id, value in SMALL_ENCODER.items() if id in declared}


@pytest.fixture(scope="module", params=BUNDLES, ids=lambda path: path.name)
def done(request, tmp_path_factory):
    """A bundle and a run of its loop."""
    run_dir = tmp_path_factory.mktemp(request.param.name) / "run"
    monai.bundle.run(
        config_file=str(request.param / "configs" / "active_learning.yaml"),
        output_dir=str(run_dir),
        rounds=2,
        budget=3,
        threads=1,
        **small(request.param),
        **small_encoder(request.param),
    )
    return request.param, run_dir


@pytest.mark.parametrize("bundle", [BUNDLES[0], *(pytest.param(b, marks=pytest.mark.nightly) for b in BUNDLES[1:])])
def test_network_fits_its_metadata(bundle, tmp_path):
    monai.bundle.verify_net_in_out(
        net_id="network_def",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "train.yaml"),
        n=4,
        device="cpu",
        output_dir=str(tmp_path / "train"),
    )


@pytest.mark.parametrize("done", ONE_NOW, indirect=True)
def test_a_trained_network_is_exported(done, tmp_path):
    bundle, run_dir = done
    meta_file = bundle / "configs" / "metadata.json"
    monai.bundle.ckpt_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(run_dir / "round_01" / "model_0.pt"),
        meta_file=str(meta_file),
        config_file=str(bundle / "configs" / "train.yaml"),
        key_in_ckpt="model",
        output_dir=str(tmp_path / "train"),
        **small(bundle),
    )
    tensor = json.loads(meta_file.read_text(encoding="utf-8"))["network_data_format"]["inputs"]["image"]
    image = torch.rand(2, tensor["num_channels"], *[32] * len(tensor["spatial_shape"]))
    exported = torch.jit.load(str(tmp_path / "model.ts")).eval()
    with torch.no_grad():
        expected = TrainedRun(run_dir).network(1).network.eval()(image)
        torch.testing.assert_close(exported(image), expected)
        other = TrainedRun(run_dir).network(0).network.eval()(image)
    assert not torch.allclose(other, expected)


@pytest.mark.parametrize("config", ["inference", "evaluate"])
def test_a_standard_inference_config(done, config):
    bundle, run_dir = done
    file = str(bundle / "configs" / f"{config}.yaml")
    workflow = ConfigWorkflow(file, workflow_type="infer", logging_file=False, run_dir=str(run_dir))
    workflow.initialize()
    assert workflow.check_properties() == []


def test_one_command_segments_and_one_evaluates(done, tmp_path):
    bundle, run_dir = done
    for config in ("inference", "evaluate"):
        monai.bundle.run(
            config_file=str(bundle / "configs" / f"{config}.yaml"),
            run_dir=str(run_dir),
            output_dir=str(tmp_path / config),
            progress=False,
        )
    found = json.loads((tmp_path / "evaluate" / "metrics.json").read_text(encoding="utf-8"))
    expected = json.loads((run_dir / "round_01" / "metrics.json").read_text(encoding="utf-8"))
    for key in ("dice_3d", "dice_2d", "hd95_3d", "counts"):
        assert found[key] == expected[key]
    pool = json.loads((run_dir / "pool.json").read_text(encoding="utf-8"))
    root = TrainedRun(run_dir).source.data.root or ""
    images = {item["volume"]: Path(root, item["image"]) for item in pool["items"] if item["split"] == "test"}
    for volume, image in images.items():
        written, stored = nib.load(tmp_path / "inference" / f"{volume}_seg.nii.gz"), nib.load(image)
        assert written.shape == stored.shape[:3]
        assert (written.affine == stored.affine).all()
    assert len(images) == len(list((tmp_path / "inference").rglob("*.nii.gz"))) > 0


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_configs_of_a_bundle(bundle):
    names = {"active_learning.yaml", "train.yaml", "evaluate.yaml", "inference.yaml", "metadata.json", "logging.conf"}
    assert names <= {path.name for path in (bundle / "configs").iterdir()}


def test_complete_metadata_passes():
    assert complaints(COMPLETE) == []


@pytest.mark.parametrize("key", SCHEMA["required"])
def test_every_mandatory_field_is_missed(key):
    assert complaints({k: v for k, v in COMPLETE.items() if k != key}) == [f"$: {key!r} is a required property"]


@pytest.mark.parametrize("key", SCHEMA["$defs"]["tensor"]["required"])
@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_every_field_of_a_tensor_is_missed(side, key):
    metadata = json.loads(json.dumps(COMPLETE))
    for tensor in metadata["network_data_format"][side].values():
        del tensor[key]
    (complaint,) = complaints(metadata)
    assert complaint.startswith(f"$.network_data_format.{side}.")
    assert complaint.endswith(f"{key!r} is a required property")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"version": "1"}, "$.version"),
        ({"authors": ""}, "$.authors"),
        ({"changelog": {"0.0.9": "older"}}, "$.changelog"),
        ({"required_packages_version": ["ignite"]}, "$.required_packages_version"),
        ({"encoder_data_format": {"inputs": {}}}, "$.encoder_data_format"),
    ],
)
def test_wrong_values_are_found(change, place):
    assert all(complaint.startswith(place) for complaint in complaints(COMPLETE | change))
    assert complaints(COMPLETE | change)


@pytest.mark.skipif(not OFFICIAL.exists(), reason="the official metadata schema file is not there")
def test_our_schema_asks_for_all_that_the_official_one_does():
    official = json.loads(OFFICIAL.read_text(encoding="utf-8"))
    jsonschema.validate(COMPLETE, official)
    assert set(official["required"]) <= set(SCHEMA["required"])
    assert set(official["$defs"]["tensor"]["required"]) <= set(SCHEMA["$defs"]["tensor"]["required"])
