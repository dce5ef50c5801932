# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What the oracles have in common that answer with scribbles."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from monai_al.annotators.base import Answer
from monai_al.annotators.oracle import Oracle
from monai_al.annotators.work import Work
from monai_al.data.label_files import write_label_map
from monai_al.records import ORACLE, TEST, WEAK, DataError, Item, Label, Pool, Query, rng
from monai_al.sources import Source

__all__ = ["WeakOracle"]


class WeakOracle(Oracle):
    """Answers with scribbles, all items of a query or a share of them; the others get the data set's own label.

    A test set that is annotated gets the data set's own labels, too.

    Which items are answered weakly follows from their ids and the seed alone.

    Args:
        share: of the items that are answered with scribbles, above 0 to 1.
        seed: another seed draws other items, and other strokes where they are drawn.

    Raises:
        ValueError: the share is out of its range.

    Example:
        >>> from monai_al.annotators import DrawingOracle
        >>> half = DrawingOracle(share=0.5)
        >>> [half.answers_weakly(f"a/{z:04d}") for z in range(5)]
        [True, True, True, False, True]
    """

    name = f"{ORACLE} (scribbles)"

    def __init__(self, share: float = 1.0, seed: int = 0) -> None:
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 1:
            raise ValueError(f"the share of items that are answered with scribbles must lie in (0, 1], got {share!r}")
        self.share, self.seed = float(share), seed

    def check(self, source: Source) -> None:
        """The data can take scribbles.

        Raises:
            DataError: a foreign bundle reads them, whose loss would take pixels without annotation for a class; or see
                the subclass.
        """
        if not source.reads_class_numbers:
            raise DataError(
                f"the annotator {self.name} needs a training config with a pool and a cache of its own: the loss of "
                "another bundle does not leave out pixels that are not annotated; take the data set's full labels"
            )

    def answers_weakly(self, id: str) -> bool:
        """Whether an item is answered with scribbles."""
        return self.share == 1 or rng(self.seed, 0, f"weak {id}").random() < self.share

    def annotate(self, query: Query, pool: Pool, work: Work | None = None) -> Answer:
        """Label all items of a query.

        Args:
            query: what is asked.
            pool: the pool that the items belong to.
            work: gives the data.

        Returns:
            An answer whose label files last as long as it does.

        Raises:
            ValueError: it is called without the work.
            DataError: an item has neither scribbles nor ground truth, or one cannot be read.
        """
        if work is None:
            raise ValueError(f"the annotator {type(self).__name__} needs the work: call it by monai_al.annotators.ask")
        if query.round == TEST:  # networks are scored on full labels
            return super().annotate(query, pool, work)
        weak = [pool[pool.index(id)] for id in query.ids if self.answers_weakly(id)]
        folder = Path(tempfile.mkdtemp(prefix="monai_al_"))
        try:
            labels: dict[str, str | Label] = {
                label.id: label.id for label in super().annotate(_without(query, weak), pool).labels
            }
            of_volume: dict[str, list[Item]] = {}
            for item in weak:
                of_volume.setdefault(item.volume, []).append(item)
            for position, items in enumerate(of_volume.values()):
                labels |= self._labels(items, work.source, folder / f"{position:03d}.nii.gz")
            answer = Answer(tuple(labels[id] for id in query.ids))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        weakref.finalize(answer, shutil.rmtree, folder, ignore_errors=True)
        return answer

    def _labels(self, items: Sequence[Item], source: Source, path: Path) -> dict[str, str | Label]:
        """The labels of some items of one volume; their scribbles are written to one file."""
        drawn = self.scribbles(items, source)
        if drawn is None:
            return {item.id: item.id for item in items}
        assert source.cache is not None
        affine, first = source.cache.get(items[0]).geometry.stored_affine, items[0]
        write_label_map(path, drawn, like=first.image, affine=affine, slice_axis=first.slice_axis)
        return {item.id: Label(item.id, WEAK, where=str(path), slice=item.slice) for item in items}

    @abstractmethod
    def scribbles(self, items: Sequence[Item], source: Source) -> np.ndarray | None:
        """The scribbles of some items of one volume.

        Args:
            items: the items.
            source: the data.

        Returns:
            Class numbers ``(H, W, D)`` on the stored grid of the image, uint8, 255 where nothing is annotated; None
            where the data set's own labels of them are scribbles.

        Raises:
            DataError: there are none, or they cannot be read.
        """


def _without(query: Query, items: Sequence[Item]) -> Query:
    left_out = {item.id for item in items}
    asked = tuple(one for one in query.items if one.id not in left_out)
    return Query(query.round, query.strategy, query.seed, asked)
