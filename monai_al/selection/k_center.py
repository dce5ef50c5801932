# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The items that cover a pool with the smallest radius, greedily."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from monai_al.selection.check import candidates, check_labeled, tie_rng
from monai_al.selection.coverage import Coverage
from monai_al.selection.embeddings import CHUNK, CenteredRows, blocks, check_embeddings, is_in_memory
from monai_al.selection.flat_index import flat_index, has_faiss

__all__ = ["k_center_greedy"]

_TIE = 1e-12
"""Squared distances that differ by this share count as equal."""
_FRONT = 1024, 16
"""Items in the front: at least so many, and at least the pool over so much."""
_SETTLED = 256, 64
"""Items, likewise, whose distances are settled for one pick before a pass over the pool tightens all bounds."""
_FIRST_SETTLED = 8
_NUMBERS = 2**20
"""Numbers in a block of work."""
_LONG = 2**33
"""Products of numbers from which on faiss takes a pass, where it is installed; importing it takes as long."""
_FOREVER = np.iinfo(np.int32).max


def k_center_greedy(
    embeddings: Any,
    budget: int,
    labeled: ArrayLike = (),
    rng: np.random.Generator | None = None,
    *,
    start: str = "mean",
    device: str | torch.device = "cpu",
    chunk: int = CHUNK,
    groups: ArrayLike | None = None,
) -> np.ndarray:
    """Take the unlabeled item farthest from all labeled and chosen ones, again and again.

    The greedy 2-approximation of the k-center problem, as O. Sener, S. Savarese, "Active learning for convolutional
    neural networks: a core-set approach", 2018, algorithm 1, use it for active learning. The distance of an item is the
    Euclidean one to its nearest labeled or chosen item. Squared distances that differ by 1e-12 of the largest or less
    count as equal, and of equal items the first one is taken.

    The picks are those of the plain algorithm in float64, on every device and with any number of threads, whatever the
    scale of the embeddings and however far they lie from 0: float32 only says which items cannot be the farthest. A
    distance is computed only when it may matter, so that few picks cost a pass over the pool. The first pass, to the
    labeled items, takes most of the time. Where faiss is installed its flat index takes it, if it is long and
    ``device`` is the CPU: on GPUs where faiss was built for some. Else matrix products do, about as fast as faiss on a
    CPU. Beside the embeddings, arrays in memory take one copy in float32; memory-mapped ones a few numbers per item and
    some chunks.

    Args:
        embeddings: ``(N, D)`` float. A memory-mapped array, or anything with a shape, a dtype and slices of rows, is
            never read as a whole.
        budget: how many items.
        labeled: indices that may not be chosen.
        rng: draws the first pick where ``start`` is ``"random"``; default: a fresh generator with the seed 0.
        start: the first pick where nothing is labeled: the item nearest to the ``"mean"`` of all embeddings, or a
            ``"random"`` one.
        device: where passes over the pool run.
        chunk: rows that are read at a time, at most.
        groups: ``(N,)`` names or whole numbers, such as the patient of each item: each pick is the farthest item of
            the groups with the fewest labeled and chosen items, of those that have any left; None: of all.

    Returns:
        ``(budget,)`` distinct int64 indices in pick order.

    Raises:
        ValueError: the embeddings are not finite, not of the shape (N, D), or empty; the budget does not fit; a
            ``labeled`` index is out of range or occurs twice; ``start`` is unknown; or ``groups`` are not one name or
            whole number for each item.

    Example:
        >>> k_center_greedy([[0.0], [1.0], [5.0], [6.0], [10.0]], budget=3, labeled=[0])
        array([4, 2, 1])
        >>> k_center_greedy([[0.0], [1.0], [5.0], [6.0], [10.0]], budget=3)
        array([2, 0, 4])
        >>> k_center_greedy([[0.0], [1.0], [5.0], [6.0], [10.0]], budget=3, labeled=[0], groups=list("abbba"))
        array([3, 4, 1])
    """
    if start not in ("mean", "random"):
        raise ValueError(f"start {start!r} is none of mean, random")
    embeddings = check_embeddings(embeddings, chunk=chunk)
    n = int(embeddings.shape[0])
    _, budget = candidates(n, budget, labeled)
    coverage = None if groups is None else Coverage(groups, n, labeled)
    if budget == 0:
        return np.empty(0, dtype=np.int64)
    rows = CenteredRows(embeddings, chunk)
    centers = check_labeled(labeled, n)
    chosen: list[int] = []
    if len(centers) == 0:
        chosen.append(_nearest_to_mean(rows) if start == "mean" else int(tie_rng(rng).integers(n)))
        centers = np.array(chosen, dtype=np.int64)
        if coverage is not None:
            coverage.add(chosen[0])
    cover = _Cover(rows, centers, torch.device(device))
    while len(chosen) < budget:
        if coverage is not None:
            cover.look_at(coverage.behind())
        chosen.append(cover.farthest())
        cover.add(chosen[-1])
        if coverage is not None:
            coverage.add(chosen[-1])
    return np.array(chosen, dtype=np.int64)


class _Cover:
    """Squared distances of all items to the nearest center: an upper bound each, exact where it matters.

    Distances are those of the scaled rows. A bound stays one when centers are added, since distances only shrink; so an
    item whose bound lies below the exact distance of another one cannot be the farthest, and is left as it is. Only the
    ``front``, the items with the largest bounds, is looked at; no bound outside is above ``rest``. Both are of the
    ``eligible`` items alone, where only those may be the farthest.
    """

    def __init__(self, rows: CenteredRows, centers: np.ndarray, device: torch.device) -> None:
        self.rows = rows
        self.device = device
        self.centers = centers
        self.bound = np.full(rows.n, np.inf)
        self.bound[centers] = -np.inf
        self.exact = np.full(rows.n, np.inf)  # to the first `settled` centers
        self.settled = np.zeros(rows.n, dtype=np.int32)
        self.tightened = 0  # how many centers all bounds know
        self.eligible: np.ndarray | None = None
        self.resident = self._copy() if is_in_memory(rows.embeddings) else None
        self._tighten()
        self._renew_front(_share(rows.n, _FRONT))

    def add(self, center: int) -> None:
        """Count an item as a center from now on."""
        self.centers = np.append(self.centers, center)
        self.bound[center] = -np.inf
        self.front = self.front[self.front != center]

    def look_at(self, eligible: np.ndarray) -> None:
        """Let only these items, bool ``(N,)``, be the farthest from now on."""
        self.eligible = eligible
        self._renew_front(_share(self.rows.n, _FRONT))

    def farthest(self) -> int:
        """The first of the items with the largest distance."""
        front, settled, size = _share(self.rows.n, _FRONT), 0, _FIRST_SETTLED
        while True:
            known = self.settled[self.front] >= len(self.centers)
            bounds = self.bound[self.front]
            least = bounds[known].max(initial=-np.inf) * (1 - _TIE)
            unknown = self.front[~known & (bounds >= least)]
            if len(unknown) == 0 and least > self.rest:
                return int(self.front[(known & (bounds >= least)).argmax()])
            if len(unknown) == 0:
                front *= 2
                self._renew_front(front)
            elif settled >= _share(self.rows.n, _SETTLED) and self.tightened < len(self.centers):
                self._tighten()
                self._renew_front(front)
            else:
                self._settle(unknown[_largest(self.bound[unknown], size)])
                settled, size = settled + size, 4 * size

    def _renew_front(self, size: int) -> None:
        free = np.flatnonzero(self.bound > -np.inf)
        if self.eligible is not None:
            free = free[self.eligible[free]]
        inside = _largest(self.bound[free], size)
        self.front = free[inside]
        outside = np.delete(self.bound[free], inside)
        self.rest = outside.max(initial=-np.inf)

    def _tighten(self) -> None:
        """Lower all bounds by one pass over the pool in float32."""
        late = self.centers[self.tightened :]
        products = len(late) * self.rows.n * self.rows.dim
        by_faiss = self.device.type == "cpu" and products >= _LONG and has_faiss()
        bounds_to = self._bounds_by_faiss if by_faiss else self._bounds_by_products
        with _full_precision(self.device):
            for part in blocks(len(late), max(1, 16 * _NUMBERS // self.rows.dim)):
                for items, bounds in bounds_to(self.rows.centered(np.sort(late[part]))):
                    self.bound[items] = np.minimum(self.bound[items], bounds.clip(0) / self.rows.scale**2)
        self.tightened = len(self.centers)

    def _bounds_by_products(self, rows_of_centers: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Upper bounds of the squared distances to the nearest center, some items at a time."""
        relative, absolute = _error(self.rows.dim, torch.float32)
        centers = self._to_device(rows_of_centers)
        bias = (1 + relative) * _squares(centers)
        for items, rows, norms in self._passing(_NUMBERS * 4 // len(centers)):
            nearest = torch.addmm(bias, rows, centers.T, alpha=-2).amin(1)
            yield items, (nearest + ((1 + relative) * norms + absolute)).cpu().double().numpy()

    def _bounds_by_faiss(self, rows_of_centers: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """The same: a distance to a center that may be the nearest, by faiss, and what it may be off."""
        relative, absolute = _error(self.rows.dim, torch.float32)
        squares = _squares(torch.from_numpy(rows_of_centers)).double().numpy()
        with flat_index(rows_of_centers) as nearest_of:
            for items, rows, norms in self._passing(self.rows.chunk):
                distances, nearest = nearest_of(rows.numpy())
                yield items, distances + (relative * (norms.double().numpy() + squares[nearest]) + absolute)

    def _passing(self, size: int) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """All centered rows and their squared norms, some at a time."""
        for items in blocks(self.rows.n, max(1, min(size, self.rows.chunk))):
            if self.resident is None:
                rows = self._to_device(self.rows.centered(items))
                yield items, rows, _squares(rows)
            else:
                yield items, self.resident[0][items], self.resident[1][items]

    def _copy(self) -> tuple[Tensor, Tensor]:
        copy = torch.empty(self.rows.n, self.rows.dim, device=self.device)
        norms = torch.empty(self.rows.n, device=self.device)
        for items in blocks(self.rows.n, self.rows.chunk):
            copy[items] = self._to_device(self.rows.centered(items))
            norms[items] = _squares(copy[items])
        return copy, norms

    def _to_device(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(rows).to(self.device)

    def _settle(self, items: np.ndarray) -> None:
        """Make the distances of some items, in ascending order, exact."""
        for first in np.unique(self.settled[items]).tolist():
            late = items[self.settled[items] == first]
            for part in blocks(len(late), _in_block(self.rows.dim)):
                self._settle_to(late[part], self.centers[first:])
        self.settled[items] = np.where(self.exact[items] > 0, len(self.centers), _FOREVER)
        self.bound[items] = self.exact[items]

    def _settle_to(self, items: np.ndarray, centers: np.ndarray) -> None:
        rows, exact = self.rows.scaled(items), self.exact[items]
        for part in blocks(len(centers), _in_block(self.rows.dim)):
            others = self.rows.scaled(np.sort(centers[part]))
            least, nearest = _least_distances(rows - self.rows.center, others - self.rows.center)
            np.minimum(exact, ((rows - others[nearest]) ** 2).sum(-1), out=exact)
            least[np.arange(len(items)), nearest] = np.inf
            pairs = np.nonzero((least < exact[:, None]) & (exact > 0)[:, None])
            for some in blocks(len(pairs[0]), _in_block(self.rows.dim)):
                which, other = pairs[0][some], pairs[1][some]
                np.minimum.at(exact, which, ((rows[which] - others[other]) ** 2).sum(-1))
        self.exact[items] = exact


def _least_distances(rows: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower bounds ``(N, C)`` of the squared distances, and the center ``(N,)`` that seems to be nearest."""
    relative, absolute = _error(rows.shape[1], torch.float64)
    first, second = torch.from_numpy(rows), torch.from_numpy(centers)
    norms = _squares(first)[:, None] + _squares(second)
    distances = torch.addmm(norms, first, second.T, alpha=-2)
    return (distances - (relative * norms + absolute)).numpy(), distances.argmin(1).numpy()


def _in_block(width: int) -> int:
    """Rows of a width that are worked on at a time, in float64."""
    return max(1, _NUMBERS // max(width, 1024))


def _error(dim: int, dtype: torch.dtype) -> tuple[float, float]:
    """By how much yy + cc - 2 yc may be off the squared distance of two rows: in shares of S = yy + cc, and in itself.

    y and c are the centered rows, yy, cc and yc their products, D their length, u the unit roundoff. Whatever the order
    of the sums, yy and cc are off by D u S together, and 2 yc by 2 D u sqrt(yy cc) <= D u S. Rows that are off by u
    times their norm change the squared distance by 2 u (sqrt(yy) + sqrt(cc))^2 (1 + u) <= 4.1 u S. The three sums, the
    factor 1 + share and the smallest of several round at most 11 times, each time by u S at most. Together that is
    2 (D + 16) u S, with some to spare. The computed S is at least (1 - D u) S. Numbers too small for the dtype add at
    most 32 D times its smallest normal number, as no element is above 2.

    The same holds of the distances of faiss, which sums the three products in another order, and of a sum over
    (y - c)^2, whose differences round by u each: with (y - c)(y - c) <= 2 S that is off by 2 (D + 3) u S at most.
    """
    info = torch.finfo(dtype)
    share = (dim + 16) * info.eps / 2
    return 2 * share / max(1 - share, 1e-6), 32 * dim * info.tiny


def _squares(rows: Tensor) -> Tensor:
    return torch.linalg.vector_norm(rows, dim=1).square()


def _largest(values: np.ndarray, size: int) -> np.ndarray:
    """Indices of the largest values, ascending."""
    if len(values) <= size:
        return np.arange(len(values))
    return np.sort(np.argpartition(values, -size)[-size:])


def _share(n: int, least_and_divisor: tuple[int, int]) -> int:
    least, divisor = least_and_divisor
    return max(least, n // divisor)


def _nearest_to_mean(rows: CenteredRows) -> int:
    mean = np.zeros(rows.dim)
    for items in blocks(rows.n, rows.chunk):
        mean += (rows.scaled(items) - rows.center).sum(0) / rows.n
    distances = np.empty(rows.n)
    for items in blocks(rows.n, rows.chunk):
        distances[items] = ((rows.scaled(items) - rows.center - mean) ** 2).sum(-1)
    return int((distances <= distances.min() * (1 + _TIE)).argmax())


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Multiply float32 as float32, even where the caller lets PyTorch round more for speed."""
    backends = (torch.backends.cuda, torch.backends.mkldnn)
    modules: list[Any] = [backend.matmul for backend in backends if hasattr(backend, "matmul")]
    modules = [module for module in modules if hasattr(module, "fp32_precision")]
    each = [module.fp32_precision for module in modules]
    try:
        overall = torch.get_float32_matmul_precision()
    except RuntimeError:  # set for each module, not overall
        overall = "highest"
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(overall)
        for module, precision in zip(modules, each, strict=True):
            module.fp32_precision = precision
