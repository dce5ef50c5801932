# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.engines import IterationEvents, SupervisedTrainer
from monai.handlers import StatsHandler, TensorBoardStatsHandler
from torch import nn

from monai_al.handlers import EffectiveRankHandler
from monai_al.metrics import effective_rank

pytestmark = pytest.mark.usefixtures("one_thread")

WIDTH = 6


def batches(n_batches: int, rows: int = 5, rank: int = WIDTH, seed=0) -> list[torch.Tensor]:
    rng = np.random.default_rng(seed)
    basis = rng.standard_normal((rank, WIDTH))
    made = [rng.standard_normal((rows, rank)) @ basis for _ in range(n_batches)]
    return [torch.tensor(batch, dtype=torch.float32) for batch in made]


def trainer(data, epochs=1, handlers=(), lr=1e-4, **options) -> SupervisedTrainer:
    """Its network is linear; the second views are others, so that they would be seen if they counted."""
    torch.manual_seed(0)
    network = nn.Linear(WIDTH, WIDTH, bias=False)
    return SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=data,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=lr),
        loss_function=lambda projections, groups: projections.square().mean(),
        prepare_batch=lambda batch, *args: (torch.cat([batch, torch.rand_like(batch) * 99]), torch.zeros(len(batch))),
        train_handlers=list(handlers),
        **{"decollate": False, **options},
    )


def watched(engine: SupervisedTrainer) -> list[list[torch.Tensor]]:
    """The first half of the projections, by epoch."""
    seen: list[list[torch.Tensor]] = []
    engine.add_event_handler(Events.EPOCH_STARTED, lambda engine: seen.append([]))
    engine.add_event_handler(
        IterationEvents.FORWARD_COMPLETED,
        lambda engine: seen[-1].append(engine.state.output["pred"].detach().clone().chunk(2)[0]),
    )
    return seen


@pytest.mark.parametrize("limit", [1, 4, 5, 6, 13, 15, 2048])
def test_the_last_rows_of_each_epoch_count(limit):
    handler, ranks = EffectiveRankHandler(limit=limit), []
    engine = trainer(batches(3), epochs=3, handlers=[handler])
    seen = watched(engine)
    engine.add_event_handler(
        Events.EPOCH_COMPLETED, lambda engine: ranks.append(engine.state.metrics["effective_rank"])
    )
    engine.run()
    assert ranks == [effective_rank(torch.cat(rows)[-limit:].numpy()) for rows in seen]
    assert len(set(ranks)) == (1 if limit == 1 else 3)


def test_no_more_is_kept_than_counts():
    handler, kept = EffectiveRankHandler(limit=7), []
    engine = trainer(batches(20), handlers=[handler])
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: kept.append(sum(map(len, handler._batches))))
    engine.run()
    assert max(kept) == 10


@pytest.mark.parametrize("decollate", [True, False])
def test_it_leaves_the_training_alone(decollate):
    plain, watching = trainer(batches(3), 2), trainer(batches(3), 2, [EffectiveRankHandler()], decollate=decollate)
    for engine in (plain, watching):
        torch.manual_seed(1)
        engine.run()
    assert torch.equal(plain.network.weight, watching.network.weight)
    assert 1 < watching.state.metrics["effective_rank"] <= WIDTH


def test_a_partial_batch_and_another_name():
    data = [*batches(2), batches(1, rows=2, seed=5)[0]]
    engine = trainer(data, handlers=[EffectiveRankHandler(name="rank")])
    seen = watched(engine)
    engine.run()
    assert engine.state.metrics == {"rank": effective_rank(torch.cat(seen[0]).numpy())}


@pytest.mark.parametrize(("rank", "warns"), [(1, True), (WIDTH, False)])
def test_collapse_is_warned_of(caplog, rank, warns):
    caplog.set_level(logging.INFO, logger="monai_al")
    engine = trainer(batches(4, rank=rank), epochs=2, handlers=[EffectiveRankHandler()], lr=0.0)
    engine.run()
    infos = [r.getMessage() for r in caplog.records if r.levelname == "INFO" and r.name.startswith("monai_al")]
    assert [text.split(" of ")[1] for text in infos] == ["6 dimensions"] * 2
    assert infos[0].startswith("epoch 1: effective rank ")
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 2 * warns
    if warns:
        assert "the embeddings collapsed: after epoch 1 their effective rank is 1.00, below 2" in warnings[0]


@pytest.mark.parametrize(("rows", "warn_below", "warns"), [(1, 2.0, False), (2, 2.0, True), (30, 0.0, False)])
def test_no_warning_where_it_says_nothing(caplog, rows, warn_below, warns):
    engine = trainer(batches(1, rows=rows, rank=1), handlers=[EffectiveRankHandler(warn_below=warn_below)])
    engine.run()
    assert any("collapsed" in r.getMessage() for r in caplog.records) == warns


def test_monai_shows_it(tmp_path, capsys):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = TensorBoardStatsHandler(log_dir=str(tmp_path), output_transform=lambda output: output["loss"])
    stats = StatsHandler(name="shown", output_transform=lambda output: output["loss"])
    ranks = []
    engine = trainer(batches(3), epochs=3, handlers=[EffectiveRankHandler(), stats, board])
    engine.add_event_handler(
        Events.EPOCH_COMPLETED, lambda engine: ranks.append(engine.state.metrics["effective_rank"])
    )
    engine.run()
    board.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    shown = [(event.step, event.value) for event in events.Scalars("effective_rank")]
    assert shown == [(epoch, pytest.approx(rank)) for epoch, rank in enumerate(ranks, start=1)]
    printed = capsys.readouterr().out.split("effective_rank: ")[1:]
    assert [float(text.split()[0]) for text in printed] == pytest.approx(ranks, abs=1e-3)


def test_wrong_limit():
    with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
        EffectiveRankHandler(limit=0)
