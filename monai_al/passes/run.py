# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""One pass of a network over a loader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from ignite.handlers import ProgressBar
from monai.engines import SupervisedEvaluator
from monai.inferers import Inferer

__all__ = ["run_pass"]


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
