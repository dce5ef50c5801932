# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import signal
import threading
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import get_track_meta, set_track_meta
from monai.transforms import (
    CenterSpatialCropd,
    Compose,
    CropForegroundd,
    DeleteItemsd,
    EnsureTyped,
    Flipd,
    Lambdad,
    NormalizeIntensityd,
    OneOf,
    RandFlipd,
    Resized,
    ResizeWithPadOrCropd,
    ScaleIntensityd,
    ScaleIntensityRanged,
    ScaleIntensityRangePercentilesd,
    SpatialCropd,
    SpatialPadd,
)

import monai_al.data.volume_cache as module
from monai_al.data import DataError, Item, VolumeCache, slices_of
from monai_al.records.files import TEMPORARY

KEYS = ["image", "label"]
VALUES = {0: 0, 1: 1, 7: 2}
SHAPE = (6, 5, 4)


def write(path, array, affine=None):
    nib.save(nib.Nifti1Image(array, np.diag([1.5, 1.5, 5.0, 1.0]) if affine is None else affine), path)
    return str(path)


def make(folder, name, seed=0, shape=SHAPE):
    """One volume with its label on disk, as slice items."""
    random = np.random.default_rng(seed)
    image = write(folder / f"{name}.nii", random.normal(100, 20, shape).astype(np.float32))
    label = write(folder / f"{name}_label.nii", random.choice(list(VALUES), shape).astype(np.uint8))
    return slices_of(shape[2], image=image, volume=name, patient=name, label=label)


def cache_of(tmp_path, transform=None, label_values=VALUES):
    return VolumeCache(tmp_path / "cache", transform, label_values, progress=False)


@pytest.fixture
def reads(monkeypatch):
    """Counts the volumes that are read from their files."""
    calls = []
    real = module.read_volume

    def counted(*args, **kwargs):
        calls.append(args)
        return real(*args, **kwargs)

    monkeypatch.setattr(module, "read_volume", counted)
    return calls


def entries(tmp_path):
    return sorted(p.relative_to(tmp_path / "cache").as_posix() for p in (tmp_path / "cache").glob("*/*"))


def pad_to_eight(keys=KEYS):
    return SpatialPadd(keys, (8, 8, -1), allow_missing_keys=True)


def double(x):
    return x * 2


def test_arrays_are_the_files_content_slice_by_slice(tmp_path):
    items = make(tmp_path, "a")
    volume = cache_of(tmp_path).get(items[0])
    image = nib.load(items[0].image).get_fdata(dtype=np.float32)
    stored = nib.load(items[0].label).get_fdata().astype(int)
    assert (volume.image.shape, volume.image.dtype) == ((4, 1, 6, 5), np.float32)
    assert (volume.label.shape, volume.label.dtype) == ((4, 6, 5), np.uint8)
    assert (volume.valid.shape, volume.valid.dtype) == ((1, 6, 5), bool)
    assert volume.valid.all()
    for z in range(4):
        np.testing.assert_array_equal(volume.image[z, 0], image[:, :, z])
        classes = np.vectorize(VALUES.get)(stored[:, :, z])
        np.testing.assert_array_equal(volume.label[z], classes)
        np.testing.assert_array_equal(volume.truth[z], classes)
    assert volume.geometry.stored_shape == volume.geometry.shape == SHAPE
    assert volume.geometry.spacing == (1.5, 1.5, 5.0)


def test_a_label_in_class_numbers_has_an_entry_of_its_own(tmp_path):
    (item, *_) = make(tmp_path, "a")
    cache = cache_of(tmp_path)
    values = np.array([0, 2, 1, 255], np.uint8)[np.random.default_rng(3).integers(0, 4, SHAPE)]
    returned = replace(item, label=write(tmp_path / "returned.nii", values), coding="class numbers")
    found = cache.get(returned)
    np.testing.assert_array_equal(found.truth, values.transpose(2, 0, 1))
    assert cache.get(item).image is not None
    assert len(list((tmp_path / "cache/images").iterdir())) == 1  # the image is not read again
    with pytest.raises(DataError, match="unexpected label values"):
        cache.get(replace(returned, coding="stored codes"))


def test_a_preprocessing_that_looks_at_the_label_is_refused_when_the_label_changes(tmp_path):
    (item, *_) = make(tmp_path, "a")

    def crop():  # a new one each time, because a use leaves its mark
        return CropForegroundd(KEYS, source_key="label", allow_missing_keys=True)

    first = np.zeros(SHAPE, np.uint8)
    first[1:4, 1:4] = 7
    write(item.label, first)
    assert cache_of(tmp_path, crop()).get(item).label.shape == (4, 3, 3)
    first[5, 4] = 7
    write(item.label, first)
    with pytest.raises(DataError, match="looks at the label"):
        cache_of(tmp_path, crop()).get(item)


def test_second_use_reads_nothing(tmp_path, reads):
    items = make(tmp_path, "a") + make(tmp_path, "b", seed=1)
    cache = cache_of(tmp_path, pad_to_eight())
    cache.prepare(items)
    assert len(reads) == 2
    for item in items:
        assert cache.get(item) is cache.get(items[items.index(item) // 4 * 4])
    cache.prepare(items)
    again = cache_of(tmp_path, pad_to_eight())
    again.prepare(items)
    assert len(reads) == 2
    for field in ("image", "label", "truth", "valid"):
        np.testing.assert_array_equal(getattr(again.get(items[5]), field), getattr(cache.get(items[5]), field))
    assert again.get(items[0]).hashes == cache.get(items[0]).hashes


def test_changed_files_transforms_and_label_values_are_read_again(tmp_path, reads):
    items = make(tmp_path, "a")
    first = cache_of(tmp_path).get(items[0])
    changes = [
        lambda: cache_of(tmp_path, pad_to_eight()),
        lambda: cache_of(tmp_path, SpatialPadd(KEYS, (9, 8, -1))),
        lambda: cache_of(tmp_path, label_values={0: 0, 1: 1, 7: 255}),
    ]
    for count, change in enumerate(changes, start=2):
        change().get(items[0])
        assert len(reads) == count
        change().get(items[0])
        assert len(reads) == count
    assert (cache_of(tmp_path, label_values={0: 0, 1: 1, 7: 255}).get(items[0]).label == 255).sum() == (
        first.label == 2
    ).sum()

    image = nib.load(items[0].image).get_fdata(dtype=np.float32)
    write(items[0].image, image + 1)
    os.utime(items[0].image, ns=(5, 5))
    changed = cache_of(tmp_path).get(items[0])
    assert len(reads) == 5
    np.testing.assert_array_equal(changed.image, first.image + 1)
    assert changed.hashes[0] != first.hashes[0]
    assert changed.hashes[1] == first.hashes[1]

    write(items[0].label, np.zeros(SHAPE, np.uint8))
    os.utime(items[0].label, ns=(5, 5))
    changed = cache_of(tmp_path).get(items[0])
    assert len(reads) == 6
    assert changed.label.max() == changed.truth.max() == 0


def test_what_the_preprocessing_cuts_off_the_labels_is_told(tmp_path, caplog):
    items = []
    for name, rows in (("a", slice(2, 6)), ("b", slice(4, 6))):
        label = np.zeros((10, 8, 3), np.uint8)
        label[rows, :, 1] = 1
        image = write(tmp_path / f"{name}.nii", np.random.default_rng(0).normal(size=label.shape).astype(np.float32))
        stored = write(tmp_path / f"{name}_label.nii", label)
        items += slices_of(3, image=image, volume=name, patient=name, label=stored)
    cropped = ResizeWithPadOrCropd(["image", "label"], (4, 8, -1), allow_missing_keys=True)
    cache_of(tmp_path, cropped, {0: 0, 1: 1}).prepare(items)
    # rows 3 to 6 are kept: one of the six rows is lost, of a
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told.startswith("17 % of the labeled foreground lies outside the 4 x 8 pixels that are looked at, in 1 of 2")
    assert f"most in {items[0].image} (25 %)" in told
    caplog.clear()
    cache_of(tmp_path, None, {0: 0, 1: 1}).prepare(items)
    cache_of(tmp_path, cropped, {0: 0, 1: 1}).prepare([replace(item, label=None) for item in items])
    assert not caplog.records


@pytest.mark.parametrize(("inside", "share"), [(0, "100 %"), (7, "12 %"), (199, "0.5 %"), (19999, "less than 0.01 %")])
def test_shares_are_told_in_plain_numbers(tmp_path, caplog, inside, share):
    label = np.zeros((101, 202, 1), np.uint8)
    label[1:].flat[:inside] = 1
    label[0, 0, 0] = 1
    image = write(tmp_path / "a.nii", np.random.default_rng(0).normal(size=label.shape).astype(np.float32))
    items = slices_of(1, image=image, volume="a", patient="a", label=write(tmp_path / "a_label.nii", label))
    below = SpatialCropd(["image", "label"], roi_start=(1, 0, 0), roi_end=(101, 202, 1), allow_missing_keys=True)
    cache_of(tmp_path, below, {0: 0, 1: 1}).prepare(items)
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told.startswith(f"{share} of the labeled foreground lies outside the 100 x 202 pixels")


def test_an_image_is_kept_once_for_several_labels(tmp_path, reads):
    items = make(tmp_path, "a")
    other = replace(items[0], label=write(tmp_path / "other.nii", np.ones(SHAPE, np.uint8)))
    unlabeled = replace(items[0], label=None)
    cache = cache_of(tmp_path, pad_to_eight())
    for item in (items[0], other, unlabeled):
        cache.get(item)
    assert len(reads) == 2
    assert [entry.split("/")[0] for entry in entries(tmp_path)] == ["images", "labels", "labels"]
    assert cache.get(other).truth.min() == 1
    assert cache.get(unlabeled).label is cache.get(unlabeled).truth is cache.get(unlabeled).hashes[1] is None


def test_unlabeled_first_labeled_later(tmp_path, reads):
    items = make(tmp_path, "a")
    cache = cache_of(tmp_path, pad_to_eight())
    image = cache.get(replace(items[0], label=None)).image
    volume = cache.get(items[0])
    assert len(reads) == 2
    np.testing.assert_array_equal(volume.image, image)
    assert volume.label.shape == (4, 8, 8)


def test_a_label_that_was_tolerated_is_compared_where_it_is_not(tmp_path):
    [item, *_] = make(tmp_path, "a")
    moved = np.diag([1.5, 1.5, 5.0, 1.0])
    moved[0, 3] = 1.5
    write(tmp_path / "a_label.nii", np.zeros(SHAPE, np.uint8), moved)
    with pytest.warns(UserWarning, match="the image's geometry is used for both"):
        VolumeCache(tmp_path / "cache", None, VALUES, progress=False, affine_tolerated=True).get(item)
    with pytest.raises(DataError, match="have one shape but affines that differ"):
        cache_of(tmp_path).get(item)


@pytest.mark.parametrize("size", [(8, 8, -1), (8, 3, -1), (4, 9, -1)])
def test_padding_is_not_valid_and_not_annotated(tmp_path, size):
    items = make(tmp_path, "a")
    volume = cache_of(tmp_path, ResizeWithPadOrCropd(KEYS, size)).get(items[0])
    h, w = size[:2]
    stored_label = volume.truth
    inside = np.zeros((h, w), bool)
    for y in range(h):
        for x in range(w):
            # MONAI puts the odd pixel of a padding behind and cuts around the middle
            sy = y - (h - 6) // 2 if h > 6 else y + 3 - h // 2
            sx = x - (w - 5) // 2 if w > 5 else x + 2 - w // 2
            inside[y, x] = 0 <= sy < 6 and 0 <= sx < 5
            for z in range(4):
                expected = stored_label[z, sy, sx] if inside[y, x] else 255
                assert volume.label[z, y, x] == expected
    np.testing.assert_array_equal(volume.valid, inside[None])


def test_padding_of_the_slice_axis(tmp_path):
    item = Item("a", make(tmp_path, "a")[0].image, "a", "a", str(tmp_path / "a_label.nii"))
    volume = cache_of(tmp_path, SpatialPadd(KEYS, (-1, -1, 6))).get(item)
    assert volume.valid.shape == (6, 6, 5)
    assert volume.valid.any(axis=(1, 2)).tolist() == [False, True, True, True, True, False]
    assert (volume.label[[0, 5]] == 255).all()
    np.testing.assert_array_equal(volume.label[1:5], volume.truth)


@pytest.mark.parametrize(
    "change", [Flipd(KEYS, 2), CenterSpatialCropd(KEYS, (-1, -1, 2)), Resized(KEYS, (6, 5, 8), mode="nearest")]
)
def test_slices_must_stay_slices(tmp_path, change):
    items = make(tmp_path, "a")
    cache = cache_of(tmp_path, change)
    whole = replace(items[0], id="a", slice=None)
    assert cache.get(whole).geometry.stored_shape == SHAPE
    with pytest.raises(DataError, match=r"a\.nii: the preprocessing changes the slice axis"):
        cache.get(items[0])


def test_all_bad_volumes_are_listed_at_once(tmp_path):
    good, nan, fraction, shape, none = (make(tmp_path, n) for n in ("good", "nan", "fraction", "shape", "none"))
    write(nan[0].image, np.full(SHAPE, np.nan, np.float32))
    write(fraction[0].label, np.full(SHAPE, 0.5, np.float32))
    write(shape[0].label, np.zeros((6, 5, 3), np.uint8))
    os.unlink(none[0].image)
    items = good + nan + fraction + shape + none
    with pytest.raises(DataError, match="4 of 5 volumes cannot be used") as error:
        cache_of(tmp_path).prepare(items)
    for name in ("nan.nii", "fraction_label.nii", "shape_label.nii", "none.nii"):
        assert str(error.value).count(str(tmp_path / name)) >= 1
    assert "good" not in str(error.value)
    assert len(str(error.value).splitlines()) == 5


def test_a_long_list_of_bad_volumes_is_cut(tmp_path):
    items = [Item(f"{i}", str(tmp_path / f"{i:02d}.nii"), f"{i}", f"{i}") for i in range(25)]
    with pytest.raises(DataError, match="25 of 25") as error:
        cache_of(tmp_path).prepare(items)
    assert len(str(error.value).splitlines()) == 22
    assert str(error.value).endswith("... and 5 more")


@pytest.mark.parametrize(
    "transform",
    [
        RandFlipd("image"),
        Compose([RandFlipd("image")]),
        Compose([Compose([ScaleIntensityd("image"), RandFlipd("image")])]),
        Compose([Compose([RandFlipd("image")], map_items=False)]),
        OneOf([Flipd("image", 0), Flipd("image", 1)]),
        Compose([OneOf([Flipd("image", 0), Flipd("image", 1)])]),
    ],
)
def test_random_transforms_are_refused(tmp_path, transform):
    with pytest.raises(ValueError, match="is random"):
        cache_of(tmp_path, transform)
    assert not (tmp_path / "cache").exists()


def test_a_transform_that_cannot_be_told_apart_is_refused(tmp_path):
    with pytest.raises(TypeError, match="has no name of its own"):
        cache_of(tmp_path, Lambdad("image", lambda x: x))


@pytest.mark.parametrize(
    "scaler",
    [
        ScaleIntensityd("image"),
        NormalizeIntensityd("image"),
        NormalizeIntensityd("image", nonzero=True, channel_wise=True),
        ScaleIntensityRangePercentilesd("image", 1, 99, 0, 1),
        ScaleIntensityRanged("image", 42, 43, 0, 1, clip=True),
    ],
)
def test_a_constant_image_becomes_zeros(tmp_path, scaler):
    image = write(tmp_path / "flat.nii", np.full(SHAPE, 42, np.float32))
    volume = cache_of(tmp_path, scaler).get(Item("flat", image, "flat", "flat"))
    assert (volume.image == 0).all()


def test_transforms_are_applied_and_their_errors_name_the_file(tmp_path):
    items = make(tmp_path, "a")
    plain = cache_of(tmp_path).get(items[0]).image
    doubled = cache_of(tmp_path, Lambdad("image", double)).get(items[0]).image
    np.testing.assert_array_equal(doubled, plain * 2)
    for transform, message in [
        (Resized(KEYS, (6, 5)), r"a\.nii: the preprocessing failed"),
        (Lambdad("image", torch.Tensor.log), r"a\.nii: the preprocessing made voxels that are NaN or infinite"),
        (EnsureTyped("image", track_meta=False), r"a\.nii: the preprocessing must return a MetaTensor"),
        (SpatialPadd("image", (8, 8, -1)), r"a_label\.nii: .* lies where the image lies"),
        (Flipd("image", 0), r"a_label\.nii: .* lies where the image lies"),
        (DeleteItemsd("label"), r"a_label\.nii: .* lies where the image lies"),
        (Resized(KEYS, (9, 9, -1), mode="trilinear"), r"a_label\.nii: the preprocessing interpolates the label"),
    ]:
        if "NaN" in message:
            write(items[0].image, np.full(SHAPE, -1, np.float32))
        with pytest.raises(DataError, match=message):
            cache_of(tmp_path, transform).get(items[0])
    assert not [entry for entry in entries(tmp_path) if TEMPORARY in entry]


def test_the_global_setting_of_meta_data_does_not_matter(tmp_path):
    items = make(tmp_path, "a")
    before = get_track_meta()
    try:
        set_track_meta(False)
        assert cache_of(tmp_path, SpatialPadd(KEYS, (8, 8, -1))).get(items[0]).image.shape == (4, 1, 8, 8)
        assert get_track_meta() is False
    finally:
        set_track_meta(before)


def test_missing_label_values_are_asked_for(tmp_path):
    with pytest.raises(DataError, match="give label_values"):
        cache_of(tmp_path, label_values=None).get(make(tmp_path, "a")[0])


def test_crop_by_content_keeps_the_way_back(tmp_path):
    image = np.zeros(SHAPE, np.float32)
    image[2:5, 1:4] = 9
    path, label = write(tmp_path / "a.nii", image), write(tmp_path / "l.nii", (image > 0).astype(np.uint8))
    volume = cache_of(tmp_path, CropForegroundd(KEYS, source_key="image", allow_smaller=True)).get(
        Item("a/0000", path, "a", "a", label, 0)
    )
    assert volume.image.shape == (4, 1, 3, 3)
    back = volume.geometry.to_stored(torch.from_numpy(volume.image)).numpy()
    np.testing.assert_array_equal(back[:, 0].transpose(1, 2, 0), image)


def _build_together(read, waiting):
    """``read_volume`` that returns only once all have read."""

    def together(*args, **kwargs):
        volume = read(*args, **kwargs)
        waiting.wait(30)
        return volume

    return together


def test_two_threads_build_one_entry(tmp_path, monkeypatch):
    items = make(tmp_path, "a")
    monkeypatch.setattr(module, "read_volume", _build_together(module.read_volume, threading.Barrier(2)))
    caches = [cache_of(tmp_path), cache_of(tmp_path)]
    threads = [threading.Thread(target=cache.get, args=(items[0],)) for cache in caches]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    volumes = [cache.get(items[0]) for cache in caches]
    for field in ("image", "label", "truth"):
        np.testing.assert_array_equal(getattr(volumes[0], field), getattr(volumes[1], field))
    assert [entry.split("/")[0] for entry in entries(tmp_path)] == ["images", "labels"]
    assert not [entry for entry in entries(tmp_path) if TEMPORARY in entry]


def _get(cache, item):
    assert cache.get(item).image.shape == (4, 1, 6, 5)


def test_two_processes_build_one_entry(tmp_path, monkeypatch):
    items = make(tmp_path, "a")
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(module, "read_volume", _build_together(module.read_volume, fork.Barrier(2)))
    processes = [fork.Process(target=_get, args=(cache_of(tmp_path), items[0])) for _ in range(2)]
    [process.start() for process in processes]
    [process.join(30) for process in processes]
    assert [process.exitcode for process in processes] == [0, 0]
    assert [entry.split("/")[0] for entry in entries(tmp_path)] == ["images", "labels"]


@pytest.mark.parametrize("call", [1, 2])
def test_a_killed_build_leaves_nothing_that_is_used(tmp_path, monkeypatch, reads, call):
    """Killed while it writes the image's entry, or the label's."""
    items = make(tmp_path, "a")
    calls = []

    def killed(*args):
        calls.append(args)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args)

    with monkeypatch.context() as patch:
        real = module.write_json
        patch.setattr(module, "write_json", killed)
        process = multiprocessing.get_context("fork").Process(target=_get, args=(cache_of(tmp_path), items[0]))
        process.start()
        process.join(30)
    assert process.exitcode == -signal.SIGKILL
    complete = [entry for entry in entries(tmp_path) if TEMPORARY not in entry]
    assert [entry.split("/")[0] for entry in complete] == ["images"][: call - 1]
    volume = cache_of(tmp_path).get(items[0])
    assert len(reads) == 1
    image = nib.load(items[0].image).get_fdata(dtype=np.float32)
    np.testing.assert_array_equal(volume.image[:, 0], image.transpose(2, 0, 1))


def test_writing_into_an_array_does_not_change_the_cache(tmp_path):
    items = make(tmp_path, "a")
    volume = cache_of(tmp_path).get(items[0])
    before = volume.image.copy()
    volume.image[:] = 0
    volume.label[:] = 9
    again = cache_of(tmp_path).get(items[0])
    np.testing.assert_array_equal(again.image, before)
    assert again.label.max() <= 2


def test_a_deleted_cache_is_built_again(tmp_path, reads):
    items = make(tmp_path, "a")
    cache_of(tmp_path).get(items[0])
    shutil.rmtree(tmp_path / "cache")
    cache_of(tmp_path).get(items[0])
    assert len(reads) == 2


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
@pytest.mark.parametrize("name", ["image.npy", "valid.npy", "geometry.json", "label.npy", "truth.npy", "label.json"])
@pytest.mark.parametrize(
    "damage", [lambda content: content[:-1], lambda content: b"", None], ids=["cut", "empty", "gone"]
)
def test_a_damaged_entry_is_made_again(tmp_path, caplog, name, damage):
    item = make(tmp_path, "a")[0]
    before = cache_of(tmp_path).get(item)
    (file,) = (tmp_path / "cache").rglob(name)
    content = damage and damage(file.read_bytes().rstrip())
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    after = cache_of(tmp_path).get(item)
    assert "a.nii is damaged in the cache, and is made again" in caplog.text
    assert np.array_equal(after.image, before.image)
    assert np.array_equal(after.label, before.label)
    assert after.hashes == before.hashes


def test_open_volumes_hold_no_files_open(tmp_path):
    """A pool of thousands of 2D images is more than a process may open."""
    items = [make(tmp_path, f"v{i}", seed=i)[0] for i in range(10)]
    cache = cache_of(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    cache.prepare(items)
    assert len(os.listdir("/proc/self/fd")) == before
    assert cache.get(items[9]).image.shape == (4, 1, 6, 5)


def test_another_process_gets_the_cache_without_its_volumes(tmp_path, reads):
    items = make(tmp_path, "a", shape=(64, 64, 8))
    cache = cache_of(tmp_path)
    volume = cache.get(items[0])
    sent = pickle.dumps(cache)
    assert len(sent) < volume.image.nbytes / 10
    received = pickle.loads(sent)
    np.testing.assert_array_equal(received.get(items[0]).image, volume.image)
    assert len(reads) == 1
    assert cache.get(items[0]) is volume


def test_few_volumes_are_open_at_once_and_all_stay_known(tmp_path, monkeypatch, reads):
    monkeypatch.setattr(module, "_MOST_OPEN", 2)
    volumes = [make(tmp_path, name, seed) for seed, name in enumerate("abc")]
    cache = cache_of(tmp_path)
    cache.prepare([item for items in volumes for item in items])
    assert len(cache._open) == 2
    view = cache.get(volumes[0][0]).image[1]
    kept = view.copy()
    for items in (*volumes[1:], volumes[0]):
        assert cache.get(items[0]).hashes == cache.hashes(items[0])
    assert np.array_equal(view, kept)  # what somebody still holds stays
    count = len(reads)
    make(tmp_path, "b", seed=9)
    cache.get(volumes[2][0])
    with pytest.raises(DataError, match="b.nii or its label has changed since this command began"):
        cache.get(volumes[1][0])
    assert len(reads) > count
