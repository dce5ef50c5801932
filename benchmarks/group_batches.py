# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How fast the batches of contrastive training are drawn from half a million slices.

Draws an epoch of groups [l, v, p], three to a batch, on one CPU thread and in one run, for few patients of many slices,
for many of few, and for some between:

* ours: ``GroupBatchSampler``, its set-up and a whole epoch;
* Algorithm 1 of arXiv:2411.15763 as it is written, in plain loops: the set-up lists the slices of each volume and
  patient, an epoch makes a group for each slice and then fills the batches. It makes only some of the groups
  (``--plain-groups``), of patients with all their slices, since the time of a group does not depend on their number.

Prints the time of both, and the ratio of their times per group.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np

from monai_al.data import GroupBatchSampler

SHAPES = {  # patients, volumes of each, slices of each
    "many slices each": (500, 1, 1000),
    "between": (5000, 2, 50),
    "many patients": (25000, 1, 20),
}
GROUPS = 3  # in a batch


def main() -> None:
    args = parse_args()
    ratios = []
    for name, (patients, volumes, slices) in SHAPES.items():
        patients = max(patients // args.smaller, GROUPS)
        few = min(max(args.plain_groups // (volumes * slices), GROUPS), patients)
        rows, few_rows = table(patients, volumes, slices), table(few, volumes, slices)
        times: list[tuple[float, float, float]] = []
        for _ in range(args.repeats):
            set_up, sampler = timed(lambda rows=rows: GroupBatchSampler(*rows))
            epoch, batches = timed(lambda sampler=sampler: list(sampler))
            plain, _ = timed(lambda few_rows=few_rows: plain_epoch(few_rows))
            times.append((set_up, epoch, plain / len(few_rows[0])))
        set_up, epoch, plain = (statistics.median(each) for each in zip(*times, strict=True))
        n_slices = len(rows[0])
        ratios.append(plain * n_slices / (set_up + epoch))
        print(f"{name}: {patients} patients, {volumes} x {slices} slices, {len(batches)} batches")
        print(
            f"  GroupBatchSampler {set_up + epoch:8.2f} s, of which {set_up:.2f} s set-up; {sampler.left_out} left out"
        )
        print(f"  plain loops       {plain * n_slices:8.2f} s, from {len(few_rows[0])} groups")
        print(f"  ratio             {ratios[-1]:8.1f}")
    if min(ratios) < args.at_least:
        sys.exit(f"a ratio is below {args.at_least}")


def table(patients: int, volumes: int, slices: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Patient, volume and slice number of every slice."""
    grid = np.indices((patients, volumes, slices)).reshape(3, -1)
    return grid[0], grid[1], grid[2]


def plain_epoch(rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> list[list[int]]:
    """Algorithm 1, with the lists of each patient and volume made once."""
    draws = random.Random(0)
    of_volume, of_patient = defaultdict(list), defaultdict(list)
    keys = list(zip(*(column.tolist() for column in rows[:2]), strict=True))
    for position, (patient, volume) in enumerate(keys):
        of_volume[patient, volume].append(position)
        of_patient[patient].append(position)
    groups = defaultdict(list)
    for anchor, (patient, volume) in enumerate(keys):
        group = [anchor]
        for others in (of_volume[patient, volume], of_patient[patient]):
            group.append(draws.choice([other for other in others if other not in group]))
        groups[patient].append(group)
    batches = []
    while len(groups) >= GROUPS:
        batch: list[int] = []
        for patient in draws.sample(list(groups), GROUPS):
            batch += groups[patient].pop(draws.randrange(len(groups[patient])))
            if not groups[patient]:
                del groups[patient]
        batches.append(batch)
    return batches


def timed(function: Callable) -> tuple[float, object]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smaller", type=int, default=1, help="divide the patients by this (default: 1)")
    parser.add_argument("--repeats", type=int, default=3, help="repeats of each (default: 3)")
    parser.add_argument("--plain-groups", type=int, default=10_000, help="groups of the plain loops (default: 10000)")
    parser.add_argument("--at-least", type=float, default=0.0, help="fail where a ratio is below this (default: 0)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
