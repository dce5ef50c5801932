# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Every command with bad input of the tables: one message, the right exit status, nothing left behind."""

from __future__ import annotations

import pytest
from bad_inputs import all_cases, make_finished, problems_of, run_case

CASES = all_cases()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Makes a finished run when it is asked for first."""
    made = []

    def make():
        made[:] = made or [make_finished(tmp_path_factory.mktemp("finished"))]
        return made[0]

    return make


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=[pytest.mark.nightly] if case.nightly else []) for case in CASES],
)
def test_bad_input(case, tmp_path, finished):
    outcome = run_case(case, tmp_path, finished)
    assert problems_of(case, outcome) == [], outcome.out + outcome.err


def test_names_are_unique():
    assert len({case.name for case in CASES}) == len(CASES)
