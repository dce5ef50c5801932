# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Work that is handed out as files and comes back: what is taken, what waits, and what people are told."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from desk import Desk
from PIL import Image
from slicer_files import rearranged, write_itk, write_nifti, write_seg_nrrd

from monai_al.annotators import Folder, Work
from monai_al.annotators.folder import user_name
from monai_al.data import VolumeCache
from monai_al.engines.answers import record_answer
from monai_al.records import Item, Pool, Query, QueryItem, RunFolder
from monai_al.records.manifest import changed_files
from monai_al.records.work_list import work_path
from monai_al.sources import SliceSource


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    assert desk.ask().waiting == desk.ids
    return desk


def test_partial_returns_over_days(desk):
    a, b, c, d = desk.ids
    assert desk.ask().problems == {}
    desk.paint(a)
    answer = desk.ask()
    desk.check(a)
    assert answer.problems == {
        b: f"{Path(desk.annotation(a)).parent.name}/annotation.nii.gz, slice 4 in ITK-SNAP: is as it was handed out: "
        "where that is right, set its state in worklist.csv to 'done'"
    }
    assert desk.notes()[b] == answer.problems[b]
    assert desk.notes()[a].startswith("taken from annotation.nii.gz, by ")
    desk.paint(c, d)
    assert desk.ask().waiting == (b,)
    desk.check(a, c, d)
    page = (work_path(desk.run.path, 0) / "worklist.html").read_text(encoding="utf-8")
    assert "4 slices to annotate; 3 of them taken" in page
    assert re.findall(r"<h2>\d+\. (.*?)</h2>", page) == [b, a, c, d]  # what is open comes first
    assert page.count("✓") == 3
    assert desk.notes()[a].startswith("taken from")
    desk.paint(b)
    assert desk.ask().waiting == ()
    desk.check(*desk.ids)
    assert {label.annotator for label in desk.run.labels(0).values()} == {user_name()}
    assert not list(changed_files(desk.run.path))


def test_a_correction_while_others_wait(desk):
    """The command that waits takes it, and tells why it cannot be taken."""
    a, b, *_ = desk.ids
    desk.paint(a)
    desk.ask()
    desk.paint(a, change=lambda plane: 9 * plane)
    answer = desk.ask()
    assert a not in answer.problems
    assert "slice 3 in ITK-SNAP: holds 9, which is no class" in next(
        note for note in answer.notes if note.startswith(a)
    )
    assert desk.notes()[a] in "".join(answer.notes)
    desk.check(a)
    desk.paint(a, change=lambda plane: 1 - plane)
    answer = desk.ask()
    assert [label.id for label in answer.labels] == [a]
    assert answer.waiting == desk.ids[1:]
    assert desk.notes()[a].startswith("taken from")
    truth = desk.truth
    desk.truth = lambda id: 1 - truth(id)
    desk.check(a)
    assert not desk.ask().labels


def test_files_are_kept_byte_for_byte_and_what_is_handed_out_stays(desk):
    a, b, *_ = desk.ids
    desk.paint(a)
    first = desk.annotation(a).read_bytes()
    desk.ask()
    assert desk.annotation(a).read_bytes() == first
    desk.paint(b)
    desk.ask()
    kept = [path.read_bytes() for path in sorted(desk.run.path.rglob("returned/*/annotation.nii.gz"))]
    assert kept == [first, desk.annotation(a).read_bytes()]


def test_states(desk):
    """done takes what was handed out as it is, empty takes a slice without labels; both are needed for that."""
    a, b, c, d = desk.ids
    desk.paint(a, c, change=lambda plane: 0 * plane)
    answer = desk.ask()
    assert "slice 3 in ITK-SNAP: is empty: where there is truly nothing, set its state" in answer.problems[a]
    assert set(answer.problems) == set(desk.ids)
    desk.say(z2="Empty", z3="done", z1="done", z4="empty")
    answer = desk.ask()
    assert desk.taken() == [a, b]
    assert "is empty" in answer.problems[c]
    assert "is called empty in worklist.csv, but 96 of its voxels are labeled" in answer.problems[d]
    labels = desk.run.labels(0)
    where = {id: np.asarray(nibabel.load(labels[id].under(desk.run.round_path(0)).where).dataobj) for id in (a, b)}
    assert not where[a][..., 2].any()
    np.testing.assert_array_equal(where[b][..., 3], np.broadcast_to(np.arange(18) // 12, (16, 18)))
    desk.say(z1="fertig")
    assert "the state 'fertig' in worklist.csv, which is none of waiting, done, empty" in desk.ask().problems[c]


def test_an_empty_slice_that_a_cropped_file_does_not_reach(desk):
    """Two files say the same of it: zeros, and nothing at all. It is recorded once."""
    a, *_ = desk.ids
    desk.paint(a, change=lambda plane: 0 * plane)
    desk.say(z2="empty")
    image = nibabel.load(desk.annotation(a))
    write_nifti(desk.annotation(a).parent / "cropped.nii.gz", np.ones((16, 18, 1), np.uint8), image.affine)
    assert a not in desk.ask().problems
    desk.truth = lambda id: np.zeros((16, 18, 6), np.uint8)
    desk.check(a)
    assert not desk.ask().labels


def test_a_prediction_without_labels_needs_empty(tmp_path):
    desk = Desk(tmp_path, predicted=False)
    desk.ask()
    desk.say(z2="done", z3="empty")
    answer = desk.ask()
    assert desk.taken() == [desk.ids[1]]
    assert "is empty" in answer.problems[desk.ids[0]]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "annotation.nii.gz: cannot be read"),
        (lambda path: path.write_bytes(b"%PDF-1.7"), "annotation.nii.gz: cannot be read"),
        (lambda path: path.write_bytes(b""), "annotation.nii.gz: is empty"),
        (lambda path: write_nifti(path, np.ones((16, 18, 6), np.uint8), np.diag([1.1, 1, 3, 1])), "another grid than"),
        (lambda path: write_nifti(path, np.ones((9, 9, 9), np.uint8), np.diag([9.0, 1, 3, 1])), "another grid than"),
    ],
)
def test_a_file_that_is_none_changes_nothing_but_its_own_volume(desk, spoil, message):
    a, b, c, d = desk.ids
    desk.paint(c)
    spoil(desk.annotation(a))
    answer = desk.ask()
    desk.check(c)
    for id in (a, b):
        assert message in answer.problems[id]
        assert message in desk.notes()[id]
    assert answer.waiting == (a, b, d)


def test_a_broken_table_of_names_stops_no_other_volume(desk):
    a, b, c, _ = desk.ids
    desk.paint(a, c)
    table = desk.annotation(a).with_name("annotation.labels.csv")
    table.write_text("LabelValue,Name\n1\n")
    answer = desk.ask()
    desk.check(c)
    assert all("annotation.labels.csv: is no table of label values" in answer.problems[id] for id in (a, b))
    table.unlink()
    desk.ask()
    desk.check(a, c)


def test_class_9_and_a_slice_next_to_the_requested_one(desk):
    a, b, _, _ = desk.ids
    desk.paint(a)
    desk.paint(b, change=lambda plane: plane * 9)
    beside = f"{desk.item(a).volume}/0005"
    desk.paint(beside)
    answer = desk.ask()
    desk.check(a)
    assert (
        "slice 4 in ITK-SNAP: holds 9, which is no class; the classes are 0 background, 1 organ" in answer.problems[b]
    )
    (note,) = answer.notes
    assert "slices that were not asked for are annotated, 6 in ITK-SNAP; they are used only with import-labels" in note


@pytest.mark.parametrize(
    "name", ["annotation (1).nii.gz", "annotation.nrrd", "Segmentation.seg.nrrd", "{volume}-label.mha"]
)
def test_saved_beside(desk, name):
    a, b, _, _ = desk.ids
    truth, affine = desk.truth(a), nibabel.load(desk.annotation(a)).affine
    path = desk.annotation(a).parent / name.format(volume=desk.item(a).volume)
    voxels, moved = rearranged(truth, affine, (0, 1, 2), (False, False, True), (0, 2, 1))
    if name.endswith(".seg.nrrd"):
        write_seg_nrrd(path, 5 * voxels, moved, [{"Name": "organ", "LabelValue": 5}])
    else:
        write_itk(path, voxels, moved)
    desk.truth = lambda id, truth=desk.truth: np.where(np.arange(18)[:, None] < 2, 0, truth(id))
    desk.ask()
    desk.check(a, b)
    assert {Path(desk.run.labels(0)[id].returned).name for id in (a, b)} == {path.name}


def test_two_files_that_say_different_things(desk):
    a, *_ = desk.ids
    other = desk.annotation(a).parent / "annotation (1).nii.gz"
    desk.paint(a)
    shutil.copy(desk.annotation(a), other)
    desk.paint(a, change=lambda plane: 1 - plane)
    answer = desk.ask()
    assert desk.taken() == []
    assert "annotation (1).nii.gz and " in answer.problems[a]
    assert "answer it differently: leave the one that counts" in answer.problems[a]
    desk.paint(a)
    desk.ask()
    desk.check(a)


def test_a_work_list_without_its_columns(desk):
    (desk.place / "worklist.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="worklist.csv lacks the column 'id'"):
        desk.ask()


def test_what_is_missing_is_handed_out_again(desk):
    a, *_ = desk.ids
    desk.paint(a)
    desk.ask()
    shutil.rmtree(desk.place)
    assert desk.ask().waiting == desk.ids[1:]
    assert set(json.loads((desk.place / "handed_out.json").read_text())["volumes"][0]) >= {"volume", "items"}
    desk.paint(*desk.ids[1:])
    desk.ask()
    desk.check(*desk.ids)


def test_earlier_labels_in_a_file_are_nothing_new(desk):
    """A later round's file holds them, so that people see them, with 0 where they are open: only changes are told."""
    a, b, c, d = desk.ids
    desk.paint(*desk.ids)
    desk.paint(b, change=lambda plane: np.where(np.arange(18) < 9, plane, 255))
    desk.ask()
    assert desk.run.labels(0)[b].kind == "weak"
    later = f"{desk.item(a).volume}/0005"
    desk.query = Query(1, "random", 0, (QueryItem(later),))
    desk.run.write_query(desk.query)
    desk.place = work_path(desk.run.path, 1)
    desk.ask()
    shown = np.asarray(nibabel.load(desk.annotation(b)).dataobj)[..., 3]
    np.testing.assert_array_equal(shown, np.where(np.arange(18) < 9, desk.truth(b)[..., 3], 0))
    desk.paint(a, later)
    assert desk.ask().notes == ()
    desk.paint(b, change=lambda plane: 1 - plane)
    assert "slices that were not asked for are annotated, 4 in ITK-SNAP" in desk.ask().notes[0]
    assert later in desk.run.labels(1)


@pytest.mark.parametrize("kind", ["picture", "first axis", "nrrd", "unplaced"])
def test_what_is_recorded_is_what_trainings_read(tmp_path, kind):
    """Pictures, slices along another axis, other formats: the voxels come back to where they were drawn."""
    rng = np.random.default_rng(5)
    image, truth = rng.integers(0, 99, (7, 9, 5)).astype(np.int16), rng.integers(0, 2, (7, 9, 5)).astype(np.uint8)
    axis, z, path = (0, 3, tmp_path / "a.nii.gz") if kind == "first axis" else (2, 3, tmp_path / "a.nii.gz")
    if kind == "picture":
        z, path, truth = None, tmp_path / "a.png", truth[..., :1]
        Image.fromarray(image[..., 0].astype(np.uint8)).save(path)
    elif kind == "nrrd":
        path = write_itk(tmp_path / "a.nrrd", image, np.diag([-0.5, 0.7, 3.0, 1.0]))
    else:
        affine = None if kind == "unplaced" else np.diag([4.0, 0.7, 0.7, 1.0])
        nibabel.save(nibabel.Nifti1Image(image, affine), path)
    item = Item("a" if z is None else "a/0003", str(path), "a", "a", slice=z, slice_axis=axis)
    pool = Pool([item])
    source = SliceSource(pool, VolumeCache(tmp_path / "cache", label_values=pool.label_values, progress=False))
    query, run = Query(0, "random", 0, (QueryItem(item.id),)), RunFolder(tmp_path / "run")
    run.write_query(query)
    work = Work(run.path, source)
    assert Folder().annotate(query, pool, work).waiting == (item.id,)
    (place,) = run.path.rglob("annotation.nii.gz")
    handed_out = nibabel.load(place)
    assert handed_out.shape == truth.shape
    saved = np.zeros_like(truth)
    here = (np.s_[:],) * axis + (np.s_[:] if z is None else z,)
    saved[here] = truth[here]
    write_itk(place, saved, handed_out.affine)
    answer = Folder().annotate(query, pool, work)
    assert record_answer(run, query, answer, "folder", source) == ([], {})
    volume = source.cache.get(run.labels(0).of_item(item))
    planes = np.asarray(volume.truth)
    np.testing.assert_array_equal(planes[0 if z is None else z].squeeze(), truth[here].squeeze())
