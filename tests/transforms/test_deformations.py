# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import Compose

from monai_al.transforms import (
    RandBezierIntensity,
    RandBezierIntensityd,
    RandInPainting,
    RandInPaintingd,
    RandOutPainting,
    RandOutPaintingd,
    RandPixelShuffling,
    RandPixelShufflingd,
    RandRestorationPair,
    RandRestorationPaird,
    RestorationAugmentation,
)

PAIRS = [
    (RandBezierIntensity, RandBezierIntensityd),
    (RandPixelShuffling, RandPixelShufflingd),
    (RandInPainting, RandInPaintingd),
    (RandOutPainting, RandOutPaintingd),
]
SHAPES = [(1, 30, 21), (2, 20, 9, 7), (1, 1, 25)]

pytestmark = pytest.mark.usefixtures("one_thread")


def image_of(shape: tuple[int, ...], dtype=np.float32) -> np.ndarray:
    return np.random.default_rng(0).random(shape).astype(dtype)


@pytest.mark.parametrize(("array", "dictionary"), PAIRS)
@pytest.mark.parametrize("shape", SHAPES)
def test_forms_agree_and_keep_kind_and_input(array, dictionary, shape):
    image = image_of(shape)
    kinds = {"numpy": image, "torch": torch.tensor(image), "meta": MetaTensor(image, meta={"name": "a"})}
    found = {name: array(prob=1.0).set_random_state(5)(each) for name, each in kinds.items()}
    for name, result in found.items():
        assert type(result) is type(kinds[name])
        assert result.dtype == kinds[name].dtype
        np.testing.assert_array_equal(np.asarray(result), found["numpy"])
        np.testing.assert_array_equal(np.asarray(kinds[name]), image_of(shape))
    assert found["meta"].meta["name"] == "a"
    assert (found["numpy"] != image).any()
    data = {"image": image, "other": torch.tensor(image), "left": 3}
    of_keys = dictionary(["image", "other", "gone"], prob=1.0, allow_missing_keys=True).set_random_state(5)(data)
    np.testing.assert_array_equal(of_keys["image"], found["numpy"])
    assert torch.equal(of_keys["other"], found["torch"])
    assert data["image"] is image
    assert of_keys["left"] == 3


@pytest.mark.parametrize(
    ("array", "options"),
    [
        (RandBezierIntensity, {}),
        (RandPixelShuffling, {"blocks": 50, "side": 0.5}),
        (RandInPainting, {"another": 1.0}),
        (RandOutPainting, {}),
    ],
)
def test_done_as_often_as_asked_and_drawn_apart(array, options):
    image = image_of((1, 8, 8))
    transform = array(prob=0.3, **options).set_random_state(0)
    changed = [(transform(image) != image).any() for _ in range(600)]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.06)
    transform = array(prob=1.0, **options).set_random_state(0)
    first = transform(image)
    np.testing.assert_array_equal(transform(image, randomize=False), first)
    assert (transform(image) != first).any()
    np.testing.assert_array_equal(array(prob=0.0)(image), image)


@pytest.mark.parametrize("shape", SHAPES)
def test_pairs_in_both_forms(shape):
    image, augmentation = image_of(shape), RestorationAugmentation(flip=1, paint=1, out_paint=1)
    deformed, target = RandRestorationPair(augmentation).set_random_state(5)(image)
    np.testing.assert_array_equal(target, image[(slice(None), *[slice(None, None, -1)] * (len(shape) - 1))])
    assert (deformed != target).any()
    data = {"image": MetaTensor(image)}
    pair = RandRestorationPaird("image", "target", augmentation).set_random_state(5)(data)
    np.testing.assert_array_equal(pair["image"].numpy(), deformed)
    np.testing.assert_array_equal(pair["target"].numpy(), target)
    assert list(data) == ["image"]
    np.testing.assert_array_equal(data["image"].numpy(), image)


def test_in_a_loader_with_workers():
    """MONAI's loader gives each worker another random state; a seed of all gives the same epoch."""

    def epoch(seed: int) -> torch.Tensor:
        deform = Compose([RandRestorationPaird("image")]).set_random_state(seed)
        images = Dataset([{"image": image_of((1, 24, 24))} for _ in range(4)], deform)
        loader = DataLoader(images, batch_size=1, num_workers=2, generator=torch.Generator().manual_seed(seed))
        return torch.cat([batch["image"] for batch in loader])

    first, again = epoch(0), epoch(0)
    assert torch.equal(first, again)
    assert len({tuple(image.flatten().tolist()) for image in first}) == 4


def test_can_be_sent_to_other_processes():
    image = image_of((1, 30, 21))
    for array, dictionary in [*PAIRS, (RandRestorationPair, RandRestorationPaird)]:
        for transform, given in ((array(), image), (dictionary("image"), {"image": image})):
            copies = [pickle.loads(pickle.dumps(transform)).set_random_state(3) for _ in range(2)]
            one, other = (copy(given) for copy in copies)
            one, other = (each["image"] if isinstance(each, dict) else each for each in (one, other))
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandBezierIntensity(prob=2), "prob must be within 0 and 1"),
        (lambda: RandBezierIntensityd("image", inverting=-1), "inverting must be within 0 and 1"),
        (lambda: RandPixelShuffling(side=25), "side must be within 0 and 1"),
        (lambda: RandInPaintingd("image", sides=(0.3, 0.1)), "sides must be within 0 and 1, smaller number first"),
        (lambda: RandOutPainting(windows=0), "windows must be a whole number of at least 1, got 0"),
        (
            lambda: RandOutPainting(1)(np.zeros((1, 9, 9)), randomize=False),
            "RandOutPainting has drawn nothing yet that it could apply again: leave out randomize=False",
        ),
        (lambda: RandRestorationPair()(np.zeros((1, 9, 9)), randomize=False), "RandRestorationPair has drawn nothing"),
        (lambda: RandRestorationPaird(["t1", "t2"]), r"an entry for each of the 2 keys, got \('target',\)"),
        (lambda: RandInPainting(1)(np.zeros((1, 4, 4), np.uint8)), "images must be floating point"),
        (
            lambda: RandOutPaintingd(["a", "b"], 1)({"a": np.zeros((1, 4, 4)), "b": np.zeros((1, 4, 4, 4))}),
            "images have 3 spatial axes but the parameters are for 2",
        ),
        (
            lambda: RandOutPaintingd(["a", "b"], 1)({"a": np.zeros((1, 90, 90)), "b": np.zeros((1, 4, 4))}),
            "paintings leave the images of 4 x 4 pixels: draw them for this size",
        ),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
