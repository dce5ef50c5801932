# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Segmentations are written volume by volume, on the stored grid."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.engines import SupervisedEvaluator
from monai.transforms import Compose, Flipd, Resized, ResizeWithPadOrCropd
from scipy.ndimage import map_coordinates

from monai_al.data import SliceDataset, VolumeCache, slices_of
from monai_al.handlers import VolumeSegmentationHandler
from monai_al.sources.slice_source import slice_loader

SHAPES = {"a": (10, 12, 4), "sub/b": (12, 9, 3), "c": (10, 12, 5)}
OBLIQUE = np.array([[1.4, -0.3, 0.2, -31.5], [0.4, 0.6, -1.1, 12.25], [0.1, 0.2, 4.0, 7.0], [0, 0, 0, 1]])
LABEL_VALUES = {0: 0, 2: 1, 7: 2, 8: 2, 9: 255}


class FromImage(torch.nn.Module):
    """Logits of three classes that depend on the pixel alone."""

    def forward(self, x):
        return torch.cat([4 - 8 * x, 3 - 40 * (x - 0.5) ** 2, 8 * x - 4], dim=1)


@pytest.fixture
def items(tmp_path):
    found = []
    for number, (name, shape) in enumerate(SHAPES.items()):
        path = tmp_path / "images" / f"{name}.nii"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.random.default_rng(number).random(shape).astype(np.float32)
        nib.save(nib.Nifti1Image(image, OBLIQUE), path)
        found += slices_of(shape[2], image=str(path), volume=name, patient=name)
    return found


def evaluator(items, cache, handler, batch_size=2):
    loader = slice_loader(SliceDataset(items, cache, with_label=False), batch_size)
    engine = SupervisedEvaluator("cpu", loader, FromImage(), val_handlers=[handler], decollate=False)
    engine.logger.setLevel("CRITICAL")
    return engine


def slow_segmentation(volume):
    """Predict every preprocessed slice and go back voxel by voxel through millimetres."""
    probs = FromImage()(torch.from_numpy(volume.image)).softmax(1).numpy().transpose(1, 2, 3, 0)
    geometry = volume.geometry
    found = np.zeros(geometry.stored_shape, dtype=int)
    for i, j, k in np.ndindex(*geometry.stored_shape):
        x = (np.linalg.inv(geometry.affine) @ geometry.stored_affine @ [i, j, k, 1])[:3]
        if all(-0.5 <= p <= n - 0.5 for p, n in zip(x, geometry.shape, strict=True)):
            p = [map_coordinates(c, x[:, None], order=1, mode="nearest")[0] for c in probs]
            found[i, j, k] = (0, 2, 7)[int(np.argmax(p))]
    return found


@pytest.mark.parametrize(
    "transform",
    [
        None,
        ResizeWithPadOrCropd("image", (8, 14, -1)),
        Resized("image", (16, 16, -1), mode="trilinear"),
        Compose([Resized("image", (7, 20, -1), mode="trilinear"), Flipd("image", 1)]),
    ],
)
def test_segmentation_of_a_voxel_loop_on_the_stored_grid(tmp_path, items, transform):
    cache = VolumeCache(tmp_path / "cache", transform, progress=False)
    handler = VolumeSegmentationHandler(items, cache, tmp_path / "out", LABEL_VALUES)
    evaluator(items, cache, handler).run()
    assert handler.files == [tmp_path / "out" / f"{name}_seg.nii.gz" for name in SHAPES]
    for name, path in zip(SHAPES, handler.files, strict=True):
        written, volume = nib.load(path), cache.get(next(item for item in items if item.volume == name))
        expected = slow_segmentation(volume)
        assert len(np.unique(expected)) == 3
        np.testing.assert_array_equal(np.asarray(written.dataobj), expected)
        np.testing.assert_array_equal(written.affine, nib.load(tmp_path / "images" / f"{name}.nii").affine)


def test_what_is_written_before_a_crash_is_complete(tmp_path, items):
    cache = VolumeCache(tmp_path / "cache", progress=False)
    handler = VolumeSegmentationHandler(items, cache, tmp_path / "out", LABEL_VALUES)
    engine = evaluator(items, cache, handler)

    def stop(engine):
        if engine.state.iteration == 3:  # in the middle of the second volume
            raise KeyboardInterrupt

    engine.add_event_handler("ITERATION_COMPLETED", stop)
    with pytest.raises(KeyboardInterrupt):
        engine.run()
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["a_seg.nii.gz"]
    assert nib.load(tmp_path / "out" / "a_seg.nii.gz").get_fdata().shape == SHAPES["a"]


def test_an_evaluator_may_run_again(tmp_path, items):
    cache = VolumeCache(tmp_path / "cache", progress=False)
    handler = VolumeSegmentationHandler(items, cache, tmp_path / "out", LABEL_VALUES)
    engine = evaluator(items, cache, handler)
    engine.run()
    first = [path.read_bytes() for path in handler.files]
    engine.run()
    assert [path.read_bytes() for path in handler.files] == first


def test_files_never_come_to_lie_beside_the_images(tmp_path, items):
    for folder in ("images", "images/../images"):
        with pytest.raises(ValueError, match="holds the images.*give another output_dir"):
            VolumeSegmentationHandler(items, None, tmp_path / folder, LABEL_VALUES)
    VolumeSegmentationHandler(items, None, tmp_path / "images" / "segmentations", LABEL_VALUES)


def test_only_what_an_inference_wrote_is_replaced(tmp_path, items):
    cache = VolumeCache(tmp_path / "cache", progress=False)
    handler = VolumeSegmentationHandler(items, cache, tmp_path / "out", LABEL_VALUES)
    evaluator(items, cache, handler).run()
    VolumeSegmentationHandler(items, cache, tmp_path / "out", LABEL_VALUES)
    written = nib.load(handler.files[1])
    corrected = np.asarray(written.dataobj).copy()
    corrected[0, 0, 0] = 7 - corrected[0, 0, 0]
    truth = nib.Nifti1Image(np.zeros(SHAPES["sub/b"], np.uint8), OBLIQUE)
    for other in (nib.Nifti1Image(corrected, written.affine, written.header), truth):
        nib.save(other, handler.files[1])
        before = handler.files[1].read_bytes()
        with pytest.raises(ValueError, match=r"sub/b_seg.nii.gz is there and .* may be ground truth.* output_dir"):
            VolumeSegmentationHandler(items, cache, tmp_path / "out", LABEL_VALUES)
        assert handler.files[1].read_bytes() == before


def test_every_class_needs_a_value(items, tmp_path):
    with pytest.raises(ValueError, match="no stored label value stands for class 1"):
        VolumeSegmentationHandler(items, None, tmp_path, {0: 0, 3: 2})
    with pytest.raises(ValueError, match="no label map"):
        VolumeSegmentationHandler(items, None, tmp_path, LABEL_VALUES, "multilabel")
