# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs a small loop that kills itself with SIGKILL at one point after another, each time going on afterwards.

    python kill_points.py FOLDER [STEP [STRATEGY]]

With a step, only every STEP-th file that is written is such a point, and one of each other kind. The strategy is
"selective", or "ceal", which gives pseudo labels. Prints one line of
JSON per point: what was killed, and which results differ from an uninterrupted run. Everything is imported once; each
run is a fork of this process, which never computes anything itself.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
import torch._dynamo  # by the first optimiser, in each fork anew

import monai_al.records.files as files
from monai_al.engines import ActiveLearner
from monai_al.handlers import UncertaintyHandler, VolumeScoresHandler
from monai_al.losses import PartialDiceCELoss
from monai_al.records.manifest import changed_files
from monai_al.strategies import CEAL, Selective

CONFIGS = Path(__file__).parents[2] / "bundles" / "selective_uncertainty_spleen" / "configs"
SETTINGS = {
    "phantom": {"patients": 3, "volumes_per_patient": 1, "shape": [16, 16, 6], "classes": ["background", "spleen"]},
    "image_size": [16, 16], "channels": [4, 8], "steps": 2, "batch_size": 2, "device": "cpu", "progress": False,
}  # fmt: skip
STRATEGIES = {
    "selective": lambda: Selective("entropy"),
    "ceal": lambda: CEAL(passes=2, quotas=(0, 1, 0), pseudo=2, pseudo_from=1),
}


def kill_me() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at_call(owner: object, name: str, number: int) -> None:
    """Die instead of returning from the numbered call of a function."""
    original, calls = getattr(owner, name), iter(range(1, 10**6))

    def counted(*args, **kwargs):
        result = original(*args, **kwargs)
        if next(calls) == number:
            kill_me()
        return result

    setattr(owner, name, counted)


def kill_before_rename(number: int) -> None:
    """Die when the numbered file is written but half."""
    replace, calls = os.replace, iter(range(1, 10**6))

    def half(source, target):
        if next(calls) == number:
            os.truncate(source, os.path.getsize(source) // 2)
            kill_me()
        replace(source, target)

    files.os.replace = half


def in_fork(work: Callable[[], object]) -> int:
    """Run something in a child; returns the signal that ended it, or 0."""
    sys.stdout.flush()
    gc.freeze()  # what is there already is no garbage of the child's
    child = os.fork()
    if child == 0:
        code = 1
        try:
            torch.set_num_threads(1)
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit("a run failed, see above")
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def main(folder: Path, step: int = 1, strategy: str = "selective") -> None:
    def run(name: str, prepare: Callable[[], object] = lambda: None) -> int:
        def work():
            prepare()
            settings = {**SETTINGS, "cache_dir": str(folder / "cache"), "dropout": 0.2 * (strategy == "ceal")}
            ActiveLearner(
                CONFIGS / "train.yaml", STRATEGIES[strategy](), folder / name, overrides=settings, budget=2, rounds=2,
                members=2, progress=False,
            ).run()  # fmt: skip

        return in_fork(work)

    def results(name: str) -> dict[str, bytes]:
        found = [file for kind in ("query", "metrics", "pseudo") for file in (folder / name).rglob(f"{kind}.json")]
        found = {file.relative_to(folder / name).as_posix(): file.read_bytes() for file in found}
        return found | {f"manifest of {place}": content for place, content in manifests(folder / name).items()}

    def manifests(run: Path) -> dict[str, bytes]:
        """What they list but the records of labels, which tell when they came."""
        found = {}
        for file in run.rglob("manifest.json"):
            listed = json.loads(file.read_text())["files"].items()
            found[file.parent.name] = json.dumps([pair for pair in listed if "/labels/" not in pair[0]]).encode()
        return found

    run("whole")
    whole = results("whole")
    written = sum(1 for file in (folder / "whole").rglob("*") if file.is_file())
    steps, batches = ((1, 3, 6), (1, 2)) if step == 1 else ((3,), (2,))
    points: list[tuple[str, Callable[[], object]]] = [
        *((f"training, step {n}", lambda n=n: kill_at_call(PartialDiceCELoss, "forward", n)) for n in steps),
        ("scoring", lambda: kill_at_call(UncertaintyHandler, "__call__", 1)),
        *((f"evaluating, batch {n}", lambda n=n: kill_at_call(VolumeScoresHandler, "__call__", n)) for n in batches),
        *((f"writing, file {n}", lambda n=n: kill_before_rename(n)) for n in range(step, written, step)),
    ]
    for i, (point, prepare) in enumerate(points):
        ended_by = run(f"killed_{i}", prepare)
        run(f"killed_{i}")
        again = results(f"killed_{i}")
        left = [f.name for f in (folder / f"killed_{i}").rglob(f"{files.TEMPORARY}*")]
        changed = [str(change) for change in changed_files(folder / f"killed_{i}")]
        differ = sorted(name for name in {*whole, *again} if whole.get(name) != again.get(name))
        print(json.dumps({"point": point, "signal": ended_by, "differ": differ, "left": left, "changed": changed}))
        shutil.rmtree(folder / f"killed_{i}")
    print(json.dumps({"point": "none", "files": sorted(whole)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]), *sys.argv[3:])
