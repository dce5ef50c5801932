# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""``spread: bootstrap``: numbers against plain loops over run folders, and the tables."""

from __future__ import annotations

import json
import statistics

import numpy as np
import pytest

from monai_al.comparison import Comparison, comparison_table, comparison_text
from monai_al.comparison.bootstrap import bootstrap_spreads
from monai_al.comparison.metric import summarized
from monai_al.metrics.bootstrap import RESAMPLES
from monai_al.records import DataError, RunFolder

VOLUMES = ["v1", "v2", "v3", "v4", "v5"]
CLASSES = ["liver", "tumor"]
METRICS = ("dice_3d", "hd95_3d")


def mean(values):
    """Mean of what is defined, along the last axis."""
    values = np.ma.masked_invalid(values)
    return values.mean(axis=-1).filled(np.nan)


def drawn_scores(rounds, seed):
    """Scores (metric, round, volume, class), a few of them undefined."""
    draw = np.random.default_rng(seed)
    scores = draw.uniform(size=(len(METRICS), rounds, len(VOLUMES), len(CLASSES)))
    scores[draw.uniform(size=scores.shape) < 0.1] = np.nan
    return scores


def write(run, scores, write_run, volumes=VOLUMES):
    """A run folder whose rounds hold the scores of single volumes."""
    means = mean(mean(scores))
    rounds = range(scores.shape[1])
    write_run(run, [dict(zip(METRICS, means[:, round].tolist(), strict=True)) for round in rounds])
    for round in rounds:
        path = run / f"round_{round:02d}" / "metrics.json"
        content = json.loads(path.read_text())
        for number, metric in enumerate(METRICS):
            content[metric]["per_volume"] = {
                volume: {
                    name: None if np.isnan(x) else x
                    for name, x in zip(CLASSES, scores[number, round, place].tolist(), strict=True)
                }
                for place, volume in enumerate(volumes)
            }
        path.write_text(json.dumps(content))


def comparison_of(**more):
    runs = {"random": {}, "entropy": {}}
    return Comparison("Mine", "al.yaml", runs=runs, seeds=(0, 1), metrics=METRICS, spread="bootstrap", **more)


@pytest.fixture
def scores(tmp_path, write_run):
    """Of both runs and seeds, written into run folders."""
    found = {
        (name, seed): drawn_scores(3, 10 * i + seed) for i, name in enumerate(("random", "entropy")) for seed in (0, 1)
    }
    for (name, seed), own in found.items():
        write(tmp_path / name / f"seed_{seed}", own, write_run)
    return found


def slow(scores, name, number, kind):
    """The spread of the summary and of each round of the metric, draw by draw."""
    summaries, rounds = [], []
    for draw in np.random.default_rng(0).integers(len(VOLUMES), size=(RESAMPLES, len(VOLUMES))):
        curves = []
        for seed in (0, 1):
            of_volumes = mean(scores[name, seed][number])
            curves.append([float(np.nanmean(round[draw])) for round in of_volumes])
        labeled = (20, 40, 80)
        rows = [[{"labeled": n, METRICS[number]: x} for n, x in zip(labeled, own, strict=True)] for own in curves]
        summaries.append(np.mean([summarized(own, METRICS[number], kind) for own in rows]))
        rounds.append(np.mean(curves, axis=0))
    return 2 * statistics.stdev(summaries), 2 * np.std(rounds, axis=0, ddof=1)


@pytest.mark.parametrize(
    "kind", ["mean", *(pytest.param(kind, marks=pytest.mark.nightly) for kind in ("final", "best", "aubc"))]
)
def test_equals_plain_loops(tmp_path, scores, kind):
    spreads = comparison_table(comparison_of(summary=kind), tmp_path)["spreads"]
    for name in ("random", "entropy"):
        for number, metric in enumerate(METRICS):
            summary, rounds = slow(scores, name, number, kind)
            assert spreads.summary[metric][name] == pytest.approx(summary, rel=1e-9)
            if number == 0:
                np.testing.assert_allclose(spreads.rounds[name], rounds, rtol=1e-9)


def test_the_tables(tmp_path, scores):
    comparison = comparison_of()
    table = comparison_table(comparison, tmp_path)
    text = comparison_text(comparison, table)
    assert "mean over 2 seeds ± two standard deviations of it over 1000 draws of the test volumes" in text
    cells = [cell.strip() for line in text.splitlines() if line.startswith("| 3D Dice |") for cell in line.split("|")]
    of_all = np.mean([row["dice_3d"] for of_seed in table["curves"]["random"].values() for row in of_seed])
    assert f"{of_all:.3f} ± {table['spreads'].summary['dice_3d']['random']:.3f}" in cells
    first = np.mean([of_seed[0]["dice_3d"] for of_seed in table["curves"]["entropy"].values()])
    assert f"| entropy | {first:.3f} ± {table['spreads'].rounds['entropy'][0]:.3f} |" in text


def test_other_test_volumes_are_refused(tmp_path, scores, write_run):
    write(tmp_path / "entropy" / "seed_1", scores["entropy", 1], write_run, volumes=[*VOLUMES[:4], "v6"])
    folders = {name: {seed: RunFolder(tmp_path / name / f"seed_{seed}") for seed in (0, 1)} for name, _ in scores}
    with pytest.raises(DataError, match="seed_0 and .*entropy.seed_1 were tested on other volumes"):
        bootstrap_spreads(comparison_of(), folders)


def test_runs_without_scores_of_volumes_are_refused(tmp_path, write_all):
    write_all(tmp_path, {("random", 0): [0.5, 0.6, 0.7]})
    with pytest.raises(DataError, match="round 0 holds no dice_3d of single volumes.*take spread: seeds"):
        comparison_table(comparison_of(), tmp_path)
