# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the released code of the selective uncertainty paper does otherwise: each in a few lines, and ours beside it.

``docs/released_code.md`` tells the same in words and names these tests. The variants are written from that description.
"""

from __future__ import annotations

import ast
import gc
import inspect
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.engines import SupervisedEvaluator
from torch import nn

from monai_al import strategies
from monai_al.data import Item, Pool, Round, RunFolder
from monai_al.engines import ActiveLearner
from monai_al.handlers import UncertaintyHandler
from monai_al.inferers import MCDropoutInferer
from monai_al.metrics import score_volume, summarize
from monai_al.selection import merge_alternating, top_k
from monai_al.strategies import Random, Selective, Strategy, Uncertainty
from monai_al.uncertainty import (
    MEASURES,
    Measure,
    RunningSamples,
    boundary_region,
    entropy,
    margin,
    mutual_information,
    target_region,
)

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "released_code.md"
TRAIN = ROOT / "bundles" / "selective_uncertainty_spleen" / "configs" / "train.yaml"


def ranked(strategy: Strategy, probs: torch.Tensor, *, seed: int = 0) -> list[int]:
    """All items in the order in which a strategy chooses them, from their probabilities ``(N, C, ...)``."""
    scores = {}
    for name, measure in strategy.needs().items():
        found: torch.Tensor | RunningSamples = probs
        if measure.stochastic:
            found = RunningSamples()
            for pass_ in (probs, (0.9 * probs + 0.1 * probs.roll(1, dims=-1))):
                found.update(pass_)
        scores[name] = measure.score(found).numpy()
    pool = Pool([Item(str(i), str(i), str(i), str(i)) for i in range(len(probs))])
    return [int(id) for id in strategy.query(Round(1, pool, [], seed, scores), len(probs)).ids]


def image(inside: float, outside: float = 1e-4, size: int = 12) -> torch.Tensor:
    """Foreground probability ``(1, size, size)``, another inside a square than outside."""
    probs = torch.full((1, size, size), outside)
    probs[:, 3:7, 3:7] = inside
    return probs


def released_region_mean(map: torch.Tensor, region: torch.Tensor) -> torch.Tensor:
    """A mean over a region where 0/0 becomes 0."""
    return torch.nan_to_num((map * region).flatten(1).sum(1) / region.flatten(1).sum(1))


# -- which slices come first -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("regions", ["target", "both"])
@pytest.mark.parametrize("measure", MEASURES)
def test_a_slice_without_target_is_never_first(measure, regions):
    probs = torch.stack([image(1e-4), image(0.45), image(0.99)])
    p = probs[:, 0]
    released = released_region_mean(p, p >= 0.2)  # least confidence as p itself, the lowest first
    assert released.argsort()[0] == 0
    assert ranked(Selective(measure, regions, reduction="mean"), probs)[-1] == 0


def test_least_confidence_of_the_whole_image_does_not_prefer_the_emptiest():
    probs = torch.stack([image(0.6), image(1e-4), image(0.3)])
    released = probs.flatten(1).sum(1)  # the sum of p, the lowest first
    assert released.argsort()[0] == 1
    for reduction in ("sum", "mean"):
        assert ranked(Uncertainty("least_confidence", reduction), probs) == [0, 2, 1]


def test_every_row_of_an_image_counts_for_the_margin():
    def released(p):
        first, second = p.sort(dim=-1, descending=True).values[0, :2]
        return 1 - (first - second)

    p = torch.rand(9, 7, generator=torch.Generator().manual_seed(0))
    other = p.clone()
    other[1:] = 0.99
    shuffled = p.flip(0)
    assert released(other) == released(p) != released(shuffled)
    one = torch.stack([p, other, shuffled]).unsqueeze(1)
    for probs in (one, torch.cat([1 - one, one], dim=1)):
        for measure in (Measure("margin"), Measure("margin", region="target", threshold=0.0)):
            here, changed, moved = measure.score(probs)
            assert changed < here
            torch.testing.assert_close(moved, here)


def test_entropy_counts_both_classes_and_is_finite():
    p = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0])
    released = -(p * p.log())
    assert released[0].isnan()
    assert released[1] > 2 * released[3]
    ours = entropy(p[:, None])
    assert ours[[0, 4]].tolist() == [0, 0]
    torch.testing.assert_close(ours, entropy(1 - p[:, None]))
    torch.testing.assert_close(margin(p[:, None]), margin(1 - p[:, None]))


# -- regions and how they are reduced ----------------------------------------------------------------------------------


def test_comparisons_are_strict():
    p = torch.tensor([[0.25, 0.375, 0.625]]).unsqueeze(1)  # exactly on the limits 0.25 and 0.5 - 0.125, 0.5 + 0.125
    released = (p[:, 0] >= 0.25).sum(), ((p[:, 0] - 0.5).abs() <= 0.125).sum()
    assert released == (3, 2)
    assert (target_region(p, 0.25).sum(), boundary_region(p, 0.125).sum()) == (2, 0)


def test_a_larger_region_counts_more_unless_the_mean_is_asked_for():
    small, large = image(1e-4), image(0.5)
    small[:, 3, 3] = 0.5
    large[:, 7:9, 3:7] = 0.3  # more pixels, some of them less uncertain
    probs = torch.stack([small, large])
    p = probs[:, 0]
    released = released_region_mean(entropy(probs), p >= 0.2)
    assert released.argsort(descending=True).tolist() == [0, 1]
    assert ranked(Selective("entropy", "target"), probs) == [1, 0]
    assert ranked(Selective("entropy", "target", reduction="mean"), probs) == [0, 1]


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("region", ["target", "boundary"])
def test_empty_regions_are_last_and_in_a_seeded_order(region, reduction):
    certain = image(1.0, 0.0) if region == "target" else image(0.5, 0.0)  # in its region, and hardly uncertain
    probs = torch.stack([*[image(0.0, 0.0)] * 8, certain])
    p = probs[:, 0]
    inside = p >= 0.2 if region == "target" else (p - 0.5).abs() <= 0.1
    released = released_region_mean(p, inside)
    assert released.argsort()[0] != 8  # lowest first: an empty region wins
    if region == "target":
        assert released_region_mean(entropy(probs), inside).unique().numel() == 1  # highest first: no difference
    orders = [ranked(Selective("entropy", region, reduction), probs, seed=seed) for seed in range(3)]
    assert [order[0] for order in orders] == [8, 8, 8]
    assert orders[0] == ranked(Selective("margin", region, reduction), probs, seed=0)
    assert orders[0] != orders[1] != orders[2]


def test_every_foreground_class_is_a_target():
    probs = torch.tensor([[0.5, 0.02, 0.48], [0.98, 0.01, 0.01]]).reshape(2, 3, 1)
    released = probs[:, 1] >= 0.2
    assert not released.any()
    assert target_region(probs).tolist() == boundary_region(probs).tolist() == [[True], [False]]
    one = torch.linspace(0, 1, 101)[None, None]
    two = torch.cat([1 - one, one], dim=1)
    assert torch.equal(target_region(two), target_region(one))
    assert torch.equal(boundary_region(two), boundary_region(one))


def test_two_halves_that_overlap_still_make_a_whole_query():
    target, boundary = [9.0, 8, 7, 6, 0, 0], [8.0, 9, 0, 0, 7, 6]
    printed = set(top_k(target, 2).tolist()) | set(top_k(boundary, 2).tolist())  # eq. 5 for k = 4
    assert len(printed) == 2
    assert merge_alternating(target, boundary, 4).tolist() == [0, 1, 2, 4]


def test_one_threshold_and_one_width_for_all_measures():
    settings = {(m.threshold, m.width) for name in MEASURES for m in Selective(name).needs().values()}
    assert settings == {(0.2, 0.1)}
    overlays = sorted((ROOT / "configs" / "strategies").glob("selective_*.yaml"))
    assert {file.stem.removeprefix("selective_") for file in overlays} <= set(MEASURES)
    assert len(overlays) >= 5
    assert [file.name for file in overlays if re.search("threshold|width", file.read_text(encoding="utf-8"))] == []


# -- several passes ----------------------------------------------------------------------------------------------------


def network(dropout: float) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Dropout(dropout), nn.Conv2d(4, 2, 1))


def tensors_alive() -> int:
    return sum(type(thing) is torch.Tensor for thing in gc.get_objects())


def scored(net: nn.Module, images: list[torch.Tensor], measure: Measure) -> np.ndarray:
    handler = UncertaintyHandler({"m": measure}, seed=0)
    evaluator = SupervisedEvaluator(torch.device("cpu"), [{"image": i} for i in images], net, decollate=False)
    handler.attach(evaluator)
    evaluator.run()
    return handler.scores["m"]


@pytest.mark.parametrize("name", ["mc_dropout", "bald"])
def test_passes_without_dropout_are_an_error(name):
    net, images = network(0.0), torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        released = torch.stack([net.train()(images).softmax(1) for _ in range(10)])
    assert mutual_information(released).max() < 1e-6  # the passes are equal: nothing to rank by
    with pytest.raises(ValueError, match="no active dropout layer"):
        scored(net, [images], Measure.of(name, passes=10))
    assert (scored(network(0.3), [images], Measure.of(name, passes=10)) > 0).all()


def test_images_of_any_size_are_scored():
    sizes = [(8, 8), (520, 6), (5, 1030)]
    images = [torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(0)) for size in sizes]
    with pytest.raises(RuntimeError, match="must match"):
        torch.zeros(512, 512)[: sizes[1][0]].copy_(images[1][0, 0])  # a buffer of one size for all
    measure = Measure("mutual_information", region="target", reduction="sum", passes=3)
    net = network(0.3)
    together = scored(net, images, measure)
    assert together.shape == (6,)
    np.testing.assert_allclose(together[:2], scored(net, images[:1], measure), rtol=1e-5)
    assert np.isfinite(together).all()


def test_passes_are_not_kept():
    data, passes = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), 7

    def growth(run):
        net, alive = network(0.3), []
        gc.collect()  # else tensors of other tests may go while these are counted
        net.register_forward_hook(lambda *_: alive.append(tensors_alive()))
        with torch.no_grad():
            run(net)
        return alive[-1] - alive[2]  # by then, one plain prediction and the first passes have been made

    assert growth(lambda net: MCDropoutInferer(passes)(data, net)) == passes - 3  # one tensor a pass, to stack them
    assert growth(lambda net: scored(net, [data], Measure("mutual_information", passes=passes))) == 0


# -- the loop ----------------------------------------------------------------------------------------------------------


def test_all_strategies_are_called_alike():
    class Another(Random):
        def query(self, round, budget, labels):
            raise AssertionError

    def odd_ones(classes):
        return [
            f"{cls.__name__}.{method}"
            for cls in classes
            for method in ("needs", "select", "query")
            if list(inspect.signature(getattr(cls, method)).parameters)
            != list(inspect.signature(getattr(Strategy, method)).parameters)
        ]

    ours = [cls for _, cls in inspect.getmembers(strategies, inspect.isclass) if issubclass(cls, Strategy)]
    assert {Random, Selective, Uncertainty} <= set(ours)
    assert odd_ones(ours) == []
    assert odd_ones([*ours, Another]) == ["Another.query"]


CLASSES = ["background", "organ"]
SHAPE = (32, 32, 6)


def write_data_set(root: Path) -> None:
    """Six volumes whose slices 2 to 4 hold an organ."""
    rng = np.random.default_rng(0)
    for number in range(6):
        label = np.zeros(SHAPE, np.uint8)
        label[8 + number : 18 + number, 8:20, 2:5] = 1
        intensities = 100 * label.astype(np.int16) + rng.integers(-60, 60, SHAPE).astype(np.int16)
        for folder, array in (("images", intensities), ("labels", label)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, np.eye(4)), root / folder / f"case{number}.nii.gz")


def run_loop(root: Path, output: Path, **settings) -> RunFolder:
    overrides = {
        "datalist": {"_target_": "monai_al.datasets.folder", "root": str(root), "classes": CLASSES},
        "cache_dir": str(output / "cache"),
        "image_size": list(SHAPE[:2]),
        "channels": [4, 8],
        "steps": 4,
        "batch_size": 4,
        "device": "cpu",
        "progress": False,
        **settings.pop("overrides", {}),
    }
    learner = ActiveLearner(
        TRAIN, Selective("entropy"), output / "run", overrides=overrides, rounds=2, progress=False, **settings
    )
    learner.run()
    return learner.folder


def test_a_query_depends_on_no_label_but_those_it_asked_for(tmp_path):
    """Neither the initial set nor a threshold nor the choice of a model may look at labels that nobody gave yet."""
    first, second = tmp_path / "first", tmp_path / "second"
    write_data_set(first / "data")
    before = run_loop(first / "data", first, budget=12)
    initial = before.query(0).ids
    shutil.copytree(first / "data", second / "data")
    for path in sorted((second / "data" / "labels").iterdir()):
        label = np.asarray(nib.load(path).dataobj).copy()
        asked = [int(id.split("/")[1]) for id in initial if id.split("/")[0] == path.name.removesuffix(".nii.gz")]
        others = [z for z in range(SHAPE[2]) if z not in asked]
        label[..., others] = 1 - label[..., others]
        nib.save(nib.Nifti1Image(label, np.eye(4)), path)
    after = run_loop(second / "data", second, budget=12)

    def foreground_first(root):
        """The released initial set: random slices among those that hold foreground."""
        labels = {path.name: np.asarray(nib.load(path).dataobj) for path in sorted((root / "labels").iterdir())}
        holding = [f"{name}/{z}" for name, label in labels.items() for z in range(SHAPE[2]) if label[..., z].any()]
        return np.random.default_rng(0).choice(holding, 12, replace=False).tolist()

    assert foreground_first(first / "data") != foreground_first(second / "data")
    assert {id.split("/")[1] for id in initial} & {"0000", "0001", "0005"}  # slices without foreground are among them
    assert after.query(0) == before.query(0)
    assert after.query(1) == before.query(1)
    assert after.metrics(0)["dice_3d"] != before.metrics(0)["dice_3d"]  # which a choice by test Dice would have seen


def test_batch_norm_learns_in_every_epoch_of_every_round(tmp_path):
    net, seen = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), []
    net.train()  # once, before the first epoch
    for _ in range(4):
        net(torch.randn(2, 1, 8, 8))
        net.eval()
        seen.append(int(net[1].num_batches_tracked))
    assert seen == [1, 1, 1, 1]  # frozen from the first validation on

    write_data_set(tmp_path / "data")
    validated = {"validation_fraction": 0.25, "steps_per_epoch": 1, "model": "last", "early_stopping": 99}
    folder = run_loop(tmp_path / "data", tmp_path, budget=4, initial_weights="previous", overrides=validated)
    for number in range(2):
        weights = torch.load(folder.model_path(number, 0), weights_only=True)["model"]
        steps = {int(value) for name, value in weights.items() if name.endswith("num_batches_tracked")}
        assert steps == {4 * (number + 1)}  # each step of each round, although every step was followed by a validation


# -- measuring ---------------------------------------------------------------------------------------------------------


def test_slices_without_foreground_do_not_lift_the_dice():
    truth = np.zeros((16, 16, 20), dtype=np.uint8)
    truth[4:9, 4:9, 9:11] = 1
    missed = np.zeros_like(truth)

    def released(prediction, epsilon=1e-5):
        overlap = (prediction * truth).sum((0, 1))
        return ((2 * overlap + epsilon) / (prediction.sum((0, 1)) + truth.sum((0, 1)) + epsilon)).mean()

    assert released(missed) == pytest.approx(0.9, abs=1e-3)  # nothing was found
    summary = summarize([("a", "a", score_volume(missed, truth, (1, 1, 1), 2))], CLASSES)
    assert summary["dice_3d"]["mean"] == summary["dice_2d"]["mean"] == 0
    nothing = summarize([("a", "a", score_volume(missed, missed, (1, 1, 1), 2))], CLASSES)
    assert nothing["dice_3d"]["mean"] is None
    assert nothing["counts"]["both_empty"] == 1


# -- the page ----------------------------------------------------------------------------------------------------------

NODE = re.compile(r"tests/[\w/]+\.py::\w+(?:::\w+)*")


def names_in(file: Path) -> set[str]:
    """``test_...`` and ``TestClass::test_...`` of a test file."""
    names = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
    return names


def missing_nodes(text: str) -> list[str]:
    nodes = sorted(set(NODE.findall(text)))
    return [
        node
        for node in nodes
        if not (ROOT / node.split("::")[0]).is_file()
        or node.partition("::")[2] not in names_in(ROOT / node.split("::")[0])
    ]


def test_every_test_named_on_the_page_exists():
    text = PAGE.read_text(encoding="utf-8")
    assert missing_nodes(text) == []
    assert all(f"::{name}`" in text for name in names_in(Path(__file__)) if name.startswith("test_"))


def test_a_test_that_does_not_exist_is_found():
    here = Path(__file__).relative_to(ROOT).as_posix()
    text = f"`{here}::test_comparisons_are_strict`, `{here}::test_gone`, `tests/strategies/gone.py::test_gone`"
    assert missing_nodes(text) == ["tests/strategies/gone.py::test_gone", f"{here}::test_gone"]
