# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs every kind of training config and of pretraining in two processes that train together.

    python two_process_trainings.py FOLDER [NAME ...]

Prints a line of JSON for each: how the processes ended, and the 3D Dice of the rounds.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import monai.bundle
import torch._dynamo  # by the first optimiser, in each fork anew
from kill_points import kill_at_call
from process_forks import in_forks
from two_process_points import by

from monai_al.handlers import Resumption
from monai_al.records import RunFolder

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "phantom": {"patients": 6, "volumes_per_patient": 1, "shape": [32, 32, 6], "classes": ["background", "organ"]},
    "image_size": [32, 32], "channels": [4, 8], "steps": 6, "batch_size": 4, "device": "cpu", "progress": False,
    "budget": 4, "rounds": 2, "threads": 1, "test_fraction": 0.2, "validation_fraction": 0.2,
}  # fmt: skip
BEST = {"model": "best", "steps_per_epoch": 2, "early_stopping": 1}
FIVE = {"channels": [2, 2, 4, 4, 4]}
PRETRAINED = {"pretrain_epochs": 2, "encoder_width": 0.125}
SPLEEN, CARDIAC, SKIN = "selective_uncertainty_spleen", "group_contrastive_cardiac", "ssl_cluster_skin_lesion"
RUNS = {  # bundle, overlays, settings
    "lowest loss": (SPLEEN, [], BEST),
    "highest dice": (SPLEEN, [], {**BEST, "key_metric": "dice"}),
    "epochs": (SPLEEN, [], {"steps": None, "epochs": 2}),
    "learning loss": (SPLEEN, ["strategies/learning_loss"], {}),
    "deep supervision": (SPLEEN, ["strategies/dsal"], {}),
    "whole volumes": (SPLEEN, ["strategies/random_volumes"], {"volume_depth": 8, "budget": 2, "batch_size": 2}),
    "weak labels": (
        CARDIAC,
        ["annotators/scribbles_from_masks", "strategies/entropy"],
        {**FIVE, "train_overlays": ["weak_supervision"]},
    ),
    "folds": (SPLEEN, ["strategies/random"], {"folds": 2}),
    "contrastive encoder": (CARDIAC, [], {**PRETRAINED, "pretrain_batch_size": 6}),
    "restoration": (SKIN, [], {"pretrain_epochs": 2, "pretrain_batch_size": 4}),
    "warm start": (SPLEEN, ["encoders/warm_start"], {"pretrain_epochs": 2, "pretrain_batch_size": 4}),
}


def main(folder: Path, names: list[str]) -> None:
    if not names:
        by_itself(folder)
        another_number(folder)
    for name, (bundle, overlays, settings) in RUNS.items():
        if names and name not in names:
            continue
        files = [ROOT / "bundles" / bundle / "configs" / "active_learning.yaml"]
        files += [ROOT / "configs" / f"{overlay}.yaml" for overlay in overlays]

        def run(output: str, files: list[Path] = files, settings: dict = settings) -> None:
            places = {"output_dir": str(folder / output), "cache_dir": str(folder / output / "cache")}
            given = {**SETTINGS, **settings, **places}
            monai.bundle.run(
                config_file=[str(file) for file in files],
                **{id: "$None" if value is None else value for id, value in given.items()},
            )

        ended = in_forks(lambda: run("run"), 2)
        dice = [row["dice_3d"] for row in RunFolder(folder / "run").write_curve()] if ended == [0, 0] else []
        print(json.dumps({"training": name, "ended": ended, "dice": dice}), flush=True)
        if "pretrain_epochs" in settings:
            kill_in_pretraining(folder, run, name)
        shutil.rmtree(folder / "run", ignore_errors=True)


def by_itself(folder: Path) -> None:
    """A training config with the overlay, which a loop does not share out."""
    files = [ROOT / "bundles" / SPLEEN / "configs" / "train.yaml", ROOT / "configs" / "training" / "multi_gpu.yaml"]
    own = {"budget", "rounds", "threads"}
    given = {name: value for name, value in {**SETTINGS, **BEST}.items() if name not in own}
    places = {"output_dir": str(folder / "run"), "cache_dir": str(folder / "cache")}
    ended = in_forks(lambda: monai.bundle.run(config_file=[str(file) for file in files], **given, **places), 2)
    left = sorted(file.name for file in (folder / "run").rglob("*") if file.is_file())
    print(json.dumps({"by itself": ended, "left": left}), flush=True)
    shutil.rmtree(folder / "run")


def another_number(folder: Path) -> None:
    """One process begins a run with an encoder, two go on with it."""

    def run(rounds: int) -> None:
        file = ROOT / "bundles" / CARDIAC / "configs" / "active_learning.yaml"
        places = {"output_dir": str(folder / "run"), "cache_dir": str(folder / "cache")}
        given = {**SETTINGS, **PRETRAINED, "pretrain_batch_size": 6, "rounds": rounds}
        monai.bundle.run(config_file=[str(file)], **given, **places)

    ended = [in_forks(lambda: run(1), 1), in_forks(lambda: run(2), 2)]
    log = (folder / "run" / "log.txt").read_text(encoding="utf-8")
    told = "started with 1 processes and goes on with 2" in log
    print(json.dumps({"another number": ended, "told": told}), flush=True)
    shutil.rmtree(folder / "run")


def kill_in_pretraining(folder: Path, run, name: str) -> None:
    """Either process dies after the first epoch; the embeddings and queries are those of a run that did not."""

    def results(output: str) -> list[bytes]:
        found = [*(folder / output).rglob("embeddings.npy"), *(folder / output).rglob("query.json")]
        return [file.read_bytes() for file in sorted(found)]

    for rank in (0, 1):
        kill = by(rank, lambda: kill_at_call(Resumption, "save", 1))
        killed = in_forks(lambda kill=kill: (kill(), run("killed")), 2)
        again = in_forks(lambda: run("killed"), 2)
        equal = results("killed") == results("run")
        print(
            json.dumps({"killed in": name, "rank": rank, "ended": killed, "again": again, "equal": equal}), flush=True
        )
        shutil.rmtree(folder / "killed", ignore_errors=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), sys.argv[2:])
