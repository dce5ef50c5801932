# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Run folders of comparisons, written without training."""

from __future__ import annotations

import json

import pytest
import torch

N_ITEMS = 400
SIZES = [20, 20, 40]


def _write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def _write_run(
    folder, scores, *, sizes=None, initial=("a/0001", "b/0002"), pool=None, weights=None, seconds=None, price=1.0,
    test_labels=None, **record
):  # fmt: skip
    """A run folder with one round for each score: a 3D Dice, or metric -> value.

    ``record`` is more of run.json, ``weights`` those of the first model, ``seconds`` the time of each round.
    """
    sizes = sizes or SIZES[: len(scores)]
    _write(folder / "run.json", {"schema_version": 1, "sizes": sizes, "rounds": len(sizes), **record})
    if pool is not None:
        _write(folder / "pool.json", pool)
    for number, score in enumerate(scores):
        labeled = sum(sizes[: number + 1])
        items = [{"id": id, "score": None} for id in initial] if number == 0 else [{"id": f"c/{number:04d}"}]
        place = folder / f"round_{number:02d}"
        _write(
            place / "query.json", {"round": number, "strategy": "s" if number else "random", "seed": 0, "items": items}
        )
        own = {"dice_3d": score, "dice_2d": 0.999, "hd95_3d": None} | (score if isinstance(score, dict) else {})
        metrics = {"labeled": labeled, "fraction": labeled / N_ITEMS, "cost": {"total": price * labeled}}
        metrics |= {} if test_labels is None else {"test_labels": test_labels}
        metrics |= {name: {"mean": own[name], "per_class": {}} for name in ("dice_3d", "dice_2d", "hd95_3d")}
        metrics["dice_3d"]["per_class"] = {"liver": own["dice_3d"]}
        _write(place / "metrics.json", metrics)
        if seconds is not None:
            _write(place / "timings.json", {"train_s": seconds[number]})
    if weights is not None:
        torch.save({"model": weights}, folder / "round_00" / "model_0.pt")


def _write_all(root, curves, **more):
    """``curves``: (name, seed) -> score of each round; "all" stands for the run on everything."""
    for (name, seed), scores in curves.items():
        _write_run(root / name / f"seed_{seed}", scores, sizes=[N_ITEMS] if name == "all" else None, **more)


@pytest.fixture(scope="session")
def write_run():
    return _write_run


@pytest.fixture(scope="session")
def write_all():
    return _write_all
