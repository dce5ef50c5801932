# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Pretraining by restoration, its embeddings, and networks that start from its weights, from MONAI's command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import monai.bundle
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.networks.nets import UNet

from monai_al.bundle import RoundTraining, RunningBundle
from monai_al.commands import main
from monai_al.engines import EncoderTraining, TrainedRun
from monai_al.records import held_out
from monai_al.transforms import RestorationBatch

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "bundles" / "ssl_cluster_skin_lesion" / "configs"
PHANTOM = {"patients": 8, "volumes_per_patient": 1, "shape": [16, 16, 6], "classes": ["background", "lesion"]}
COMMON = {
    "phantom": PHANTOM, "image_size": [16, 16], "channels": [4, 8], "progress": False, "device": "cpu",
    "test_fraction": 0.25, "pretrain_epochs": 2, "pretrain_batch_size": 8, "pretrain_validation": 0.2,
    "tensorboard": False,
}  # fmt: skip
# of these a network keeps what it started from, but for the statistics of its batch norm
UNCHANGED = {"steps": 2, "batch_size": 4, "learning_rate": 0, "rounds": 2, "budget": 3}

pytestmark = pytest.mark.usefixtures("one_thread")


def overlay(name):
    return ROOT / "configs" / f"{name}.yaml"


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def weights(path):
    return torch.load(path, weights_only=True)["model"]


def causes(error):
    return "" if error is None else f"{error}; {causes(error.__cause__)}"


def run(folder, *names, **overrides):
    files = [str(CONFIGS / "active_learning.yaml"), *(str(name) for name in names)]
    monai.bundle.run(config_file=files, output_dir=str(folder), threads=1, **{**COMMON, **UNCHANGED, **overrides})
    return folder


def pretrain(folder, **overrides):
    monai.bundle.run(config_file=str(CONFIGS / "pretrain.yaml"), output_dir=str(folder), **{**COMMON, **overrides})
    return folder / "models" / "model.pt"


def restoring(channels=(4, 8)):
    """The network of the pretraining."""
    return UNet(2, 1, 1, channels, (2,), act="LEAKYRELU", norm="BATCH")


def trained(network):
    """The weights that only steps change."""
    return {name for name in network if "running" not in name and "num_batches" not in name}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Two rounds from the encoder's weights, the second one from those of the first."""
    return run(tmp_path_factory.mktemp("warm") / "run")


# -- the pretraining alone ---------------------------------------------------------------------------------------------


def test_it_validates_on_held_out_items_of_the_pool_and_never_on_the_test_part(tmp_path, monkeypatch):
    seen, call = {"train": set(), "validation": set()}, RestorationBatch.__call__

    def watched(self, batchdata, *args, **kwargs):
        seen["train" if self.seed is None else "validation"] |= set(batchdata["id"])
        assert "label" not in batchdata
        return call(self, batchdata, *args, **kwargs)

    monkeypatch.setattr(RestorationBatch, "__call__", watched)
    model = pretrain(tmp_path / "pretrain")
    parser = ConfigParser(ConfigParser.load_config_file(str(CONFIGS / "pretrain.yaml")))
    parser.update({**COMMON, "cache_dir": str(tmp_path / "cache")})
    pool = parser.get_parsed_content("pool")
    parts = held_out(pool.part("train").items, 0.2, seed=0)
    assert [seen["train"], seen["validation"]] == [{item.id for item in part} for part in parts]
    test = {item.id for item in pool.part("test").items}
    assert len(seen["train"]) > len(seen["validation"]) > 0 < len(test)
    assert not test & (seen["train"] | seen["validation"])

    assert (tmp_path / "pretrain" / "restoration.png").stat().st_size > 1000
    restoring().load_state_dict(weights(model))


def test_it_runs_without_a_validation_part_and_a_batch_size(tmp_path):
    changes = {"pretrain_validation": 0, "pretrain_epochs": 1, "pretrain_batch_size": "$None"}
    model = pretrain(tmp_path / "pretrain", **changes)
    restoring().load_state_dict(torch.load(model, weights_only=True))
    assert not (tmp_path / "pretrain" / "restoration.png").exists()


def test_what_makes_it_another_pretraining_is_refused_in_its_folder(tmp_path):
    pretrain(tmp_path / "pretrain", pretrain_epochs=1)
    changes = {
        "preprocessing": {"image_size": [32, 32]}, "optimizer": {"pretrain_weight_decay": 0.1},
        "items": {"split_seed": 1}, "training": {"pretrain_batch_size": 4}, "network": {"channels": [4, 16]},
    }  # fmt: skip
    for what, change in changes.items():
        with pytest.raises(RuntimeError) as refused:
            pretrain(tmp_path / "pretrain", **change)
        assert f"is of another training, with {what} " in causes(refused.value)
    pretrain(tmp_path / "pretrain", pretrain_epochs=2)  # which goes on


@pytest.mark.parametrize("more", [[], ["paper.yaml"]], ids=["alone", "paper"])
def test_both_trainings_see_the_same_images(tmp_path, more):
    """From 0 to 1; with the preprocessing of one all weights fit to the other."""
    found = []
    for name in ("pretrain.yaml", "train.yaml"):
        parser = ConfigParser(ConfigParser.load_config_files([str(CONFIGS / one) for one in (name, *more)]))
        parser.update({**COMMON, "cache_dir": str(tmp_path)})
        assert parser.get("cache")["transform"] == "@preprocessing"
        prepare = parser.get_parsed_content("preprocessing")
        picture = 40 + 200 * torch.rand(3, 24, 24, 1, generator=torch.Generator().manual_seed(0))
        found.append(torch.as_tensor(prepare({"image": MetaTensor(picture)})["image"]))
    assert torch.equal(*found)
    assert (found[0].min(), found[0].max(), len(found[0])) == (0, 1, 1)


def test_a_resized_mask_keeps_its_values_and_its_area(tmp_path):
    parser = ConfigParser(ConfigParser.load_config_file(str(CONFIGS / "train.yaml")))
    parser.update({**COMMON, "image_size": [60, 60], "cache_dir": str(tmp_path)})
    rows, columns = torch.meshgrid(torch.arange(301), torch.arange(401), indexing="ij")
    mask = (((rows - 150) / 100) ** 2 + ((columns - 200) / 130) ** 2 < 1).float()[None, :, :, None]
    image = MetaTensor(torch.rand(3, 301, 401, 1))
    found = parser.get_parsed_content("preprocessing")({"image": image, "label": MetaTensor(mask)})["label"]
    assert found.shape == (1, 60, 60, 1)
    assert set(found.unique().tolist()) == {0, 1}
    assert abs(found.mean() - mask.mean()) < 0.005


@pytest.mark.parametrize("more", [[], ["paper.yaml"]], ids=["alone", "paper"])
def test_one_sigmoid_stands_between_the_network_and_the_image(tmp_path, more):
    """With a second one nothing would be restored below 0.5."""
    parser = ConfigParser(ConfigParser.load_config_files([str(CONFIGS / name) for name in ("pretrain.yaml", *more)]))
    parser.update({**COMMON, "cache_dir": str(tmp_path), "channels": [4] * (5 if more else 2)})
    network, loss = (parser.get_parsed_content(id) for id in ("network_def", "restoration_loss"))
    [*_, bias] = network.parameters()
    torch.nn.init.constant_(bias, -10)
    with torch.no_grad():
        restored = network.eval()(torch.rand(1, 1, 32, 32))
    assert loss(restored, torch.zeros_like(restored)) < 1e-3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.nightly  # the tests of BestWeights and Resumption stand for it
def test_killed_at_any_point_it_ends_with_the_same_bytes(tmp_path):
    script = Path(__file__).with_name("pretraining_kill_points.py")
    line = [sys.executable, str(script), str(tmp_path)]
    finished = subprocess.run(line, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    points = [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]
    assert len(points) == 11
    for point in points:
        assert point["signal"] == signal.SIGKILL, f"{point['point']}: was never reached"
        assert point["equal"], f"{point['point']}: other weights"


# -- embeddings --------------------------------------------------------------------------------------------------------


def test_a_row_is_the_embedding_of_its_item_alone(done):
    """In the pool's order, of images that are not deformed, and of no other image of its batch."""
    place = Path(read(done / "encoder.json")["folder"])
    rows = np.load(place / "embeddings.npy")
    source = TrainedRun(done).source
    source.prepare([])
    items = source.data.part("train").items
    assert rows.shape == (len(items), 8 * 2 * 2)
    network = restoring()
    network.load_state_dict(weights(place / "encoder.pt"))
    found = []
    network.eval().model[1].submodule.register_forward_hook(lambda module, inputs, output: found.append(output))
    for item in items:
        with torch.no_grad():
            network(torch.from_numpy(source.cache.get(item).image[item.slice])[None])
    slow = [torch.nn.functional.adaptive_avg_pool2d(one, 2).flatten().numpy() for one in found]
    np.testing.assert_allclose(rows, slow, rtol=1e-4, atol=1e-5)
    assert len(np.unique(rows, axis=0)) == len(rows)
    assert read(done / "round_00" / "query.json")["strategy"] == "cluster representatives"


@pytest.mark.nightly
def test_two_entries_are_equal(done, tmp_path):
    other = run(tmp_path / "run", rounds=1)
    one, two = (Path(read(folder / "encoder.json")["folder"]) for folder in (done, other))
    assert one != two
    for name in ("encoder.pt", "embeddings.npy"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


OF_THE_ENCODER = {
    "channels": [4, 16], "image_size": [32, 32], "seed": 1, "pretrain_epochs": 3, "pretrain_batch_size": 4,
    "pretrain_learning_rate": 0.1, "pretrain_validation": 0.4, "encoder_embedding": "bottleneck", "colours": "rgb",
    "test_fraction": 0.5, "split_seed": 1,
}  # fmt: skip
OF_THE_SEGMENTATION = {
    "steps": 9, "learning_rate": 0.1, "batch_size": 2, "epochs": 3, "weight_decay": 0.1, "members": 2, "rounds": 3,
    "budget": 5, "lr_schedule": "constant", "augmentation": {"_target_": "DeleteItemsd", "keys": "valid"},
    "loss": {"_target_": "DiceLoss"}, "key_metric": "dice", "val_interval": 2, "warm_start": None,
}  # fmt: skip


@pytest.mark.parametrize("files", [["pretrain.yaml"], ["train.yaml", overlay("training/restoration")]])
def test_what_makes_it_another_encoder(files):
    def settings(**changes):
        command = ConfigParser.load_config_file(str(CONFIGS / "active_learning.yaml")) | COMMON | changes
        forwarded = RunningBundle(CONFIGS.parent, command).forwarded_ids(files[0], [str(name) for name in files[1:]])
        return EncoderTraining([CONFIGS / name for name in files], forwarded).settings()

    expected = settings()
    for name, value in OF_THE_SEGMENTATION.items():
        assert settings(**{name: value}) == expected, name
    for name, value in OF_THE_ENCODER.items():
        if name != "seed":  # the loop's own, which is asked for beside the config
            assert settings(**{name: value}) != expected, name


# -- warm starts -------------------------------------------------------------------------------------------------------


def test_the_first_weights_are_the_encoder_s_and_those_of_later_rounds_the_previous_ones(done):
    encoder = weights(Path(read(done / "encoder.json")["folder"]) / "encoder.pt")
    first, second = (weights(done / f"round_0{number}" / "model_0.pt") for number in (0, 1))
    last = {"model.2.conv.weight", "model.2.conv.bias"}
    assert all(torch.equal(first[name], encoder[name]) for name in trained(first) - last)
    assert first["model.2.conv.bias"].shape == (2,)
    assert all(torch.equal(first[name], second[name]) for name in trained(first))

    record = read(done / "warm_start.json")
    assert record["from"] == "encoder"
    assert record["sha256"] == read(done / "encoder.json")["sha256"]
    assert set(record["new"]) == last
    assert set(record["loaded"]) == set(first) - last
    assert main(["verify", str(done)]) == 0


def test_from_scratch_every_round_starts_from_them(done, tmp_path):
    cache = str(done.parent / "cache")
    folder = run(tmp_path / "run", initial_weights="scratch", cache_dir=cache, members=2)
    assert read(folder / "encoder.json")["sha256"] == read(done / "encoder.json")["sha256"]
    encoder = weights(Path(read(folder / "encoder.json")["folder"]) / "encoder.pt")
    networks = [weights(folder / f"round_0{number}" / f"model_{m}.pt") for number in (0, 1) for m in (0, 1)]
    body = trained(networks[0]) - {"model.2.conv.weight", "model.2.conv.bias"}
    assert all(torch.equal(network[name], encoder[name]) for network in networks for name in body)
    drawn = {tuple(network["model.2.conv.bias"].tolist()) for network in networks}
    assert len(drawn) == 4  # the last layer is each network's own


def test_networks_of_folds_start_from_them_too(done, tmp_path, monkeypatch):
    starts, train = [], RoundTraining.run

    def watched(self, items, **options):
        if options.get("scratch"):  # else it trains the encoder
            starts.append("previous" if options["state"] else "pretrained" if options["pretrained"] else "random")
        return train(self, items, **options)

    monkeypatch.setattr(RoundTraining, "run", watched)
    run(tmp_path / "run", cache_dir=str(done.parent / "cache"), folds=2)
    assert starts == ["pretrained", *["pretrained"] * 2, "previous", *["pretrained"] * 2]


def test_a_record_that_was_changed_is_found(done, tmp_path, capsys):
    copy = shutil.copytree(done, tmp_path / "copy")
    (copy / "warm_start.json").write_text(json.dumps(read(copy / "warm_start.json") | {"sha256": "0" * 64}))
    assert main(["verify", str(copy)]) == 2
    assert "warm_start.json: differs from what was written; since round 0" in capsys.readouterr().err


def test_a_file_as_warm_start_and_another_one_in_its_place(tmp_path):
    model = pretrain(tmp_path / "pretrain", pretrain_epochs=1)
    asked = {"warm_start": str(model), "cache_dir": str(tmp_path / "cache"), "rounds": 1}
    folder = run(tmp_path / "run", overlay("strategies/random"), **asked)
    assert not (folder / "encoder.json").exists()
    expected, found = weights(model), weights(folder / "round_00" / "model_0.pt")
    body = trained(found) - {"model.2.conv.weight", "model.2.conv.bias"}
    assert all(torch.equal(found[name], expected[name]) for name in body)
    assert read(folder / "warm_start.json")["from"] == str(model)

    torch.save({"model": {name: value + 1 for name, value in expected.items()}}, model)
    with pytest.raises(RuntimeError) as refused:
        run(folder, overlay("strategies/random"), **{**asked, "rounds": 2})
    assert "warm_start" in causes(refused.value)


WRONG = {
    "of other widths": (restoring((6, 8)).state_dict(), "model.0.conv.weight (6, 1, 3, 3) instead of (4, 1, 3, 3)"),
    "of another network": (torch.nn.Linear(2, 2).state_dict(), "of another network than UNet: "),
    "not finite": ({**restoring().state_dict(), "model.0.conv.bias": torch.full((4,), torch.nan)}, "is not finite"),
    "no weights": ({"model": 3}, "holds no state dict"),
    "no file of torch": ("words", "no file"),
    "not there": (None, "there is no such file"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_file_is_refused_before_anything_is_written(tmp_path, what):
    content, message = WRONG[what]
    if content == "words":
        (tmp_path / "file.pt").write_text(content)
    elif content is not None:
        torch.save(content, tmp_path / "file.pt")
    with pytest.raises(RuntimeError) as refused:
        run(tmp_path / "run", overlay("strategies/random"), warm_start=str(tmp_path / "file.pt"))
    told = causes(refused.value)
    assert message in told
    assert f"--warm_start {tmp_path / 'file.pt'}" in told
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("bundle", "message"),
    [
        ("active_learning", "--warm_start encoder: name the config that trains the encoder by --encoder"),
        ("group_contrastive_cardiac", "--warm_start encoder: the pretrained weights are of another network than UNet"),
    ],
)
def test_an_encoder_as_warm_start_must_be_named_and_be_of_the_same_network(tmp_path, bundle, message):
    options = {key: COMMON[key] for key in ("image_size", "channels", "progress", "device")}
    phantom = {"patients": 3, "volumes_per_patient": 1, "shape": [16, 16, 6], "classes": PHANTOM["classes"]}
    with pytest.raises(RuntimeError) as refused:
        monai.bundle.run(
            config_file=str(ROOT / "bundles" / bundle / "configs" / "active_learning.yaml"),
            output_dir=str(tmp_path / "run"),
            warm_start="encoder",
            phantom=phantom,
            budget=2,
            **options,
        )
    assert message in causes(refused.value)
    assert not (tmp_path / "run").exists()


# -- the paper ---------------------------------------------------------------------------------------------------------


def test_ten_epochs_at_first_and_then_two(tmp_path):
    found = {}
    for labeled in (300, 335):
        parser = ConfigParser(ConfigParser.load_config_files([str(CONFIGS / f) for f in ("train.yaml", "paper.yaml")]))
        parser.update({**COMMON, "train::dataset::data": list(range(labeled)), "cache_dir": str(tmp_path)})
        found[labeled] = parser.get_parsed_content("epochs")
    assert found == {300: 10, 335: 2}


@pytest.mark.nightly
def test_the_papers_settings_with_small_sizes(tmp_path):
    small = {"channels": [2, 2, 4, 4, 4], "image_size": [32, 32], "pretrain_epochs": 2, "batch_size": 2}
    options = {**COMMON, **small, "steps": None, "learning_rate": 0.001, "rounds": 2, "budget": [4, 2]}
    folder = run(tmp_path / "run", CONFIGS / "paper.yaml", **options)
    assert read(folder / "round_01" / "metrics.json")["labeled"] == 6
    assert read(folder / "warm_start.json")["new"] == ["final_conv.weight", "final_conv.bias"]
