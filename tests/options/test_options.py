# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The declared options: complete, valid where they are used, and clear about what they do not take."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest
import yaml

from monai_al.bundle.option_checks import checked_options
from monai_al.options import OPTIONS, SECTIONS, Option

ROOT = Path(__file__).resolve().parents[2]
KINDS_OF_OVERLAYS = ("datasets", "strategies", "selectors", "annotators", "tracking", "encoders", "training")
CONFIGS = sorted(
    [
        *ROOT.glob("bundles/*/configs/*.yaml"),
        *(file for kind in KINDS_OF_OVERLAYS for file in ROOT.glob(f"configs/{kind}/*.yaml")),
    ]
)
# ids that a config needs and nobody sets: computed from others, or read by MONAI
NO_OPTIONS = {"_meta_", "bundle_root", "finalize", "imports", "initialize", "run"}


def config_of(file: Path) -> dict:
    return {id: value for id, value in (yaml.safe_load(file.read_text()) or {}).items() if id not in NO_OPTIONS}


def is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(is_plain(entry) for entry in value)
    return not isinstance(value, dict) and not (isinstance(value, str) and value[:1] in "$@%")


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_every_plain_id_of_our_configs_is_declared_and_has_a_valid_value(file):
    config = config_of(file)
    undeclared = [id for id, value in config.items() if is_plain(value) and id not in OPTIONS and "#" not in id]
    assert [id for id in undeclared if not id.startswith("+")] == []
    assert checked_options(config) == {}


@pytest.mark.parametrize("file", sorted([*ROOT.glob("bundles/*/configs/*"), *ROOT.glob("configs/*/*")]), ids=str)
def test_configs_are_ascii(file):
    """MONAI opens them in the encoding of the machine."""
    assert file.read_text(encoding="utf-8").isascii()


def test_every_option_stands_in_a_section_and_belongs_to_some_config():
    ids = set().union(*(config_of(file) for file in CONFIGS))
    assert {option.section for option in OPTIONS.values()} == set(SECTIONS)
    assert set(OPTIONS) - ids == set()


def option(kind: str, **limits) -> Option:
    return Option(**{"name": "x", "section": "loop", "kind": kind, "help": ""} | limits)


@pytest.mark.parametrize(
    ("declared", "value", "meant"),
    [
        (option("whole", low=1), 3, 3),
        (option("whole", low=1), "3", 3),
        (option("whole", low=1), 3.0, 3),
        (option("whole", low=1, optional=True), None, None),
        (option("whole", low=1), "$2 + 1", "$2 + 1"),
        (option("number"), "1e-4", 1e-4),
        (option("number", low=0), 0, 0),
        (option("flag"), "false", False),
        (option("flag"), True, True),
        (option("wholes", entries=(2, 3)), ["64", 32], [64, 32]),
        (option("wholes", entries=(2, 3)), ["$@a", 32], ["$@a", 32]),
        (option("names"), ["a"], ["a"]),
        (option("budget"), "0.1", 0.1),
        (option("budget"), [5, 10], [5, 10]),
        (option("config", choices=("top_k",)), "top_k", "top_k"),
        (option("config"), {"_target_": "a.b"}, {"_target_": "a.b"}),
    ],
)
def test_what_an_option_takes(declared, value, meant):
    found = declared.checked(value)
    assert found == meant
    assert type(found) is type(meant)


@pytest.mark.parametrize(
    ("declared", "value", "told"),
    [
        (option("whole", low=1), 0, "at least 1, got 0"),
        (option("whole", low=1), 1.5, "whole number"),
        (option("whole", low=1), True, "got true"),
        (option("whole", low=1), None, "got null"),
        (option("whole", low=1), [1], "whole number"),
        (option("whole", high=256), 100000, "at most 256"),
        (option("number", above=0), float("nan"), "got nan"),
        (option("number", above=0), "inf", "got 'inf'"),
        (option("number", above=0), 0, "above 0"),
        (option("number", below=1), 1, "below 1"),
        (option("number", above=0), "ten", "got 'ten'"),
        (option("flag"), "flase", "true or false"),
        (option("flag"), 2, "true or false"),
        (option("path"), 2024, "put it into quotes: '2024'"),
        (option("path"), "", "got ''"),
        (option("choice", choices=("last", "best")), "Best", "did you mean best?"),
        (option("choice", choices=("last", "best")), 3, "last or best"),
        (option("config", help="an overlay of configs/strategies"), "null", "a part of a config, got 'null'$"),
        (option("wholes", entries=(2, 3), low=8), 64, r"such as --x \"\[64,64\]\""),
        (option("wholes", entries=(2, 3), low=8), [64], "2 to 3"),
        (option("wholes", entries=(2, 3), low=8), [64, 0], "at least 8"),
        (option("wholes", entries=(2, 3), low=8), "[64,", "put a list into quotes"),
        (option("names"), "learning_loss", "a list of names"),
        (option("budget"), 0, "items per round"),
        (option("budget"), [], "items per round"),
        (option("budget"), [0.5, 1.5], "shares"),
        (option("config", choices=("top_k",)), "topk", "did you mean top_k?"),
        (option("config", help="an overlay of configs/strategies"), "entropy", "monai_al run NAME entropy"),
    ],
)
def test_what_an_option_refuses_and_says(declared, value, told):
    with pytest.raises(ValueError, match=rf"--x must be a?.*{told}"):
        declared.checked(value)


@pytest.mark.parametrize(
    ("declared", "text", "value"),
    [
        (option("path"), "2024", "2024"),
        (option("path"), "run #1", "run #1"),
        (option("path"), "$HOME", "$HOME"),
        (option("path", optional=True), "null", None),
        (option("number"), "1e-4", 1e-4),
        (option("wholes"), "[64, 64]", [64, 64]),
        (option("flag"), "no", False),
        (option("path"), "~/scans", os.path.expanduser("~/scans")),
        (option("wholes"), "64,64", [64, 64]),
        (option("wholes"), "(64, 64)", [64, 64]),
        (option("budget"), "[0.1,0.2]", [0.1, 0.2]),
        (option("whole"), "$@a", "$@a"),
        (option("whole"), "010", 10),
        (option("config"), "{a: 1, 'b#c': x}", {"a": 1, "b#c": "x"}),
    ],
)
def test_how_a_typed_value_is_read(declared, text, value):
    assert declared.typed(text) == value


def test_no_number_is_one_that_only_yaml_reads():
    with pytest.raises(ValueError, match="got '1:30'"):
        option("whole").typed("1:30")


def test_a_path_below_the_home_folder_is_written_out(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")  # the shell leaves --output_dir=~/runs as it is
    assert option("path").typed("~/runs") == option("path").checked("~/runs") == "/home/me/runs"


def test_a_choice_is_what_was_typed():
    with pytest.raises(ValueError, match="got 'no'"):
        option("choice", choices=("last", "best")).typed("no")


def test_the_page_of_options_is_what_the_table_says():
    page, text = runpy.run_path(str(ROOT / "bundle_sources" / "make_options_page.py"))["page_and_text"](ROOT)
    assert page.read_text(encoding="utf-8") == text, "run 'make bundles'"
