# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A run in one process and in several: the seconds of each step, and whether they ask for the same.

    python benchmarks/several_processes.py [--processes 2] [WORDS OF 'python -m monai_al run' ...]

Each process has one CPU thread, so that several have as many cores as processes and one has one. Prints a table with a
row per step: the seconds in one process, in several, and their ratio; the mean over the rounds but the first.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

RUN = ["selective_uncertainty_spleen", "--rounds", "3", "--budget", "24", "--steps", "200"]
STEPS = {"encoder_s": "pretraining", "train_s": "training", "evaluate_s": "evaluating", "score_s": "scoring"}


def timed(words: list[str], processes: int, folder: Path, cache: Path) -> tuple[dict[str, float], dict[str, bytes]]:
    """The seconds of each step, and the results, of a run in so many processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    places = ["--output_dir", str(folder), "--cache_dir", str(cache), "--threads", "1", "--progress", "false"]
    line = [*launcher, "-m", "monai_al", "run", *words, *places]
    done = subprocess.run(line, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    rounds = [json.loads(file.read_text()) for file in sorted(folder.glob("round_*/timings.json"))]
    seconds = {}
    for step in STEPS:
        found = [one[step] for one in rounds[0 if step == "encoder_s" else 1 :] if one.get(step)]
        if found:
            seconds[step] = sum(found) / len(found)
    kinds = ("query.json", "metrics.json", "model_*.pt")
    files = [file for kind in kinds for file in sorted(folder.rglob(kind))]
    return seconds, {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2, help="how many; default: 2")
    asked, words = parser.parse_known_args()
    words = words or RUN
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        timed(words, 1, root / "warm", root / "cache")  # fills the cache of volumes
        for file in (root / "cache").glob("encoders/*"):  # which each trains by itself
            file.rename(root / file.name)
        one, results = timed(words, 1, root / "one", root / "cache")
        several, others = timed(words, asked.processes, root / "several", root / "cache")
    print(f"python -m monai_al run {' '.join(words)}\n")
    print(f"| step | one process | {asked.processes} processes | ratio |\n|---|---|---|---|")
    for step, what in STEPS.items():
        if step in one:
            print(f"| {what} | {one[step]:.1f} s | {several[step]:.1f} s | {one[step] / several[step]:.2f} |")
    differ = [file for file in results if others.get(file) != results[file]]
    print(f"\n{len(results) - len(differ)} of {len(results)} queries, metrics and weights are equal byte for byte")


if __name__ == "__main__":
    main()
