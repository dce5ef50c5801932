# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What released code of Coreset, CoreGCN, TypiClust, VAAL and CEAL does otherwise: in a few lines each, ours beside."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt

import monai_al.passes.vaal_training as vaal_training
from monai_al.data import Item, Pool, Round
from monai_al.passes import train_graph_encoder, train_vaal
from monai_al.passes.vaal_training import unlabeled_probability
from monai_al.selection import k_center_greedy
from monai_al.strategies import CEAL, CoreGCN, Coreset, TypiClust
from monai_al.uncertainty import contour_distance

pytestmark = pytest.mark.usefixtures("one_thread")

FAST = {"hidden": 16, "epochs": 10}


def a_round(rows, labeled=(), number=1, seed=0, name="bottleneck") -> Round:
    pool = Pool([Item(f"i{i:02d}", "", "v", "p") for i in range(len(rows))])
    return Round(number, pool, np.asarray(labeled, dtype=np.int64), seed, embeddings={name: rows})


def picks(query) -> list[int]:
    return [int(item.id[1:]) for item in query.items]


@pytest.mark.parametrize("seed", range(5))
def test_core_gcn_names_items_and_not_places_in_a_permuted_array(seed):
    rng = np.random.default_rng(seed)
    rows, labeled = rng.normal(size=(30, 5)), rng.choice(30, 12, replace=False)
    unlabeled = rng.permutation(np.setdiff1d(np.arange(30), labeled))
    both = np.concatenate([unlabeled, labeled])
    _, activations = train_graph_encoder(rows[both], np.arange(30) >= 18, **FAST)
    places = k_center_greedy(activations, 10, np.arange(18, 30))
    assert set(places) & set(labeled)  # read as items, they are labeled already
    assert not set(both[places]) & set(labeled)
    assert not set(picks(CoreGCN(progress=False, **FAST).query(a_round(rows, labeled, seed=seed), 18))) & set(labeled)


def test_the_start_of_a_coreset_follows_the_seed_alone():
    rows = np.random.default_rng(0).normal(size=(30, 5))
    released = {int(np.random.default_rng().integers(30)) for _ in range(20)}  # no seed
    assert len(released) > 1
    assert len({Coreset("encoder").query(a_round(rows, number=0, name="encoder"), 9) for _ in range(3)}) == 1


def test_clusters_may_have_any_ids():
    """Ten clusters of three different points: most ids have no members."""
    rows = np.repeat(np.eye(3), [20, 13, 7], axis=0)
    ids = np.repeat([0, 4, 9], [20, 13, 7])
    released = [int((ids == one).sum()) for one in range(len(np.unique(ids)))]
    assert released == [20, 0, 0]
    query = TypiClust().query(a_round(rows, labeled=[0], name="encoder"), 9)
    assert len(set(query.ids)) == 9
    assert {tuple(rows[i]) for i in picks(query)[:2]} == {(0, 1, 0), (0, 0, 1)}


def stripes(n=40, n_labeled=12, size=16):
    """Along one axis the labeled ones, along the other the unlabeled ones."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    waves = [np.sin((x if i < n_labeled else y) + rng.uniform(0, 6)) + 0.1 * rng.normal(size=x.shape) for i in range(n)]
    images = np.stack(waves)[:, None]
    return torch.from_numpy((images / images.std()).astype(np.float32)), np.arange(n) < n_labeled


def trained_on_stripes():
    images, labeled = stripes()
    network = train_vaal(images, labeled, steps=60, batch_size=12, latent=8, channels=(8, 16))
    return network, images, labeled


def accuracies(network, images, labeled) -> tuple[float, float]:
    """Of the labeled and of the unlabeled images."""
    told = unlabeled_probability(network, images) > 0.5
    return float((~told[labeled]).mean()), float(told[~labeled].mean())


@pytest.mark.nightly
def test_the_discriminator_learns_that_unlabeled_images_are_unlabeled(monkeypatch):
    assert min(accuracies(*trained_on_stripes())) > 0.9
    monkeypatch.setattr(vaal_training, "discriminator_loss", lambda logits, labeled: F.softplus(-logits).mean())
    assert accuracies(*trained_on_stripes()) == (1, 0)  # target 1 for all


@pytest.mark.nightly
def test_the_latent_code_does_not_collapse(monkeypatch):
    def varying(network, images, labeled) -> int:
        with torch.no_grad():
            return int((network.encode(images).var(0) > 0.1).sum())

    def released(images, reconstruction, mean, log_variance, logits, labeled, beta, adversary):
        """The divergence summed over the batch beside a mean error."""
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
        return F.mse_loss(reconstruction, images) + beta * divergence + F.softplus(-logits).mean()

    assert varying(*trained_on_stripes()) >= 4
    monkeypatch.setattr(vaal_training, "autoencoder_loss", released)
    assert varying(*trained_on_stripes()) == 0


def soft_discs() -> torch.Tensor:
    """Predictions of a disc on the left and of one on the right, of which no pixel is quite 0 or 1."""
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    return torch.stack([torch.sigmoid(3 - ((y - 8) ** 2 + (x - middle) ** 2).sqrt()) for middle in (4, 11)])[:, None]


def test_distances_are_to_the_contour_of_a_mask_and_not_of_soft_predictions():
    predictions = soft_discs()
    left, right = (distance_transform_edt(one.numpy()) for one in predictions[:, 0])
    assert (left == right).all()  # without a zero every pixel is inside, wherever the disc lies
    left, right = contour_distance(predictions)
    assert left.argmax() % 16 == 15
    assert right.argmax() % 16 == 0


def test_an_image_without_a_contour_divides_by_nothing():
    constant = torch.full((1, 1, 8, 8), 0.2)
    with np.errstate(invalid="ignore"):
        distance = distance_transform_edt(constant[0, 0].numpy() > 0.5)
        assert np.isnan(distance / distance.max()).all()
    assert (contour_distance(constant) == 0).all()


def test_pseudo_labels_are_for_the_items_that_were_chosen_and_not_for_their_places():
    """Places among the unlabeled items are other items of the pool as soon as one is labeled."""
    need, labeled = "variance far from the contour", [0, 2, 5]
    scores = np.where(np.arange(30) < 20, 1.0, np.arange(30.0))
    scores[labeled] = -np.inf
    pool = Pool([Item(f"i{i:02d}", "", "v", "p") for i in range(30)])
    round = Round(5, pool, np.array(labeled), 0, {need: scores})
    strategy = CEAL(quotas=(0, 1, 0), pseudo=99)
    query = strategy.query(round, 3)
    places = np.flatnonzero(scores[round.unlabeled] == 1)
    assert set(places) & set(labeled)  # read as items, they are labeled already
    found = [int(id[1:]) for id in strategy.pseudo_items(round, query)]
    assert sorted(found) == np.flatnonzero(scores == 1).tolist()
