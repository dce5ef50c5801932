# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import ast
import re

import pytest

from monai_al.records.errors import DataError
from monai_al.records.label_values import classes_of, label_values_found


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([{0}], {0: 0}),
        ([{0, 1}], {0: 0, 1: 1}),
        ([{0, 7}, {2}], {0: 0, 2: 1, 7: 2}),
        ([{0, 255}, {0}], {0: 0, 255: 1}),
        ([{255}], {0: 0, 255: 1}),
        ([{0, 1, 255}, {0, 1}], {0: 0, 1: 1, 255: 255}),
        ([{1, 2, 255}, {0, 3}], {0: 0, 1: 1, 2: 2, 3: 3, 255: 255}),
        ([{0, 85, 170}], {0: 0, 85: 1, 170: 2}),
    ],
)
def test_what_is_clear(found, expected):
    assert label_values_found({f"{k}.png": values for k, values in enumerate(found)}) == expected


@pytest.mark.parametrize(
    ("found", "name", "as_class"),
    [
        ([{0, 85, 170, 255}], "0.png", {0: 0, 85: 1, 170: 2, 255: 3}),
        ([{0, 85}, {170, 255}], "1.png", {0: 0, 85: 1, 170: 2, 255: 3}),
        ([{0, 128, 255}], "0.png", {0: 0, 128: 1, 255: 2}),
        ([{0, 1, 3, 255}], "0.png", {0: 0, 1: 1, 3: 2, 255: 3}),
        ([{0, 1}, {0, 255}], "1.png", {0: 0, 1: 1, 255: 1}),  # two codings of one mask
        ([{0, 1, 2, 255}, {255}], "1.png", {0: 0, 1: 1, 2: 2, 255: 3}),
    ],
)
def test_what_is_asked(found, name, as_class):
    with pytest.raises(DataError, match=r"may be a class or mean 'not annotated'.*--datalist#label_values") as error:
        label_values_found({f"{k}.png": values for k, values in enumerate(found)})
    assert str(error.value).startswith(f"{name}: holds 255")
    examples = [ast.literal_eval(text) for text in re.findall(r'"(\{.*?\})"', str(error.value))]
    assert examples == [as_class, as_class | {255: 255}]


@pytest.mark.parametrize(
    ("label_values", "names"),
    [
        ({0: 0}, ("background", "foreground")),
        ({0: 0, 1: 1, 255: 1}, ("background", "foreground")),
        ({0: 0, 4: 2, 2: 1, 3: 1, 255: 255}, ("background", "class 2", "class 4")),
    ],
)
def test_names_of_classes(label_values, names):
    assert classes_of(label_values) == names


def test_a_class_without_a_value():
    with pytest.raises(ValueError, match="no value stands for class 1"):
        classes_of({0: 0, 5: 2})
