# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_al.commands import main
from monai_al.records.files import write_json
from monai_al.records.manifest import close_round


def closed(path):
    write_json(path / "run.json", {"seed": 0, "sizes": [1]})
    write_json(path / "pool.json", {"items": []})
    write_json(path / "round_00" / "metrics.json", {"labeled": 1})
    close_round(path, 0)
    return path


def test_a_run_as_it_was_written(tmp_path, capsys):
    run = closed(tmp_path / "run")
    assert main(["verify", str(run)]) == 0
    assert capsys.readouterr().out == f"{run}: all files are as they were written, up to round 0\n"


def test_one_line_for_each_file(tmp_path, capsys):
    run = closed(tmp_path / "run")
    write_json(run / "run.json", {"seed": 1, "sizes": [1]})
    (run / "round_00" / "metrics.json").unlink()
    assert main(["verify", str(run)]) == 2
    first, *lines = capsys.readouterr().err.splitlines()
    assert "2 files are not as they were written; restore them" in first
    assert sorted(lines) == [
        "round_00/metrics.json: is missing; since round 0",
        "run.json: differs from what was written; since the start",
    ]


def test_all_runs_of_a_comparison(tmp_path, capsys):
    for name in ("random/seed_0", "entropy/seed_0", "entropy/seed_1"):
        closed(tmp_path / name)
    assert main(["verify", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("all files are as they were written") == 3
    (tmp_path / "entropy" / "seed_1" / "run.json").unlink()
    assert main(["verify", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert told.err.splitlines()[1:] == ["entropy/seed_1/run.json: is missing; since the start"]
    assert told.out.count("all files are as they were written") == 2


def test_a_run_in_its_first_round(tmp_path, capsys):
    write_json(tmp_path / "run.json", {"seed": 0, "sizes": [1]})
    assert main(["verify", str(tmp_path)]) == 0
    assert "no round has closed yet" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "message"), [("gone", "no such folder"), (".", "holds no run; give the output_dir")])
def test_no_run(tmp_path, capsys, name, message):
    assert main(["verify", str(tmp_path / name)]) == 2
    assert message in capsys.readouterr().err
