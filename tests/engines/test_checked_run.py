# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A run folder goes on, and is read again, only as it was written; somebody else's only where it is trusted."""

from __future__ import annotations

import json
import shutil

import pytest

from monai_al.assets import find_asset
from monai_al.commands import main
from monai_al.engines import ActiveLearner, TrainedRun, apply_to_part, apply_to_scans
from monai_al.engines.run_report import write_report
from monai_al.records import RunFolderError, config_hash
from monai_al.records.manifest import changed_files, closed_rounds
from monai_al.records.signature import why_unsigned
from monai_al.strategies import Random

TRAIN = find_asset("selective_uncertainty_spleen") / "configs" / "train.yaml"


def learner(folder, small, **settings):
    settings = {"budget": 2, "rounds": 2, "progress": False, **settings}
    return ActiveLearner(TRAIN, Random(), folder, overrides=small | {"steps": 1}, **settings)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache_dir):
    """A run of two rounds; never changed."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    small = {"cache_dir": str(cache_dir), "phantom": {"patients": 4, "shape": [32, 32, 6]}, "image_size": [32, 32]}
    small |= {"channels": [4, 8], "batch_size": 4, "device": "cpu", "progress": False}
    learner(folder, small).run()
    return folder, small


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it."""
    return shutil.copytree(finished[0], tmp_path / "run")


@pytest.fixture
def small(finished):
    return finished[1]


READERS = {
    "report": lambda run, **trust: write_report(run, items=1, volumes=0, progress=False, **trust),
    "inference": lambda run, **trust: apply_to_scans(run, **trust),
    "evaluation": lambda run, **trust: apply_to_part(run, **trust),
    "trained run": lambda run, **trust: TrainedRun(run, **trust),
}


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # of JSON a letter, a number or its very form
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])  # of JSON nothing can be read any more


@pytest.mark.parametrize("change", [flip, cut])
@pytest.mark.parametrize("name", ["round_01/query.json", "round_00/model_0.pt", "run.json"])
def test_a_changed_folder_neither_goes_on_nor_is_read(run, small, name, change):
    change(run / name)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for use in (lambda run: learner(run, small, rounds=3).run(), *READERS.values()):
        with pytest.raises(RunFolderError, match=f"{name} differs from what was written: restore it, or"):
            use(run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_page_without_pictures_is_checked_too(run):
    flip(run / "round_00" / "metrics.json")
    with pytest.raises(RunFolderError, match=r"metrics\.json differs"):
        write_report(run, items=0, volumes=0)


def test_a_run_of_an_earlier_version_goes_on_and_is_closed_and_signed(run, small):
    for path in (run / "run.sig", *run.rglob("manifest.json")):
        path.unlink()
    learner(run, small, rounds=3).run()
    assert closed_rounds(run) == [1, 2]
    assert changed_files(run) == []
    assert why_unsigned(run) is None


# -- whose code --------------------------------------------------------------------------------------------------------

EVIL = "$__import__('pathlib').Path('{0}').touch()"


@pytest.fixture
def foreign(run, tmp_path):
    """Somebody else's run, whose config leaves a mark when it is executed."""
    for path in run.rglob("manifest.json"):
        path.unlink()
    record = json.loads((run / "run.json").read_text())
    changed = {"datalist": {"_target_": "elsewhere.pool"}, "network_def": EVIL.format(tmp_path / "mark")}
    record["config"]["training"] |= changed
    record["config_hash"] = config_hash(record["config"])
    (run / "run.json").write_text(json.dumps(record))
    return run


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_foreign_run_is_not_executed(foreign, tmp_path, reader):
    with pytest.raises(RunFolderError, match="is not known as made by you on this machine") as error:
        reader(foreign)
    first, *listed = str(error.value).splitlines()
    assert "give --trust" in first
    assert [line.split(":")[0].strip() for line in listed] == ["datalist#_target_", "network_def"]
    assert "elsewhere.pool" in listed[0]
    assert str(tmp_path / "mark") in listed[1]
    assert not (tmp_path / "mark").exists()


def test_the_command_tells_it_without_a_traceback(foreign, tmp_path, capsys):
    assert main(["report", str(foreign), "--volumes", "0"]) == 2
    assert "error:" in capsys.readouterr().err
    assert main(["report", str(foreign), "--items", "0", "--volumes", "0"]) == 0  # which executes nothing
    assert not (tmp_path / "mark").exists()


@pytest.mark.nightly
def test_a_foreign_run_of_installed_bundles_needs_trust_too(run):
    (run / "run.sig").unlink()
    for reader in READERS.values():
        with pytest.raises(RunFolderError, match="All its expressions and targets are those of installed bundles"):
            reader(run)
        reader(run, trust=True)
    TrainedRun(run, trust="true")  # as MONAI's command line hands it on
    with pytest.raises(RunFolderError, match="give --trust"):
        TrainedRun(run, trust="false")
    assert not (run / "run.sig").exists()


@pytest.mark.parametrize("record", [{}, {"config": []}, {"config": {"training": {}}, "places": {"a#b": 1}}], ids=str)
def test_a_foreign_record_that_cannot_be_read(tmp_path, record):
    (tmp_path / "run.json").write_text(json.dumps({"sizes": [1], **record}))
    with pytest.raises(RunFolderError, match=r"run\.json holds no config that can be read again"):
        TrainedRun(tmp_path)


def test_going_on_takes_the_config_of_the_command(run, small, tmp_path):
    for path in run.rglob("manifest.json"):
        path.unlink()
    record = json.loads((run / "run.json").read_text())
    for id in ("num_workers", "train#dataloader#num_workers", "dataset_dir", "cache_dir"):
        record["places"][id] = EVIL.format(tmp_path / "mark")
    (run / "run.json").write_text(json.dumps(record))
    learner(run, small, rounds=3).run()
    assert not (tmp_path / "mark").exists()
    assert why_unsigned(run) is not None  # as not all of it comes from the command
