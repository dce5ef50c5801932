# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What stored label values mean."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from monai_al.records.errors import DataError

__all__ = ["NOT_ANNOTATED", "classes_of", "label_values_found", "whole_label_values"]

NOT_ANNOTATED = 255  # the one value that means so, in every label array


def whole_label_values(label_values: Mapping[Any, Any]) -> dict[int, int]:
    """Stored label values and class numbers as whole numbers; JSON, and so a run's record, has them as text.

    Raises:
        ValueError: one is no whole number, or it is no mapping.

    Example:
        >>> whole_label_values({"0": 0, "7": 1, 9: 255})
        {0: 0, 7: 1, 9: 255}
    """
    try:
        found = {int(value): int(number) for value, number in label_values.items()}
        if all(float(v) == int(v) and float(n) == int(n) for v, n in label_values.items()):
            return found
    except (AttributeError, TypeError, ValueError):
        pass
    shown = dict(label_values) if isinstance(label_values, Mapping) else repr(label_values)
    raise ValueError(
        f"label_values {shown}: give whole numbers, stored value -> class number or 255, such as {{0: 0, 127: 1}}"
    )


def label_values_found(found: Mapping[str, Collection[int]]) -> dict[int, int]:
    """What the values that a data set's labels hold stand for: 0 for background, the others for a class each.

    255 alone beside 0 is a class. Beside classes that are numbered 1, 2, ... without a gap it means "not annotated", as
    in weak labels, as long as each file with a 255 holds one of the classes, too. Otherwise nobody can tell.

    Args:
        found: the distinct values of each label, by its name.

    Returns:
        Stored label value -> class number or 255.

    Raises:
        DataError: 255 may be a class or not; the message names a label and the option that says it.

    Example:
        >>> label_values_found({"a.png": {0, 255}})
        {0: 0, 255: 1}
        >>> label_values_found({"a.png": {0, 1}, "b.png": {1, 2, 255}})
        {0: 0, 1: 1, 2: 2, 255: 255}
        >>> label_values_found({"a.png": {0, 128, 255}})
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: a.png: holds 255, which may be a class or mean 'not annotated', beside ...
    """
    values = set().union(*found.values())
    others = sorted(values - {0, NOT_ANNOTATED})
    classes = {0: 0} | {value: number for number, value in enumerate(others, start=1)}
    if NOT_ANNOTATED not in values:
        return classes
    if not others:
        return classes | {NOT_ANNOTATED: 1}
    left_out = classes | {NOT_ANNOTATED: NOT_ANNOTATED}
    numbered = others == list(range(1, len(others) + 1))
    with_255 = {name: set(own) & set(others) for name, own in found.items() if NOT_ANNOTATED in own}
    unclear = [name for name, beside in with_255.items() if not (numbered and beside)]
    if unclear:
        as_class = classes | {NOT_ANNOTATED: 1 if others == [1] else len(classes)}
        beside = ", ".join(map(str, others[:10])) + (", ..." if len(others) > 10 else "")
        raise DataError(
            f"{unclear[0]}: holds 255, which may be a class or mean 'not annotated', beside {beside}: say it by "
            f'--datalist#label_values "{as_class}", which makes it a class, or "{left_out}", which leaves it out '
            "(label_values in Python and in the command datalist)"
        )
    return left_out


def classes_of(label_values: Mapping[int, int]) -> tuple[str, ...]:
    """Names for the classes that label values stand for, background first.

    Raises:
        ValueError: no value stands for a class below the last one.

    Example:
        >>> classes_of({0: 0, 85: 1, 170: 2, 255: 255})
        ('background', 'class 85', 'class 170')
        >>> classes_of({0: 0, 255: 1})
        ('background', 'foreground')
    """
    value_of: dict[int, int] = {}
    for value, number in sorted(label_values.items()):
        value_of.setdefault(number, value)
    value_of.pop(NOT_ANNOTATED, None)
    numbers = range(1, max(value_of, default=0) + 1)
    missing = [number for number in numbers if number not in value_of]
    if missing:
        raise ValueError(f"label_values {dict(label_values)}: no value stands for class {missing[0]}; count from 1")
    if len(numbers) <= 1:
        return ("background", "foreground")
    return ("background", *(f"class {value_of[number]}" for number in numbers))
