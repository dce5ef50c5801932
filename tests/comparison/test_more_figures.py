# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Embedding map and slice panel of a comparison: what may be asked, and what is drawn from run folders."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from monai_al.cli import find_asset, main
from monai_al.comparison import Comparison, read_comparison
from monai_al.comparison.asked_figures import asked_figures
from monai_al.comparison.figures import check_encoders, uses_encoder, write_figures
from monai_al.data import DataError
from monai_al.engines import ActiveLearner, TrainedRun
from monai_al.engines.seen_items import predicted_items, upright_item
from monai_al.report.slice_panel import SLICE_RULE, choose_slices, slice_dice
from monai_al.strategies import Random

TRAIN = find_asset("selective_uncertainty_spleen") / "configs" / "train.yaml"
SMALL = {
    "phantom": {"patients": 6, "shape": [32, 32, 6], "classes": ["background", "spleen"]},
    "image_size": [32, 32], "channels": [4, 8], "steps": 4, "batch_size": 4, "device": "cpu", "progress": False,
}  # fmt: skip
RUNS = {"random": {"overlays": ["strategies/random"]}, "coreset": {"options": {"rounds": 3}}}


def comparison_of(figures, names=("nt_xent", "group"), **more):
    return Comparison("Mine", "al.yaml", runs={name: {} for name in names}, figures=asked_figures(figures), **more)


@pytest.fixture
def figures(monkeypatch):
    """The figures that are written."""
    written, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: (written.append(figure), save(figure, *a, **k))[1])
    return written


# -- what may be asked -------------------------------------------------------------------------------------------------


def read(folder, figures):
    content = {"bundle": "group_contrastive_cardiac", "runs": RUNS, "figures": figures}
    (folder / "mine.json").write_text(json.dumps(content))
    return read_comparison(folder / "mine.json", find_asset)


class TestAsked:
    def test_what_is_not_said_is_filled_in(self, tmp_path):
        figures = {"embedding_map": ["coreset"], "slice_panel": {"runs": ["random"], "round": 1, "view": "agreement"}}
        assert read(tmp_path, figures).figures == {
            "embedding_map": {"runs": ["coreset"], "clusters": 10, "query": None, "seed": None},
            "slice_panel": {"runs": ["random"], "round": 1, "slices": 4, "view": "agreement", "seed": None},
        }
        assert read(tmp_path, None).figures == {}

    @pytest.mark.parametrize(
        ("figures", "message"),
        [
            (["embedding_map"], "figures should hold {name: what is asked of it} for embedding_map, slice_panel, got"),
            ({"embeding_map": ["coreset"]}, "unknown figure 'embeding_map'; there are embedding_map, slice_panel"),
            (
                {"embedding_map": "coreset"},
                "embedding_map should be a list of runs or hold runs, clusters, query, seed",
            ),
            ({"embedding_map": []}, "runs of embedding_map must be a list of different names, got []"),
            ({"slice_panel": {"round": 1}}, "runs of slice_panel must be a list of different names, got None"),
            ({"slice_panel": ["random", "random"]}, "must be a list of different names"),
            ({"slice_panel": ["entropy"]}, "slice_panel names 'entropy', which is none of the runs: random, coreset"),
            ({"slice_panel": [["random"]]}, "slice_panel names ['random'], which is none of the runs"),
            ({"slice_panel": {"runs": ["random"], "slice": 2}}, "unknown key 'slice' of slice_panel; it holds runs"),
            ({"embedding_map": {"runs": ["random"], "round": 2}}, "unknown key 'round' of embedding_map"),
            ({"slice_panel": {"runs": ["random"], "slices": 0}}, "slices of slice_panel must be a whole number of at"),
            ({"slice_panel": {"runs": ["random"], "slices": None}}, "at least 1, got None"),
            ({"slice_panel": {"runs": ["random"], "round": -1}}, "at least 0 or null, got -1"),
            ({"slice_panel": {"runs": ["random"], "seed": True}}, "seed of slice_panel must be a whole number or null"),
            ({"slice_panel": {"runs": ["random"], "view": "3d"}}, "view of slice_panel must be one of classes, agree"),
            ({"embedding_map": {"runs": ["random"], "clusters": 2.5}}, "clusters of embedding_map must be a whole"),
        ],
    )
    def test_what_cannot_be_asked(self, tmp_path, figures, message):
        with pytest.raises(DataError) as caught:
            read(tmp_path, figures)
        assert message in str(caught.value)
        assert str(caught.value).startswith(f"{tmp_path / 'mine.json'}: figures")


class TestEncoders:
    """Which runs use an encoder is told before they are started, where their configs say so."""

    @pytest.fixture
    def comparison(self):
        encoder = str(find_asset("strategies/coreset_encoder"))
        runs = {
            "random": {"overlays": (str(find_asset("strategies/random")),)},
            "pixels": {"overlays": (encoder,), "options": {"strategy#embedding": "pixels"}},
            "group": {"overlays": (encoder,)},
            "broken": {"options": {"strategy": "$nothing"}},
        }
        bundle = str(find_asset("group_contrastive_cardiac") / "configs" / "active_learning.yaml")
        return Comparison("a", bundle, runs=runs)

    def test_by_the_configs(self, comparison):
        found = {run.name: uses_encoder(run) for run in comparison.planned("out") if run.seed == 0}
        assert found == {"random": False, "pixels": False, "group": True, "broken": None}

    def test_only_those_that_certainly_use_none_are_refused(self, comparison):
        check_encoders(comparison)
        check_encoders(replace(comparison, figures=asked_figures({"embedding_map": ["group", "broken"]})))
        check_encoders(replace(comparison, figures=asked_figures({"slice_panel": ["random"]})))
        asked = replace(comparison, figures=asked_figures({"embedding_map": ["group", "random"]}))
        with pytest.raises(DataError, match="embedding_map names 'random', whose strategy uses no pretrained encoder"):
            check_encoders(asked)

    def test_the_command_starts_nothing(self, tmp_path, capsys):
        read(tmp_path, {"embedding_map": ["random"]})
        command = ["compare", "--config", str(tmp_path / "mine.json"), "--output_dir", str(tmp_path / "out")]
        assert main(command) == 2
        assert "'random', whose strategy uses no pretrained encoder" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


# -- embedding map -----------------------------------------------------------------------------------------------------


@pytest.fixture
def with_encoders(tmp_path, write_run):
    """Two runs of two seeds, whose encoders lie in the cache of the comparison."""
    generator = np.random.default_rng(0)
    items = [
        {"id": f"p{p}_{v}/{z:04d}", "patient": f"p{p}", "volume": f"p{p}_{v}", "split": "train" if p < 5 else "test"}
        for p in range(6)
        for v in range(2)
        for z in range(4)
    ]
    for name, spread in (("nt_xent", 3.0), ("group", 0.1)):
        for seed in (0, 1):
            folder = tmp_path / name / f"seed_{seed}"
            write_run(folder, [0.5, 0.6], initial=[items[0]["id"], items[9]["id"]], pool={"items": items})
            cache = tmp_path / "cache" / "encoders" / f"{name}{seed}"
            cache.mkdir(parents=True)
            centers = np.repeat(generator.normal(size=(10, 4)), 4, axis=0)
            values = centers + spread * generator.normal(size=(40, 4))
            np.save(cache / "embeddings.npy", values.astype(np.float32))
            record = {"config": "pretrain.yaml", "folder": f"/somewhere/else/encoders/{name}{seed}", "sha256": "00"}
            (folder / "encoder.json").write_text(json.dumps(record))
    return tmp_path


class TestEmbeddingMap:
    def test_a_row_for_each_run(self, with_encoders, figures):
        comparison = comparison_of({"embedding_map": {"runs": ["nt_xent", "group"], "clusters": 3, "query": 0}})
        (told,) = write_figures(comparison, with_encoders)
        assert (with_encoders / "embedding_map.png").read_bytes()[1:4] == b"PNG"
        (figure,) = figures
        assert figure.get_suptitle() == "Mine: seed 0"
        assert [axes.get_ylabel() for axes in figure.axes[::3]] == ["nt_xent", "group"]
        titles = ["5 patients", "10 volumes", "3 clusters of k-means"]
        assert [axes.get_title() for axes in figure.axes] == titles * 2
        assert "black rings: the query of round 0" in figure.get_supxlabel()
        head, *_, first, second = told.splitlines()
        assert head.startswith("embedding_map.png: the pool as the pretrained encoders see it, seed 0.")
        assert first.startswith("| nt_xent | ")
        values = [float(cell) for cell in second.split("|")[2:5]]
        assert values[1] > 0.8 > values[0]

    @pytest.mark.nightly
    def test_another_seed(self, with_encoders, figures):
        figures_of = {"embedding_map": {"runs": ["group"], "seed": 1}}
        write_figures(comparison_of(figures_of), with_encoders)
        shutil.rmtree(with_encoders / "group" / "seed_0" / "round_01")  # not done: the next seed is taken
        write_figures(comparison_of({"embedding_map": ["group"]}), with_encoders)
        assert [figure.get_suptitle() for figure in figures] == ["Mine: seed 1"] * 2
        (told,) = write_figures(comparison_of({"embedding_map": {"runs": ["group"], "seed": 0}}), with_encoders)
        assert told == "There is no embedding_map.png: seed 0 does not have all of its runs done yet (group)"

    def test_what_is_missing_is_told(self, with_encoders, figures):
        comparison = comparison_of({"embedding_map": ["nt_xent", "group"]}, seeds=(0,))
        shutil.rmtree(with_encoders / "cache")
        (told,) = write_figures(comparison, with_encoders)
        assert told.startswith("There is no embedding_map.png: ")
        assert "are gone with its cache" in told
        (with_encoders / "nt_xent" / "seed_0" / "encoder.json").unlink()
        (told,) = write_figures(comparison, with_encoders)
        assert "has no pretrained encoder" in told
        shutil.rmtree(with_encoders / "group")
        (told,) = write_figures(comparison, with_encoders)
        assert told == "There is no embedding_map.png: no seed has all of its runs done yet (nt_xent, group)"
        assert figures == []

    def test_the_command_tells_of_them(self, with_encoders, tmp_path, capsys):
        loop = tmp_path / "al.yaml"
        loop.write_text("{}")
        content = {"bundle": str(loop), "runs": {"nt_xent": {}, "group": {}}, "seeds": [0]}
        content["figures"] = {"embedding_map": ["nt_xent", "group"], "slice_panel": ["group"]}
        (tmp_path / "mine.json").write_text(json.dumps(content))
        command = ["compare", "--config", str(tmp_path / "mine.json"), "--output_dir", str(with_encoders)]
        assert main([*command, "--table_only"]) == 0
        text = (with_encoders / "mine.md").read_text(encoding="utf-8")
        assert capsys.readouterr().out.strip() == text.strip()
        assert "embedding_map.png: the pool as the pretrained encoders see it" in text
        assert "There is no slice_panel.png: " in text
        assert (with_encoders / "mine.png").exists()


# -- slices ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two runs that are trained on a phantom, two rounds each, one with two members."""
    root = tmp_path_factory.mktemp("comparison")
    options = {"overrides": {**SMALL, "cache_dir": str(root / "cache")}, "budget": 3, "progress": False, "threads": 1}
    for name, members, rounds in (("random", 1, 2), ("both", 2, 2), ("everything", 1, 1)):
        ActiveLearner(TRAIN, Random(), root / name / "seed_0", members=members, rounds=rounds, **options).run()
    return root


class TestSlicePanel:
    def names(self):
        return ("random", "both", "everything")

    def test_predictions_are_those_of_the_runs(self, trained, figures):
        comparison = comparison_of({"slice_panel": ["random", "both"]}, names=self.names(), seeds=(0,))
        (told,) = write_figures(comparison, trained)
        assert told.startswith(f"slice_panel.png: test slices after round 1, seed 0. {SLICE_RULE}")
        (figure,) = figures
        assert [axes.get_title() for axes in figure.axes[:4]] == ["image", "truth", "random", "both"]
        runs = [TrainedRun(trained / name / "seed_0") for name in ("random", "both")]
        test = runs[0].source.data.part("test").items
        truth = {item.id: runs[0].source.cache.get(item).label[item.slice] for item in test}
        areas = {v: [int((truth[i.id] > 0).sum()) for i in test if i.volume == v] for v in {i.volume: 0 for i in test}}
        chosen = [f"{volume}/{z:04d}" for volume, z in choose_slices(areas, 4)]
        assert [axes.texts[-1].get_text() for axes in figure.axes[::4]] == chosen
        assert len(chosen) == 4
        for row, id in enumerate(chosen):
            (item,) = [item for item in test if item.id == id]
            for column, run in enumerate(runs, start=2):
                (seen,) = predicted_items(run.source, [item], run.network(1))
                expected = slice_dice(seen.prediction, truth[id], 2)
                text = figure.axes[4 * row + column].texts[0].get_text()
                assert text == f"Dice {expected:.3f}"
                upright = upright_item(run.source, item, seen)
                overlay = np.asarray(figure.axes[4 * row + column].images[1].get_array())
                assert np.array_equal(overlay[..., 3] > 0, upright.prediction > 0)

    def test_runs_of_somebody_else_need_trust(self, trained, figures, tmp_path):
        theirs = shutil.copytree(trained, tmp_path / "theirs", ignore=shutil.ignore_patterns("run.sig"))
        comparison = comparison_of({"slice_panel": {"runs": ["random"], "slices": 1}}, names=self.names(), seeds=(0,))
        (told,) = write_figures(comparison, theirs)
        assert told.startswith(
            f"There is no slice_panel.png: {theirs / 'random' / 'seed_0'} is not known as made by you"
        )
        (told,) = write_figures(comparison, theirs, trust=True)
        assert told.startswith("slice_panel.png: test slices after round 1")

    @pytest.mark.nightly
    def test_a_round_and_the_run_on_everything(self, trained, figures):
        asked = {"slice_panel": {"runs": ["random", "everything"], "slices": 1, "round": 0}}
        comparison = comparison_of(asked, names=self.names(), seeds=(0,), everything="everything")
        (told,) = write_figures(comparison, trained)
        assert "after round 0, seed 0 (everything: its last round)" in told
        assert len(figures[0].axes) == 4
        last = replace(comparison, figures=asked_figures({"slice_panel": ["random", "everything"]}))
        assert "after round 1, seed 0 (everything: its last round)" in write_figures(last, trained)[0]
        alone = replace(comparison, figures=asked_figures({"slice_panel": ["everything"]}))
        assert "after round 0, seed 0." in write_figures(alone, trained)[0]

    def test_what_is_missing_is_told(self, trained, figures):
        asked = {"slice_panel": {"runs": ["random"], "round": 7}}
        (told,) = write_figures(comparison_of(asked, names=self.names(), seeds=(0,)), trained)
        assert told.startswith("There is no slice_panel.png: ")
        assert "round 7 is not trained" in told
        assert figures == []

    def test_weights_that_are_gone(self, trained, tmp_path, figures):
        shutil.copytree(trained, tmp_path / "copy")
        for path in (tmp_path / "copy").rglob("*.pt"):
            path.unlink()
        (told,) = write_figures(comparison_of({"slice_panel": ["random"]}, names=self.names()), tmp_path / "copy")
        assert "holds no trained network yet" in told
