# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What Slurm says of jobs, with a stand-in for its command."""

from __future__ import annotations

import time

from monai_al.comparison.slurm_queue import SlurmQueue


def test_the_state_of_a_job(answers, tmp_path):
    queue = SlurmQueue()
    assert queue.ended("7") is None  # nobody answers
    answers(r"7 RUNNING\n70 PENDING\n8 OUT_OF_MEMORY\n9 COMPLETING\n10 REQUEUE_HOLD\n")
    assert [queue.ended(job) for job in ("7", "70", "9", "10")] == [None] * 4
    assert [queue.held(job) for job in ("7", "10", "11")] == [None, "REQUEUE_HOLD", None]
    assert queue.ended("8") == "Slurm's state: OUT_OF_MEMORY"
    assert queue.ended("1") == "Slurm does not know it any more"
    answers(r"7 FAILED\n")
    (tmp_path / "asked").unlink()
    assert [queue.ended(job, max_age=60) for job in ("7", "8", "9")] == [None, "Slurm's state: OUT_OF_MEMORY", None]
    assert not (tmp_path / "asked").exists()  # the answer of just before
    assert queue.ended("1", max_age=60, since=time.monotonic()) == "Slurm does not know it any more"
    assert (tmp_path / "asked").read_text() == "\n"  # that one could not know it
    assert queue.ended("7", max_age=60) == "Slurm's state: FAILED"
