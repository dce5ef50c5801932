# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_al.records import Item, Label, Pool, Query, QueryItem, RunFolder, pool_to_json
from monai_al.records.manifest import check_intact
from monai_al.records.run_start import drop_beginning, is_beginning

SOMEBODYS = (
    "report/thesis.tex", "report/figures/a.png", "round_01/scan.nii.gz", "round_trip/query.json", "models/best.pt",
    "cache/images/ab/geometry.json", "phantom/a.nii.gz", "log.txt", "notes.txt", "round_00/labels/mine.json",
    "round_00/answers/0000/mine.nii.gz",
)  # fmt: skip
OURS = (
    "round_00/query.json", "round_00/labels/0000.json", "round_00/timings.json", "round_00/pseudo.json",
    "round_00/pseudo/a.nii.gz", "report/index.html", "report/round_00_item_01.png", "curve.csv", "extension_00.json",
    "encoder.json", "warm_start.json", "pool.json", "report/restoration.png", "report/cost_curve.png",
    "round_00/answers/0000/000.nii.gz", "round_00/answers/0000/returned/001/001.nii.gz",
)  # fmt: skip


def write(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('{"annotator": "oracle"}')


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_only_files_that_a_start_wrote_go(tmp_path):
    outside = tmp_path / "outside"
    write(outside, ["thesis.tex"])
    run = tmp_path / "run"
    write(run, [*SOMEBODYS, *OURS, "run.json"])
    (run / "round_02").symlink_to(outside)
    (run / "round_03" / "labels").mkdir(parents=True)
    drop_beginning(run)
    assert files(run) - {"round_02/thesis.tex"} == set(SOMEBODYS)
    assert files(outside) == {"thesis.tex"}
    assert not (run / "round_03").exists()


def test_a_removal_that_is_killed_is_done_again(tmp_path, monkeypatch):
    asked = [
        {"config": {"seed": seed}, "rounds": 1, "budget": 1, "sizes": [1], "annotator": "oracle"} for seed in (0, 1)
    ]
    pool = pool_to_json(Pool([Item("a", image="a.nii", volume="a", patient="a")]), {"a.nii": "hash"})
    for survivors in range(8):
        run = RunFolder(tmp_path / str(survivors))
        run.start(asked[0], pool)
        run.write_query(Query(0, "random", 0, (QueryItem("a"),)))
        run.write_labels(0, [Label("a")], "oracle")
        run.add_timing(0, train_s=1.0)
        run.write_encoder({"config": "a", "folder": "b", "sha256": "c", "embeddings_sha256": "d"})
        run.write_warm_start({"from": "encoder", "sha256": "c", "loaded": [], "new": []})
        write(run.path, ["report/index.html"])
        left = iter(range(survivors))
        with monkeypatch.context() as patch:
            unlink = Path.unlink
            patch.setattr(Path, "unlink", lambda path, *a: (next(left), unlink(path)))  # noqa: B023
            with pytest.raises((StopIteration, RuntimeError)):
                run.start(asked[1], pool)
        check_intact(run.path)
        assert run.start(asked[1], pool)["config"] == {"seed": 1}
        assert not any(path.is_file() for path in run.path.rglob("round_00/*"))


@pytest.mark.parametrize("names", [["report/thesis.tex"], ["models/best.pt"], ["curve.csv"]])
def test_a_start_in_a_folder_with_names_like_ours_removes_nothing(tmp_path, names):
    write(tmp_path, names)
    run = RunFolder(tmp_path)
    run.start({"config": {}, "rounds": 1, "budget": 1, "sizes": [1]}, {"items": []})
    assert files(tmp_path) == {*names, "pool.json", "run.json"}


@pytest.mark.parametrize("kept", ["round_00/model_0.pt", "round_00/metrics.json", "round_00/manifest.json"])
def test_a_run_whose_models_were_removed_to_save_space_is_missed(tmp_path, kept):
    write(tmp_path, ["round_00/query.json", "round_00/labels/0000.json"])
    (tmp_path / "run.json").write_text(json.dumps({"annotator": "oracle"}))
    assert is_beginning(tmp_path)
    write(tmp_path, [kept])
    assert not is_beginning(tmp_path)
