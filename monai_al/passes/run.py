# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Passes of a trained network over items: scores for a strategy, and the evaluation of whole volumes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ignite.handlers import ProgressBar
from monai.engines import SupervisedEvaluator
from monai.inferers import Inferer, SimpleInferer

from monai_al.data import VolumeCache
from monai_al.handlers.embedding import EmbeddingHandler
from monai_al.handlers.uncertainty import UncertaintyHandler
from monai_al.handlers.volume_scores import VolumeScoresHandler
from monai_al.metrics import VolumeScores
from monai_al.records import Item
from monai_al.uncertainty import Measure

__all__ = ["evaluate_volumes", "run_pass", "score_items"]


def run_pass(
    network: torch.nn.Module,
    loader: Iterable[Mapping[str, Any]],
    handlers: Sequence[Any],
    *,
    device: torch.device | str = "cpu",
    inferer: Inferer | None = None,
    description: str | None = None,
    postprocessing: Any = None,
    decollate: bool = False,
) -> None:
    """Run a plain ``SupervisedEvaluator`` over a loader, one batch in memory at a time.

    Args:
        network: the network; every part of it is left in the mode it was in.
        loader: the batches, dictionaries with an ``image``.
        handlers: get attached to the evaluator.
        device: where the network lies.
        inferer: how one batch is predicted.
        description: name of the progress bar; None shows none.
        postprocessing: the evaluator's; it needs ``decollate``.
        decollate: whether the evaluator takes batches apart.

    Example:
        >>> run_pass(torch.nn.Identity(), [], handlers=[])
    """
    if not len(loader):  # type: ignore[arg-type]
        return
    evaluator = SupervisedEvaluator(
        device=torch.device(device),
        val_data_loader=loader,
        network=network,
        inferer=inferer,
        val_handlers=list(handlers),
        postprocessing=postprocessing,
        decollate=decollate,
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
    loader: Iterable[Mapping[str, Any]],
    needs: Mapping[str, Measure | str],
    *,
    activation: str = "softmax",
    seed: int = 0,
    **options: Any,
) -> dict[str, np.ndarray]:
    """Everything that a strategy needs of the items, in one pass.

    Args:
        network: the trained network.
        loader: the items, without labels.
        needs: name -> measure, or path of a layer.
        activation: softmax, sigmoid, multilabel or none.
        seed: fixes the stochastic passes; the process's own random state stays untouched.
        **options: ``device``, ``inferer`` and ``description`` of :func:`run_pass`.

    Returns:
        name -> float64 scores ``(N,)`` in the order of the items, ``-inf`` for an empty region; or float32 embeddings
        ``(N, D)``.

    Raises:
        ValueError: the network gives probabilities or embeddings that are not finite, has no dropout or no members
            where they are needed, or has no such layer.

    Example:
        >>> score_items(torch.nn.Identity(), [], needs={})
        {}
    """
    if not needs:
        return {}
    measures = {name: need for name, need in needs.items() if isinstance(need, Measure)}
    embedders = {name: EmbeddingHandler(need, name=name) for name, need in needs.items() if isinstance(need, str)}
    inferer = None
    if not embedders and all(one.stochastic and one.samples != "augmentation" for one in measures.values()):
        inferer, options["inferer"] = options.get("inferer") or SimpleInferer(), _NoPrediction()
    scorer = [UncertaintyHandler(measures, activation, inferer, seed=seed)] if measures else []
    run_pass(network, loader, [*scorer, *embedders.values()], **options)
    scores = {name: np.asarray(scorer[0].scores[name], dtype=np.float64) for name in measures}
    return scores | {name: handler.embeddings for name, handler in embedders.items()}


class _NoPrediction(Inferer):
    """Where only further predictions count, the evaluator need not make one of its own."""

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        return inputs


def evaluate_volumes(
    network: torch.nn.Module,
    loader: Iterable[Mapping[str, Any]],
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
        loader: the items.
        items: all slices of the volumes, in pool order.
        cache: where the volumes lie.
        n_classes: number of classes with the background.
        activation: softmax, sigmoid or none.
        **options: ``device``, ``inferer`` and ``description`` of :func:`run_pass`.

    Returns:
        ``(volume, patient, scores)`` for each volume.

    Example:
        >>> evaluate_volumes(torch.nn.Identity(), [], [], cache=None, n_classes=2)
        []
    """
    handler = VolumeScoresHandler(items, cache, n_classes, activation)
    run_pass(network, loader, [handler], **options)
    return handler.scores
