# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Try every bundle of MONAI's Model Zoo as an active learner, on small data in the layout that it reads.

    python benchmarks/model_zoo --zoo model-zoo --data DATA --work WORK

A copy of each bundle is first run by itself for an epoch, as MONAI runs it (step alone), then for two rounds of active
learning (step active), both with the same options of its own config, which are in the table. One that is older than
today's MONAI is also run by itself with what repairs it (step repaired), as it then is in active learning.
WORK/results.jsonl gets a line as each of them ends; what has a line is skipped. WORK/results.md is the table,
WORK/BUNDLE/STEP/log.txt what a command said.

DATA holds the data sets Task04_Hippocampus, ACDC, BraTS2015, ISIC2017 and DAVIS, from which the small data are cut. A
bundle that needs further packages finds them in the folder that --extra names, such as one made by
``pip install --target FOLDER einops scikit-image pandas``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from real_images import RealImages
from results import add_line, ended, missing, read_lines, table
from trying import STEPS, Setting, tried
from zoo_bundles import BUNDLES


def main() -> None:
    args = parse_args()
    setting = Setting(
        args.zoo,
        RealImages(args.data),
        args.work.resolve(),
        args.extra and args.extra.resolve(),
        args.limit,
        args.epochs,
    )
    file = setting.work / "results.jsonl"
    for name, step in missing(args.bundles, args.steps, read_lines(file), BUNDLES, args.again):
        line = tried(name, step, setting)
        add_line(file, line)
        print(f"{name}, {step}: {ended(line)} ({line.get('seconds', 0)} s)", flush=True)
        write_table(file)
    write_table(file)


def write_table(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_suffix(".md").write_text(table(read_lines(file), BUNDLES), encoding="utf-8")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zoo", type=Path, required=True, help="the folder of the Model Zoo, which holds models/")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("--work", type=Path, required=True, help="the folder for copies, data, runs and results")
    parser.add_argument(
        "--bundles", nargs="+", default=list(BUNDLES), choices=BUNDLES, metavar="NAME", help="only these"
    )
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=STEPS, help="of these, in this order")
    parser.add_argument("--again", action="store_true", help="also those whose line stands")
    parser.add_argument("--extra", type=Path, metavar="FOLDER", help="further packages")
    parser.add_argument("--limit", type=float, default=300, help="seconds for one command (default: 300)")
    parser.add_argument("--epochs", type=int, default=1, help="of each training (default: 1)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
