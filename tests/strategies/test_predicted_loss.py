# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_al.data import Item, Pool, Round
from monai_al.strategies import PredictedLoss


def a_round(predicted, labeled=(), seed=0) -> Round:
    pool = Pool([Item(f"i{i}", "", "v", "p") for i in range(len(predicted))])
    return Round(1, pool, np.asarray(labeled, dtype=np.int64), seed, embeddings={"predicted loss": predicted})


def test_takes_the_highest_predicted_losses_in_order():
    predicted = np.array([[0.1], [-2.0], [0.7], [0.7], [9.0]], dtype=np.float32)
    query = PredictedLoss().query(a_round(predicted, labeled=[4]), 4)
    assert query.ids == ("i2", "i3", "i0", "i1")
    np.testing.assert_allclose([item.score for item in query.items], [0.7, 0.7, 0.1, -2.0], rtol=1e-6)
    assert [item.reason for item in query.items] == [f"predicted loss, rank {rank} of 4" for rank in (1, 2, 3, 4)]


def test_asks_for_one_layer_and_nothing_else():
    assert PredictedLoss().needs() == {"predicted loss": "loss_predictor"}
    assert PredictedLoss(layer="network.head").needs() == {"predicted loss": "network.head"}


def test_what_labeled_items_predict_does_not_matter():
    predicted = np.random.default_rng(0).normal(size=(20, 1))
    for selector in (None, "stochastic_batches"):
        answers = []
        for value in (-1e6, 1e6, np.nan):
            predicted[[3, 8]] = value
            answers.append(PredictedLoss(selector).query(a_round(predicted.copy(), labeled=[3, 8]), 5))
        assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize(
    ("predicted", "message"),
    [
        (np.zeros((4, 2)), "layer 'loss_predictor' gives 2 numbers per item, but a predicted loss is one"),
        (np.zeros((4, 0)), "gives 0 numbers"),
        (np.zeros(4), r"got the shape \(4,\)"),
        (np.zeros((4, 1, 1)), r"got the shape \(4, 1, 1\)"),
        (np.array([[0.0], [1.0], [np.inf], [0.0]]), "the predicted loss of item 'i2' is inf"),
        (np.array([[0.0], [1.0], [0.0], [-np.inf]]), "the predicted loss of item 'i3' is -inf"),
    ],
)
def test_wrong_predictions_are_named(predicted, message):
    with pytest.raises(ValueError, match=message):
        PredictedLoss().query(a_round(predicted), 2)
