# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from monai_al.selection import class_shares


@pytest.mark.parametrize("share", ["0", "0.29", "0.33", "0.5", "0.66", "1"])
def test_equal_parts_and_the_rest(share):
    for budget in range(0, 160, 3):
        for n_classes in range(1, 9):
            shares = class_shares(budget, float(share), n_classes, np.random.default_rng(budget))
            total = math.floor(Fraction(share) * budget)
            assert shares.dtype == np.int64
            assert len(shares) == n_classes + 1
            assert shares[-1] == budget - total
            assert Counter(shares[:-1].tolist()) == Counter(
                total // n_classes + (place < total % n_classes) for place in range(n_classes)
            )


def test_what_is_left_over_goes_to_drawn_classes():
    rng = np.random.default_rng(0)
    more = np.sum([class_shares(4, 0.66, 4, rng)[:-1] for _ in range(600)], axis=0)
    assert more.sum() == 600 * 2
    assert (abs(more - 300) < 60).all()
    assert class_shares(4, 0.66, 4).tolist() == class_shares(4, 0.66, 4).tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 0.5, 2), "budget must not be negative"),
        ((2.5, 0.5, 2), "whole number"),
        ((5, 1.5, 2), "share must be a number from 0 to 1, got 1.5"),
        ((5, math.nan, 2), "share must be"),
        ((5, "0.5", 2), "share must be"),
        ((5, 0.5, 0), "n_classes must be at least 1"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        class_shares(*arguments)
