# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.data.utils import dense_patch_slices
from monai.engines import IterationEvents, SupervisedEvaluator
from monai.inferers import (
    Inferer,
    PatchInferer,
    SimpleInferer,
    SliceInferer,
    SlidingWindowInferer,
    SlidingWindowInfererAdapt,
    SlidingWindowSplitter,
)
from monai.networks.nets import UNet
from monai.transforms import Activationsd, AsDiscreted, Compose, LoadImaged
from torch import nn

from monai_al.handlers import EmbeddingHandler, UncertaintyHandler
from monai_al.handlers.watched_call import WatchedCall
from monai_al.uncertainty import Measure

CPU = torch.device("cpu")
LAYER = "model.1.submodule"
HIPPOCAMPUS = Path(__file__).resolve().parents[3] / "shared" / "data" / "Task04_Hippocampus"
torch.set_num_threads(1)


def network(spatial_dims: int = 2, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    return UNet(spatial_dims, 1, 3, channels=(4, 8), strides=(2,), dropout=dropout, norm="batch")


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def batches(data: torch.Tensor, size: int) -> list[dict]:
    ids = [f"case/{i:04d}" for i in range(len(data))]
    return [{"image": data[i : i + size], "id": ids[i : i + size]} for i in range(0, len(data), size)]


def evaluator(loader, net: nn.Module, **settings) -> SupervisedEvaluator:
    return SupervisedEvaluator(CPU, loader, net, **{"decollate": False, **settings})


def run(handler: EmbeddingHandler, loader, net: nn.Module, **settings) -> SupervisedEvaluator:
    engine = evaluator(loader, net, **settings)
    handler.attach(engine)
    engine.run()
    return engine


def hooks(net: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in net.modules())


@torch.no_grad()
def embedded(net: nn.Module, window: torch.Tensor, layer: str = LAYER) -> np.ndarray:
    """Mean of every channel of a layer for one image, by loops."""
    outputs = []
    hook = net.get_submodule(layer).register_forward_hook(lambda module, args, output: outputs.append(output.clone()))
    net.eval()(window)
    hook.remove()
    return np.array([np.mean(channel.numpy(), dtype=np.float64) for channel in outputs[0][0]])


def by_windows(net: nn.Module, image: torch.Tensor, inferer: SlidingWindowInferer, layer: str = LAYER) -> np.ndarray:
    """The same for one image ``(C, *spatial)``, window by window."""
    size = image.shape[1:]
    roi = [min(r, s) if r > 0 else s for r, s in zip(inferer.roi_size, size, strict=True)]
    step = [r if r == s else max(int(r * (1 - inferer.overlap)), 1) for r, s in zip(roi, size, strict=True)]
    places = dense_patch_slices(size, roi, step)
    return np.mean([embedded(net, image[(slice(None), *place)][None], layer) for place in places], axis=0)


@pytest.mark.parametrize("layer", ["model.0", LAYER, "model.1.submodule.conv", "model.2"])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_is_the_mean_of_the_layer(layer, size):
    net, data = network(), images(7, 1, 16, 12)
    handler = EmbeddingHandler(layer)
    engine = run(handler, batches(data, size), net)
    assert handler.embeddings.dtype == np.float32
    np.testing.assert_allclose(handler.embeddings, [embedded(net, image[None], layer) for image in data], atol=1e-5)
    assert handler.ids == [f"case/{i:04d}" for i in range(7)]
    assert engine.state.embedding_ids == handler.ids
    np.testing.assert_array_equal(engine.state.embeddings[layer], handler.embeddings)


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("overlap", [0.0, 0.5])
@pytest.mark.parametrize("more", [{"sw_batch_size": n} for n in (1, 2, 5)] + [
    {"sw_batch_size": 3, "buffer_steps": 1},
    {"sw_batch_size": 2, "buffer_steps": 2, "buffer_dim": 0},
])  # fmt: skip
def test_windows_are_averaged_for_their_item(size, overlap, more):
    net, data = network(), images(5, 1, 20, 12)
    inferer = SlidingWindowInferer((8, 8), overlap=overlap, mode="gaussian", **more)
    handler = EmbeddingHandler(LAYER)
    engine = run(handler, batches(data, size), net, inferer=inferer)
    np.testing.assert_allclose(handler.embeddings, [by_windows(net, image, inferer) for image in data], atol=1e-5)
    plain = evaluator(batches(data, size), net, inferer=inferer)
    plain.run()
    assert torch.equal(engine.state.output["pred"], plain.state.output["pred"])


def test_windows_of_volumes_and_of_slices():
    net, data = network(3), images(3, 1, 12, 8, 10)
    inferer = SlidingWindowInferer((8, -1, 8), sw_batch_size=4, overlap=0.25)
    handler = EmbeddingHandler(LAYER)
    run(handler, batches(data, 2), net, inferer=inferer)
    np.testing.assert_allclose(handler.embeddings, [by_windows(net, image, inferer) for image in data], atol=1e-5)

    net = network(2)
    run(handler, batches(data, 2), net, inferer=SliceInferer(2, roi_size=(12, 8), sw_batch_size=3))
    slices = [np.mean([embedded(net, image[None, ..., z]) for z in range(10)], axis=0) for image in data]
    np.testing.assert_allclose(handler.embeddings, slices, atol=1e-5)


@pytest.mark.parametrize("more", [{}, {"device": CPU}])
def test_adapting_windows(more):
    net, data = network(), images(4, 1, 16, 8)
    inferer = SlidingWindowInfererAdapt((8, 8), sw_batch_size=3, overlap=0, **more)
    handler = EmbeddingHandler(LAYER)
    run(handler, batches(data, 4), net, inferer=inferer)
    np.testing.assert_allclose(handler.embeddings, [by_windows(net, image, inferer) for image in data], atol=1e-5)


def test_windows_that_may_be_predicted_again_are_refused():
    inferer = SlidingWindowInfererAdapt((8, 8))
    engine = SimpleNamespace(inferer=inferer)
    call = WatchedCall(engine, nn.Identity(), "layer")
    with pytest.raises(ValueError, match="predicts windows again where GPU memory runs out"):
        engine.inferer(SimpleNamespace(is_cuda=True), nn.Identity())
    assert call.inferer is engine.inferer is inferer


def test_other_inferers_are_refused_where_items_cannot_be_told_apart():
    net, data = network(), images(4, 1, 16, 16)
    inferer = PatchInferer(SlidingWindowSplitter((8, 8)), batch_size=3)
    handler = EmbeddingHandler(LAYER)
    with pytest.raises(
        ValueError,
        match="gave 16 embeddings in . calls .* for 4 items with PatchInferer.*one item per",
    ):
        run(handler, batches(data, 4), net, inferer=inferer)
    run(handler, batches(data, 1), net, inferer=inferer)
    quarters = [image[:, x : x + 8, y : y + 8] for image in data for x in (0, 8) for y in (0, 8)]
    expected = np.reshape([embedded(net, quarter[None]) for quarter in quarters], (4, 4, -1)).mean(1)
    np.testing.assert_allclose(handler.embeddings, expected, atol=1e-5)


def test_another_order_of_windows_is_not_guessed():
    class Own(SlidingWindowInferer):
        pass

    handler = EmbeddingHandler(LAYER)
    with pytest.raises(ValueError, match="gave 6 embeddings in 6 calls of the network for 3 items with Own"):
        run(handler, batches(images(3, 1, 16, 8), 3), network(), inferer=Own((8, 8), overlap=0))


@pytest.mark.parametrize("embedding_first", [True, False])
@pytest.mark.parametrize("window", [False, True])
def test_stochastic_passes_beside_it_change_nothing(embedding_first, window):
    net, data = network(dropout=0.4), images(5, 1, 16, 16)
    inferer = SlidingWindowInferer((8, 8), sw_batch_size=3) if window else SimpleInferer()
    embedding = EmbeddingHandler(LAYER)
    uncertainty = UncertaintyHandler({"bald": Measure.of("bald", passes=3)}, seed=0)
    engine = evaluator(batches(data, 2), net, inferer=inferer)
    for handler in (embedding, uncertainty) if embedding_first else (uncertainty, embedding):
        handler.attach(engine)
    engine.run()
    alone = EmbeddingHandler(LAYER)
    run(alone, batches(data, 2), net, inferer=inferer)
    np.testing.assert_array_equal(embedding.embeddings, alone.embeddings)
    scores = UncertaintyHandler({"bald": Measure.of("bald", passes=3)}, seed=0)
    run(scores, batches(data, 2), net, inferer=inferer)
    np.testing.assert_array_equal(uncertainty.scores["bald"], scores.scores["bald"])
    assert engine.inferer is inferer
    assert uncertainty.ids == embedding.ids


def test_nothing_is_left_behind():
    net, data = network(), images(4, 1, 16, 16)
    inferer = SlidingWindowInferer((8, 8))
    engine = run(EmbeddingHandler(LAYER), batches(data, 2), net, inferer=inferer)
    assert engine.inferer is inferer
    assert hooks(net) == 0


@pytest.mark.parametrize("where", ["layer", "inferer", "prepare", "other handler"])
def test_nothing_is_left_behind_after_an_error(where):
    net, data = network(), images(4, 1, 16, 16)
    broken = [True]

    def fail(place: str) -> None:
        if broken[0] and place == where:
            raise RuntimeError(f"broken {place}")

    class Breaking(Inferer):
        def __call__(self, inputs, network, *args, **kwargs):
            prediction = network(inputs)
            fail("inferer")
            return prediction

    def prepare(batch, device, non_blocking, **more):
        fail("prepare")
        return batch["image"], None

    net.model[2].register_forward_hook(lambda *_: fail("layer"))
    inferer = Breaking()
    engine = evaluator(batches(data, 2), net, inferer=inferer, prepare_batch=prepare)
    first, second = EmbeddingHandler(LAYER), EmbeddingHandler("model.0")
    first.attach(engine)
    second.attach(engine)
    engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, lambda _: fail("other handler"))
    with pytest.raises(RuntimeError, match=f"broken {where}"):
        engine.run()
    assert hooks(net) == 1
    broken[0] = False
    for _ in range(2):  # after an error ignite lets one run pass by
        engine.run()
    assert engine.inferer is inferer
    assert hooks(net) == 1
    np.testing.assert_allclose(first.embeddings, [embedded(net, image[None]) for image in data], atol=1e-5)
    np.testing.assert_allclose(second.embeddings, [embedded(net, i[None], "model.0") for i in data], atol=1e-5)


@pytest.mark.parametrize(("layer", "near"), [("model.1.submodul", "model.1.submodule"), ("bottom", "model"), ("", "")])
def test_an_unknown_layer_names_those_near(layer, near):
    engine = evaluator(batches(images(2, 1, 16, 16), 2), network())
    with pytest.raises(ValueError, match=f"UNet has no layer {layer!r}; near it: .*{near}"):
        EmbeddingHandler(layer).attach(engine)


def test_as_one_of_the_engines_own_handlers():
    data, net = images(4, 1, 16, 16), network()
    handler = EmbeddingHandler(LAYER)
    evaluator(batches(data, 4), net, val_handlers=[handler]).run()
    assert handler.embeddings.shape == (4, 8)
    wrong = evaluator(batches(data, 4), net, val_handlers=[EmbeddingHandler("nowhere")])
    with pytest.raises(ValueError, match="no layer 'nowhere'"):
        wrong.run()


@pytest.mark.parametrize("path", [LAYER, f"module.{LAYER}"])
def test_wrapped_networks(path):
    net, data = network(), images(4, 1, 16, 16)
    handler = EmbeddingHandler(path)
    run(handler, batches(data, 2), nn.DataParallel(net))
    np.testing.assert_allclose(handler.embeddings, [embedded(net, image[None]) for image in data], atol=1e-5)


def test_several_devices_in_one_process_are_refused():
    spread = nn.DataParallel(network())
    spread.device_ids = [0, 1]
    with pytest.raises(ValueError, match="use DistributedDataParallel"):
        EmbeddingHandler(LAYER).attach(evaluator([], spread))


class Odd(nn.Module):
    """Gives whatever it is told."""

    def __init__(self, give, times: int = 1) -> None:
        super().__init__()
        self.give, self.times = give, times

    def forward(self, x):
        return self.give(x)


class Around(nn.Module):
    def __init__(self, odd: Odd) -> None:
        super().__init__()
        self.odd = odd

    def forward(self, x):
        for _ in range(self.odd.times):
            self.odd(x)
        return x


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (Odd(lambda x: (x, x)), "gives a tuple, not a tensor"),
        (Odd(lambda x: [x]), "gives a list, not a tensor"),
        (Odd(lambda x: x.mean()), r"gives the shape \(\), an embedding needs"),
        (Odd(lambda x: x.flatten(2)), r"gives the shape \(3, 1, 64\): give channel_dim"),
        (Odd(lambda x: x[:2]), "gave 2 embeddings in 1 calls"),
        (Odd(lambda x: x, times=2), "gave 6 embeddings in 1 calls"),
        (Odd(lambda x: x, times=0), "did not run"),
    ],
)
def test_outputs_that_are_no_embedding(odd, message):
    with pytest.raises(ValueError, match=f"layer 'odd' {message}"):
        run(EmbeddingHandler("odd"), batches(images(3, 1, 8, 8), 3), Around(odd))


@pytest.mark.parametrize(("odd", "message"), [
    (Odd(lambda x: x, times=2), "gave 18 embeddings in 5 calls of the network for 3 items .* runs once"),
    (Odd(lambda x: x, times=0), "did not run"),
])  # fmt: skip
def test_windows_that_are_no_embedding(odd, message):
    inferer = SlidingWindowInferer((4, 8), sw_batch_size=2)
    with pytest.raises(ValueError, match=f"layer 'odd' {message}"):
        run(EmbeddingHandler("odd"), batches(images(3, 1, 8, 8), 3), Around(odd), inferer=inferer)


def test_where_the_channels_are():
    data = images(3, 5, 6, 7)
    for give, dim, expected in [
        (lambda x: x, None, data.mean((2, 3))),
        (lambda x: x.movedim(1, -1), -1, data.mean((2, 3))),
        (lambda x: x.flatten(2).mT, 2, data.mean((2, 3))),
        (lambda x: x.flatten(2), 1, data.mean((2, 3))),
        (lambda x: x[:, :, 0, 0], None, data[:, :, 0, 0]),
    ]:
        handler = EmbeddingHandler("odd", channel_dim=dim)
        run(handler, batches(data, 2), Around(Odd(give)))
        np.testing.assert_allclose(handler.embeddings, expected, atol=1e-6)
    with pytest.raises(ValueError, match="channel_dim 0 is the batch"):
        EmbeddingHandler("odd", channel_dim=0)


def test_layers_that_work_in_place_afterwards_change_nothing():
    net = nn.Sequential(nn.Flatten(), nn.ReLU(inplace=True))
    data = images(3, 1, 2, 2)
    handler = EmbeddingHandler("0")
    run(handler, batches(data.clone(), 3), net)
    np.testing.assert_array_equal(handler.embeddings, data.flatten(1))


def test_half_precision_is_averaged_in_full():
    net = nn.Sequential(nn.Identity())
    data = (1000 + images(2, 1, 64, 64)).half()
    handler = EmbeddingHandler("0")
    run(handler, batches(data, 2), net)
    np.testing.assert_allclose(handler.embeddings[:, 0], data.double().mean((1, 2, 3)), rtol=1e-6)


def test_embeddings_that_are_not_finite_name_their_items():
    data = images(5, 1, 16, 16)
    data[[1, 4]] = math.nan
    with pytest.raises(ValueError, match="not finite for item 'case/0001'"):
        run(EmbeddingHandler(LAYER), batches(data, 3), network())
    with pytest.raises(ValueError, match="not finite for item 'case/0001', 'case/0004'"):
        run(EmbeddingHandler(LAYER), batches(data, 5), network(), inferer=SlidingWindowInferer((8, 8)))


def test_a_second_run_forgets_the_first_and_handlers_stand_side_by_side(tmp_path):
    data, net = images(4, 1, 16, 16), network()
    engine = evaluator(batches(data, 3), net, inferer=SlidingWindowInferer((8, 8), sw_batch_size=5))
    handlers = [EmbeddingHandler(LAYER, path=tmp_path / "a.npz"), EmbeddingHandler("model.0", name="first")]
    for handler in handlers:
        handler.attach(engine)
    for _ in range(2):
        engine.run()
        assert {name: e.shape for name, e in engine.state.embeddings.items()} == {LAYER: (4, 8), "first": (4, 4)}
    for handler in handlers:
        alone = EmbeddingHandler(handler.layer)
        run(alone, batches(data, 3), net, inferer=engine.inferer)
        np.testing.assert_array_equal(handler.embeddings, alone.embeddings)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file["ids"].tolist() == handlers[0].ids
        np.testing.assert_array_equal(file["embeddings"], handlers[0].embeddings)


def test_only_npz_is_written():
    with pytest.raises(ValueError, match="must end in .npz, got 'a.json'"):
        EmbeddingHandler(LAYER, path="a.json")


def test_before_a_run_there_is_nothing():
    assert EmbeddingHandler(LAYER).embeddings.shape == (0, 0)


@pytest.mark.skipif(not HIPPOCAMPUS.exists(), reason="the hippocampus data set is not there")
def test_real_volumes_in_a_usual_pipeline(tmp_path):
    names = json.loads((HIPPOCAMPUS / "dataset.json").read_text())["training"][:4]
    files = [str(HIPPOCAMPUS / entry["image"]) for entry in names]
    load = LoadImaged("image", ensure_channel_first=True)
    loader = DataLoader(Dataset([{"image": file} for file in files], load), batch_size=1)
    post = Compose([Activationsd("pred", softmax=True), AsDiscreted("pred", argmax=True)])
    net, inferer = network(3, dropout=0.2), SlidingWindowInferer((24, 24, 24), sw_batch_size=2, overlap=0.25)
    engine = evaluator(loader, net, inferer=inferer, decollate=True, postprocessing=post)
    embedding = EmbeddingHandler(LAYER, path=tmp_path / "e.npz")
    uncertainty = UncertaintyHandler({"bald": Measure.of("bald", passes=2)}, seed=0, path=tmp_path / "u.json")
    embedding.attach(engine)
    uncertainty.attach(engine)
    engine.run()
    assert embedding.ids == uncertainty.ids == files
    for file, row in zip(files, embedding.embeddings, strict=True):
        volume = load({"image": file})["image"].as_tensor()
        np.testing.assert_allclose(row, by_windows(net, volume, inferer), rtol=1e-4, atol=1e-4)
    assert json.loads((tmp_path / "u.json").read_text())["ids"] == files
