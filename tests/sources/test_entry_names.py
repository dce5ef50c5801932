# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which image a label is of, by the names that data sets give them."""

from __future__ import annotations

import itertools
import re

import pytest
from entry_forms import FORMS, paths_of_form
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from monai_al.sources.entry_names import fitting_images, name_tokens


@pytest.mark.parametrize("form", FORMS)
@given(
    images=st.sets(st.integers(0, 19), min_size=2, max_size=12),
    labels=st.sets(st.integers(0, 19), min_size=1, max_size=12),
)
@settings(deadline=None, max_examples=40)
def test_a_label_fits_its_image_alone(form, images, labels):
    """However few labels there are, and whichever they are; one whose image is not there fits none."""
    assume(images & labels)
    found = fitting_images([paths_of_form(form, n)[0] for n in images], [paths_of_form(form, n)[1] for n in labels])
    for number in labels & images:
        assert found[paths_of_form(form, number)[1]] == {paths_of_form(form, number)[0]}
    for number in labels - images:
        assert not found[paths_of_form(form, number)[1]]


def slow_reference(images, labels):
    """As it may be said in one sentence, of names in which a number or a word after the first tells the item."""

    def key(path):
        number, word = re.fullmatch(r"/d/\w+/[a-z]+(\d+)_([a-z]+)\.png", path).groups()
        return int(number), word

    return {label: {image for image in images if key(image) == key(label)} for label in labels}


@given(
    st.sets(st.tuples(st.integers(0, 9), st.sampled_from(["ab", "cd", "ef"])), min_size=3, max_size=12),
    st.data(),
)
@settings(deadline=None, max_examples=60)
def test_numbers_and_words_tell_together(items, data):
    items = sorted(items)
    assume(len({number for number, _ in items}) > 1)
    assume(len({word for _, word in items}) > 1)
    labeled = data.draw(st.lists(st.sampled_from(items), min_size=1, unique=True))
    width = data.draw(st.integers(1, 4))
    images = [f"/d/images/img{number}_{word}.png" for number, word in items]
    labels = [f"/d/masks/lbl{number:0{width}}_{word}.png" for number, word in labeled]
    assert fitting_images(images, labels) == slow_reference(images, labels)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (["/d/i/scan_1.png", "/d/i/scan_2.png", "/d/i/scan_3.png"], ["/d/l/job-8841.png", "/d/l/job-8907.png"]),
        (["/d/i/7f3a.png", "/d/i/19bc.png"], ["/d/l/e11d.png", "/d/l/70aa.png"]),
        (["/d/i/anna.png", "/d/i/bert.png"], ["/d/l/first.png", "/d/l/second.png"]),
        # of the frames of a patient and of another patient, where the one number is shared by chance
        (["/d/p1_f1.png", "/d/p1_f2.png"], ["/d/p2_f1_gt.png", "/d/p3_f1_gt.png"]),
    ],
)
def test_unrelated_names_tell_nothing(images, labels):
    assert set(fitting_images(images, labels).values()) == {frozenset()}


def test_names_that_are_the_same_but_for_zeros_leave_a_choice():
    images = [f"/d/i/{name}.png" for name in ("a1", "a01", "a2")]
    found = fitting_images(images, ["/d/l/x_a1.png", "/d/l/x_a2.png"])
    assert found == {"/d/l/x_a1.png": set(images[:2]), "/d/l/x_a2.png": {images[2]}}


def test_an_image_that_is_named_like_the_label_of_another():
    """Two labels would be of one image then, so that each may be of either."""
    found = fitting_images(["/d/a.png", "/d/a_seg.png"], ["/d/l/a_seg.png", "/d/l/a_seg_seg.png"])
    assert found["/d/l/a_seg.png"] == {"/d/a.png", "/d/a_seg.png"}


def test_no_images_or_no_labels():
    assert fitting_images([], ["/d/a.png"]) == {"/d/a.png": frozenset()}
    assert fitting_images(["/d/a.png"], []) == {}


def test_tokens():
    found = {
        name: name_tokens(name) for name in ("ISIC_0000012.jpg", "GroundTruth/p7.v2.nii.gz", "sub-1/ses-2/sub-1_x")
    }
    assert list(itertools.chain(*found.values())) == [
        *("isic", 12),
        *("ground", "truth", "p", 7, "v", 2),
        *("ses", 2, "sub", 1, "x"),
    ]
