# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.losses import DiceCELoss
from scipy.stats import spearmanr
from torch import nn

from monai_al.handlers import EmbeddingHandler, StopFeatureGradient
from monai_al.losses import LearningLoss, PartialDiceCELoss
from monai_al.networks import DropoutUNet, LossPredictor

CPU = torch.device("cpu")
LAYERS = ["encoder_1", "encoder_2", "bottleneck"]

pytestmark = pytest.mark.usefixtures("one_thread")


def network(seed=0) -> LossPredictor:
    torch.manual_seed(seed)
    return LossPredictor(DropoutUNet(channels=(4, 8, 8), dropout=0.0), LAYERS, width=16)


def items(n: int, seed: int) -> list[dict]:
    """Discs in noise, from hardly any to so much that the disc drowns: the loss follows the noise."""
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[:24, :24]
    made = []
    for _ in range(n):
        y, x, radius, noise = rng.uniform(7, 17), rng.uniform(7, 17), rng.uniform(4, 7), rng.uniform(0.05, 2)
        label = ((ys - y) ** 2 + (xs - x) ** 2 < radius**2).astype(np.float32)
        image = label + noise * rng.standard_normal(label.shape)
        made.append({"image": torch.tensor(image[None], dtype=torch.float32), "label": torch.tensor(label[None])})
    return made


def loader(data: list[dict], batch_size: int = 8, seed: int | None = None) -> DataLoader:
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return DataLoader(Dataset(data), batch_size=batch_size, shuffle=seed is not None, generator=generator)


def trainer(net, loss, epochs: int, data=None, *, adam=False, handlers=(), **options) -> SupervisedTrainer:
    return SupervisedTrainer(
        device=CPU,
        max_epochs=epochs,
        train_data_loader=loader(items(16, seed=0)) if data is None else data,
        network=net,
        optimizer=(torch.optim.Adam if adam else torch.optim.SGD)(net.parameters(), lr=0.01),
        loss_function=loss,
        train_handlers=list(handlers),
        **{"decollate": False, **options},
    )


def weights(net: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten().clone() for p in net.parameters()])


def trained(epochs: int, weight: float, stop: int) -> LossPredictor:
    net = network()
    loss = LearningLoss(PartialDiceCELoss(), weight=weight)
    trainer(net, loss, epochs, handlers=[StopFeatureGradient(net, epoch=stop)]).run()
    return net


# -- when it stops -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epoch", [0, 1, 3, 9])
def test_the_epochs(epoch):
    net, seen = network(), {}
    engine = Engine(lambda engine, batch: seen.update({engine.state.epoch: net.stop_gradient}))
    StopFeatureGradient(net, epoch).attach(engine)
    for _ in range(2):  # a second run starts anew
        engine.run([None] * 2, max_epochs=4)
        assert seen == {e: e > epoch for e in range(1, 5)}


@pytest.mark.parametrize("resumed", [1, 2, 3])
def test_a_training_that_goes_on_later_finds_the_right_state(resumed):
    net = network()
    engine = trainer(net, LearningLoss(PartialDiceCELoss()), 5, handlers=[StopFeatureGradient(net, epoch=2)])
    seen = {}
    engine.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: seen.update({engine.state.epoch: net.stop_gradient})
    )
    Checkpoint.load_objects(
        {"trainer": engine}, {"trainer": {"epoch_length": 2, "max_epochs": 5, "iteration": 2 * resumed}}
    )
    engine.run()
    assert seen == {e: e > 2 for e in range(resumed + 1, 6)}


def test_wrapped_networks():
    net = network()
    handler = StopFeatureGradient(nn.DataParallel(nn.Sequential(net, nn.Identity())), epoch=0)
    engine = Engine(lambda engine, batch: None)
    handler.attach(engine)
    engine.run([None])
    assert net.stop_gradient


def test_wrong_arguments():
    with pytest.raises(ValueError, match="Sequential holds no LossPredictor"):
        StopFeatureGradient(nn.Sequential(nn.ReLU()), epoch=3)
    with pytest.raises(ValueError, match="epoch must be at least 0, got -1"):
        StopFeatureGradient(network(), epoch=-1)


# -- what it changes ---------------------------------------------------------------------------------------------------


def test_stopped_from_the_start_the_network_trains_as_without_the_predictor():
    start, with_it, without = network(), trained(3, weight=1.0, stop=0), trained(3, weight=0.0, stop=0)
    assert torch.equal(weights(with_it.network), weights(without.network))
    plain = network().network
    trainer(plain, PartialDiceCELoss(), 3).run()
    assert torch.equal(weights(with_it.network), weights(plain))
    assert not torch.equal(weights(with_it.network), weights(start.network))
    assert not torch.equal(weights(with_it.loss_predictor), weights(start.loss_predictor))  # still learns
    assert torch.equal(weights(without.loss_predictor), weights(start.loss_predictor))


def test_until_then_the_ranking_changes_the_network():
    assert torch.equal(weights(trained(1, 1.0, stop=1)), weights(trained(1, 1.0, stop=9)))
    flowing, stopped = trained(2, 1.0, stop=9), trained(2, 1.0, stop=1)
    assert not torch.equal(weights(flowing.network), weights(stopped.network))
    assert not torch.equal(weights(trained(1, 1.0, stop=1).network), weights(trained(1, 1.0, stop=0).network))


def test_gradients_of_the_ranking_vanish_after_the_epoch():
    net, found = network(), {}
    loss = LearningLoss(PartialDiceCELoss())
    engine = trainer(net, loss, 3, handlers=[StopFeatureGradient(net, epoch=2)])

    def measure(engine):
        batch = engine.state.batch
        ranking = loss(net(batch["image"]), batch["label"]) - loss.loss(net(batch["image"])[0], batch["label"])
        for part in (net.network, net.loss_predictor):
            grads = torch.autograd.grad(ranking, list(part.parameters()), retain_graph=True, allow_unused=True)
            size = sum(0.0 if grad is None else grad.abs().sum().item() for grad in grads)
            found.setdefault(engine.state.epoch, []).append(size)

    engine.add_event_handler(Events.ITERATION_COMPLETED(every=2), measure)
    engine.run()
    assert [found[epoch][0] > 1e-3 for epoch in (1, 2, 3)] == [True, True, False]
    assert found[3][0] < 1e-5  # of the two segmentation terms that cancel
    assert all(predictor > 1e-3 for _, predictor in found.values())


# -- a whole training --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inner", [PartialDiceCELoss(), DiceCELoss(softmax=True, to_onehot_y=True)], ids=["partial", "monai"]
)
@pytest.mark.parametrize("decollate", [True, False])
def test_any_trainer_takes_it(inner, decollate):
    net = network()
    engine = trainer(net, LearningLoss(inner), 1, decollate=decollate)
    engine.run()
    loss = engine.state.output[0]["loss"] if decollate else engine.state.output["loss"]
    assert torch.as_tensor(loss).detach().isfinite().all()
    assert not torch.equal(weights(net), weights(network()))


def test_evaluation_gives_logits():
    net = network()
    evaluator = SupervisedEvaluator(CPU, loader(items(3, seed=1)), net, decollate=False)
    evaluator.run()
    assert evaluator.state.output["pred"].shape == (3, 2, 24, 24)


def scored(net: LossPredictor, data: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true loss of each item, in evaluation mode."""
    evaluator, handler = (
        SupervisedEvaluator(CPU, loader(data), net, decollate=False),
        EmbeddingHandler("loss_predictor"),
    )
    handler.attach(evaluator)
    evaluator.run()
    net.eval()
    with torch.no_grad():
        true = [PartialDiceCELoss()(net(item["image"][None]), item["label"][None]).item() for item in data]
    return handler.embeddings[:, 0], np.array(true)


@pytest.mark.parametrize("stop", [10, pytest.param(99, marks=pytest.mark.nightly)], ids=["stopped", "flowing"])
def test_the_predicted_loss_follows_the_true_loss(stop):
    net, data, test = network(), items(64, seed=2), items(64, seed=3)
    loss, history = LearningLoss(PartialDiceCELoss()), []
    engine = trainer(net, loss, 20, loader(data, seed=0), adam=True, handlers=[StopFeatureGradient(net, epoch=stop)])

    def keep(engine):
        output, batch = engine.state.output["pred"], engine.state.batch
        history.append((loss(output, batch["label"]) - loss.loss(output[0], batch["label"])).item())

    engine.add_event_handler(Events.ITERATION_COMPLETED, keep)
    before, _ = scored(net, test)
    engine.run()
    predicted, true = scored(net, test)
    assert np.mean(history[-16:]) < 0.7 * np.mean(history[:16])
    assert predicted.shape == (64,)
    assert abs(spearmanr(before, true)[0]) < 0.3
    assert spearmanr(predicted, true)[0] > 0.5
