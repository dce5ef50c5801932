# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What ``torchrun`` starts twice for test_two_processes: checks by name, each in both processes; prints JSON."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile

import ignite.distributed as idist
import torch
import torch.distributed as dist
from ignite.engine import Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import CheckpointSaver, EarlyStopHandler, ValidationHandler
from monai.transforms import RandGaussianNoised
from monai.utils import set_determinism

from monai_al.distributed import ProcessError, Team, train_together
from monai_al.passes import score_items
from monai_al.passes.sharing import merged_scores, own_batches
from monai_al.uncertainty import Measure

N = 11


def items():
    draw = torch.Generator().manual_seed(1)
    return [
        {"image": torch.randn(2, 6, 6, generator=draw), "label": torch.randn(1, 6, 6, generator=draw)} for _ in range(N)
    ]


class Watched(Dataset):
    """Keeps which items were asked for."""

    def __init__(self, data):
        super().__init__(data)
        self.asked = []

    def __getitem__(self, index):
        self.asked.append(int(index))
        return super().__getitem__(index)


class WithUnused(torch.nn.Module):
    """A network with a layer that no image passes."""

    def __init__(self, *layers):
        super().__init__()
        self.used, self.unused = torch.nn.Sequential(*layers), torch.nn.Linear(2, 2)

    def forward(self, x):
        return self.used(x)


def trained(batch_size, norm, *, team=None, epochs=3, handlers=(), max_batches=None):
    set_determinism(0)
    layers = [torch.nn.Conv2d(2, 4, 3, padding=1), *norm, torch.nn.ReLU(), torch.nn.Conv2d(4, 1, 3, padding=1)]
    network = WithUnused(*layers)
    dataset = Watched(items())
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=DataLoader(dataset, batch_size=batch_size, shuffle=True),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), 0.1, momentum=0.9),
        loss_function=torch.nn.MSELoss(),
        decollate=False,
        train_handlers=[handler(network) for handler in handlers] or None,
    )
    trainer.logger.disabled = True
    with contextlib.nullcontext() if team is None else train_together(trainer, seed=0):
        trainer.run()
    return network, dataset.asked, trainer.state.iteration


def weights(network):
    return {name: value.tolist() for name, value in network.state_dict().items()}


def training(team, batch_size):
    network, asked, steps = trained(batch_size, [], team=team)
    gathered = [None] * team.size
    dist.all_gather_object(gathered, (asked, weights(network)), group=team.group)
    return {"asked": [asked for asked, _ in gathered], "weights": [one for _, one in gathered], "steps": steps}


def statistics(team):
    """After a step the statistics of normalization layers are one for all."""
    network, *_ = trained(4, [torch.nn.BatchNorm2d(4)], team=team)
    gathered = [None] * team.size
    dist.all_gather_object(gathered, weights(network), group=team.group)
    return gathered[0] == gathered[1] and len({str(one) for one in gathered}) == 1


class StopsThere:
    """Terminates the trainer of one process alone."""

    def __init__(self, rank, event):
        self.rank, self.event = rank, event

    def attach(self, engine):
        engine.add_event_handler(self.event, self)

    def __call__(self, engine):
        if dist.get_rank() == self.rank:
            engine.terminate()


def stopping(team, rank, step, epoch=None):
    """How many steps the first process has begun; an epoch has three."""
    event = Events.ITERATION_COMPLETED(once=step) if epoch is None else Events.EPOCH_COMPLETED(once=epoch)
    return trained(4, [], team=team, handlers=[lambda network: StopsThere(rank, event)])[2]


class FailsAtOnce:
    """As a network that cannot take the first batch, in a trainer with a handler that sees errors before ours."""

    def __init__(self, network):
        network.register_forward_hook(self.fail)
        self.folder = tempfile.mkdtemp()
        self.saver = CheckpointSaver(self.folder, {"network": network}, save_final=True)

    def fail(self, *_):
        raise ValueError("the first batch cannot be taken")

    def attach(self, engine):
        self.saver.attach(engine)


def failing_at_once(team):
    try:
        trained(4, [], team=team, handlers=[FailsAtOnce])
    except ValueError:
        print(f"process {team.rank} tells of it", file=sys.__stderr__, flush=True)


def drawing(team, workers):
    """What the workers of a loader with a generator of its own draw."""
    set_determinism(0)
    drawn = []
    network = torch.nn.Conv2d(2, 1, 1)
    empty = [{"image": torch.zeros(2, 6, 6), "label": torch.zeros(1, 6, 6)} for _ in range(12)]
    data = Dataset(empty, RandGaussianNoised("image", prob=1))
    loader = DataLoader(data, batch_size=4, num_workers=workers, generator=torch.Generator())
    trainer = SupervisedTrainer(
        torch.device("cpu"),
        1,
        loader,
        network,
        torch.optim.SGD(network.parameters(), 0.1),
        torch.nn.MSELoss(),
        decollate=False,
    )
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda: drawn.append(float(trainer.state.batch["image"].mean()))
    )
    with train_together(trainer, seed=0):
        trainer.run()
    gathered = [None] * team.size
    dist.all_gather_object(gathered, drawn, group=team.group)
    return gathered


def early(team):
    """All stop by a validation that each of them does."""

    def validates(network):
        evaluator = SupervisedEvaluator(
            device=torch.device("cpu"), val_data_loader=DataLoader(Dataset(items()), batch_size=4), network=network,
            key_val_metric=None, decollate=False,
        )  # fmt: skip
        stop = EarlyStopHandler(1, lambda engine: 0.0, trainer=None)
        stop.attach(evaluator)
        return ValidationHandler(1, evaluator, epoch_level=True), stop

    class Both:
        def __init__(self, network):
            self.validation, self.stop = validates(network)

        def attach(self, engine):
            self.validation.attach(engine)
            self.stop.set_trainer(engine)

    return trained(4, [], team=team, epochs=9, handlers=[Both])[2]


def scoring(team, seed, batch_size):
    """A part of the scores of every kind of measure, of a network with dropout."""
    set_determinism(3)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.Dropout(0.5), torch.nn.Conv2d(4, 3, 1)
    ).eval()
    needs = {
        "entropy": Measure("entropy"),
        "bald": Measure.of("bald"),
        "tta": Measure.of("tta"),
        "embedding": "0",
    }
    loader = DataLoader(Dataset(items()), batch_size=batch_size, generator=torch.Generator())
    own, before = own_batches(loader, team.rank, team.size)
    return score_items(network, own, needs, seed=seed, before=before)


def seen(team):
    return dist.is_initialized(), idist.get_world_size()


def failing(team, rank):
    if team.rank == rank:
        raise ValueError(f"process {rank} has no data")
    return team.rank


JOBS = {
    job.__name__: job
    for job in (training, statistics, stopping, early, scoring, seen, failing, failing_at_once, drawing)
}


def main():
    with Team.of_launched() as team:
        team.jobs |= JOBS
        if not team.first:
            team.serve()
            with Team.of_launched() as second:
                second.jobs["who"] = lambda team: "a process of the second run"
                second.serve()
            with Team.of_launched() as third:
                third.jobs["who"] = lambda team: f"process {team.rank} of the third run"
                third.serve()
            return
        if sys.argv[1:]:  # a failure in the midst of what all do in step
            team.together("failing", rank=int(sys.argv[1]))
        found = {"hidden": seen(team), "each": team.each("seen"), "together": team.together("seen")}
        found["training"] = {}
        for batch_size in (4, 6, 5, 2):
            alone, _, steps = trained(batch_size, [])
            both = team.together("training", batch_size=batch_size)
            found["training"][batch_size] = {"alone": weights(alone), "alone_steps": steps, **both}
        found["statistics"] = team.together("statistics")
        stops = [{"step": 3}, {"step": 4}, {"step": 9}, {"step": None, "epoch": 1}]
        found["stopping"] = [[team.together("stopping", rank=rank, **stop) for stop in stops] for rank in range(2)]
        found["drawing"] = team.together("drawing", workers=1)
        team.together("failing_at_once")
        found["early"] = team.together("early")
        found["scores"] = []
        for batch_size in (1, 3, 4, 20):
            whole = scoring(Team(), 5, batch_size)
            merged = merged_scores(team.each("scoring", seed=5, batch_size=batch_size))
            found["scores"].append({name: bool((whole[name] == merged[name]).all()) for name in whole | merged})
        try:
            team.each("failing", rank=1)
        except ProcessError as error:
            found["failure"] = str(error)
        found["after"] = team.each("seen")
    try:
        with Team.of_launched():
            raise ValueError("this run fails before its first job")
    except ValueError:
        pass
    with Team.of_launched() as third:
        third.jobs["who"] = lambda team: f"process {team.rank} of the third run"
        found["third"] = third.each("who")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
