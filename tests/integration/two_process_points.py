# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs a small loop in two processes, one of which kills itself at one point after another; each time it goes on.

    python two_process_points.py FOLDER MEMBERS

Prints a line of JSON for one process against two, and one per point: how the processes ended, and which results differ
from an uninterrupted run.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import torch._dynamo  # by the first optimiser, in each fork anew
from kill_points import CONFIGS, SETTINGS, kill_at_call, kill_before_rename
from process_forks import in_forks

from monai_al.engines import ActiveLearner
from monai_al.handlers import UncertaintyHandler, VolumeScoresHandler
from monai_al.losses import PartialDiceCELoss
from monai_al.strategies import Selective


def by(rank: int, kill: Callable[[], None]) -> Callable[[], None]:
    """A kill in one of the processes alone."""
    return lambda: kill() if os.environ.get("RANK") == str(rank) else None


def main(folder: Path, members: int) -> None:
    def run(name: str, prepare: Callable[[], object] = lambda: None, processes: int = 2) -> list[int]:
        def work():
            prepare()
            settings = {**SETTINGS, "cache_dir": str(folder / "cache"), "batch_size": 4}
            ActiveLearner(
                CONFIGS / "train.yaml", Selective("entropy"), folder / name, overrides=settings, budget=4, rounds=2,
                members=members, progress=False,
            ).run()  # fmt: skip

        return in_forks(work, processes)

    def results(name: str) -> dict[str, bytes]:
        kinds = ("query.json", "metrics.json", "model_*.pt")
        found = [file for kind in kinds for file in (folder / name).rglob(kind)]
        return {file.relative_to(folder / name).as_posix(): file.read_bytes() for file in found}

    def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
        return sorted(name for name in one | other if one.get(name) != other.get(name))

    assert run("alone", processes=1) == [0]
    assert run("whole") == [0, 0]
    alone, whole = results("alone"), results("whole")
    print(json.dumps({"files": len(whole), "differ": differing(alone, whole)}))
    steps = SETTINGS["steps"]
    points = [
        ("training", 1, lambda: kill_at_call(PartialDiceCELoss, "forward", steps + 1)),
        ("training", 0, lambda: kill_at_call(PartialDiceCELoss, "forward", steps)),
        ("scoring", 1, lambda: kill_at_call(UncertaintyHandler, "__call__", 1)),
        ("evaluating", 1, lambda: kill_at_call(VolumeScoresHandler, "take_volume", 1)),
        *(("writing", 0, lambda n=n: kill_before_rename(n)) for n in range(2, 20, 4)),
    ]
    for point, rank, kill in points:
        ended = run("killed", by(rank, kill))
        again = run("killed")
        differ = differing(results("killed"), whole)
        print(json.dumps({"point": point, "rank": rank, "ended": ended, "again": again, "differ": differ}))
        shutil.rmtree(folder / "killed")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), int(sys.argv[2]))
