# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Kills a small pretraining by restoration with SIGKILL at one point after another, each time going on afterwards.

    python pretraining_kill_points.py FOLDER

Prints one line of JSON per point: the signal, and whether the weights have the bytes of an uninterrupted training.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
from pathlib import Path

import monai.bundle
from kill_points import in_fork, kill_at_call, kill_before_rename

from monai_al.handlers import BestWeights, Resumption
from monai_al.losses import RestorationLoss

CONFIG = Path(__file__).parents[2] / "bundles" / "ssl_cluster_skin_lesion" / "configs" / "pretrain.yaml"
SETTINGS = {
    "phantom": {"patients": 6, "volumes_per_patient": 1, "shape": [16, 16, 6], "classes": ["background", "lesion"]},
    "image_size": [16, 16], "channels": [4, 8], "pretrain_epochs": 3, "pretrain_batch_size": 8, "device": "cpu",
    "pretrain_validation": 0.2, "pretrain_patience": 2, "progress": False, "tensorboard": False,
}  # fmt: skip


def main(folder: Path) -> None:
    def run(name: str, prepare=lambda: None) -> int:
        def work():
            prepare()
            places = {"output_dir": str(folder / name), "cache_dir": str(folder / "cache")}
            monai.bundle.run(config_file=str(CONFIG), **places, **SETTINGS)

        return in_fork(work)

    def weights(name: str) -> bytes:
        return (folder / name / "models" / "model.pt").read_bytes()

    run("first")  # fills the cache, whose files are written, too
    run("whole")
    expected = weights("whole")
    print(json.dumps({"point": "another time", "signal": signal.SIGKILL, "equal": weights("first") == expected}))
    points = [
        ("a step of the second epoch", lambda: kill_at_call(RestorationLoss, "forward", 6)),
        ("after the second validation", lambda: kill_at_call(BestWeights, "__call__", 2)),
        ("after the second epoch", lambda: kill_at_call(Resumption, "save", 2)),
        ("after the last epoch", lambda: kill_at_call(Resumption, "save", 3)),
        *((f"writing, file {n}", lambda n=n: kill_before_rename(n)) for n in range(1, 7)),
    ]
    for point, prepare in points:
        ended_by = run("killed", prepare)
        run("killed")
        print(json.dumps({"point": point, "signal": ended_by, "equal": weights("killed") == expected}))
        shutil.rmtree(folder / "killed")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
