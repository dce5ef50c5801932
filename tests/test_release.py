# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a release says of itself in several places is the same in all of them."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from monai_al import __version__

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
CONSTRAINTS = ("constraints.txt", "constraints-monailabel.txt")


@pytest.fixture(scope="module")
def setup():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


def requirements(text):
    return [Requirement(line) for line in text.strip().splitlines()]


def test_the_version_is_one():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    log = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\d+\.\d+\.\d+), (\d{4}-\d{2}-\d{2})$", log, re.MULTILINE)
    assert str(cited["version"]) == newest[1] == __version__
    assert str(cited["date-released"]) == newest[2]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_wheels_and_extras_that_a_page_names_are_there(page, setup):
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"monai_al-([\d.]+)-py3", text)) <= {__version__}
    named = re.findall(r"(?:\.whl|monai_al|\"\.)\[([a-z,-]+)\]", text)
    assert {extra for names in named for extra in names.split(",")} <= set(setup["options.extras_require"])


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_what_is_tested_together_is_what_is_asked_for(name, setup):
    lines = re.sub(r"^#.*\n", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    pins = {pin.name.lower(): str(pin.specifier) for pin in requirements(lines)}
    extras = ("monailabel",) if "monailabel" in name else ("faiss", "tensorboard", "mlflow", "napari", "docs", "dev")
    asked = [setup["options"]["install_requires"], *(setup["options.extras_require"][extra] for extra in extras)]
    wanted = [one for text in asked for one in requirements(text) if one.name.lower() in pins]
    assert len(wanted) > 10
    wrong = [str(one) for one in wanted if not one.specifier.contains(pins[one.name.lower()].removeprefix("=="))]
    assert wrong == []
