# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which error of a chain is told, and in which words; tests/bad_inputs asks whole commands."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser
from torch.utils.data import DataLoader

from monai_al.bundle import BundleConfigError
from monai_al.failures import chain, is_deliberate, told
from monai_al.records import DataError, RunFolderError, round_sizes


def raised(act):
    with pytest.raises(BaseException) as caught:  # noqa: PT011, any
        act()
    return caught.value


def resolve(id, **config):
    parser = ConfigParser(config)
    return parser.get_parsed_content(id)


def from_(*errors):
    """Raised one from another, the deepest first."""

    def act():
        try:
            if errors[1:]:
                from_(*errors[:-1])()
        except BaseException as cause:  # noqa: BLE001, any
            raise errors[-1] from cause
        raise errors[-1]

    return act


class Broken:
    """A data set whose items fail in a worker's way."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise self.error


def in_worker(error):
    def act():
        batches = iter(DataLoader(Broken(error), num_workers=1))
        try:
            next(batches)
        finally:
            batches._shutdown_workers()  # else whoever collects garbage waits for it

    return act


def weights_of_another(network):
    return lambda: network.load_state_dict(torch.nn.Conv2d(2, 3, 1).state_dict())


TOLD = {
    "our own": (lambda: round_sizes(0, 1, 5), "--budget [0]: every round needs at least one item"),
    "our own below MONAI's": (from_(DataError("a.nii: holds NaN"), RuntimeError("Failed to instantiate")), "a.nii: "),
    "our own above another's": (from_(KeyError("x"), BundleConfigError("--x: no such id")), "--x: no such id"),
    "our own of two": (from_(DataError("a"), DataError("b: a")), "b: a"),
    "our own in a worker": (in_worker(DataError("a.nii: holds NaN\nb: too")), "a.nii: holds NaN\nb: too"),
    "a run folder's": (from_(RunFolderError("runs/a is in use")), "runs/a is in use"),
    "memory below our own": (from_(MemoryError(), DataError("cannot predict")), "out of memory: lower --batch_size"),
    "memory of numpy": (lambda: np.empty(10**15), "out of memory (no "),
    "memory of torch": (lambda: torch.empty(10**15), "out of memory (no 4000000000000000 bytes more are free): lower"),
    "memory of a GPU": (from_(torch.OutOfMemoryError("CUDA out of memory.")), "out of GPU memory: lower --batch_size"),
    "disk": (from_(OSError(errno.ENOSPC, "No space", "a.pt")), "a.pt: no space left on the device"),
    "disk of torch": (from_(RuntimeError("PytorchStreamWriter failed writing file data/0")), "a file could not be"),
    "quota": (from_(OSError(errno.EDQUOT, "Quota exceeded", "a.pt")), "a.pt: no space left on the device"),
    "permission": (from_(PermissionError(errno.EACCES, "", "a")), "a: permission denied: give a folder"),
    "read-only": (from_(OSError(errno.EROFS, "", "a")), "a: the file system is read-only"),
    "open files": (from_(OSError(errno.EMFILE, "", "a")), "a: too many open files: lower --num_workers"),
    "no file": (lambda: Path("no/such/file").read_text(), "no/such/file: no such file or folder"),
    "two files": (from_(OSError(errno.EXDEV, "Invalid cross-device link", "a", None, "b")), "b: invalid cross-device"),
    "a worker": (
        from_(RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly")),
        "a worker of the data loader",
    ),
    "shared memory": (
        from_(RuntimeError("unable to open shared memory object </torch_1> in read-write mode")),
        "shared memory may be too small, lower --num_workers",
    ),
    "no class": (lambda: resolve("a", a={"_target_": "monai.losses.DiceLos"}), "did you mean monai.losses.DiceLoss?"),
    "no module": (lambda: resolve("a", a={"_target_": "nowhere.A"}), "_target_ nowhere.A: no such class or function"),
    "no reference": (lambda: resolve("a", a="@b"), "@b: the config has no such id"),
    "no id": (lambda: resolve("b", a=1), "b: the config has no such id"),
    "no id to override": (lambda: ConfigParser({"a": 1}).update({"b#c": 1}), "b: the config has no such id"),
    "no run": (
        from_(ValueError("run ID 'train' doesn't exist in the config file.")),
        "train: the config has no such id; correct its name",
    ),
    "a circle": (lambda: resolve("a", a="@b", b="@a"), "the ids a and b of the config refer to each other"),
    "an expression": (lambda: resolve("a", b=1, a="$@b.nope()"), "$@b.nope(), as the config asks for it: Attr"),
    "no Python": (lambda: resolve("a", a="$f("), "a $ expression of the config is not valid Python"),
    "an argument": (
        lambda: resolve("a", a={"_target_": "DiceLoss", "smoth": 1}),
        "monai.losses.dice.DiceLoss, as the config asks for it: DiceLoss.__init__() got an unexpected keyword argument",
    ),
    "our own argument": (
        lambda: resolve("a", a={"_target_": "monai_al.strategies.CentralStratified", "middle": None}),
        "--strategy#middle must lie in (0, 1], got null",
    ),
    "YAML": (lambda: yaml.safe_load("a: [1\nb: 2"), "line 2: not valid YAML: while parsing a flow sequence"),
    "JSON": (lambda: json.loads('{"a" 1}'), "line 1: not valid JSON: Expecting ':' delimiter"),
    "a package": (lambda: __import__("no_such_package"), "not installed: pip install no_such_package"),
    "an extra": (
        from_(ModuleNotFoundError("No module named 'mlflow'", name="mlflow")),
        "the package mlflow is not installed: pip install 'monai_al[mlflow]'",
    ),
    "an extra of MONAI": (
        from_(ImportError("import tensorboard (No module named 'tensorboard').\n\nFor details")),
        "the package tensorboard is not installed: pip install 'monai_al[tensorboard]'",
    ),
    "weights": (
        weights_of_another(torch.nn.Conv2d(1, 3, 1)),
        "the weights do not fit the network: Conv2d: size mismatch for weight",
    ),
    "no device": (lambda: torch.zeros(1).to("cuda:99"), "the device cannot be used ("),
    "unknown device": (lambda: torch.device("gpu"), "the device cannot be used ('gpu' is none): give another one"),
    "channels": (lambda: torch.nn.Conv2d(1, 1, 1)(torch.zeros(1, 3, 2, 2)), "the network and its images do not"),
    "shapes": (lambda: torch.zeros(3) + torch.zeros(4), "do not fit each other: The size of tensor"),
    "one item": (lambda: torch.nn.BatchNorm1d(3)(torch.zeros(1, 3)), "Expected more than 1 value per channel"),
}


@pytest.mark.parametrize("kind", TOLD)
def test_what_is_told(kind):
    act, words = TOLD[kind]
    message = told(raised(act))
    assert message is not None
    assert words in message
    assert "Traceback" not in message
    if "\n" not in words:
        assert "\n" not in message


BUGS = {
    "a key": lambda: {}["x"],
    "a wrong call of another library": lambda: np.zeros(3).reshape(2, 2),
    "no id, only words that end like it": from_(ValueError("not valid: abc"), RuntimeError("item id: case_1")),
    "an assertion": from_(AssertionError("never")),
    "in a worker": in_worker(IndexError("list index out of range")),
}


@pytest.mark.parametrize("kind", BUGS)
def test_what_is_a_bug(kind):
    assert told(raised(BUGS[kind])) is None


def test_what_this_package_raises_is_told_and_what_it_runs_into_is_not(monkeypatch):
    from monai_al.records import budget

    assert is_deliberate(raised(lambda: round_sizes(0, 1, 5)))
    monkeypatch.setattr(budget, "_sizes_of_counts", lambda counts, *_: int("x"))
    error = raised(lambda: round_sizes(1, 1, 5))
    assert isinstance(error, ValueError)
    assert not is_deliberate(error)
    error = raised(lambda: budget._sizes_of_shares(None, 1, 5))  # in our own line, but by no raise of ours
    assert isinstance(error, TypeError)
    assert not is_deliberate(error)


def test_a_bug_of_ours_in_a_component_is_no_error_of_the_config():
    def build():
        return resolve("a", a={"_target_": "monai_al.data.VolumeCache", "cache_dir": 3})

    assert told(raised(build)) is None


def test_a_chain_goes_to_its_end_and_stops_where_it_is_told_to():
    error = raised(from_(KeyError("a"), ValueError("b"), RuntimeError("c")))
    assert [type(one) for one in chain(error)] == [RuntimeError, ValueError, KeyError]
    error.__cause__, error.__suppress_context__ = None, True
    assert chain(error) == [error]
    error.__cause__ = error  # which Python itself never makes
    assert chain(error) == [error]
