# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_al.selection import candidates, check_labeled, check_scores


def test_candidates():
    unlabeled, budget = candidates(5, np.int32(2), [4, 0])
    assert unlabeled.tolist() == [1, 2, 3]
    assert budget == 2
    with pytest.raises(ValueError, match="pool is empty"):
        candidates(0, 0)


def test_labeled_keep_their_order_and_scores_may_rank_last():
    assert check_labeled(np.array([3, 1], np.uint8), 4).tolist() == [3, 1]
    assert check_scores([-np.inf, 1]).tolist() == [-np.inf, 1.0]
