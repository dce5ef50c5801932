# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The vision transformer against a slow one of loops, against timm's where that is there, and its files."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.special import erf
from torch import nn

from monai_al.networks.vision_transformer import VisionTransformer, load_transformer

pytestmark = pytest.mark.usefixtures("one_thread")


def transformer(seed=0, **options) -> VisionTransformer:
    torch.manual_seed(seed)
    network = VisionTransformer(**{"in_channels": 1, "patch": 4, "grid": 3, "width": 128, "depth": 2, **options})
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network.eval()


def normed(x, weight, bias):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * weight + bias


def slow_features(network: VisionTransformer, image: np.ndarray, heads: int) -> np.ndarray:
    """One image, patch by patch and token by token."""
    w = {name: value.double().numpy() for name, value in network.state_dict().items()}
    patch = network.patch
    rows, columns = image.shape[1] // patch, image.shape[2] // patch
    tokens = [w["cls_token"][0, 0] + w["pos_embed"][0, 0]]
    tokens += list(w["register_tokens"][0]) if "register_tokens" in w else []
    for number, (row, column) in enumerate(itertools.product(range(rows), range(columns))):
        cut = image[:, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
        seen = [np.sum(kernel * cut) for kernel in w["patch_embed.proj.weight"]]
        tokens.append(np.array(seen) + w["patch_embed.proj.bias"] + w["pos_embed"][0, 1 + number])
    x = np.array(tokens)
    for number in range(len(network.blocks)):
        b = {name.removeprefix(f"blocks.{number}."): value for name, value in w.items()}
        y = normed(x, b["norm1.weight"], b["norm1.bias"]) @ b["attn.qkv.weight"].T + b.get("attn.qkv.bias", 0)
        mixed = np.zeros_like(x)
        size = x.shape[1] // heads
        for head in range(heads):
            query, key, value = (y[:, k * x.shape[1] + head * size :][:, :size] for k in range(3))
            for token in range(len(x)):
                weights = np.exp(query[token] @ key.T / np.sqrt(size))
                mixed[token, head * size : (head + 1) * size] = weights @ value / weights.sum()
        x = x + b.get("ls1.gamma", 1) * (mixed @ b["attn.proj.weight"].T + b["attn.proj.bias"])
        y = normed(x, b["norm2.weight"], b["norm2.bias"]) @ b["mlp.fc1.weight"].T + b["mlp.fc1.bias"]
        y = y * 0.5 * (1 + erf(y / np.sqrt(2)))
        x = x + b.get("ls2.gamma", 1) * (y @ b["mlp.fc2.weight"].T + b["mlp.fc2.bias"])
    return normed(x[0], w["norm.weight"], w["norm.bias"])


VARIANTS = {
    "plain": {},
    "DINOv2": {"layer_scale": True, "in_channels": 3},
    "registers": {"layer_scale": True, "registers": 3},
    "one head": {"width": 64, "hidden": 40},
    "without a bias": {"qkv_bias": False},
    "heads of other widths": {"heads": 4},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_features_are_those_of_the_slow_one(variant):
    network = transformer(**VARIANTS[variant])
    images = torch.rand(3, network.patch_embed.proj.in_channels, 12, 12)
    with torch.no_grad():
        found = network(images).numpy()
    heads = VARIANTS[variant].get("heads", network.cls_token.shape[-1] // 64)
    for image, row in zip(images.double().numpy(), found, strict=True):
        np.testing.assert_allclose(row, slow_features(network, image, heads), rtol=1e-3, atol=1e-4)
    assert np.abs(found[0] - found[1]).max() > 0.01


@pytest.mark.parametrize("size", [(4, 4), (8, 12), (24, 20)])
def test_places_of_another_grid_are_between_those_of_training(size):
    network = transformer()
    with torch.no_grad():
        network.pos_embed[:, 1:] = network.pos_embed[:, 1:2]  # the same everywhere stays the same everywhere
        places = network._places(size[0] // 4, size[1] // 4)
        torch.testing.assert_close(places[:, 1:], network.pos_embed[:, 1:2].expand_as(places[:, 1:]))
        torch.testing.assert_close(places[:, :1], network.pos_embed[:, :1])
        assert network(torch.rand(2, 1, *size)).shape == (2, 128)


def test_rows_and_columns_of_the_places_are_not_mixed_up():
    network = transformer()
    with torch.no_grad():
        network.pos_embed[0, 1:] = torch.arange(3.0).repeat_interleave(3)[:, None]  # the number of the row
        places = network._places(2, 5)[0, 1:].reshape(2, 5, -1)
    torch.testing.assert_close(places, places[:, :1].expand_as(places), rtol=0, atol=1e-5)
    assert (places[1] - places[0]).min() > 0.5


@pytest.mark.parametrize("variant", [name for name in VARIANTS if "heads" not in VARIANTS[name]])
def test_a_file_tells_the_sizes(tmp_path, variant):
    source = transformer(1, **VARIANTS[variant])
    state = {"mask_token": torch.zeros(1, 128), "head.weight": torch.zeros(2, 2), **source.state_dict()}
    torch.save({"teacher": {f"backbone.{name}": value for name, value in state.items()}}, tmp_path / "vit.pth")
    channels = source.patch_embed.proj.in_channels
    found = load_transformer(tmp_path / "vit.pth", in_channels=channels).eval()
    images = torch.rand(2, channels, 12, 12)
    assert torch.equal(found(images), source(images))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("blocks.0.norm2.bias"), r"1 missing: blocks\.0\.norm2\.bias$"),
        (lambda state: state.update({"blocks.1.mlp.w12.weight": torch.ones(2)}), r"1 unexpected: blocks\.1\.mlp\.w12"),
        (lambda state: state.update(cls_token=torch.ones(1, 1, 64)), r"of another shape: pos_embed"),
        (lambda state: state.update(pos_embed=torch.ones(1, 9, 128)), "8 places beside .* no square grid"),
        (lambda state: state.pop("patch_embed.proj.weight"), r"missing: patch_embed\.proj\.weight$"),
        (lambda state: [state.pop(name) for name in list(state)[:4]], "holds no weights of this network .cls_token"),
    ],
)
def test_files_of_other_networks_are_refused(tmp_path, change, message):
    state = dict(transformer().state_dict())
    change(state)
    torch.save(state, tmp_path / "vit.pth")
    with pytest.raises(ValueError, match=rf"vit\.pth: .*{message}"):
        load_transformer(tmp_path / "vit.pth", in_channels=1)


def test_sizes_that_cannot_be():
    with pytest.raises(ValueError, match=r"10 x 12 pixels .* patches of 4 x 4: give multiples of 4 by --encoder_size"):
        transformer()(torch.zeros(1, 1, 10, 12))
    with pytest.raises(ValueError, match="a width of 100 cannot be shared by 3 heads"):
        VisionTransformer(width=100, heads=3)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_small_patch14_dinov2"])
def test_features_are_those_of_timm(tmp_path, name):
    try:
        import timm
    except (ImportError, OSError, RuntimeError) as error:  # torchvision, which it needs, may be of another build
        pytest.skip(f"timm cannot be imported: {error}")
    torch.manual_seed(0)
    theirs = timm.create_model(name, pretrained=False, num_classes=0, dynamic_img_size=True).eval()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.05)
    torch.save(theirs.state_dict(), tmp_path / "vit.pth")
    ours = load_transformer(tmp_path / "vit.pth").eval()
    images = torch.rand(2, 3, 8 * ours.patch, 6 * ours.patch)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))
