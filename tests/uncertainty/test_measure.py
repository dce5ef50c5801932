# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch

from monai_al.uncertainty import (
    MAPS,
    MEASURES,
    SAMPLE_MAPS,
    Augmentation,
    ClassMeasure,
    Measure,
    RunningSamples,
    boundary_region,
    class_weighted_entropy,
    entropy,
    entropy_from_logits,
    least_confidence,
    margin,
    mutual_information,
    of_class,
    predictive_entropy,
    probabilities,
    reduce_map,
    score_logits,
    target_region,
    variance,
    variance_ratio,
)

FUNCTIONS = {
    f.__name__: f
    for f in (entropy, least_confidence, margin, predictive_entropy, mutual_information, variance, variance_ratio)
}


def random_logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def region_of(measure: Measure, probs: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor | None:
    region = {
        None: None,
        "target": target_region(probs, measure.threshold),
        "boundary": boundary_region(probs, measure.width),
    }[measure.region]
    if region is None or valid is None:
        return valid if region is None else region
    return region & valid


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("region", [None, "target", "boundary"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("channels", [1, 4])
def test_score_is_map_region_reduction(name, region, reduction, masked, channels):
    logits = random_logits(3, channels, 9, 7)
    probs = probabilities(logits, "sigmoid" if channels == 1 else "softmax")
    valid = random_logits(3, 9, 7, seed=1) > 0 if masked else None
    measure = Measure(name, region=region, reduction=reduction, threshold=0.3, width=0.2)
    expected = reduce_map(FUNCTIONS[name](probs), region_of(measure, probs, valid), reduction)
    torch.testing.assert_close(measure.score(probs, valid=valid), expected)


@pytest.mark.parametrize("name", SAMPLE_MAPS)
@pytest.mark.parametrize("region", [None, "target", "boundary"])
@pytest.mark.parametrize("masked", [False, True])
def test_stochastic_regions_lie_on_the_mean(name, region, masked):
    samples = torch.stack([random_logits(2, 3, 6, 6, seed=t).softmax(1) for t in range(4)])
    valid = random_logits(2, 6, 6, seed=9) > 0 if masked else None
    running = RunningSamples()
    for probs in samples:
        running.update(probs)
    measure = Measure(name, region=region, reduction="sum")
    expected = reduce_map(FUNCTIONS[name](samples), region_of(measure, samples.mean(0), valid), "sum")
    torch.testing.assert_close(measure.score(running, valid=valid), expected)


def test_nothing_that_counts_ranks_last():
    background = torch.tensor([1.0, 0.0]).reshape(1, 2, 1).expand(1, 2, 5)
    for name, region in itertools.product(MAPS, ("target", "boundary")):
        assert Measure(name, region=region).score(background).item() == -math.inf
    nowhere = torch.zeros(1, 5, dtype=torch.bool)
    assert Measure().score(background, valid=nowhere).item() == -math.inf


@pytest.mark.parametrize("name", MAPS)
def test_an_item_without_foreground_is_never_first(name):
    empty = torch.full((1, 8, 8), 1e-4)
    target = torch.full((1, 8, 8), 1e-4)
    target[:, 2:5, 2:5] = 0.55
    probs = torch.stack([empty, target])
    for region, reduction in itertools.product((None, "target", "boundary"), ("mean", "sum")):
        scores = Measure(name, region=region, reduction=reduction).score(probs)
        assert scores[1] > scores[0]


@pytest.mark.parametrize("name", [*MAPS])
@pytest.mark.parametrize("region", [None, "target", "boundary"])
def test_moving_rows_does_not_change_the_score(name, region):
    probs = random_logits(2, 3, 16, 5).softmax(1)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(3))
    measure = Measure(name, region=region, reduction="sum")
    torch.testing.assert_close(measure.score(probs), measure.score(probs[:, :, order]))


def test_multilabel_measure():
    probs = random_logits(2, 3, 5).sigmoid()
    expected = reduce_map(entropy(probs, multilabel=True), target_region(probs, 0.2, multilabel=True))
    torch.testing.assert_close(Measure(region="target").score(probs, multilabel=True), expected)
    with pytest.raises(ValueError, match="multilabel"):
        Measure().score(probs)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"map": "energy"}, "map 'energy' is none of entropy"),
        ({"map": "bald"}, "map 'bald'"),
        ({"region": "background"}, "region 'background' is none of target, boundary"),
        ({"reduction": "max"}, "reduction 'max'"),
        ({"threshold": 1.0}, "threshold"),
        ({"width": 0.0}, "width"),
        ({"passes": 0}, "passes"),
        ({"passes": 2.5}, "passes"),
        ({"map": "mutual_information", "passes": 1}, "at least 2"),
        ({"map": "variance", "samples": "dice"}, "samples 'dice' is none of dropout, augmentation, members"),
        ({"samples": "members"}, "needs one prediction"),
        ({"map": "variance", "augmentation": Augmentation()}, "no use where the predictions come from dropout"),
    ],
)
def test_refuses_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        Measure(**settings)


def test_names():
    for name, measure in MEASURES.items():
        assert Measure.of(name) == measure
        assert Measure.of(name, reduction="sum") == replace(measure, reduction="sum")
    assert {name for name in MEASURES if not Measure.of(name).stochastic} == {"entropy", "least_confidence", "margin"}
    kinds = {name: measure.samples for name, measure in MEASURES.items() if measure.stochastic}
    assert {"mc_dropout", "bald"} == {name for name, kind in kinds.items() if kind == "dropout"}
    assert all(name.startswith("tta") == (kind == "augmentation") for name, kind in kinds.items())
    assert all(name.startswith("ensemble") == (kind == "members") for name, kind in kinds.items())
    assert Measure.of("variance", passes=3) == Measure("variance", passes=3)
    assert Measure.of(Measure("margin")) == Measure("margin")
    with pytest.raises(ValueError, match="'bold' is none of entropy"):
        Measure.of("bold")


def test_one_or_several_predictions():
    with pytest.raises(ValueError, match="needs several predictions"):
        Measure("variance").score(torch.full((1, 1), 0.5))
    running = RunningSamples()
    running.update(torch.full((1, 1), 0.5))
    with pytest.raises(ValueError, match="needs one prediction"):
        Measure("entropy").score(running)


@pytest.mark.parametrize("region", [None, "target"])
def test_refuses_a_mask_of_another_shape(region):
    with pytest.raises(ValueError, match="shape"):
        Measure(region=region).score(torch.full((2, 1, 4), 0.5), valid=torch.ones(2, 1, dtype=torch.bool))


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4, 1e30])
@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_entropy_from_logits_equals_entropy_of_softmax(scale, classes, dtype):
    logits = (scale * random_logits(3, classes, 11, 5)).to(dtype)
    expected = entropy(logits.double().softmax(1))
    actual = entropy_from_logits(logits)
    assert actual.dtype == dtype
    assert (actual >= 0).all()
    torch.testing.assert_close(actual.double(), expected, atol=2e-6 if dtype == torch.float32 else 1e-12, rtol=0)


def test_entropy_from_extreme_logits():
    inf = math.inf
    logits = torch.tensor([[1e4, -1e4], [-1e4, -1e4], [1e4, 1e4], [3e38, -3e38], [0.0, -inf]])
    assert entropy_from_logits(logits).tolist() == pytest.approx([0, math.log(2), math.log(2), 0, 0], abs=1e-7)
    three = torch.tensor([[0.0, 0.0, -inf]])
    assert entropy_from_logits(three).item() == pytest.approx(math.log(2))
    for wrong in (math.nan, inf):
        assert entropy_from_logits(torch.tensor([[0.0, wrong]])).isnan().item()
    with pytest.raises(ValueError, match="C > 1"):
        entropy_from_logits(torch.zeros(2, 1, 3))


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "multilabel", "none"])
@pytest.mark.parametrize("masked", [False, True])
def test_score_logits_equals_measures_on_probabilities(chunk, activation, masked):
    logits = random_logits(5, 1 if activation == "sigmoid" else 3, 6, 7)
    logits = logits.softmax(1) if activation == "none" else logits
    valid = random_logits(5, 6, 7, seed=1) > 0 if masked else None
    measures = {
        f"{name} {region}": Measure(name, region=region, reduction="sum", width=0.3)
        for name, region in itertools.product(MAPS, (None, "target", "boundary"))
    }
    before = logits.clone()
    actual = score_logits(logits, measures, activation=activation, valid=valid, chunk=chunk)
    assert torch.equal(logits, before)
    probs = probabilities(logits, activation)
    for name, measure in measures.items():
        expected = measure.score(probs, valid=valid, multilabel=activation == "multilabel")
        torch.testing.assert_close(actual[name], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("measure", [Measure(m, region=r) for m in MAPS for r in (None, "target", "boundary")])
@pytest.mark.parametrize("masked", [False, True])
def test_nan_anywhere_in_an_item_is_never_hidden(measure, masked):
    logits = random_logits(3, 2, 4)
    logits[1, :, 0] = math.nan
    valid = torch.ones(3, 4, dtype=torch.bool)
    valid[:, 0] = False
    scores = score_logits(logits, {"m": measure}, valid=valid if masked else None)["m"]
    assert scores.isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("name", SAMPLE_MAPS)
@pytest.mark.parametrize("region", [None, "target"])
def test_nan_in_a_pass_is_never_hidden(name, region):
    running = RunningSamples(validate=False)
    for t in range(3):
        probs = random_logits(2, 2, 4, seed=t).softmax(1)
        probs[1, :, 2] = math.nan
        running.update(probs)
    assert Measure(name, region=region).score(running).isnan().tolist() == [False, True]


def test_score_logits_errors():
    with pytest.raises(ValueError, match="chunk"):
        score_logits(torch.zeros(1, 2), {"m": Measure()}, chunk=0)
    with pytest.raises(ValueError, match="sum to"):
        score_logits(torch.zeros(1, 2), {"m": Measure()}, activation="none")
    with pytest.raises(ValueError, match="sigmoid"):
        score_logits(torch.zeros(1, 1), {"m": Measure()})
    with pytest.raises(ValueError, match="multilabel"):
        score_logits(torch.zeros(1, 3), {"m": Measure()}, activation="sigmoid")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rotation": 45}, "rotation must be a number of at least 0 and below 45"),
        ({"rotation": -1}, "rotation"),
        ({"noise": float("nan")}, "noise must be a number of at least 0"),
        ({"noise": True}, "noise"),
        ({"flips": 1}, "flips must be True or False"),
        ({"rotation": 0, "noise": 0.0}, "changes nothing"),
    ],
)
def test_refuses_a_wrong_augmentation(settings, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**settings)
    assert Augmentation(rotation=0, noise=0, quarter_turns=True).noise == 0


# -- one number per class ----------------------------------------------------------------------------------------------


def slow_class_scores(probs, measure, valid, multilabel) -> list[list[float]]:
    """Item by item, class by class, pixel by pixel."""
    foreground = range(probs.shape[1]) if multilabel or probs.shape[1] == 1 else range(1, probs.shape[1])
    regions = {"target": target_region, "boundary": boundary_region}
    region = regions[measure.region](probs, multilabel=multilabel) if measure.region else None
    found = []
    for b in range(len(probs)):
        found.append([])
        for c in foreground:
            values = []
            for place in itertools.product(*(range(size) for size in probs.shape[2:])):
                p = [float(probs[(b, k, *place)]) for k in range(probs.shape[1])]
                own = [p[c], 1 - p[c]] if multilabel or len(p) == 1 else p
                pixel = {
                    "entropy": -sum(q * math.log(q) for q in own if q > 0),
                    "least_confidence": 1 - max(own),
                    "margin": 1 - (sorted(own)[-1] - sorted(own)[-2]),
                }[measure.map]
                counts = (valid is None or valid[(b, *place)]) and (region is None or region[(b, *place)])
                values += [p[c] * pixel] if counts else []
            total = math.fsum(values) if values else -math.inf
            found[-1].append(total / len(values) if values and measure.reduction == "mean" else total)
    return found


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("kind", ["softmax", "sigmoid", "multilabel"])
@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 2)])
@pytest.mark.parametrize(("region", "reduction", "masked"), [(None, "mean", False), ("target", "sum", True)])
def test_class_scores_weigh_the_map_by_the_class(name, kind, shape, region, reduction, masked):
    channels = 1 if kind == "sigmoid" else 3
    logits, multilabel = random_logits(2, channels, *shape), kind == "multilabel"
    probs = probabilities(logits, kind)
    valid = random_logits(2, *shape, seed=1) > 0 if masked else None
    measure = ClassMeasure(name, region=region, reduction=reduction)
    scores = measure.score(probs, valid=valid, multilabel=multilabel)
    expected = torch.tensor(slow_class_scores(probs, measure, valid, multilabel))
    torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-6)
    assert scores.shape == (2, {"softmax": 2, "sigmoid": 1, "multilabel": 3}[kind])
    direct = score_logits(logits, {"it": measure, "all": Measure(name)}, activation=kind, valid=valid, chunk=1)
    torch.testing.assert_close(direct["it"], scores)
    torch.testing.assert_close(direct["all"], Measure(name).score(probs, valid=valid, multilabel=multilabel))


def test_class_scores_of_several_predictions_lie_on_their_mean():
    for multilabel in (False, True):
        samples = [
            probabilities(random_logits(2, 3, 4, 4, seed=t), ("softmax", "multilabel")[multilabel]) for t in (1, 2)
        ]
        running = RunningSamples(("predictive_entropy",), multilabel=multilabel)
        for probs in samples:
            running.update(probs)
        scores = ClassMeasure("predictive_entropy").score(running)
        mean = torch.stack(samples).mean(0)
        torch.testing.assert_close(scores, ClassMeasure("entropy").score(mean, multilabel=multilabel))


def test_class_maps_add_up_to_the_map_where_there_is_no_background():
    probs = random_logits(2, 4, 6).softmax(1)
    maps = torch.stack([class_weighted_entropy(probs, number) for number in (1, 2, 3)])
    torch.testing.assert_close(maps.sum(0), (1 - probs[:, 0]) * entropy(probs))
    certain = torch.eye(3)[None]
    assert (class_weighted_entropy(certain, 1) == 0).all()
    means = torch.stack([reduce_map(pixels) for pixels in maps], dim=1)
    torch.testing.assert_close(ClassMeasure().score(probs), means)
    for wrong in (0, 4, True, 1.0):
        with pytest.raises(ValueError, match="one of the 3 foreground classes"):
            class_weighted_entropy(probs, wrong)


def test_class_scores_have_names_and_some_maps_have_none():
    scores = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    named = ClassMeasure().named("entropy", scores)
    assert {name: values.tolist() for name, values in named.items()} == {
        of_class("entropy", 1): [1.0, 3.0],
        of_class("entropy", 2): [2.0, 4.0],
    }
    for name in ("mutual_information", "variance", "variance_ratio"):
        with pytest.raises(ValueError, match=f"{name}' cannot be weighted by classes: take one of entropy, "):
            ClassMeasure(name)
    with pytest.raises(ValueError, match="region 'edge' is none of"):
        ClassMeasure(region="edge")
    with pytest.raises(ValueError, match="needs several predictions"):
        ClassMeasure("predictive_entropy").score(torch.full((1, 2, 3), 0.5))
