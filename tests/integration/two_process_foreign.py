# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs bundles of others in two processes: one network that they train together, and two that are one's each.

    python two_process_foreign.py FOLDER

Prints a line of JSON for each: how the processes ended, and which results of two networks differ from one process's.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import torch._dynamo  # by the first optimiser, in each fork anew
from process_forks import in_forks

from monai_al.engines import ActiveLearner
from monai_al.records import RunFolder
from monai_al.records.files import read_json
from monai_al.strategies import Uncertainty

TESTS = Path(__file__).parents[1]
WRITE = runpy.run_path(str(TESTS / "bundles" / "test_foreign_bundles.py"))["WRITE"]
SMALL = {
    "hippocampus_3d/configs/train.json": {"network_def#channels": [2, 4, 4], "num_workers": 0, "batch_size": 2},
    "skin_lesion_2d/configs/train.yaml": {
        "network_def#channels": [2, 4, 4, 4], "image_size": [32, 32], "batch_size": 2, "val_fraction": 0.4,
    },
    "cardiac_multilabel/configs/train.json": {"network_def#init_filters": 4, "val_size": 2, "batch_size": 2},
    "python_workflow/scripts/workflow.py": {"channels": [2, 4, 4], "batch_size": 2},
}  # fmt: skip


def main(folder: Path) -> None:
    for path, settings in SMALL.items():
        name = path.split("/")[0]
        WRITE[name](folder / "data" / name, np.random.default_rng(0))
        overrides = {"dataset_dir": str(folder / "data" / name), "device": "cpu", "epochs": 1, **settings}

        def run(output: str, members: int, processes: int, *, path: str = path, overrides: dict = overrides) -> list:
            def work():
                ActiveLearner(
                    TESTS / "foreign_bundles" / path, Uncertainty("entropy"), folder / output, overrides=overrides,
                    budget=2 if members == 1 else 1, rounds=2, members=members, progress=False,
                ).run()  # fmt: skip

            return in_forks(work, processes)

        def results(output: str) -> dict[str, bytes]:
            found = [file for kind in ("query.json", "metrics.json") for file in (folder / output).rglob(kind)]
            return {file.relative_to(folder / output).as_posix(): file.read_bytes() for file in found}

        together = run(f"{name} together", members=1, processes=2)
        ended = [run(f"{name} {processes}", members=2, processes=processes) for processes in (1, 2)]
        one, two = results(f"{name} 1"), results(f"{name} 2")
        differ = sorted(file for file in one | two if one.get(file) != two.get(file))
        folder_together = RunFolder(folder / f"{name} together")
        dice = [row["dice_3d"] for row in folder_together.write_curve()]
        processes = read_json(folder_together.path / "run.json").get("processes")
        line = {
            "bundle": name, "together": together, "dice": dice, "processes": processes,
            "members": ended, "files": len(one), "differ": differ,
        }  # fmt: skip
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
