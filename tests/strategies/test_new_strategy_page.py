# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""``docs/new_strategy.md`` is true: its strategy runs, and what it names is there."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from monai.bundle import ConfigParser

from monai_al import strategies
from monai_al.data import Item, Pool, Round
from monai_al.strategies import Selector, Strategy

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "new_strategy.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)
    return found


@pytest.fixture
def strategy(monkeypatch) -> Strategy:
    """The strategy of the page, made by the overlay of the page."""
    names: dict = {"__name__": "near_boundary"}
    exec(block("python"), names)
    monkeypatch.setattr(strategies, "NearBoundary", names["NearBoundary"], raising=False)
    made = ConfigParser({"selector": None, **yaml.safe_load(block("yaml"))}).get_parsed_content("strategy")
    assert isinstance(made, names["NearBoundary"])
    return made


def test_the_strategy_of_the_page_chooses(strategy):
    pool = Pool([Item(i, i, i, i) for i in "abcde"])
    round = Round(1, pool, [1], seed=0, scores={"boundary": np.array([3.0, -math.inf, 9.0, -math.inf, 5.0])})
    assert strategy.query(round, 4).ids == ("c", "e", "a", "d")
    assert strategy.needs()["boundary"].region == "boundary"
    assert type(strategy)(selector="stochastic_batches").selector.name == "stochastic_batches"
    with pytest.raises(ValueError, match="budget 5 is more than the 4 unlabeled"):
        strategy.query(round, 5)
    with pytest.raises(ValueError, match="width must lie in"):
        type(strategy)(width=0.7)


def test_what_the_page_names_is_there():
    for name in re.findall(r"`self\.(\w+)\(", TEXT):
        assert callable(getattr(Strategy, name))
    round = Round(1, Pool([Item("a", "a", "a", "a")]), [], seed=0)
    for name in re.findall(r"round\.(\w+)", TEXT):
        assert hasattr(round, name)
    for name in re.findall(r"`Selector\.(\w+)`", TEXT):
        assert callable(getattr(Selector, name))
    for path in re.findall(r"`([\w/]+/[\w.]+(?:\.py|\.md)?)`", TEXT):
        assert (ROOT / path).exists(), path


def test_modules_are_as_short_as_it_says():
    """Those that it tells of."""
    limit = int(re.search(r"at most (\d+) lines", TEXT)[1])
    for name in ("clasp_pe", "prob_cover"):
        assert len((ROOT / "monai_al" / "strategies" / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= limit
