# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How the time and the memory of a round's steps grow with the pool, from 10,000 to a million slices.

Each size is measured in a process of its own, without images: what is measured is everything that a
run does with its items. The steps:

* open: the items, 100 slices a volume and two volumes a patient, split by patient, and the part that may be annotated;
* save: a run folder is started;
* again: the same folder, in another object, is read and compared with the same pool, as when a run goes on;
* read: the pool of the folder, as the report and comparisons read it;
* score, with ``--with_scoring``: entropy and the features of a layer, of images of 8 x 8 pixels that are made up on the
  way, by a network of two convolutions, which is in the time: what counts is what scoring keeps of each item;
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
import torch

from monai_al.passes import score_items
from monai_al.records import Item, Pool, Round, RunFolder, pool_record, slices_of, split_by_patient
from monai_al.strategies import Strategy, TypiClust, Uncertainty
from monai_al.uncertainty import Measure

SIZES = (10_000, 100_000, 1_000_000)
SLICES, BUDGET, FEATURES, SCORED_FEATURES = 100, 100, 64, 256


def main() -> None:
    args = parse_args()
    if args.one is not None:
        print(json.dumps(measured(args.one, args.with_typiclust, args.with_scoring)))
        return
    rows = []
    for size in args.sizes:
        more = [f"--{name}" for name in ("with_typiclust", "with_scoring") if getattr(args, name)]
        command = [sys.executable, __file__, "--one", str(size), *more]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    for name in rows[0]:
        print(f"{name:28}" + "".join(f"{row[name]:>14,.2f}" for row in rows), flush=True)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="SLICES")
    parser.add_argument("--with_typiclust", action="store_true", help=f"TypiClust, too, of {FEATURES} features")
    parser.add_argument("--with_scoring", action="store_true", help=f"scoring, too, with {SCORED_FEATURES} features")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def measured(size: int, with_typiclust: bool, with_scoring: bool) -> dict[str, float]:
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
        if with_scoring:
            with step("score"):
                score_items(a_network(), MadeUp(size), {"entropy": Measure("entropy"), "features": "0"})
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


class MadeUp:
    """Batches of images that nobody keeps."""

    def __init__(self, size: int, batch_size: int = 64) -> None:
        self.starts = range(0, size, batch_size)
        self.ends = [min(start + batch_size, size) for start in self.starts]

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[dict[str, object]]:
        for start, end in zip(self.starts, self.ends, strict=True):
            yield {"image": torch.rand(end - start, 1, 8, 8), "id": [f"item{i}" for i in range(start, end)]}


def a_network() -> torch.nn.Module:
    """A network with a layer of as many features as an embedding has numbers."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, SCORED_FEATURES, 3, padding=1), torch.nn.Conv2d(SCORED_FEATURES, 3, 1)
    ).eval()


def strategies(with_typiclust: bool) -> dict[str, Strategy]:
    """Name -> strategy."""
    found: dict[str, Strategy] = {
        name: Uncertainty("entropy", selector=selector)
        for name, selector in (("entropy", None), ("stratified", "stratified"), ("batches", "stochastic_batches"))
    }
    return found | ({"typiclust": TypiClust()} if with_typiclust else {})


if __name__ == "__main__":
    main()
