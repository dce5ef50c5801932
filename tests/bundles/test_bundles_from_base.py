# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The committed bundles are what their base and their differences give."""

from __future__ import annotations

import doctest
import importlib.util
import json
import sys
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from monai_al.bundle import RunningBundle

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "bundle_sources"
NAMES = sorted(path.name for path in SOURCES.iterdir() if path.is_dir() and path.name[0] not in "._")

spec = importlib.util.spec_from_file_location("make_bundles", SOURCES / "make_bundles.py")
make_bundles = sys.modules["make_bundles"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_bundles)


def test_the_committed_files_are_what_the_base_gives():
    written = make_bundles.written_files(ROOT)
    assert {path.parts[-3] for path in written if path.parent.name == "configs"} == set(NAMES)
    other = [str(p.relative_to(ROOT)) for p, text in written.items() if not p.is_file() or p.read_text("utf-8") != text]
    assert not other, f"{', '.join(other)}: run 'make bundles' (bundle_sources/README.md says where to change what)"


def test_every_bundle_is_written_from_the_base():
    bundles = {path.name for path in (ROOT / "bundles").iterdir() if path.is_dir() and path.name[0] not in "._"}
    assert bundles - set(NAMES) == {"active_learning"}
    assert (ROOT / "bundles" / "active_learning" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize("name", ["active_learning", *NAMES])
def test_no_id_of_a_bundle_is_left_over(name):
    """As a misspelled key among the differences would be: nothing refers to it."""
    root = ROOT / "bundles" / name
    RunningBundle(root, ConfigParser.load_config_file(str(root / "configs" / "train.yaml"))).check_overrides()
    loops = [ROOT / "bundles" / one / "configs" / "active_learning.yaml" for one in (name, "active_learning")]
    own, base = (set(ConfigParser.load_config_file(str(loop))) for loop in loops)
    assert own == base


@pytest.mark.parametrize("file", sorted((ROOT / "bundles").glob("*/configs/pretrain.yaml")), ids=lambda f: f.parts[-3])
def test_an_encoder_is_trained_on_what_the_segmenter_is(file):
    own, training = (ConfigParser.load_config_file(str(file.with_name(name))) for name in (file.name, "train.yaml"))
    of_data = {"phantom", "datalist", "test_fraction", "validation_fraction", "split_seed", "image_size", "spacing"}
    for id in of_data | {
        "in_channels",
        "padding_value",
        "intensity",
        "grid",
        "longest_side",
        "preprocessing",
        "pool",
        "cache",
    }:
        assert own[id] == training[id], f"{id} of {file} and of train.yaml beside it"


def test_keys_are_replaced_where_they_stand_with_their_comments():
    base = "# head\na: 1 # one\n\n# why b\nb:\n  - x\n\n  # within b\n  - y\nc: 3 # three\n# the end\n"
    over = "c: 4 # four\nd: [5]\ne: 6\na: 2\n# why b is short\nb: z\n"
    expected = "# head\na: 2 # one\n# why b is short\nb: z\nc: 4 # four\nd: [5]\ne: 6\n"
    assert make_bundles.lay_over(base, over) == expected
    assert make_bundles.lay_over(base, "b: z\n") == base.replace("b:\n  - x\n\n  # within b\n  - y\n", "b: z\n")
    assert make_bundles.lay_over(base, "# other head\na: 1\n") == base.replace("# head", "# other head")
    assert make_bundles.lay_over(base, "") == base
    with pytest.raises(ValueError, match="mine: the base has no x; put it after the key that it is to follow"):
        make_bundles.lay_over(base, "x: 1\na: 2\n", "mine")


def test_a_difference_that_fits_no_config_is_refused(tmp_path):
    for name in ("bundles/active_learning/configs/train.yaml", "bundle_sources/mine/trian.yaml"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("a: 1\n")
    (tmp_path / "bundles" / "active_learning" / "LICENSE").write_text("")
    with pytest.raises(
        ValueError, match=r"trian.yaml: bundles/active_learning/configs holds no YAML or JSON file trian.yaml"
    ):
        make_bundles.written_files(tmp_path)


def test_metadata_is_a_merge_patch():
    base = {"a": {"b": 1, "c": 2}, "d": [1, 2], "e": 3}
    patch = {"a": {"c": None, "f": {"g": None, "h": 0}}, "d": [4]}
    assert make_bundles.patched(base, patch) == {"a": {"b": 1, "f": {"h": 0}}, "d": [4], "e": 3}
    assert json.dumps(make_bundles.patched(base, {})) == json.dumps(base)


def test_the_examples_run():
    assert doctest.testmod(make_bundles) == (0, 3)


def test_no_written_file_is_left_that_nothing_writes_any_more():
    files = [path for path in (ROOT / "bundles").glob("*/configs/*") if path.suffix in (".yaml", ".conf")]
    marked = {path for path in files if path.read_text(encoding="utf-8").startswith("# Written by 'make bundles'")}
    assert marked - set(make_bundles.written_files(ROOT)) == set()


@pytest.mark.parametrize("over", ["a: 1\na: 2\n", "- a\n", "# only a comment\n"])
def test_differences_without_keys_or_with_one_twice_are_refused(over):
    with pytest.raises(ValueError, match="train.yaml: should hold top-level keys, each once"):
        make_bundles.lay_over("a: 0\nb: 1\n", over, "train.yaml")


def test_a_key_may_hold_colons_and_a_file_may_end_without_a_line_break():
    assert make_bundles.lay_over("a: 1\ntrain::x: 1\nb: 2\n", "train::x: 3") == "a: 1\ntrain::x: 3\nb: 2\n"
    assert make_bundles.lay_over("a: 1\nb: 2\n", "a: 3") == "a: 3\nb: 2\n"
