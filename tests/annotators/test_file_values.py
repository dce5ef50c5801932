# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the values of files mean, and that nothing of a label is lost on the way there and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_al.annotators.file_values import FileValues
from monai_al.annotators.label_names import editor_names
from monai_al.records import DataError


@given(n_classes=st.integers(2, 254), seed=st.integers(0, 2**31))
def test_strokes_there_and_back(n_classes, seed):
    """Pixel by pixel: 255 and 0 change with 0 and the value above the last class, classes stay."""
    values = FileValues([f"c{n}" for n in range(n_classes)], scribbles=True)
    meaning = {0: 255, n_classes: 0, 255: 255} | {n: n for n in range(1, n_classes)}
    stored = np.random.default_rng(seed).choice(list(meaning), 40).astype(np.uint8)
    classes = values.to_classes(stored)
    assert classes.tolist() == [meaning[int(value)] for value in stored]
    assert classes.dtype == values.to_values(classes).dtype == np.uint8
    assert values.to_values(classes).tolist() == [0 if value == 255 else int(value) for value in stored]
    assert values.to_classes(values.to_values(classes)).tolist() == classes.tolist()


def test_masks_are_class_numbers():
    values, plane = FileValues(["background", "organ"]), np.array([0, 1, 255], np.uint8)
    assert values.names == ["background", "organ"]
    assert values.to_classes(plane) is values.to_values(plane) is plane
    assert (values.task, values.begun_with, len(values.colors)) == ("", 0, 2)


@pytest.mark.parametrize(
    "classes",
    [
        ["background", "organ"],
        ["background", "Background_Stroke", "not  annotated"],
        ["background", "background stroke 2"],
    ],
)
def test_every_name_means_its_value_alone(classes):
    values = FileValues(classes, scribbles=True)
    names = values.names
    assert len(names) == len(classes) + 1
    assert [values.value_of(name) for name in names] == list(range(len(names)))
    assert values.value_of("Background") == len(classes)  # no segment says what is not annotated
    assert editor_names(names) == values.shown_names
    for name in values.shown_names[1:]:
        assert name in values.task


def test_the_background_stroke_has_a_colour_of_its_own():
    """Far from those of all classes, the black of nothing and the red of errors."""
    *others, own = np.array(FileValues([str(n) for n in range(12)], scribbles=True).colors).astype(int)
    assert min(np.abs(own - other).max() for other in others) > 60
    assert own[0] < min(own[1:])


def test_no_value_is_left():
    classes = ["c"] * 255
    FileValues(classes)
    with pytest.raises(DataError, match="255 classes leave no value for strokes of the background"):
        FileValues(classes, scribbles=True)
