# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Do the runs of a comparison, each in a process of its own; what is done is not done again."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from monai_al.comparison.config import PlannedRun
from monai_al.data import RunFolder
from monai_al.data.files import read_json, write_json

__all__ = ["is_done", "run_all"]


def run_all(planned: Sequence[PlannedRun], *, workers: int = 1, progress: bool = True) -> list[str]:
    """Do every run that is not done yet; one that was stopped goes on where it stopped.

    Args:
        planned: the runs, in their order.
        workers: how many at once; give each ``threads`` of its own then.
        progress: show a bar with the time that is left.

    Returns:
        One sentence for each run that failed: its folder and the end of its log.

    Example:
        >>> run_all([])
        []
    """
    left = [run for run in planned if not is_done(run.folder)]
    bar = tqdm(total=len(planned), initial=len(planned) - len(left), desc="runs", unit="run", disable=not progress)
    failures = []
    with bar, ThreadPoolExecutor(max_workers=workers) as pool:
        for future in as_completed([pool.submit(_run, run) for run in left]):
            failure = future.result()
            failures += [failure] if failure else []
            bar.update()
    return failures


def is_done(folder: str | Path) -> bool:
    """Whether a run folder holds all rounds that were asked for.

    Example:
        >>> is_done("no/such/folder")
        False
    """
    run = RunFolder(folder)
    if not (run.path / "run.json").exists():
        return False
    return len(run.curve()) == len(run.sizes())


def _run(run: PlannedRun) -> str | None:
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    options, log = (run.folder.with_name(f"{run.folder.name}{suffix}") for suffix in (".json", ".log"))
    content = {**run.options, "output_dir": str(run.folder), "progress": False}
    if not options.exists() or read_json(options) != content:
        write_json(options, content)
    files = [*run.config_files, str(options)]
    with open(log, "a", encoding="utf-8") as file:
        print(f"-- {time.strftime('%Y-%m-%d %H:%M:%S')}", file=file, flush=True)
        code = subprocess.run(
            [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(files)],
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    if code == 0 and is_done(run.folder):
        return None
    lines = [line for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
    return f"{run.name}, seed {run.seed}: {lines[-1]} (all of it in {log})"
