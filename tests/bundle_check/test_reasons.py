# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Why something failed, in one line."""

from __future__ import annotations

import pytest
from monai.data import DataLoader, Dataset
from monai.transforms import Lambdad

from monai_al.bundle_check.reasons import cause_of


@pytest.mark.parametrize("workers", [0, 1])
def test_the_transform_and_its_error_are_told_also_from_a_worker(workers):
    broken = Dataset([{"image": 1}], Lambdad("image", lambda image: [][image]))
    with pytest.raises((RuntimeError, IndexError)) as failed:
        list(DataLoader(broken, num_workers=workers))
    assert cause_of(failed.value) == "IndexError in Lambdad: list index out of range"
