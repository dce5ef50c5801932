# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs every strategy that needs no pretrained encoder in one process and in two, with two members each.

    python two_process_strategies.py FOLDER [NAME ...]

Prints a line of JSON for each: how the processes ended, and which of queries, metrics and weights differ.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import monai.bundle
import torch._dynamo  # by the first optimiser, in each fork anew
from process_forks import in_forks

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "bundles" / "selective_uncertainty_spleen" / "configs" / "active_learning.yaml"
OVERLAYS = ROOT / "configs" / "strategies"
SETTINGS = {
    "phantom": {"patients": 5, "volumes_per_patient": 1, "shape": [16, 16, 6], "classes": ["background", "spleen"]},
    "image_size": [16, 16], "channels": [4, 8], "steps": 3, "batch_size": 4, "device": "cpu", "progress": False,
    "budget": 4, "rounds": 2, "members": 2, "scoring_batch_size": 5, "threads": 1,
}  # fmt: skip
OF_STRATEGY = {
    "random_volumes": {"volume_depth": 8, "budget": 1, "image_size": [16, 16]},
    **dict.fromkeys(
        ("core_gcn", "coreset_bottleneck", "dsal", "learning_loss", "uncertain_gcn"),
        {"tested": "best", "validation_fraction": 0.25},  # they look into one network
    ),
}


def needs_encoder(overlay: Path) -> bool:
    return "encoder" in overlay.read_text(encoding="utf-8")


def main(folder: Path, names: list[str]) -> None:
    def results(name: str) -> dict[str, bytes]:
        kinds = ("query.json", "metrics.json", "model_*.pt", "pseudo.json")
        found = [file for kind in kinds for file in (folder / name).rglob(kind)]
        return {file.relative_to(folder / name).as_posix(): file.read_bytes() for file in found}

    overlays = sorted(overlay for overlay in OVERLAYS.glob("*.yaml") if not needs_encoder(overlay))
    for overlay in [one for one in overlays if not names or one.stem in names]:

        def run(output: str, overlay: Path = overlay) -> None:
            places = {"output_dir": str(folder / output), "cache_dir": str(folder / "cache")}
            settings = {**SETTINGS, **OF_STRATEGY.get(overlay.stem, {}), **places}
            monai.bundle.run(config_file=[str(CONFIG), str(overlay)], **settings)

        ended = [*in_forks(lambda: run("one"), 1), *in_forks(lambda: run("two"), 2)]
        one, two = results("one"), results("two")
        differ = sorted(name for name in one | two if one.get(name) != two.get(name))
        print(json.dumps({"strategy": overlay.stem, "ended": ended, "files": len(two), "differ": differ}), flush=True)
        for output in ("one", "two"):
            shutil.rmtree(folder / output, ignore_errors=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), sys.argv[2:])
