# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""One entry after another, and where a prediction of it lies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from ignite.engine import Engine
from monai.data import DataLoader, MetaTensor
from monai.engines import IterationEvents
from monai.utils import CommonKeys

__all__ = ["KeepPlace", "one_by_one"]


class KeepPlace:
    """Lets a network's output lie where its input does, where a network or inferer has dropped MONAI's meta data.

    Without it, MONAI's postprocessing takes such an output to lie at the origin with a voxel size of 1.

    Example:
        >>> from monai.engines import SupervisedEvaluator
        >>> image = MetaTensor(torch.zeros(1, 1, 4, 4), affine=torch.diag(torch.tensor([2.0, 3, 1, 1])))
        >>> plain = torch.nn.Module()
        >>> plain.forward = lambda x: x.as_tensor()
        >>> evaluator = SupervisedEvaluator("cpu", [{"image": image}], plain, decollate=False)
        >>> KeepPlace().attach(evaluator)
        >>> evaluator.run()
        >>> evaluator.state.output["pred"].affine.diagonal().tolist()
        [2.0, 3.0, 1.0, 1.0]
    """

    def attach(self, engine: Engine) -> None:
        """Act before the postprocessing of each batch."""
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Give the batch's prediction the meta data of its image."""
        output: Any = engine.state.output
        image, prediction = output[CommonKeys.IMAGE], output[CommonKeys.PRED]
        known = isinstance(image, MetaTensor) and not isinstance(prediction, MetaTensor)
        if known and prediction.shape[2:] == image.shape[2:]:
            output[CommonKeys.PRED] = MetaTensor(prediction).copy_meta_from(image)


def one_by_one(get: Callable[[int], Any], length: int, *, collate: bool = True) -> DataLoader:
    """A loader of batches of one.

    Args:
        get: number -> entry.
        length: how many there are.
        collate: make a batch of each entry; otherwise it is one already.

    Example:
        >>> list(one_by_one(lambda number: {"image": number}, 2, collate=False))
        [{'image': 0}, {'image': 1}]
    """
    how = {} if collate else {"collate_fn": _only}
    return DataLoader(_Lazy(get, length), batch_size=1, num_workers=0, generator=torch.Generator(), **how)


class _Lazy(torch.utils.data.Dataset):
    def __init__(self, get: Callable[[int], Any], length: int) -> None:
        self.get, self.length = get, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return self.get(index)


def _only(batch: list[Any]) -> Any:
    return batch[0]
