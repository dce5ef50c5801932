# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Strokes instead of masks: what is handed out, what comes back, and what people are told."""

from __future__ import annotations

import csv
import itertools
import json
import os
import shutil
import signal
from pathlib import Path
from xml.etree import ElementTree

import nibabel
import numpy as np
import pytest
from desk import Desk
from slicer_files import rearranged, write_itk, write_nifti, write_seg_nrrd
from test_label_tables import entries, read_by_itksnap, read_by_slicer

import monai_al.records.files as files
from monai_al.annotators import Folder, Work
from monai_al.annotators.returned import read_returned
from monai_al.commands import main
from monai_al.data import VolumeCache
from monai_al.engines.loop_log import tell_waiting
from monai_al.records import TEST, DataError, Item, Pool, Query, QueryItem, RunFolder
from monai_al.records.work_list import work_path
from monai_al.report import describe_run
from monai_al.sources import SliceSource

OPEN, ORGAN, BACKGROUND = 0, 1, 2  # in files
MEANS = np.array([255, 1, 0], np.uint8)


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path, scribbles=True)
    assert desk.ask().waiting == desk.ids
    return desk


def strokes(plane):
    """A stroke through the organ and one through the background, as values of a file."""
    drawn = np.zeros_like(plane)
    drawn[3, :] = np.where(plane[3, :] == 1, ORGAN, OPEN)
    drawn[12, 2:15] = np.where(plane[12, 2:15] == 0, BACKGROUND, OPEN)
    assert {ORGAN, BACKGROUND} <= set(drawn.ravel().tolist())
    return drawn


def only(*values):
    return lambda plane: np.where(np.isin(strokes(plane), values), strokes(plane), OPEN)


def held(desk, id, number=0):
    """What the run holds of a slice."""
    label = desk.run.labels(number)[id]
    return np.asarray(nibabel.load(label.under(desk.run.round_path(number)).where).dataobj)[..., desk.item(id).slice]


def check(desk, *ids, change=strokes, kind="weak"):
    labels = desk.run.labels(0)
    for id in ids:
        plane = desk.truth(id)[..., desk.item(id).slice]
        np.testing.assert_array_equal(held(desk, id), MEANS[change(plane)])
        assert labels[id].kind == kind


def stored(desk, id):
    return np.asarray(nibabel.load(desk.annotation(id)).dataobj)


# -- what is handed out ------------------------------------------------------------------------------------------------


def test_files_begin_without_the_prediction_and_pictures_show_it(tmp_path):
    desk, masks = Desk(tmp_path / "strokes", scribbles=True), Desk(tmp_path / "masks")
    desk.ask()
    masks.ask()
    for id in desk.ids:
        assert not stored(desk, id).any()
        assert stored(masks, id).any()
        picture = f"pictures/{desk.annotation(id).parent.name}/{id[-4:]}.png"
        assert (desk.place / picture).read_bytes() == (masks.place / picture).read_bytes()
    assert json.loads((desk.place / "handed_out.json").read_text())["scribbles"] is True
    assert "scribbles" not in json.loads((masks.place / "handed_out.json").read_text())


def test_everything_that_people_see_asks_for_strokes(desk, caplog, capsys):
    names = {1: "organ", 2: "background stroke"}
    snap, slicer = (desk.place / "labels.txt").read_text(), (desk.place / "labels.ctbl").read_text()
    assert {number: name for number, (name, _) in read_by_itksnap(snap).items() if number} == names
    assert {number: name for number, (name, _) in read_by_slicer(slicer).items()} == {0: "not annotated"} | names
    blue = read_by_itksnap(snap)[2][1]
    assert blue == read_by_slicer(slicer)[2][1]
    workspace = entries(ElementTree.parse(desk.annotation(desk.ids[0]).with_name("workspace.itksnap")).getroot())
    table = "Layers/Layer[000]/ProjectMetaData/IRIS/LabelTable/Element[1]/"
    assert (workspace[table + "Label"], workspace[table + "Index"]) == ("background stroke", "2")
    asked = (
        "draw strokes, no masks: one through each connected region of each class (1 organ), and one through the "
        "background (2 background stroke); no need to fill, and 0 is not annotated"
    )
    with (desk.place / "worklist.csv").open(newline="") as file:
        assert {row["task"] for row in csv.DictReader(file)} == {asked}
    page = (desk.place / "worklist.html").read_text()
    assert asked in page
    assert "background stroke</li>" in page
    assert "#{:02x}{:02x}{:02x}".format(*blue) in page
    assert "The annotation file does not hold it" in page
    for text in (snap, slicer):
        assert asked in " ".join(line.removeprefix("# ") for line in text.splitlines())
    with caplog.at_level("INFO"):
        tell_waiting(0, desk.ids, "folder", desk.run.path)
    assert f"wait for labels: {asked}. The work lies in" in caplog.text
    assert f"worklist.html. Asked for: {asked}." in describe_run(desk.run.path)


def test_the_test_set_is_masks(desk):
    """It is scored, and strokes would score what they touch alone."""
    desk.query = Query(TEST, "test set", 0, desk.query.items)
    desk.run.write_query(desk.query)
    desk.place = work_path(desk.run.path, TEST)
    desk.ask()
    assert "scribbles" not in json.loads((desk.place / "handed_out.json").read_text())
    assert "strokes" not in (desk.place / "worklist.html").read_text()
    desk.paint(*desk.ids)
    desk.ask()
    assert {label.kind for label in desk.run.labels(TEST).values()} == {"full"}


# -- what comes back ---------------------------------------------------------------------------------------------------


def test_strokes_become_weak_labels(desk):
    a, b, c, d = desk.ids
    desk.paint(a, c, change=strokes)
    answer = desk.ask()
    check(desk, a, c)
    assert answer.waiting == (b, d)
    assert "slice 4 in ITK-SNAP: holds no stroke, so that it annotates nothing: draw one" in answer.problems[b]
    assert answer.notes == ()
    desk.paint(b, d, change=strokes)
    assert desk.ask().waiting == ()
    check(desk, *desk.ids)
    assert not desk.ask().labels


def test_full_and_weak_mix_in_a_round(desk):
    a, b, c, _ = desk.ids
    filled = lambda plane: np.where(plane == 0, BACKGROUND, plane)  # noqa: E731
    desk.paint(a, change=filled)
    desk.paint(b, change=strokes)
    desk.say(z1="empty")
    desk.ask()
    check(desk, a, change=filled, kind="full")
    check(desk, b)
    check(desk, c, change=lambda plane: np.full_like(plane, BACKGROUND), kind="full")


def test_strokes_of_one_kind(desk):
    """Both are labels; what the network does not learn is said of classes alone."""
    a, b, _, _ = desk.ids
    desk.paint(a, change=only(BACKGROUND))
    assert desk.ask().notes == ()
    check(desk, a, change=only(BACKGROUND))
    desk.paint(b, change=only(ORGAN))
    (note,) = desk.ask().notes
    assert (
        "there is no background stroke on slice 4 in ITK-SNAP, so that the network learns no background there" in note
    )
    check(desk, b, change=only(ORGAN))


def test_states(desk):
    a, b, c, d = desk.ids
    desk.paint(a, d, change=strokes)
    desk.paint(b, change=only(BACKGROUND))
    desk.say(z2="empty", z3="empty", z1="done", z4="done")
    answer = desk.ask()
    assert desk.taken() == sorted([b, d])
    check(desk, b, change=lambda plane: np.full_like(plane, BACKGROUND), kind="full")
    check(desk, d)
    n = (strokes(desk.truth(a)[..., 2]) == ORGAN).sum()
    assert f"is called empty in worklist.csv, but {n} of its voxels are labeled" in answer.problems[a]
    assert "holds no stroke" in answer.problems[c]
    assert "set its state in worklist.csv to 'empty'" in answer.problems[c]


def test_corrections_and_strokes_that_are_erased(desk):
    a, *_ = desk.ids
    desk.paint(a, change=strokes)
    desk.ask()
    desk.paint(a, change=only(ORGAN))
    assert [label.id for label in desk.ask().labels] == [a]
    check(desk, a, change=only(ORGAN))
    desk.paint(a, change=lambda plane: plane * 0)  # which annotates nothing: the label stays
    assert not desk.ask().labels
    check(desk, a, change=only(ORGAN))
    assert len(desk.run.returns(0)) == 2


def test_a_value_above_and_a_slice_that_nobody_asked_for(desk):
    a, b, *_ = desk.ids
    desk.paint(a, change=lambda plane: strokes(plane) * 2)
    desk.paint(b, change=strokes)
    beside = f"{desk.item(a).volume}/0005"
    desk.paint(beside, change=only(BACKGROUND))
    answer = desk.ask()
    check(desk, b)
    assert (
        "slice 3 in ITK-SNAP: holds 4, which means nothing; the values are 0 not annotated, 1 organ, 2 background "
        "stroke" in answer.problems[a]
    )
    (note,) = answer.notes
    assert "slices that were not asked for are annotated, 6 in ITK-SNAP" in note
    assert main(["import-labels", str(desk.run.path), "--take_extra"]) == 0
    check(desk, beside, change=only(BACKGROUND))


@pytest.mark.parametrize(
    "name",
    ["annotation (1).nii.gz", "annotation.nrrd", "Segmentation.seg.nrrd", "layers.seg.nrrd", "{volume}-label.mha"],
)
def test_saved_beside_and_cropped(desk, name):
    """By any program, in another order, without the rows that hold nothing: what is cropped is not annotated."""
    a, b, _, _ = desk.ids
    affine = nibabel.load(desk.annotation(a)).affine
    path = desk.annotation(a).parent / name.format(volume=desk.item(a).volume)
    drawn = np.zeros(desk.truth(a).shape, np.uint8)
    for id in (a, b):
        z = desk.item(id).slice
        drawn[..., z] = strokes(desk.truth(id)[..., z])
    voxels, moved = rearranged(drawn, affine, (0, 1, 2), (False, False, True), (2, 0, 2))
    if name == "layers.seg.nrrd":
        layers = np.stack([voxels == BACKGROUND, voxels == ORGAN])
        segments = [{"Name": "background", "LabelValue": 1}, {"Name": "Organ", "LabelValue": 1, "Layer": 1}]
        write_seg_nrrd(path, layers, moved, segments)
    elif name.endswith(".seg.nrrd"):
        segments = [{"Name": "background_stroke", "LabelValue": 7}, {"Name": "organ", "LabelValue": 5}]
        write_seg_nrrd(path, np.array([0, 5, 7])[voxels], moved, segments)
    else:
        write_itk(path, voxels, moved)
    assert set(desk.ask().problems) == set()
    check(desk, a, b)
    assert {Path(desk.run.labels(0)[id].returned).name for id in (a, b)} == {path.name}


def test_values_with_a_table_of_names(desk):
    a, *_ = desk.ids
    desk.paint(a, change=lambda plane: np.array([0, 8, 9])[strokes(plane)])
    desk.annotation(a).with_name("annotation.labels.csv").write_text("LabelValue,Name\n8,organ\n9,background stroke\n")
    desk.ask()
    check(desk, a)


def test_segments_that_are_all_empty_or_overlap(desk, tmp_path):
    image = desk.annotation(desk.ids[0]).with_name("image.nii.gz")
    segments = [{"Name": "organ", "LabelValue": 1}, {"Name": "background stroke", "LabelValue": 1, "Layer": 1}]
    path, classes = tmp_path / "a.seg.nrrd", desk.pool.classes
    write_seg_nrrd(path, np.zeros((1, 1, 1)), np.eye(4), segments[:1])
    assert (read_returned(path, image, classes, scribbles=True).classes == 255).all()
    layers = np.zeros((2, 16, 18, 6), np.uint8)
    layers[:, 4, 5, 2] = 1
    write_seg_nrrd(path, layers, nibabel.load(image).affine, segments)
    assert "segments that overlap, in 1 voxels" in read_returned(path, image, classes, scribbles=True).wrong[2]


def test_files_that_somebody_sent(desk, tmp_path, capsys):
    a, _, c, _ = desk.ids
    desk.paint(a, c, change=strokes)
    for id in (a, c):
        path = tmp_path / "sent" / f"{desk.item(id).volume}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        shutil.move(desk.annotation(id), path)
    assert main(["import-labels", str(desk.run.path), str(tmp_path / "sent"), "--annotator", "Ada"]) == 0
    assert "round 0: 2 taken, by Ada; 2 still waiting" in capsys.readouterr().out
    check(desk, a, c)
    assert desk.run.labels(0)[a].annotator == "Ada"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("file", [1, 4, 7, 10, 13])
def test_killed_while_it_is_handed_out(tmp_path, file):
    """Whatever is there by then, the next start ends with the files of one that was never killed."""
    desk, whole = Desk(tmp_path / "killed", scribbles=True), Desk(tmp_path / "whole", scribbles=True)

    def dying(move, calls=itertools.count(1)):  # noqa: B008  # one count for both ways to move
        def moved(source, target):
            if next(calls) == file:
                os.kill(os.getpid(), signal.SIGKILL)
            move(source, target)

        return moved

    child = os.fork()
    if child == 0:
        files.os.replace, files.os.rename = dying(os.replace), dying(os.rename)
        desk.ask()
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    desk.run.drop_incomplete()
    assert desk.ask().waiting == desk.ids
    whole.ask()
    kept = [
        {path.relative_to(one.place): path.read_bytes() for path in one.place.rglob("*.*") if path.suffix != ".json"}
        for one in (desk, whole)
    ]
    assert kept[0] == kept[1]
    desk.paint(*desk.ids, change=strokes)
    desk.ask()
    check(desk, *desk.ids)


# -- again -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["all", "the record", "a file"])
def test_what_is_lost_is_handed_out_again_with_the_strokes(desk, lost):
    """Those that the run holds, on their slices; they are nothing new, and others can be drawn beside them."""
    a, b, c, d = desk.ids
    desk.paint(a, change=strokes)
    desk.ask()
    if lost == "all":
        shutil.rmtree(desk.place)
    elif lost == "the record":
        (desk.place / "handed_out.json").unlink()
        (desk.place / "worklist.csv").unlink()
    else:
        desk.annotation(a).unlink()
        (desk.place / "worklist.html").unlink()
    assert desk.ask().waiting == (b, c, d)
    again = stored(desk, a)
    np.testing.assert_array_equal(again[..., 2], strokes(desk.truth(a)[..., 2]))
    assert not desk.ask().labels
    desk.paint(b, c, d, change=strokes)
    desk.ask()
    check(desk, *desk.ids)


def test_a_later_round_holds_earlier_strokes(desk):
    a, b, *_ = desk.ids
    desk.paint(*desk.ids, change=strokes)
    desk.ask()
    later = f"{desk.item(a).volume}/0005"
    desk.query = Query(1, "random", 0, (QueryItem(later),))
    desk.run.write_query(desk.query)
    desk.place = work_path(desk.run.path, 1)
    desk.ask()
    shown = stored(desk, a)
    for id in (a, b):
        z = desk.item(id).slice
        np.testing.assert_array_equal(shown[..., z], strokes(desk.truth(id)[..., z]))
        shown[..., z] = 0
    assert not shown.any()
    desk.paint(later, change=strokes)
    assert desk.ask().notes == ()
    np.testing.assert_array_equal(held(desk, later, 1), MEANS[strokes(desk.truth(later)[..., 5])])
    desk.paint(b, change=only(ORGAN))
    assert "slices that were not asked for are annotated, 4 in ITK-SNAP" in desk.ask().notes[0]


@pytest.mark.parametrize("scribbles", [True, False])
def test_masks_and_strokes_of_one_round_are_not_exchanged(tmp_path, scribbles):
    desk = Desk(tmp_path, scribbles=scribbles)
    desk.ask()
    before = {path: path.read_bytes() for path in desk.run.path.rglob("*") if path.is_file()}
    desk.annotator = Folder(scribbles=not scribbles)
    was, now = ("strokes", "masks") if scribbles else ("masks", "strokes")
    with pytest.raises(DataError, match=f"handed out as {was}, and now {now} are asked for, .* scribbles={scribbles}"):
        desk.ask()
    assert {path: path.read_bytes() for path in desk.run.path.rglob("*") if path.is_file()} == before


def test_a_mask_is_no_setting():
    """So that runs with masks have the config hash that they had."""
    assert vars(Folder()) == vars(Folder(scribbles=False)) == {}
    assert vars(Folder(scribbles=True)) == {"scribbles": True}
    with pytest.raises(ValueError, match="scribbles must be True or False, got 'yes'"):
        Folder(scribbles="yes")


@pytest.mark.parametrize("axis", [0, 2])
def test_a_whole_volume_and_another_slice_axis(tmp_path, axis):
    image = np.random.default_rng(0).integers(0, 99, (7, 9, 5)).astype(np.int16)
    write_nifti(tmp_path / "a.nii.gz", image, np.diag([4.0, 0.7, 0.7, 1.0]))
    item = Item("a", str(tmp_path / "a.nii.gz"), "a", "a", slice_axis=axis)
    pool, run = Pool([item], ("background", "organ")), RunFolder(tmp_path / "run")
    source = SliceSource(pool, VolumeCache(tmp_path / "cache", label_values=pool.label_values, progress=False))
    query = Query(0, "random", 0, (QueryItem("a"),))
    run.write_query(query)
    work, annotator = Work(run.path, source), Folder(scribbles=True)
    assert annotator.annotate(query, pool, work).waiting == ("a",)
    (path,) = run.path.rglob("annotation.nii.gz")
    drawn = np.zeros(image.shape, np.uint8)
    drawn[2, 3:6, 1], drawn[5, 1:8, 3] = ORGAN, BACKGROUND
    write_nifti(path, drawn, nibabel.load(path).affine)
    (label,) = annotator.annotate(query, pool, work).labels
    np.testing.assert_array_equal(np.asarray(nibabel.load(label.where).dataobj), MEANS[drawn])
