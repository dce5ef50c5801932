# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Oracles that answer with scribbles: which items, with which pixels, and what they refuse."""

from __future__ import annotations

import gc
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_al.annotators import DrawingOracle, ScribbleOracle, Work, ask
from monai_al.data import VolumeCache
from monai_al.datasets import phantom
from monai_al.records import NOT_ANNOTATED, TEST, DataError, Item, Pool, Query, QueryItem
from monai_al.sources import SliceSource
from monai_al.transforms import PlaneGridd, ScribblesFromMask

CLASSES = ("background", "liver", "spleen")


def source_of(pool):
    place = Path(pool[0].image).parents[2] / "cache"
    return SliceSource(pool, VolumeCache(place, label_values=pool.label_values, progress=False))


def beside(label, suffix="_scribble"):
    """The file of scribbles beside a mask."""
    return label[: label.rindex("_label")] + suffix + ".nii.gz"


def query(ids, round=0):
    return Query(round, "random", 0, tuple(map(QueryItem, ids)))


def answered(oracle, source, ids=None, round=0):
    ids = [item.id for item in source.data] if ids is None else ids
    return ask(oracle, query(ids, round), source.data, Work(Path("runs/a"), source))


def planes(answer):
    """Id -> class numbers of the slice that its label names."""
    volumes = {}
    for label in answer.labels:
        if label.where not in volumes:
            volumes[label.where] = np.asarray(nibabel.load(label.where).dataobj)
    return {label.id: volumes[label.where][..., label.slice] for label in answer.labels}


@pytest.fixture
def masks(tmp_path):
    """Two volumes with masks, and beside these scribbles in which 255 means not annotated."""
    options = {"patients": 2, "volumes_per_patient": 1, "shape": (24, 28, 8), "classes": CLASSES, "scribbles": True}
    return source_of(phantom(tmp_path, **options))


def test_scribbles_are_drawn_on_the_masks(masks):
    ids = [item.id for item in masks.data][1:14:2]
    answer = answered(DrawingOracle(width=2, length=0.7, seed=3), masks, ids)
    assert [label.id for label in answer.labels] == ids
    for id, plane in planes(answer).items():
        item = masks.data[masks.data.index(id)]
        mask = np.asarray(nibabel.load(item.label).dataobj)[None, ..., item.slice].astype(np.uint8)
        assert np.array_equal(plane, ScribblesFromMask(width=2, length=0.7, seed=3)(mask, id)[0])
        assert (plane[plane != NOT_ANNOTATED] == mask[0][plane != NOT_ANNOTATED]).all()
        assert 0 < (plane != NOT_ANNOTATED).mean() < 0.5


def test_only_slices_that_were_asked_for_are_annotated(masks):
    answer = answered(DrawingOracle(), masks, [masks.data[2].id, masks.data[5].id])
    (file,) = {label.where for label in answer.labels}
    volume = np.asarray(nibabel.load(file).dataobj)
    assert [z for z in range(8) if (volume[..., z] != NOT_ANNOTATED).any()] == [2, 5]


@pytest.mark.parametrize("axis", [0, 1])
def test_slices_along_another_axis(masks, axis):
    depth = (24, 28, 8)[axis]
    first = masks.data[0]
    items = [replace(first, id=f"a/{z:04d}", volume="a", slice=z, slice_axis=axis) for z in range(depth)]
    source = source_of(Pool(items, CLASSES, slice_axis=axis))
    answer = answered(DrawingOracle(), source, [items[9].id])
    volume = np.moveaxis(np.asarray(nibabel.load(answer.labels[0].where).dataobj), axis, -1)
    truth = np.moveaxis(np.asarray(nibabel.load(first.label).dataobj), axis, -1)
    drawn = volume != NOT_ANNOTATED
    assert drawn[..., 9].any()
    assert not np.delete(drawn, 9, axis=-1).any()
    assert (volume == truth)[drawn].all()


def test_a_volume_gets_the_strokes_of_its_slices(masks):
    whole = [replace(item, id=item.volume, slice=None) for item in masks.data if item.slice == 0]
    answer = answered(DrawingOracle(), source_of(Pool(whole, CLASSES)), [whole[0].id])
    volume = np.asarray(nibabel.load(answer.labels[0].where).dataobj)
    slices = answered(DrawingOracle(), masks, [item.id for item in masks.data[:8]])
    assert answer.labels[0].slice is None
    assert np.array_equal(volume, np.asarray(nibabel.load(slices.labels[0].where).dataobj))


def test_a_share_of_the_items_is_answered_weakly(masks):
    oracle, weak = DrawingOracle(share=0.5), set()
    for ids in ([item.id for item in masks.data[:10]], [item.id for item in masks.data[10:]]):  # in any portions
        weak |= {label.id for label in answered(oracle, masks, ids).labels if label.kind == "weak"}
    assert weak == {item.id for item in masks.data if oracle.answers_weakly(item.id)}
    assert 3 <= len(weak) <= 13
    assert weak != {item.id for item in masks.data if DrawingOracle(share=0.5, seed=1).answers_weakly(item.id)}


def test_a_test_set_gets_full_labels(masks):
    assert {label.kind for label in answered(DrawingOracle(), masks, round=TEST).labels} == {"full"}


def test_files_last_as_long_as_their_answer(masks):
    answer = answered(DrawingOracle(), masks, [masks.data[3].id])
    file = Path(answer.labels[0].where)
    assert file.is_file()
    del answer
    gc.collect()
    assert not file.parent.exists()


def test_the_scribbles_of_a_data_set(masks):
    answer = answered(ScribbleOracle(), masks)
    for id, plane in planes(answer).items():
        item = masks.data[masks.data.index(id)]
        stored = np.asarray(nibabel.load(beside(item.label)).dataobj)
        assert np.array_equal(plane, stored[..., item.slice])


def rewritten(source, change, suffix="_scribble", folder=None):
    """The scribble files of all volumes with other values, perhaps elsewhere."""
    for label in sorted({item.label for item in source.data}):
        image = nibabel.load(beside(label))
        path = Path(beside(label, suffix))
        path = path if folder is None else folder / path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        changed = nibabel.Nifti1Image(change(np.asarray(image.dataobj)).astype(np.uint8), image.affine)
        nibabel.save(changed, path)


CODES = {0: 0, 1: 1, 2: 2, 255: NOT_ANNOTATED}


@pytest.mark.parametrize(
    ("codes", "values"),
    [
        ({0: 0, 1: 1, 2: 2, 255: 3}, None),  # one above the last class, as in ACDC
        ({0: 9, 1: 1, 2: 2, 255: 0}, {0: 255, 1: 1, 2: 2, 9: 0}),  # as people's strokes are
    ],
)
def test_codes_of_not_annotated(masks, tmp_path, codes, values):
    expected = planes(answered(ScribbleOracle(), masks))
    rewritten(masks, lambda array: np.vectorize(codes.get)(array), "_strokes", tmp_path / "else" / "where")
    oracle = ScribbleOracle(tmp_path / "else", "_strokes", values)
    oracle.check(masks)
    found = planes(answered(oracle, masks))
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[id], expected[id]) for id in found)


def test_labels_that_are_scribbles_themselves_answer(masks):
    weak = source_of(Pool([replace(item, label=beside(item.label)) for item in masks.data], CLASSES, CODES))
    oracle = ScribbleOracle(suffix="_none")
    oracle.check(weak)
    assert {label.where for label in answered(oracle, weak).labels} == {"ground truth"}


@pytest.mark.parametrize(
    ("oracle", "message"),
    [
        (
            ScribbleOracle(suffix="_none"),
            "2 of 2 volumes have no scribbles that can be used; say where they lie by --scribble_folder",
        ),
        (ScribbleOracle("/no/such/folder"), "--scribble_folder /no/such/folder"),
    ],
)
def test_missing_scribbles_are_told_before_the_start(masks, oracle, message):
    with pytest.raises(DataError, match=message):
        oracle.check(masks)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda array: array * (array != NOT_ANNOTATED), "annotates every pixel"),
        (lambda array: np.where(array == 1, 7, array), "unexpected label values 7.*--scribble_values"),
        (np.vectorize({0: 3, 1: 1, 2: 2, 255: 0}.get), "annotates most pixels.*--scribble_values"),  # people's strokes
    ],
)
def test_files_that_are_no_scribbles(masks, change, message):
    rewritten(masks, change)
    with pytest.raises(DataError, match=message):
        answered(ScribbleOracle(), masks)
    with pytest.raises(DataError, match=message.split(".*")[0]):
        ScribbleOracle().check(masks)


def test_two_files_of_scribbles(masks, tmp_path):
    for name in "ab":
        rewritten(masks, lambda array: array, folder=tmp_path / "found" / name)
    with pytest.raises(DataError, match="several files of scribbles"):
        ScribbleOracle(tmp_path / "found").check(masks)


def test_scribbles_in_folders_like_those_of_the_images(masks, tmp_path):
    items, labels = [], sorted({item.label for item in masks.data})
    for name, label in zip("ab", labels, strict=True):
        for place in (tmp_path / "images" / name, tmp_path / "found" / name):
            place.mkdir(parents=True)
        shutil.copy(label.replace("_label", ""), tmp_path / "images" / name / "image.nii.gz")
        shutil.copy(beside(label), tmp_path / "found" / name / "image_scribble.nii.gz")
        image = str(tmp_path / "images" / name / "image.nii.gz")
        items += [replace(masks.data[z], id=f"{name}/{z:04d}", volume=name, image=image, label=None) for z in range(8)]
    source, oracle = source_of(Pool(items, CLASSES)), ScribbleOracle(tmp_path / "found")
    oracle.check(source)
    for id, plane in planes(answered(oracle, source)).items():
        stored = np.asarray(nibabel.load(beside(labels["ab".index(id[0])])).dataobj)
        assert np.array_equal(plane, stored[..., int(id[2:])])


def test_values_of_the_masks_are_those_of_the_scribbles(tmp_path):
    """A picture's mask has 255 for its foreground, which is no missing annotation then."""
    from PIL import Image

    Image.fromarray(np.zeros((16, 20), np.uint8)).save(tmp_path / "a.png")
    strokes = np.full((16, 20), 256, np.uint16)
    strokes[3, 2:9], strokes[12, 4:15] = 255, 0
    nibabel.save(nibabel.Nifti1Image(strokes, np.eye(4)), tmp_path / "a_scribble.nii.gz")
    item = Item("a", str(tmp_path / "a.png"), "a", "a")
    pool = Pool([item], label_values={0: 0, 255: 1})
    source = SliceSource(pool, VolumeCache(tmp_path / "cache", label_values=pool.label_values, progress=False))
    answer = answered(ScribbleOracle(), source)
    found = np.asarray(nibabel.load(answer.labels[0].where).dataobj)
    assert np.array_equal(found, np.select([strokes == 255, strokes == 0], [1, 0], NOT_ANNOTATED))


def test_one_file_of_scribbles_for_two_volumes(masks, tmp_path):
    label = masks.data[0].label
    (tmp_path / "found").mkdir()
    shutil.copy(beside(label), tmp_path / "found" / "image_scribble.nii.gz")
    items = []
    for name in "ab":
        (tmp_path / name).mkdir()
        shutil.copy(masks.data[0].image, tmp_path / name / "image.nii.gz")
        items.append(
            replace(masks.data[0], id=f"{name}/0000", volume=name, image=str(tmp_path / name / "image.nii.gz"))
        )
    with pytest.raises(DataError, match="image_scribble.nii.gz: is of a or of b, whose images have one name"):
        ScribbleOracle(tmp_path / "found").check(source_of(Pool(items, CLASSES)))


def test_no_strokes_without_a_mask(masks):
    bare = source_of(masks.data.with_items(replace(item, label=None) for item in masks.data))
    with pytest.raises(DataError, match="16 items have no ground truth to draw scribbles on"):
        DrawingOracle().check(bare)
    weak = source_of(Pool([replace(item, label=beside(item.label)) for item in masks.data], CLASSES, CODES))
    with pytest.raises(DataError, match="annotators/scribbles"):
        DrawingOracle().check(weak)


def test_a_mask_of_another_size_than_its_picture(tmp_path):
    """As in collections of photographs: both show the whole view."""
    from PIL import Image

    mask = np.zeros((8, 10), np.uint8)
    mask[2:6, 5:] = 255
    Image.fromarray(np.zeros((16, 20), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(mask).save(tmp_path / "a_mask.png")
    item = Item("a", str(tmp_path / "a.png"), "a", "a", str(tmp_path / "a_mask.png"))
    pool = Pool([item], label_values={0: 0, 255: 1}, sizes_tolerated=True)
    options = {"transform": PlaneGridd(["image", "label"], (16, 16)), "sizes_tolerated": True, "progress": False}
    source = SliceSource(pool, VolumeCache(tmp_path / "cache", label_values=pool.label_values, **options))
    oracle = DrawingOracle()
    oracle.check(source)
    answer = answered(oracle, source)
    drawn = np.asarray(nibabel.load(answer.labels[0].where).dataobj)
    enlarged = (mask > 0).repeat(2, 0).repeat(2, 1)
    assert drawn.shape == (16, 20)
    assert np.array_equal(drawn, ScribblesFromMask()(enlarged[None].astype(np.uint8), "a")[0])


@pytest.mark.parametrize("share", [0, -0.1, 1.01, True, "half"])
def test_shares_out_of_range(share):
    with pytest.raises(ValueError, match="share"):
        DrawingOracle(share=share)


def test_values_without_not_annotated():
    with pytest.raises(ValueError, match="no value means 255"):
        ScribbleOracle(values={0: 0, 1: 1})


def test_a_foreign_bundle_is_refused(masks):
    masks.reads_class_numbers = False
    with pytest.raises(DataError, match="does not leave out pixels"):
        DrawingOracle().check(masks)
