# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Learning curves through MONAI's TensorBoard and MLflow handlers.

The handlers are attached to an ``ActiveLearner``; the number of labeled items is the step. A run that goes on passes
all its rounds again, and each point of the curve is there once all the same.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.utils import optional_import

from monai_al.records.cost_model import COST_COLUMNS, cost_in_column

__all__ = ["LateSummaryWriter", "learning_curve_values", "with_labeled_as_step", "write_learning_curve_scalars"]

SCORES = ("dice_3d", "dice_2d", "hd95_3d")
NOT_IN_A_NAME = re.compile(r"[^\w\-. ]")  # characters that MLflow refuses


def learning_curve_values(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a round that make a curve.

    Args:
        metrics: content of a round's ``metrics.json``; nothing for a round that waits for labels.

    Returns:
        ``labeled``, ``fraction``, ``cost`` and those of the other models (``cost_slices`` and so on), the mean of each
        score as ``dice_3d`` and so on, and its classes as ``dice_3d_<class>``; what is undefined is left out.

    Example:
        >>> learning_curve_values({"labeled": 8, "dice_3d": {"mean": 0.5, "per_class": {"liver": None}}})
        {'labeled': 8.0, 'dice_3d': 0.5}
    """
    values = {
        "labeled": metrics.get("labeled"),
        "fraction": metrics.get("fraction"),
        **{column: cost_in_column(metrics.get("cost", {}), column) for column in COST_COLUMNS},
    }
    for score in SCORES:
        entry = metrics.get(score, {})
        values[score] = entry.get("mean")
        for name, value in entry.get("per_class", {}).items():
            values[f"{score}_{NOT_IN_A_NAME.sub('_', name)}"] = value
    return {name: float(value) for name, value in values.items() if isinstance(value, Real)}


def write_learning_curve_scalars(engine: Any, writer: Any) -> None:
    """Write a round to TensorBoard: the ``iteration_event_writer`` of a ``TensorBoardStatsHandler``.

    Args:
        engine: its ``state.output`` is the round's metrics.
        writer: a ``SummaryWriter``.

    Example:
        >>> from types import SimpleNamespace
        >>> writer = SimpleNamespace(add_scalar=print, flush=lambda: None)
        >>> state = SimpleNamespace(output={"labeled": 8, "dice_3d": {"mean": 0.5}})
        >>> write_learning_curve_scalars(SimpleNamespace(state=state), writer)
        labeled 8.0 8
        dice_3d 0.5 8
    """
    values = learning_curve_values(engine.state.output)
    for name, value in values.items():
        writer.add_scalar(name, value, int(values["labeled"]))
    writer.flush()


class LateSummaryWriter:
    """TensorBoard's ``SummaryWriter``, opened at the first value and closed when the engine it is attached to ends.

    So a run whose start is refused leaves no trace. It takes the place of what earlier starts of the same run wrote.

    Args:
        log_dir: one folder per run.

    Raises:
        ImportError: tensorboard is not installed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     writer = LateSummaryWriter(folder)
        ...     before = len(list(Path(folder).iterdir()))
        ...     writer.add_scalar("dice_3d", 0.5, 8)
        ...     writer.close()
        ...     before, len(list(Path(folder).iterdir()))
        (0, 1)
    """

    def __init__(self, log_dir: str | Path) -> None:
        summary_writer, there = optional_import("torch.utils.tensorboard", name="SummaryWriter")
        if not there:
            raise ImportError("learning curves to TensorBoard need it: pip install tensorboard")
        self.log_dir = Path(log_dir)
        self._make = functools.partial(summary_writer, str(self.log_dir), purge_step=0)
        self._writer: Any = None

    def attach(self, engine: Engine) -> None:
        """Close with this engine's run."""
        engine.add_event_handler(Events.COMPLETED, self.close)

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        """Write one number."""
        if self._writer is None:
            self._writer = self._make()
        self._writer.add_scalar(tag, value, step)

    def flush(self) -> None:
        """Bring what is written to the disk."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """End the writer and its thread; the next value opens another one."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def with_labeled_as_step(handler: Any) -> Any:
    """Let MONAI's ``MLFlowHandler`` log the rounds of a learner over the number of labeled items.

    A point that its MLflow run has already is not logged again.

    Args:
        handler: gets another ``iteration_logger``.

    Returns:
        The handler itself.

    Example:
        >>> from types import SimpleNamespace
        >>> with_labeled_as_step(SimpleNamespace()).iteration_logger.func.__name__
        '_log_round'
    """
    handler.iteration_logger = functools.partial(_log_round, handler)
    return handler


def _log_round(handler: Any, engine: Any) -> None:
    metric, _ = optional_import("mlflow.entities", name="Metric")
    values = learning_curve_values(engine.state.output)
    if not values:
        return
    run, step = handler.cur_run.info.run_id, int(values["labeled"])
    if step not in {point.step for point in handler.client.get_metric_history(run, "labeled")}:
        now = int(time.time() * 1000)
        handler.client.log_batch(run, metrics=[metric(name, value, now, step) for name, value in values.items()])
