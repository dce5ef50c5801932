# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

import monai_al.strategies.vaal as module
from monai_al.data import Item, Pool, Round
from monai_al.passes import train_vaal
from monai_al.passes.vaal_training import unlabeled_probability
from monai_al.strategies import VAAL

pytestmark = pytest.mark.usefixtures("one_thread")

FAST = {"channels": (4, 8), "latent": 4, "steps": 3, "batch_size": 6, "progress": False}


def a_round(pixels, labeled=(0, 5), number=1, seed=0, size=8) -> Round:
    pool = Pool([Item(f"i{i:02d}", "", "v", "p") for i in range(len(pixels))])
    labeled = np.asarray(labeled, dtype=np.int64)
    return Round(number, pool, labeled, seed, embeddings={f"pixels:{size}": np.asarray(pixels, dtype=np.float32)})


def random_pixels(n=20, numbers=64, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, numbers))


def picks(query) -> list[int]:
    return [int(item.id[1:]) for item in query.items]


def test_scores_are_those_of_the_discriminator_on_standardized_images():
    pixels = random_pixels()
    round = a_round(pixels)
    images = torch.from_numpy(pixels.astype(np.float32)).reshape(20, 1, 8, 8)
    images = (images - images.mean((0, 2, 3))) / images.std((0, 2, 3), correction=0)
    settings = {name: value for name, value in FAST.items() if name != "progress"}
    network = train_vaal(
        images, np.isin(np.arange(20), [0, 5]), seed=int(round.rng("vaal").integers(2**62)), **settings
    )
    scores = unlabeled_probability(network, images)
    query = VAAL(size=8, **FAST).query(round, 6)
    expected = sorted((i for i in range(20) if i not in (0, 5)), key=lambda i: -scores[i])[:6]
    assert picks(query) == expected
    np.testing.assert_allclose([item.score for item in query.items], scores[expected], atol=1e-6)
    assert query.items[0].reason == "unlike the labeled images, rank 1 of 18"


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in (1, 2))])
def test_takes_what_is_unlike_the_labeled_images(seed):
    """Of 40 images with stripes 12 are labeled; the other 20 of the unlabeled ones have stripes the other way."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16]
    waves = [np.sin((x if i < 40 else y) + rng.uniform(0, 6)) + 0.1 * rng.normal(size=x.shape) for i in range(60)]
    round = a_round(np.stack(waves).reshape(60, -1), labeled=range(12), seed=seed, size=16)
    query = VAAL(size=16, latent=8, channels=(8, 16), steps=60, batch_size=12, progress=False).query(round, 10)
    assert sum(i >= 40 for i in picks(query)) >= 9


def shapes_seen(pixels, strategy, monkeypatch, **options) -> tuple[int, ...]:
    seen = []
    plain = module.train_vaal
    monkeypatch.setattr(module, "train_vaal", lambda images, *a, **k: (seen.append(images), plain(images, *a, **k))[1])
    assert len(strategy.query(a_round(pixels, **options), 3).ids) == 3
    (images,) = seen
    each = (0, *range(2, images.ndim))
    torch.testing.assert_close(images.mean(each), torch.zeros(images.shape[1]), atol=1e-5, rtol=0)
    return tuple(images.shape)


@pytest.mark.parametrize(
    ("numbers", "spatial_dims", "expected"),
    [
        (64, None, (1, 8, 8)),
        (3 * 64, None, (3, 8, 8)),
        (512, None, (1, 8, 8, 8)),
        (1024, 3, (2, 8, 8, 8)),
        (512, 2, (8, 8, 8)),
    ],
)
def test_images_of_several_channels_and_volumes(numbers, spatial_dims, expected, monkeypatch):
    strategy = VAAL(size=8, spatial_dims=spatial_dims, **FAST)
    assert shapes_seen(random_pixels(8, numbers), strategy, monkeypatch) == (8, *expected)


def test_each_channel_is_standardized_by_itself_and_a_constant_one_stays_finite(monkeypatch):
    pixels = random_pixels(8, 3 * 64)
    pixels[:, :64] = pixels[:, :64] * 1000 + 5000
    pixels[:, 64:128] = 7
    assert shapes_seen(pixels, VAAL(size=8, **FAST), monkeypatch) == (8, 3, 8, 8)


def test_units_of_the_images_do_not_matter():
    """A power of two changes no rounding."""
    pixels = random_pixels()
    one, other = (VAAL(size=8, **FAST).query(a_round(factor * pixels), 5) for factor in (1, 1024))
    assert one.ids == other.ids


def test_reproducible_and_drawn_anew_in_another_round():
    pixels = random_pixels()
    strategy = VAAL(size=8, **FAST)
    assert strategy.query(a_round(pixels), 9) == strategy.query(a_round(pixels), 9)
    assert len({strategy.query(a_round(pixels, number=n), 9).ids for n in range(4)}) > 1


def test_without_a_labeled_item_the_start_is_random_and_nothing_is_trained(monkeypatch):
    monkeypatch.setattr(module, "train_vaal", lambda *a, **k: pytest.fail("trained"))
    assert VAAL().initial_needs() is None
    rounds = [a_round(random_pixels(), labeled=(), number=0, seed=seed) for seed in range(6)]
    assert len({VAAL(size=8, **FAST).query(round, 4).ids for round in rounds}) == 6
    assert VAAL(size=8, **FAST).query(a_round(random_pixels()), 0).ids == ()


def test_the_last_items_may_be_asked_for():
    query = VAAL(size=8, **FAST).query(a_round(random_pixels(), labeled=range(19)), 1)
    assert picks(query) == [19]


def test_what_it_needs():
    assert VAAL().needs() == {"pixels:64": "pixels:64"}
    assert VAAL(size=32).needs() == {"pixels:32": "pixels:32"}
    assert VAAL().name == "vaal"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 60}, "size 60 cannot be halved once for each of the channels .*divisible by 16"),
        ({"channels": ()}, "cannot be halved"),
        ({"spatial_dims": 1}, "spatial_dims must be 2, 3 or None, got 1"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        VAAL(**arguments)


@pytest.mark.parametrize(("numbers", "spatial_dims"), [(63, None), (65, None), (64, 3), (0, None)])
def test_images_of_another_size_are_an_error(numbers, spatial_dims):
    with pytest.raises(ValueError, match=f"'pixels:8' hold {numbers} numbers per item"):
        VAAL(size=8, spatial_dims=spatial_dims, **FAST).query(a_round(random_pixels(6, numbers), labeled=[0]), 2)


def test_a_training_that_diverges_is_an_error():
    strategy = VAAL(size=8, **{**FAST, "steps": 6}, learning_rate=1e30)
    with pytest.raises(ValueError, match="the training of vaal diverged: lower --strategy#learning_rate from 1e[+]30"):
        strategy.query(a_round(random_pixels()), 3)
