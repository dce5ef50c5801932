# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.networks.nets import UNet
from torch import distributed, nn

from monai_al.data import Item, Pool, Query, Round, derived_seed
from monai_al.handlers import EmbeddingHandler, QueryHandler, UncertaintyHandler
from monai_al.selection import stratified
from monai_al.strategies import Random, Selective, Strategy, Uncertainty
from monai_al.uncertainty import Measure

DOCUMENTATION = Path(__file__).resolve().parents[2] / "docs" / "handlers.md"
CPU = torch.device("cpu")
LAYER = "model.1.submodule"
torch.set_num_threads(1)


def network(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    return UNet(2, 1, 3, channels=(4, 8), strides=(2,), dropout=dropout, norm="batch")


def images(n: int = 9) -> torch.Tensor:
    return torch.randn(n, 1, 16, 16, generator=torch.Generator().manual_seed(1))


def names(n: int = 9) -> list[str]:
    return [f"case/{i:04d}" for i in range(n)]


def batches(data: torch.Tensor, size: int = 4) -> list[dict]:
    ids = names(len(data))
    return [{"image": data[i : i + size], "id": ids[i : i + size]} for i in range(0, len(data), size)]


def run(handler, loader, net: nn.Module, **settings) -> SupervisedEvaluator:
    engine = SupervisedEvaluator(CPU, loader, net, **{"decollate": False, **settings})
    handler.attach(engine)
    engine.run()
    return engine


class Shortest(Strategy):
    """The shortest vectors of one layer; remembers all that the round held."""

    name = "shortest"

    def __init__(self, layer: str = LAYER) -> None:
        self.layer = layer

    def needs(self):
        return {"bottom": self.layer, "bald": Measure.of("bald", passes=3), "margin": Measure.of("margin")}

    def select(self, round: Round, budget: int) -> Query:
        self.round = round
        lengths = np.linalg.norm(round.embeddings["bottom"], axis=1)
        chosen = round.unlabeled[np.argsort(lengths[round.unlabeled])][:budget]
        return self.make_query(round, chosen, round.scores["bald"][chosen])


@pytest.mark.parametrize("strategy", [Uncertainty("entropy"), Uncertainty("bald", passes=3), Selective("margin")])
@pytest.mark.parametrize("labeled", [[], ["case/0002", "case/0005"]])
def test_is_the_strategys_answer_to_the_scores_of_the_pool(strategy, labeled):
    net, data = network(dropout=0.3), images()
    handler = QueryHandler(strategy, budget=3, labeled=labeled, seed=7, number=2)
    engine = run(handler, batches(data), net)
    scoring = UncertaintyHandler(strategy.needs(), seed=derived_seed(7, 2, "scoring"))
    run(scoring, batches(data), net)
    pool = Pool(Item(id, id, id, id) for id in names())
    positions = [pool.index(id) for id in labeled]
    scores = {name: np.where(np.isin(np.arange(9), positions), -np.inf, s) for name, s in scoring.scores.items()}
    assert handler.query == strategy.query(Round(2, pool, positions, 7, scores), 3)
    assert engine.state.query is handler.query
    assert set(labeled).isdisjoint(handler.query.ids)
    assert len(set(handler.query.ids)) == 3


def test_a_strategy_gets_all_that_it_needs_of_every_item():
    net, data = network(dropout=0.3), images()
    strategy = Shortest()
    handler = QueryHandler(strategy, budget=2, labeled=["case/0004"], seed=3)
    engine = run(handler, batches(data), net)
    embedding = EmbeddingHandler(LAYER)
    run(embedding, batches(data), net)
    assert set(strategy.round.embeddings) == {"bottom"}
    np.testing.assert_array_equal(strategy.round.embeddings["bottom"], embedding.embeddings)
    assert set(strategy.round.scores) == {"bald", "margin"}
    for scores in strategy.round.scores.values():
        assert scores.shape == (9,)
        assert np.isneginf(scores).tolist() == [i == 4 for i in range(9)]
    assert [(item.volume, item.patient, item.image) for item in strategy.round.pool] == [(i, i, i) for i in names()]
    assert (strategy.round.rounds, strategy.round.first_budget, strategy.round.total_budget) == (None, None, None)
    assert handler.query.ids == tuple(strategy.query(strategy.round, 2).ids)
    assert set(engine.state.uncertainty) == {"bald", "margin"}
    run(QueryHandler(strategy, budget=2, rounds=4), batches(data), net)
    assert strategy.round.rounds == 4


def test_a_strategy_without_needs_never_looks_at_the_prediction():
    class Useless(nn.Module):
        def forward(self, x):
            return {"nothing": None}

    handler = QueryHandler(Random(), budget=4, labeled=["case/0000"], seed=1)
    engine = run(handler, batches(images()), Useless())
    assert len(set(handler.query.ids) - {"case/0000"}) == 4
    assert not hasattr(engine.state, "uncertainty")
    again, other = QueryHandler(Random(), 4, seed=1), QueryHandler(Random(), 4, seed=1, number=2)
    for one in (again, other):
        run(one, batches(images()), Useless())
    assert again.query.ids != other.query.ids


def test_a_batch_may_tell_the_patients():
    data, patients = images(), [f"p{i // 4}" for i in range(9)]
    loader = [batch | {"patient": patients[i : i + 4]} for batch, i in zip(batches(data), (0, 4, 8), strict=True)]
    strategy = Uncertainty("entropy", selector="stratified")
    handler = QueryHandler(strategy, budget=4, labeled=["case/0008"], patient_key="patient")
    run(handler, loader, network())
    scores = UncertaintyHandler(strategy.needs())
    run(scores, loader, network())
    expected = stratified(scores.scores["entropy"], 4, patients, labeled=[8])
    assert handler.query.ids == tuple(names()[i] for i in expected)
    assert [id[-1] in "0123" for id in handler.query.ids].count(True) == 2
    alone, plain = QueryHandler(strategy, 4), QueryHandler(Uncertainty("entropy"), 4)
    for one in (alone, plain):  # without the key each item is its own patient
        run(one, loader, network())
    assert alone.query.ids == plain.query.ids
    with pytest.raises(ValueError, match="the batch has no 'case', where the patients of its items should stand"):
        run(QueryHandler(strategy, 4, patient_key="case"), loader, network())
    with pytest.raises(ValueError, match="the batch has 4 items but 2 entries in 'patient'"):
        run(QueryHandler(strategy, 4, patient_key="patient"), [loader[0] | {"patient": ["a", "b"]}], network())


def test_any_object_with_needs_and_query_is_a_strategy():
    class First:
        def needs(self):
            return {}

        def query(self, round, budget):
            return Query(round.number, "first", round.seed, ())

    handler = QueryHandler(First(), 1)
    run(handler, batches(images()), network())
    assert handler.query == Query(1, "first", 0, ())


def test_items_without_ids_are_called_by_their_files():
    files = ["a.nii.gz", "b.nii.gz", "a.nii.gz", "c.nii.gz", "a.nii.gz"]
    metas = [{"filename_or_obj": file} for file in files]
    data = [{"image": MetaTensor(image, meta=meta)} for image, meta in zip(images(5), metas, strict=True)]
    handler = QueryHandler(Random(), 5)
    run(handler, DataLoader(Dataset(data), batch_size=2), network(), decollate=True)
    assert sorted(handler.query.ids) == ["a.nii.gz", "a.nii.gz#1", "a.nii.gz#2", "b.nii.gz", "c.nii.gz"]
    handler = QueryHandler(Random(), 2, labeled=["a.nii.gz#1", "b.nii.gz", "c.nii.gz"])
    run(handler, DataLoader(Dataset(data), batch_size=5), network())
    assert sorted(handler.query.ids) == ["a.nii.gz", "a.nii.gz#2"]


def test_ids_that_are_numbers():
    handler = QueryHandler(Random(), 2, labeled=[0, 3])
    run(handler, [{"image": images(4), "id": torch.arange(4)}], network())
    assert sorted(handler.query.ids) == ["1", "2"]


def test_the_file_is_a_query_json(tmp_path):
    path = tmp_path / "new" / "query.json"
    handler = QueryHandler(Selective("entropy"), 4, path=path)
    run(handler, batches(images()), network())
    assert Query.from_json(json.loads(path.read_text())) == handler.query
    assert [entry.name for entry in path.parent.iterdir()] == ["query.json"]
    with pytest.raises(ValueError, match="must end in .json"):
        QueryHandler(Random(), 1, path="query.txt")


def test_a_second_run_forgets_the_first():
    handler = QueryHandler(Uncertainty("entropy"), 3)
    engine = run(handler, batches(images()), network())
    first = handler.query
    engine.run()
    assert handler.query == first
    assert handler.query is not first


@pytest.mark.parametrize("budget", [0, -1, 2.0, True, "3", None])
def test_budgets_that_are_no_number_of_items(budget):
    with pytest.raises(ValueError, match="budget must be a number of items"):
        QueryHandler(Random(), budget)


@pytest.mark.parametrize(("budget", "labeled", "left"), [(10, [], 9), (8, ["case/0001", "case/0001", "case/0002"], 7)])
def test_a_budget_that_is_too_large(budget, labeled, left):
    handler = QueryHandler(Random(), budget, labeled=labeled)
    with pytest.raises(ValueError, match=f"budget is {budget} items, but of the 9 items seen only {left} are"):
        run(handler, batches(images()), network())
    assert handler.query is None
    whole = QueryHandler(Random(), left, labeled=labeled)
    run(whole, batches(images()), network())
    assert set(whole.query.ids) == set(names()) - set(labeled)


def test_unknown_labeled_ids():
    handler = QueryHandler(Random(), 1, labeled=["case/0001", "case/1000"])
    with pytest.raises(ValueError, match="1 of the 2 ids .* such as 'case/1000'; an id seen is 'case/0000'"):
        run(handler, batches(images()), network())


def test_ids_that_occur_twice():
    with pytest.raises(ValueError, match="two items of the pool are called 'a'"):
        run(QueryHandler(Random(), 1), [{"image": images(2), "id": ["a", "a"]}], network())


def test_an_unknown_layer():
    with pytest.raises(ValueError, match="no layer 'bottom'"):
        run(QueryHandler(Shortest("bottom"), 1), batches(images()), network())


def test_a_pretrained_encoder_is_not_there():
    with pytest.raises(ValueError, match="needs a pretrained encoder, which an evaluator's network is not"):
        QueryHandler(Shortest("encoder"), 1)


def test_processes_that_share_the_pool(monkeypatch, tmp_path):
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed, "get_rank", lambda: 1)
    with pytest.raises(ValueError, match="2 processes share the pool"):
        QueryHandler(Random(), 1).reset()
    uncertainty = UncertaintyHandler(path=tmp_path / "scores.json")
    embedding = EmbeddingHandler(LAYER, path=tmp_path / "embeddings.npz")
    for handler in (uncertainty, embedding):
        handler.publish(type("Engine", (), {"state": type("State", (), {})})())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["embeddings.rank1.npz", "scores.rank1.json"]


def test_the_documentations_example(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text(encoding="utf-8"), re.DOTALL)
    found: dict = {}
    exec(code, found)
    assert found["embedding"].embeddings.shape == (6, 8)
    assert len(set(found["query"].query.ids) - {"case_0.nii.gz"}) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["embeddings.npz", "query.json", "scores.json"]
    assert str(found["query"].query.ids) in capsys.readouterr().out
