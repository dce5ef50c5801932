# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.utils import CommonKeys
from torch import nn

from monai_al.handlers import SecondOptimizer

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("ignore:.*GradScaler:FutureWarning")]

SGD = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def batches(n=6) -> list[dict]:
    generator = torch.Generator().manual_seed(1)
    return [
        {CommonKeys.IMAGE: torch.randn(5, 3, generator=generator), CommonKeys.LABEL: torch.ones(5, 1)} for _ in range(n)
    ]


def optimizers(net: nn.Sequential) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    return torch.optim.Adam(net[0].parameters(), lr=0.01), torch.optim.SGD(net[2].parameters(), **SGD)


def trainer(net: nn.Module, first, second, epochs=2, scaler=None, **options) -> SupervisedTrainer:
    engine = SupervisedTrainer(
        torch.device("cpu"),
        epochs,
        batches(),
        net,
        first,
        nn.MSELoss(),
        train_handlers=[SecondOptimizer(second)],
        decollate=False,
        **options,
    )
    if scaler is not None:
        engine.amp = True
        engine.add_event_handler(Events.STARTED, lambda: setattr(engine, "scaler", scaler))  # MONAI builds a GPU's
    return engine


def weights(net: nn.Module) -> list[float]:
    return torch.cat([p.detach().flatten() for p in net.parameters()]).tolist()


def by_hand(epochs=2) -> list[float]:
    net = network()
    both = optimizers(net)
    for batch in epochs * batches():
        for one in both:
            one.zero_grad()
        nn.functional.mse_loss(net(batch[CommonKeys.IMAGE]), batch[CommonKeys.LABEL]).backward()
        for one in both:
            one.step()
    return weights(net)


def test_both_step_with_the_gradients_of_one_backward_pass():
    net = network()
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)  # left from before
    trainer(net, *optimizers(net)).run()
    assert weights(net) == by_hand()


@pytest.mark.filterwarnings("ignore:.*CUDA.*:UserWarning")
def test_with_mixed_precision_both_take_the_loss_s_scale_off():
    net, scaler = network(), torch.amp.GradScaler("cpu", init_scale=1024.0)
    trainer(net, *optimizers(net), scaler=scaler).run()
    assert weights(net) == pytest.approx(by_hand(), abs=1e-6)


@pytest.mark.filterwarnings("ignore:.*CUDA.*:UserWarning")
def test_an_overflow_is_skipped_and_lowers_the_scale():
    net, scaler = network(), torch.amp.GradScaler("cpu", init_scale=1e38)
    before = weights(net)
    engine = trainer(net, *optimizers(net), epochs=1, scaler=scaler)
    engine.loss_function = lambda output, label: 1e4 * nn.functional.mse_loss(output, label)
    engine.run()
    assert weights(net) == before
    assert scaler.get_scale() == pytest.approx(1e38 / 2**6)  # after each of 6 batches


def test_a_schedule_of_the_trainer_s_optimizer_leaves_it_alone():
    net = network()
    first, second = optimizers(net)
    schedule = torch.optim.lr_scheduler.LambdaLR(first, lambda step: 0.5**step)
    engine = trainer(net, first, second)
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: schedule.step())
    engine.run()
    assert first.param_groups[0]["lr"] < 1e-5
    assert second.param_groups[0]["lr"] == 0.1


def test_a_training_that_goes_on_from_both_states_is_the_same():
    net = network()
    first, second = optimizers(net)
    trainer(net, first, second, epochs=1).run()
    other = copy.deepcopy(net)
    again = optimizers(other)
    for one, state in zip(again, (first, second), strict=True):
        one.load_state_dict(state.state_dict())
    trainer(other, *again, epochs=1).run()
    assert weights(other) == by_hand(epochs=2)


def test_a_parameter_of_both_is_refused():
    net = network()
    first, second = torch.optim.Adam(net.parameters()), torch.optim.SGD(net[2].parameters(), lr=0.1)
    with pytest.raises(ValueError, match="the second one have 2 parameters in common: give each its own"):
        trainer(net, first, second).run()


def test_batches_that_are_summed_are_refused():
    net = network()
    with pytest.raises(ValueError, match="set accumulation_steps to 1"):
        trainer(net, *optimizers(net), accumulation_steps=2).run()
