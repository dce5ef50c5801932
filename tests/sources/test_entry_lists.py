# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Lists of images and labels that a bundle pairs by position, and entries that it lists twice."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from entry_forms import FORMS, paths_of_form
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_al.data import DataError
from monai_al.sources.entry_lists import entry_lists
from monai_al.sources.entry_settings import EntrySettings


def zipped(images, labels, **more):
    """As bundles pair two lists."""
    return [{"image": image, "label": label, **more} for image, label in zip(images, labels, strict=False)]


def files(numbers, *, missing=()):
    """Sorted images and labels."""
    images = [f"/d/images/image_{n:02}.nii.gz" for n in numbers]
    return images, [f"/d/labels/label_{n:02}.nii.gz" for n in numbers if n not in missing]


def names(entries):
    """The numbers of images and labels, None where there is no label."""
    return [tuple(None if key not in one else int(one[key][-9:-7]) for key in ("image", "label")) for one in entries]


# -- labels that are missing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@given(
    numbers=st.sets(st.integers(0, 19), min_size=2, max_size=12),
    data=st.data(),
)
@settings(deadline=None, max_examples=30)
def test_no_pair_is_wrong_and_no_image_is_lost(form, numbers, data):
    """Whichever labels are missing, wherever the bundle divides its lists, and however its config holds them."""
    truth = dict(paths_of_form(form, n) for n in numbers)
    images = sorted(truth)
    labels = sorted(data.draw(st.lists(st.sampled_from(sorted(truth.values())), min_size=1, unique=True)))
    cut = data.draw(st.integers(0, len(labels)))
    pairs = zipped(images, labels)
    others = data.draw(st.sampled_from([[images, labels], [labels, ["/d/models/model.pt"], images], images + labels]))
    found = entry_lists(pairs[:cut], pairs[cut:], others)
    for part, before in ((found.train, pairs[:cut]), (found.test, pairs[cut:])):
        labeled = {one["image"]: one["label"] for one in part if "label" in one}
        assert labeled.items() <= truth.items()
        assert set(labeled.values()) == {one["label"] for one in before}  # none changes its list
    assert all("label" in one for one in found.test)
    assert sorted(one["image"] for one in [*found.train, *found.test]) == images
    if all(truth[one["image"]] == one["label"] for one in pairs) and len(labels) == len(images):
        assert (found.train, found.test, found.notes) == (pairs[:cut], pairs[cut:], ())


def test_images_and_labels_are_paired_by_their_names():
    images, labels = files(range(10), missing=(0, 1, 2, 7))
    pairs = zipped(images, labels)
    found = entry_lists(pairs[:-2], pairs[-2:], [images, labels])
    assert names(found.train) == [(0, None), (1, None), (2, None), (3, 3), (4, 4), (5, 5), (6, 6), (7, None)]
    assert names(found.test) == [(8, 8), (9, 9)]
    assert found.notes == (
        "The bundle's lists pair images and labels by position, and 6 pairs were wrong (image_00 was paired with "
        "label_03). They are paired by their names now; labels are missing for 4 of 10 images, which may be annotated.",
    )


def test_without_the_lists_only_images_of_entries_are_known():
    images, labels = files(range(10), missing=(0, 1, 2))
    pairs = zipped(images, labels)
    found = entry_lists(pairs[:3], pairs[3:])
    assert names(found.train) == [(0, None), (1, None), (2, None), (3, 3), (4, 4), (5, 5)]
    assert names(found.test) == [(6, 6)]
    assert found.notes[1].startswith("3 labels are left out, such as label_07: no image of an entry has the name")


@pytest.mark.parametrize("folders", [False, True], ids=["a folder", "a folder each"])
@pytest.mark.parametrize("left_out", [False, True])
def test_without_the_lists_the_disk_tells_whether_an_image_was_left_out(tmp_path, folders, left_out):
    """Labels 1 to 6 of images 0 to 5 are numbered otherwise; where an image 6 lies there, label 0 is missing."""

    def image(n):
        path = tmp_path / "images" / (f"{n:02}/scan.nii" if folders else f"scan_{n:02}.nii")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return str(path)

    def label(n):
        return str(tmp_path / "labels" / (f"{n:02}/seg.nii" if folders else f"seg_{n:02}.nii"))

    pairs = zipped([image(n) for n in range(6)], [label(n) for n in range(1, 7)])
    if left_out:
        image(6)
    found = entry_lists(pairs[:4], pairs[4:])
    if left_out:
        assert [one.get("label") for one in found.train] == [None, *(label(n) for n in range(1, 5))]
        assert "were wrong" in found.notes[0]
    else:
        assert (found.train, found.test) == (pairs[:4], pairs[4:])
        assert "are numbered differently" in found.notes[0]


def test_a_list_that_is_named_otherwise_stays():
    """Its labels have no numbers that images have; those of one ``zip`` have, in whichever list they are."""
    images, labels = files(range(8), missing=(1,))
    pairs, others = (
        zipped(images, labels),
        zipped(["/d/test/anna.nii", "/d/test/bert.nii"], ["/d/gt/x.nii", "/d/gt/y.nii"]),
    )
    assert entry_lists(pairs, others).test == others
    found = entry_lists(pairs[:3], pairs[3:])
    assert names(found.train) == [(0, 0), (1, None), (2, 2), (3, 3)]
    assert names(found.test) == [(4, 4), (5, 5), (6, 6)]


def test_a_pair_that_may_be_wrong_is_told():
    images, labels = files(range(4), missing=(2,))
    pairs = zipped(images, labels)
    found = entry_lists(pairs[:1], pairs[1:])
    assert (found.train, found.test) == (pairs[:1], pairs[1:])
    (note,) = found.notes
    assert "No listed image has the name of 1 label (image_02 is paired with label_03): check" in note


def test_the_first_labels_of_many_images():
    """Nothing is paired wrongly, and ``zip`` drops all that is left to annotate."""
    images, labels = files(range(30), missing=range(4, 30))
    pairs = zipped(images, labels)
    found = entry_lists(pairs[:2], pairs[2:], [images, labels])
    assert names(found.train) == [(0, 0), (1, 1), *((n, None) for n in range(4, 30))]
    assert names(found.test) == [(2, 2), (3, 3)]
    (note,) = found.notes
    assert note.startswith("26 images without a label, such as image_04, which the bundle's lists leave out")


@pytest.mark.parametrize("shift", [0, 1])
def test_what_a_bundle_holds_out_stays_out(shift):
    """It lists images and their labels, and uses the first ones."""
    images, labels = files(range(12), missing=(1,) if shift else ())
    pairs = zipped(images[:9], labels)
    found = entry_lists(pairs[:6], pairs[6:], [images, labels])
    used = {number for number, _ in names([*found.train, *found.test])}
    assert used == ({*range(10)} if shift else {*range(9)})  # the label of one more image is in an entry
    assert entry_lists(pairs[:6], pairs[6:], [images])[:2] == found[:2] or shift


def test_numbers_that_begin_elsewhere_are_no_mistake():
    images, labels = files(range(6))[0], files(range(1, 7))[1]
    pairs = zipped(images, labels)
    found = entry_lists(pairs[:4], pairs[4:], [images, labels])
    assert (found.train, found.test) == (pairs[:4], pairs[4:])
    assert "numbered differently (image_00 is paired with label_01)" in found.notes[0]
    more = entry_lists(
        pairs[:4], pairs[4:], [[*images, "/d/images/image_06.nii.gz"], labels]
    )  # or the first is missing
    assert names(more.train) == [(0, None), (1, 1), (2, 2), (3, 3), (4, 4)]


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ([f"/d/i/scan_{n}.png" for n in range(4)], [f"/d/l/job-{n}.png" for n in (8841, 8907, 9000, 9120)]),
        (["/d/i/anna.png", "/d/i/bert.png"], ["/d/l/first.png", "/d/l/second.png"]),
        (["/d/i/a1.png", "/d/i/a01.png"], ["/d/l/x01.png", "/d/l/x1.png"]),
    ],
)
def test_names_that_tell_nothing_change_nothing(images, labels):
    pairs = zipped(images, labels)
    assert entry_lists(pairs, [], [images, labels]) == (pairs, [], ())


def test_images_in_several_files():
    """They are put together from their lists, with what all entries have in common."""
    first, second, labels = (
        [f"/d/case_{n:02}/case_{n:02}_{kind}.nii.gz" for n in numbers]
        for kind, numbers in (("t1", range(6)), ("t2", range(6)), ("seg", (0, 2, 3, 5)))
    )
    pairs = [
        {"image": [a, b], "label": [label], "modality": "MR", "fold": n}
        for n, (a, b, label) in enumerate(zip(first, second, labels, strict=False))
    ]
    found = entry_lists(pairs[:3], pairs[3:], [first, second, labels])
    assert {one["image"][0]: one.get("label") for one in [*found.train, *found.test]} == {
        path: [label] if (label := path.replace("t1", "seg")) in labels else None for path in first
    }
    assert all(one["image"][1] == one["image"][0].replace("t1", "t2") for one in found.train)
    made = next(one for one in [*found.train, *found.test] if one["image"][0] == first[5])
    assert made == {"image": [first[5], second[5]], "label": [labels[3]], "modality": "MR"}
    assert "1 label is left out" in entry_lists(pairs[:1], pairs[1:], [first, labels]).notes[1]


def test_right_pairs_of_several_files_stay():
    pairs = [
        {"image": [f"/d/im/case_{n:02}_{c:04}.nii.gz" for c in range(3)], "label": f"/d/la/case_{n:02}.nii.gz"}
        for n in range(4)
    ]
    assert entry_lists(pairs[:3], pairs[3:]) == (pairs[:3], pairs[3:], ())


def test_slices_of_one_image():
    """Each of the image's entries gets the label, and one that the lists lack cannot be made."""
    images, labels = files(range(4), missing=(1,))
    pairs = [{**pair, "slice": z} for pair in zipped(images, labels) for z in range(2)]
    found = entry_lists(pairs[:2], pairs[2:], [images, labels])
    assert names(found.train) == [(0, 0), (0, 0), (1, None), (1, None)]
    assert names(found.test) == [(2, 2), (2, 2)]
    assert [one["slice"] for one in [*found.train, *found.test]] == [0, 1] * 3
    assert found.notes[1].startswith("1 label ")


def test_several_labels_of_an_image_move_together():
    images, kinds = files(range(5))[0], ("inst", "type")
    lists = {kind: [f"/d/{kind}/map_{n:02}.npy" for n in (0, 2, 4)] for kind in kinds}
    pairs = [
        {"image": image, **{f"label_{kind}": one for kind, one in zip(kinds, both, strict=True)}}
        for image, *both in zip(images, *lists.values(), strict=False)
    ]
    found = entry_lists(pairs[:2], pairs[2:], [images, *lists.values()], EntrySettings(label_key="label_inst"))
    assert [len(one) for one in found.train] == [3, 1, 3, 1]
    assert found.test == [{"image": images[4], "label_inst": lists["inst"][2], "label_type": lists["type"][2]}]


def test_a_test_list_without_any_right_label_is_refused():
    images, labels = files(range(6), missing=(0, 1))
    pairs = zipped(images, labels)
    with pytest.raises(DataError, match=r"the validation list pairs .* \(image_00 is paired with label_02\)"):
        entry_lists(pairs[:2], pairs[2:])


# -- entries in both lists ---------------------------------------------------------------------------------------------


@given(
    patients=st.integers(2, 12),
    images=st.integers(1, 3),
    inside=st.sampled_from(["equal", "train in test", "test in train"]),
    unlabeled=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_lists_that_hold_the_same_are_divided_by_patient(patients, images, inside, unlabeled):
    entries = [
        {"image": f"/d/sub-{p:02}/scan_{n}.nii", "label": f"/d/sub-{p:02}/scan_{n}_seg.nii"}
        for p in range(patients)
        for n in range(images)
    ]
    if unlabeled:
        del entries[0]["label"]
    part = entries if inside == "equal" else entries[: len(entries) // 2 or 1]
    train, test = (part, entries) if inside == "train in test" else (entries, part)
    found = entry_lists(train, test)
    assert sorted(map(repr, [*found.train, *found.test])) == sorted(map(repr, entries))
    subjects = [{one["image"].split("/")[2] for one in part} for part in (found.train, found.test)]
    assert not subjects[0] & subjects[1]
    assert len(subjects[1]) == min(max(1, round((patients - unlabeled) / 5)), patients - 1)
    assert all("label" in one for one in found.test)
    assert f"{len(subjects[1])} of {patients} patients are drawn" in found.notes[0]
    turned = entry_lists(train[::-1], test[::-1])  # it depends on the names alone
    assert {one["image"] for one in turned.test} == {one["image"] for one in found.test}


def test_the_same_entries_of_one_patient():
    entries = [{"image": f"/d/scan_{n}.nii"} for n in range(3)]
    with pytest.raises(DataError, match=r"hold the same entries, all of one patient \(scan\), so that none is left"):
        entry_lists(entries, entries, settings=EntrySettings(patient="(scan)"))
    assert len(entry_lists(entries, entries, settings=EntrySettings(patient=r"scan_(\d)")).test) == 1


def test_a_partial_overlap_is_refused():
    entries = zipped(*files(range(5)))
    with pytest.raises(DataError, match=r"image_03.nii.gz is in the training list and in the validation list"):
        entry_lists(entries[:4], entries[3:])
    found = entry_lists(entries[:3], entries[3:])
    assert (found.train, found.test, found.notes) == (entries[:3], entries[3:], ())


def test_lists_that_are_equal_and_paired_wrongly():
    images, labels = files(range(12), missing=(4,))
    pairs = zipped(images, labels)
    found = entry_lists(pairs, pairs, [images, labels])
    assert Counter(names([*found.train, *found.test])) == Counter((n, None if n == 4 else n) for n in range(12))
    assert len(found.test) == 2
    assert (4, None) in names(found.train)
    assert len(found.notes) == 2


def test_arrays_in_both_lists():
    rng = np.random.default_rng(0)
    made = [{"image": rng.random((4, 4)), "label": np.eye(4)} for _ in range(10)]
    again = [{key: value.copy() for key, value in one.items()} for one in made]
    found = entry_lists(made, again)
    assert (len(found.train), len(found.test)) == (8, 2)
    assert entry_lists(made[:6], again[6:])[:2] == (made[:6], again[6:])
    with pytest.raises(DataError, match="the array of entry 5 is in the training list and in the validation list"):
        entry_lists(made[:6], again[5:])
    blank = [{"image": np.zeros((4, 4)), "label": np.zeros((4, 4))}]  # such as slices beyond the body
    assert len(entry_lists(made[:6] + blank, again[6:] + blank).test) == 5


def test_entries_that_are_none():
    with pytest.raises(DataError, match="entry 1 of the validation list is a str, not a dictionary"):
        entry_lists([{"image": "/d/a.nii"}], [{"image": "/d/b.nii"}, "/d/c.nii"])
    assert entry_lists([], []) == ([], [], ())
