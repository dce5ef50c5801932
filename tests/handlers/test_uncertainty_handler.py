# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import UNet
from monai.transforms import Activationsd, AsDiscreted, Compose
from torch import nn

from monai_al.handlers import UncertaintyHandler
from monai_al.inferers import MCDropoutInferer, TTAInferer
from monai_al.networks import MeanOfMembers
from monai_al.uncertainty import Augmentation, ClassMeasure, Measure, RunningSamples, probabilities

CPU = torch.device("cpu")
torch.set_num_threads(1)


def network(channels: int = 3, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    return UNet(2, 1, channels, channels=(4, 8), strides=(2,), dropout=dropout, norm="batch")


def images(n: int = 7) -> torch.Tensor:
    return torch.randn(n, 1, 16, 16, generator=torch.Generator().manual_seed(1))


def batches(data: torch.Tensor, size: int, **more) -> list[dict]:
    ids = [f"case/{i:04d}" for i in range(len(data))]
    return [
        {"image": data[i : i + size], "id": ids[i : i + size], **{k: v[i : i + size] for k, v in more.items()}}
        for i in range(0, len(data), size)
    ]


def run(handler: UncertaintyHandler, loader, net: nn.Module, **settings) -> SupervisedEvaluator:
    evaluator = SupervisedEvaluator(CPU, loader, net, **{"decollate": False, **settings})
    handler.attach(evaluator)
    evaluator.run()
    return evaluator


@pytest.mark.parametrize("name", ["entropy", "least_confidence", "margin"])
@pytest.mark.parametrize("region", [None, "target", "boundary"])
@pytest.mark.parametrize("chunk", [1, 2, 50])
def test_scores_are_those_of_the_whole_pool_at_once(name, region, chunk):
    net, data = network(), images()
    measure = Measure(name, region=region, reduction="sum")
    handler = UncertaintyHandler({"m": measure}, chunk=chunk)
    evaluator = run(handler, batches(data, 3), net)
    with torch.no_grad():
        expected = measure.score(net.eval()(data).softmax(1))
    assert handler.scores["m"].dtype == np.float64
    np.testing.assert_allclose(handler.scores["m"], expected.numpy(), rtol=1e-4, atol=1e-4)
    assert handler.ids == [f"case/{i:04d}" for i in range(7)]
    assert evaluator.state.uncertainty["m"].tolist() == handler.scores["m"].tolist()
    assert evaluator.state.uncertainty_ids == handler.ids


@pytest.mark.parametrize("name", ["entropy", "margin"])
def test_scores_do_not_depend_on_the_batch_size(name):
    scores = []
    for size in (1, 2, 7):
        handler = UncertaintyHandler(name)
        run(handler, batches(images(), size), network())
        scores.append(handler.scores[name])
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-5)
    np.testing.assert_allclose(scores[0], scores[2], rtol=1e-5)


@pytest.mark.parametrize(("activation", "channels"), [("sigmoid", 1), ("multilabel", 3), ("softmax", 2)])
def test_activations(activation, channels):
    net, data = network(channels), images()
    handler = UncertaintyHandler("entropy", activation)
    run(handler, batches(data, 4), net)
    with torch.no_grad():
        probs = probabilities(net.eval()(data), activation)
    expected = Measure().score(probs, multilabel=activation == "multilabel")
    np.testing.assert_allclose(handler.scores["entropy"], expected.numpy(), rtol=1e-5)


def test_no_activation_takes_probabilities():
    net, data = nn.Sequential(network(), nn.Sigmoid()), images()
    handler = UncertaintyHandler("entropy", "none", multilabel=True)
    run(handler, batches(data, 4), net)
    expected = UncertaintyHandler("entropy", "multilabel")
    run(expected, batches(data, 4), net[0])
    np.testing.assert_allclose(handler.scores["entropy"], expected.scores["entropy"], rtol=1e-5)
    with pytest.raises(ValueError, match="sum to"):
        run(UncertaintyHandler("entropy", "none"), batches(data, 4), net)


@pytest.mark.parametrize("region", [None, "target"])
def test_only_valid_pixels_count(region):
    net, data = network(), images()
    valid = torch.rand(7, 1, 16, 16, generator=torch.Generator().manual_seed(2)) > 0.5
    valid[3] = False
    measures = {"once": Measure(region=region), "several": Measure("predictive_entropy", region=region, passes=2)}
    net = nn.Sequential(net, nn.Dropout(1e-12))
    handler = UncertaintyHandler(measures)
    run(handler, batches(data, 3, valid=valid), net)
    with torch.no_grad():
        expected = Measure(region=region).score(net.eval()(data).softmax(1), valid=valid[:, 0])
    for name in measures:
        np.testing.assert_allclose(handler.scores[name], expected.numpy(), rtol=1e-4)
        assert handler.scores[name][3] == -math.inf


@pytest.mark.parametrize("valid", [torch.ones(7, 1, 16, 16), torch.ones(7, 16, 16, dtype=torch.bool)])
def test_refuses_another_mask(valid):
    with pytest.raises(ValueError, match="'valid' in the batch must be boolean"):
        run(UncertaintyHandler(), batches(images(), 7, valid=valid), network())


def test_stochastic_measures_share_their_passes():
    net, data = network(dropout=0.4), images(5)
    calls = 0

    def count(*_) -> None:
        nonlocal calls
        calls += 1

    net.register_forward_hook(count)
    measures = {
        "mc": Measure.of("mc_dropout", passes=4),
        "bald": Measure.of("bald", passes=4, reduction="sum"),
        "ratio": Measure("variance_ratio", passes=3),
        "once": Measure("entropy"),
    }
    handler = UncertaintyHandler(measures, seed=5)
    run(handler, batches(data, 5), net)
    assert calls == 1 + 4 + 3
    assert {name: len(scores) for name, scores in handler.scores.items()} == dict.fromkeys(measures, 5)
    assert (handler.scores["bald"] > 0).all()
    assert list(handler.scores) == list(measures)

    seed = int(torch.randint(2**62, (1,), generator=torch.Generator().manual_seed(5)))
    running = RunningSamples()
    for logits in MCDropoutInferer(4, seed=seed).samples(data, net):
        running.update(logits.detach().softmax(1))
    np.testing.assert_allclose(handler.scores["mc"], measures["mc"].score(running).numpy(), rtol=1e-5)
    np.testing.assert_allclose(handler.scores["bald"], measures["bald"].score(running).numpy(), rtol=1e-5)


def test_stochastic_passes_change_nothing_and_repeat_with_a_seed():
    net, data = network(dropout=0.4).train(), images()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [m.training for m in net.modules()]
    state = torch.get_rng_state()
    scores = []
    for seed in (0, 0, 1):
        handler = UncertaintyHandler({"bald": Measure.of("bald", passes=3)}, seed=seed)
        run(handler, batches(data, 3), net)
        scores.append(handler.scores["bald"].tolist())
    assert scores[0] == scores[1] != scores[2]
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_stochastic_measures_without_dropout_are_an_error():
    with pytest.raises(ValueError, match="no active dropout layer"):
        run(UncertaintyHandler("bald"), batches(images(), 4), network(dropout=0.0))


@pytest.mark.parametrize("given", [False, True])
def test_passes_go_through_the_inferer(given):
    net, data = network(dropout=0.4), torch.randn(2, 1, 24, 20, generator=torch.Generator().manual_seed(0))
    window = SlidingWindowInferer((16, 16), sw_batch_size=1)
    handler = UncertaintyHandler("mc_dropout", inferer=window if given else None)
    shapes = set()
    net.register_forward_hook(lambda module, args, output: shapes.add(tuple(output.shape[2:])))
    run(handler, batches(data, 2), net, inferer=window)
    assert shapes == {(16, 16)}
    assert np.isfinite(handler.scores["mc_dropout"]).all()


def test_works_beside_decollating_and_postprocessing():
    net, data = network(), images(6)
    items = [{"image": MetaTensor(image), "id": f"case/{i}"} for i, image in enumerate(data)]
    post = Compose([Activationsd("pred", softmax=True), AsDiscreted("pred", argmax=True)])
    handler, plain = UncertaintyHandler("entropy"), UncertaintyHandler("entropy")
    run(handler, DataLoader(Dataset(items), batch_size=4), net, decollate=True, postprocessing=post)
    run(plain, batches(data, 4), net)
    assert handler.ids == [f"case/{i}" for i in range(6)]
    np.testing.assert_allclose(handler.scores["entropy"], plain.scores["entropy"], rtol=1e-5)


@pytest.mark.parametrize(
    ("channels", "activation", "n_classes"), [(3, "softmax", 2), (1, "sigmoid", 1), (2, "multilabel", 2)]
)
def test_a_measure_of_each_class_has_a_name_for_each(channels, activation, n_classes):
    net, data = network(channels, dropout=0.3), images()
    measures = {"m": ClassMeasure("margin"), "again": ClassMeasure("predictive_entropy", passes=3), "all": "mc_dropout"}
    handler = UncertaintyHandler(measures, activation, seed=3)
    assert set(handler.scores) == {"all"}
    evaluator = run(handler, batches(data, 3), net)
    names = {f"{name} of class {c}" for name in ("m", "again") for c in range(1, n_classes + 1)}
    assert set(handler.scores) == set(evaluator.state.uncertainty) == {"all", *names}
    assert all(values.shape == (7,) for values in handler.scores.values())
    with torch.no_grad():
        probs = probabilities(net.eval()(data), activation)
    expected = ClassMeasure("margin").score(probs, multilabel=activation == "multilabel").numpy()
    for c in range(n_classes):
        np.testing.assert_allclose(handler.scores[f"m of class {c + 1}"], expected[:, c], rtol=1e-4, atol=1e-6)


def test_nan_names_the_item_of_a_class():
    data = images(4)
    data[2] = math.nan
    with pytest.raises(ValueError, match="not finite for item 'case/0002'"):
        run(UncertaintyHandler({"m": ClassMeasure()}), batches(data, 3), network())


def test_output_is_left_as_it_is():
    net, data = network(), images(4)
    evaluator = run(UncertaintyHandler("entropy"), batches(data, 4), net)
    with torch.no_grad():
        assert torch.equal(evaluator.state.output["pred"], net.eval()(data))


def test_a_second_run_forgets_the_first_and_handlers_stand_side_by_side():
    first, second = UncertaintyHandler("entropy"), UncertaintyHandler({"m": "margin"})
    evaluator = SupervisedEvaluator(CPU, batches(images(), 3), network(), decollate=False)
    first.attach(evaluator)
    second.attach(evaluator)
    evaluator.run()
    once = first.scores["entropy"]
    evaluator.run()
    assert np.array_equal(first.scores["entropy"], once)
    assert len(first.ids) == 7
    assert set(evaluator.state.uncertainty) == {"entropy", "m"}


def test_ids_are_optional_and_may_be_numbers():
    data = images(4)
    handler = UncertaintyHandler()
    run(handler, [{"image": data[:3]}, {"image": data[3:]}], network())
    assert handler.ids == ["0", "1", "2", "3"]
    assert len(handler.scores["entropy"]) == 4
    run(handler, [{"image": data, "id": torch.arange(4)}], network())
    assert handler.ids == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="4 items but 3"):
        run(UncertaintyHandler(), [{"image": data, "id": ["a", "b", "c"]}], network())


@pytest.mark.parametrize("name", ["entropy", "margin", "mc_dropout"])
@pytest.mark.parametrize("region", [None, "boundary"])
def test_nan_names_the_items(name, region):
    data = images()
    data[[2, 5]] = math.nan
    measure = Measure.of(name, region=region, passes=2)
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Dropout(0.1))
    with pytest.raises(ValueError, match="not finite for item 'case/0002', 'case/0005'"):
        run(UncertaintyHandler({"m": measure}), batches(data, 7), net)
    with pytest.raises(ValueError, match="not finite for item '5'"):
        run(UncertaintyHandler({"m": measure}), [{"image": images(3)}, {"image": data[3:]}], net)


@pytest.mark.parametrize("name", ["entropy", "mc_dropout"])
def test_nan_probabilities_name_the_items(name):
    data = images(4)
    data[1] = math.nan
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Dropout(0.1), nn.Softmax(1))
    with pytest.raises(ValueError, match="not finite for item 'case/0001'"):
        run(UncertaintyHandler(name, "none"), batches(data, 4), net)


def test_errors_before_the_run():
    with pytest.raises(ValueError, match="'bold' is none of"):
        UncertaintyHandler("bold")
    with pytest.raises(ValueError, match="activation 'relu'"):
        UncertaintyHandler("entropy", "relu")
    with pytest.raises(ValueError, match="chunk"):
        UncertaintyHandler("entropy", chunk=0)
    with pytest.raises(ValueError, match="no measure"):
        UncertaintyHandler({})


def test_refuses_an_output_that_is_no_tensor():
    class Two(nn.Module):
        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            return [x, x]

    with pytest.raises(ValueError, match="must be a tensor"):
        run(UncertaintyHandler(), batches(images(), 4), Two())


def test_scores_are_written(tmp_path):
    data, valid = images(), torch.ones(7, 1, 16, 16, dtype=torch.bool)
    valid[3] = False
    handler = UncertaintyHandler({"a": "entropy", "b": "margin"}, path=tmp_path / "new" / "scores.json")
    run(handler, batches(data, 3, valid=valid), network())
    content = json.loads((tmp_path / "new" / "scores.json").read_text())
    assert content["ids"] == handler.ids
    assert list(content["scores"]) == ["a", "b"]
    for name, scores in handler.scores.items():
        assert content["scores"][name] == [None if i == 3 else score for i, score in enumerate(scores.tolist())]
    with pytest.raises(ValueError, match="must end in .json, got 'scores.npz'"):
        UncertaintyHandler(path="scores.npz")


def with_meta(data: torch.Tensor, meta: dict) -> MetaTensor:
    return MetaTensor(data, meta=meta)


@pytest.mark.parametrize(
    ("batch", "ids"),
    [
        ({"image": with_meta(images(3), {"filename_or_obj": ["a", "b", "c"]})}, ["a", "b", "c"]),
        ({"image": with_meta(images(3), {"filename_or_obj": "a"})}, ["a", "a#1", "a#2"]),
        ({"image": with_meta(images(3), {"filename_or_obj": ["a#1", "a", "a"]})}, ["a#1", "a", "a#2"]),
        ({"image": images(3), "image_meta_dict": {"filename_or_obj": ("a", "b", "c")}}, ["a", "b", "c"]),
        ({"image": with_meta(images(3), {"filename_or_obj": ["a", "b"]})}, ["0", "1", "2"]),
        ({"image": with_meta(images(3), {})}, ["0", "1", "2"]),
        ({"image": with_meta(images(3), {"filename_or_obj": ["a", "b", "c"]}), "id": ["x", "x", "x"]}, ["x", "x", "x"]),
        ((with_meta(images(3), {"filename_or_obj": ["a", "b", "c"]}), torch.zeros(3)), ["a", "b", "c"]),
        ((images(3), torch.zeros(3)), ["0", "1", "2"]),
        ({"image": images(3), "id": np.arange(3)}, [0, 1, 2]),
    ],
)
def test_what_items_are_called(batch, ids, tmp_path):
    handler = UncertaintyHandler(path=tmp_path / "scores.json")
    evaluator = SupervisedEvaluator(CPU, [batch], network(), decollate=False, prepare_batch=prepared)
    handler.attach(evaluator)
    for _ in range(2):
        evaluator.run()
        assert handler.ids == ids
        assert json.loads((tmp_path / "scores.json").read_text())["ids"] == ids


def prepared(batch, device, non_blocking, **more):
    return (batch["image"], None) if isinstance(batch, dict) else batch


def test_one_file_in_several_batches():
    loader = [{"image": with_meta(images(2), {"filename_or_obj": names})} for names in (["a", "b"], ["b", "b"])]
    handler = UncertaintyHandler()
    run(handler, loader, network())
    assert handler.ids == ["a", "b", "b#1", "b#2"]


SAMPLE_MAPS = ("predictive_entropy", "mutual_information", "variance", "variance_ratio")


def test_members_are_asked_one_by_one():
    nets = [network() for _ in range(3)]
    for seed, net in enumerate(nets):
        torch.manual_seed(seed)
        torch.nn.init.normal_(next(net.parameters()))
    data, measures = images(5), {name: Measure(name, samples="members") for name in SAMPLE_MAPS}
    handler = UncertaintyHandler({**measures, "entropy": Measure()}, "none")
    run(handler, batches(data, 2), MeanOfMembers(nets, lambda logits: logits.softmax(1)))
    with torch.no_grad():
        stack = np.stack([net.eval()(data).softmax(1).double().numpy() for net in nets])

    def entropy(p: np.ndarray) -> np.ndarray:
        return -(p * np.log(p)).sum(-3)

    labels = stack.argmax(2)
    agreeing = np.stack([(labels == c).sum(0) for c in range(3)]).max(0)
    expected = {
        "predictive_entropy": entropy(stack.mean(0)),
        "mutual_information": entropy(stack.mean(0)) - entropy(stack).mean(0),
        "variance": stack.var(0).mean(1),
        "variance_ratio": 1 - agreeing / 3,
        "entropy": entropy(stack.mean(0)),
    }
    for name, pixels in expected.items():
        np.testing.assert_allclose(handler.scores[name], pixels.mean((1, 2)), rtol=1e-4, atol=1e-6)


class Alike(nn.Module):
    """Predicts as a network does, with a weight of its own that it does not use."""

    def __init__(self, network, number):
        super().__init__()
        self.network, self.number = network, nn.Parameter(torch.tensor(float(number)))

    def forward(self, x):
        return self.network(x)


def test_identical_members_diverge_by_exactly_nothing():
    net = MeanOfMembers([Alike(network(), i) for i in range(5)], lambda logits: logits.softmax(1))
    for measure in ("mutual_information", "variance", "variance_ratio"):
        handler = UncertaintyHandler({"m": Measure(measure, samples="members")}, "none")
        run(handler, batches(images(), 3), net)
        assert handler.scores["m"].tolist() == [0.0] * 7
    handler = UncertaintyHandler("ensemble_entropy", "none")
    run(handler, batches(images(), 3), net)
    assert (handler.scores["ensemble_entropy"] > 0.1).all()


def test_members_of_the_same_weights_are_refused():
    net = MeanOfMembers([network(), copy.deepcopy(network())], lambda logits: logits.softmax(1))
    with pytest.raises(ValueError, match="members 0 and 1 have the same weights, bit for bit"):
        run(UncertaintyHandler("ensemble_variance", "none"), batches(images(), 3), net)


class Idle(nn.Sequential):
    """Its dropout is never called."""

    def forward(self, x):
        return self[0](x)


@pytest.mark.parametrize("measure", ["mc_dropout", "bald"])
def test_passes_that_are_equal_bit_for_bit_are_refused(measure):
    with pytest.raises(ValueError, match="its dropout layers 1 are not called in its forward pass"):
        run(UncertaintyHandler(measure), batches(images(), 3), Idle(nn.Conv2d(1, 3, 1), nn.Dropout(0.5)))


def test_a_first_batch_of_empty_images_is_no_alarm():
    """Whatever is dropped, 0 stays 0."""
    handler, empty = UncertaintyHandler("bald"), torch.zeros(3, 1, 6, 6)
    net = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(1, 3, 3, bias=False))
    run(handler, batches(torch.cat([empty, images()[:3, :, :6, :6]]), 3), net)
    assert handler.scores["bald"][:3].tolist() == [0, 0, 0]
    assert (handler.scores["bald"][3:] > 0).all()
    assert net[0].p == 0.5


def test_members_need_an_ensemble():
    with pytest.raises(ValueError, match="members"):
        run(UncertaintyHandler("ensemble_variance"), batches(images(), 3), network())


@pytest.mark.parametrize("augmentation", [None, Augmentation(rotation=5, noise=0.0, flips=True)])
def test_augmented_copies_count_where_all_of_them_see(augmentation):
    net, data = network(), images(5)
    measures = {
        "tta": Measure.of("tta", passes=4, augmentation=augmentation),
        "sum": Measure.of("tta_entropy", passes=4, augmentation=augmentation, reduction="sum"),
    }
    handler = UncertaintyHandler(measures, seed=3)
    run(handler, batches(data, 5), net)
    settings = Augmentation() if augmentation is None else augmentation
    inferer = TTAInferer(4, rotation=settings.rotation, noise=settings.noise, flips=settings.flips, seed=3)
    with torch.no_grad():
        stack, valid = inferer(data, net.eval())
    running = RunningSamples()
    for probs in stack:
        running.update(probs)
    assert not valid.all()
    for name, measure in measures.items():
        np.testing.assert_allclose(handler.scores[name], measure.score(running, valid=valid).numpy(), rtol=1e-4)


def test_augmented_scores_do_not_depend_on_the_batch_size():
    scores = []
    for size in (1, 3, 7):
        handler = UncertaintyHandler({"tta": Measure.of("tta", passes=3)}, seed=0)
        run(handler, batches(images(), size), network())
        scores.append(handler.scores["tta"])
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-4)
    np.testing.assert_allclose(scores[0], scores[2], rtol=1e-4)


def test_the_engine_s_own_prediction_is_the_first_of_the_augmented_copies():
    net, calls = network(), []
    net.register_forward_hook(lambda *_: calls.append(1))
    run(UncertaintyHandler({"tta": Measure.of("tta", passes=4)}, seed=0), batches(images(), 7), net)
    assert len(calls) == 4


def test_padding_does_not_count_in_augmented_copies_either():
    net, data = network(), images(4)
    valid = torch.zeros(4, 1, 16, 16, dtype=torch.bool)
    valid[:, :, 4:12, 4:12] = True
    handler = UncertaintyHandler({"tta": Measure.of("tta_entropy", passes=2, reduction="sum")}, seed=0)
    run(handler, batches(data, 4, valid=valid), net)
    assert (handler.scores["tta"] < 64 * math.log(3)).all()


def test_an_item_out_of_sight_in_a_copy_is_an_error():
    net = network()
    data = torch.randn(1, 1, 2, 64, generator=torch.Generator().manual_seed(0))
    measure = Measure.of("tta", passes=30, augmentation=Augmentation(rotation=44.0))
    with pytest.raises(ValueError, match="no pixel of item 'case/0000' stays in sight"):
        run(UncertaintyHandler({"tta": measure}, seed=1), batches(data, 1), net)
    corner = torch.zeros(2, 1, 16, 16, dtype=torch.bool)
    corner[0, 0, 0, 0] = True
    with pytest.raises(ValueError, match="no pixel of item 'case/0000' stays in sight"):
        run(UncertaintyHandler({"tta": measure}, seed=1), batches(images(2), 2, valid=corner), net)
    handler = UncertaintyHandler({"tta": Measure.of("tta")}, seed=1)
    run(handler, batches(images(1), 1, valid=corner[1:]), net)  # all padding, as without augmentation
    assert handler.scores["tta"].tolist() == [-math.inf]
