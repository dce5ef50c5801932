# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.engines import SupervisedEvaluator
from monai.transforms import Compose, Flipd, Resized, ResizeWithPadOrCropd
from scipy.ndimage import map_coordinates
from torch.utils.data import DataLoader

from monai_al.data import Item, SliceDataset, VolumeCache, slices_of
from monai_al.handlers import VolumeScoresHandler

KEYS = ["image", "label"]
SHAPES = {"a": (10, 12, 4), "b": (12, 9, 3), "c": (10, 12, 5)}
PATIENTS = {"a": "p", "b": "q", "c": "p"}
SPACING = (1.5, 0.5, 4.0)


class FromImage(torch.nn.Module):
    """Logits of three classes, or of one channel, that depend on the pixel alone."""

    def __init__(self, n_classes=3):
        super().__init__()
        self.n_classes = n_classes

    def forward(self, x):
        if self.n_classes == 1:
            return 8 * (x - 0.5)
        return torch.cat([4 - 8 * x, 3 - 40 * (x - 0.5) ** 2, 8 * x - 4], dim=1)


def make(folder):
    items = []
    for number, (name, shape) in enumerate(SHAPES.items()):
        random = np.random.default_rng(number)
        paths = [str(folder / f"{name}{end}.nii") for end in ("", "_label")]
        label = random.integers(0, 3, shape).astype(np.uint8)
        label[0, 0] = 9  # not annotated
        for path, array in zip(paths, (random.random(shape).astype(np.float32), label), strict=True):
            nib.save(nib.Nifti1Image(array, np.diag([*SPACING, 1])), path)
        items += slices_of(shape[2], image=paths[0], volume=name, patient=PATIENTS[name], label=paths[1])
    return items


def cache_of(folder, transform=None):
    return VolumeCache(folder / "cache", transform, {0: 0, 1: 1, 2: 2, 9: 255}, progress=False)


def run(items, cache, handler, *, n_classes=3, order=None, batch_size=1):
    dataset = SliceDataset([items[i] for i in order] if order is not None else items, cache, with_label=False)
    evaluator = SupervisedEvaluator(
        "cpu", DataLoader(dataset, batch_size), FromImage(n_classes), val_handlers=[handler], decollate=False
    )
    evaluator.logger.setLevel("CRITICAL")
    evaluator.run()
    return handler.scores


def slow_dice(volume, n_classes, one_channel):
    """Predict every preprocessed slice, go back voxel by voxel through millimetres, count voxels in loops."""
    with torch.no_grad():
        logits = FromImage(1 if one_channel else n_classes)(torch.from_numpy(volume.image))
        probs = (logits.sigmoid() if one_channel else logits.softmax(1)).numpy().transpose(1, 2, 3, 0)
    geometry, counts = volume.geometry, np.zeros((n_classes, 3), dtype=int)
    for i, j, k in np.ndindex(*geometry.stored_shape):
        x = (np.linalg.inv(geometry.affine) @ geometry.stored_affine @ [i, j, k, 1])[:3]
        inside = all(-0.5 <= p <= n - 0.5 for p, n in zip(x, geometry.shape, strict=True))
        p = [map_coordinates(c, x[:, None], order=1, mode="nearest")[0] if inside else 0.0 for c in probs]
        predicted, true = (int(p[0] > 0.5) if one_channel else int(np.argmax(p))), int(volume.truth[k, i, j])
        if true != 255:
            counts[predicted, 0] += 1
            counts[true, 1] += 1
            counts[true, 2] += predicted == true
    return [2 * both / (a + b) for a, b, both in counts[1:]]


@pytest.mark.parametrize(
    "transform",
    [
        None,
        ResizeWithPadOrCropd(KEYS, (16, 16, -1)),
        ResizeWithPadOrCropd(KEYS, (8, 14, -1)),
        Resized(KEYS, (16, 16, -1), mode=["trilinear", "nearest"]),
        Compose([Resized(KEYS, (7, 20, -1), mode=["trilinear", "nearest"]), Flipd(KEYS, 1)]),
    ],
)
@pytest.mark.parametrize("one_channel", [False, True])
def test_dice_of_a_voxel_loop_on_the_stored_grid(tmp_path, transform, one_channel):
    items = make(tmp_path)
    cache = cache_of(tmp_path, transform)
    if one_channel:
        cache.label_values = {0: 0, 1: 1, 2: 1, 9: 255}
    n_classes = 2 if one_channel else 3
    handler = VolumeScoresHandler(items, cache, n_classes, "sigmoid" if one_channel else "softmax")
    scores = run(items, cache, handler, n_classes=1 if one_channel else 3)
    assert [(volume, patient) for volume, patient, _ in scores] == [("a", "p"), ("b", "q"), ("c", "p")]
    for volume, _, score in scores:
        expected = slow_dice(cache.get(next(i for i in items if i.volume == volume)), n_classes, one_channel)
        np.testing.assert_allclose(score.dice_3d, expected, atol=1e-12)


def test_spacing_belongs_to_its_axis(tmp_path):
    """Two single voxels at a known distance along each axis give that distance as HD95."""
    for axis, distance in enumerate(SPACING):
        image, label = np.zeros((6, 6, 6), np.float32), np.zeros((6, 6, 6), np.uint8)
        here = [2, 2, 2]
        label[tuple(here)] = 1
        here[axis] += 2
        image[tuple(here)] = 1
        paths = [str(tmp_path / f"{axis}{end}.nii") for end in ("", "_label")]
        for path, array in zip(paths, (image, label), strict=True):
            nib.save(nib.Nifti1Image(array, np.diag([*SPACING, 1])), path)
        items = slices_of(6, image=paths[0], volume="v", patient="v", label=paths[1])
        handler = VolumeScoresHandler(items, cache_of(tmp_path), 2, "sigmoid")
        ((_, _, score),) = run(items, handler.cache, handler, n_classes=1)
        assert score.dice_3d == (0.0,)
        assert score.hd95_3d == pytest.approx((2 * distance,))


def test_order_and_batches_do_not_matter(tmp_path):
    items = make(tmp_path)
    cache = cache_of(tmp_path, ResizeWithPadOrCropd(KEYS, (12, 12, -1)))
    handler = VolumeScoresHandler(items, cache, 3)
    expected = {volume: score for volume, _, score in run(items, cache, handler)}
    for batch_size in (1, 4, 12):
        order = np.random.default_rng(batch_size).permutation(len(items))
        found = run(items, cache, handler, order=order, batch_size=batch_size)
        assert len(found) == 3
        assert {volume: score for volume, _, score in found} == expected


def test_one_volume_is_held_at_a_time(tmp_path):
    items = make(tmp_path)
    cache = cache_of(tmp_path)
    held = []

    class Watching(VolumeScoresHandler):
        def __call__(self, engine):
            super().__call__(engine)
            held.append(sorted(self._planes))

    run(items, cache, Watching(items, cache, 3))
    assert held == [["a"]] * 3 + [[]] + [["b"]] * 2 + [[]] + [["c"]] * 4 + [[]]


def test_whole_volumes_and_images(tmp_path):
    sliced = make(tmp_path)
    cache = cache_of(tmp_path)
    handler = VolumeScoresHandler(sliced, cache, 3)
    expected = [score for _, _, score in run(sliced, cache, handler)]
    whole = [Item(v, str(tmp_path / f"{v}.nii"), v, PATIENTS[v], str(tmp_path / f"{v}_label.nii")) for v in SHAPES]
    found = run(whole, cache, VolumeScoresHandler(whole, cache, 3))
    assert [score for _, _, score in found] == expected

    plane = np.asarray(nib.load(whole[0].image).dataobj)[:, :, :1]
    truth = np.asarray(nib.load(str(whole[0].label)).dataobj)[:, :, :1]
    nib.save(nib.Nifti1Image(plane, np.eye(4)), tmp_path / "flat.nii")
    nib.save(nib.Nifti1Image(truth, np.eye(4)), tmp_path / "flat_label.nii")
    image = Item("flat", str(tmp_path / "flat.nii"), "flat", "flat", str(tmp_path / "flat_label.nii"))
    ((_, _, score),) = run([image], cache, VolumeScoresHandler([image], cache, 3))
    np.testing.assert_allclose(score.dice_3d, slow_dice(cache.get(image), 3, False), atol=1e-12)


def test_items_without_ground_truth_are_an_error(tmp_path):
    items = make(tmp_path)
    items[5] = replace(items[5], label=None)
    items[6] = replace(items[6], label=None)
    with pytest.raises(ValueError, match="2 items to be scored have no ground truth, such as 'b/0001'"):
        VolumeScoresHandler(items, cache_of(tmp_path), 3)


def test_missing_slices_are_an_error(tmp_path):
    items = make(tmp_path)
    cache = cache_of(tmp_path)
    part = [item for item in items if item.id != "b/0001"]
    with pytest.raises(ValueError, match="volume 'b' has 3 slices but 2 are to be predicted"):
        run(part, cache, VolumeScoresHandler(part, cache, 3))
    with pytest.raises(ValueError, match="1 volumes were not predicted to their end, such as 'c'"):
        run(items, cache, VolumeScoresHandler(items, cache, 3), order=range(len(items) - 1))


def test_an_item_twice_is_an_error(tmp_path):
    items = make(tmp_path)
    cache = cache_of(tmp_path)
    for order in ([0, 1, 1, 2], [0, 1, 2, 3, 0]):
        with pytest.raises(ValueError, match=f"item 'a/000{order[-1] if len(order) > 4 else 1}' was predicted twice"):
            run(items, cache, VolumeScoresHandler(items, cache, 3), order=order)


def test_overlapping_classes_are_refused_at_once():
    with pytest.raises(ValueError, match="no label map"):
        VolumeScoresHandler([], None, 3, "multilabel")
