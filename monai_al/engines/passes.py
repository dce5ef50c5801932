# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Passes of a trained network over items: scores for a strategy, and the evaluation of whole volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ignite.handlers import ProgressBar
from monai.engines import SupervisedEvaluator
from monai.inferers import Inferer
from torch.utils.data import DataLoader

from monai_al.data import Item, SliceDataset, VolumeCache
from monai_al.handlers.uncertainty import UncertaintyHandler
from monai_al.handlers.volume_scores import VolumeScoresHandler
from monai_al.metrics import VolumeScores
from monai_al.uncertainty import Measure

__all__ = ["evaluate_volumes", "run_pass", "score_items"]


def run_pass(
    network: torch.nn.Module,
    items: Sequence[Item],
    cache: VolumeCache,
    handlers: Sequence[Any],
    *,
    device: torch.device | str = "cpu",
    inferer: Inferer | None = None,
    batch_size: int = 64,
    with_label: bool = False,
    description: str | None = None,
) -> None:
    """Run a plain ``SupervisedEvaluator(decollate=False)`` over items in their order, one batch in memory at a time.

    Args:
        network: the network; every part of it is left in the mode it was in.
        items: what to predict. Items of different shape are never in one batch.
        cache: where their volumes lie.
        handlers: get attached to the evaluator.
        device: where the network lies.
        inferer: how one batch is predicted.
        batch_size: items per batch.
        with_label: let the batches hold labels.
        description: name of the progress bar; None shows none.

    Example:
        >>> run_pass(torch.nn.Identity(), [], cache=None, handlers=[])
    """
    if not items:
        return
    dataset = SliceDataset(items, cache, with_label=with_label)
    evaluator = SupervisedEvaluator(
        device=torch.device(device),
        val_data_loader=DataLoader(
            dataset,
            batch_sampler=_batches_of_one_shape(dataset, batch_size),
            generator=torch.Generator(),  # else every pass draws from the process's own random state
        ),
        network=network,
        inferer=inferer,
        decollate=False,
        val_handlers=list(handlers),
    )
    if description is not None:
        ProgressBar(desc=description, disable=None).attach(evaluator)
    modes = [(module, module.training) for module in network.modules()]
    try:
        evaluator.run()
    finally:
        for module, training in modes:
            module.training = training


def score_items(
    network: torch.nn.Module,
    items: Sequence[Item],
    cache: VolumeCache,
    needs: Mapping[str, Measure],
    *,
    activation: str = "softmax",
    seed: int = 0,
    **options: Any,
) -> dict[str, np.ndarray]:
    """All measures that a strategy needs, in one pass that never reads a label.

    Args:
        network: the trained network.
        items: what to score.
        cache: where their volumes lie.
        needs: name -> measure.
        activation: softmax, sigmoid, multilabel or none.
        seed: fixes the stochastic passes; the process's own random state stays untouched.
        **options: ``device``, ``inferer``, ``batch_size`` and ``description`` of :func:`run_pass`.

    Returns:
        name -> float64 ``(N,)`` in the order of the items; ``-inf`` for an empty region.

    Raises:
        ValueError: the network gives probabilities that are not finite, or has no dropout where that is needed.

    Example:
        >>> score_items(torch.nn.Identity(), [], cache=None, needs={})
        {}
    """
    if not needs:
        return {}
    handler = UncertaintyHandler(dict(needs), activation=activation, seed=seed)
    run_pass(network, items, cache, [handler], **options)
    return {name: np.asarray(handler.scores[name], dtype=np.float64) for name in needs}


def evaluate_volumes(
    network: torch.nn.Module,
    items: Sequence[Item],
    cache: VolumeCache,
    n_classes: int,
    *,
    activation: str = "softmax",
    **options: Any,
) -> list[tuple[str, str, VolumeScores]]:
    """Score every volume of the items on its stored grid.

    Args:
        network: the trained network.
        items: all slices of the volumes, in pool order.
        cache: where the volumes lie.
        n_classes: number of classes with the background.
        activation: softmax, sigmoid or none.
        **options: ``device``, ``inferer``, ``batch_size`` and ``description`` of :func:`run_pass`.

    Returns:
        ``(volume, patient, scores)`` for each volume.

    Example:
        >>> evaluate_volumes(torch.nn.Identity(), [], cache=None, n_classes=2)
        []
    """
    handler = VolumeScoresHandler(items, cache, n_classes, activation)
    run_pass(network, items, cache, [handler], **options)
    return handler.scores


def _batches_of_one_shape(dataset: SliceDataset, batch_size: int) -> list[list[int]]:
    """Positions in order, cut into batches where the batch is full or the volume's shape changes."""
    batches: list[list[int]] = []
    last = None
    for index, item in enumerate(dataset.data):
        shape = dataset.cache.get(item).geometry.shape
        grid = shape if item.slice is None else shape[:2]
        if grid != last or len(batches[-1]) == batch_size:
            batches.append([])
            last = grid
        batches[-1].append(index)
    return batches
