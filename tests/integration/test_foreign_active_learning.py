# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Bundles of others, made active learners by naming their training config alone."""

from __future__ import annotations

import hashlib
import json
import re
import runpy
import shutil
from pathlib import Path

import monai.bundle
import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.handlers import ValidationHandler
from PIL import Image

from monai_al.annotators import Annotator, Answer, Folder
from monai_al.assets import find_asset
from monai_al.bundle import BundleConfigError, RoundTraining
from monai_al.cli import main
from monai_al.engines import ActiveLearner, RoundEvents, TrainedRun
from monai_al.passes import evaluate_items
from monai_al.records import DataError, Label
from monai_al.sources.entry_source import EntrySource
from monai_al.strategies import Random, Selective, Uncertainty

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]
OWN = ROOT / "bundles" / "selective_uncertainty_spleen" / "configs" / "active_learning.yaml"
WRITE = runpy.run_path(str(ROOT / "tests" / "bundles" / "test_foreign_bundles.py"))["WRITE"]
SMALL = {
    "hippocampus_3d": {"network_def#channels": [2, 4, 4], "epochs": 1, "num_workers": 0},
    "skin_lesion_2d": {
        "network_def#channels": [2, 4, 4, 4], "epochs": 2, "image_size": [32, 32], "batch_size": 2, "val_fraction": 0.4,
    },
    "cardiac_multilabel": {"network_def#init_filters": 4, "epochs": 1, "val_size": 2},
}  # fmt: skip
CLASSES = {
    "hippocampus_3d": ["background", "anterior", "posterior"],
    "skin_lesion_2d": ["background", "lesion"],
    "cardiac_multilabel": [
        "background", "blood cavities of both ventricles", "whole heart: both cavities and the myocardium",
        "left ventricular cavity",
    ],
}  # fmt: skip
every = pytest.mark.parametrize("name", SMALL)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folders with made-up data, each in the layout that its bundle reads."""
    folder = tmp_path_factory.mktemp("made up data")  # the space is meant
    for name, write in WRITE.items():
        write(folder / name, np.random.default_rng(0))
    return folder


@pytest.fixture
def bundle(tmp_path):
    """Copies of the bundles, which must not change; some are made anew with changes."""
    copies = {}

    def copied(name, change=None):
        folder = tmp_path / "bundles" / name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(ROOT / "tests" / "foreign_bundles" / name, folder)
        (file,) = (folder / "configs").glob("train.*")
        if change is not None:
            config = ConfigParser.load_config_file(str(file))
            change(config)
            file.write_text(json.dumps(config))  # which is YAML too
        copies[folder] = content(folder)
        return file

    yield copied
    for folder, before in copies.items():
        assert content(folder) == before, "something was written into the bundle's folder"


def content(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def learner(file, data, folder, strategy=None, **settings):
    name = file.parents[1].name
    overrides = {"dataset_dir": str(data / name), "device": "cpu", **SMALL[name], **settings.pop("overrides", {})}
    settings = {"budget": 1, "rounds": 2, "progress": False, **settings}
    return ActiveLearner(file, strategy or Uncertainty("entropy"), folder, overrides=overrides, **settings)


def results(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for name in ("query.json", "metrics.json")
        for path in folder.rglob(name)
    }


def weights(folder, round=0, member=0):
    return torch.load(folder / f"round_{round:02}" / f"model_{member}.pt", weights_only=True)["model"]


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


# -- they work ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [name if name != "cardiac_multilabel" else pytest.param(name, marks=pytest.mark.nightly) for name in SMALL],
)
def test_two_rounds(name, bundle, data, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    file = bundle(name)
    found = learner(file, data, tmp_path / "run")
    found.run()
    assert [found.folder.metrics(number)["labeled"] for number in (0, 1)] == [1, 2]
    assert json.loads((tmp_path / "run" / "pool.json").read_text())["classes"] == CLASSES[name]
    scores = found.folder.metrics(1)
    assert list(scores["dice_3d"]["per_class"]) == CLASSES[name][1:]
    assert all(0 <= value <= 1 for value in scores["dice_3d"]["per_class"].values())
    assert scores["hd95_3d"]["spacing_is_placeholder"] == (name == "skin_lesion_2d")
    assert len(scores["dice_3d"]["per_volume"]) == len(found.test)
    assert not same(weights(tmp_path / "run", 0), weights(tmp_path / "run", 1))
    (queried,) = found.folder.query(1).items
    assert queried.score > 0
    assert queried.id not in found.folder.labeled(0)
    assert list((tmp_path / "here").iterdir()) == []  # nothing was written to where it was started

    before = content(tmp_path / "run")
    learner(file, data, tmp_path / "run").run()  # it is done
    assert content(tmp_path / "run") == before

    run = TrainedRun(tmp_path / "run", {"device": "cpu"})  # it is read again from its own records
    assert isinstance(run.source, EntrySource)
    again = evaluate_items(run.source, run.network(), run.source.data.part("test").items)
    assert again["dice_3d"] == scores["dice_3d"]


class Copies(Annotator):
    """Returns a copy of each label file, in the bundle's own coding."""

    name = "copies"

    def __init__(self, folder):
        self.folder = folder

    def annotate(self, query, pool, work=None):
        labels = []
        for id in query.ids:
            path = Path(self.folder) / Path(pool[pool.index(id)].label).name
            path.parent.mkdir(exist_ok=True)
            shutil.copy(pool[pool.index(id)].label, path)
            labels.append(Label(id, where=str(path), coding="stored codes"))
        return Answer(tuple(labels))


def test_files_that_come_back_go_into_the_entries(bundle, data, tmp_path):
    file = bundle("skin_lesion_2d")
    found = learner(file, data, tmp_path / "run", annotator=Copies(str(tmp_path / "returned")))
    found.run()
    learner(file, data, tmp_path / "oracle").run()
    assert results(tmp_path / "oracle").items() <= results(tmp_path / "run").items()  # who is asked once more
    assert same(weights(tmp_path / "run", 1), weights(tmp_path / "oracle", 1))
    (id,) = found.folder.labeled(0)
    label = found.folder.labels(0)[id]
    (entry,) = found.source.entries(found.folder.labels(0).of_items([found.pool[found.pool.index(id)]]))
    assert entry["label"] == label.where
    assert Path(label.where).is_relative_to(tmp_path / "run/round_00/answers/0000/returned")


@pytest.mark.nightly
def test_a_person_gets_whole_volumes(bundle, data, tmp_path):
    """Class numbers on the grid of the image, which the bundle reads as its own labels."""
    file = bundle("hippocampus_3d")
    waiting = learner(file, data, tmp_path / "run", annotator=Folder(), rounds=1)
    waiting.run()
    for id in waiting.folder.query(0).ids:
        item = waiting.pool[waiting.pool.index(id)]
        (path,) = (tmp_path / "run/annotate/round_00").rglob("annotation.nii.gz")
        handed_out = nibabel.load(path)
        assert not np.asarray(handed_out.dataobj).any()
        truth = np.asarray(nibabel.load(item.label).dataobj).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(np.flip(truth, 2), handed_out.affine @ upside_down(truth.shape[2])), path)
    found = learner(file, data, tmp_path / "run", annotator=Folder(), rounds=1)
    found.run()
    learner(file, data, tmp_path / "oracle", rounds=1).run()
    assert results(tmp_path / "oracle").items() <= results(tmp_path / "run").items()  # who is asked once more
    assert same(weights(tmp_path / "run"), weights(tmp_path / "oracle"))
    label = next(iter(found.folder.labels(0).values()))
    assert Path(label.returned).name == "annotation.nii.gz"


def upside_down(n):
    return np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, n - 1], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("skin_lesion_2d", "only volumes in NIfTI, NRRD and MetaImage files can be handed out: let an annotator of"),
        ("cardiac_multilabel", "the classes of this bundle overlap, which one class number a voxel cannot say"),
    ],
)
def test_what_cannot_be_handed_out_is_said(bundle, data, tmp_path, name, message):
    with pytest.raises(DataError, match=message):
        learner(bundle(name), data, tmp_path / "run", annotator=Folder()).run()


def test_strokes_are_refused_before_anything_is_written(bundle, data, tmp_path):
    """A bundle's own loss counts every pixel, what strokes leave open, too."""
    with pytest.raises(DataError, match="counts them all: let people draw masks, by the overlay annotators/folder"):
        learner(bundle("hippocampus_3d"), data, tmp_path / "run", annotator=Folder(scribbles=True)).run()
    assert not (tmp_path / "run").exists()


def test_a_round_whose_items_are_all_refused_scores_no_answers(bundle, data, tmp_path):
    class Refuses(Copies):
        def annotate(self, query, pool, work=None):
            if query.round == 1:
                return Answer(refused=dict.fromkeys(query.ids, "cannot be told"))
            return super().annotate(query, pool, work)

    found = learner(bundle("skin_lesion_2d"), data, tmp_path / "run", annotator=Refuses(str(tmp_path / "returned")))
    found.run()
    assert found.folder.metrics(1)["dice_query"] is None


def test_files_that_do_not_fit_are_named_before_anything_is_recorded(bundle, data, tmp_path):
    class Wrong(Copies):
        def annotate(self, query, pool, work=None):
            answer = super().annotate(query, pool, work)
            Image.new("L", (7, 5)).save(answer.labels[0].where)
            return answer

    with pytest.raises(DataError, match=r"has the shape \(5, 7\), its image .* has"):
        learner(bundle("skin_lesion_2d"), data, tmp_path / "run", annotator=Wrong(str(tmp_path / "returned"))).run()
    assert not list((tmp_path / "run").glob("round_00/labels/*"))


def test_from_the_command_line_of_monai(bundle, data, tmp_path):
    strategy = ROOT / "configs" / "strategies" / "selective_entropy.yaml"
    name = "skin_lesion_2d"
    monai.bundle.run(
        config_file=[str(OWN), str(strategy)],
        training_config=str(bundle(name)),
        dataset_dir=str(data / name),
        output_dir=str(tmp_path / "run"),
        rounds=2, budget=1, threads=1, progress=False, device="cpu", epochs=1, batch_size=1, learning_rate=0.01,
        image_size=[32, 32],
    )  # fmt: skip
    assert {"round_00/metrics.json", "round_01/query.json"} <= set(results(tmp_path / "run"))
    recorded = json.loads((tmp_path / "run" / "run.json").read_text())["config"]["training"]
    assert (recorded["epochs"], recorded["batch_size"], recorded["image_size"]) == (1, 1, [32, 32])


@pytest.mark.parametrize(
    ("network", "strategy", "message"),
    [
        ({"_target_": "SegResNetDS", "spatial_dims": 3}, "mc_dropout", "--dropout: the network of .* takes none"),
        (
            None,
            "learning_loss",
            "--train_overlays learning_loss is for .* with backbone, .* brings a network of its own",
        ),
    ],
)
def test_what_a_strategy_brings_and_has_no_place_for(network, strategy, message, bundle, data, tmp_path, capsys):
    file = bundle("hippocampus_3d", lambda config: config.update(network_def=network or config["network_def"]))
    words = ["active_learning", f"strategies/{strategy}", "--training_config", str(file)]
    assert main(
        ["run", *words, "--dataset_dir", str(data / file.parents[1].name), "--output_dir", str(tmp_path / "run")]
    )
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


@pytest.mark.nightly
def test_a_measure_that_needs_dropout(bundle, data, tmp_path):
    often = {"network_def#dropout_prob": 0.5}
    found = learner(bundle("cardiac_multilabel"), data, tmp_path / "a", Uncertainty("bald"), overrides=often)
    found.run()
    assert found.folder.query(1).items[0].score > 0
    with pytest.raises(ValueError, match="dropout"):
        learner(bundle("hippocampus_3d"), data, tmp_path / "b", Uncertainty("bald")).run()
    taken = {"dropout": 0.5}  # the network takes it, though the config says nothing of it
    learner(bundle("hippocampus_3d"), data, tmp_path / "c", Uncertainty("bald"), overrides=taken).run()
    assert not (tmp_path / "b" / "run.json").exists()


@pytest.mark.parametrize("name", [pytest.param("hippocampus_3d", marks=pytest.mark.nightly), "skin_lesion_2d"])
def test_several_members(name, bundle, data, tmp_path):
    found = learner(bundle(name), data, tmp_path / "run", members=2, rounds=1)
    found.run()
    assert not same(weights(tmp_path / "run", member=0), weights(tmp_path / "run", member=1))
    assert found.folder.metrics(0)["dice_3d"]["mean"] is not None


@pytest.mark.nightly
def test_training_goes_on_from_the_previous_weights(bundle, data, tmp_path):
    """Without a step that changes anything, they are the previous ones."""
    file = bundle("skin_lesion_2d", lambda config: config["network_def"].update(norm="instance"))
    options = {"initial_weights": "previous", "overrides": {"optimizer#lr": 0.0}}
    learner(file, data, tmp_path / "a", **options).run()
    assert same(weights(tmp_path / "a", 0), weights(tmp_path / "a", 1))
    learner(file, data, tmp_path / "b", **(options | {"initial_weights": "scratch"})).run()
    assert not same(weights(tmp_path / "b", 0), weights(tmp_path / "b", 1))


def test_an_encoder_that_its_networks_would_start_from_is_refused(bundle, data, tmp_path):
    """It is trained on the pool of a config of ours, which a foreign bundle has not."""
    encoder = [find_asset("active_learning") / "configs" / "train.yaml", find_asset("training/restoration")]
    with pytest.raises(ValueError, match="a pool and a cache of its own; give --warm_start a file of weights$"):
        learner(bundle("skin_lesion_2d"), data, tmp_path / "run", warm_start="encoder", encoder=encoder).run()
    assert not (tmp_path / "run").exists()


# -- seeds -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "early",
    [pytest.param(False, marks=pytest.mark.nightly), True],
    ids=["as it is", "with a network built in initialize"],
)
def test_seeds_decide_although_the_bundle_seeds_for_itself(early, bundle, data, tmp_path):
    def change(config):
        assert config["initialize"] == ["$monai.utils.set_determinism(seed=123)"]
        config["initialize"] += ["$@train#trainer"] if early else []

    file = bundle("skin_lesion_2d", change)
    runs = {"a": 5, "b": 5, "c": 6}
    for name, seed in runs.items():
        learner(file, data, tmp_path / name, rounds=1, seed=seed, overrides={"optimizer#lr": 0.0}).run()
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not any(
        torch.equal(value, weights(tmp_path / "c")[key])
        for key, value in weights(tmp_path / "a").items()
        if key.endswith("conv.weight")
    )


@pytest.mark.parametrize("name", [pytest.param("hippocampus_3d", marks=pytest.mark.nightly), "skin_lesion_2d"])
def test_the_same_seed_gives_the_same_files(name, bundle, data, tmp_path):
    file = bundle(name)
    for folder in ("a", "b"):
        torch.manual_seed(ord(folder))  # the process's own state plays no part
        np.random.seed(ord(folder))
        learner(file, data, tmp_path / folder, seed=3).run()
    assert results(tmp_path / "a") == results(tmp_path / "b")
    assert same(weights(tmp_path / "a", 1), weights(tmp_path / "b", 1))


@pytest.mark.nightly
def test_a_run_that_is_interrupted_again_and_again_ends_the_same(bundle, data, tmp_path):
    class Killed(BaseException):
        pass

    def kill():
        raise Killed

    file = bundle("skin_lesion_2d")
    learner(file, data, tmp_path / "whole", Selective("entropy"), members=2).run()
    for event in RoundEvents:
        broken = learner(file, data, tmp_path / "broken", Selective("entropy"), members=2)
        broken.add_event_handler(event, kill)
        with pytest.raises(Killed):
            broken.run()
        assert results(tmp_path / "broken") != results(tmp_path / "whole")
    learner(file, data, tmp_path / "broken", Selective("entropy"), members=2).run()
    assert results(tmp_path / "broken") == results(tmp_path / "whole")


# -- what other bundles do ---------------------------------------------------------------------------------------------


def inline(config):
    """Everything stands in the engines alone."""
    validate = config["validate"]
    validate["dataset"]["transform"] = validate.pop("preprocessing")
    for id in ("inferer", "postprocessing"):
        validate["evaluator"][id] = config["train"][id] if id == "postprocessing" else validate.pop(id)
    validate["evaluator"]["val_handlers"] = validate.pop("handlers")
    validate.pop("postprocessing")


def named_lists(config):
    config["listed"], config["others"] = config["train"]["dataset"]["data"], config["validate"]["dataset"]["data"]
    config["train"]["dataset"]["data"], config["validate"]["dataset"]["data"] = "@listed", "%others"


def with_invertd(config):
    config["validate"]["postprocessing"] = {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "Activationsd", "keys": "pred", "softmax": True},
            {"_target_": "Invertd", "keys": ["pred", "label"], "transform": "@validate#preprocessing",
             "orig_keys": ["image", "label"], "nearest_interp": [False, True]},
            {"_target_": "AsDiscreted", "keys": ["pred", "label"], "argmax": [True, False], "to_onehot": 3},
        ],
    }  # fmt: skip


def writing(config):
    """Hard-coded folders, and images of the predictions."""
    config["validate"]["handlers"][-1]["save_dir"] = "./models"
    config["train"]["handlers"] += [{"_target_": "LogfileHandler", "output_dir": "$@bundle_root + '/logs'"}]
    config["train"]["dataset"] = {
        "_target_": "PersistentDataset", "data": config["train"]["dataset"]["data"],
        "transform": "@train#preprocessing", "cache_dir": "$@bundle_root + '/cache'",
    }  # fmt: skip
    config["val_interval"] = 1
    saver = {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"}
    config["validate"]["postprocessing"] = {"_target_": "Compose", "transforms": ["%train#postprocessing", saver]}


def old_run(config):
    config["training"] = config.pop("initialize") + config.pop("run")


def template(config):
    """The ids of the Model Zoo's template for segmentation: flat, and other words."""
    names = {"dataloader": "loader", "trainer": "engine", "evaluator": "tester"}
    text = json.dumps(config)
    for part in ("train", "validate"):
        for key in sorted(config[part], key=len, reverse=True):
            text = text.replace(f"{part}#{key}", f"{part}_{names.get(key, key)}")
    flat = json.loads(text)
    for part in ("train", "validate"):
        flat |= {f"{part}_{names.get(key, key)}": value for key, value in flat.pop(part).items()}
    config.clear()
    config.update(flat)


def in_expressions(config):
    """No id holds the list of entries or the inferer, and subsets are made of one data set."""
    listed = "[{'image': i, 'label': l} for i, l in zip(@images, @labels)]"
    transform = "@train#preprocessing"
    config["train"]["dataset"] = (
        f"$torch.utils.data.Subset(monai.data.Dataset({listed}, {transform}), range(len(@images) - 10))"
    )
    config["validate"]["evaluator"]["inferer"] = "$(lambda inferer: inferer)(@validate#inferer)"


def alone(config):
    """A training without validation."""
    config.pop("validate")
    config["train"]["handlers"] = config["train"]["handlers"][1:]


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory):
    """A run of the bundle as it is."""
    (file,) = (ROOT / "tests" / "foreign_bundles" / "hippocampus_3d" / "configs").glob("train.*")
    found = learner(file, data, tmp_path_factory.mktemp("plain") / "run", Random(), rounds=1)
    found.run()
    return found.folder


@pytest.mark.parametrize(
    "change",
    [
        with_invertd,
        template,
        in_expressions,
        *(pytest.param(change, marks=pytest.mark.nightly) for change in (inline, named_lists, writing, old_run)),
    ],
)
def test_variants_give_the_same_scores(change, plain, bundle, data, tmp_path, monkeypatch):
    """How a config is written changes nothing in what is trained and scored."""
    monkeypatch.chdir(tmp_path)
    found = learner(bundle("hippocampus_3d", change), data, tmp_path / "run", Random(), rounds=1)
    found.run()
    assert same(weights(tmp_path / "run"), weights(plain.path))
    changed, expected = found.folder.metrics(0)["dice_3d"], plain.metrics(0)["dice_3d"]
    for volume, classes in expected["per_volume"].items():
        assert changed["per_volume"][volume] == pytest.approx(classes, abs=0.02 if change is with_invertd else 1e-9)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundles", "run"]


@pytest.mark.nightly
def test_workers(bundle, data, tmp_path):
    file = bundle("skin_lesion_2d")
    for folder in ("a", "b"):
        learner(file, data, tmp_path / folder, rounds=1, overrides={"num_workers": 2}).run()
    assert results(tmp_path / "a") == results(tmp_path / "b")


def no_steps(config):
    config["train"]["dataloader"].update(drop_last=True, batch_size=8)


def without_trainer(config):
    config["run"] = ["$print(@val_interval)"]
    config["train"].pop("trainer")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (no_steps, "did no step with its 1 labeled items: lower --batch_size"),
        (without_trainer, "train.json runs no trainer: .* name its id by --bundle_ids"),
        (lambda config: config.pop("network_def"), "train.json fails by itself.*@network_def. is not defined"),
        (lambda config: config["validate"].pop("evaluator"), "train.json fails by itself.*validate::evaluator. is not"),
        (alone, "train.json has no validation: .*name it by --bundle_ids"),
        (lambda config: config.pop("run"), "train.json has no run"),
        (lambda config: config.update(dataset_dir="/nowhere"), "train#dataset#data .* is empty: does --dataset_dir"),
    ],
)
def test_what_cannot_work_is_told(change, message, bundle, tmp_path, data):
    file = bundle("hippocampus_3d", change)
    where = {} if "empty" in message else {"dataset_dir": str(data / "hippocampus_3d")}
    with pytest.raises(BundleConfigError, match=message):
        ActiveLearner(
            file, Random(), tmp_path / "run", overrides={"device": "cpu", **where}, budget=1, rounds=2, progress=False
        ).run()


def test_weights_that_a_bundle_starts_from_are_found(bundle, data, tmp_path):
    """Its ``ckpt_dir`` is read then, so it stays, while nothing is written there."""
    loader = {
        "_target_": "CheckpointLoader", "load_path": "$@ckpt_dir + '/start.pt'", "load_dict": {"model": "@network"}
    }  # fmt: skip

    def change(config):
        config["train"]["handlers"].insert(0, loader)
        config["ckpt_dir"] = str(tmp_path / "weights")
        config["network_def"]["norm"] = "instance"

    file = bundle("skin_lesion_2d", change)
    torch.manual_seed(77)
    small = {"network_def#channels": SMALL["skin_lesion_2d"]["network_def#channels"]}
    (network,) = RoundTraining(file, small).resolve("network_def")
    (tmp_path / "weights").mkdir()
    torch.save({"model": network.state_dict()}, tmp_path / "weights" / "start.pt")
    before = content(tmp_path / "weights")
    for asked in ("scratch", "previous"):
        with pytest.raises(BundleConfigError, match=r"by itself, from .*start.pt.* by --initial_weights bundle"):
            learner(file, data, tmp_path / "run", initial_weights=asked).run()
    assert not (tmp_path / "run").exists()
    learner(file, data, tmp_path / "run", initial_weights="bundle", overrides={"optimizer#lr": 0.0}).run()
    for round in (0, 1):
        assert same(weights(tmp_path / "run", round), network.state_dict())
    assert content(tmp_path / "weights") == before
    (recorded,) = json.loads((tmp_path / "run" / "run.json").read_text())["config"]["learner"]["bundle_weights"]
    assert recorded["sha256"] == hashlib.sha256((tmp_path / "weights" / "start.pt").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "place",
    [
        lambda config, load: config.update(network=f"$(lambda net: ({load}, net)[1])(@network_def.to(@device))"),
        pytest.param(lambda config, load: config["initialize"].append(f"${load}"), marks=pytest.mark.nightly),
        pytest.param(lambda config, load: config["run"].insert(0, f"${load}"), marks=pytest.mark.nightly),
    ],
    ids=["where the network is built", "in initialize", "in run"],
)
def test_weights_that_an_expression_loads_never_enter_unasked(place, bundle, data, tmp_path):
    file = bundle("skin_lesion_2d")
    small = {"network_def#channels": SMALL["skin_lesion_2d"]["network_def#channels"]}
    (network,) = RoundTraining(file, small | {"network_def#norm": "instance"}).resolve("network_def")
    torch.save(network.state_dict(), tmp_path / "start.pt")
    load = f"@network_def.load_state_dict(torch.load('{tmp_path / 'start.pt'}', weights_only=True))"
    file = bundle("skin_lesion_2d", lambda config: place(config, load))
    with pytest.raises(BundleConfigError, match=r"by itself, from .*start.pt"):
        learner(file, data, tmp_path / "run", overrides={"network_def#norm": "instance"}).run()
    assert not (tmp_path / "run").exists()
    still = {"optimizer#lr": 0.0, "network_def#norm": "instance"}
    learner(file, data, tmp_path / "asked", initial_weights="bundle", rounds=1, overrides=still).run()
    assert same(weights(tmp_path / "asked"), network.state_dict())


def test_a_bundle_that_loads_no_weights_has_none_to_start_from(bundle, data, tmp_path):
    with pytest.raises(BundleConfigError, match="--initial_weights bundle: .* loads no weights into its network"):
        learner(bundle("skin_lesion_2d"), data, tmp_path / "run", initial_weights="bundle").run()


def test_the_bundles_own_validation_runs_only_where_something_depends_on_it(bundle, data, tmp_path, monkeypatch):
    def validations(folder, change=lambda config: None, **overrides):
        seen = []
        monkeypatch.setattr(ValidationHandler, "__call__", lambda self, engine: seen.append(engine.state.epoch))
        overrides = {"epochs": 2, "val_interval": 1, **overrides} if overrides else {"epochs": 2}
        file = bundle("hippocampus_3d", lambda config: (config.update(val_interval=1), change(config)))
        learner(file, data, tmp_path / folder, Random(), rounds=1, overrides=overrides).run()
        return seen

    def stops_early(config):
        stopper = {"_target_": "EarlyStopHandler", "patience": 9, "score_function": "$lambda engine: 0.0"}
        config["validate"]["handlers"].append(stopper | {"trainer": None})
        config["run"].insert(0, "$@validate#handlers#3.set_trainer(trainer=@train#trainer)")

    assert validations("off") == []
    assert validations("asked for", val_interval=1) == [1, 2]
    assert validations("needed", stops_early) == [1, 2]
    disabled = {"_disabled_": "$1 < 2", "_target_": "EarlyStopHandler", "patience": 9, "trainer": None}
    assert validations("not needed", lambda config: config["validate"]["handlers"].append(disabled)) == []
