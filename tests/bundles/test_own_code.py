# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The code that a config names counts, wherever it lies."""

import importlib
import subprocess
import sys
import time

import pytest

from monai_al.assets import find_asset
from monai_al.bundle import RoundTraining
from monai_al.bundle import own_code as own_code_module
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
    "text",
    [
        "$lab_loss.make(@network)", "$import lab_loss", "$from lab_loss import make", "lab_loss.make",
        "$lambda x:lab_loss.f(x)", "${'k':lab_loss.f()}", "$2/lab_loss.f()", "$import os as a, lab_loss as b",
        "$importlib.import_module('lab_loss')", "$@train#loss.weight + lab_loss.f(%other)", "$not python lab_loss",
    ],
)  # fmt: skip
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


def test_an_installed_package_counts_by_what_was_installed():
    import sklearn

    (told,) = own_code({"a": {"_target_": "sklearn.cluster.KMeans"}}).items()
    assert told[0] == "sklearn"
    assert told[1].startswith(f"{sklearn.__version__} ")


def test_one_that_was_copied_there_counts_by_its_files(folder):
    write(folder / "site-packages" / "lab_nets" / "__init__.py", "a = 1")
    sys.path.insert(0, str(folder / "site-packages"))
    first = own_code(NETWORK)
    write(folder / "site-packages" / "lab_nets" / "__init__.py", "a = 2")
    assert own_code(NETWORK) != first


def test_what_named_modules_import_counts(folder):
    write(folder / "lab_loss.py", "from lab_maths import f\nimport torch, os.path")
    write(folder / "lab_maths.py", "import lab_loss")
    first = own_code({"loss": "$lab_loss.make()"})
    assert sorted(first) == ["lab_loss", "lab_maths"]
    write(folder / "lab_maths.py", "import lab_loss, lab_gone")
    second = own_code({"loss": "$lab_loss.make()"})
    assert second["lab_loss"] == first["lab_loss"]
    assert second["lab_maths"] != first["lab_maths"]


def test_from_a_folder_without_init(folder):
    write(folder / "lab_nets" / "parts" / "net.py", "a = 1")
    configs = [
        {"imports": ["$from lab_nets import parts"], "network_def": "$parts.net.Net()"},
        {"imports": ["$from lab_nets.parts import net"], "network_def": "$net.Net()"},
    ]
    first = [own_code(config) for config in configs]
    write(folder / "lab_nets" / "parts" / "net.py", "a = 2")
    second = [own_code(config) for config in configs]
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_what_a_folder_without_init_imports_of_itself(folder):
    write(folder / "lab_nets" / "unet.py", "from lab_nets.blocks import conv")
    write(folder / "lab_nets" / "blocks" / "conv.py", "a = 1")
    first = own_code(NETWORK)
    write(folder / "lab_nets" / "blocks" / "conv.py", "a = 2")
    assert own_code(NETWORK) != first


def test_files_that_are_no_code_are_passed_over(folder):
    package = folder / "lab_nets"
    write(package / "__init__.py")
    (package / ".#net.py").symlink_to("nobody@nowhere")
    (package / "old.py").mkdir()
    write(package / "env" / "pyvenv.cfg")
    write(package / "broken.py", "def (")
    first = own_code(NETWORK)
    write(package / "env" / "lib.py", "a = 1")
    assert own_code(NETWORK) == first


def test_what_was_changed_after_it_was_imported_is_like_nothing_else(folder, monkeypatch):
    write(folder / "lab_loss.py", "a = 1")
    config = {"loss": "$lab_loss.a"}
    first = own_code(config)
    importlib.import_module("lab_loss")
    monkeypatch.setattr(own_code_module, "_BEGAN", time.time() + 60)
    assert own_code(config) == first
    monkeypatch.setattr(own_code_module, "_BEGAN", time.time() - 60)  # the file is newer now
    assert len({own_code(config)["lab_loss"] for _ in range(3)}) == 3


def test_what_the_started_script_defines(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from monai_al.bundle.own_code import own_code\nprint(own_code({'a': '__main__.Net'}))")
    told = [subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout]
    script.write_text(script.read_text() + "\n")
    told += [subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout]
    assert all("__main__" in one for one in told)
    assert told[0] != told[1]


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
