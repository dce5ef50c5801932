# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The overlays ens_s and ens_js, and those that differ from them in the reduction alone, pixel by pixel in NumPy."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from monai_al.records import Item, Pool, Round
from monai_al.uncertainty import RunningSamples

FOLDER = Path(__file__).parents[2] / "configs" / "strategies"
MEMBERS, ITEMS, HEIGHT, WIDTH = 5, 6, 4, 7


def overlay(name):
    config = ConfigParser.load_config_file(FOLDER / f"{name}.yaml")
    strategy = ConfigParser({"selector": None, "strategy": config["strategy"]}).get_parsed_content("strategy")
    return config, strategy


def entropy(classes):
    return -sum(p * math.log(p) for p in classes if p > 0)


def scores_of(samples, *, divergence, total):
    """Scores of ``(M, B, H, W)`` foreground probabilities of a binary task, by loops over members and pixels."""
    found = []
    for item in range(ITEMS):
        pixels = []
        for row in range(HEIGHT):
            for column in range(WIDTH):
                each = [float(samples[m, item, row, column]) for m in range(MEMBERS)]
                mean = sum(each) / MEMBERS
                own = sum(entropy([p, 1 - p]) for p in each) / MEMBERS
                pixels.append(entropy([mean, 1 - mean]) - (own if divergence else 0))
        found.append(sum(pixels) if total else sum(pixels) / len(pixels))
    return found


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("name", "divergence", "total"),
    [
        ("ens_s", False, True),
        ("ens_js", True, True),
        ("ensemble_entropy", False, False),
        ("ensemble_mutual_information", True, False),
    ],
)
def test_scores_and_choice_equal_loops(name, divergence, total, channels):
    samples = np.random.default_rng(3).beta(0.5, 0.5, (MEMBERS, ITEMS, HEIGHT, WIDTH))
    samples[:, :, 0, 0] = [[0], [1], [0], [1], [1]]  # where a logarithm of 0 would be
    config, strategy = overlay(name)
    assert config["members"] == MEMBERS
    ((key, measure),) = strategy.needs().items()
    assert measure.samples == "members"
    running = RunningSamples((measure.map,))
    for member in torch.from_numpy(samples):
        running.update(torch.stack([1 - member, member], dim=1)[:, -channels:])
    expected = scores_of(samples, divergence=divergence, total=total)
    found = measure.score(running).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    pool = Pool([Item(str(i), f"{i}.png", str(i), str(i)) for i in range(ITEMS)])
    query = strategy.query(Round(1, pool, labeled=[2], seed=0, scores={key: found}), budget=3)
    ranked = [i for i in np.argsort(np.negative(expected)) if i != 2]
    assert query.ids == tuple(map(str, ranked[:3]))
