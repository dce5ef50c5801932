# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from monai_al.data import DataError, Query, QueryItem, RunFolder
from monai_al.report.embedding_map import EmbeddedItems, read_embedded_items, write_embedding_map, write_round_map
from monai_al.selection import k_means


def items_of(n_patients=4, each=6, *, name="encoder", seed=0, **more):
    """Two volumes of each patient, which lie apart."""
    generator = np.random.default_rng(seed)
    volumes = np.repeat(np.arange(2 * n_patients), each)
    centers = generator.normal(size=(2 * n_patients, 8)) * 3
    values = centers[volumes] + generator.normal(size=(len(volumes), 8)) * 0.1
    ids = [f"v{volume}/{i:04d}" for i, volume in enumerate(volumes)]
    return EmbeddedItems(
        name,
        values.astype(np.float32),
        [f"p{volume // 2}" for volume in volumes],
        [f"v{volume}" for volume in volumes],
        ids,
        **more,
    )


@pytest.fixture
def figures(monkeypatch):
    """The figures that are written."""
    written, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: (written.append(figure), save(figure, *a, **k))[1])
    return written


def points_of(axes: Axes):
    """All dots, without the rings."""
    return [dots for dots in axes.collections if dots.get_facecolors().size]


def rings_of(axes: Axes):
    return np.concatenate([np.asarray(d.get_offsets()) for d in axes.collections if not d.get_facecolors().size])


def text_of(figure: Figure):
    return figure.get_supxlabel().replace("\n", " ")


class TestMap:
    def test_a_row_for_each_encoder(self, tmp_path, figures):
        tight, mixed = items_of(name="group"), items_of(name="NT-Xent")
        mixed = EmbeddedItems("NT-Xent", mixed.embeddings[::-1].copy(), mixed.patients, mixed.volumes[1:] + ["v0"])
        found = write_embedding_map([tight, mixed], tmp_path / "new" / "map.png", title="Mine", n_clusters=8)
        assert (tmp_path / "new" / "map.png").read_bytes()[1:4] == b"PNG"
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["map.png"]
        (figure,) = figures
        assert figure.get_suptitle() == "Mine"
        assert [axes.get_title() for axes in figure.axes] == ["4 patients", "8 volumes", "8 clusters of k-means"] * 2
        assert [axes.get_ylabel() for axes in figure.axes] == ["group", "", "", "NT-Xent", "", ""]
        for axes in figure.axes:
            assert len(axes.get_xticks()) == len(axes.get_yticks()) == 0
            assert axes.get_aspect() == 1
            assert sum(len(dots.get_offsets()) for dots in points_of(axes)) == 48
        assert [list(row) for row in found] == [["patients", "volumes", "clusters"]] * 2
        assert found[0]["volumes"] > 0.9 > found[0]["patients"]
        assert found[0]["clusters"] == pytest.approx(found[0]["volumes"])
        assert found[1]["volumes"] < found[0]["volumes"]
        assert figure.axes[1].get_xlabel() == f"silhouette {found[0]['volumes']:.2f}"
        assert "48 items" in text_of(figure)
        assert "colors" not in text_of(figure)
        assert "rings" not in text_of(figure)

    def test_one_group_one_color(self, tmp_path, figures):
        items = items_of(13, 3)  # 26 volumes: more than there are colors
        write_embedding_map([items], tmp_path / "map.png")
        assert "colors come again after 20 groups" in text_of(figures[0])
        for axes, groups in zip(figures[0].axes, (items.patients, items.volumes), strict=False):
            looks, places = {}, np.concatenate([np.asarray(d.get_offsets()) for d in points_of(axes)])
            group_of = dict(zip(map(tuple, places_of(figures[0].axes[0], items)), groups, strict=True))
            for dots in points_of(axes):
                shape = dots.get_paths()[0].vertices.tobytes()
                for place, color in zip(np.asarray(dots.get_offsets()), dots.get_facecolors(), strict=True):
                    looks.setdefault(group_of[tuple(place)], set()).add((tuple(color), shape))
            assert len(places) == len(groups)
            assert all(len(own) == 1 for own in looks.values())
            assert len(set.union(*looks.values())) == len(looks) == len(set(groups))

    def test_clusters_are_those_of_k_means(self, tmp_path, figures):
        items = items_of()
        write_embedding_map([items], tmp_path / "map.png", n_clusters=3, seed=5)
        expected = k_means(items.embeddings, 3, rng=np.random.default_rng(5))[1]
        (dots,) = points_of(figures[0].axes[2])
        colors = [tuple(color) for color in dots.get_facecolors()]
        assert len(set(colors)) == 3
        assert len(set(zip(colors, expected.tolist(), strict=True))) == 3

    def test_marked_items_are_ringed(self, tmp_path, figures):
        items = items_of(marked=[5, 17])
        write_embedding_map([items], tmp_path / "map.png", marks="query 0")
        (dots,) = points_of(figures[0].axes[0])
        for axes in figures[0].axes:
            np.testing.assert_array_equal(rings_of(axes), np.asarray(dots.get_offsets())[[5, 17]])
        assert "black rings: query 0" in text_of(figures[0])

    def test_of_many_items_a_subset(self, tmp_path, figures):
        items = items_of(10, 10, marked=[3])
        write_embedding_map([items], tmp_path / "map.png", max_points=50, marks="chosen")
        shown = sum(len(dots.get_offsets()) for dots in points_of(figures[0].axes[0]))
        assert shown == 51
        assert "a random subset of 51 of 200 items" in text_of(figures[0])
        assert rings_of(figures[0].axes[0]).shape == (1, 2)

    @pytest.mark.parametrize("n", [1, 2, 3, 5])
    @pytest.mark.parametrize("constant", [False, True])
    def test_tiny_pools(self, tmp_path, n, constant, figures):
        values = np.ones((n, 4)) if constant else np.random.default_rng(0).normal(size=(n, 4))
        names = [f"p{i}" for i in range(n)]
        (found,) = write_embedding_map([EmbeddedItems("e", values, names, names)], tmp_path / "map.png")
        assert found["patients"] is None
        assert figures[0].axes[0].get_xlabel() == "silhouette undefined"
        assert figures[0].axes[0].get_title() == f"{n} patient{'s' * (n > 1)}"
        clusters = 1 if constant else n
        assert figures[0].axes[2].get_title() == f"{clusters} cluster{'s' * (clusters > 1)} of k-means"

    def test_nothing_to_draw(self, tmp_path):
        for encoders in ([], [EmbeddedItems("e", np.zeros((0, 3)), [], [])]):
            with pytest.raises(ValueError, match="no embeddings to draw"):
                write_embedding_map(encoders, tmp_path / "map.png")
        assert list(tmp_path.iterdir()) == []

    def test_what_does_not_fit(self):
        with pytest.raises(ValueError, match=r"e: embeddings, patients, volumes and ids differ in length: \[2, 3\]"):
            EmbeddedItems("e", np.zeros((3, 2)), ["a"] * 3, ["a"] * 2)
        with pytest.raises(ValueError, match="marked item 3 is none of the 3 items"):
            EmbeddedItems("e", np.zeros((3, 2)), ["a"] * 3, ["a"] * 3, marked=[3])


def places_of(axes, items):
    """Where each item lies, in order: the dots of one marker are in the order of the items."""
    names = list(dict.fromkeys(items.patients))
    assert len(names) <= 20
    (dots,) = points_of(axes)
    return np.asarray(dots.get_offsets())


class TestRounds:
    def test_items_by_round(self, tmp_path, figures):
        items = items_of()
        rounds = {items.ids[3]: 0, items.ids[9]: 0, items.ids[20]: 2, "another pool": 1}
        write_round_map(items, rounds, tmp_path / "map.png")
        axes, bar = figures[0].axes
        gray, chosen = axes.collections
        assert len(gray.get_offsets()) == 45
        first, second, third = map(tuple, chosen.get_facecolors())
        assert first == second != third
        assert bar.get_ylabel() == "round that chose the item"
        assert axes.get_xlabel() == "3 items colored by the round that chose them, 45 others gray"

    @pytest.mark.parametrize("rounds", [{}, {"v0/0001": 0}])
    def test_without_rounds_to_tell_apart(self, tmp_path, rounds, figures):
        write_round_map(items_of(), rounds, tmp_path / "map.png")
        assert len(figures[0].axes) == 1

    def test_chosen_items_are_never_left_out(self, tmp_path, figures):
        items = items_of()
        write_round_map(items, {items.ids[-1]: 1, items.ids[0]: 0}, tmp_path / "map.png", max_points=10)
        gray, chosen = figures[0].axes[0].collections
        assert (len(gray.get_offsets()), len(chosen.get_offsets())) == (10, 2)
        assert "a random subset of 12 of 48 items" in text_of(figures[0])

    def test_no_items(self, tmp_path):
        with pytest.raises(ValueError, match="no embeddings to draw"):
            write_round_map(EmbeddedItems("e", np.zeros((0, 3)), [], []), {}, tmp_path / "map.png")


@pytest.fixture
def folder(tmp_path):
    """A run with an encoder; its pool has a test part in between."""
    cache = tmp_path / "cache" / "encoders" / "0123"
    cache.mkdir(parents=True)
    np.save(cache / "embeddings.npy", np.arange(6, dtype=np.float32).reshape(3, 2))
    run = RunFolder(tmp_path / "run")
    run.write_encoder({"config": "pretrain.yaml", "folder": str(cache), "sha256": "00"})
    items = [
        {"id": f"{p}_1/0000", "patient": p, "volume": f"{p}_1", "split": split}
        for p, split in (("c", "train"), ("a", "test"), ("b", "train"), ("d", "validation"), ("e", "train"))
    ]
    (tmp_path / "run" / "pool.json").write_text(json.dumps({"items": items}))
    run.write_query(Query(0, "coreset", 0, (QueryItem("e_1/0000"), QueryItem("c_1/0000"))))
    return run


class TestReading:
    def test_rows_are_the_items_that_may_be_annotated(self, folder):
        items = read_embedded_items(folder, "NT-Xent", query=0)
        assert items.name == "NT-Xent"
        assert items.ids == ["c_1/0000", "b_1/0000", "e_1/0000"]
        assert (items.patients, items.volumes) == (["c", "b", "e"], ["c_1", "b_1", "e_1"])
        assert items.embeddings.tolist() == [[0, 1], [2, 3], [4, 5]]
        assert items.marked == [2, 0]
        assert read_embedded_items(folder).marked == []

    def test_a_cache_that_has_moved(self, folder, tmp_path):
        (tmp_path / "cache").rename(tmp_path / "moved")
        with pytest.raises(DataError, match="are gone with its cache"):
            read_embedded_items(folder)
        found = read_embedded_items(folder, cache_dir=tmp_path / "moved")
        assert found.embeddings.shape == (3, 2)

    def test_other_embeddings(self, folder, tmp_path):
        np.save(tmp_path / "cache" / "encoders" / "0123" / "embeddings.npy", np.zeros((4, 2), np.float32))
        with pytest.raises(DataError, match=r"embeddings of the shape \(4, 2\) for 3 items"):
            read_embedded_items(folder)

    def test_a_round_without_a_query(self, folder):
        with pytest.raises(DataError, match="round 1 of .* has no query"):
            read_embedded_items(folder, query=1)

    def test_a_run_without_an_encoder(self, tmp_path):
        with pytest.raises(DataError, match="has no pretrained encoder"):
            read_embedded_items(RunFolder(tmp_path))
