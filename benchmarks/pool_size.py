# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How the time and the memory of a round's steps grow with the pool, from 10,000 to a million slices.

Each size is measured in a process of its own, without images: what is measured is everything that a
run does with its items. The steps:

* open: the items, 100 slices a volume and two volumes a patient, split by patient, and the part that may be annotated;
* save: a run folder is started;
* again: the same folder, in another object, is read and compared with the same pool, as when a run goes on;
* read: the pool of the folder, as the report and comparisons read it;
* one query of 100 items by each of some strategies, made of scores and embeddings that are there already.

Prints seconds for each step, the size of the files, and the largest resident memory of the process, of which 450 MB or
so are Python with torch and MONAI.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from monai_al.records import Item, Pool, Round, RunFolder, pool_record, slices_of, split_by_patient
from monai_al.strategies import Strategy, TypiClust, Uncertainty

SIZES = (10_000, 100_000, 1_000_000)
SLICES, BUDGET, FEATURES = 100, 100, 64


def main() -> None:
    args = parse_args()
    if args.one is not None:
        print(json.dumps(measured(args.one, args.with_typiclust)))
        return
    rows = []
    for size in args.sizes:
        command = [sys.executable, __file__, "--one", str(size), *(["--with_typiclust"] if args.with_typiclust else [])]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    for name in rows[0]:
        print(f"{name:28}" + "".join(f"{row[name]:>14,.2f}" for row in rows), flush=True)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="SLICES")
    parser.add_argument("--with_typiclust", action="store_true", help=f"TypiClust, too, of {FEATURES} features")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def measured(size: int, with_typiclust: bool) -> dict[str, float]:
    """Step -> seconds, and the sizes."""
    found: dict[str, float] = {"slices": size}

    @contextmanager
    def step(name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        found[f"{name}, s"] = time.perf_counter() - start

    with tempfile.TemporaryDirectory() as folder:
        with step("open"):
            pool = split_by_patient(Pool(items(size), root="/data"), test=0.1)
            part = pool.part("train")
        hashes = {path: "0" * 64 for item in pool[::SLICES] for path in (item.image, str(item.label))}
        with step("save"):
            RunFolder(folder).start(asked(len(part)), pool_record(pool, hashes))
        with step("again"):
            RunFolder(folder).start(asked(len(part)), pool_record(pool, hashes))
        found["files, MB"] = sum(path.stat().st_size for path in Path(folder).rglob("*")) / 1e6
        for name, strategy in strategies(with_typiclust).items():
            with step(f"query: {name}"):
                strategy.query(a_round(part, typical=isinstance(strategy, TypiClust)), BUDGET)
    found["memory, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def items(size: int) -> Iterator[Item]:
    """Slices of volumes, two of a patient."""
    for number in range(-(-size // SLICES)):
        volume = f"patient{number // 2:06d}_scan{number % 2}"
        image, label = f"/data/images/{volume}.nii.gz", f"/data/labels/{volume}.nii.gz"
        n_slices = min(SLICES, size - number * SLICES)
        yield from slices_of(n_slices, image=image, label=label, volume=volume, patient=volume[:13])


def asked(n_items: int) -> dict[str, object]:
    """The content of a run.json, as far as a start looks at it."""
    return {"config": {}, "rounds": 1, "budget": BUDGET, "sizes": [BUDGET], "items": n_items, "threads": 1, "seed": 0}


def a_round(pool: Pool, *, typical: bool) -> Round:
    """A round with scores, and embeddings where they are needed, of which a hundredth is labeled."""
    rng = np.random.default_rng(0)
    labeled = rng.choice(len(pool), len(pool) // 100, replace=False)
    embeddings = {"encoder": rng.random((len(pool), FEATURES), dtype=np.float32)} if typical else {}
    return Round(1, pool, labeled, 0, {"entropy": rng.random(len(pool))}, embeddings)


def strategies(with_typiclust: bool) -> dict[str, Strategy]:
    """Name -> strategy."""
    found: dict[str, Strategy] = {
        name: Uncertainty("entropy", selector=selector)
        for name, selector in (("entropy", None), ("stratified", "stratified"), ("batches", "stochastic_batches"))
    }
    return found | ({"typiclust": TypiClust()} if with_typiclust else {})


if __name__ == "__main__":
    main()
