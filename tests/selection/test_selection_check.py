# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_al.selection import candidates, check_embeddings, check_labeled, check_scores


def test_embeddings_keep_their_floating_type():
    assert check_embeddings(np.zeros((2, 3), np.float32)).dtype == np.float32
    assert check_embeddings([[1, 2]]).dtype == np.float64


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        (np.zeros(3), "shape"),
        (np.zeros((3, 0)), "shape"),
        (np.zeros((0, 3)), "empty"),
        ([[0.0, 0.0], [0.0, np.nan]], r"embeddings\[1\]"),
        ([[-np.inf, 0.0], [0.0, 0.0]], r"embeddings\[0\]"),
    ],
)
def test_embedding_errors(embeddings, message):
    with pytest.raises(ValueError, match=message):
        check_embeddings(embeddings)


def test_candidates():
    unlabeled, budget = candidates(5, np.int32(2), [4, 0])
    assert unlabeled.tolist() == [1, 2, 3]
    assert budget == 2
    with pytest.raises(ValueError, match="pool is empty"):
        candidates(0, 0)


def test_labeled_keep_their_order_and_scores_may_rank_last():
    assert check_labeled(np.array([3, 1], np.uint8), 4).tolist() == [3, 1]
    assert check_scores([-np.inf, 1]).tolist() == [-np.inf, 1.0]
