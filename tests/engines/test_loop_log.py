# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging

import pytest

from monai_al.engines.loop_log import tell_budget, tell_refused
from monai_al.records import TEST, round_sizes


@pytest.fixture
def messages(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("monai_al"), "propagate", True)  # a bundle's logging.conf turns it off
    monkeypatch.setattr(logging.getLogger("monai_al"), "handlers", [])  # where pytest listens, too
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("budget", "rounds", "told"),
    [
        (20, 3, None),
        ([10, 50], 2, None),
        ([0.5, 1.0], 2, None),
        (25, 3, "asks for 75 items in 3 rounds, but only 60 may be annotated: the last round gets 10"),
        ([10, 60], 2, "asks for 70 items in 2 rounds, but only 60 may be annotated: the last round gets 50"),
        (30, 9, "asks for 270 items in 9 rounds, but only 60 may be annotated: the last round gets 30, and there are"
         " only 2 rounds"),
    ],
)  # fmt: skip
def test_a_budget_above_the_pool_is_told(messages, budget, rounds, told):
    tell_budget(budget, rounds, round_sizes(budget, rounds, 60), 60)
    assert messages() == ([] if told is None else [f"--budget {told}"])


@pytest.mark.parametrize(("number", "title"), [(0, "round 0"), (TEST, "the test set")])
def test_what_has_no_label_is_told_with_its_round(messages, number, title):
    tell_refused(number, {"a/0007": "its label annotates no pixel"}, 20)
    (message,) = messages()
    assert message.startswith(f"{title}: 1 of 20 items have no label")
