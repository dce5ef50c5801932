# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import collections
from pathlib import Path

import pytest
import torch
from monai.networks.nets import UNet, resnet50
from torch import nn

from monai_al.networks import ResNetUNet, SimCLR, load_backbone

SMALL = {"widen_factor": 0.125}
FREE = ("fc.", "num_batches_tracked")

pytestmark = pytest.mark.usefixtures("one_thread")


def monai_resnet(seed=1, **options) -> nn.Module:
    """A ResNet-50 as after some training."""
    torch.manual_seed(seed)
    built = resnet50(**{"spatial_dims": 2, "n_input_channels": 3, "bias_downsample": False, "num_classes": 7, **SMALL,
                        "conv1_t_stride": 2, **options})  # fmt: skip
    for module in built.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.num_batches_tracked.fill_(9)
    return built.eval()


def unet(in_channels=1, **options) -> ResNetUNet:
    torch.manual_seed(0)
    return ResNetUNet(in_channels, **{**SMALL, "decoder_channels": (8, 8, 4, 4, 4), **options}).eval()


def saved(tmp_path, content) -> Path:
    torch.save(content, tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


def behind(prefix: str, state) -> dict:
    return {f"{prefix}{name}": value for name, value in state.items()}


LAYOUTS = {
    "torchvision": lambda state: state,
    "without fc": lambda state: {k: v for k, v in state.items() if not k.startswith("fc.")},
    "ordered": collections.OrderedDict,
    "module": lambda state: {"state_dict": behind("module.", state), "epoch": 3, "arch": "resnet50"},
    "encoder": lambda state: {"model": {**behind("encoder.", state), "head.0.weight": torch.zeros(2, 2)}},
    "backbone": lambda state: {"model": behind("module.backbone.", state), "optimizer": {"state": {0: state}}},
    "half": lambda state: {k: v.half() if v.is_floating_point() else v for k, v in state.items()},
    "without counters": lambda state: {k: v for k, v in state.items() if "num_batches" not in k},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_are_found_wherever_they_lie(tmp_path, layout):
    net, state = unet(in_channels=3), monai_resnet().state_dict()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    content = LAYOUTS[layout](state)
    prefix = "backbone." if layout == "backbone" else None  # the state of an optimizer may look like another ResNet
    assert load_backbone(net, saved(tmp_path, content), prefix) is net
    for name, value in net.state_dict().items():
        inner = name.removeprefix("encoder.")
        expected = before[name] if inner == name or any(part in name for part in FREE) else state[inner]
        torch.testing.assert_close(
            value, expected, rtol=2e-3 if layout == "half" else 0, atol=1e-4 * (layout == "half")
        )


def test_the_file_of_a_pretraining(tmp_path):
    torch.manual_seed(3)
    trained = SimCLR(backbone="resnet50", **SMALL)
    net = load_backbone(unet(), saved(tmp_path, {"model": trained.state_dict()}))
    image = torch.randn(2, 1, 64, 64)
    deepest = net.encoder(image)[-1]
    torch.testing.assert_close(deepest.mean((2, 3)), trained.eval().encode(image))


def test_a_pretraining_may_start_from_weights(tmp_path):
    source = monai_resnet()
    net = load_backbone(SimCLR(3, backbone="resnet50", **SMALL), saved(tmp_path, source.state_dict()))
    torch.testing.assert_close(net.encoder.layer4[2].conv3.weight, source.layer4[2].conv3.weight)


@pytest.mark.parametrize(("stored", "wanted"), [(3, 3), (3, 1), (1, 3), (3, 2), (2, 4)])
def test_an_image_with_channels_alike_looks_the_same(tmp_path, stored, wanted):
    source, net = monai_resnet(n_input_channels=stored), unet(wanted)
    load_backbone(net, saved(tmp_path, source.state_dict()))
    grey = torch.randn(2, 1, 64, 64)
    first = torch.nn.functional.conv2d(grey.expand(-1, stored, -1, -1), source.conv1.weight, stride=2, padding=3)
    torch.testing.assert_close(net.encoder.conv1(grey.expand(-1, wanted, -1, -1)), first, rtol=1e-4, atol=1e-5)


def test_one_channel_is_the_sum_of_the_colours(tmp_path):
    source = monai_resnet()
    net = load_backbone(unet(1), saved(tmp_path, source.state_dict()))
    colours = source.conv1.weight
    torch.testing.assert_close(net.encoder.conv1.weight[:, 0], colours[:, 0] + colours[:, 1] + colours[:, 2])


@pytest.mark.parametrize("training", [False, True])
def test_the_bias_of_a_shortcut_is_kept_by_its_batch_norm(tmp_path, training):
    """MONAI's own default has it; a batch norm undoes it."""
    source = monai_resnet(bias_downsample=True, feed_forward=False)
    with torch.no_grad():
        for name, weight in source.named_parameters():
            if name.endswith("downsample.0.bias"):
                weight.normal_()
    net = load_backbone(unet(3), saved(tmp_path, source.state_dict()))
    image = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        found = net.train(training).encoder(image)[-1].mean((2, 3))
        torch.testing.assert_close(found, source.train(training)(image), rtol=1e-3, atol=1e-4)


def test_of_several_resnets_one_is_named(tmp_path):
    student, teacher = monai_resnet(1).state_dict(), monai_resnet(2).state_dict()
    path = saved(
        tmp_path, {"state_dict": {**behind("module.encoder_q.", student), **behind("module.encoder_k.", teacher)}}
    )
    with pytest.raises(
        ValueError, match=r"weights.pt: holds 2 ResNets: give the prefix of one, which is 'state_dict.modul"
    ):
        load_backbone(unet(3), path)
    with pytest.raises(ValueError, match="holds 0 ResNets behind 'encoder_z.'.*'state_dict.module.encoder_q.' or"):
        load_backbone(unet(3), path, prefix="encoder_z.")
    for prefix, state in (("encoder_q.", student), ("module.encoder_k.", teacher)):
        net = load_backbone(unet(3), path, prefix=prefix)
        torch.testing.assert_close(net.encoder.bn1.running_mean, state["bn1.running_mean"])


def changed(drop=(), **more):
    state = monai_resnet().state_dict()
    return {**{name: value for name, value in state.items() if name not in drop}, **more}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: changed(drop=["bn1.running_mean"]), "1 missing: bn1.running_mean$"),
        (lambda: changed(**{"head.weight": torch.zeros(1)}), "1 unexpected: head.weight$"),
        (
            lambda: changed(**{"layer2.0.bn1.bias": torch.zeros(3)}),
            r"1 of another shape: layer2.0.bn1.bias \(3,\) instead of \(16,\)$",
        ),
        (
            lambda: changed(**{"conv1.weight": torch.zeros(8, 3, 3, 3)}),
            r"1 of another shape: conv1.weight \(8, 3, 3, 3\) instead of \(8, 1, 7, 7\)$",
        ),
        (lambda: monai_resnet(widen_factor=0.25).state_dict(), r"\d+ of another shape: .*\.\.\. and \d+ more$"),
        (lambda: monai_resnet(spatial_dims=3).state_dict(), "of another shape: conv1.weight"),
        (lambda: SimCLR(backbone="resnet18", **SMALL).state_dict(), r"\d+ missing: .*conv3.weight"),
        (lambda: {"features.0.weight": torch.zeros(1)}, "holds no ResNet .*but features.0.weight$"),
        (lambda: {"epoch": 3}, "holds no ResNet .*but nothing$"),
        (lambda: [1, 2], "holds no ResNet"),
        (lambda: {"model": monai_resnet()}, "holds more than weights"),
    ],
)
def test_weights_that_do_not_fit(tmp_path, content, message):
    net = unet()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(ValueError, match=rf"weights\.pt: (its weights are not those of this ResNet; )?.*{message}"):
        load_backbone(net, saved(tmp_path, content()))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_files_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="no pre-trained weights are given: name the file with --backbone_weights"):
        load_backbone(unet(), None)
    with pytest.raises(ValueError, match=r"nowhere\.pt: there is no such file"):
        load_backbone(unet(), tmp_path / "nowhere.pt")
    for number, content in enumerate((b"", b"a text", b"PK\x03\x04 no archive")):
        (tmp_path / f"{number}.pt").write_bytes(content)
        with pytest.raises(ValueError, match=rf"{number}\.pt: (holds more than weights|cannot be read)"):
            load_backbone(unet(), tmp_path / f"{number}.pt")


def test_networks_that_hold_no_resnet(tmp_path):
    path = saved(tmp_path, monai_resnet().state_dict())
    for net in (UNet(2, 1, 2, (4, 8), (2,)), nn.Identity()):
        with pytest.raises(ValueError, match=rf"{type(net).__name__} holds no ResNet"):
            load_backbone(net, path)
