# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.networks.nets import BasicUNet, UNet
from torch import nn

from monai_al.inferers import dropout_enabled
from monai_al.networks import DropoutUNet, LossPredictor

LAYERS = ["encoder_1", "encoder_2", "encoder_3", "bottleneck"]
WIDTHS = (4, 6, 8, 10)


def backbone(**options) -> DropoutUNet:
    return DropoutUNet(channels=WIDTHS, **options)


def network(seed=0, layers=LAYERS, **options) -> LossPredictor:
    torch.manual_seed(seed)
    return LossPredictor(backbone(dropout=0.0), layers, width=5, **options)


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def by_loops(net: LossPredictor, x: torch.Tensor) -> np.ndarray:
    """One image, layer, channel and value at a time, from the network's feature maps."""
    maps = {}
    hooks = [
        net.network.get_submodule(layer).register_forward_hook(
            lambda m, i, o, name=layer: maps.update({name: o.detach()})
        )
        for layer in net.layers
    ]
    net.network(x)
    for hook in hooks:
        hook.remove()
    weights = {name: value.double().numpy() for name, value in net.loss_predictor.state_dict().items()}
    found = []
    for item in range(len(x)):
        hidden = []
        for number, layer in enumerate(net.layers):
            features = [channel.double().numpy().mean() for channel in maps[layer][item]]
            rows = zip(weights[f"branches.{number}.0.weight"], weights[f"branches.{number}.0.bias"], strict=True)
            hidden += [max(0.0, sum(w * f for w, f in zip(row, features, strict=True)) + bias) for row, bias in rows]
        found.append(sum(w * h for w, h in zip(weights["out.weight"][0], hidden, strict=True)) + weights["out.bias"][0])
    return np.array(found)


# -- what it predicts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [LAYERS, ["bottleneck"], ["decoder_1", "head", "encoder_2.convs.0"]])
@pytest.mark.parametrize("size", [(32, 32), (16, 48), (9, 13)])
def test_equals_loops_at_every_size(layers, size):
    net, x = network(layers=layers).train(), images(3, 1, *size)
    net.network.eval()
    output, predicted = net(x)
    assert output.shape == (3, 2, *size)
    assert predicted.shape == (3,)
    np.testing.assert_allclose(predicted.detach().numpy(), by_loops(net, x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("spatial_dims", [1, 2, 3])
def test_any_number_of_dimensions(spatial_dims):
    torch.manual_seed(0)
    base = backbone(spatial_dims=spatial_dims, in_channels=2)
    net = LossPredictor(base, LAYERS, width=3, in_channels=2, image_size=(16,) * spatial_dims).train()
    net.network.eval()
    x = images(2, 2, *(8,) * spatial_dims)
    np.testing.assert_allclose(net(x)[1].detach().numpy(), by_loops(net, x), rtol=1e-4, atol=1e-6)


def test_the_published_form():
    net = LossPredictor(DropoutUNet(), LAYERS)
    linear = [(m.in_features, m.out_features) for m in net.loss_predictor.modules() if isinstance(m, nn.Linear)]
    assert linear == [(64, 128), (128, 128), (256, 128), (512, 128), (512, 1)]


def test_features_may_be_changed_in_place_by_later_layers():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1))
    net = LossPredictor(plain, ["0"], width=3)
    in_place = copy.deepcopy(net)
    in_place.network[1].inplace = True
    x = images(2, 1, 8, 8)
    for one in (net, in_place):
        (one(x)[1].sum() + one(x)[0].sum()).backward()
    torch.testing.assert_close(in_place(x)[1], net(x)[1])
    torch.testing.assert_close(in_place.network[0].weight.grad, net.network[0].weight.grad)


@pytest.mark.parametrize(
    ("build", "layers"),
    [
        (lambda: UNet(2, 1, 3, channels=(4, 8, 8), strides=(2, 2)), ["model.0", "model.1.submodule.0"]),
        (lambda: BasicUNet(2, 1, 3, features=(4, 4, 4, 8, 8, 4)), ["conv_0", "down_1", "down_4"]),
    ],
)
def test_networks_of_monai(build, layers):
    torch.manual_seed(0)
    net = LossPredictor(build(), layers, width=4)
    x = images(2, 1, 32, 64)
    np.testing.assert_allclose(net(x)[1].detach().numpy(), by_loops(net, x), rtol=1e-3, atol=1e-5)
    assert torch.equal(net.eval()(x), net.network(x))


# -- modes -------------------------------------------------------------------------------------------------------------


def test_evaluation_gives_what_the_network_gives():
    net, x = network(), images(2, 1, 16, 16)
    net(x)  # moves the batch norms
    net.eval()
    assert torch.equal(net(x), net.network(x))


@pytest.mark.parametrize("training", [True, False])
def test_the_score_is_the_output_of_a_layer(training):
    net, x, seen = network().train(training), images(4, 1, 16, 16), []
    net.loss_predictor.register_forward_hook(lambda m, i, o: seen.append(o))
    output = net(x)
    (score,) = seen
    assert score.shape == (4, 1)
    if training:
        assert torch.equal(score[:, 0], output[1])


def test_scores_in_evaluation_do_not_depend_on_the_batch():
    net, x, seen = network().eval(), images(4, 1, 16, 16), []
    net.loss_predictor.register_forward_hook(lambda m, i, o: seen.append(o))
    net(x)
    for image in x:
        net(image[None])
    torch.testing.assert_close(torch.cat(seen[1:]), seen[0])
    assert len(seen[0].unique()) == 4


def test_arguments_reach_the_network_and_lists_come_back():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 1)

        def forward(self, x, factor=1.0, *, offset=0.0):
            return [self.conv(x) * factor + offset, x]

    net, x = LossPredictor(Scaled(), ["conv"], width=2), torch.ones(2, 1, 4, 4)
    (maps, given), predicted = net(x, 3.0, offset=0.5)
    torch.testing.assert_close(maps, net.network.conv(x) * 3 + 0.5)
    assert given is x
    assert predicted.shape == (2,)
    assert isinstance(net.eval()(x, 3.0), list)


def test_passes_with_dropout_give_the_output_alone():
    net, x = LossPredictor(backbone(), LAYERS), images(2, 1, 16, 16)
    with dropout_enabled(net):
        one, other = net(x), net(x)
    assert one.shape == (2, 2, 16, 16)
    assert not torch.equal(one, other)


def test_metatensors():
    net, x = network(), images(3, 1, 16, 16)
    net.network.eval()
    output, predicted = net(MetaTensor(x))
    assert torch.equal(output.as_tensor(), net(x)[0])
    assert type(predicted) is torch.Tensor
    assert torch.equal(predicted, net(x)[1])


# -- gradients ---------------------------------------------------------------------------------------------------------


def gradients(stop: bool) -> tuple[float, float]:
    net = network()
    net.stop_gradient = stop
    net(images(4, 1, 16, 16))[1].square().sum().backward()
    sizes = []
    for part in (net.network, net.loss_predictor):
        sizes.append(sum(0.0 if p.grad is None else p.grad.abs().sum().item() for p in part.parameters()))
    return sizes[0], sizes[1]


def test_the_gradient_can_be_kept_from_the_network():
    flowing, stopped = gradients(stop=False), gradients(stop=True)
    assert flowing[0] > 0
    assert stopped[0] == 0
    assert stopped[1] == flowing[1] > 0


def test_stopping_the_gradient_is_set_at_construction_and_no_state():
    free, stopped = network(), network(stop_gradient=True)
    assert not free.stop_gradient
    assert stopped.stop_gradient
    assert equal(state(free), state(stopped))
    free.load_state_dict(stopped.state_dict())
    assert not free.stop_gradient
    assert copy.deepcopy(stopped).stop_gradient


def test_gradient_is_right():
    torch.manual_seed(0)
    net = LossPredictor(nn.Sequential(nn.Conv2d(1, 3, 2), nn.Tanh()), ["0", "1"], width=4).double()
    x = images(2, 1, 4, 5).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: net(x)[1], (x,))


# -- construction ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
def test_finding_the_channels_leaves_network_and_random_state_alone(training):
    torch.manual_seed(3)
    base = backbone().train(training)
    base.encoder_2.eval()
    modes, before = [m.training for m in base.modules()], state(base)
    start = torch.get_rng_state()
    LossPredictor(base, LAYERS, channels=WIDTHS)
    expected = torch.get_rng_state()
    torch.set_rng_state(start)
    LossPredictor(base, LAYERS)
    assert torch.equal(torch.get_rng_state(), expected)  # the new weights are drawn, nothing else
    assert [m.training for m in base.modules()] == modes
    assert equal(state(base), before)
    assert all(p.grad is None for p in base.parameters())
    assert not any(m._forward_hooks for m in base.modules())


class Noisy(nn.Module):
    """Draws even in evaluation mode, and counts its calls."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 1)
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x):
        self.calls += 1
        return self.conv(x + torch.randn_like(x))


def test_a_network_that_draws_and_counts_is_left_alone_too():
    torch.manual_seed(0)
    base = Noisy()
    before = torch.get_rng_state()
    LossPredictor(base, ["conv"], channels=[3])
    expected = torch.get_rng_state()
    torch.set_rng_state(before)
    LossPredictor(base, ["conv"])
    assert torch.equal(torch.get_rng_state(), expected)
    assert base.calls == 0


def test_the_predictors_weights_depend_on_the_seed_and_not_on_how_channels_are_found():
    assert equal(state(network(seed=1)), state(network(seed=1)))
    assert equal(state(network(seed=1)), state(network(seed=1, channels=WIDTHS)))
    assert equal(state(network(seed=1)), state(network(seed=1, image_size=(8, 24))))
    weights = [network(seed=seed).loss_predictor.out.weight for seed in (1, 2)]
    assert not torch.equal(*weights)


def test_channels_that_are_given_need_no_run():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 1)

        def forward(self, x):
            raise AssertionError("ran")

    LossPredictor(Unused(), ["conv"], channels=[2])
    with pytest.raises(ValueError, match="Unused does not take an empty image of shape .1, 1, 64, 64.*ran"):
        LossPredictor(Unused(), ["conv"])


# -- copies and files --------------------------------------------------------------------------------------------------


def test_copies_and_files(tmp_path):
    net, x = network(seed=1), images(2, 1, 16, 16)
    net(x)
    torch.save({"model": net.state_dict()}, tmp_path / "model.pt")
    loaded = network(seed=2)
    loaded.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True)["model"])
    others = [loaded, copy.deepcopy(net), pickle.loads(pickle.dumps(net))]
    expected = net(x)
    for other in others:
        for one, two in zip(other(x), expected, strict=True):
            assert torch.equal(one, two)
    names = {name.split(".")[0] for name in net.state_dict()}
    assert names == {"network", "loss_predictor"}
    assert {n.removeprefix("network.") for n in net.state_dict() if n[0] == "n"} == backbone().state_dict().keys()


def test_copies_watch_their_own_layers():
    net, x = network(), images(2, 1, 16, 16)
    other = copy.deepcopy(net)
    with torch.no_grad():
        for p in net.network.parameters():
            p.zero_()
    assert not torch.equal(other(x)[1], net(x)[1])
    assert torch.equal(other(x)[1], network()(x)[1])


def test_hooks_are_gone_after_a_call_and_after_an_error():
    net = network()
    net(images(2, 1, 16, 16))
    with pytest.raises(RuntimeError):
        net(images(2, 3, 16, 16))
    assert not any(m._forward_hooks for m in net.modules())


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_traced_in_evaluation_it_gives_the_same():
    net, x = network().eval(), images(2, 1, 16, 16)
    traced = torch.jit.trace(net, x)
    other = images(2, 1, 16, 16) + 1
    torch.testing.assert_close(traced(other), net(other))


def test_lower_precision():
    net, x = network(), images(4, 1, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, predicted = net(x)
    (output.float().sum() + predicted.float().sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    torch.manual_seed(0)
    half = LossPredictor(backbone(dropout=0.0).to(torch.bfloat16), LAYERS).to(torch.bfloat16)
    assert half(x.to(torch.bfloat16))[1].dtype == torch.bfloat16


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "match"),
    [
        (["bottlenek"], "DropoutUNet has no layer 'bottlenek'; near it: bottleneck"),
        (["encoder_1", "q"], "has no layer 'q'; near it: encoder_1, encoder_2, encoder_3, bottleneck, decoder_3"),
        (["network.bottleneck"], "has no layer 'network.bottleneck'"),
        ([""], "has no layer ''"),
        ([], r"at least one, got \[\]"),
        ("bottleneck", "must be a list of different paths of layers"),
        (["bottleneck", "bottleneck"], "different paths"),
    ],
)
def test_wrong_layers(layers, match):
    with pytest.raises(ValueError, match=match):
        LossPredictor(backbone(), layers)


def test_wrong_channels():
    with pytest.raises(ValueError, match="there are 4 layers but 2 numbers of channels"):
        network(channels=(4, 8))
    with pytest.raises(ValueError, match="layer 'encoder_3' gives 8 channels, not 9"):
        network(channels=(4, 6, 9, 10))(images(2, 1, 16, 16))


class Odd(nn.Module):
    """Layers that do not run, run twice, run in training only, or give no map."""

    def __init__(self):
        super().__init__()
        self.conv, self.idle, self.late, self.twice = (nn.Conv2d(1, 1, 1) for _ in range(4))
        self.flat, self.halves = nn.Flatten(), nn.AdaptiveMaxPool2d(1, return_indices=True)
        self.folded = nn.Flatten(0, 1)

    def forward(self, x):
        x = self.twice(self.twice(self.conv(x)))
        self.flat(x), self.halves(x), self.folded(x.repeat(1, 2, 1, 1)[:, :, None])
        return self.late(x) if self.training else x


@pytest.mark.parametrize(
    ("layer", "match"),
    [
        ("idle", "layer 'idle' ran 0 times .* it may be unused"),
        ("late", "layer 'late' ran 0 times"),
        ("twice", "layer 'twice' ran 2 times in the network's forward pass, not once: choose another one$"),
        ("flat", r"layer 'flat' gives \(1, 64\) for images \(1, 1, 8, 8\), not \(B, C, \*spatial\)"),
        ("folded", r"layer 'folded' gives \(2, 1, 8, 8\)"),
        ("halves", "layer 'halves' gives tuple"),
    ],
)
def test_layers_that_cannot_be_used(layer, match):
    with pytest.raises(ValueError, match=match):
        LossPredictor(Odd(), [layer], image_size=(8, 8))
    net = LossPredictor(Odd(), [layer], channels=[1])
    if layer == "late":
        assert net(images(2, 1, 8, 8))[1].shape == (2,)
        net.eval()
    with pytest.raises(ValueError, match=rf"layer '{layer}' (ran \d times|gives)"):
        net(images(2, 1, 8, 8))


@pytest.mark.parametrize(
    ("options", "match"),
    [({"in_channels": 3}, r"shape \(1, 3, 64, 64\)"), ({"image_size": (8, 8, 8)}, r"shape \(1, 1, 8, 8, 8\)")],
)
def test_an_image_that_the_network_does_not_take(options, match):
    with pytest.raises(ValueError, match=match + ": give in_channels and image_size"):
        network(**options)
