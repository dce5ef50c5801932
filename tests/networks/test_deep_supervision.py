# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.losses import DeepSupervisionLoss, DiceCELoss
from monai.networks.nets import BasicUNet, UNet

from monai_al.handlers import EmbeddingHandler
from monai_al.networks import DeeplySupervised, DropoutUNet, LevelDropoutUNet
from monai_al.passes import run_pass

NETWORKS = {
    "unet": lambda out=3: UNet(2, 1, out, channels=(4, 8, 8, 8), strides=(2, 2, 2)),
    "basic": lambda out=3: BasicUNet(2, 1, out, features=(4, 4, 8, 8, 8, 4)),
    "dropout": lambda out=3: DropoutUNet(1, out, channels=(4, 8, 8)),
    "levels": lambda out=3: LevelDropoutUNet(1, out, features=(4, 4, 8, 8, 8)),
}


class Several(torch.nn.Conv2d):
    """Gives predictions of several depths already."""

    def __init__(self):
        super().__init__(1, 2, 1)

    def forward(self, x):
        return super().forward(x), super().forward(x)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def slow_agreement(outputs: list[torch.Tensor]) -> np.ndarray:
    """Item by item and class by class."""
    found = []
    for item in range(len(outputs[0])):
        labels = []
        for logits in outputs:
            own = logits[item].detach().numpy()
            labels.append((own[0] > 0).astype(int) if len(own) == 1 else own.argmax(0))
        dices = []
        for other in labels[1:]:
            of_classes = []
            for number in range(1, max(len(outputs[0][item]), 2)):
                first, second = labels[0] == number, other == number
                if first.any() or second.any():
                    of_classes.append(2 * (first & second).sum() / (first.sum() + second.sum()))
            dices.append(np.mean(of_classes) if of_classes else 1.0)
        logits = outputs[0][item].detach()
        probs = logits.sigmoid() if len(logits) == 1 else logits.softmax(0)[1:]
        found.append((np.mean(dices), (probs - 0.5).abs().mean().item()))
    return np.array(found)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("out", [1, 3])
def test_agreement_and_confidence_are_what_the_slow_reference_says(kind, out):
    network = DeeplySupervised(NETWORKS[kind](out)).eval()
    images = torch.randn(4, 1, 32, 48)
    outputs, kept = [], {}
    hooks = [head.register_forward_hook(lambda m, i, o: outputs.append(o)) for head in network.heads]
    network.agreement.register_forward_hook(lambda m, i, o: kept.update(found=o))
    main = network(images)
    for hook in hooks:
        hook.remove()
    assert [tuple(o.shape[2:]) for o in outputs] == [(16, 24), (8, 12)]
    deeper = [F.interpolate(o, size=(32, 48), mode="bilinear") for o in outputs]
    assert torch.equal(main, network.network(images))
    assert np.allclose(kept["found"].detach().numpy(), slow_agreement([main, *deeper]), atol=1e-6)


def test_no_foreground_on_either_side_is_agreement():
    network = DeeplySupervised(NETWORKS["unet"]())
    empty, full = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    empty[:, 0], full[:, 1] = 5.0, 5.0
    found = [network.agreement(first, [second])[0, 0].item() for first in (empty, full) for second in (empty, full)]
    assert found == [1, 0, 0, 1]


def test_the_depths_are_predictions_of_the_way_up():
    paths = {kind: DeeplySupervised(make()).layers for kind, make in NETWORKS.items()}
    assert paths["unet"] == ("model.1", "model.1.submodule.1")
    assert paths["basic"] == ("upcat_2", "upcat_3")
    assert paths["levels"] == ("upcat_2", "upcat_2.upsample.preconv")
    assert paths["dropout"] == ("decoder_2", "bottleneck")
    assert DeeplySupervised(UNet(2, 1, 2, channels=(4, 8), strides=(2,))).layers == ("model.1",)
    assert DeeplySupervised(NETWORKS["dropout"](), ["decoder_1"]).layers == ("decoder_1",)


def test_trains_all_depths_and_predicts_with_one():
    network, loss = DeeplySupervised(NETWORKS["unet"]()), DeepSupervisionLoss(DiceCELoss(softmax=True))
    loss(
        network(torch.randn(2, 1, 32, 32)), F.one_hot(torch.randint(3, (2, 32, 32)), 3).movedim(-1, 1).float()
    ).backward()
    assert all(head.weight.grad.abs().sum() > 0 for head in network.heads)
    assert isinstance(network.eval()(torch.randn(2, 1, 32, 32)), torch.Tensor)
    assert not any(module._forward_hooks for module in network.modules())
    again = DeeplySupervised(NETWORKS["unet"]())
    again.load_state_dict(network.state_dict())
    images = torch.randn(2, 1, 32, 32)
    assert torch.equal(again.eval()(images), network(images))


def test_the_building_changes_neither_the_network_nor_what_is_drawn():
    base = NETWORKS["unet"]()
    before = {key: value.clone() for key, value in base.state_dict().items()}
    DeeplySupervised(base)
    assert all(torch.equal(value, before[key]) for key, value in base.state_dict().items())
    assert base.training


def test_a_handler_finds_both_numbers():
    network = DeeplySupervised(NETWORKS["unet"]()).eval()
    handler = EmbeddingHandler("agreement")
    run_pass(network, [{"image": torch.randn(3, 1, 32, 32), "id": list("abc")}], [handler])
    assert handler.embeddings.shape == (3, 2)


def test_volumes():
    network = DeeplySupervised(UNet(3, 1, 2, channels=(4, 4, 4), strides=(2, 2)), image_size=(16, 16, 16))
    assert [tuple(output.shape) for output in network(torch.zeros(1, 1, 16, 16, 8))] == [(1, 2, 16, 16, 8)] * 3


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (NETWORKS["unet"], {"layers": ["model.7"]}, "UNet has no layer 'model.7'"),
        (lambda: torch.nn.Conv2d(1, 2, 1), {}, "Conv2d has no layer of half the image's size"),
        (lambda: Several(), {}, r"Several must give logits .* not a tuple: have it give its own prediction alone"),
        (lambda: torch.nn.Flatten(), {}, r"Flatten must give logits .* not the shape \(1, 4096\)"),
        (NETWORKS["unet"], {"in_channels": 3}, r"does not take an empty image of shape \(1, 3, 64, 64\)"),
    ],
)
def test_what_is_refused(make, settings, message):
    with pytest.raises(ValueError, match=message):
        DeeplySupervised(make(), **settings)
