# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Every bundle: complete metadata, a changelog that knows its version, a license and a README."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[2]
BUNDLES = sorted(path.parents[1] for path in ROOT.glob("bundles/*/configs/metadata.json"))
FOLDERS = sorted(path for path in ROOT.glob("bundles/*") if path.is_dir() and not path.name.startswith(("_", ".")))
SCHEMA = json.loads(Path(__file__).with_name("metadata_schema.json").read_text(encoding="utf-8"))
OFFICIAL = ROOT.parent / "shared" / "reference" / "meta_schema_20240725.json"
OFFICIAL_MD5 = "06954cad2cc5d3784e72077ac76f0fc8"

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
