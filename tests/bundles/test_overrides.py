# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a round changes in the config of a bundle of others."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest
from monai.bundle import ConfigParser
from monai.transforms import Transform
from torch.utils.data import Dataset

from monai_al.bundle.overrides import scratch_overrides
from monai_al.options import literal


def test_everything_that_is_written_goes_to_one_folder():
    config = {
        "bundle_root": ".",
        "ckpt_dir": "$@bundle_root + '/models'",
        "output_dir": "$@bundle_root + '/eval'",
        "train": {
            "handlers": [
                {"_target_": "TensorBoardStatsHandler", "log_dir": "@output_dir"},
                {"_target_": "CheckpointSaver", "save_dir": "./models"},
                {"_target_": "LogfileHandler", "output_dir": "$@bundle_root + '/logs'"},
            ],
            "dataset": {"_target_": "PersistentDataset", "cache_dir": "$@bundle_root + '/cache'"},
        },
        "validate": {"handlers": [{"save_dir": "@ckpt_dir"}, {"save_dir": None}]},
        "cache": {"cache_dir": "/somewhere"},
    }
    assert scratch_overrides(config, "/s") == {
        "output_dir": "/s",
        "ckpt_dir": "/s",
        "train::handlers::1::save_dir": "/s",
        "train::handlers::2::output_dir": "/s",
        "train::dataset::cache_dir": "/s",
    }
    assert scratch_overrides({}, "/s") == {}


# -- what an argument's value tells ------------------------------------------------------------------------------------


class Noting:
    def attach(self, engine):
        pass


class Mapped(Transform):
    def __call__(self, data):
        return data


class Entries(Dataset):
    pass


def built(**arguments):
    return arguments


sys.modules.setdefault("override_parts", sys.modules[__name__])  # the name under which a config finds this file


@pytest.fixture
def root(tmp_path):
    """A bundle with weights, data, an atlas, and what it wrote before."""
    for folder in ("models", "data", "atlas", "empty", "eval/maps"):
        (tmp_path / "bundle" / folder).mkdir(parents=True)
    for file in ("models/model", "atlas/mean.nii.gz", "eval/maps/a.nii.gz"):
        (tmp_path / "bundle" / file).touch()
    return tmp_path / "bundle"


def config_of(component):
    return {
        "imports": ["$import os", "$import datetime", "$import pathlib", "$import shutil"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/data'",
        "output_dir": "$@bundle_root + '/eval'",
        "runs": "/runs",
        "now": "$datetime.datetime.now().strftime(@runs + '/%y%m%d_%H%M%S_%f')",
        "saver": {"_target_": "CheckpointSaver", "save_dir": "$@now + '/models'", "save_dict": {}},
        "net": {"_target_": "torch.nn.Identity"},
        "parts": {"list": [component]},
    }


@pytest.mark.parametrize(
    ("target", "arguments", "written"),
    [
        ("Noting", {"where": "$@bundle_root + '/notes'"}, ["where"]),
        ("Noting", {"where": "$os.path.join(@bundle_root, 'models')"}, ["where"]),
        ("Noting", {"where": ["./notes", "$@now + '/notes'", "a/b"]}, ["where::0", "where::1"]),
        ("Noting", {"where": {"one": "$str(pathlib.Path(@bundle_root) / 'notes')"}}, ["where::one"]),
        ("Noting", {"where": "$@output_dir + '/notes'", "other": "@output_dir"}, []),
        ("Noting", {"where": "notes", "tag": "val/loss", "uri": "http://a/b"}, []),
        ("Noting", {"notes_dir": "notes"}, ["notes_dir"]),
        ("Noting", {"log_dir": "/elsewhere", "where": "/elsewhere"}, ["log_dir"]),
        ("Noting", {"log_dir": "$shutil.which(@bundle_root)", "where": "$shutil.which(@bundle_root)"}, ["log_dir"]),
        ("Noting", {"log_dir": "$@net.folder", "where": "$@net.folder", "net": "@net", "rate": 0.1}, ["log_dir"]),
        ("Noting", {"load_path": "$@bundle_root + '/weights'", "where": "$@bundle_root + '/models/model'"}, []),
        ("Noting", {"where": "$@bundle_root + '/notes.csv'"}, []),
        ("Noting", {"where": "$@bundle_root + '/notes_v1.0'"}, ["where"]),
        ("Noting", {"where": "$@dataset_dir + '/notes'"}, []),
        ("Mapped", {"where": "$@bundle_root + '/maps'"}, ["where"]),
        ("Mapped", {"where": "$@bundle_root + '/empty'"}, ["where"]),
        ("Mapped", {"where": "$@bundle_root + '/eval/maps'"}, ["where"]),
        ("Mapped", {"where": "$@bundle_root + '/atlas'"}, []),
        ("Entries", {"cache_dir": "$@bundle_root + '/empty'", "where": "$@bundle_root + '/empty'"}, ["cache_dir"]),
        ("Entries", {"where": "$@now + '/cache'"}, ["where"]),
        ("built", {"where": "$@bundle_root + '/notes'"}, ["where"]),
        ("built", {"where": "$@bundle_root + '/models'", "cache_dir": "$@bundle_root + '/cache'"}, ["cache_dir"]),
        ("built", {"where": "@dataset_dir", "other": "$@dataset_dir + '/new'"}, []),
        ("gone", {"where": "$@bundle_root + '/notes'"}, ["where"]),
    ],
)
def test_a_value_tells_where_something_is_written(root, target, arguments, written):
    config = config_of({"_target_": f"override_parts.{target}", **arguments})
    before = copy.deepcopy(config)
    found = scratch_overrides(config, "/s", root)
    assert found == dict.fromkeys(["output_dir", "saver::save_dir", *(f"parts::list::0::{id}" for id in written)], "/s")
    assert config == before


def resolved(config, found, *ids):
    parser = ConfigParser(copy.deepcopy(config))
    parser.update(found)
    return [parser.get_parsed_content(id) for id in ids]


def test_a_path_stays_a_path(root):
    config = config_of({"_target_": "override_parts.Noting", "where": "$pathlib.Path(@bundle_root) / 'notes'"})
    for folder in ("/s", "/s #1"):
        found = scratch_overrides(config, literal(folder), root)
        assert resolved(config, found, "parts::list::0::where", "output_dir") == [Path(folder), folder]


def test_what_a_class_writes_by_default(root):
    config = config_of({"_target_": "TensorBoardStatsHandler", "tag_name": "loss"})
    assert scratch_overrides(config, "/s", root)["parts::list::0::log_dir"] == "/s"
    config = config_of({"_target_": "SaveImaged", "keys": "pred", "data_root_dir": "@bundle_root"})
    found = scratch_overrides(config, "/s", root)
    assert {id for id in found if id.startswith("parts")} == {"parts::list::0::output_dir"}


def test_what_lies_in_the_folder_already_stays_there(root):
    config = config_of({"_target_": "override_parts.Noting", "log_dir": "$@output_dir + '/tb'"})
    config["output_dir"] = "$datetime.datetime.now().strftime(@bundle_root + '/%y%m%d_%H%M%S_%f')"
    config["saver"]["save_dir"] = "@output_dir"
    assert scratch_overrides(config, "/s", root) == {"output_dir": "/s"}
    assert scratch_overrides(config, str(root / "rounds"), root) == {"output_dir": str(root / "rounds")}


def test_data_beside_or_around_the_bundle_hide_nothing(root):
    for data in (".", "$@bundle_root", "$os.path.dirname(@bundle_root)"):
        config = {**config_of({"_target_": "override_parts.Noting", "where": "./notes"}), "dataset_dir": data}
        assert "parts::list::0::where" in scratch_overrides(config, "/s", root)


def test_a_macro_is_written_out(root):
    config = config_of({"_target_": "override_parts.Noting", "where": "$@bundle_root + '/notes'"})
    config["again"] = {"parts": "%parts"}
    found = scratch_overrides(config, "/s", root)
    ids = "parts::list::0::where", "again::parts::list::0::where"
    assert resolved(config, found, *ids) == ["/s", "/s"]
    assert found["again::parts"]["list"][0]["_target_"] == "override_parts.Noting"


def test_nothing_is_built(root, monkeypatch):
    monkeypatch.setattr(Noting, "__init__", lambda self, **arguments: 1 / 0)
    config = config_of({"_target_": "override_parts.Noting", "where": "@made", "log_dir": "./logs"})
    config["made"] = "$os.makedirs(@bundle_root + '/made')"
    assert scratch_overrides(config, "/s", root)["parts::list::0::log_dir"] == "/s"
    assert not (root / "made").exists()


def test_the_cache_of_this_package_is_for_all_rounds(root, monkeypatch):
    monkeypatch.chdir(root)
    config = config_of({"_target_": "monai_al.data.VolumeCache", "cache_dir": "cache"})
    assert not any(id.startswith("parts") for id in scratch_overrides(config, "/s", root))


# -- weights -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reader",
    [
        {"_target_": "CheckpointLoader", "load_path": "$@ckpt_dir + '/a.pt'"},
        {"_target_": "CheckpointLoader", "load_path": "@start"},
        "$torch.load(@ckpt_dir + '/a.pt')",
        "$@net.load_state_dict(torch.load(@start))",
    ],
)
def test_weights_are_still_found_where_they_lie(reader):
    config = {"ckpt_dir": "m", "output_dir": "o", "start": "$@ckpt_dir + '/a.pt'", "net": {"_target_": "Net"}}
    config["handlers"] = [reader, {"save_dir": "@ckpt_dir"}]
    assert scratch_overrides(config, "/s") == {"output_dir": "/s", "handlers::1::save_dir": "/s"}


def test_weights_of_another_folder_leave_that_of_the_outputs_free():
    reader = {"_target_": "CheckpointLoader", "load_path": "$@ckpt_dir_before + '/a.pt'"}
    config = {"ckpt_dir": "m", "ckpt_dir_before": "n", "handlers": [reader, {"save_dir": "@ckpt_dir"}]}
    assert scratch_overrides(config, "/s") == {"ckpt_dir": "/s"}


def test_weights_that_a_run_loads_again_at_its_end_are_its_own():
    config = {"ckpt_dir": "m", "a": {"save_dir": "@ckpt_dir"}, "run": ["$f()", "$torch.load(@ckpt_dir + '/best.pt')"]}
    assert scratch_overrides(config, "/s") == {"ckpt_dir": "/s"}
