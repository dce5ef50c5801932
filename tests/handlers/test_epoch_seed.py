# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint
from monai.engines import SupervisedTrainer
from torch import nn
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from monai_al.data import GroupBatchSampler
from monai_al.handlers import EpochSeed, Resumption
from monai_al.losses import MetricLearningLoss
from monai_al.transforms import ContrastiveAugmentation, ContrastiveBatch

pytestmark = pytest.mark.usefixtures("one_thread", "kept_random_states")


@pytest.fixture
def kept_random_states():
    """The handler seeds what all tests share."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield
    for put_back, state in zip((random.setstate, np.random.set_state, torch.set_rng_state), states, strict=True):
        put_back(state)


class Slices(Dataset):
    """Four patients with two volumes of four slices; each entry is made noisy in all the ways an entry can be."""

    keys = [(p, 2 * p + v, z) for p in range(4) for v in range(2) for z in range(4)]

    def __len__(self):
        return len(self.keys)

    def __getitem__(self, index):
        patient, volume, z = self.keys[index]
        image = torch.full((1, 16, 16), float(index))
        image[0, 0, :3] = torch.tensor([random.random(), np.random.rand(), torch.rand(()).item()])
        return {"image": image, "patient": patient, "volume": volume, "slice": z, "index": index}


def group_batches(seed=0) -> GroupBatchSampler:
    return GroupBatchSampler(*zip(*Slices.keys, strict=True), seed=seed)


def expected(epoch: int, seed=0) -> list[list[int]]:
    sampler = group_batches(seed)
    sampler.set_epoch(epoch)
    return list(sampler)


def drawn(engine: Engine, batches: dict[int, list]) -> None:
    """Keep what each epoch got."""
    engine.add_event_handler(
        Events.ITERATION_COMPLETED,
        lambda engine: batches.setdefault(engine.state.epoch, []).append(engine.state.batch),
    )


def indices(batches: dict[int, list]) -> dict[int, list[list[int]]]:
    return {epoch: [batch["index"].tolist() for batch in of_epoch] for epoch, of_epoch in batches.items()}


def same(one: dict[int, list], other: dict[int, list]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(a["image"], b["image"]) for epoch in one for a, b in zip(one[epoch], other[epoch], strict=True)
    )


def plain_run(workers: int, epochs: int, start: int = 0, seed=0, draw_before=0) -> dict[int, list]:
    sampler, batches = group_batches(), {}
    loader = DataLoader(Slices(), batch_sampler=sampler, num_workers=workers)
    engine = Engine(lambda engine, batch: torch.rand(2))
    EpochSeed(seed, sampler).attach(engine)
    drawn(engine, batches)
    torch.rand(draw_before), np.random.rand(draw_before), [random.random() for _ in range(draw_before)]
    if start:
        engine.load_state_dict({"epoch": start, "max_epochs": epochs, "epoch_length": len(loader)})
        engine.run(loader)
    else:
        engine.run(loader, max_epochs=epochs)
    return batches


@pytest.mark.parametrize("workers", [0, 2])
def test_every_epoch_has_its_own_batches(workers):
    batches = plain_run(workers, epochs=3)
    assert indices(batches) == {epoch: expected(epoch) for epoch in (1, 2, 3)}
    assert len({str(of_epoch) for of_epoch in indices(batches).values()}) == 3


@pytest.mark.parametrize(("workers", "start"), [(0, 1), (0, 2), (2, 2)])
def test_going_on_at_an_epoch_draws_what_it_would_have_drawn(workers, start):
    whole = plain_run(workers, epochs=3)
    rest = plain_run(workers, epochs=3, start=start, draw_before=5)
    assert rest.keys() == set(range(start + 1, 4))
    assert same({epoch: whole[epoch] for epoch in rest}, rest)


def test_the_seed_decides():
    one = plain_run(0, epochs=2)
    assert same(one, plain_run(0, epochs=2, draw_before=3))
    other = plain_run(0, epochs=2, seed=1)
    assert indices(other) == indices(one)  # the sampler has a seed of its own
    assert not same(one, other)
    noise = [batch["image"][0, 0, 0, :3] for of_epoch in one.values() for batch in of_epoch]
    assert len(torch.stack(noise).unique()) == 3 * len(noise)


def test_no_sampler_and_torchs_own():
    engine, sampler = Engine(lambda engine, batch: None), DistributedSampler(range(8), num_replicas=2, rank=0)
    EpochSeed(0).attach(engine)
    EpochSeed(0, sampler).attach(engine)
    engine.run([0], max_epochs=3)
    assert sampler.epoch == 3


def test_each_process_draws_differently(monkeypatch):
    values = []
    for process in (None, 0, 1):
        if process is not None:
            monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
            monkeypatch.setattr(torch.distributed, "get_rank", lambda process=process: process)
        engine = Engine(lambda engine, batch: values.append((torch.rand(1).item(), np.random.rand(), random.random())))
        EpochSeed(0).attach(engine)
        engine.run([0])
    alone, first, second = values
    assert alone == first
    assert not set(first) & set(second)


# -- a whole training --------------------------------------------------------------------------------------------------


def trainer(epochs: int, handlers=(), seed=0) -> SupervisedTrainer:
    sampler = group_batches(seed)
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Flatten(), nn.Linear(256, 16), nn.BatchNorm1d(16), nn.Dropout(0.2), nn.Linear(16, 4))
    return SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=DataLoader(Slices(), batch_sampler=sampler),
        network=network,
        optimizer=torch.optim.Adam(network.parameters(), lr=1e-2),
        loss_function=MetricLearningLoss(),
        prepare_batch=ContrastiveBatch(ContrastiveAugmentation()),
        train_handlers=[EpochSeed(seed, sampler), *handlers],
        decollate=False,
    )


def weights(engine: SupervisedTrainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in engine.network.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_training_that_goes_on_gives_the_same_weights():
    whole, batches = trainer(3), {}
    drawn(whole, batches)
    whole.run()
    assert indices(batches) == {epoch: expected(epoch) for epoch in (1, 2, 3)}
    first = trainer(2)
    first.run()
    state = {"epoch_length": first.state.epoch_length, "max_epochs": 3, "iteration": first.state.iteration}
    rest, going_on = trainer(3), {}
    rest.network.load_state_dict(first.network.state_dict())
    rest.optimizer.load_state_dict(first.optimizer.state_dict())
    Checkpoint.load_objects({"trainer": rest}, {"trainer": state})
    drawn(rest, going_on)
    torch.rand(7)
    rest.run()
    assert indices(going_on) == {3: expected(3)}
    assert equal(weights(rest), weights(whole))
    assert not equal(weights(first), weights(whole))


def test_with_a_file(tmp_path):
    whole = trainer(3)
    whole.run()
    for epochs in (1, 3):
        engine = trainer(epochs)
        Resumption(tmp_path / "training.pt", {"network": engine.network, "optimizer": engine.optimizer}).attach(engine)
        engine.run()
    assert engine.state.iteration == whole.state.iteration
    assert equal(weights(engine), weights(whole))


def test_another_seed_trains_differently():
    one, other = trainer(1), trainer(1)
    EpochSeed(99).attach(other)  # the sampler and the first weights are the same
    for engine in (one, other):
        engine.run()
    assert not equal(weights(one), weights(other))
