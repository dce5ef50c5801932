# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from monai_al.comparison import Comparison, asked_otherwise, work_left, work_text
from monai_al.comparison.plan import time_text


@pytest.fixture
def comparison(tmp_path):
    loop = tmp_path / "al.yaml"
    loop.write_text("{rounds: 7}")
    runs = {name: {"overlays": (), "options": {}} for name in ("a", "b", "c")}
    return Comparison("Mine", str(loop), options={"rounds": 3}, seeds=(0,), runs=runs)


def test_runs_share_a_cache_unless_their_training_config_has_none(comparison, tmp_path):
    """A training config of others declares no pool, and would refuse the option."""
    theirs, ours = tmp_path / "theirs.json", tmp_path / "ours.json"
    theirs.write_text('{"run": []}')
    ours.write_text('{"pool": [], "run": []}')
    comparison.runs["a"]["options"] = {"training_config": str(theirs)}
    comparison.runs["b"]["options"] = {"training_config": str(ours)}
    caches = [run.options.get("cache_dir") for run in comparison.planned(tmp_path)]
    assert caches == [None, str(tmp_path / "cache"), str(tmp_path / "cache")]


def test_nothing_is_there_yet(comparison, tmp_path):
    work = work_left(comparison.planned(tmp_path))
    assert (work.done, work.begun, work.to_come, work.rounds, work.seconds) == (0, 0, 3, 9, None)
    assert work.seconds_left(workers=2) is None
    assert work_text("Mine", work) == (
        "Mine: 0 of 3 runs done, 0 begun, 3 to come; rounds left: 9. No estimate of the time yet: no round is finished."
    )


def test_what_is_left_and_how_long_it_takes(comparison, tmp_path, write_run):
    planned = comparison.planned(tmp_path)
    write_run(planned[0].folder, [0.5] * 3, seconds=[10, 20, 30])
    write_run(planned[1].folder, [0.5], sizes=[20, 20, 40], seconds=[100])
    work = work_left(planned)
    assert (work.done, work.begun, work.to_come, work.rounds, work.timed) == (1, 1, 1, 5, 4)
    b = 2 * 100  # its own only round stands for its others
    c = (10 + 100) / 2 + 20 + 30  # rounds of the others
    assert work.seconds == (b, c)
    assert work.seconds_left() == b + c
    assert work.seconds_left(workers=2) == 200  # the longest run takes as long as it takes
    text = "Mine: 1 of 3 runs done, 1 begun, 1 to come; rounds left: 5. About {}, judged by 4 finished rounds."
    assert work_text("Mine", work) == text.format("5 min")
    assert work_text("Mine", work, workers=2) == text.format("3 min with 2 runs at once")


def test_all_steps_of_a_round_count_and_unfinished_rounds_do_not(comparison, tmp_path, write_run):
    (a, b, c) = comparison.planned(tmp_path)
    write_run(a.folder, [0.5] * 2, sizes=[20, 20, 40], seconds=[10, 10])
    steps = {"train_s": 10, "evaluate_s": 5, "score_s": 3, "select_s": 1}
    (a.folder / "round_01" / "timings.json").write_text(json.dumps(steps))
    assert work_left([a]).seconds == (19,)
    (a.folder / "round_02").mkdir()
    (a.folder / "round_02" / "timings.json").write_text('{"train_s": 1000}')  # trained, not yet evaluated
    assert work_left([a]).seconds == (19,)
    (a.folder / "round_01" / "timings.json").write_text('{"evaluate_s": 5}')  # a killed process lost the rest
    assert work_left([a]).seconds == (10,)
    (a.folder / "round_01" / "timings.json").write_text('{"train_s": ')
    assert work_left([a]).seconds == (10,)


def test_all_done(comparison, tmp_path, write_run):
    for run in comparison.planned(tmp_path):
        write_run(run.folder, [0.5] * 3)
    work = work_left(comparison.planned(tmp_path))
    assert (work.done, work.runs, work.rounds) == (3, 3, 0)
    assert work_text("Mine", work) == "Mine: all 3 runs are done."


def test_runs_asked_for_otherwise_start_again(comparison, tmp_path, write_run):
    (run, *_) = comparison.planned(tmp_path)
    write_run(run.folder, [0.5] * 2, seconds=[10, 20])
    run.folder.with_name("seed_0.done.json").write_text('{"asked": "for something else"}')
    assert asked_otherwise(run)
    work = work_left([run])
    assert (work.done, work.otherwise, work.rounds, work.seconds) == (0, 1, 1, (20,))
    assert "0 to come, 1 done with other configs or options, which start again; rounds left: 1. About 20 s" in (
        work_text("Mine", work)
    )


def test_rounds_are_found_in_options_overlays_and_the_loop(tmp_path):
    loop, overlay, broken = tmp_path / "al.yaml", tmp_path / "o.json", tmp_path / "broken.yaml"
    loop.write_text("rounds: 7 # as the bundle has it")
    overlay.write_text('{"rounds": 5}')
    broken.write_text("{rounds: ")

    def rounds(files, **options):
        runs = {"a": {"overlays": tuple(map(str, files)), "options": options}}
        return work_left(Comparison("a", str(loop), seeds=(0,), runs=runs).planned(tmp_path / "out")).rounds

    assert rounds([overlay], rounds=2) == 2
    assert rounds([overlay]) == 5
    assert rounds([overlay, broken, tmp_path / "gone.yaml"]) == 5
    assert rounds([]) == 7
    loop.write_text("[]")
    assert rounds([]) == 1  # not known


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (59.4, "59 s"), (60, "1 min"), (3540, "59 min"), (3599, "1 h 0 min"), (5400, "1 h 30 min"),
        (86399, "1 d 0 h"), (200_000, "2 d 8 h"),
    ],
)  # fmt: skip
def test_times_in_words(seconds, text):
    assert time_text(seconds) == text
