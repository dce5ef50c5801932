# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The code that a config names counts, wherever it lies."""

import sys

import pytest

from monai_al.assets import find_asset
from monai_al.bundle import RoundTraining
from monai_al.bundle.own_code import own_code

NETWORK = {"network_def": {"_target_": "lab_nets.unet.Net", "width": 8}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder that modules are imported from, which are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_package_counts_whole(folder):
    write(folder / "lab_nets" / "__init__.py")
    write(folder / "lab_nets" / "unet.py", "a = 1")
    first = own_code(NETWORK)
    assert list(first) == ["lab_nets"]
    assert own_code(NETWORK) == first
    write(folder / "lab_nets" / "blocks" / "conv.py", "b = 1")  # which unet.py may import
    second = own_code(NETWORK)
    assert second != first
    write(folder / "lab_nets" / "blocks" / "conv.py", "b = 2")
    assert own_code(NETWORK) not in (first, second)


def test_a_folder_without_init_counts_along_the_name(folder):
    write(folder / "lab_nets" / "unet.py", "a = 1")
    write(folder / "lab_nets" / "data" / "deep" / "other.py", "a = 1")
    first = own_code(NETWORK)
    write(folder / "lab_nets" / "data" / "deep" / "other.py", "a = 2")
    assert own_code(NETWORK) == first
    write(folder / "lab_nets" / "unet.py", "a = 2")
    assert own_code(NETWORK) != first


@pytest.mark.parametrize(
    "text", ["$lab_loss.make(@network)", "$import lab_loss", "$from lab_loss import make", "lab_loss.make"]
)
def test_wherever_it_is_named(folder, text):
    write(folder / "lab_loss.py", "def make(): ...")
    assert list(own_code({"train": {"handlers": [{"a": text}]}})) == ["lab_loss"]


def test_scripts_of_the_bundle(folder):
    root = folder / "bundle"
    write(root / "scripts" / "__init__.py")
    write(root / "scripts" / "net.py", "a = 1")
    config = {"network_def": {"_target_": "scripts.net.Net"}}
    first = own_code(config, root)
    assert list(first) == ["scripts"]
    write(root / "scripts" / "net.py", "a = 2")
    assert own_code(config, root) != first
    assert list(sys.path).count(str(root)) == 0


def test_an_installed_package_counts_by_its_version():
    import sklearn

    assert own_code({"a": {"_target_": "sklearn.cluster.KMeans"}}) == {"sklearn": sklearn.__version__}


def test_what_is_no_code_of_the_user():
    config = {
        "a": "$json.dumps(@pool.items)",
        "b": "images/case.nii.gz",
        "c": "$import os",
        "d": "torch.nn.ReLU",
        "e": 3,
    }
    assert own_code(config) == {}


@pytest.mark.parametrize(
    "bundle",
    ["active_learning", "selective_uncertainty_spleen", "stochastic_batches_prostate", "group_contrastive_cardiac"],
)
def test_bundles_of_ours_need_none(bundle):
    training = RoundTraining(find_asset(bundle) / "configs" / "train.yaml")
    assert own_code(training.raw(), training.root) == {}
