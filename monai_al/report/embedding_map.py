# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Maps of a pool: every item a point, placed by t-SNE of the embeddings of a pretrained encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_al.report.tsne import PERPLEXITY, group_silhouette, shown_points, tsne_coordinates

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from monai_al.records import RunFolder

__all__ = ["EmbeddedItems", "read_embedded_items", "write_embedding_map", "write_round_map"]

_POINTS = 3000  # more take minutes, and hide each other
_COLORS = 20
_MARKERS = "o^sDvP*X"
_SIDE = 4.2  # inches of a panel


@dataclass(frozen=True)
class EmbeddedItems:
    """The items of a pool and their embeddings.

    Args:
        name: of the encoder, as it stands in the figure.
        embeddings: ``(N, D)``.
        patients: the patient of each item.
        volumes: the volume of each item.
        ids: the id of each item; may be left out.
        marked: indices of items that are ringed, such as those of a query.

    Raises:
        ValueError: the lengths differ, or an index is out of range.

    Example:
        >>> EmbeddedItems("NT-Xent", np.zeros((2, 8)), ["a", "b"], ["a_1", "b_1"]).marked
        ()
    """

    name: str
    embeddings: np.ndarray
    patients: Sequence[str]
    volumes: Sequence[str]
    ids: Sequence[str] = ()
    marked: Sequence[int] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.embeddings), len(self.patients), len(self.volumes)} | ({len(self.ids)} - {0})
        if len(lengths) != 1:
            raise ValueError(f"{self.name}: embeddings, patients, volumes and ids differ in length: {sorted(lengths)}")
        wrong = [index for index in self.marked if not 0 <= index < len(self.embeddings)]
        if wrong:
            raise ValueError(f"{self.name}: marked item {wrong[0]} is none of the {len(self.embeddings)} items")

    def some(self, indices: np.ndarray) -> EmbeddedItems:
        """The same with some of the items, in their order."""
        ids = [self.ids[i] for i in indices] if self.ids else ()
        marked = np.flatnonzero(np.isin(indices, np.asarray(self.marked, dtype=np.int64))).tolist()
        names = {key: [getattr(self, key)[i] for i in indices] for key in ("patients", "volumes")}
        return replace(self, embeddings=self.embeddings[indices], **names, ids=ids, marked=marked)


def read_embedded_items(
    folder: RunFolder, name: str = "", *, query: int | None = None, cache_dir: str | Path | None = None
) -> EmbeddedItems:
    """The items of a run that may be annotated, as the run's pretrained encoder sees them.

    Args:
        folder: the run folder.
        name: what the encoder is called.
        query: the round whose query is marked; None marks nothing.
        cache_dir: where the cache lies now; by default where it lay during the run.

    Raises:
        DataError: the run has no encoder, its embeddings are gone or are not those of the pool, or the round has no
            query.

    Example:
        >>> from monai_al.records import RunFolder
        >>> read_embedded_items(RunFolder("no/run"))
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: no/run has no pretrained encoder: its strategy does not use one
    """
    from monai_al.records import DataError, content_hash
    from monai_al.records.pool_file import read_pool

    record = folder.encoder()
    if record is None:
        raise DataError(f"{folder.path} has no pretrained encoder: its strategy does not use one")
    entry = Path(record["folder"])
    places = [entry] if cache_dir is None else [Path(cache_dir) / entry.parent.name / entry.name, entry]
    path = next((place / "embeddings.npy" for place in places if (place / "embeddings.npy").is_file()), None)
    if path is None:
        raise DataError(f"{entry / 'embeddings.npy'}: the embeddings of {folder.path} are gone with its cache")
    if record.get("embeddings_sha256") not in (None, content_hash(path)):
        raise DataError(f"{path} differs from what {folder.path} was started with; restore it")
    embeddings = np.load(path, mmap_mode="r")
    items = [item for item in read_pool(folder.path)["items"] if item["split"] == "train"]
    if embeddings.ndim != 2 or len(embeddings) != len(items):
        raise DataError(f"{path}: embeddings of the shape {embeddings.shape} for {len(items)} items of {folder.path}")
    ids = [item["id"] for item in items]
    asked = None if query is None else folder.query(query)
    if query is not None and asked is None:
        raise DataError(f"round {query} of {folder.path} has no query, so none can be marked")
    number = {id: i for i, id in enumerate(ids)}
    return EmbeddedItems(
        name,
        embeddings,
        [item["patient"] for item in items],
        [item["volume"] for item in items],
        ids,
        [] if asked is None else [number[id] for id in asked.ids],
    )


def write_embedding_map(
    encoders: Sequence[EmbeddedItems],
    path: str | Path,
    *,
    title: str = "",
    n_clusters: int = 10,
    max_points: int = _POINTS,
    marks: str = "",
    seed: int = 0,
) -> list[dict[str, float | None]]:
    """Draw a row for each encoder: its items colored by patient, by volume and by cluster, as a PNG.

    Clusters are those of :func:`monai_al.selection.k_means`. Under each panel stands the mean silhouette of its groups
    among the embeddings themselves, not in the plane. Figure 4 of Vepa et al. (NeurIPS 2024, arXiv:2411.15763) compares
    the clusters of two encoders in this way.

    Args:
        encoders: the items as each encoder sees them.
        path: where the PNG goes; its folder is made. The file is complete or absent.
        title: title of the figure.
        n_clusters: number of clusters; fewer where fewer embeddings differ.
        max_points: with more items than this a random subset of so many is drawn and measured, and the marked ones.
        marks: what the ringed items are, in words.
        seed: of t-SNE, the clusters and the subset.

    Returns:
        For each encoder the silhouettes of ``patients``, ``volumes`` and ``clusters``; None where one is undefined.

    Raises:
        ValueError: there are no encoders or no items, or embeddings that are not finite.

    Example:
        >>> import tempfile
        >>> from monai_al.report.embedding_map import EmbeddedItems
        >>> items = EmbeddedItems("NT-Xent", np.array([[0.0], [0.0], [5.0], [5.0]]), "aabb", "aabb")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_embedding_map([items], Path(folder) / "map.png", n_clusters=2)
        [{'patients': 1.0, 'volumes': 1.0, 'clusters': 1.0}]
    """
    if not encoders or not all(len(items.embeddings) for items in encoders):
        raise ValueError("there are no embeddings to draw")
    shown = [
        items.some(shown_points(len(items.embeddings), max_points, always=items.marked, seed=seed))
        for items in encoders
    ]
    figure = _figure(columns=3, rows=len(shown))
    axes = figure.subplots(len(shown), 3, squeeze=False)
    found = [_draw_row(row, items, n_clusters, seed) for row, items in zip(axes, shown, strict=True)]
    for i, items in enumerate(shown):
        axes[i, 0].set_ylabel(items.name, fontsize="large")
    figure.suptitle(title)
    figure.supxlabel(_about_map(encoders, shown, marks), fontsize="small")
    _save(figure, path)
    return found


def write_round_map(
    items: EmbeddedItems, rounds: Mapping[str, int], path: str | Path, *, max_points: int = _POINTS, seed: int = 0
) -> None:
    """Draw the items of a pool colored by the round that chose them, those that no round chose gray, as a PNG.

    Args:
        items: the items, with their ids.
        rounds: id -> the round whose query held the item.
        path: where the PNG goes; its folder is made. The file is complete or absent.
        max_points: as for :func:`write_embedding_map`; chosen items are always drawn.
        seed: of t-SNE and the subset.

    Raises:
        ValueError: there are no items, or embeddings that are not finite.

    Example:
        >>> import tempfile
        >>> items = EmbeddedItems("encoder", np.eye(3), "abc", "abc", ids=["a/0", "b/0", "c/0"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_round_map(items, {"b/0": 0}, Path(folder) / "map.png")
        ...     (Path(folder) / "map.png").read_bytes()[1:4]
        b'PNG'
    """
    from matplotlib import colormaps

    if not len(items.embeddings):
        raise ValueError("there are no embeddings to draw")
    items = replace(items, marked=[i for i, id in enumerate(items.ids) if id in rounds])
    shown = _some_of(items, max_points, seed)
    figure = _figure(columns=1.9, rows=1.5)
    axes = figure.add_subplot()
    places, chosen = tsne_coordinates(shown.embeddings, seed=seed), np.asarray(shown.marked, dtype=np.int64)
    others, size = np.setdiff1d(np.arange(len(places)), chosen), _size(len(places))
    axes.scatter(*places[others].T, s=size, color="0.78", linewidths=0)
    if len(chosen):
        numbers = [rounds[shown.ids[i]] for i in chosen]
        colors = colormaps["viridis"](np.linspace(0, 1, max(numbers) + 1))
        look = {"edgecolors": "white", "linewidths": 0.4}
        axes.scatter(*places[chosen].T, s=max(3 * size, 24), c=colors[numbers], **look)
        _add_bar(figure, axes, colors)
    _plain(axes)
    axes.set_xlabel(f"{len(chosen)} items colored by the round that chose them, {len(others)} others gray")
    figure.supxlabel(_about(len(items.embeddings), len(places)), fontsize="small")
    _save(figure, path)


# -- drawing -----------------------------------------------------------------------------------------------------------


def _some_of(items: EmbeddedItems, limit: int, seed: int) -> EmbeddedItems:
    return items.some(shown_points(len(items.embeddings), limit, always=items.marked, seed=seed))


def _draw_row(row: Sequence[Axes], items: EmbeddedItems, n_clusters: int, seed: int) -> dict[str, float | None]:
    places = tsne_coordinates(items.embeddings, seed=seed)
    clusters = _clusters(items.embeddings, n_clusters, seed)
    columns = {"patients": items.patients, "volumes": items.volumes, "clusters": clusters}
    found = {name: group_silhouette(items.embeddings, groups) for name, groups in columns.items()}
    for axes, (name, groups) in zip(row, columns.items(), strict=True):
        n = len(set(groups))
        _scatter(axes, places, groups, items.marked)
        axes.set_title(f"{n} {name if n != 1 else name[:-1]}{' of k-means' if name == 'clusters' else ''}")
        value = found[name]
        axes.set_xlabel("silhouette undefined" if value is None else f"silhouette {round(value, 2) + 0.0:.2f}")
    return found


def _clusters(embeddings: np.ndarray, n_clusters: int, seed: int) -> list[int]:
    """The cluster of each row, numbered from 0."""
    from monai_al.selection import k_means

    return k_means(embeddings, min(n_clusters, len(embeddings)), rng=np.random.default_rng(seed))[1].tolist()


def _scatter(axes: Axes, places: np.ndarray, groups: Sequence[Any], marked: Sequence[int]) -> None:
    from matplotlib import colormaps

    names = list(dict.fromkeys(groups))
    n_colors = 10 if len(names) <= 10 else _COLORS
    palette = colormaps[f"tab{n_colors}"](np.arange(n_colors)).tolist()
    number = np.asarray([names.index(group) for group in groups])
    size = _size(len(places))
    for cycle in range(-(-len(names) // len(palette))):
        own = number // len(palette) == cycle
        colors = [palette[i % len(palette)] for i in number[own]]
        axes.scatter(*places[own].T, s=size, c=colors, marker=_MARKERS[cycle % len(_MARKERS)], linewidths=0)
    ringed = places[np.asarray(marked, dtype=np.int64)]
    axes.scatter(*ringed.T, s=max(4 * size, 40), facecolors="none", edgecolors="black", linewidths=1.0)
    _plain(axes)


def _add_bar(figure: Figure, axes: Axes, colors: np.ndarray) -> None:
    """The colors of the rounds, where there are several."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.ticker import MaxNLocator

    n = len(colors)
    if n > 1:
        scale = ScalarMappable(BoundaryNorm(np.arange(n + 1) - 0.5, n), ListedColormap(colors.tolist()))
        bar = figure.colorbar(scale, ax=axes, label="round that chose the item", aspect=40)
        bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        bar.ax.minorticks_off()


def _plain(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.03)
    axes.set_aspect("equal", adjustable="box")  # the frame takes the shape of the points


def _size(n: int) -> float:
    """Area of a point in square points."""
    return float(np.clip(12000 / max(n, 1), 5, 40))


def _about(n: int, drawn: int) -> str:
    subset = f"a random subset of {drawn} of {n} items" if drawn < n else f"{n} items"
    return f"t-SNE (perplexity {min(PERPLEXITY, max(drawn - 1, 0) / 3):.3g}, after a PCA) of {subset}"


def _about_map(encoders: Sequence[EmbeddedItems], shown: Sequence[EmbeddedItems], marks: str) -> str:
    told = [_about(len(encoders[0].embeddings), len(shown[0].embeddings))]
    if any(len(set(groups)) > _COLORS for items in shown for groups in (items.patients, items.volumes)):
        told.append(f"colors come again after {_COLORS} groups, with another marker")
    if marks and any(items.marked for items in shown):
        told.append(f"black rings: {marks}")
    silhouettes = "silhouettes are those of the embeddings, not of the plane: 1 is best, 0 or less means no groups"
    return f"{'; '.join(told)}\n{silhouettes}"


def _figure(columns: float, rows: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(columns * _SIDE, rows * (_SIDE + 0.4) + 0.5), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: str | Path) -> None:
    from monai_al.records.files import write_file  # here, because the data package loads torch

    write_file(Path(path), lambda file: figure.savefig(file, format="png"))
