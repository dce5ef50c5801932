# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What Slurm says of jobs, with a stand-in for its command."""

from __future__ import annotations

import time

from monai_al.comparison.slurm_queue import SlurmQueue


def test_the_state_of_a_job(answers, tmp_path):
    queue = SlurmQueue()
    assert queue.ended("7") is None  # nobody answers
    lines = [
        "7 RUNNING None",
        "70 PENDING Dependency",
        "8 OUT_OF_MEMORY OutOfMemory",
        "9 COMPLETING None",
        "10 REQUEUE_HOLD None",
        "11 PENDING launch failed requeued held",
        "12 PENDING JobHoldMaxRequeue",
    ]
    answers(r"\n".join(lines) + r"\n")
    assert [queue.ended(job) for job in ("7", "70", "9", "10", "11")] == [None] * 5
    assert [job for job in ("7", "8", "10", "11", "12", "13") if queue.is_held(job)] == ["10", "11", "12"]
    assert queue.ended("8") == "Slurm's state: OUT_OF_MEMORY"
    assert queue.ended("1") == "Slurm does not know it any more"
    answers(r"7 FAILED NonZeroExitCode\n")
    (tmp_path / "asked").unlink()
    assert [queue.ended(job, max_age=60) for job in ("7", "8", "9")] == [None, "Slurm's state: OUT_OF_MEMORY", None]
    assert not (tmp_path / "asked").exists()  # the answer of just before
    assert queue.ended("1", max_age=60, since=time.monotonic()) == "Slurm does not know it any more"
    assert (tmp_path / "asked").read_text() == "\n"  # that one could not know it
    assert queue.ended("7", max_age=60) == "Slurm's state: FAILED"


def test_a_slow_answer_counts_from_when_it_came():
    asked = []

    def ask():
        asked.append(1)
        time.sleep(0.02)
        return {}

    queue = SlurmQueue(ask)
    for job in range(20):
        queue.ended(str(job), max_age=0.5)
    assert len(asked) == 1
