# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_al.engines.settings import LoopSettings
from monai_al.sources import EntrySettings


def test_assumptions_about_costs_stand_in_a_record_where_they_are_not_the_defaults():
    """So that runs from before there were any go on, and others are told apart."""
    before = LoopSettings().results()
    assert not {"scribble_speed", "slice_overhead", "opening_cost"} & set(before)
    assert LoopSettings(scribble_speed=15, opening_cost=1.0).results() == before
    assert LoopSettings(scribble_speed=20).results() == before | {"scribble_speed": 20.0}


def test_what_is_scored_stands_in_a_record_where_it_is_not_the_default():
    before = LoopSettings().results()
    assert "score_inside" not in before
    assert LoopSettings(score_inside=True).results() == before | {"score_inside": True}
    with pytest.raises(ValueError, match="score_inside must be true or false, got 'yes'"):
        LoopSettings(score_inside="yes")


def test_assumptions_out_of_range_are_refused():
    with pytest.raises(ValueError, match="slice_overhead must be a number of at least 0 and at most 1, got 2"):
        LoopSettings(slice_overhead=2)


def test_what_is_said_of_entries_stands_in_a_record_where_it_is_not_the_default():
    before = LoopSettings().results()
    assert not {"image_key", "label_key", "patient"} & set(before)
    said = LoopSettings(label_key="seg", patient=r"(p\d+)").results()
    assert said == before | {"label_key": "seg", "patient": r"(p\d+)"}
    assert EntrySettings.recorded(said) == LoopSettings(label_key="seg", patient=r"(p\d+)").entries
    with pytest.raises(ValueError, match="--image_key must be a key of the bundle's entries, got None"):
        LoopSettings(image_key=None)
