# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Every strategy overlay on a bundle: accepted, resolved, tried on the network, and asked on a made-up round.

tests/integration/test_bundle.py runs them end to end: those that bring something new always, all of them nightly.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from monai_al.data import Item, Pool, Round
from monai_al.engines import ActiveLearner
from monai_al.handlers.named_embeddings import is_pixels
from monai_al.handlers.needs import needs_of
from monai_al.strategies import Strategy
from monai_al.uncertainty import Measure

ROOT = Path(__file__).parents[2]
BUNDLES = sorted(path.parent for path in ROOT.glob("bundles/*/configs/active_learning.yaml"))
OVERLAYS = sorted((ROOT / "configs" / "strategies").glob("*.yaml"))
SELECTOR = ROOT / "configs" / "selectors" / "stochastic_batches.yaml"
LOOP = ROOT / "bundles" / "selective_uncertainty_spleen" / "configs"
ENCODER = ROOT / "bundles" / "group_contrastive_cardiac" / "configs" / "pretrain.yaml"
SMALL = {
    "phantom": {"patients": 3, "volumes_per_patient": 1, "shape": [32, 32, 6], "classes": ["background", "spleen"]},
    "image_size": [32, 32], "channels": [4, 8], "device": "cpu", "progress": False,
}  # fmt: skip
NAMES = {  # of the strategies that are not called as their overlay
    "coreset_bottleneck": "coreset (bottleneck)",
    "coreset_encoder": "coreset (encoder)",
    "coreset_pixels": "coreset (pixels)",
    "ens_js": "ensemble_mutual_information",
    "ens_s": "ensemble_entropy",
    "foreground_aware_random_33": "foreground-aware random 33 % (uses the truth)",
    "foreground_aware_random_66": "foreground-aware random 66 % (uses the truth)",
    "mc_dropout_divergence": "bald",
    "patient_stratified_random": "patient-stratified random",
    "random_volumes": "random",
}
N, LABELED, BUDGET = 30, [2, 9, 17, 25], 5

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def learner(cache_dir, tmp_path):
    """The loop of a bundle with an overlay, as the command line makes it; it is not run."""

    def make(overlay: Path, **more) -> ActiveLearner:
        options = {**SMALL, "cache_dir": str(cache_dir), "output_dir": str(tmp_path / "run"), **more}
        if overlay.stem.startswith("ens"):
            options["members"] = 2
        files = [str(LOOP / "active_learning.yaml"), str(overlay)]
        workflow = ConfigWorkflow(files, workflow_type="train", logging_file=False, encoder=str(ENCODER), **options)
        workflow.initialize()  # which refuses an id of the overlay that nothing refers to
        return workflow.parser.get_parsed_content("learner")

    return make


def strategy_of(bundle: Path, *overlays: Path) -> Strategy:
    content = ConfigParser.load_config_files([str(bundle / "active_learning.yaml"), *map(str, overlays)])
    config = {id: content[id] for id in ("selector", "strategy")}
    return ConfigParser(config).get_parsed_content("strategy")


def a_round(strategy: Strategy) -> Round:
    """What the strategy asks for, drawn at random."""
    draw = np.random.default_rng(0)
    scores, embeddings = {}, {}
    for name, need in needs_of(strategy).items():
        if isinstance(need, Measure):
            drawn = torch.from_numpy(draw.random((N, 1) if need.per_class else N))  # one foreground class
            drawn[LABELED] = -torch.inf
            scores |= {own: values.numpy() for own, values in need.named(name, drawn).items()}
        else:
            side = int(need.partition(":")[2] or 8) if is_pixels(need) else 4
            width = {"loss_predictor": 1, "agreement": 2}.get(need, side * side)
            embeddings[name] = draw.random((N, width), dtype=np.float32)
    items = [Item(f"v{i // 6}/{i % 6:04d}", "no.nii", f"v{i // 6}", f"p{i // 12}", slice=i % 6) for i in range(N)]
    present = draw.random((N, 2)) < 0.5 if strategy.uses_truth else None
    pool = Pool(items, classes=["background", "spleen"])
    return Round(1, pool, np.array(LABELED), 0, scores, embeddings, present)


def quick(strategy: Strategy) -> Strategy:
    """With fewer steps, where it trains something itself."""
    few = {"steps": 2, "epochs": 5, "batch_size": 4}
    for settings in (vars(strategy), vars(strategy).get("training", {})):
        settings.update({name: number for name, number in few.items() if name in settings})
    return strategy


@each_overlay
def test_an_overlay_gives_a_strategy_that_the_network_of_the_bundle_can_serve(overlay, learner):
    active = learner(overlay)
    strategy = active.strategy
    assert strategy.name == NAMES.get(overlay.stem, strategy.name)
    active._prepare()  # which checks what it needs


@each_overlay
def test_its_strategy_chooses(overlay):
    strategy = quick(strategy_of(LOOP, overlay))
    round = a_round(strategy)
    query = strategy.query(round, BUDGET)
    assert len(set(query.ids)) == BUDGET
    assert len({item.score is None for item in query.items}) == 1  # all have a score, or none
    assert strategy.needs() or query.items[0].score is None
    if "selector" in overlay.read_text(encoding="utf-8"):
        batches = quick(strategy_of(LOOP, overlay, SELECTOR))
        assert batches.name == f"{strategy.name} with stochastic batches"
        query = batches.query(round, BUDGET)
        assert len(set(query.ids)) == BUDGET
        assert all("best of the stochastic batches" in item.reason for item in query.items)
        spread = quick(strategy_of(LOOP, overlay, SELECTOR.with_name("stratified.yaml")))
        assert spread.name == f"{strategy.name}, stratified by patient"
        chosen = [round.pool.index(id) // 12 for id in quick(spread).query(round, BUDGET).ids]
        counts = np.bincount([i // 12 for i in LABELED] + chosen)  # of patients with 12, 12 and 6 items
        assert counts.tolist() == [3, 3, 3]


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.parent.name)
def test_the_strategy_of_a_bundle_chooses(bundle):
    strategy = quick(strategy_of(bundle))
    assert len(set(strategy.query(a_round(strategy), BUDGET).ids)) == BUDGET
