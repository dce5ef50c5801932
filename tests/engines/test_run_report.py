# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from monai.inferers import SimpleInferer

from monai_al.annotators import Annotator
from monai_al.annotators.base import Answer
from monai_al.cli import find_asset
from monai_al.data import DataError, Item, Pool
from monai_al.engines import ActiveLearner, report_pictures, run_report
from monai_al.engines.run_report import write_report
from monai_al.engines.seen_items import SeenItem, recorded_measures
from monai_al.handlers import RestorationPictures
from monai_al.inferers import TrainedNetwork
from monai_al.records import Labels
from monai_al.report.page import ShownItem, ShownRound
from monai_al.strategies import Random, Selective, Uncertainty
from monai_al.uncertainty import Augmentation, Measure, boundary_region, entropy, target_region

TRAIN = find_asset("selective_uncertainty_spleen") / "configs" / "train.yaml"


def words_of(page):
    """The visible text of a page."""
    text = page.read_text(encoding="utf-8").split("</head>")[1]
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", text))


def pictures_of(page):
    return re.findall(r'<img src="([^"]+)"', page.read_text(encoding="utf-8"))


def run_loop(folder, small, strategy=None, **options):
    torch.set_num_threads(1)
    options = {"budget": 3, "rounds": 2, "progress": False, **options}
    return ActiveLearner(TRAIN, strategy or Selective("entropy"), folder, overrides=small, **options).run()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache_dir):
    """A run of two rounds; never changed."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    small = {"cache_dir": str(cache_dir), "phantom": {"patients": 4, "shape": [32, 32, 6]}, "image_size": [32, 32]}
    run_loop(folder, small | {"channels": [4, 8], "steps": 4, "batch_size": 4, "device": "cpu", "progress": False})
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / "run")


class TestRealRun:
    def test_pictures_of_all_rounds_and_volumes(self, folder):
        page = write_report(folder, items=2, volumes=2, progress=False)
        assert page == folder / "report" / "index.html"
        expected = ["learning_curve.png", "cost_curve.png"]
        expected += [f"round_{r:02d}_item_{i:03d}.png" for r in (0, 1) for i in (0, 1)] + ["test_00.png", "test_01.png"]
        assert pictures_of(page) == expected
        assert {path.name for path in page.parent.iterdir()} == {"index.html", *expected}
        assert imread(page.parent / "round_01_item_000.png").shape[1] > 1.8 * imread(page.parent / expected[2]).shape[1]
        assert "image, uncertainty, prediction and label" in page.read_text(encoding="utf-8")  # whoever gave it
        words = words_of(page)
        query = json.loads((folder / "round_01" / "query.json").read_text())["items"]
        for number, item in enumerate(query[:2], start=1):
            assert f"{number}. {item['id']} · score {item['score']:.4g} · {item['reason']}" in words
        assert "All 2 rounds are done." in words
        assert "Predictions of the model of round 1 beside the truth" in words
        assert "Prediction and uncertainty are those of the model of round 0" in words
        assert "There are no pictures" not in words
        assert "target region" in words
        assert "boundary region" in words

    def test_the_run_itself_is_not_touched(self, folder):
        def state():
            files = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "report")
            return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

        before = state()
        write_report(folder, items=1, volumes=1, progress=False)
        assert state() == before

    @pytest.mark.nightly
    def test_same_run_same_pictures(self, folder):
        first = {
            p.name: p.read_bytes() for p in write_report(folder, items=1, volumes=1, progress=False).parent.iterdir()
        }
        second = {
            p.name: p.read_bytes() for p in write_report(folder, items=1, volumes=1, progress=False).parent.iterdir()
        }
        assert {name: content for name, content in first.items() if name != "index.html"} == {
            name: content for name, content in second.items() if name != "index.html"
        }

    @pytest.mark.nightly
    def test_fewer_pictures_drop_the_old_ones_but_nothing_else(self, folder):
        page = write_report(folder, items=3, volumes=2, progress=False)
        (page.parent / "mine.png").write_bytes(b"mine")
        write_report(folder, items=1, volumes=0, progress=False)
        names = {path.name for path in page.parent.iterdir()}
        assert names == {
            "index.html",
            "cost_curve.png",
            "learning_curve.png",
            "mine.png",
            "round_00_item_000.png",
            "round_01_item_000.png",
        }

    def test_no_pictures_asked_for(self, folder):
        page = write_report(folder, items=0, volumes=0, progress=False)
        assert pictures_of(page) == ["learning_curve.png", "cost_curve.png"]
        assert "There are no pictures" not in words_of(page)

    def test_weights_that_are_gone(self, folder):
        (folder / "round_00" / "model_0.pt").unlink()
        page = write_report(folder, items=1, volumes=1, progress=False)
        words = words_of(page)
        assert "The pictures have neither prediction nor uncertainty: " in words
        assert "model_0.pt" in words
        assert pictures_of(page)[2:] == ["round_00_item_000.png", "round_01_item_000.png", "test_00.png"]
        sizes = [imread(page.parent / name).shape[1] for name in pictures_of(page)[2:4]]
        assert sizes[0] == sizes[1]
        (folder / "round_01" / "model_0.pt").unlink()
        page = write_report(folder, items=1, volumes=1, progress=False)
        assert "There are no pictures of test volumes: " in words_of(page)
        assert "test_00.png" not in pictures_of(page)

    @pytest.mark.nightly
    def test_pictures_that_cannot_be_made_again_stay(self, folder):
        page = write_report(folder, items=1, volumes=1, progress=False)
        before = {path.name for path in page.parent.iterdir()}
        assert "test_00.png" in before
        (folder / "round_01" / "model_0.pt").rename(folder / "aside")
        write_report(folder, items=1, volumes=1, progress=False)
        gone = {"dataset_dir": str(folder / "gone")}
        write_report(folder, items=1, volumes=1, overrides=gone, progress=False)
        assert {path.name for path in page.parent.iterdir()} == before
        (folder / "aside").rename(folder / "round_01" / "model_0.pt")
        write_report(folder, items=1, volumes=0, progress=False)
        assert {path.name for path in page.parent.iterdir()} == before - {"test_00.png"}

    def test_images_that_are_gone(self, folder):
        gone = {"dataset_dir": str(folder / "gone")}
        page = write_report(folder, items=1, volumes=1, overrides=gone, progress=False)
        words = words_of(page)
        assert "There are no pictures of images: " in words
        assert str(folder / "gone") in words
        assert pictures_of(page) == ["learning_curve.png", "cost_curve.png"]
        assert "All 2 rounds are done." in words
        restored = write_report(folder, items=1, volumes=1, progress=False)
        assert len(pictures_of(restored)) == 5

    def test_run_that_was_stopped_in_its_first_round(self, folder):
        shutil.rmtree(folder / "round_01")
        for name in ("metrics.json", "manifest.json"):
            (folder / "round_00" / name).unlink()
        shutil.rmtree(folder / "report")
        page = write_report(folder, items=1, volumes=1, progress=False)
        words = words_of(page)
        assert pictures_of(page) == ["round_00_item_000.png"]
        assert "Not finished: 0 of 2 rounds done." in words
        assert "There was no model yet" in words

    def test_run_that_has_not_begun(self, folder):
        for path in folder.glob("r*_*"):
            shutil.rmtree(path)
        page = write_report(folder, progress=False)
        assert "No round has begun." in words_of(page)


class LazyAnnotator(Annotator):
    """Answers only the first round, and one item of the second."""

    name = "lazy"

    def annotate(self, query, pool):
        known = query.ids if query.round == 0 else query.ids[:1]
        return Answer(labeled=known, waiting=tuple(id for id in query.ids if id not in known))


class TestOtherRuns:
    def test_waiting_run_shows_no_truth_that_is_not_there(self, tmp_path, small):
        run_loop(tmp_path / "run", small, Random(), annotator=LazyAnnotator())
        page = write_report(tmp_path / "run", items=3, volumes=1, progress=False)
        words = words_of(page)
        assert "Round 1 waits for the labels of 2 items." in words
        assert words.count("its label is not there yet") == 2
        widths = [imread(page.parent / f"round_01_item_{i:03d}.png").shape[1] for i in range(3)]
        assert widths[0] > widths[1] == widths[2]
        assert "The strategy random looks at no uncertainty: the entropy decided nothing." in words

    @pytest.mark.nightly
    def test_several_members_and_passes(self, tmp_path, small):
        small |= {"dropout": 0.2, "steps": 2}
        run_loop(tmp_path / "run", small, Uncertainty("bald", passes=3), members=2)
        words = words_of(write_report(tmp_path / "run", items=1, volumes=1, progress=False))
        assert "The uncertainty is that of 3 passes, drawn anew for this report." in words
        assert "uncertainty (mutual information) 0" in words
        assert "There are no pictures" not in words


# -- made-up data: whole volumes, colour, overlapping classes, not annotated -------------------------------------------


class MadeUp:
    """A trained run whose network gives the image back as logits."""

    def __init__(self, batches, activation="sigmoid", classes=("background", "a", "b"), overlapping=False):
        items = [Item(id, id, id, id, label=id, split="test") for id in batches]
        self.batches = batches
        self.source = SimpleNamespace(
            data=Pool(items, classes), prepare=lambda items: None, loader=self.loader, overlapping=overlapping,
            cache=None, slice_affine=lambda item: None,
        )  # fmt: skip
        self.record = {"seed": 0, "config": {"learner": {}}}
        self.folder = SimpleNamespace(labels=lambda number: Labels())
        self.activation = activation
        self.asked = []

    def loader(self, items, *, batch_size, with_label):
        assert with_label
        return [{"id": [item.id], **self.batches[item.id]} for item in items]

    def network(self, number, all_members=False):
        self.asked.append(number)
        return TrainedNetwork(torch.nn.Identity(), torch.device("cpu"), SimpleInferer(), self.activation)


def artist_of(run, tmp_path, measures=()):
    artist = report_pictures._Artist(run, tmp_path, SimpleNamespace(update=lambda: None))
    artist.measures = list(measures)
    return artist


def seen_of(run, tmp_path, id, measures=()):
    artist = artist_of(run, tmp_path, measures)
    return artist._see_items([ShownItem(id)], run.network(0), 1)[id]


class TestWhatIsSeen:
    @pytest.mark.parametrize("seed", range(3))
    def test_map_regions_and_labels_are_those_of_the_functions(self, tmp_path, seed):
        logits = torch.randn(1, 3, 8, 9, generator=torch.Generator().manual_seed(seed))
        run = MadeUp({"x": {"image": logits, "label": torch.ones(1, 1, 8, 9, dtype=torch.uint8)}}, "softmax")
        measures = [
            Measure("entropy", region="target", threshold=0.3),
            Measure("entropy", region="boundary", width=0.2),
        ]
        seen, note = seen_of(run, tmp_path, "x", measures)
        probs = logits.softmax(1)
        np.testing.assert_allclose(seen.heat, entropy(probs)[0], rtol=1e-6)
        assert np.array_equal(seen.regions["target"], target_region(probs, 0.3)[0])
        assert np.array_equal(seen.regions["boundary"], boundary_region(probs, 0.2)[0])
        assert np.array_equal(seen.prediction, logits[0].argmax(0))
        assert (seen.truth == 1).all()
        assert note is None

    def test_of_a_whole_volume_the_most_uncertain_slice(self, tmp_path):
        logits = torch.full((1, 1, 6, 5, 4), 9.0)
        logits[..., 2] = 0.0
        truth = torch.arange(4, dtype=torch.uint8).expand(1, 1, 6, 5, 4)
        seen, note = seen_of(MadeUp({"x": {"image": logits, "label": truth}}), tmp_path, "x")
        assert note == "slice 2 of 4, the one with most uncertainty"
        assert seen.heat.shape == (6, 5)
        assert (seen.truth == 2).all()
        np.testing.assert_allclose(seen.heat, np.log(2), rtol=1e-5)

    def test_without_a_network_the_slice_with_most_foreground(self, tmp_path):
        truth = torch.zeros(1, 1, 6, 5, 4, dtype=torch.uint8)
        truth[..., 0], truth[0, 0, :2, :2, 3] = 255, 1
        run = MadeUp({"x": {"image": torch.zeros(1, 1, 6, 5, 4), "label": truth}})
        found = artist_of(run, tmp_path)._see_items([ShownItem("x")], None, 0)
        assert found["x"][1] == "slice 3 of 4, the one with most foreground"

    def test_padding_is_cut_off_and_never_uncertain(self, tmp_path):
        valid = torch.zeros(1, 1, 8, 9, dtype=torch.bool)
        valid[..., 2:5, 3:9] = True
        valid[..., 3, 4] = False
        seen, _ = seen_of(MadeUp({"x": {"image": torch.zeros(1, 1, 8, 9), "valid": valid}}), tmp_path, "x")
        assert seen.image.shape == (1, 3, 6)
        assert seen.heat.shape == (3, 6)
        assert seen.heat[1, 1] == 0
        assert (np.delete(seen.heat.ravel(), 7) > 0.69).all()
        assert seen.truth is None

    def test_overlapping_classes(self, tmp_path):
        logits = torch.tensor([[[[5.0, 5.0, -5.0]], [[5.0, -5.0, -5.0]]]])
        run = MadeUp({"x": {"image": logits, "label": (logits > 0).to(torch.uint8)}}, "multilabel", overlapping=True)
        seen, _ = seen_of(run, tmp_path, "x")
        assert seen.prediction.tolist() == [[[1, 1, 0]], [[1, 0, 0]]]
        assert seen.truth.tolist() == seen.prediction.tolist()
        legend = artist_of(run, tmp_path)._legend([seen])
        assert [swatch.name for swatch in legend] == ["a", "b"]

    def test_sigmoids_of_classes_that_exclude_each_other(self, tmp_path):
        """The labels are class numbers, so the prediction is the most probable class, as it is scored."""
        logits = torch.tensor([[[[5.0, -1.0, -5.0]], [[4.0, -2.0, -4.0]], [[-9.0, 3.0, -3.0]]]])
        truth = torch.tensor([[[[0, 2, 1]]]], dtype=torch.uint8)
        run = MadeUp({"x": {"image": logits, "label": truth}}, "multilabel")
        seen, _ = seen_of(run, tmp_path, "x", [Measure("entropy")])
        assert seen.prediction.tolist() == [[0, 2, 2]]
        np.testing.assert_allclose(seen.heat, entropy(torch.sigmoid(logits), multilabel=True)[0], rtol=1e-6)


class TestVolumes:
    def volume(self, shape=(1, 1, 8, 9, 12)):
        logits = torch.full(shape, -5.0)
        logits[:, :, 2:6, 2:6, 3:9] = 5.0
        truth = (logits > 0).to(torch.uint8)
        truth[:, :, 2:7, 2:6, 5] = 1
        return {"image": logits, "label": truth}

    def test_three_slices_around_the_largest_foreground(self, tmp_path):
        run = MadeUp({"x": self.volume()})
        shown, rows = artist_of(run, tmp_path)._volume(run.network(0), 0, "x", "best of 2")
        assert shown.about == "slices 4, 5 and 7 of 12"
        assert len(rows) == 3
        assert [int((seen.truth != seen.prediction).sum()) for seen in rows] == [0, 4, 0]
        image = imread(tmp_path / "test_00.png")
        assert image.shape[:2] == (shown.picture.height, shown.picture.width)

    @pytest.mark.parametrize(
        ("areas", "expected"),
        [
            ([0, 0, 0, 0, 0], [1, 2, 3]),
            ([0, 0, 5, 0, 0], [1, 2, 3]),
            ([9, 5, 4, 3, 2, 1, 0, 0], [0, 3]),
            ([0, 0, 1, 2, 9], [3, 4]),
            ([0, 1, 1, 1, 1, 9, 1, 1, 1, 1, 0], [3, 5, 7]),
            ([3], [0]),
            ([0], [0]),
            ([0, 1], [0, 1]),
        ],
    )
    @pytest.mark.parametrize("predicted", [True, False])
    def test_slices_around_the_foreground(self, areas, expected, predicted):
        planes = {}
        for z, area in enumerate(areas):
            labels = (np.arange(9).reshape(3, 3) < area).astype(np.uint8)
            truth = labels * 0 if predicted else labels  # without true foreground the prediction decides
            planes[z] = SeenItem("x", np.zeros((1, 3, 3)), truth=truth, prediction=labels)
        assert report_pictures._around_foreground(planes) == expected

    def test_a_2d_image_is_one_row(self, tmp_path):
        logits = torch.randn(1, 1, 8, 9)
        run = MadeUp({"x": {"image": logits, "label": (logits > 0).to(torch.uint8)}})
        shown, rows = artist_of(run, tmp_path)._volume(run.network(0), 0, "x", "the only one")
        assert shown.about == ""
        assert len(rows) == 1

    @pytest.mark.parametrize(
        ("n_volumes", "n", "picks"),
        [
            (0, 4, []),
            (1, 4, ["the only one"]),
            (2, 4, ["best of 2", "worst of 2"]),
            (5, 1, ["rank 3 of 5"]),
            (5, 3, ["best of 5", "rank 3 of 5", "worst of 5"]),
            (60, 4, ["best of 60", "rank 21 of 60", "rank 40 of 60", "worst of 60"]),
            (60, 0, []),
        ],
    )
    def test_from_the_best_to_the_worst(self, n_volumes, n, picks):
        order = np.random.default_rng(0).permutation(n_volumes).tolist()
        per_volume = {f"v{i}": {"a": 1 - i / 100, "b": None} for i in order} | {"undefined": {"a": None, "b": None}}
        found = report_pictures._volume_places({"dice_3d": {"per_volume": per_volume}}, n)
        assert [place for _, place in found] == picks
        ranks = {"best": 1, "the": 1, "worst": n_volumes}
        expected = [ranks.get(place.split()[0]) or int(place.split()[1]) for place in picks]
        assert [name for name, _ in found] == [f"v{rank - 1}" for rank in expected]


class TestRoundPictures:
    def test_item_that_is_gone_is_named(self, tmp_path):
        run = MadeUp({"x": {"image": torch.zeros(1, 1, 4, 4)}})
        shown = artist_of(run, tmp_path).round(ShownRound(1, "entropy", [ShownItem("y")]), 4)
        assert shown.notes == ["There are no pictures of this round: item 'y' is not in the data set any more"]
        assert shown.items[0].picture is None

    def test_maps_of_a_round_share_one_scale(self, tmp_path):
        sure, unsure = torch.full((1, 1, 16, 16), 3.0), torch.zeros(1, 1, 16, 16)
        run = MadeUp({"sure": {"image": sure}, "unsure": {"image": unsure}})
        items = [ShownItem("sure"), ShownItem("unsure"), ShownItem("more")]
        shown = artist_of(run, tmp_path, [Measure()]).round(ShownRound(2, "entropy", items), 2)
        assert run.asked == [1]  # the round before chose them
        assert shown.scale[0] == "uncertainty (entropy)"
        assert shown.scale[1] == pytest.approx(np.log(2))
        middle = [imread(tmp_path / item.picture.file)[200, 480, :3].sum() for item in shown.items[:2]]
        assert middle[1] > middle[0] + 1
        assert shown.items[2].picture is None
        assert "Pictures of the first 2 of 3, in the order of the choice." in shown.about


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Random(), []),
        (Uncertainty("margin"), [Measure("margin")]),
        (Uncertainty("bald", passes=7), [Measure("mutual_information", passes=7)]),
        (Uncertainty("ensemble_variance"), [Measure("variance", samples="members")]),
        (
            Uncertainty("tta", augmentation={"rotation": 5}, selector="stochastic_batches"),
            [Measure.of("tta", augmentation=Augmentation(rotation=5))],
        ),
        (Selective("entropy"), list(Selective("entropy").measures.values())),
    ],
)
def test_measures_are_found_in_the_record(strategy, expected):
    from monai_al.bundle.run_record import plain

    settings = json.loads(json.dumps(plain(vars(strategy))))
    assert recorded_measures(settings) == expected


def test_unknown_settings_hold_no_measure():
    assert recorded_measures("163466d9216c") == []
    assert recorded_measures({"map": "colour", "reduction": "mean", "x": [None, {"y": 1}]}) == []


def test_bad_arguments_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no run\.json"):
        write_report(tmp_path)
    for name in ("items", "volumes"):
        with pytest.raises(ValueError, match=f"{name} must not be negative, got -1"):
            write_report(tmp_path, **{name: -1})
    assert list(tmp_path.iterdir()) == []


# -- embedding map -----------------------------------------------------------------------------------------------------


class TestEmbeddingMap:
    @pytest.fixture
    def with_encoder(self, folder, tmp_path):
        """The run as if a pretrained encoder had chosen; its embeddings lie in a cache."""
        pool = json.loads((folder / "pool.json").read_text())["items"]
        train = [item for item in pool if item["split"] == "train"]
        cache = tmp_path / "cache" / "encoders" / "0123"
        cache.mkdir(parents=True)
        np.save(cache / "embeddings.npy", np.random.default_rng(0).normal(size=(len(train), 8)).astype(np.float32))
        record = {"config": "pretrain.yaml", "folder": str(cache), "sha256": "00"}
        (folder / "encoder.json").write_text(json.dumps(record))
        return folder

    def test_a_picture_of_its_own(self, with_encoder):
        page = write_report(with_encoder, items=0, volumes=0, progress=False)
        assert pictures_of(page) == ["learning_curve.png", "cost_curve.png", "embedding_map.png"]
        assert "Embedding map Every point is an item of the pool" in words_of(page)
        width, height = re.findall(
            r'embedding_map.png"[^>]* width="(\d+)" height="(\d+)"', page.read_text(encoding="utf-8")
        )[0]
        assert imread(page.parent / "embedding_map.png").shape[:2] == (int(height), int(width))

    def test_rounds_are_those_of_the_queries(self, with_encoder, monkeypatch):
        seen = []
        monkeypatch.setattr(run_report, "write_round_map", lambda items, rounds, path: seen.append((items, rounds)))
        monkeypatch.setattr(run_report, "_written", lambda path, alt: None)
        write_report(with_encoder, items=0, volumes=0, progress=False)
        ((items, rounds),) = seen
        for number in (0, 1):
            query = json.loads((with_encoder / f"round_{number:02d}" / "query.json").read_text())["items"]
            assert {item["id"] for item in query} == {id for id, own in rounds.items() if own == number}
        assert set(rounds) <= set(items.ids)

    def test_what_the_encoder_restored(self, with_encoder, tmp_path):
        """Copied beside the page, at its own size; nothing of it where the encoder was trained otherwise."""
        picture = tmp_path / "cache" / "encoders" / "0123" / "restoration.png"
        RestorationPictures(picture)(restored())
        page = write_report(with_encoder, items=0, volumes=0, progress=False)
        assert pictures_of(page) == ["learning_curve.png", "cost_curve.png", "embedding_map.png", "restoration.png"]
        assert (page.parent / "restoration.png").read_bytes() == picture.read_bytes()
        height, width = imread(picture).shape[:2]
        html = page.read_text(encoding="utf-8")
        assert re.search(rf'restoration.png"[^>]* width="{width}" height="{height}"', html)
        assert 'href="#restoration"' in html
        picture.unlink()
        page = write_report(with_encoder, items=0, volumes=0, progress=False)
        assert pictures_of(page) == ["learning_curve.png", "cost_curve.png", "embedding_map.png"]
        assert "restoration" not in page.read_text(encoding="utf-8").split("</style>")[1]

    def test_embeddings_that_are_gone(self, with_encoder, tmp_path):
        shutil.rmtree(tmp_path / "cache")
        page = write_report(with_encoder, items=0, volumes=0, progress=False)
        assert pictures_of(page) == ["learning_curve.png", "cost_curve.png"]
        assert "Embedding map" not in words_of(page)


def restored():
    """An evaluator that has just restored two images."""
    images = torch.rand(2, 1, 12, 16, generator=torch.Generator().manual_seed(0))
    return SimpleNamespace(state=SimpleNamespace(output={"label": images, "image": images, "pred": images.logit()}))


def test_members_decide_where_only_the_best_is_tested(tmp_path, small):
    """The pictures of chosen items show the uncertainty of all members, those of test volumes what was tested."""
    small |= {"steps": 2, "validation_fraction": 0.3}
    strategy = Uncertainty("ensemble_entropy")
    run_loop(tmp_path / "run", small, strategy, members=2, tested="best")
    words = words_of(write_report(tmp_path / "run", items=1, volumes=1, progress=False))
    assert "The uncertainty is that of all networks of the round." in words
    assert "neither prediction nor uncertainty: " not in words
    assert "There are no pictures" not in words
