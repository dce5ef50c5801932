# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from scipy.spatial.transform import Rotation

from monai_al.annotators import Answer, Work
from monai_al.annotators.handing_out import hand_out
from monai_al.data import VolumeCache, read_volume
from monai_al.data.itk_images import ras_affine
from monai_al.engines.answers import record_answer
from monai_al.records import TEST, Item, Label, LabelReturn, Labels, Pool, Query, QueryItem, RunFolder, slices_of
from monai_al.sources import SliceSource

CLASSES = ("background", "left_ventricle", "myocardium")
SHAPE = (9, 7, 5)
AFFINE = np.array([[1.5, 0, 0, -20], [0, 1.25, 0, 7], [0, 0, 4, -30], [0, 0, 0, 1]])
TURNED = np.eye(4)
TURNED[:3, :3] = Rotation.from_euler("xyz", (20, -15, 30), degrees=True).as_matrix()
SHEARED = AFFINE + np.array([[0, 0, 1.5, 0], *[[0] * 4] * 3])
MOVED = AFFINE + np.array([[0, 0, 0, 5.0], *[[0] * 4] * 3])
LEFT_HANDED = np.diag([-1.0, 1, 1, 1]) @ AFFINE


def prediction(item):
    """Other class numbers in every slice, and background."""
    volume = read_volume(item.image, slice_axis=item.slice_axis)
    return np.arange(volume.image[0].size).reshape(volume.image.shape[1:]).astype(np.uint8) % 3


def work_of(pool, folder, labels=None, predict=prediction):
    source = SliceSource(pool, VolumeCache(folder / "cache", label_values=pool.label_values, progress=False))
    return Work(folder / "run", source, labels, predict)


def query_of(*items, round=1):
    return Query(round, "entropy", 0, tuple(QueryItem(item.id, 0.25, "rank 1 of 9") for item in items))


def voxels(shape=SHAPE, dtype=np.int16):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def nifti(path, affine=AFFINE, values=None, s=1, q=1, q_affine=None, unit="mm"):
    image = nib.Nifti1Image(voxels() if values is None else values, affine)
    image.set_sform(affine, s)
    image.set_qform(affine if q_affine is None else q_affine, q, strip_shears=True)
    image.header.set_xyzt_units(unit)
    nib.save(image, path)
    return str(path)


def itk(path):
    image = sitk.GetImageFromArray(voxels().transpose(2, 1, 0))
    image.SetSpacing((1.5, 1.25, 4.0))
    image.SetOrigin((3.0, -4.0, 5.0))
    image.SetDirection(TURNED[:3, :3].ravel().tolist())
    sitk.WriteImage(image, str(path))
    return str(path)


def pictures(folder, mode="L", n=1):
    folder.mkdir()
    values = np.random.default_rng(0).integers(0, 256, (n, 9, 7, 3)).astype(np.uint8)
    for k, plane in enumerate(values):
        Image.fromarray(plane if mode == "RGB" else plane[..., 0]).save(folder / f"{k}.png")
    return str(folder if n > 1 else folder / "0.png")


STORED = {
    "clear NIfTI": lambda f: nifti(f / "a.nii.gz"),
    "left-handed NIfTI": lambda f: nifti(f / "a.nii.gz", LEFT_HANDED),
    "oblique NIfTI, s-form alone, code 2": lambda f: nifti(f / "a.nii.gz", TURNED @ AFFINE, s=2, q=0),
    "q-form alone": lambda f: nifti(f / "a.nii.gz", TURNED @ LEFT_HANDED, s=0),
    "forms that differ": lambda f: nifti(f / "a.nii.gz", s=2, q_affine=MOVED),
    "no form": lambda f: nifti(f / "a.nii.gz", s=0, q=0),
    "sheared": lambda f: nifti(f / "a.nii.gz", SHEARED, q=0),
    "microns": lambda f: nifti(f / "a.nii.gz", np.diag([1000.0, 1000, 1000, 1]) @ AFFINE, unit="micron"),
    "not compressed": lambda f: nifti(f / "a.nii"),
    "fractions": lambda f: nifti(f / "a.nii", values=voxels(dtype=np.float32) / 7),
    "two channels": lambda f: nifti(f / "a.nii.gz", values=voxels((*SHAPE, 2))),
    "flat": lambda f: nifti(f / "a.nii.gz", values=voxels(SHAPE[:2])),
    "MetaImage": lambda f: itk(f / "a.mha"),
    "NRRD": lambda f: itk(f / "a.nrrd"),
    "picture": lambda f: pictures(f / "p"),
    "picture in colours": lambda f: pictures(f / "p", "RGB"),
    "folder of pictures": lambda f: pictures(f / "p", n=5),
}
AS_THEY_ARE = {"clear NIfTI", "left-handed NIfTI", "oblique NIfTI, s-form alone, code 2", "q-form alone"}


def opened(path):
    """How ITK and nibabel read a file: voxels in stored order, and both affines."""
    ours, theirs = nib.load(path), sitk.ReadImage(str(path))
    values = np.asarray(ours.dataobj)
    np.testing.assert_array_equal(values, sitk.GetArrayFromImage(theirs).transpose(2, 1, 0))
    return values, ours.affine, theirs


@pytest.mark.parametrize("slice_axis", [2, 0])
@pytest.mark.parametrize("kind", STORED)
def test_image_and_annotation_open_alike_in_every_program(kind, slice_axis, tmp_path):
    path = STORED[kind](tmp_path)
    item = Item("a/0001", path, "a", "a", slice=1, slice_axis=slice_axis)
    volume = read_volume(path, slice_axis=slice_axis)
    if volume.image.shape[3] == 1:
        item = replace(item, id="a", slice=None)
    hand_out(query_of(item), Pool([item], CLASSES), work_of(Pool([item], CLASSES), tmp_path), tmp_path / "out")
    folder = tmp_path / "out/a"
    image, affine, by_itk = opened(folder / "image.nii.gz")
    annotation, its_affine, its_itk = opened(folder / "annotation.nii.gz")
    # one place for both programs, and for both files without any difference
    np.testing.assert_array_equal(affine, its_affine)
    for get in ("GetOrigin", "GetSpacing", "GetDirection", "GetSize"):
        assert getattr(by_itk, get)() == getattr(its_itk, get)()
    np.testing.assert_allclose(ras_affine(by_itk), affine, atol=1e-4)
    if kind not in AS_THEY_ARE:
        header = nib.load(folder / "image.nii.gz").header
        assert (header["sform_code"], header["qform_code"]) == (1, 1)
    # the voxels of the stored image, in their order
    first = (
        volume.image[0] if kind != "picture in colours" else volume.image.transpose(1, 2, 3, 0) @ (0.299, 0.587, 0.114)
    )
    stored = np.moveaxis(first, -1, slice_axis)
    np.testing.assert_allclose(image, stored, atol=0.51 if "colours" in kind else 1e-6)
    assert annotation.dtype == np.uint8
    predicted = np.moveaxis(prediction(item), -1, slice_axis)
    expected = np.zeros_like(predicted)
    asked = slice(None) if item.slice is None else [1]
    np.moveaxis(expected, slice_axis, 0)[asked] = np.moveaxis(predicted, slice_axis, 0)[asked]
    np.testing.assert_array_equal(annotation, expected)
    # where the reader places them, as far as that can be shown
    where = ras_affine(by_itk)
    order = [axis for axis in range(3) if axis != slice_axis] + [slice_axis]
    read = volume.affine[:, np.argsort([*order, 3])]
    if "picture" not in kind and kind != "sheared":
        np.testing.assert_allclose(where, read, atol=1e-3)
    if kind == "sheared":
        middle = np.append((np.array(image.shape) - 1) / 2, 1)
        np.testing.assert_allclose(where @ middle, read @ middle, atol=1e-3)
    if os.path.isfile(path):
        assert ((folder / "image.nii.gz").read_bytes() == Path(path).read_bytes()) == (kind in AS_THEY_ARE)
    # the point of 3D Slicer lies in the slice
    if item.slice is None:
        assert not (folder / "slices.mrk.json").exists()
        return
    (markup,) = json.loads((folder / "slices.mrk.json").read_text(encoding="utf-8"))["markups"]
    (point,) = markup["controlPoints"]
    assert markup["coordinateSystem"] == "LPS"
    index = by_itk.TransformPhysicalPointToContinuousIndex(point["position"])
    np.testing.assert_allclose(index[slice_axis], 1, atol=1e-3)
    np.testing.assert_allclose(np.delete(index, slice_axis), (np.delete(image.shape, slice_axis) - 1) / 2, atol=1e-3)


def test_further_channels_and_colours_lie_beside_the_image(tmp_path):
    for kind, names in (("two channels", ["image_0001.nii.gz"]), ("picture in colours", ["image_colour.nii.gz"])):
        (tmp_path / kind).mkdir()
        path = STORED[kind](tmp_path / kind)
        item = Item("a", path, "a", "a")
        hand_out(query_of(item), Pool([item], CLASSES), work_of(Pool([item]), tmp_path / kind), tmp_path / kind / "out")
        folder = tmp_path / kind / "out/a"
        assert sorted(p.name for p in folder.glob("image_*")) == names
        other, image = sitk.ReadImage(str(folder / names[0])), sitk.ReadImage(str(folder / "image.nii.gz"))
        assert (other.GetOrigin(), other.GetDirection()) == (image.GetOrigin(), image.GetDirection())
        values = sitk.GetArrayFromImage(other)
        stored = read_volume(path).image
        if kind == "two channels":
            np.testing.assert_array_equal(values.transpose(2, 1, 0), stored[1])
        else:  # rows lead to the back and columns to the left, as viewers show them upright
            np.testing.assert_array_equal(values.transpose(3, 2, 1, 0), stored)
            direction = np.array(image.GetDirection()).reshape(3, 3)
            np.testing.assert_array_equal(direction, [[0, 1, 0], [1, 0, 0], [0, 0, -1]])  # LPS
            assert np.linalg.det(direction) > 0


@pytest.mark.parametrize(("kind", "words"), [("forms that differ", "has the s-form"), ("sheared", "right angles")])
def test_headers_that_editors_read_otherwise_are_told_once(kind, words, tmp_path, caplog):
    item = Item("a/0001", STORED[kind](tmp_path), "a", "a", slice=1)
    arguments = query_of(item), Pool([item], CLASSES), work_of(Pool([item]), tmp_path), tmp_path / "out"
    with caplog.at_level(logging.WARNING):
        hand_out(*arguments)
        hand_out(*arguments)
    (record,) = caplog.records
    assert words in record.getMessage()


# -- what is there stays -----------------------------------------------------------------------------------------------


@pytest.fixture
def pool(tmp_path):
    items = []
    for name in ("a", "b"):
        path = nifti(tmp_path / f"{name}.nii.gz")
        label = np.full(SHAPE, 2, np.uint8)
        label[0] = 255 if name == "b" else 1
        own = nifti(tmp_path / f"{name}_label.nii.gz", values=label)
        items += slices_of(SHAPE[2], image=path, volume=name, patient=name, label=own)
    return Pool(items, CLASSES, {0: 0, 1: 1, 2: 2, 255: 255})


def content(folder):
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def table(folder):
    with open(folder / "worklist.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def annotation(folder, volume="a"):
    return np.asarray(nib.load(folder / volume / "annotation.nii.gz").dataobj)


def paint(folder, z, value, volume="a"):
    path = folder / volume / "annotation.nii.gz"
    image = nib.load(path)
    values = np.asarray(image.dataobj).copy()
    values[..., z] = value
    nib.save(nib.Nifti1Image(values, None, image.header), path)
    return path.read_bytes()


def edit(folder, id, state):
    path = folder / "worklist.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line.replace("waiting", state) if f"{id}," in line else line for line in lines) + "\n")


def handed(folder):
    return json.loads((folder / "handed_out.json").read_text(encoding="utf-8"))


def test_the_work_list_says_what_was_asked(pool, tmp_path):
    asked = [pool[6], pool[1], pool[3]]
    hand_out(query_of(*asked), pool, work_of(pool, tmp_path), tmp_path / "out")
    rows = table(tmp_path / "out")
    assert list(rows[0]) == [
        "number", "id", "volume", "file", "plane", "itksnap", "slicer_mm", "slice", "reason", "score", "state", "note",
    ]  # fmt: skip
    assert [(row["number"], row["id"], row["slice"], row["itksnap"]) for row in rows] == [
        (str(n), item.id, str(item.slice), str(item.slice + 1)) for n, item in enumerate(asked, start=1)
    ]
    assert [float(row["slicer_mm"]) for row in rows] == [-30.0 + 4 * item.slice for item in asked]
    assert {(row["plane"], row["reason"], row["score"], row["state"], row["note"]) for row in rows} == {
        ("axial", "rank 1 of 9", "0.25", "waiting", "")
    }
    html = (tmp_path / "out/worklist.html").read_text(encoding="utf-8")
    for row in rows:
        assert (tmp_path / "out" / row["file"]).is_file()
        assert row["id"] in html
    pictures = [line.split('"')[1] for line in html.split("<img ")[1:]]
    assert len(pictures) == 3
    assert all((tmp_path / "out" / name).is_file() for name in pictures)
    record = handed(tmp_path / "out")
    assert record["classes"] == list(CLASSES)
    first = record["volumes"][0]
    assert (first["volume"], first["folder"], first["items"]) == ("b", "b", [{"id": "b/0001", "slice": 1}])
    file = (tmp_path / "out/b/annotation.nii.gz").read_bytes()
    assert first["annotation_sha256"] == hashlib.sha256(file).hexdigest()
    plane = np.ascontiguousarray(annotation(tmp_path / "out", "b")[..., 1])
    assert first["slices_sha256"] == {"b/0001": hashlib.sha256(plane.tobytes()).hexdigest()}


@pytest.mark.parametrize(("round", "title"), [(2, "round 2"), (TEST, "the test set")])
def test_the_work_list_says_of_what_it_is(pool, tmp_path, round, title):
    query = query_of(pool[0], round=round)
    hand_out(query, pool, work_of(pool, tmp_path), tmp_path / "out")
    html = (tmp_path / "out/worklist.html").read_text(encoding="utf-8")
    assert html.count(f"ork list of {title}<") + html.count(f", {title}</title>") == 2
    with pytest.raises(ValueError, match=f"answered 'a/none', which {title} did not ask for"):
        record_answer(RunFolder(tmp_path / "run"), query, Answer(("a/none",)), "me", work_of(pool, tmp_path).source)


def test_handing_out_again_changes_nothing_and_reads_nothing(pool, tmp_path, monkeypatch):
    work = work_of(pool, tmp_path)
    query = query_of(pool[1], pool[6], pool[3])
    hand_out(query, pool, work, tmp_path / "out")
    before = content(tmp_path / "out")
    monkeypatch.setattr(work, "image", None)
    monkeypatch.setattr(work, "prediction", None)
    hand_out(query, pool, work, tmp_path / "out")
    hand_out(replace(query, items=query.items[:1]), pool, work, tmp_path / "out")  # others were answered meanwhile
    assert content(tmp_path / "out") == before


def test_what_a_person_changed_survives_and_what_is_missing_is_made_again(pool, tmp_path):
    work, folder, query = work_of(pool, tmp_path), tmp_path / "out", query_of(pool[1], pool[6])
    hand_out(query, pool, work, folder)
    before = content(folder)
    painted = paint(folder, 1, 2)
    edit(folder, "b/0001", "Done ")
    (folder / "labels.txt").write_text("mine")
    listed = (folder / "worklist.csv").read_bytes()
    for gone in ("a/image.nii.gz", "b/annotation.nii.gz", "pictures/a/0001.png", "worklist.html", "labels.ctbl"):
        (folder / gone).unlink()
    hand_out(query, pool, work, folder)
    after = content(folder)
    assert set(after) == set(before)
    assert after["a/annotation.nii.gz"][1] == painted
    assert after["labels.txt"][1] == b"mine"
    assert after["worklist.csv"][1] == listed
    changed = {name for name in after if after[name][1] != before[name][1]}
    assert changed == {"a/annotation.nii.gz", "labels.txt", "worklist.csv", "worklist.html", "handed_out.json"}
    assert "done" in (folder / "worklist.html").read_text(encoding="utf-8")
    # a new item is added to the list, and the edited state stays
    hand_out(query_of(pool[1], pool[6], pool[8]), pool, work, folder)
    assert [(row["id"], row["state"]) for row in table(folder)] == [
        ("a/0001", "waiting"), ("b/0001", "done"), ("b/0003", "waiting"),
    ]  # fmt: skip


def test_slices_that_are_added_to_a_volume(pool, tmp_path):
    work, folder = work_of(pool, tmp_path), tmp_path / "out"
    hand_out(query_of(pool[1], pool[6]), pool, work, folder)
    painted = paint(folder, 1, 2)
    hand_out(query_of(pool[1], pool[6], pool[3], pool[8]), pool, work, folder)
    assert (folder / "a/annotation.nii.gz").read_bytes() == painted  # a person's
    np.testing.assert_array_equal(annotation(folder, "b")[..., 3], prediction(pool[5])[..., 3])  # untouched
    records = {one["volume"]: one for one in handed(folder)["volumes"]}
    empty = hashlib.sha256(bytes(63)).hexdigest()
    assert records["a"]["slices_sha256"]["a/0003"] == empty  # the file held nothing there
    for id, z in (("b/0001", 1), ("b/0003", 3)):
        plane = np.ascontiguousarray(annotation(folder, "b")[..., z]).tobytes()
        assert records["b"]["slices_sha256"][id] == hashlib.sha256(plane).hexdigest()
    file = (folder / "b/annotation.nii.gz").read_bytes()
    assert records["b"]["annotation_sha256"] == hashlib.sha256(file).hexdigest()


def test_a_lost_record_does_not_lose_what_a_person_painted(pool, tmp_path):
    work, folder, query = work_of(pool, tmp_path), tmp_path / "out", query_of(pool[1], pool[3])
    hand_out(query, pool, work, folder)
    before = handed(folder)
    painted = paint(folder, 1, 2)
    (folder / "handed_out.json").unlink()
    (folder / "worklist.csv").unlink()
    hand_out(query, pool, work, folder)
    assert (folder / "a/annotation.nii.gz").read_bytes() == painted
    assert handed(folder)["volumes"] == before["volumes"]
    assert [row["number"] for row in table(folder)] == ["1", "2"]


def test_a_later_round_holds_earlier_labels_on_their_slices(pool, tmp_path):
    labels = Labels([LabelReturn((Label("a/0000"), Label("b/0004", "weak"), Label("a/0001")))])
    work, folder = work_of(pool, tmp_path, labels), tmp_path / "out"
    hand_out(query_of(pool[3], pool[6]), pool, work, folder)
    a, b = annotation(folder, "a"), annotation(folder, "b")
    truth = np.full(SHAPE[:2], 2)
    truth[0] = 1
    for z in (0, 1):
        np.testing.assert_array_equal(a[..., z], truth)
    np.testing.assert_array_equal(a[..., 3], prediction(pool[0])[..., 3])
    assert not a[..., [2, 4]].any()
    truth[0] = 0  # what the label left open
    np.testing.assert_array_equal(b[..., 4], truth)
    assert not b[..., [0, 2, 3]].any()


def test_without_a_network_the_slices_are_empty(pool, tmp_path):
    hand_out(query_of(pool[1], round=0), pool, work_of(pool, tmp_path, predict=None), tmp_path / "out")
    assert not annotation(tmp_path / "out").any()


def test_a_whole_volume(tmp_path):
    item = Item("a", nifti(tmp_path / "a.nii.gz"), "a", "a")
    pool = Pool([item], CLASSES)
    hand_out(query_of(item), pool, work_of(pool, tmp_path), tmp_path / "out")
    np.testing.assert_array_equal(annotation(tmp_path / "out"), prediction(item))
    (row,) = table(tmp_path / "out")
    assert (row["plane"], row["itksnap"], row["slicer_mm"], row["slice"]) == ("axial", "", "", "")
    (record,) = handed(tmp_path / "out")["volumes"]
    assert record["items"] == [{"id": "a", "slice": None}]
    values = np.ascontiguousarray(prediction(item))
    assert record["slices_sha256"]["a"] == hashlib.sha256(values.tobytes()).hexdigest()


def test_volumes_with_names_for_no_folder(tmp_path):
    names = ["früh/1", "fruh_1", "FRUH_1", "..", "con"]
    items = [Item(name, nifti(tmp_path / f"{n}.nii.gz"), name, name) for n, name in enumerate(names)]
    pool = Pool(items, CLASSES)
    hand_out(query_of(*items), pool, work_of(pool, tmp_path), tmp_path / "out")
    folders = [one["folder"] for one in handed(tmp_path / "out")["volumes"]]
    assert folders == ["fruh_1", "fruh_1_2", "FRUH_1_3", "volume", "con_volume"]
    assert [row["file"] for row in table(tmp_path / "out")] == [f"{name}/annotation.nii.gz" for name in folders]
