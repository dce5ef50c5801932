# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a round changes in the config of a bundle of others."""

from __future__ import annotations

import pytest

from monai_al.bundle.overrides import scratch_overrides


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


@pytest.mark.parametrize(
    "reader",
    [{"_target_": "CheckpointLoader", "load_path": "$@ckpt_dir + '/a.pt'"}, "$torch.load(@ckpt_dir + '/a.pt')"],
)
def test_weights_are_still_found_where_they_lie(reader):
    config = {"ckpt_dir": "m", "output_dir": "o", "handlers": [reader, {"save_dir": "@ckpt_dir"}]}
    assert scratch_overrides(config, "/s") == {"output_dir": "/s", "handlers::1::save_dir": "/s"}


def test_weights_that_a_run_loads_again_at_its_end_are_its_own():
    config = {"ckpt_dir": "m", "a": {"save_dir": "@ckpt_dir"}, "run": ["$f()", "$torch.load(@ckpt_dir + '/best.pt')"]}
    assert scratch_overrides(config, "/s") == {"ckpt_dir": "/s"}
