# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a strategy needs of items, in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer, SimpleInferer

from monai_al.handlers.round_handlers import RoundHandlers
from monai_al.passes.run import run_pass
from monai_al.passes.sharing import Before
from monai_al.uncertainty import Measure

__all__ = ["score_items"]


def score_items(
    network: torch.nn.Module,
    loader: Iterable[Mapping[str, Any]],
    needs: Mapping[str, Measure | str],
    *,
    activation: str = "softmax",
    seed: int = 0,
    before: Before = Before(),  # noqa: B008, it cannot change
    **options: Any,
) -> dict[str, np.ndarray]:
    """Everything that a strategy needs of the items, in one pass.

    Args:
        network: the trained network.
        loader: the items, without labels.
        needs: name -> measure, or path of a layer.
        activation: softmax, sigmoid, multilabel or none.
        seed: fixes the stochastic passes; the process's own random state stays untouched.
        before: what of the pass comes before these items, in other processes.
        **options: ``device``, ``inferer`` and ``description`` of :func:`run_pass`.

    Returns:
        name -> float64 scores ``(N,)`` in the order of the items, ``-inf`` for an empty region, those of a
        :class:`~monai_al.uncertainty.ClassMeasure` under a name for each class; or float32 embeddings ``(N, D)``.

    Raises:
        ValueError: the network gives probabilities or embeddings that are not finite, has no dropout or no members
            where they are needed, or has no such layer.

    Example:
        >>> score_items(torch.nn.Identity(), [], needs={})
        {}
    """
    if not needs:
        return {}
    inferer = options.get("inferer") or SimpleInferer()
    handlers = RoundHandlers(needs, activation, inferer, seed=seed, before=before)
    if not handlers.reads_prediction:
        options["inferer"] = _NoPrediction()
    run_pass(network, loader, [handlers], **options)
    return handlers.found


class _NoPrediction(Inferer):
    """Where only further predictions count, the evaluator need not make one of its own."""

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        return inputs
