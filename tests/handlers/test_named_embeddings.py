# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Embeddings by name: the pixels, and the bottleneck of networks of several kinds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.engines import SupervisedEvaluator
from monai.inferers import SimpleInferer, SliceInferer, SlidingWindowInferer
from monai.networks.nets import BasicUNet, FlexibleUNet, UNet

from monai_al.handlers import EmbeddingHandler, QueryHandler
from monai_al.handlers.named_embeddings import bottleneck_of, pixel_rows
from monai_al.networks import DropoutUNet
from monai_al.strategies import Strategy


def embedded(network, images, layer, inferer=None, batch=2):
    loader = [{"image": images[i : i + batch]} for i in range(0, len(images), batch)]
    evaluator = SupervisedEvaluator("cpu", loader, network, inferer=inferer, decollate=False)
    handler = EmbeddingHandler(layer)
    handler.attach(evaluator)
    evaluator.run()
    return handler.embeddings


# -- pixels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 1, 8, 8), (2, 3, 6, 10), (2, 1, 4, 4, 4)])
def test_pixels_are_the_image(shape):
    images = torch.rand(shape)
    np.testing.assert_array_equal(embedded(torch.nn.Identity(), images, "pixels"), images.flatten(1).numpy())


@pytest.mark.parametrize("shape", [(3, 1, 8, 8), (2, 3, 16, 8), (2, 1, 8, 8, 8)])
def test_resized_pixels_are_means_of_areas(shape):
    images = torch.rand(shape)
    spatial = [4] * (len(shape) - 2)
    slow = np.zeros((*shape[:2], *spatial))
    steps = [size // 4 for size in shape[2:]]
    for place in np.ndindex(*spatial):
        window = tuple(slice(p * s, (p + 1) * s) for p, s in zip(place, steps, strict=True))
        axes = tuple(range(2, len(shape)))
        slow[(slice(None), slice(None), *place)] = images.numpy()[(slice(None), slice(None), *window)].mean(axes)
    np.testing.assert_allclose(embedded(torch.nn.Identity(), images, "pixels:4"), slow.reshape(shape[0], -1), rtol=1e-5)


def test_images_of_different_sizes_have_no_common_pixels():
    loader = [{"image": torch.zeros(1, 1, 4, 4)}, {"image": torch.zeros(1, 1, 4, 6), "id": ["b"]}]
    evaluator = SupervisedEvaluator("cpu", loader, torch.nn.Identity(), decollate=False)
    EmbeddingHandler("pixels").attach(evaluator)
    with pytest.raises(ValueError, match="'pixels' gives 24 numbers for item 'b' and 16 for those before.*pixels:64"):
        evaluator.run()


@pytest.mark.parametrize("name", ["pixels:", "pixels:0", "pixels:6x6", "pixel"])
def test_other_names_are_no_pixels(name):
    with pytest.raises(ValueError, match="is not 'pixels'"):
        pixel_rows(torch.zeros(1, 1, 2, 2), name)


# -- bottleneck --------------------------------------------------------------------------------------------------------


def unet(**options):
    return UNet(spatial_dims=2, in_channels=1, out_channels=2, channels=(4, 8, 16), strides=(2, 2), **options)


@pytest.mark.parametrize(
    ("network", "path", "width"),
    [
        (unet(), "model.1.submodule.1.submodule.adn.A", 16),
        (unet(num_res_units=2, norm="BATCH", dropout=0.1), None, 16),
        (BasicUNet(spatial_dims=2, features=(4, 4, 8, 8, 24, 4)), "down_4", 24),
        (FlexibleUNet(1, 2, "resnet18", decoder_channels=(16, 8, 8, 4, 4)), None, 512),
        (DropoutUNet(in_channels=1, out_channels=2, channels=(4, 8, 12)), "bottleneck", 12),
    ],
    ids=["unet", "residual", "basic", "flexible", "dropout"],
)
def test_the_bottleneck_is_the_deepest_layer(network, path, width):
    images = torch.rand(3, 1, 64, 64)
    found = embedded(network.eval(), images, "bottleneck")
    assert found.shape == (3, width)
    if path is not None:
        np.testing.assert_allclose(found, embedded(network, images, path), rtol=1e-6)


def test_looking_for_the_bottleneck_leaves_the_network_as_it_was():
    network = unet(norm="BATCH").train()
    network.model[0].eval()
    modes = [module.training for module in network.modules()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    bottleneck_of(network, SimpleInferer(), torch.rand(1, 1, 16, 16))
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_the_bottleneck_through_sliding_windows():
    network, images = unet().eval(), torch.rand(2, 1, 32, 32)
    found = embedded(network, images, "bottleneck", SlidingWindowInferer((16, 16), overlap=0.0))
    assert found.shape == (2, 16)


@pytest.mark.parametrize("windows", [1, 3, 9])
def test_the_bottleneck_where_one_image_takes_several_calls(windows):
    inferer = SlidingWindowInferer((16, 16), windows, overlap=0.0)
    network, images = unet().eval(), torch.rand(2, 1, 32, 32)
    found = embedded(network, images, "bottleneck", inferer)
    np.testing.assert_allclose(
        found, embedded(network, images, "model.1.submodule.1.submodule.adn.A", inferer), rtol=1e-6
    )


# -- a grid ------------------------------------------------------------------------------------------------------------


def deepest(network, images, path) -> np.ndarray:
    """What a layer gives of each image by itself."""
    outputs = []
    hook = network.get_submodule(path).register_forward_hook(lambda module, given, output: outputs.append(output))
    with torch.no_grad():
        for image in images:
            network(image[None])
    hook.remove()
    return torch.cat(outputs).numpy()


def cells(features: np.ndarray, grid: int) -> np.ndarray:
    """The mean of each part, part by part: from floor(i n / grid) to ceil((i + 1) n / grid)."""
    means = np.zeros((*features.shape[:2], *[grid] * (features.ndim - 2)))
    for place in np.ndindex(*means.shape[2:]):
        part = tuple(
            slice(i * n // grid, -(-(i + 1) * n // grid)) for i, n in zip(place, features.shape[2:], strict=True)
        )
        means[(slice(None), slice(None), *place)] = features[(slice(None), slice(None), *part)].mean(
            tuple(range(2, features.ndim))
        )
    return means.reshape(len(features), -1)


def unet_3d():
    return UNet(spatial_dims=3, in_channels=1, out_channels=2, channels=(4, 8, 16), strides=(2, 2))


@pytest.mark.parametrize(
    ("network", "path", "shape"),
    [
        (unet(), "model.1.submodule.1.submodule.adn.A", (32, 48)),
        (unet(), "model.1.submodule.1.submodule.adn.A", (20, 28)),  # 5 x 7 places
        (BasicUNet(spatial_dims=2, features=(4, 4, 8, 8, 24, 4)), "down_4", (64, 32)),
        (FlexibleUNet(1, 2, "resnet18", decoder_channels=(16, 8, 8, 4, 4)), "encoder.layer4", (64, 96)),
        (DropoutUNet(in_channels=1, out_channels=2, channels=(4, 8, 12)), "bottleneck", (24, 24)),
        (unet_3d(), "model.1.submodule.1.submodule.adn.A", (16, 12, 16)),
        (BasicUNet(spatial_dims=3, features=(4, 4, 8, 8, 12, 4)), "down_4", (32, 16, 16)),
    ],
    ids=["unet", "odd", "basic", "flexible", "dropout", "3d", "basic 3d"],
)
def test_the_bottleneck_over_a_grid_is_that_of_each_undeformed_image(network, path, shape):
    """Row r belongs to item r, whatever shares its batch, and a second look gives the same."""
    images, close = torch.rand(3, 1, *shape), {"rtol": 1e-3, "atol": 1e-4}
    features = deepest(network.eval(), images, path)
    for grid in (1, 2, 3):
        found = embedded(network, images, f"bottleneck:{grid}")
        np.testing.assert_allclose(found, cells(features, grid), **close)
        np.testing.assert_array_equal(found, embedded(network.train(), images, f"bottleneck:{grid}"))
    np.testing.assert_array_equal(embedded(network, images, "bottleneck"), embedded(network, images, "bottleneck:1"))
    np.testing.assert_allclose(embedded(network, images, "bottleneck:3", batch=1), found, **close)


def test_a_layer_by_its_path_over_a_grid():
    network, images = unet(num_res_units=2).eval(), torch.rand(3, 1, 32, 32)
    path = "model.1.submodule.1.submodule"  # the whole of the last level, with what goes past its convolutions
    found = embedded(network, images, f"{path}:2")
    assert found.shape == (3, 16 * 4)
    np.testing.assert_allclose(found, cells(deepest(network, images, path), 2), rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="has no layer 'model.3'"):
        embedded(network, images, "model.3:2")


def test_a_grid_of_windows_is_averaged_over_the_windows():
    network, images = unet_3d().eval(), torch.rand(2, 1, 16, 16, 16)
    found = embedded(network, images, "bottleneck:2", SlidingWindowInferer((16, 8, 16), 1, overlap=0.0))
    windows = [embedded(network, part, "bottleneck:2") for part in images.split(8, dim=3)]
    np.testing.assert_allclose(found, np.mean(windows, axis=0), rtol=1e-3, atol=1e-5)
    slices = SliceInferer(roi_size=(16, 16), spatial_dim=2, sw_batch_size=4)
    found = embedded(unet(), images, "model.1.submodule.1.submodule:2", slices)
    assert found.shape == (2, 16 * 4)  # of the slices, which a network for images sees


def test_an_output_without_places_has_no_grid():
    class Vector(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bottleneck = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))

        def forward(self, x):
            return self.bottleneck(x)

    with pytest.raises(ValueError, match=r"'bottleneck:2' gives the shape \(2, 3\).*: take 'bottleneck', which is"):
        embedded(Vector(), torch.rand(2, 1, 8, 8), "bottleneck:2")
    assert embedded(Vector(), torch.rand(2, 1, 8, 8), "bottleneck").shape == (2, 3)


def test_a_network_that_does_not_shrink_the_image_has_no_bottleneck():
    with pytest.raises(ValueError, match="Conv2d has an output smaller than the image, so it has no bottleneck"):
        embedded(torch.nn.Conv2d(1, 2, 1), torch.rand(2, 1, 8, 8), "bottleneck")


def test_a_query_handler_gives_named_embeddings_to_a_strategy():
    class Both(Strategy):
        name = "both"

        def needs(self):
            return {"a": "pixels:4", "b": "bottleneck"}

        def select(self, round, budget):
            assert self.embeddings(round, "a").shape == (4, 16)
            assert self.embeddings(round, "b").shape == (4, 16)
            return self.make_query(round, round.unlabeled[:budget])

    loader = [{"image": torch.rand(2, 1, 16, 16)} for _ in range(2)]
    evaluator = SupervisedEvaluator("cpu", loader, unet(), decollate=False)
    handler = QueryHandler(Both(), budget=2)
    handler.attach(evaluator)
    evaluator.run()
    assert len(handler.query.items) == 2
