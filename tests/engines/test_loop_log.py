# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging

import pytest

from monai_al.engines.loop_log import tell_budget
from monai_al.records import round_sizes


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
def test_a_budget_above_the_pool_is_told(caplog, monkeypatch, budget, rounds, told):
    monkeypatch.setattr(logging.getLogger("monai_al"), "propagate", True)  # a bundle's logging.conf turns it off
    monkeypatch.setattr(logging.getLogger("monai_al"), "handlers", [])  # where pytest listens, too
    tell_budget(budget, rounds, round_sizes(budget, rounds, 60), 60)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ([] if told is None else [f"--budget {told}"])
