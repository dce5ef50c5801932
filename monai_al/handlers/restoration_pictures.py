# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of what a network restores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.utils import CommonKeys
from torch import Tensor

from monai_al.records.files import write_file

__all__ = ["RestorationPictures", "restoration_strips"]

PARTS = ("original", "deformed", "restored")


def restoration_strips(output: Mapping[str, Tensor]) -> list[Tensor]:
    """For each image of a batch the original, the deformed and the restored one side by side.

    Args:
        output: of an evaluator with a :class:`~monai_al.transforms.RestorationBatch`: ``label``, ``image`` and
            ``pred``, the last one before the sigmoid, each ``(B, C, H, W)`` or ``(B, C, H, W, D)``, of which the middle
            slice is shown.

    Returns:
        float32 ``(C, H, 3 * W)`` on the CPU, each.

    Example:
        >>> output = dict.fromkeys(["label", "image", "pred"], torch.zeros(2, 1, 8, 6, 5))
        >>> [tuple(strip.shape) for strip in restoration_strips(output)]
        [(1, 8, 18), (1, 8, 18)]
    """
    parts = [output[CommonKeys.LABEL], output[CommonKeys.IMAGE], output[CommonKeys.PRED].sigmoid()]
    flat = [
        one.as_subclass(Tensor) if one.ndim == 4 else one.as_subclass(Tensor)[..., one.shape[-1] // 2] for one in parts
    ]
    return list(torch.cat([one.detach().float().cpu() for one in flat], dim=-1))


class RestorationPictures:
    """After each run of an evaluator, write a picture of its last images: original, deformed and restored.

    Args:
        path: the PNG, replaced in one go.
        items: how many images at most.

    Example:
        >>> import tempfile
        >>> evaluator = Engine(lambda engine, batch: dict.fromkeys(["label", "image", "pred"], batch))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     RestorationPictures(f"{folder}/restoration.png").attach(evaluator)
        ...     _ = evaluator.run([torch.rand(2, 1, 16, 16)])
        ...     Path(folder, "restoration.png").is_file()
        True
    """

    def __init__(self, path: str | Path, items: int = 4) -> None:
        self.path, self.items = Path(path), items

    def attach(self, engine: Engine) -> None:
        """Write after each run.

        Args:
            engine: the evaluator.
        """
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        """Write the picture of the evaluator's last output."""
        from matplotlib.figure import Figure  # not at import: it takes long, and trainings without pictures need none

        strips = restoration_strips(engine.state.output)[: self.items]
        _, height, width = strips[0].shape
        figure = Figure(figsize=(6.0, 2.05 * len(strips) * 3 * height / width), layout="constrained")
        for strip, axes in zip(strips, figure.subplots(len(strips), 1, squeeze=False)[:, 0], strict=True):
            shown = strip.permute(1, 2, 0) if len(strip) == 3 else strip[0]
            axes.imshow(shown.clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1, aspect="equal")
            axes.set_xticks([(i + 0.5) * width / 3 for i in range(3)], PARTS, fontsize="small")
            axes.set_yticks([])
            axes.tick_params(length=0)
        write_file(self.path, lambda file: figure.savefig(file, format="png", dpi=100))
