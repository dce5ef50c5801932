# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What every source can do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch.utils.data import DataLoader

from monai_al.data import VolumeCache
from monai_al.inferers import TrainedNetwork
from monai_al.metrics import VolumeScores
from monai_al.records import Item, Pool
from monai_al.records.cost_model import AreaScale, CostSettings
from monai_al.uncertainty import Measure

__all__ = ["EvaluationPass", "KeepsScores", "Source"]


class KeepsScores(Protocol):
    """A handler that scores volumes.

    Example:
        >>> from monai_al.handlers import VolumeScoresHandler
        >>> handler: KeepsScores = VolumeScoresHandler([], cache=None, n_classes=2)
    """

    scores: list[tuple[str, str, VolumeScores]]
    """``(volume, patient, scores)`` of each volume, after the pass."""
    outside: dict[str, dict[str, int]]
    """Volume -> what of its label the network does not see; empty where that cannot be."""


@dataclass(frozen=True)
class EvaluationPass:
    """How items are predicted so that their volumes get scored.

    Args:
        loader: the batches.
        scorer: scores the volumes.
        handlers: all handlers of the pass, the scorer among them, in their order.
        postprocessing: from a prediction to what is scored; None changes nothing.
        decollate: whether the evaluator takes batches apart, which a postprocessing needs.

    Example:
        >>> from monai_al.handlers import VolumeScoresHandler
        >>> scorer = VolumeScoresHandler([], cache=None, n_classes=2)
        >>> EvaluationPass([], scorer, [scorer]).decollate
        False
    """

    loader: Any
    scorer: KeepsScores
    handlers: Sequence[Any]
    postprocessing: Any = None
    decollate: bool = False


class Source(Protocol):
    """What a loop knows of its data.

    Example:
        >>> from monai_al.sources import SliceSource
        >>> source: Source = SliceSource(Pool([]), cache=None)
    """

    data: Pool
    """The items of all splits."""
    gives_logits: bool
    """Whether networks give logits to it, because its own postprocessing applies the activation."""
    reads_class_numbers: bool
    """Whether it reads labels in class numbers; otherwise a label is handed to the bundle's own transforms."""
    validates_on_test: bool
    """Whether the validation of a round's training sees the items that the loop tests on."""

    @property
    def cache(self) -> VolumeCache | None:
        """Where its volumes lie; None where it reads them anew each time."""

    @property
    def validation_items(self) -> Sequence[Item]:
        """What the validation of a round's training gets, where nothing else is said; none leaves its list as it is."""

    @property
    def overlapping(self) -> bool:
        """Whether an item may belong to several classes at one place."""

    def prepare(self, items: Sequence[Item] | None = None) -> None:
        """Read and check some items, or all.

        Raises:
            DataError: lists what cannot be used.
        """

    def try_network(self, trained: TrainedNetwork, measures: Iterable[Measure]) -> None:
        """Predict one item, so that what cannot work fails early.

        Raises:
            DataError: the network cannot predict it, or its channels are not the classes.
            ValueError: a measure needs dropout and the network has none.
        """

    def adapted(self, trained: TrainedNetwork) -> TrainedNetwork:
        """The network with the activation that its channels mean here."""

    def entries(self, items: Sequence[Item]) -> tuple[Any, ...]:
        """What the training data set gets for these items."""

    def loader(self, items: Sequence[Item], *, batch_size: int = 64, with_label: bool = False) -> DataLoader:
        """Batches of ``image``, ``id`` and, where there are any, ``valid``, and ``label`` where it is asked for."""

    def evaluation(
        self,
        trained: TrainedNetwork,
        items: Sequence[Item],
        *,
        volumes: Collection[str] | None = None,
        batch_size: int = 64,
    ) -> EvaluationPass:
        """How every volume of the items, or some of them, get scored on their stored grids."""

    def told_of_scores(self, outside: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
        """What else is to be said of the scores of some volumes, with what their network does not see."""

    def cost(
        self,
        labeled: Sequence[Item],
        kinds: Sequence[str],
        settings: CostSettings | None = None,
        scale: AreaScale | None = None,
    ) -> dict[str, Any]:
        """What items with these kinds of labels cost; see :func:`monai_al.sources.annotation_cost`.

        Args:
            labeled: the labeled items, with their labels.
            kinds: the kind of each label.
            settings: what the models assume.
            scale: the mean area that costs by area were found with before; None finds one.
        """

    def annotated_share(self, item: Item) -> float:
        """Which share of an item's stored pixels its label annotates, in [0, 1].

        Raises:
            DataError: the label cannot be read.
        """

    def present(self, items: Sequence[Item]) -> np.ndarray:
        """Which classes the ground truth of each item holds, bool ``(N, C)``.

        Raises:
            DataError: an item has no ground truth.
        """

    def placeholder_spacing(self, items: Sequence[Item]) -> bool:
        """Whether millimetres mean nothing for these items."""

    def slice_affine(self, item: Item) -> np.ndarray | None:
        """Where the axes of a slice as it is shown lead in the body, ``(4, 4)``; None where that is not known."""

    def hashes(self) -> dict[str, str]:
        """Path of every image and of every label of the data set -> SHA-256 of its content."""
