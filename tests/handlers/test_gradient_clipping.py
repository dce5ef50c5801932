# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader
from monai.engines import SupervisedTrainer
from torch import nn

from monai_al.handlers import GradientClipping

pytestmark = pytest.mark.usefixtures("one_thread")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 1))


def batches(n: int, size: int = 2) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        {"image": torch.randn(1, 8, 8, generator=generator), "label": 9 * torch.randn(2, 6, 6, generator=generator)}
        for _ in range(n * size)
    ]


def clipped_by_hand(net: nn.Module, data, max_norm: float, lr: float, accumulation: int = 1) -> None:
    """Plain gradient descent, with the norm over all weights written out."""
    groups = [data[i : i + 2] for i in range(0, len(data), 2)]
    for start in range(0, len(groups), accumulation):
        net.zero_grad()
        for group in groups[start : start + accumulation]:
            images, labels = (torch.stack([one[key] for one in group]) for key in ("image", "label"))
            (nn.functional.mse_loss(net(images), labels) / accumulation).backward()
        norm = math.sqrt(sum(float(g) ** 2 for p in net.parameters() for g in p.grad.flatten()))
        with torch.no_grad():
            for p in net.parameters():
                p -= lr * p.grad * min(1.0, max_norm / norm)


def trained(net: nn.Module, data, optimizer, handlers, **options) -> None:
    SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=DataLoader(data, batch_size=2),
        network=net,
        optimizer=optimizer,
        loss_function=nn.MSELoss(),
        train_handlers=handlers,
        decollate=False,
        **options,
    ).run()


@pytest.mark.parametrize("max_norm", [0.01, 1.0, 5.0, 1e6])
@pytest.mark.parametrize("accumulation", [1, 3])
def test_steps_are_those_of_clipped_gradients(max_norm, accumulation):
    data, net, reference = batches(6), network(), network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    trained(net, data, optimizer, [GradientClipping(optimizer, max_norm)], accumulation_steps=accumulation)
    clipped_by_hand(reference, data, max_norm, lr=0.05, accumulation=accumulation)
    for found, expected in zip(net.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_several_groups_have_one_norm():
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(3)]
    optimizer = torch.optim.SGD([{"params": weights[:1]}, {"params": weights[1:], "lr": 2.0}], lr=1.0)

    def step(engine, batch):
        weights[0].grad, weights[1].grad = torch.tensor([3.0]), torch.tensor([-4.0])  # and one without a gradient
        optimizer.step()

    trainer = Engine(step)
    GradientClipping(optimizer, max_norm=1.0).attach(trainer)
    trainer.run([None])
    assert [round(w.item(), 4) for w in weights] == [-0.6, 1.6, 0.0]


@pytest.mark.parametrize("fused", [False, True])
def test_the_scale_of_mixed_precision_does_not_count(fused):
    """An optimizer that takes off the loss's scale by itself sees gradients that bear it."""
    weight = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=1.0, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def step(engine, batch):
        optimizer.zero_grad()
        scaler.scale((weight * torch.tensor([30.0, 40.0])).sum()).backward()
        scaler.step(optimizer)
        scaler.update()

    trainer = Engine(step)
    GradientClipping(optimizer, max_norm=5.0).attach(trainer)
    trainer.run([None])
    torch.testing.assert_close(weight.detach(), torch.tensor([-3.0, -4.0]), rtol=1e-4, atol=1e-4)


def counting_trainer(optimizer, weight, fails=False) -> Engine:
    def step(engine, batch):
        weight.grad = torch.tensor([10.0])
        optimizer.step()
        if fails:
            raise RuntimeError("broken")

    return Engine(step)


def test_it_ends_with_the_run():
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    trainer = counting_trainer(optimizer, weight)
    GradientClipping(optimizer, 1.0).attach(trainer)
    trainer.run([None])
    weight.grad = torch.tensor([10.0])
    optimizer.step()
    assert weight.item() == pytest.approx(-11.0, abs=1e-4)


def test_a_run_after_one_that_failed():
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    handler = GradientClipping(optimizer, 1.0)
    failing, working = counting_trainer(optimizer, weight, fails=True), counting_trainer(optimizer, weight)
    for trainer in (failing, working):
        handler.attach(trainer)
    with pytest.raises(RuntimeError, match="broken"):
        failing.run([None])
    working.run([None], max_epochs=2)
    assert weight.item() == pytest.approx(-3.0, abs=1e-4)
    assert not optimizer._optimizer_step_pre_hooks


def test_other_handlers_see_the_gradients_as_they_were_applied():
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    trainer, seen = counting_trainer(optimizer, weight), []
    GradientClipping(optimizer, 2.0).attach(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.append(weight.grad.item()))
    trainer.run([None])
    assert seen == [pytest.approx(2.0, abs=1e-4)]


@pytest.mark.parametrize("max_norm", [0, -1.0, float("nan")])
def test_the_norm_must_be_above_zero(max_norm):
    with pytest.raises(ValueError, match="max_norm must be above 0"):
        GradientClipping(torch.optim.SGD(network().parameters(), lr=1.0), max_norm)
