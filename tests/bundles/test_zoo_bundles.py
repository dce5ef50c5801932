# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Bundles as they are released, with weights and a file that tells of them; the script that has the zoo check them."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
NAME = "stochastic_batches_prostate"
CHECK = "import os, sys\nprint(sys.argv[1:])\n"


@pytest.fixture(scope="module")
def make_zoo_bundles(script):
    return script("bundle_sources/make_zoo_bundles.py")


@pytest.fixture
def bundle(make_zoo_bundles, tmp_path):
    (tmp_path / "out" / NAME / "models").mkdir(parents=True)
    (tmp_path / "out" / NAME / "models" / "model.pt").write_bytes(b"of an earlier release")
    return make_zoo_bundles.copy_bundle(NAME, tmp_path / "out")


def test_a_copy_is_fresh(bundle):
    found, source = (
        {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (bundle, ROOT / "bundles" / NAME)
    )
    assert found == {name: content for name, content in source.items() if not name.startswith(("models/", "eval/"))}


def test_large_files(make_zoo_bundles, bundle):
    (bundle / "models").mkdir()
    (bundle / "models" / "model.pt").write_bytes(b"weights")
    text = make_zoo_bundles.large_files(bundle, "https://mine.org/{bundle}/{version}?file=model.pt")
    version = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))["version"]
    assert yaml.safe_load(text) == {
        "large_files": [
            {
                "path": "models/model.pt",
                "url": f"https://mine.org/{NAME}/{version}?file=model.pt",
                "hash_val": hashlib.sha256(b"weights").hexdigest(),
                "hash_type": "sha256",
            }
        ]
    }


def test_bundles_are_not_copied_into_themselves(make_zoo_bundles, monkeypatch, capsys):
    for arguments, message in (
        ([str(ROOT / "bundles" / "new")], "not copied into themselves"),
        (["out", "prostate"], "there is no bundle prostate: the names are active_learning, "),
    ):
        monkeypatch.setattr(sys, "argv", ["make_zoo_bundles.py", *arguments])
        with pytest.raises(SystemExit) as caught:
            make_zoo_bundles.parse_args()
        assert caught.value.code == 2
        assert message in capsys.readouterr().err


@pytest.mark.nightly
def test_training_writes_weights_of_this_network(make_zoo_bundles, bundle):
    dice = make_zoo_bundles.train_and_evaluate(bundle, ["--steps", "2"])
    assert 0 <= dice < 1
    assert [path.name for path in (bundle / "models").iterdir()] == ["model.pt"]


@pytest.mark.parametrize("status", [0, 3])
def test_the_zoos_scripts_run_beside_the_bundle(script, bundle, tmp_path, capfd, status):
    zoo_verifier = script("benchmarks/zoo_verifier.py")
    zoo, schema = tmp_path / "checkout", tmp_path / "schema_2024.json"
    (zoo / "models").mkdir(parents=True)
    (zoo / "models" / "model_info.json").write_text("{}")
    schema.write_text("{}")
    for script in zoo_verifier.SCRIPTS:
        (zoo / script).parent.mkdir(parents=True, exist_ok=True)
        (zoo / script).write_text(CHECK)
    look = (
        "assert os.path.isfile('models/model_info.json')\n"
        f"assert os.path.isfile('models/{NAME}/LICENSE')\n"
        "assert os.path.isfile('models/meta_schema_20240725.json')\n"
        "assert os.environ['PYTHONPATH'] == os.getcwd()\n"
        f"sys.exit({status})\n"
    )
    (zoo / "ci" / "verify_bundle.py").write_text(CHECK + look)
    place = zoo_verifier.zoo_layout(zoo, tmp_path / "layout")
    assert zoo_verifier.passes(place, bundle, schema) == (status == 0)
    told = capfd.readouterr().out
    assert told.count(f"['--b', '{NAME}']") == (3 if status == 0 else 2)
    assert f"['--l', '{NAME}']" in told
    assert not (zoo / "models" / NAME).exists()
