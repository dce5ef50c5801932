# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""``import-labels``: returns of several people for any round, without config and data set."""

from __future__ import annotations

import csv
import itertools
import json
import os
import shutil
import signal
import time

import nibabel
import numpy as np
import pytest
from desk import Desk

import monai_al.records.files as files
from monai_al.annotators import Folder, Work
from monai_al.commands import main
from monai_al.data import VolumeCache
from monai_al.records import Item, Pool, Query, QueryItem, RunFolder, pool_to_json
from monai_al.records.files import write_json
from monai_al.records.manifest import changed_files, close_round
from monai_al.sources import SliceSource


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    desk.ask()
    return desk


def take(desk, *arguments):
    return main(["import-labels", str(desk.run.path), *map(str, arguments)])


def sent(desk, tmp_path, name, *ids, change=lambda plane: plane, keep="{volume}/annotation.nii.gz"):
    """A folder that somebody sent: what they painted, while the files in the run folder stay as they were."""
    before = {desk.annotation(id): desk.annotation(id).read_bytes() for id in ids}
    desk.paint(*ids, change=change)
    for id in ids:
        path = tmp_path / name / keep.format(volume=desk.item(id).volume)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(desk.annotation(id), path)
    for path, content in before.items():
        path.write_bytes(content)
    return tmp_path / name


def ask_again(desk):
    """Hand out four other slices in round 1, whose folder is returned; the desk stays at round 0."""
    first = desk.query
    volumes = [desk.item(id).volume for id in (desk.ids[0], desk.ids[2])]
    desk.query = Query(1, "random", 0, tuple(QueryItem(f"{name}/{z:04d}") for name in volumes for z in (0, 5)))
    desk.run.write_query(desk.query)
    desk.ask()
    desk.query = first
    return desk.place.with_name("round_01")


def test_in_place_and_again(desk, capsys):
    a, b, c, d = desk.ids
    desk.paint(a, c)
    assert take(desk, "--annotator", "Ada") == 0
    told = capsys.readouterr().out
    assert told.startswith("round 0: 2 taken, by Ada; 2 still waiting\n")
    assert f"  {b}: " in told
    desk.check(a, c)
    assert take(desk) == 0
    assert capsys.readouterr().out.startswith("round 0: 0 taken")
    assert len(desk.run.returns(0)) == 1
    desk.paint(b, d)
    take(desk)
    assert "No round is waiting: the command that began the run goes on" in capsys.readouterr().out
    desk.check(*desk.ids)
    assert not (desk.run.path / "process.json").exists()


@pytest.mark.parametrize("data", ["there", "gone"])
@pytest.mark.parametrize(
    "keep",
    [
        "{volume}/annotation.nii.gz",
        "round_00/{volume}/annotation.nii.gz",
        "{volume}.nii.gz",
        "{volume}-label (2).nii.gz",
    ],
)
def test_a_folder_that_somebody_sent(desk, tmp_path, keep, data):
    """Whether or not the data set is there, the labels lie on the grid of the image."""
    if data == "gone":
        shutil.move(tmp_path / "data", tmp_path / "moved")
    truths = {id: desk.truth(id) for id in desk.ids} if data == "there" else None
    desk.truth = truths.__getitem__ if truths else (lambda id: np.ones((16, 18, 6), np.uint8))
    a, _, c, _ = desk.ids
    assert take(desk, sent(desk, tmp_path, "back", a, c, keep=keep)) == 0
    desk.check(a, c)
    assert desk.run.labels(0)[a].kind == "full"


@pytest.mark.parametrize("axis", [0, 2])
def test_the_grid_of_a_tilted_gantry_holds_while_the_images_are_away(tmp_path, axis):
    """What was handed out stands at right angles; what is recorded has the sheared grid, which trainings ask for."""
    sheared = np.array([[1.0, 0, 0.3, -7], [0, 1.2, 0, 4], [0, 0.4, 3, 2], [0, 0, 0, 1]])
    image = nibabel.Nifti1Image(np.arange(210, dtype=np.int16).reshape(7, 6, 5), None)
    image.set_sform(sheared, 1)
    nibabel.save(image, tmp_path / "a.nii.gz")
    item = Item("a/0003", str(tmp_path / "a.nii.gz"), "a", "a", slice=3, slice_axis=axis)
    pool, run = Pool([item]), RunFolder(tmp_path / "run")
    source = SliceSource(pool, VolumeCache(tmp_path / "cache", label_values=pool.label_values, progress=False))
    query = Query(0, "random", 0, (QueryItem(item.id),))
    run.write_query(query)
    write_json(run.path / "run.json", {"annotator": "folder", "sizes": [1]})
    write_json(run.path / "pool.json", pool_to_json(pool, source.hashes()))
    Folder().annotate(query, pool, Work(run.path, source))
    (path,) = run.path.rglob("annotation.nii.gz")
    handed_out = nibabel.load(path)
    assert not np.allclose(handed_out.affine, sheared, atol=0.1)
    drawn = np.zeros((7, 6, 5), np.uint8)
    drawn[2:5, 1:4, 1:4] = 1
    nibabel.save(nibabel.Nifti1Image(drawn, handed_out.affine), path)
    (tmp_path / "a.nii.gz").rename(tmp_path / "away.nii.gz")
    assert main(["import-labels", str(run.path)]) == 0
    (tmp_path / "away.nii.gz").rename(tmp_path / "a.nii.gz")
    label = run.labels(0)[item.id]
    np.testing.assert_allclose(nibabel.load(label.where).affine, sheared, atol=1e-5)
    planes = np.asarray(source.cache.get(run.labels(0).of_item(item)).truth)
    np.testing.assert_array_equal(planes[3], drawn.take(3, axis))


def test_a_file_of_no_volume_is_told(desk, tmp_path, capsys):
    """Once, whatever the number of rounds, and nothing is told of files that another round takes."""
    ask_again(desk)
    folder = sent(desk, tmp_path, "back", desk.ids[0], keep="somebody.nii.gz")
    sent(desk, tmp_path, "back", desk.ids[2], keep="round_00/{volume}/annotation.nii.gz")
    sent(desk, tmp_path, "back", desk.ids[1], keep="round_07/{volume}/annotation.nii.gz")
    assert take(desk, folder) == 0
    told = capsys.readouterr().out
    assert told.count("no volume that was handed out has its name") == 2
    assert "somebody.nii.gz: no volume that was handed out has its name" in told
    assert "none of the round in whose folder it lies" in told
    desk.check(desk.ids[2])


def test_a_correction_of_a_closed_round(desk, tmp_path, capsys):
    a, *_ = desk.ids
    desk.paint(*desk.ids)
    take(desk, "--annotator", "Ada")
    (desk.run.path / "round_00" / "metrics.json").write_text("{}")
    close_round(desk.run.path, 0)
    desk.paint(a, change=lambda plane: 1 - plane)
    capsys.readouterr()
    take(desk, "--annotator", "Ada")
    assert capsys.readouterr().out.startswith("round 0: 1 taken, by Ada; 0 still waiting")
    assert [[label.id for label in one.labels] for one in desk.run.returns(0)] == [sorted(desk.ids), [a]]
    label = desk.run.labels(0)[a]
    plane = np.asarray(nibabel.load(label.where).dataobj)[..., 2]
    np.testing.assert_array_equal(plane, 1 - desk.truth(a)[..., 2])
    assert not changed_files(desk.run.path)


@pytest.mark.parametrize("name", ["", "round_00", "round_01"])
def test_the_work_list_that_somebody_sent(desk, tmp_path, name):
    """Its states count, in place of those where the files were handed out, unless it is of another round."""
    a, b, c, d = desk.ids
    ask_again(desk)
    back = tmp_path / "back" / name
    before = (desk.place / "worklist.csv").read_bytes()
    desk.paint(a, change=lambda plane: 0 * plane)
    desk.say(z2="empty", z3="done")
    shutil.copytree(desk.place, back)
    (desk.place / "worklist.csv").write_bytes(before)
    desk.say(z4="done")
    take(desk, tmp_path / "back", "--annotator", "Ada")
    assert desk.taken() == ([] if name == "round_01" else [a, b])
    take(desk)
    assert desk.taken() == ([d] if name == "round_01" else [a, b, d])
    assert c not in desk.taken()


def test_a_broken_work_list_that_somebody_sent_is_told_once(desk, tmp_path, capsys):
    ask_again(desk)
    a = desk.ids[0]
    folder = sent(desk, tmp_path, "back", a)
    (folder / "worklist.csv").write_text("a,b\n1,2\n")
    assert take(desk, folder) == 0
    assert capsys.readouterr().out.count("worklist.csv lacks the column 'id'") == 1
    desk.check(a)


@pytest.mark.parametrize("where", ["in place", "sent"])
def test_a_correction_back_to_what_was_said_before(desk, tmp_path, where):
    """Three answers of one person, the first and the last alike, are three labels."""
    a = desk.ids[0]
    for number, change in enumerate([lambda plane: plane, lambda plane: 1 - plane, lambda plane: plane]):
        if where == "in place":
            desk.paint(a, change=change)
        folder = [] if where == "in place" else [sent(desk, tmp_path, f"back_{number}", a, change=change)]
        for _ in range(2):
            take(desk, *folder, "--annotator", "Ada")
            assert len(desk.run.returns(0)) == number + 1
    desk.check(a)


@pytest.mark.parametrize("who", ["Ada", "Ben"])
def test_a_file_left_in_place_is_not_taken_again(desk, tmp_path, who):
    a = desk.ids[0]
    desk.paint(a)
    take(desk, "--annotator", "Ada")
    an_hour_ago = time.time() - 3600
    os.utime(desk.annotation(a), (an_hour_ago, an_hour_ago))
    kept = tmp_path / "kept.nii.gz"
    shutil.copy2(desk.annotation(a), kept)
    folder = sent(desk, tmp_path, "back", a, change=lambda plane: 1 - plane)
    shutil.copy2(kept, desk.annotation(a))
    take(desk, folder, "--annotator", who)
    assert len(desk.run.returns(0)) == 2
    take(desk, "--annotator", "Ada")
    assert len(desk.run.returns(0)) == 2


def test_a_correction_that_cannot_be_read_is_told(desk, tmp_path, capsys):
    a, b, *_ = desk.ids
    desk.paint(*desk.ids)
    take(desk)
    folder = sent(desk, tmp_path, "back", a)
    (path,) = folder.rglob("*.nii.gz")
    path.write_bytes(path.read_bytes()[:99])
    capsys.readouterr()
    assert take(desk, folder) == 0
    assert "annotation.nii.gz: cannot be read" in capsys.readouterr().out
    desk.check(*desk.ids)


def test_a_second_opinion_is_kept_and_compared(desk, tmp_path, capsys):
    a, _, c, _ = desk.ids
    take(desk, sent(desk, tmp_path, "ada", a, c), "--annotator", "Ada")
    capsys.readouterr()

    def half(plane):
        plane[: plane.shape[0] // 2] = 0
        return plane

    take(desk, sent(desk, tmp_path, "ben", a, change=half), "--annotator", "Ben")
    told = capsys.readouterr().out
    one = desk.truth(a)[..., 2]
    other = half(one.copy())
    expected = 2 * (one & other).sum() / (one.sum() + other.sum())
    assert f"Ada and Ben both annotated 1 slice; mean Dice organ {expected:.3f}" in told
    (row,) = csv.DictReader((desk.run.path / "annotate/agreement.csv").open())
    assert float(row.pop("dice")) == pytest.approx(expected)
    assert row == {"id": a, "first": "Ada", "second": "Ben", "class": "organ"}
    assert desk.run.labels(0)[a].annotator == "Ben"
    assert len(list(desk.run.path.rglob("returned/*/annotation.nii.gz"))) == 3
    main(["status", str(desk.run.path)])
    assert "mean Dice organ" in capsys.readouterr().out
    take(desk, tmp_path / "ben", "--annotator", "Ben")
    assert len(desk.run.returns(0)) == 2


def test_extra_slices_are_taken_only_when_asked(desk, capsys):
    a, *_ = desk.ids
    beside = f"{desk.item(a).volume}/0005"
    desk.paint(a, beside)
    take(desk)
    assert "slices that were not asked for are annotated, 6 in ITK-SNAP" in capsys.readouterr().out
    desk.check(a)
    take(desk, "--take_extra")
    assert "0 taken, and 1 that nobody asked for" in capsys.readouterr().out
    desk.check(a, beside)
    assert json.loads((desk.run.path / "round_00/labels/0001.json").read_text())["extra"] == [beside]
    assert not changed_files(desk.run.path)
    record = desk.run.path / "round_00/labels/0001.json"
    record.write_text(record.read_text().replace('"extra"', '"more"'))
    (change,) = changed_files(desk.run.path)
    assert "which the query of its round does not name" in str(change)


def test_rounds_to_come_keep_their_slices(desk, capsys):
    """Of 12 slices the two rounds ask for 8."""
    volume = desk.item(desk.ids[0]).volume
    other = desk.item(desk.ids[2]).volume
    desk.paint(*(f"{volume}/000{z}" for z in (0, 1, 4)), *(f"{other}/000{z}" for z in (0, 2)))
    take(desk, "--take_extra")
    assert "are not taken: only 3 would be left for the rounds to come, which ask for 4" in capsys.readouterr().out
    assert desk.taken() == []


def test_what_waits_is_told_by_status(desk, capsys):
    a, b, *_ = desk.ids
    desk.paint(a, change=lambda plane: 7 * plane)
    take(desk)
    capsys.readouterr()
    assert main(["status", str(desk.run.path)]) == 0
    told = capsys.readouterr().out
    assert f"{a}: " in told
    assert "slice 3 in ITK-SNAP: holds 7, which is no class" in told
    assert "annotate/round_00/worklist.html" in told
    assert f"python -m monai_al import-labels {desk.run.path}" in told


def test_it_does_not_wait_for_a_run_that_goes_on(desk, capsys):
    desk.paint(*desk.ids)
    desk.run.lock()
    try:
        assert take(desk) == 2
    finally:
        desk.run.unlock()
    assert f"is in use by process {os.getpid()}" in capsys.readouterr().err
    assert desk.taken() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("file", range(1, 9))
def test_killed_at_any_file(desk, file):
    """Nothing is half done: after another import the run holds each label once, and no file is left over."""
    desk.paint(*desk.ids)

    def dying(move, calls=itertools.count(1)):  # noqa: B008  # one count for both ways to move
        def moved(source, target):
            if next(calls) == file:
                os.kill(os.getpid(), signal.SIGKILL)
            move(source, target)

        return moved

    child = os.fork()
    if child == 0:
        files.os.replace, files.os.rename = dying(os.replace), dying(os.rename)
        os._exit(take(desk))
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert not changed_files(desk.run.path)
    assert take(desk) == 0
    desk.check(*desk.ids)
    assert sum(len(one.labels) for one in desk.run.returns(0)) == 4
    assert not changed_files(desk.run.path)
    assert not list(desk.run.path.rglob(f"{files.TEMPORARY}*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}/no"], "no such folder; give the output_dir of a run"),
        (["{run}", "{run}/gone"], "gone: no such folder; give the one in which the returned files lie"),
        (["{run}/annotate"], "is no run folder: it holds no run.json"),
    ],
)
def test_what_is_refused(desk, capsys, arguments, message):
    assert main(["import-labels", *(word.format(run=desk.run.path) for word in arguments)]) == 2
    assert message in capsys.readouterr().err


def test_a_run_that_has_handed_out_nothing(desk, capsys):
    shutil.rmtree(desk.place)
    assert take(desk) == 2
    assert "has handed out nothing" in capsys.readouterr().err
