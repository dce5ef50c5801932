# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_al.networks.stored_weights import load_weights, weights_for


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2))


def behind(prefix: str, state) -> dict:
    return {f"{prefix}{name}": value for name, value in state.items()}


LAYOUTS = {
    "plain": lambda state: state,
    "nested": lambda state: {"checkpoint": {"model": state}, "epoch": 3},
    "behind a prefix": lambda state: {"state_dict": behind("module.net.", state)},
    "beside an optimizer": lambda state: {"model": state, "optimizer": {"state": {0: {"weight": torch.zeros(9)}}}},
    "beside a head": lambda state: {**behind("backbone.", state), **behind("head.", nn.Linear(4, 4).state_dict())},
    "without counters": lambda state: {k: v for k, v in state.items() if "num_batches" not in k},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_are_found_wherever_they_lie(tmp_path, layout):
    source, net = network(1), network(2)
    torch.save(LAYOUTS[layout](source.state_dict()), tmp_path / "w.pt")
    assert load_weights(net, tmp_path / "w.pt") is net
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, source.state_dict()[name])


def test_a_layer_may_be_left_out(tmp_path):
    source, net = network(1), network(2)[:3]
    torch.save(source.state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"2 unexpected: 3\.weight, 3\.bias$"):
        load_weights(net, tmp_path / "w.pt")
    load_weights(net, tmp_path / "w.pt", left_out="3")
    assert torch.equal(net[0].weight, source[0].weight)


def test_of_several_networks_one_is_named(tmp_path):
    student, teacher = network(1).state_dict(), network(2).state_dict()
    torch.save({**behind("student.", student), **behind("teacher.", teacher)}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w\.pt: holds 2 networks of this kind: .* 'student\.' or 'teacher\.'$"):
        load_weights(network(3), tmp_path / "w.pt")
    for prefix in ("teacher", "teacher."):
        assert torch.equal(load_weights(network(3), tmp_path / "w.pt", prefix)[0].weight, teacher["0.weight"])
    with pytest.raises(ValueError, match=r"holds 0 networks of this kind behind 'ema'"):
        load_weights(network(3), tmp_path / "w.pt", "ema")


def test_the_prefix_with_most_names_wins():
    tensors = {"a.w": 1, "b.w": 2, "b.v": 3, "b.inner.w": 4}
    assert weights_for(tensors, {"w": 0, "v": 0}, "w.pt") == {"w": 2, "v": 3, "inner.w": 4}


def changed(drop=(), **more):
    state = network(1).state_dict()
    return {**{name: value for name, value in state.items() if name not in drop}, **more}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: changed(drop=["1.running_var"]), r"not those of this Sequential; 1 missing: 1\.running_var$"),
        (lambda: changed(**{"4.weight": torch.zeros(1)}), r"1 unexpected: 4\.weight$"),
        (lambda: changed(**{"3.bias": torch.zeros(5)}), r"1 of another shape: 3\.bias \(5,\) instead of \(2,\)$"),
        (lambda: changed(**{"3.bias": torch.tensor([0, torch.nan])}), r"1 not finite: 3\.bias$"),
        (lambda: {"features": torch.zeros(1)}, r"holds no weights of this network \(0\.weight, .*\), but features$"),
        (lambda: {"epoch": 3}, "holds no weights of this network .* but nothing$"),
        (lambda: {"model": network(1)}, "holds more than weights"),
    ],
)
def test_weights_that_do_not_fit(tmp_path, content, message):
    torch.save(content(), tmp_path / "w.pt")
    net = network(2)
    with pytest.raises(ValueError, match=rf"w\.pt: .*{message}"):
        load_weights(net, tmp_path / "w.pt")
    assert torch.equal(net[0].weight, network(2)[0].weight)


def test_files_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="name the file with --encoder_file"):
        load_weights(network(1), None)
    with pytest.raises(ValueError, match=r"nowhere\.pt: there is no such file of pre-trained weights"):
        load_weights(network(1), tmp_path / "nowhere.pt")
