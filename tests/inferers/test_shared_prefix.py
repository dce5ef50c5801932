# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
from collections import Counter, OrderedDict, namedtuple
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.inferers import SimpleInferer, SlidingWindowInferer
from monai.networks.nets import BasicUNet, DynUNet, UNet
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from monai_al.inferers import MCDropoutInferer, SharedPrefix, dropout_enabled
from monai_al.networks import DropoutUNet, LossPredictor

COMPUTED: Counter[str] = Counter()

pytestmark = pytest.mark.usefixtures("one_thread")


class Full(SimpleInferer):
    """The same prediction, but not exactly MONAI's class: nothing is shared."""


class Conv(nn.Conv2d):
    """Counts its computations, outside of itself."""

    def __init__(self, channels_in: int = 4, channels_out: int = 4, name: str = "conv") -> None:
        super().__init__(channels_in, channels_out, 3, padding=1)
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        COMPUTED[self.name] += 1
        return super().forward(x)


class Net(nn.Module):
    """Any modules, any way through them."""

    def __init__(self, through: Callable[[Any, Tensor], Any], **modules: nn.Module) -> None:
        super().__init__()
        self.through = through
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Any:
        return self.through(self, x)


@pytest.fixture(autouse=True)
def _weights() -> None:
    torch.manual_seed(0)
    COMPUTED.clear()


def image(channels: int = 4, size: tuple[int, ...] = (8, 8)) -> Tensor:
    return torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(1))


def both(network: nn.Module, x: Tensor, passes: int = 4, seed: int | None = 5) -> tuple[list[Any], list[Any]]:
    """Passes with a shared part, and without."""
    results = []
    for inferer in (SimpleInferer(), Full()):
        torch.manual_seed(9)
        with torch.no_grad():
            results.append(list(MCDropoutInferer(passes, inferer, seed=seed).samples(x.clone(), network)))
    return results[0], results[1]


def computed(network: nn.Module, x: Tensor, passes: int = 4) -> dict[str, int]:
    """How often each counted layer computes in some passes that may be shared."""
    COMPUTED.clear()
    with torch.no_grad():
        list(MCDropoutInferer(passes).samples(x, network))
    return dict(COMPUTED)


def sharing(network: nn.Module, x: Tensor) -> bool:
    with torch.no_grad(), dropout_enabled(network):
        shared = SharedPrefix(network, [m for m in network.modules() if isinstance(m, nn.Dropout) and m.p > 0])
        shared(x)
        shared(x)
    return shared.sharing


def assert_equal(network: nn.Module, x: Tensor, seed: int | None = 5) -> None:
    before = ["forward" in vars(module) for module in network.modules()]
    ours, theirs = both(network, x, seed=seed)
    assert len({tuple(p.flatten().tolist()) for p in theirs}) == 4
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert ["forward" in vars(module) for module in network.modules()] == before


# -- networks ----------------------------------------------------------------------------------------------------------


class DecoderDropout(nn.Module):
    """A U-Net with skip connections and functional operations; only its decoder drops."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.act = nn.ReLU(inplace=inplace)
        self.norm = nn.BatchNorm2d(4)
        self.first = Conv(4, 4, "first")
        self.down = nn.Sequential(nn.MaxPool2d(2), Conv(4, 8, "down"), nn.ReLU(inplace=inplace))
        self.up = Conv(8, 4, "up")
        self.drop = nn.Dropout(0.3)
        self.last = Conv(8, 2, "last")

    def forward(self, x: Tensor) -> Tensor:
        skip = self.act(self.norm(self.first(x)))
        deep = F.interpolate(self.up(self.down(skip)), scale_factor=2.0)
        return self.last(self.drop(torch.cat([skip, deep], dim=1)))


NETWORKS = {
    "monai_unet": lambda: UNet(2, 4, 3, channels=(4, 8, 16), strides=(2, 2), num_res_units=2, dropout=0.2),
    "basic_unet": lambda: BasicUNet(2, 4, 2, features=(4, 4, 8, 8, 8, 4), dropout=0.2),
    "dynunet": lambda: DynUNet(2, 4, 2, [3, 3, 3], [1, 2, 2], [2, 2], dropout=0.2),
    "decoder_dropout": DecoderDropout,
    "in_place": lambda: DecoderDropout(inplace=True),
    "sequential": lambda: nn.Sequential(Conv(), nn.ReLU(), Conv(), nn.Dropout2d(0.5), Conv()),
    "late_dropout": lambda: nn.Sequential(UNet(2, 4, 4, channels=(4, 8), strides=(2,)), nn.AlphaDropout(0.2), Conv()),
}


@pytest.mark.parametrize("seed", [5, None])
@pytest.mark.parametrize("name", NETWORKS)
def test_passes_are_bit_for_bit_those_of_the_whole_network(name, seed):
    size = (32, 32) if name == "basic_unet" else (16, 24)
    assert_equal(NETWORKS[name](), image(size=size), seed)


def test_what_lies_before_the_first_dropout_layer_is_computed_once():
    assert computed(DecoderDropout(), image()) == {"first": 1, "down": 1, "up": 1, "last": 4}
    COMPUTED.clear()
    net = nn.Sequential(Conv(name="a"), nn.Sequential(Conv(name="b"), nn.Dropout(0.5)), Conv(name="c"))
    assert computed(net, image()) == {"a": 1, "b": 1, "c": 4}


def test_nothing_is_shared_with_other_inferers():
    net, x = DecoderDropout(), image()
    for inferer in (Full(), SlidingWindowInferer((8, 8), sw_batch_size=2)):
        COMPUTED.clear()
        with torch.no_grad():
            MCDropoutInferer(3, inferer)(x, net)
        assert COMPUTED["first"] == COMPUTED["last"] == 3


def test_meta_tensors_are_shared_too():
    net, x = DecoderDropout(), MetaTensor(image())
    assert computed(net, x)["first"] == 1
    ours, theirs = both(net, x)
    assert all(torch.equal(a, b) and type(a) is type(b) for a, b in zip(ours, theirs, strict=True))


def test_modules_called_several_times():
    conv = Conv()
    net = Net(lambda m, x: m.conv(m.drop(m.conv(m.conv(x)) + m.again(x))), conv=conv, again=conv, drop=nn.Dropout(0.5))
    assert_equal(net, image())
    assert computed(net, image()) == {"conv": 3 + 4}


Pair = namedtuple("Pair", "one two")
STRUCTURES = {
    "tuple": (lambda a, b: (a, b), lambda out: (out[0], out[1])),
    "list": (lambda a, b: [a, [b, None]], lambda out: (out[0], out[1][0])),
    "dict": (lambda a, b: {"a": a, "n": 3, "b": (b,)}, lambda out: (out["a"], out["b"][0])),
    "ordered": (lambda a, b: OrderedDict(a=a, b=b), lambda out: (out["a"], out["b"])),
    "named": (Pair, lambda out: (out.one, out.two)),
    "same_tensor_twice": (lambda a, b: [a, b, a], lambda out: (out[2], out[1])),
    "emptied_later": (lambda a, b: [b, a], lambda out: (out.pop(), out.pop())),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_outputs_of_several_tensors(name):
    pack, unpack = STRUCTURES[name]
    encoder = Net(lambda m, x: pack(m.a(x), m.b(x)), a=Conv(), b=Conv())

    def through(m: Any, x: Tensor) -> Tensor:
        first, second = unpack(m.encoder(x))
        return m.drop(first) * second

    net = Net(through, encoder=encoder, drop=nn.Dropout(0.5))
    assert_equal(net, image())
    assert computed(net, image()) == {"conv": 2}


def test_outputs_of_unknown_kind_are_computed_again():
    class Box:
        def __init__(self, tensor: Tensor) -> None:
            self.tensor = tensor

    net = Net(
        lambda m, x: m.drop(m.inner(m.box(x)).tensor),
        box=Net(lambda m, x: Box(m.conv(x)), conv=Conv(name="boxed")),
        inner=Net(lambda m, box: Box(m.conv(box.tensor)), conv=Conv(name="unboxed")),
        drop=nn.Dropout(0.5),
    )
    assert_equal(net, image())
    assert computed(net, image()) == {"boxed": 4, "unboxed": 4}


# -- changes in place --------------------------------------------------------------------------------------------------


def relu_after_conv(m: Any, x: Tensor) -> Tensor:
    return m.drop(m.relu(m.conv(x)))


def relu_as_statement(m: Any, x: Tensor) -> Tensor:
    y = m.conv(x)
    m.relu(y)
    return m.drop(y + 1)


def relu_after_reading(m: Any, x: Tensor) -> Tensor:
    y = m.conv(x)
    before = y * 2
    return m.drop(m.relu(y) + before)


def relu_on_a_view(m: Any, x: Tensor) -> Tensor:
    y = m.conv(x)
    m.relu(y[:, :2])
    return m.drop(m.second(y)) + y


def relu_twice(m: Any, x: Tensor) -> Tensor:
    y = m.conv(x)
    z = m.relu(y - 1)
    m.relu(y)
    return m.drop(m.second(z) + m.relu(y)) * y


def relu_on_a_result_between_modules(m: Any, x: Tensor) -> Tensor:
    y = m.conv(x) + 0.5
    m.relu(y)
    return m.drop(m.second(y)) + y


def relu_in_a_container(m: Any, x: Tensor) -> Tensor:
    y = m.conv(x)
    return m.drop(m.block(y)) + y


def relu_after_identity(m: Any, x: Tensor) -> Tensor:
    y = m.conv(x)
    m.relu(m.same(y))
    return m.drop(y + 1)


STILL_SHARED = [
    relu_after_conv,
    relu_as_statement,
    relu_after_reading,
    relu_on_a_view,
    relu_twice,
    relu_on_a_result_between_modules,
    relu_in_a_container,
    relu_after_identity,
]


def in_place_net(through: Callable[[Any, Tensor], Any], dropout: nn.Module | None = None) -> Net:
    return Net(
        through,
        conv=Conv(),
        second=Conv(name="second"),
        relu=nn.ReLU(inplace=True),
        block=nn.Sequential(nn.ReLU(inplace=True), Conv(name="block")),
        same=nn.Identity(),
        flat=nn.Flatten(),
        drop=nn.Dropout(0.5) if dropout is None else dropout,
    )


@pytest.mark.parametrize("through", STILL_SHARED)
def test_modules_in_place_still_share(through):
    net = in_place_net(through)
    assert_equal(net, image())
    counts = computed(net, image())
    assert counts["conv"] == 1
    assert counts.get("second", 1) == 1


def operation_between_modules(m: Any, x: Tensor) -> Tensor:
    y = m.conv(x)
    y += 1
    return m.drop(m.second(y)) + y


def operation_before_module(m: Any, x: Tensor) -> Tensor:
    y = m.conv(x)
    y += 1
    return m.drop(m.relu(y))


def operation_on_a_view(m: Any, x: Tensor) -> Tensor:
    y = m.conv(x)
    y[:, 0].mul_(2)
    return m.drop(y)


def operation_after_dropout(m: Any, x: Tensor) -> Tensor:
    y = m.conv(x)
    z = m.drop(y)
    y += z
    return y


def module_after_dropout(m: Any, x: Tensor) -> Tensor:
    y = m.conv(x)
    z = m.drop(m.second(y))
    return z + m.relu(y)


def operation_on_the_input(m: Any, x: Tensor) -> Tensor:
    x.mul_(1.5)
    return m.drop(m.conv(x))


def module_on_the_input(m: Any, x: Tensor) -> Tensor:
    return m.drop(m.conv(m.relu(x)))


NOT_SHARED = [
    operation_between_modules,
    operation_before_module,
    operation_on_a_view,
    operation_after_dropout,
    module_after_dropout,
    operation_on_the_input,
    module_on_the_input,
]


@pytest.mark.parametrize("through", NOT_SHARED)
def test_nothing_is_shared_where_other_operations_change_tensors(through):
    net = in_place_net(through)
    assert_equal(net, image())
    assert computed(net, image())["conv"] == 4
    assert not sharing(net, image())


def test_nothing_is_shared_where_dropout_changes_a_recorded_tensor():
    net = in_place_net(lambda m, x: m.drop(m.conv(x)), nn.Dropout(0.5, inplace=True))
    assert_equal(net, image())
    assert computed(net, image())["conv"] == 4


def its_input_too(m: Any, x: Tensor) -> Any:
    return [m.conv(x), x]


def a_view_too(m: Any, x: Tensor) -> Any:
    y = m.conv(x)
    return [y, y[:, 1:]]


@pytest.mark.parametrize("returned", [its_input_too, a_view_too])
@pytest.mark.parametrize("before", [False, True])
def test_nothing_is_shared_where_a_changed_tensor_goes_by_two_names(returned, before):
    def through(m: Any, x: Tensor) -> Tensor:
        y = m.conv(x) if before else x - 1
        first, second = m.pair(y)
        m.relu(second)
        return m.drop(first) + y

    net = in_place_net(through)
    net.pair = Net(returned, conv=Conv(name="pair"))
    assert_equal(net, image())
    assert computed(net, image())["pair"] == 4


def test_a_module_that_changes_its_input_by_an_operation():
    adder = Net(lambda m, x: x.add_(1))
    net = Net(lambda m, x: m.drop(m.adder(m.conv(x))), conv=Conv(), adder=adder, drop=nn.Dropout(0.5))
    assert_equal(net, image())
    assert computed(net, image())["conv"] == 4
    net = Net(lambda m, x: m.drop(m.adder(m.conv(x) * 2)), conv=Conv(), adder=adder, drop=nn.Dropout(0.5))
    assert_equal(net, image())
    assert computed(net, image())["conv"] == 1


def test_dropout_in_place_elsewhere_still_shares():
    net = in_place_net(lambda m, x: m.drop(m.conv(x) + 1), nn.Dropout(0.5, inplace=True))
    assert_equal(net, image())
    assert computed(net, image())["conv"] == 1


def test_what_others_do_with_a_prediction_changes_no_other():
    net = Net(lambda m, x: (m.conv(x), m.drop(m.second(x))), conv=Conv(), second=Conv(), drop=nn.Dropout(0.5))
    with torch.no_grad():
        first, second, third = (prediction for prediction, _ in MCDropoutInferer(3).samples(image(), net))
    assert torch.equal(first, second)
    second.zero_()
    assert torch.equal(first, third)
    assert first.any()


STEPS = {
    "conv": lambda m, a, b: m.conv(a),
    "conv_of_sum": lambda m, a, b: m.conv(a + b),
    "relu": lambda m, a, b: m.relu(a),
    "block": lambda m, a, b: m.block(a),
    "same": lambda m, a, b: m.same(a),
    "view": lambda m, a, b: m.seen(a),
    "part": lambda m, a, b: m.relu(a[:, 1:]) if a is b else b,
    "pair": lambda m, a, b: m.pair(a)[1],
    "sum": lambda m, a, b: a + b,
    "add": lambda m, a, b: a.add_(b.mean()),
    "drop": lambda m, a, b: m.drop(a),
    "drop_in_place": lambda m, a, b: m.drop_in_place(a),
}
program = st.lists(st.tuples(st.sampled_from(sorted(STEPS)), *[st.integers(0, 2)] * 3, st.booleans()), max_size=10)


@settings(max_examples=100, deadline=None)
@given(program)
def test_any_way_through_modules_and_operations(steps):
    """Three tensors; each step makes one of two of them, or only changes what it is given."""

    def through(m: Any, x: Tensor) -> Tensor:
        values = [x, x * 2, m.conv(x)]
        for name, first, second, target, is_statement in steps:
            made = STEPS[name](m, values[first], values[second])
            if not is_statement and made.shape == x.shape:
                values[target] = made
        return torch.stack([m.drop(value * 1) for value in values])

    torch.manual_seed(0)
    net = in_place_net(through)
    net.drop_in_place = nn.Dropout(0.25, inplace=True)
    net.seen = Net(lambda m, x: x.view(x.shape))
    net.pair = Net(lambda m, x: [m.conv(x), x, x + 1], conv=Conv())
    ours, theirs = both(net, image(size=(3, 3)), passes=3)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


# -- what is not the input's work alone --------------------------------------------------------------------------------


class Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


def test_nothing_is_shared_where_something_else_is_random():
    net = Net(lambda m, x: m.drop(m.conv(m.noise(x))), conv=Conv(), noise=Noise(), drop=nn.Dropout(0.5))
    assert_equal(net, image())
    assert_equal(net, image(), seed=None)
    assert not sharing(net, image())
    net = Net(lambda m, x: m.noise(m.drop(m.conv(x))), conv=Conv(), noise=Noise(), drop=nn.Dropout(0.5))
    assert_equal(net, image())
    assert sharing(net, image())


def keeps_a_list(m: Any, x: Tensor) -> Tensor:
    m.skips.clear()
    m.skips.append(m.conv(x))
    return m.skips[0]


def keeps_an_attribute(m: Any, x: Tensor) -> Tensor:
    m.skip = m.conv(x)
    return m.skip


def counts_its_calls(m: Any, x: Tensor) -> Tensor:
    m.number.add_(1)
    return m.conv(x) * m.number


def changes_what_it_holds(m: Any, x: Tensor) -> Tensor:
    m.held[0].add_(1)
    return m.conv(x) * m.held[0]


@pytest.mark.parametrize("through", [keeps_a_list, keeps_an_attribute, counts_its_calls, changes_what_it_holds])
def test_nothing_is_shared_where_a_module_changes_itself(through):
    encoder = Net(through, conv=Conv())
    encoder.skips, encoder.held = [], (torch.zeros(()),)
    encoder.register_buffer("number", torch.zeros(()))
    net = Net(lambda m, x: m.drop(m.encoder(x)), encoder=encoder, drop=nn.Dropout(0.5))
    with torch.no_grad():
        MCDropoutInferer(2)(image(), net)
    assert not sharing(net, image())
    assert computed(net, image())["conv"] == 4


def test_a_list_that_a_module_fills():
    def through(m: Any, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        deep = m.encoder(x, skips)
        return m.drop(deep) + skips.pop()

    class Filling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = Conv()

        def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
            skips.append(self.conv(x))
            return skips[0] * 2

    assert_equal(Net(through, encoder=Filling(), drop=nn.Dropout(0.5)), image())


CHANGES = {
    "weight_in_place": lambda net, x: net.first.weight.mul_(2),
    "weight": lambda net, x: setattr(net.first, "weight", nn.Parameter(net.first.weight * 2)),
    "all_weights": lambda net, x: net.load_state_dict({k: v + 1 for k, v in net.state_dict().items()}, assign=True),
    "buffer_in_place": lambda net, x: net.norm.running_mean.add_(1),
    "buffer": lambda net, x: setattr(net.norm, "running_mean", torch.ones(4)),
    "attribute": lambda net, x: setattr(net.norm, "eps", 0.5),
    "mode": lambda net, x: net.norm.train(),
    "module": lambda net, x: setattr(net, "up", nn.Conv2d(8, 4, 1)),
    "module_in_a_container": lambda net, x: net.down.append(nn.Tanh()),
    "hook": lambda net, x: net.down.register_forward_hook(lambda module, given, output: output * 2),
    "input": lambda net, x: x.add_(1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_between_two_passes_are_seen(name):
    net, x = DecoderDropout(), image()
    with torch.no_grad(), dropout_enabled(net):
        shared = SharedPrefix(net, [net.drop])
        shared(x)
        torch.manual_seed(2)
        before = shared(x)
        assert shared.sharing
        CHANGES[name](net, x)
        torch.manual_seed(2)
        ours = shared(x)
        assert not shared.sharing
        torch.manual_seed(2)
        assert torch.equal(ours, net(x))
        assert not torch.equal(ours, before)


def test_other_arguments_are_not_shared():
    net = DecoderDropout()
    with torch.no_grad(), dropout_enabled(net):
        shared = SharedPrefix(net, [net.drop])
        shared(image())
        other = torch.zeros(1, 4, 8, 8)
        torch.manual_seed(2)
        ours = shared(other)
        torch.manual_seed(2)
        assert torch.equal(ours, net(other))
    assert not shared.sharing


def test_arguments_beside_the_input():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.drop = Conv(), nn.Dropout(0.5)

        def forward(self, x: Tensor, factor: float, *, offset: Tensor) -> Tensor:
            return self.drop(self.conv(x)) * factor + offset

    net, x, offset = Scaled(), image(), torch.ones(())
    with torch.no_grad():
        ours = MCDropoutInferer(3, seed=1)(x, net, 2.0, offset=offset)
        assert COMPUTED["conv"] == 1
        assert torch.equal(ours, MCDropoutInferer(3, Full(), seed=1)(x, net, 2.0, offset=offset))


# -- where nothing may be recorded -------------------------------------------------------------------------------------


def test_hooks_run_in_every_pass():
    net, seen = DecoderDropout(), []
    net.down[1].register_forward_hook(lambda module, args, output: seen.append(output) or output * 2)
    assert_equal(net, image())
    seen.clear()
    assert computed(net, image()) == {"first": 1, "down": 4, "up": 1, "last": 4}
    assert len(seen) == 4


@pytest.mark.parametrize("register", [register_module_forward_hook, register_module_forward_pre_hook])
def test_hooks_of_all_modules_run_in_every_pass(register):
    net, seen = DecoderDropout(), []
    handle = register(lambda module, *given: seen.append(module))
    try:
        computed(net, image())
    finally:
        handle.remove()
    assert seen == 4 * seen[: len(seen) // 4]
    assert set(net.modules()) == set(seen)


@pytest.mark.parametrize("hooked", list(itertools.product([False, True], repeat=3)))
def test_hooks_that_come_and_go_within_the_passes(hooked):
    """One convolution is called within a module, whose hook may be there or not, and then by itself."""
    plan, seen = itertools.cycle(hooked), []

    def through(m: Any, x: Tensor) -> Tensor:
        handle = m.block.register_forward_hook(lambda *_: seen.append(1)) if next(plan) else None
        y = m.block(x)
        if handle is not None:
            handle.remove()
        return m.drop(m.block[1](m.block[1](y)))

    net = Net(through, block=nn.Sequential(nn.Tanh(), Conv()), drop=nn.Dropout(0.5))
    ours, theirs = both(net, image(), passes=6)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert len(seen) == 4 * sum(hooked)


FEATURES = {
    "sequential": (
        lambda: nn.Sequential(nn.Sequential(Conv(), nn.ReLU()), nn.Dropout(0.5), Conv(name="last")),
        ["0.0", "0", "2"],
    ),
    "dropout_unet": (
        lambda: DropoutUNet(4, 2, (4, 6, 8)),
        ["encoder_1.convs", "encoder_1", "encoder_2", "bottleneck", "decoder_1"],
    ),
    "dropout_in_decoder": (lambda: DropoutUNet(4, 2, (4, 6, 8), dropout_in=["concat"]), ["encoder_1", "bottleneck"]),
}


@pytest.mark.parametrize("name", FEATURES)
def test_features_that_a_network_collects_by_hooks_in_its_forward(name):
    build, layers = FEATURES[name]
    net = LossPredictor(build(), layers, 8, in_channels=4, image_size=(16, 16))
    losses: list[Tensor] = []
    net.loss_predictor.register_forward_hook(lambda module, given, output: losses.append(output))
    assert_equal(net, image(size=(16, 16)))
    ours, theirs = losses[:4], losses[4:]
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert sharing(net, image(size=(16, 16)))


def test_what_lies_within_a_layer_with_a_hook_is_shared():
    net = LossPredictor(nn.Sequential(nn.Sequential(Conv(), nn.ReLU()), nn.Dropout(0.5)), ["0"], channels=[4])
    assert computed(net, image()) == {"conv": 1}


def test_gradients_flow_through_every_pass():
    net = DecoderDropout()
    for prediction in MCDropoutInferer(3).samples(image(), net):
        prediction.sum().backward()
    assert COMPUTED["first"] == 3
    assert net.first.weight.grad.any()


def test_frozen_layers_are_shared_with_gradients():
    net = nn.Sequential(Conv(name="frozen").requires_grad_(False), nn.Dropout(0.5), Conv(name="trained"))
    for prediction in MCDropoutInferer(3).samples(image(), net):
        prediction.sum().backward()
    assert COMPUTED == {"frozen": 1, "trained": 3}
    assert net[2].weight.grad.any()


def test_inference_mode():
    net, x = DecoderDropout(), image()
    with torch.inference_mode():
        ours = MCDropoutInferer(3, seed=1)(x, net)
        assert COMPUTED["first"] == 3
        made_inside = image()
    with torch.no_grad():
        assert torch.equal(ours, MCDropoutInferer(3, Full(), seed=1)(x, net))
        assert torch.equal(ours, MCDropoutInferer(3, seed=1)(made_inside, net))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_parts():
    scripted = torch.jit.script(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True)))
    net = nn.Sequential(Conv(), scripted, nn.Dropout(0.5))
    assert_equal(net, image())
    assert not sharing(net, image())


def test_compiled_and_distributed_parts():
    eager = {"backend": "eager"}
    compiled = [torch.compile(Conv(), **eager), Conv(), Conv(), nn.DataParallel(Conv())]
    compiled[1].compile(**eager)
    compiled[2].forward = compiled[2].forward
    for part in compiled:
        net = nn.Sequential(nn.Sequential(Conv(), part), nn.Dropout(0.5))
        shared = SharedPrefix(net, [net[1]])
        with torch.no_grad():
            shared(image())
        assert not shared.sharing
    assert "forward" in vars(compiled[2])


def test_a_dropout_layer_that_is_not_called():
    net = Net(lambda m, x: m.conv(x), conv=Conv(), drop=nn.Dropout(0.5))
    with torch.no_grad():
        stack = MCDropoutInferer(3)(image(), net)
    assert torch.equal(stack[0], stack[2])
    assert not sharing(net, image())
    net.through = lambda m, x: m.noise(m.conv(x)) * 2
    net.noise = Noise()
    assert_equal(net, image())


def test_a_dropout_layer_hidden_in_another_module():
    drop = nn.Dropout(0.5)
    hiding = Net(lambda m, x: m.conv(m.hidden[0](m.conv(x))), conv=Conv())
    hiding.hidden = [drop]
    net = Net(lambda m, x: m.hiding(m.conv(x)) + 1, hiding=hiding, conv=Conv(), drop=drop)
    assert_equal(net, image())
    assert not sharing(net, image())


def test_forward_is_restored_after_an_error_in_any_pass():
    fail_in = [0]

    def through(m: Any, x: Tensor) -> Tensor:
        fail_in[0] -= 1
        if fail_in[0] == 0:
            m.drop(m.conv(x))
            raise RuntimeError("from inside")
        return m.drop(m.conv(x))

    net = Net(through, conv=Conv(), drop=nn.Dropout(0.5))
    for number in (1, 3):
        fail_in[0] = number
        with torch.no_grad(), pytest.raises(RuntimeError, match="from inside"):
            MCDropoutInferer(5)(image(), net)
        assert not any("forward" in vars(module) for module in net.modules())
        assert all(module.training for module in net.modules())
    with torch.no_grad(), pytest.raises(RuntimeError):
        MCDropoutInferer(5)(image(3), net)
    assert not any("forward" in vars(module) for module in net.modules())


def test_the_network_is_as_it_was_between_the_passes():
    net = DecoderDropout()
    with torch.no_grad():
        for _ in MCDropoutInferer(3).samples(image(), net):
            assert not any("forward" in vars(module) for module in net.modules())


def test_recorded_tensors_live_as_long_as_the_passes():
    import gc
    import weakref

    kept: list[weakref.ref] = []
    net = Net(lambda m, x: m.drop(m.conv(x)), conv=Conv(), drop=nn.Dropout(0.5))

    def remember(m: Any, x: Tensor) -> Tensor:
        y = m.conv(x)
        kept.append(weakref.ref(y))
        return m.drop(y)

    net.through = remember
    with torch.no_grad():
        passes = MCDropoutInferer(3).samples(image(), net)
        next(passes)
        next(passes)
        gc.collect()
        assert kept[0]() is kept[1]() is not None
        passes.close()
        del passes
        gc.collect()
        assert kept[0]() is None
