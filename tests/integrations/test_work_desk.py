# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A person's work between the files that were handed out and the run, without a viewer."""

from __future__ import annotations

import threading

import nibabel
import numpy as np
import pytest

from monai_al.annotators.file_values import FileValues
from monai_al.annotators.handed_out import HandedVolume
from monai_al.integrations.desk_volume import read_desk_volume
from monai_al.integrations.drafts import DRAFTS, read_drafts
from monai_al.integrations.work_desk import LOCK, WorkDesk
from monai_al.integrations.work_rounds import round_to_annotate
from monai_al.records import DataError, RunFolder


def opened(handed, annotator="Ada"):
    desk = WorkDesk(handed.run.path, 0, annotator)
    return desk, desk.open(desk.volume_of(handed.ids[0]))


def draw(handed, desk, volume, id):
    volume.plane(desk.slice_of(id))[...] = handed.truth(id)[..., desk.slice_of(id)]


def states(desk):
    return [(one.taken, one.drawing, one.row.state) for one in desk.slices]


def test_a_slice_from_the_first_stroke_to_the_run(handed):
    a, b, *_ = handed.ids
    desk, volume = opened(handed)
    predicted = volume.plane(desk.slice_of(b)).copy()
    assert predicted.any()
    draw(handed, desk, volume, a)
    desk.keep(volume)
    assert handed.taken() == []
    assert states(desk)[0] == (False, True, "waiting")
    desk.close()

    desk, volume = opened(handed)  # after a crash
    assert states(desk)[0] == (False, True, "waiting")
    desk.finish(volume, a)
    assert desk.close() == []
    handed.check(a)
    assert handed.run.labels(0)[a].annotator == "Ada"
    assert states(desk) == [(True, False, "done"), *[(False, False, "waiting")] * 3]
    assert not list(handed.place.rglob(DRAFTS))
    np.testing.assert_array_equal(opened(handed)[1].plane(desk.slice_of(b)), predicted)


def test_an_empty_slice_and_a_correction(handed):
    a, *_ = handed.ids
    desk, volume = opened(handed)
    volume.plane(desk.slice_of(a))[...] = 0
    desk.finish(volume, a)
    desk.close()
    assert states(desk)[0] == (True, False, "empty")
    assert handed.taken() == [a]
    desk, volume = opened(handed)
    draw(handed, desk, volume, a)
    desk.keep(volume)
    assert states(desk)[0] == (True, True, "empty")
    assert desk.slices[0].is_open
    desk.finish(volume, a)
    assert desk.close() == []
    handed.check(a)


def test_all_at_once_are_imported(handed):
    desk, _ = opened(handed)
    for id in handed.ids:
        volume = desk.open(desk.volume_of(id))
        draw(handed, desk, volume, id)
        desk.finish(volume, id)
    assert desk.close() == []
    handed.check(*handed.ids)
    assert not any(one.is_open for one in desk.slices)


def test_while_the_run_is_in_use(handed):
    a, *_ = handed.ids
    other = RunFolder(handed.run.path)
    other.lock()
    desk, volume = opened(handed)
    draw(handed, desk, volume, a)
    desk.finish(volume, a)
    (told,) = desk.close()
    assert "saved, but not in the run yet" in told
    assert "in use by process" in told
    other.unlock()
    handed.ask()  # the command that began the run
    handed.check(a)


def test_a_draft_of_a_slice_that_was_changed_elsewhere_is_left_out(handed, caplog):
    a, b, *_ = handed.ids
    desk, volume = opened(handed)
    volume.plane(desk.slice_of(a))[...] = 1
    draw(handed, desk, volume, b)
    desk.keep(volume)
    desk.close()
    handed.paint(a)
    desk, volume = opened(handed)
    assert f"the draft of {a} is left out" in caplog.text
    np.testing.assert_array_equal(volume.plane(desk.slice_of(a)), handed.truth(a)[..., desk.slice_of(a)])
    assert [one.drawing for one in desk.slices[:2]] == [False, True]


def test_drafts_that_cannot_be_read(handed, caplog):
    path = handed.annotation(handed.ids[0]).parent / DRAFTS
    path.write_bytes(b"half")
    desk, _ = opened(handed)
    assert f"{path}: cannot be read" in caplog.text
    assert not any(one.drawing for one in desk.slices)


def test_what_cannot_be_written_stays_open(handed, monkeypatch):
    a, *_ = handed.ids
    desk, volume = opened(handed)
    draw(handed, desk, volume, a)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device", "annotation.nii.gz")

    with monkeypatch.context() as patch:
        patch.setattr("monai_al.integrations.work_desk.write_label_map", full)
        desk.finish(volume, a)
        desk._writer.submit(int).result()
    (told,) = desk.news()
    assert "No space left on device" in told
    assert states(desk)[0] == (False, True, "waiting")
    desk.keep(volume)
    assert desk.close() == []
    desk, volume = opened(handed)
    desk.finish(volume, a)
    desk.close()
    handed.check(a)


def test_what_is_no_class(handed):
    """Neither drawn here, nor lost where another program saved it."""
    a, b, *_ = handed.ids
    desk, volume = opened(handed)
    volume.plane(desk.slice_of(a))[2, 3] = 9
    desk.finish(volume, a)
    assert desk.slices[0].problem == "holds 9, which is no class; erase it"
    desk.close()
    handed.paint(a, change=lambda plane: plane + 8)
    desk, volume = opened(handed)
    draw(handed, desk, volume, b)
    desk.finish(volume, b)
    (told,) = desk.close()
    assert "annotation.nii.gz: slice 2 holds 8, 9, which is no class" in told
    assert states(desk)[1] == (False, True, "waiting")
    assert handed.taken() == []


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (1, -1, -1)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_the_label_map_is_shown_as_its_image(tmp_path, slice_axis, signs, order):
    """What is drawn where the image is bright lies on the bright voxels of the file; anterior or superior is up."""
    shape, spacing = (6, 7, 8), np.array([1.0, 2.0, 3.0])
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (towards, sign) in enumerate(zip(order, signs, strict=True)):
        affine[towards, axis] = sign * spacing[axis]
    drawn = np.random.default_rng(0).integers(0, 3, shape).astype(np.uint8)
    (tmp_path / "a").mkdir()
    for name in ("image", "annotation"):
        nibabel.save(nibabel.Nifti1Image(drawn, affine), tmp_path / "a" / f"{name}.nii.gz")
    values = FileValues(["background", "one", "two"])
    volume = read_desk_volume(tmp_path, HandedVolume("a", "a"), values, slice_axis)
    np.testing.assert_array_equal(volume.labels, volume.images["image"])
    volume.labels[volume.images["image"] == 2] = 7
    np.testing.assert_array_equal(volume.classes == 7, drawn == 2)

    centers = np.moveaxis(np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1), 3, 0).reshape(3, -1)
    mm = (affine[:3, :3] @ centers + affine[:3, 3:]).reshape(3, *shape)
    for of_axis, body in enumerate(mm):  # each coordinate as an image of its own
        nibabel.save(nibabel.Nifti1Image(body.astype(np.float32), affine), tmp_path / "a" / "image.nii.gz")
        mm[of_axis] = 0
        shown = read_desk_volume(tmp_path, HandedVolume("a", "a"), values, slice_axis).images
        steps = [np.diff(shown["image"], axis=axis).mean() for axis in range(3)]
        if abs(steps[1]) > 1e-6:  # along the rows, downwards
            assert steps[1] == pytest.approx(-volume.spacing[1])
            assert of_axis in (1, 2)
        if abs(steps[2]) > 1e-6:  # along the columns, to the right
            assert steps[2] == pytest.approx(-volume.spacing[2])
        if abs(steps[0]) > 1e-6:
            assert abs(steps[0]) == pytest.approx(volume.spacing[0])


def test_which_round(handed, tmp_path):
    assert round_to_annotate(handed.run.path) == 0
    assert round_to_annotate(handed.run.path, 0) == 0
    with pytest.raises(DataError, match=r"has handed out no work of round 3; --round can be: 0"):
        round_to_annotate(handed.run.path, 3)
    with pytest.raises(DataError, match="is no run folder"):
        round_to_annotate(tmp_path / "data")
    (handed.run.path / "annotate" / "round_00" / "handed_out.json").unlink()
    with pytest.raises(DataError, match="has handed out nothing"):
        round_to_annotate(handed.run.path)


def test_a_missing_image_is_named(handed):
    path = handed.annotation(handed.ids[0]).parent / "image.nii.gz"
    path.unlink()
    with pytest.raises(DataError, match=r"image.nii.gz is missing: the command that began the run makes it anew"):
        opened(handed)


def test_the_run_is_not_changed_by_looking(handed):
    def content():
        return {path: path.read_bytes() for path in handed.run.path.rglob("*") if path.is_file() and path.name != LOCK}

    before = content()
    desk, volume = opened(handed)
    desk.keep(volume)
    desk.close()
    assert content() == before


def test_one_window_for_a_round(handed):
    desk, _ = opened(handed)
    with pytest.raises(DataError, match=r"round_00 is open in another window of annotate"):
        opened(handed, "Bob")
    desk.close()
    opened(handed, "Bob")


def test_nothing_is_lost_where_nothing_can_be_written(handed, monkeypatch):
    """The next volume is on the screen already when the disk says that it is full."""
    a, b, c, _ = handed.ids
    desk, volume = opened(handed)
    draw(handed, desk, volume, a)
    draw(handed, desk, volume, b)

    def full(path, *args, **kwargs):
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        for name in ("work_desk.write_label_map", "drafts.write_file"):
            patch.setattr(f"monai_al.integrations.{name}", full)
        desk.keep(volume)
        desk.finish(volume, a)
        other = desk.open(desk.volume_of(c))
        desk._writer.submit(int).result()
        assert "No space left on device" in desk.news()[0]
    volume = desk.open(desk.volume_of(a))
    for id in (a, b):
        np.testing.assert_array_equal(volume.plane(desk.slice_of(id)), handed.truth(id)[..., desk.slice_of(id)])
    desk.keep(other)  # writes what is left of the first one, too
    assert desk.close() == []
    desk, volume = opened(handed)
    assert states(desk)[:2] == [(False, True, "waiting")] * 2
    for id in (a, b):
        desk.finish(volume, id)
    assert desk.close() == []
    handed.check(a, b)


def test_a_volume_is_read_after_it_is_written(handed, monkeypatch):
    a, *_ = handed.ids
    desk, volume = opened(handed)
    draw(handed, desk, volume, a)
    go = threading.Event()
    desk._writer.submit(go.wait)
    desk.finish(volume, a)
    threading.Timer(0.2, go.set).start()
    volume = desk.open(desk.volume_of(a))
    np.testing.assert_array_equal(volume.plane(desk.slice_of(a)), handed.truth(a)[..., desk.slice_of(a)])
    desk.close()


def test_one_failure_does_not_keep_others_out(handed):
    """What was written before it is imported all the same."""
    a, _, c, _ = handed.ids
    desk, volume = opened(handed)
    other = desk.open(desk.volume_of(c))
    draw(handed, desk, volume, a)
    handed.annotation(c).write_bytes(b"half")
    desk.finish(volume, a)
    desk.finish(other, c)
    assert any("annotation.nii.gz" in one for one in desk.close())
    assert handed.taken() == [a]
    assert [one.is_open for one in desk.slices] == [False, True, True, True]


def test_a_draft_while_its_slice_is_being_written(handed):
    """It goes on from what the file holds then, not from what it is to hold."""
    a, *_ = handed.ids
    desk, volume = opened(handed)
    go = threading.Event()
    desk._writer.submit(go.wait)
    draw(handed, desk, volume, a)
    desk.keep(volume)
    folder = handed.annotation(a).parent
    before = desk._planes[a]
    desk.finish(volume, a)
    draft, *_ = desk._tasks
    desk._tasks[1].future.cancel()  # as if the process were killed before
    go.set()
    draft.future.result()
    assert a in read_drafts(folder, {a: before})


def test_a_slice_that_another_program_changed_is_not_replaced_unasked(handed):
    a, *_ = handed.ids
    desk, volume = opened(handed)
    volume.plane(desk.slice_of(a))[...] = 1
    handed.paint(a)
    desk.finish(volume, a)
    desk._writer.submit(int).result()
    (told,) = [one for one in desk.news() if "not saved" in one]
    assert f"{a} was changed by another program" in told
    assert states(desk)[0][1:] == (True, "waiting")
    desk.finish(volume, a)
    assert desk.close() == []
    assert opened(handed)[1].plane(desk.slice_of(a)).all()


# -- strokes -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def strokes_wanted(tmp_path):
    from desk import Desk

    desk = Desk(tmp_path, scribbles=True)
    desk.ask()
    return desk


def test_strokes_from_the_first_one_to_the_run(strokes_wanted):
    """0 is not annotated, 2 the background; an empty slice is all background; the prediction is nowhere."""
    a, b, c, d = strokes_wanted.ids
    desk, volume = opened(strokes_wanted)
    assert desk.classes == ["not annotated", "organ", "background stroke"]
    assert not volume.labels.any()
    planes = {}
    for id, values in ((a, (1, 2)), (b, (2,)), (c, (1,))):
        volume = desk.open(desk.volume_of(id))
        plane = volume.plane(desk.slice_of(id))
        plane[2, 2:5] = values[0]
        plane[5, 3:9] = values[-1]
        planes[id] = np.array([255, 1, 0])[plane]
        desk.keep(volume)
    volume = desk.open(desk.volume_of(a))  # from the drafts
    assert [one.drawing for one in desk.slices] == [True, True, True, False]
    for id in (a, b, c):
        volume = desk.open(desk.volume_of(id))
        desk.finish(volume, id)
    volume.plane(desk.slice_of(d))[1, 1] = 3
    desk.finish(volume, d)
    assert desk.slices[3].problem == "holds 3, which is no class; erase it"
    volume.plane(desk.slice_of(d))[...] = 0
    desk.finish(volume, d)
    (note,) = desk.close()
    assert "no background stroke" in note
    planes[d] = np.zeros_like(planes[a])
    labels = strokes_wanted.run.labels(0)
    assert {id: labels[id].kind for id in labels} == {a: "weak", b: "weak", c: "weak", d: "full"}
    for id, plane in planes.items():
        stored = np.asarray(nibabel.load(labels[id].under(strokes_wanted.run.round_path(0)).where).dataobj)
        np.testing.assert_array_equal(stored[..., desk.slice_of(id)], plane)
    desk, volume = opened(strokes_wanted)  # a correction goes on from what was drawn
    assert volume.plane(desk.slice_of(a))[2, 2] == 1
    volume.plane(desk.slice_of(a))[7, 7] = 2
    desk.finish(volume, a)
    desk.close()
    planes[a][7, 7] = 0
    label = strokes_wanted.run.labels(0)[a].under(strokes_wanted.run.round_path(0))
    np.testing.assert_array_equal(np.asarray(nibabel.load(label.where).dataobj)[..., desk.slice_of(a)], planes[a])
