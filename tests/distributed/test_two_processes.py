# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Two processes, by gloo: what they train is what one trains, and what they score too."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

LIMIT = 300


def launched(*words):
    """A script that torchrun starts twice."""
    script = Path(__file__).with_name("two_processes.py")
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(script), *words]
    return subprocess.run(line, capture_output=True, encoding="utf-8", check=False, timeout=LIMIT)


@pytest.fixture(scope="module")
def found():
    done = launched()
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) | {"stderr": done.stderr}


def test_the_group_is_seen_only_where_all_take_part(found):
    assert found["hidden"] == [False, 1]
    assert found["each"] == found["after"] == [[False, 1], [False, 1]]
    assert found["together"] == [True, 2]


@pytest.mark.parametrize("batch_size", ["4", "6", "5", "2"])
def test_a_training_is_that_of_one_process(found, batch_size):
    of_size = found["training"][batch_size]
    counted = Counter(item for asked in of_size["asked"] for item in asked)
    assert counted == dict.fromkeys(range(11), 3)  # each once in an epoch, in one process or the other
    first, second = of_size["weights"]
    assert first == second
    if batch_size == "2":  # of 11 items the last cannot be a batch of its own
        assert of_size["steps"] == 15 < of_size["alone_steps"] == 18
        return
    assert of_size["steps"] == of_size["alone_steps"]
    if batch_size == "5":  # the last batch, of one item, takes one from those before
        return
    for name, values in of_size["alone"].items():
        np.testing.assert_allclose(first[name], values, rtol=1e-4, atol=1e-6)


def test_processes_keep_one_step_and_one_set_of_statistics(found):
    assert found["statistics"] is True
    by_first, by_second = found["stopping"]  # after steps 3, 4, 9 of 3, 3, 3, and after the first epoch
    assert by_first == [3, 4, 9, 3]
    assert by_second == [3, 5, 9, 3]  # the fifth is begun and not done
    assert found["early"] == 6


def test_scores_are_those_of_one_process_bit_for_bit(found):
    for of_batch_size in found["scores"]:
        assert of_batch_size == dict.fromkeys(("entropy", "bald", "tta", "embedding"), True)


def test_a_run_after_one_that_failed_is_done_by_all(found):
    assert found["third"] == ["process 0 of the third run", "process 1 of the third run"]


def test_workers_of_a_loader_with_a_generator_draw_differently(found):
    first, second = found["drawing"]
    assert len(first) == len(second) == 3
    assert not set(first) & set(second)


def test_an_error_in_the_first_batch_is_told(found):
    for rank in range(2):
        assert f"process {rank} tells of it" in found["stderr"]


def test_a_failure_elsewhere_is_told_and_the_rest_goes_on(found):
    assert found["failure"].startswith("process 1: ValueError: process 1 has no data (two_processes.py, line ")


@pytest.mark.nightly
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_failure_in_the_midst_ends_all(rank):
    done = launched(rank)
    assert done.returncode != 0
    assert f"process {rank} has no data" in done.stderr
