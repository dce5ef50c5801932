# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.inferers import SimpleInferer
from monai.transforms import SpatialPadd

from monai_al.data import Item, Pool, VolumeCache, slices_of
from monai_al.inferers import TrainedNetwork
from monai_al.networks import MeanOfMembers
from monai_al.passes import evaluate_items, run_pass, score_items
from monai_al.sources.slice_source import SliceSource
from monai_al.uncertainty import Measure

SHAPES = {"a": (8, 8, 3), "b": (8, 8, 4), "c": (8, 16, 2), "d": (8, 8, 1)}


def batches(items, cache, batch_size=64, **options):
    return SliceSource(Pool([]), cache).loader(items, batch_size=batch_size, **options)


class Recorder:
    """A handler that keeps every batch."""

    def __init__(self):
        self.batches = []

    def attach(self, engine):
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine):
        self.batches.append(engine.state.batch)


@pytest.fixture
def data(tmp_path):
    items = []
    for number, (name, shape) in enumerate(SHAPES.items()):
        random = np.random.default_rng(number)
        paths = [str(tmp_path / f"{name}{end}.nii") for end in ("", "_label")]
        nib.save(nib.Nifti1Image(random.random(shape).astype(np.float32), np.eye(4)), paths[0])
        nib.save(nib.Nifti1Image(random.integers(0, 3, shape).astype(np.uint8), np.eye(4)), paths[1])
        items += slices_of(shape[2], image=paths[0], volume=name, patient=name, label=paths[1])
    return items, VolumeCache(tmp_path / "cache", None, {0: 0, 1: 1, 2: 2}, progress=False)


def evaluated(network, items, cache, batch_size=64):
    trained = TrainedNetwork(network, torch.device("cpu"), SimpleInferer(), "softmax")
    source = SliceSource(Pool(items, ("background", "liver", "tumor")), cache)
    return evaluate_items(source, trained, items, batch_size=batch_size)


def network(dropout=0.0):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.Dropout(dropout),
        torch.nn.Conv2d(8, 3, 3, padding=1),
    )  # fmt: skip


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_batches_are_full_in_order_and_of_one_shape(data, batch_size):
    items, cache = data
    recorder = Recorder()
    run_pass(network(), batches(items, cache, batch_size), [recorder])
    assert [id for batch in recorder.batches for id in batch["id"]] == [item.id for item in items]
    groups = [7, 2, 1]  # a and b share their shape, d has it again after c
    expected = [min(batch_size, n - start) for n in groups for start in range(0, n, batch_size)]
    assert [len(batch["id"]) for batch in recorder.batches] == expected
    for batch in recorder.batches:
        assert batch["image"].shape == (len(batch["id"]), 1, 8, 16 if batch["id"][0][0] == "c" else 8)
        assert "label" not in batch


def test_whole_volumes_share_a_batch_only_where_their_depth_agrees(data):
    _, cache = data
    items = [
        Item(n, str(cache.cache_dir.parent / f"{n}.nii"), n, n, str(cache.cache_dir.parent / f"{n}_label.nii"))
        for n in "abcd"
    ]
    recorder = Recorder()
    run_pass(torch.nn.Identity(), batches([items[0], items[0], *items[1:]], cache, with_label=True), [recorder])
    assert [tuple(batch["image"].shape) for batch in recorder.batches] == [
        (2, 1, 8, 8, 3),
        (1, 1, 8, 8, 4),
        (1, 1, 8, 16, 2),
        (1, 1, 8, 8),
    ]
    assert [batch["label"].shape for batch in recorder.batches] == [batch["image"].shape for batch in recorder.batches]


@pytest.mark.parametrize("training", [True, False])
def test_every_part_of_the_network_comes_back_in_its_mode(data, training):
    items, cache = data
    net = network().train(training)
    net[1].train(not training)  # such as a frozen norm
    before = [module.training for module in net.modules()]
    modes = []
    net.register_forward_hook(lambda *_: modes.extend(module.training for module in net.modules()))
    run_pass(net, batches(items, cache), [])
    assert modes
    assert not any(modes)
    assert [module.training for module in net.modules()] == before

    def failing(engine):
        raise RuntimeError("stop")

    broken = SimpleNamespace(attach=lambda engine: engine.add_event_handler(Events.ITERATION_STARTED, failing))
    with pytest.raises(RuntimeError, match="stop"):
        run_pass(net, batches(items, cache), [broken])
    assert [module.training for module in net.modules()] == before


NEEDS = {
    "entropy": Measure("entropy"),
    "margin_of_the_border": Measure("margin", region="boundary", width=0.3),
    "confidence": Measure("least_confidence", reduction="sum"),
}


def test_scores_do_not_depend_on_the_batch_size(data):
    items, cache = data
    found = [score_items(network(), batches(items, cache, n), NEEDS) for n in (1, 3, 64)]
    for scores in found:
        assert list(scores) == list(NEEDS)
        for name, values in scores.items():
            assert (values.dtype, values.shape) == (np.float64, (10,))
            np.testing.assert_allclose(values, found[0][name], rtol=1e-5)


def test_the_evaluator_predicts_nothing_where_only_further_predictions_count(data):
    items, cache = data
    net, calls = network(dropout=0.5), []
    net.register_forward_hook(lambda *_: calls.append(1))
    several = {"bald": Measure.of("bald", passes=3), "mc": Measure.of("mc_dropout", passes=3)}
    alone = score_items(net, batches(items, cache), several, seed=4)
    n_batches = 3
    assert len(calls) == 3 * n_batches
    beside = score_items(net, batches(items, cache), {**several, "entropy": Measure()}, seed=4)
    assert len(calls) == (3 + 4) * n_batches
    for name, values in alone.items():
        np.testing.assert_array_equal(values, beside[name])
    one, other = network(), network()
    with torch.no_grad():
        next(other.parameters()).add_(1)
    members = MeanOfMembers([one, other], lambda logits: logits.softmax(1))
    one.register_forward_hook(lambda *_: calls.append(1))
    calls.clear()
    found = score_items(members, batches(items, cache), {"m": Measure.of("ensemble_variance")}, activation="none")
    assert len(calls) == n_batches
    assert (found["m"] > 0).all()


def test_scores_are_those_of_each_item_alone(data):
    items, cache = data
    net = network().eval()
    scores = score_items(net, batches(items, cache), {"entropy": NEEDS["entropy"]})["entropy"]
    for item, score in zip(items, scores, strict=True):
        with torch.no_grad():
            probs = net(torch.from_numpy(cache.get(item).image[item.slice])[None]).softmax(1)[0].double().numpy()
        expected = np.mean([-sum(p * np.log(p) for p in probs[:, y, x]) for y, x in np.ndindex(*probs.shape[1:])])
        assert score == pytest.approx(expected, rel=1e-5)
    turned = score_items(net, batches(items[::-1], cache), {"entropy": NEEDS["entropy"]})["entropy"]
    np.testing.assert_allclose(turned[::-1], scores, rtol=1e-6)


def test_padding_is_not_scored(tmp_path, data):
    items, _ = data
    padded = VolumeCache(tmp_path / "c", SpatialPadd(["image", "label"], (24, 24, -1)), {0: 0, 1: 1, 2: 2}, False)
    one = torch.nn.Conv2d(1, 3, 1)  # looks at no neighbors, so that padding changes nothing inside
    scores = score_items(one, batches(items, padded), {"entropy": NEEDS["entropy"]})["entropy"]
    np.testing.assert_allclose(
        scores, score_items(one, batches(items, data[1]), {"entropy": NEEDS["entropy"]})["entropy"], rtol=1e-6
    )


class Unlabeled:
    """A cache whose volumes fail when a label is asked for."""

    def __init__(self, cache):
        self.cache = cache

    def get(self, item):
        volume = self.cache.get(item)

        class Volume(SimpleNamespace):
            @property
            def label(self):
                raise AssertionError("the label was read")

            truth = label

        return Volume(image=volume.image, valid=volume.valid, geometry=volume.geometry)


def test_scoring_reads_no_labels(data):
    items, cache = data
    found = score_items(network(), batches(items, Unlabeled(cache)), NEEDS)
    expected = score_items(network(), batches(items, cache), NEEDS)
    for name in NEEDS:
        np.testing.assert_array_equal(found[name], expected[name])
    with pytest.raises(AssertionError, match="the label was read"):
        run_pass(network(), batches(items, Unlabeled(cache), with_label=True), [])


def test_stochastic_scores_are_fixed_by_their_seed_and_leave_the_random_state(data):
    items, cache = data
    needs = {"bald": Measure.of("bald")}
    net = network(dropout=0.5)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = score_items(net, batches(items, cache), needs, seed=1)["bald"]
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    np.testing.assert_array_equal(score_items(net, batches(items, cache), needs, seed=1)["bald"], first)
    assert (score_items(net, batches(items, cache), needs, seed=2)["bald"] != first).any()
    assert net.training
    before = torch.get_rng_state()
    evaluated(net, items, cache)
    assert torch.equal(torch.get_rng_state(), before)


def test_nothing_to_do_runs_nothing():
    def network(x):
        raise AssertionError

    assert score_items(network, [object()], {}) == {}
    assert score_items(network, [], NEEDS)["entropy"].shape == (0,)
    assert evaluated(network, [], None)["dice_3d"]["mean"] is None


def test_the_given_inferer_is_used(data):
    items, cache = data

    class Zero(SimpleInferer):
        def __call__(self, inputs, network, *args, **kwargs):
            return network(inputs) * 0

    scores = score_items(network(), batches(items, cache), {"entropy": NEEDS["entropy"]}, inferer=Zero())["entropy"]
    np.testing.assert_allclose(scores, np.log(3), rtol=1e-6)


def test_evaluation_scores_each_volume_once_whatever_the_batch_size(data):
    items, cache = data
    found = [evaluated(network(), items, cache, n)["dice_3d"]["per_volume"] for n in (1, 3, 64)]
    assert list(found[0]) == list(SHAPES)
    for scores in found[1:]:
        for name, of_class in scores.items():
            assert of_class == pytest.approx(found[0][name])
