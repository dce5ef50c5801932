# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The loop with an encoder whose weights lie in a file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import monai.bundle
import numpy as np
import pytest
import torch

from monai_al.bundle import BundleConfigError
from monai_al.cli import find_asset
from monai_al.engines import EncoderTraining
from monai_al.networks import FileEncoder
from monai_al.networks.plain_resnet import plain_resnet
from monai_al.networks.vision_transformer import VisionTransformer
from monai_al.records import content_hash
from monai_al.sources import source_of

CONFIGS = find_asset("active_learning") / "configs"
ENCODER = [CONFIGS / "train.yaml", find_asset("training/encoder_from_file")]


@pytest.fixture
def weights(tmp_path):
    """Two files of a small ResNet with other weights."""
    paths = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        paths.append(tmp_path / f"weights_{seed}.pth")
        torch.save(plain_resnet("resnet18", 3).state_dict(), paths[-1])
    return paths


@pytest.fixture
def entry_of(small, tmp_path):
    """The folder of an encoder's entry in the cache of a tiny phantom."""

    def make(file, seed=0, **more):
        overrides = {**small, "cache_dir": str(tmp_path / "cache"), "encoder_file": str(file)}
        encoder = EncoderTraining(ENCODER, {**overrides, "encoder_network": "resnet18", **more})
        source = source_of(encoder.training)
        source.prepare()
        return encoder.entry(source, source.data.part("train").items, seed=seed, progress=False)

    return make


def test_embeddings_are_those_of_the_weights_and_nothing_is_trained(entry_of, weights, small, tmp_path, monkeypatch):
    monkeypatch.setattr(EncoderTraining, "_train", lambda *a: pytest.fail("trained an encoder"))
    folder = entry_of(weights[0])
    record = json.loads((folder / "encoder.json").read_text())
    assert record["trained"] is False
    assert record["weights"] == {"file": str(weights[0].resolve()), "sha256": content_hash(weights[0])}
    found = np.load(folder / "embeddings.npy")
    assert list(found.shape) == record["embeddings"] == [len(found), 512]

    encoder = EncoderTraining(ENCODER, {**small, "cache_dir": str(tmp_path / "cache"), "encoder_file": str(weights[0]),
                                        "encoder_network": "resnet18"})  # fmt: skip
    source = source_of(encoder.training)
    source.prepare()
    network = FileEncoder("resnet18", weights[0]).eval()
    for row, item in zip(found, source.data.part("train").items, strict=True):
        image = torch.from_numpy(np.array(source.cache.get(item).image[item.slice]))[None]
        with torch.no_grad():
            np.testing.assert_allclose(row, network(image)[0].numpy(), rtol=1e-3, atol=1e-4)


def test_an_entry_is_found_by_the_content_of_the_file(entry_of, weights, tmp_path):
    first = entry_of(weights[0])
    moved = tmp_path / "elsewhere" / "other name.pt"
    moved.parent.mkdir()
    shutil.move(weights[0], moved)
    assert entry_of(moved) == first
    shutil.copyfile(weights[1], moved)
    assert entry_of(moved) != first


@pytest.mark.parametrize(
    ("more", "same"),
    [
        ({"seed": 3}, True),
        ({"steps": 9, "learning_rate": 0.1, "channels": [8, 16]}, True),
        ({"encoder_std": [0.3, 0.3, 0.3]}, False),
        pytest.param({"encoder_size": [40, 40]}, False, marks=pytest.mark.nightly),
        pytest.param({"encoder_range": [0, 2]}, False, marks=pytest.mark.nightly),
    ],
)
def test_an_entry_is_shared_by_all_that_embed_alike(entry_of, weights, more, same):
    assert (entry_of(weights[0], **more) == entry_of(weights[0])) is same


@pytest.mark.parametrize(
    ("file", "more", "message"),
    [
        (None, {}, "needs weights: name them by --encoder_file$"),
        ("nowhere.pth", {}, r"--encoder_file .*nowhere\.pth: there is no such file$"),
        ("weights_0.pth", {"encoder_network": "resnet50"}, r"weights_0\.pth: its weights are not .* missing: .*shape"),
        ("weights_0.pth", {"encoder_mean": [0.5]}, "--encoder_mean holds 1 numbers and --encoder_std 3"),
    ],
)
def test_weights_that_cannot_be_taken_are_refused_at_once(small, weights, file, more, message):
    named = None if file is None else str(weights[0].with_name(file))
    options = {**small, "encoder_file": named, "encoder_network": "resnet18", **more}
    with pytest.raises((BundleConfigError, ValueError), match=message):
        EncoderTraining(ENCODER, options)


@pytest.mark.parametrize("bundle", ["active_learning", "group_contrastive_cardiac"])
def test_the_overlay_of_any_bundle_chooses_the_first_query(small, weights, tmp_path, bundle):
    torch.save(VisionTransformer(patch=8, grid=2, width=64, depth=1).state_dict(), tmp_path / "vit.pth")
    names = ("strategies/typiclust", "encoders/from_file")
    files = [find_asset(bundle) / "configs" / "active_learning.yaml", *map(find_asset, names)]
    options = {"encoder_file": str(tmp_path / "vit.pth"), "encoder_network": "vit", "encoder_size": [16, 24]}
    monai.bundle.run(config_file=[str(file) for file in files], output_dir=str(tmp_path / "run"), rounds=1, budget=3,
                     **{**small, **options})  # fmt: skip
    query = json.loads((tmp_path / "run" / "round_00" / "query.json").read_text())
    assert query["strategy"] == "typiclust"
    place = Path(json.loads((tmp_path / "run" / "encoder.json").read_text())["folder"])
    assert json.loads((place / "encoder.json").read_text())["weights"]["file"].endswith("vit.pth")
