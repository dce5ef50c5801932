# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A run on files of other orders of axes is the run on the same volumes with their slices along the third axis."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.engines import SupervisedEvaluator

from monai_al.annotators import Annotator, Answer
from monai_al.cli import find_asset
from monai_al.data.slice_axis import in_stored_order
from monai_al.engines import ActiveLearner, TrainedRun, apply_to_scans
from monai_al.engines.seen_items import predicted_items, upright_item
from monai_al.handlers import VolumeSegmentationHandler
from monai_al.records import Label
from monai_al.strategies import Uncertainty

TRAIN = find_asset("selective_uncertainty_spleen") / "configs" / "train.yaml"
AFFINE = np.array([[0.6, -0.2, 0.3, -31.5], [0.1, 0.7, -0.4, 12.25], [0.1, 0.2, 4.0, 7.0], [0, 0, 0, 1]])
STORED = {"plain": (2,), "turned": (0, 1, 2)}  # slice axes of the files, in turn


class Person(Annotator):
    """Returns what is stored beside the image, in the file's own order; of every third item a quarter is annotated."""

    name = "person"

    def __init__(self, folder):
        self.folder = Path(folder)

    def annotate(self, query, pool, work=None):
        labels = []
        self.folder.mkdir(parents=True, exist_ok=True)
        for number, item in enumerate(pool[pool.index(id)] for id in query.ids):
            assert work.image(item).image.shape[3] == sum(one.volume == item.volume for one in pool)
            prediction = work.prediction(item)
            assert prediction is None or prediction.shape == work.image(item).image.shape[1:]
            stored = nib.load(item.label)
            classes = np.asarray(stored.dataobj).copy()
            if number % 3 == 0:
                last = np.moveaxis(classes, item.slice_axis, -1)  # a view
                last[: last.shape[0] // 2, : last.shape[1] // 2, item.slice] = 255
            path = self.folder / f"{query.round}_{number}.nii"
            nib.save(nib.Nifti1Image(classes, stored.affine), path)
            labels.append(Label(item.id, where=str(path), coding="class numbers"))
        return Answer(tuple(labels))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same volumes in two folders, and a run on each."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("axes")
    for kind, axes in STORED.items():
        for number in range(6):
            rng = np.random.default_rng(number)
            label = np.zeros((18, 14, 5), np.uint8)
            label[4 : 9 + number, 3:9, 1:4] = 1
            image = (20 * label + rng.normal(0, 4, label.shape)).astype(np.float32)
            for part, array in (("images", image), ("labels", label)):
                path = root / kind / part / f"case_{number}.nii"
                path.parent.mkdir(parents=True, exist_ok=True)
                nib.save(nib.Nifti1Image(*in_stored_order(array, AFFINE, axes[number % len(axes)])), path)
        ActiveLearner(
            TRAIN,
            Uncertainty("entropy"),
            root / f"run_{kind}",
            annotator=Person(root / f"returned_{kind}"),
            overrides={
                "dataset_dir": str(root / kind),
                "datalist": {
                    "_target_": "monai_al.datasets.folder", "root": "@dataset_dir",
                    "slice_axis": "coarsest" if kind == "turned" else 2,
                },
                "cache_dir": str(root / "cache"), "image_size": [16, 16], "channels": [4, 8], "steps": 3,
                "batch_size": 4, "device": "cpu", "progress": False,
            },
            budget=4,
            rounds=2,
            progress=False,
        ).run()  # fmt: skip
    torch.set_num_threads(before)
    return root


def test_items_are_the_same_but_for_their_axis(runs):
    pools = [TrainedRun(runs / f"run_{kind}").source.data for kind in STORED]
    plain, turned = ([(i.id, i.slice, i.split, i.patient) for i in pool] for pool in pools)
    assert plain == turned
    assert [{item.slice_axis for item in pool} for pool in pools] == [{2}, {0, 1, 2}]
    recorded = [json.loads((runs / f"run_{kind}" / "pool.json").read_text()) for kind in STORED]
    assert [pool.get("slice_axis") for pool in recorded] == [None, "coarsest"]
    assert [[item.get("slice_axis", 2) for item in pool["items"]] for pool in recorded] == [
        [item.slice_axis for item in pool] for pool in pools
    ]


def test_batches_and_pictures_are_the_same(runs):
    sources = [TrainedRun(runs / f"run_{kind}").source for kind in STORED]
    for mine, other in zip(*(source.loader(source.data, with_label=True) for source in sources), strict=True):
        assert mine["id"] == other["id"]
        for key in ("image", "label", "valid"):
            assert torch.equal(mine[key], other[key])
    items = [source.data[:5] for source in sources]
    seen = [predicted_items(source, own) for source, own in zip(sources, items, strict=True)]
    for k in range(5):
        mine, other = (upright_item(sources[i], items[i][k], seen[i][k]).image for i in range(2))
        np.testing.assert_array_equal(mine, other)


def test_queries_labels_weights_and_scores_are_the_same(runs):
    for name in ("query.json", "labels/0000.json", "metrics.json"):
        for number in range(2):
            mine, other = (json.loads((runs / f"run_{kind}/round_{number:02d}" / name).read_text()) for kind in STORED)
            for record in (mine, other):
                record.pop("when", None)
                record.pop("test_labels", None)  # hashes of files
                for item in record.get("items", ()):
                    item.pop("place")  # in files whose axes differ
            assert mine == other, name
    returned = json.loads((runs / "run_turned/round_00/labels/0000.json").read_text())
    assert {label["kind"] for label in returned["labels"]} == {"full", "weak"}
    weights = [torch.load(runs / f"run_{kind}/round_01/model_0.pt", weights_only=True)["model"] for kind in STORED]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_masks_lie_on_their_files(runs):
    """Of new scans, which are read as the run's own were, and the labels in class numbers that the run keeps."""
    for kind in STORED:
        applied = apply_to_scans(runs / f"run_{kind}", runs / kind / "images")
        applied.prepare()
        source, trained = applied.data, applied.trained
        handler = VolumeSegmentationHandler(applied.items, source.cache, runs / f"seg_{kind}", {0: 0, 1: 1})
        evaluator = SupervisedEvaluator(
            "cpu", source.loader(applied.items), trained.network, inferer=trained.inferer, val_handlers=[handler],
            decollate=False,
        )  # fmt: skip
        evaluator.run()
    found = 0
    for number in range(6):
        plain, turned = (nib.load(runs / f"seg_{kind}" / f"case_{number}_seg.nii.gz") for kind in STORED)
        image = nib.load(runs / "turned" / "images" / f"case_{number}.nii")
        expected, _ = in_stored_order(np.asarray(plain.dataobj), AFFINE, number % 3)
        np.testing.assert_array_equal(np.asarray(turned.dataobj), expected)
        np.testing.assert_array_equal(turned.affine, image.affine)
        found += np.asarray(turned.dataobj).any()
    assert found
    for path in (runs / "run_turned").glob("round_*/answers/*/*.nii.gz"):
        kept = nib.load(path)
        images = [nib.load(file) for file in (runs / "turned" / "images").iterdir()]
        assert any(kept.shape == image.shape and (kept.affine == image.affine).all() for image in images)
