# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import enum
import functools
import operator
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.transforms import Compose, Lambdad, Resized, ScaleIntensityRanged, Spacingd

from monai_al.data import content_hash, file_identity, fingerprint

PREPROCESSING = """
import numpy as np
from monai.transforms import Compose, Lambdad, Resized, ScaleIntensityRanged, Spacingd
made = Compose([
    ScaleIntensityRanged("image", -160, 240, 0, 1, clip=True),
    Spacingd(["image", "label"], (1.5, 1.5, -1), mode=("bilinear", "nearest")),
    Resized(["image", "label"], (64, 64, -1), mode=["trilinear", "nearest"], allow_missing_keys=True),
    Lambdad("image", np.log1p),
])
"""


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Window:
    """A transform with settings, some of them in slots."""

    __slots__ = ("__dict__", "high")

    def __init__(self, low, high):
        self.low, self.high = low, high

    def apply(self, data):
        return data

    @classmethod
    def make(cls):
        return cls(0, 1)


class OtherWindow(Window):
    pass


def function_a(x):
    return x


def function_b(x):
    return x


@pytest.mark.parametrize(
    "made",
    ["made = {'levels': {'a', 'b', 'c'}}", pytest.param(PREPROCESSING, marks=pytest.mark.nightly)],
    ids=["a set", "transforms"],
)
def test_equal_in_another_process(made):
    scope: dict = {}
    exec(made, scope)
    code = made + (
        "\nfrom pathlib import Path\nfrom monai_al.data import fingerprint\n"
        "path = Path('a') / 'b'; hash(path)\n"
        "print(fingerprint(made)); print(fingerprint({'b': {'x', 'y', 'z'}, 'a': (1, 2.5), 'p': path}))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "99"}
    other = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    here = [fingerprint(scope["made"]), fingerprint({"a": (1, 2.5), "b": {"z", "y", "x"}, "p": Path("a/b")})]
    assert other.stdout.split() == here


def transforms():
    yield ScaleIntensityRanged("image", -160, 240, 0, 1)
    yield ScaleIntensityRanged("image", -160, 241, 0, 1)
    yield ScaleIntensityRanged("image", -160, 240, 0, 1, clip=True)
    yield ScaleIntensityRanged("label", -160, 240, 0, 1)
    yield Resized(["image"], (64, 64, -1), mode="trilinear")
    yield Resized(["image"], (64, 64, -1), mode="nearest")
    yield Resized(["image"], (64, 65, -1), mode="trilinear")
    yield Spacingd(["image"], (1, 1, -1))
    yield Spacingd(["image"], (1, 1, -1), align_corners=True)
    yield Lambdad("image", np.log1p)
    yield Lambdad("image", np.exp)
    yield Lambdad("image", torch.log)
    yield Lambdad("image", function_a)
    yield Lambdad("image", function_b)
    yield Lambdad("image", functools.partial(np.clip, a_min=0, a_max=1))
    yield Lambdad("image", functools.partial(np.clip, a_min=0, a_max=2))
    yield Compose([])
    yield Compose([Resized(["image"], (64, 64, -1)), Lambdad("image", np.exp)])
    yield Compose([Lambdad("image", np.exp), Resized(["image"], (64, 64, -1))])


def values():
    yield from (
        None,
        True,
        1,
        1.0,
        "1",
        b"1",
        1 + 2j,
        2 + 2j,
        slice(1),
        slice(2),
        range(3),
        range(4),
        [],
        (),
        {},
        [1],
        (1,),
    )
    yield from ([1, 2], [2, 1], [[1], 2], {"a": 1}, {"a": 2}, {"b": 1}, {1, 2}, {1, 3}, Colour.RED, Colour.BLUE)
    yield from (np.arange(3), np.arange(4), np.arange(3.0), np.arange(3)[None], np.array(["a", None], dtype=object))
    yield from (
        np.array(["b", None], dtype=object),
        torch.zeros(2),
        torch.ones(2),
        torch.ones(2, requires_grad=True) + 1,
    )
    yield from (
        np.float32,
        np.float64,
        torch.float32,
        torch.device("cpu"),
        np.dtype("int8"),
        Decimal("1"),
        Decimal("2"),
    )
    yield from (Path("a"), Path("b"), re.compile("a"), re.compile("b"), len, sum, np.log, np.exp, torch.log, torch.exp)
    yield from (
        function_a,
        function_b,
        Window,
        OtherWindow,
        Window(0, 1),
        Window(0, 2),
        Window(1, 2),
        OtherWindow(0, 1),
    )
    yield from (Window(0, 1).apply, Window(0, 2).apply, Window.make, OtherWindow.make, "a".join, "b".join)
    yield from (functools.partial(function_a, 1), functools.partial(function_a, 2), functools.partial(function_b, 1))
    yield from (operator.itemgetter(1), operator.itemgetter(2), operator, re)


@pytest.mark.parametrize("make", [transforms, values])
def test_different_settings_differ_and_equal_ones_agree(make):
    first, second = ([fingerprint(value) for value in make()] for _ in range(2))
    assert first == second
    assert len(set(first)) == len(first)


@settings(deadline=None, max_examples=20)
@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
            max_leaves=6,
        ),
        min_size=2,
        max_size=6,
    )
)
def test_nested_values_agree_exactly_where_their_types_and_values_do(nested):
    def same(a, b):
        if type(a) is not type(b):
            return False
        if isinstance(a, (list, tuple)):
            return len(a) == len(b) and all(map(same, a, b))
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
        return repr(a) == repr(b)

    for a in nested:
        for b in nested:
            assert (fingerprint(a) == fingerprint(b)) is same(a, b)


def test_states_of_random_generators_do_not_count():
    first, second = Compose([Resized("image", (2, 2, -1))]), Compose([Resized("image", (2, 2, -1))])
    first.set_random_state(1), second.set_random_state(2)
    assert fingerprint(first) == fingerprint(second)


def test_what_cannot_be_told_apart_is_refused():
    def local(x):
        return x

    for value in (lambda x: x, local, Lambdad("image", lambda x: x), {"a": [local]}, functools.partial(local)):
        with pytest.raises(TypeError, match="has no name of its own"):
            fingerprint(value)


def test_file_identity_and_content(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc")
    (tmp_path / "link.bin").symlink_to(path)
    before = file_identity(path)
    assert file_identity(str(tmp_path / "link.bin")) == before
    # SHA-256 of "abc", from FIPS 180
    assert content_hash(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    os.utime(path, ns=(0, 1))
    assert file_identity(path) != before
    path.write_bytes(b"abcd")
    assert content_hash(path) != content_hash_of(b"abc")
    assert content_hash(path) == content_hash_of(b"abcd")
    with pytest.raises(FileNotFoundError):
        file_identity(tmp_path / "none")


def content_hash_of(data):
    import hashlib

    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.mhd", "NDims = 3\n\nElementDataFile = a2.raw\n"),
        ("a.mhd", "NDims = 3\nElementDataFile: a2.raw\r\n"),
        ("a.mhd", "NDims = 3\nElementDataFile = LIST\na1.raw\na2.raw\n"),
        ("a.mhd", "NDims = 3\nElementDataFile = a%d.raw 1 2 1\n"),
        ("a.nrrd", "NRRD0004\ndata file: a2.raw\n"),
        ("a.nrrd", "NRRD0004\nDataFile: LIST\na1.raw\na2.raw\n"),
    ],
)
def test_the_voxel_files_of_a_header_count(tmp_path, name, text):
    header, voxels = tmp_path / name, tmp_path / "a2.raw"
    header.write_text(text)
    (tmp_path / "a1.raw").write_bytes(b"abcd")
    voxels.write_bytes(b"1234")
    identity, content = file_identity(header), content_hash(header)
    voxels.write_bytes(b"1235")
    os.utime(voxels, ns=(0, 1))
    assert file_identity(header) != identity
    assert content_hash(header) != content


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.mhd", "NDims = 3\nElementDataFile = LOCAL\n1234"),
        ("a.nrrd", "NRRD0004\nsizes: 4\n\ndata file: a.raw"),
        ("a.nrrd", "NRRD0004\ndata file: gone.raw\n"),
        ("a.mhd", "no header"),
    ],
)
def test_a_file_alone_counts_where_it_holds_its_voxels(tmp_path, name, text):
    (tmp_path / "a.raw").write_bytes(b"1234")
    (tmp_path / name).write_text(text)
    assert content_hash(tmp_path / name) == content_hash_of(text.encode())
