# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.data import MetaTensor
from monai.engines import SupervisedTrainer
from torch.utils.data import DataLoader, Dataset

from monai_al.data import GroupBatchSampler, SliceDataset, VolumeCache
from monai_al.datasets import phantom
from monai_al.losses import MetricLearningLoss
from monai_al.networks import SimCLR
from monai_al.transforms import ContrastiveAugmentation, ContrastiveBatch

pytestmark = pytest.mark.usefixtures("one_thread")


def entries(patients, volumes, slices, side=8) -> dict[str, torch.Tensor]:
    """A batch of a loader."""
    made = {"image": torch.rand(len(patients), 1, side, side, generator=torch.Generator().manual_seed(0))}
    return made | {
        key: torch.tensor(value) for key, value in (("patient", patients), ("volume", volumes), ("slice", slices))
    }


BATCH = entries([4, 4, 4, 7, 7, 7], [8, 8, 9, 2, 2, 2], [3, 4, 3, 0, 1, 0])


def noise(images: torch.Tensor) -> torch.Tensor:
    return images + torch.rand(len(images), 1, 1, 1)


# -- views -------------------------------------------------------------------------------------------------------------


def test_the_slices_and_then_their_augmentations():
    torch.manual_seed(0)
    views, _ = ContrastiveBatch(noise)(BATCH)
    torch.manual_seed(0)
    assert torch.equal(views[:6], BATCH["image"])
    assert torch.equal(views[6:], noise(BATCH["image"]))


def test_both_augmented():
    torch.manual_seed(0)
    views, _ = ContrastiveBatch(noise, augment_both=True)(BATCH)
    torch.manual_seed(0)
    assert torch.equal(views[:6], noise(BATCH["image"]))
    assert torch.equal(views[6:], noise(BATCH["image"]))
    assert not torch.equal(views[:6], views[6:])


def test_the_augmentation_gets_plain_tensors_as_they_are_trained_on():
    seen = []

    def watch(images):
        seen.append(images)
        return images

    batch = BATCH | {"image": MetaTensor(BATCH["image"])}
    views, groups = ContrastiveBatch(watch)(batch, device="cpu", dtype=torch.float64)
    assert type(seen[0]) is type(views) is type(groups) is torch.Tensor
    assert (seen[0].dtype, views.dtype, groups.dtype) == (torch.float64, torch.float64, torch.int64)


# -- groups ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (["volume", "patient"], [0, 1, 2, 3, 4, 3]),
        (["patient", "slice"], [0, 0, 1, 2, 2, 2]),
        (["slice"], [0, 0, 1, 1, 2, 1]),
        ([], [0, 1, 2, 3, 4, 3]),
    ],
)
def test_groups(members, expected):
    _, groups = ContrastiveBatch(noise, members=members)(BATCH)
    assert groups.dtype == torch.int64
    assert groups[:, 0].tolist() == BATCH["patient"].tolist()
    assert groups[:, 1].tolist() == BATCH["volume"].tolist()
    assert groups[:, 2].tolist() == expected


def test_a_batch_of_another_sampler():
    with pytest.raises(ValueError, match="6 volumes and 6 slices are not whole groups of 4"):
        ContrastiveBatch(noise, members=["slice", "volume", "patient"])(BATCH)


# -- with the sampler and a trainer ------------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [["volume", "patient"], ["slice", "volume", "patient"], []])
def test_batches_of_a_pool(tmp_path, members):
    pool = phantom(tmp_path, patients=4, volumes_per_patient=2, shape=(16, 16, 6))
    data = SliceDataset(pool.items, VolumeCache(tmp_path, label_values=pool.label_values, progress=False))
    prepare, length = ContrastiveBatch(noise, members), 1 + len(members)
    loader = DataLoader(data, batch_sampler=GroupBatchSampler.of(data.data, members=members, batch_size=3 * length))
    for batch in loader:
        views, groups = prepare(batch)
        items = [next(item for item in pool if item.id == name) for name in batch["id"]]
        for i, one in enumerate(items):
            assert torch.equal(views[i], data[pool.items.index(one)]["image"])
            for j, other in enumerate(items):
                assert (groups[i, 0] == groups[j, 0]) == (one.patient == other.patient)
                assert (groups[i, 1] == groups[j, 1]) == (one.volume == other.volume)
                together = {i, j} == {i // length * length, i // length * length + 1} and "slice" in members
                assert (groups[i, 2] == groups[j, 2]) == (one.id == other.id or together)


class Stripes(Dataset):
    """Two volumes per patient; a patient has its own direction of stripes, a volume its own width."""

    def __init__(self, patients=4, slices=4, side=16):
        self.keys = [(p, 2 * p + v, z) for p in range(patients) for v in (0, 1) for z in range(slices)]
        self.patients, self.side = patients, side

    def __len__(self):
        return len(self.keys)

    def __getitem__(self, index):
        patient, volume, z = self.keys[index]
        rows, columns = np.mgrid[: self.side, : self.side]
        angle = np.pi * patient / self.patients
        wave = np.sin((rows * np.cos(angle) + columns * np.sin(angle)) * (0.5 + 0.4 * (volume % 2)) + z)
        image = torch.tensor(wave[None], dtype=torch.float32)
        return {"image": image, "patient": patient, "volume": volume, "slice": z}


def test_a_trainer_learns():
    data, members = Stripes(), ["volume", "patient"]
    sampler = GroupBatchSampler(*zip(*data.keys, strict=True), members=members, batch_size=9)
    torch.manual_seed(0)
    network = SimCLR(widen_factor=0.0625, projection=(16, 8))
    losses = []
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=4,
        train_data_loader=DataLoader(data, batch_sampler=sampler),
        network=network,
        optimizer=torch.optim.Adam(network.parameters(), lr=1e-2),
        loss_function=MetricLearningLoss(),
        prepare_batch=ContrastiveBatch(ContrastiveAugmentation(), members),
        decollate=False,
    )
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: losses.append(engine.state.output["loss"].item())
    )
    trainer.run()
    assert len(losses) == 4 * len(sampler)
    assert np.mean(losses[-len(sampler) :]) < 0.95 * np.mean(losses[: len(sampler)])
