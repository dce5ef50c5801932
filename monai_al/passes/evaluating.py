# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The scores of whole volumes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from monai_al.inferers import TrainedNetwork
from monai_al.metrics import VolumeScores
from monai_al.passes.run import run_pass
from monai_al.records import Item
from monai_al.sources import Source, summary_of

__all__ = ["evaluate_items", "volume_scores"]


def evaluate_items(
    source: Source,
    trained: TrainedNetwork,
    items: Sequence[Item],
    *,
    empty_policy: str = "strict",
    batch_size: int = 64,
    description: str | None = None,
) -> dict[str, Any]:
    """Score every volume of the items on its stored grid.

    Args:
        source: where the items lie.
        trained: network, inferer, device and activation.
        items: all slices of the volumes, in pool order.
        empty_policy: how empty masks count; see :func:`monai_al.metrics.summarize`.
        batch_size: items per batch, at most, where several fit into one.
        description: name of the progress bar; None shows none.

    Returns:
        What :func:`monai_al.metrics.summarize` gives, whether the spacing is a placeholder, and what else the source
        says of the scores.

    Example:
        >>> import tempfile, torch
        >>> from monai.inferers import SimpleInferer
        >>> from monai_al.data import VolumeCache
        >>> from monai_al.datasets import phantom
        >>> from monai_al.sources import SliceSource
        >>> trained = TrainedNetwork(torch.nn.Conv2d(1, 3, 1), torch.device("cpu"), SimpleInferer(), "softmax")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pool = phantom(folder, patients=1, shape=(16, 16, 6), classes=["background", "liver", "tumor"])
        ...     source = SliceSource(pool, VolumeCache(folder, label_values=pool.label_values, progress=False))
        ...     scores = evaluate_items(source, trained, pool.items)
        >>> list(scores["dice_3d"]["per_class"])
        ['liver', 'tumor']
    """
    scores, outside = volume_scores(source, trained, items, batch_size=batch_size, description=description)
    return {**summary_of(source, scores, items, empty_policy=empty_policy), **source.told_of_scores(outside)}


def volume_scores(
    source: Source,
    trained: TrainedNetwork,
    items: Sequence[Item],
    *,
    volumes: Collection[str] | None = None,
    batch_size: int = 64,
    description: str | None = None,
) -> tuple[list[tuple[str, str, VolumeScores]], dict[str, dict[str, int]]]:
    """Score volumes, one by one, on their stored grids.

    Args:
        source: where the items lie.
        trained: network, inferer, device and activation.
        items: all slices of the volumes, in pool order.
        volumes: those to score; the batches are those of all. None: all.
        batch_size: items per batch, at most, where several fit into one.
        description: name of the progress bar; None shows none.

    Returns:
        ``(volume, patient, scores)`` of each, in the order in which they are done; and volume -> what of its label the
        network does not see, of sources that can tell.

    Example:
        >>> import torch
        >>> from monai.inferers import SimpleInferer
        >>> from monai_al.records import Pool
        >>> from monai_al.sources import SliceSource
        >>> trained = TrainedNetwork(torch.nn.Identity(), torch.device("cpu"), SimpleInferer(), "softmax")
        >>> volume_scores(SliceSource(Pool([]), cache=None), trained, [])
        ([], {})
    """
    evaluation = source.evaluation(trained, items, volumes=volumes, batch_size=batch_size)
    run_pass(
        trained.network,
        evaluation.loader,
        evaluation.handlers,
        device=trained.device,
        inferer=trained.inferer,
        description=description,
        postprocessing=evaluation.postprocessing,
        decollate=evaluation.decollate,
    )
    return evaluation.scorer.scores, evaluation.scorer.outside
