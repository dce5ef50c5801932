# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
import os
import re
import shutil
import stat
import subprocess
import sys

import pytest

from monai_al.records.signature import config_folder, sign_run, why_unsigned


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "monai_al"


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text('{"config": {}}')
    return tmp_path / "run"


def test_own_runs_are_known_wherever_they_lie(home, run, tmp_path):
    assert why_unsigned(run) == "it has no run.sig"
    assert sign_run(run)
    assert why_unsigned(run) is None
    assert stat.S_IMODE((home / "key").stat().st_mode) == 0o600
    before = (home / "key").read_bytes(), (run / "run.sig").read_bytes()
    assert why_unsigned(shutil.copytree(run, tmp_path / "moved")) is None
    assert sign_run(run)
    assert ((home / "key").read_bytes(), (run / "run.sig").read_bytes()) == before


def test_what_is_not_known(home, run, tmp_path, monkeypatch):
    sign_run(run)
    (run / "run.json").write_text('{"config": {"a": "$print(1)"}}')
    assert "run.json has changed since" in why_unsigned(run)
    (run / "run.json").write_text('{"config": {}}')
    assert why_unsigned(run) is None
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "of another user"))
    assert "you have no key in" in why_unsigned(run)
    sign_run(shutil.copytree(run, tmp_path / "other"))
    assert "was written with another key" in why_unsigned(run)
    (run / "run.sig").write_bytes(b"\xff\n")
    assert "was written with another key" in why_unsigned(run)


def no_home(home):
    home.parent.write_text("a file")


def others_can_read(home):
    home.mkdir(parents=True)
    (home / "key").write_text("0" * 64)
    (home / "key").chmod(0o644)


def no_key(home):
    home.mkdir(parents=True)
    (home / "key").touch(mode=0o600)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (no_home, "Not a directory|File exists"),
        (others_can_read, "mode 644.*remove it"),
        (no_key, "is no key; remove it"),
    ],
)
def test_a_key_that_cannot_be_used_stops_no_run(home, run, caplog, prepare, message):
    prepare(home)
    with caplog.at_level(logging.WARNING):
        assert not sign_run(run)
    (record,) = caplog.records
    assert "is not signed" in record.message
    assert "\n" not in record.message
    caplog.clear()
    assert not (run / "run.sig").exists()
    (run / "run.sig").write_text("0" * 64)
    assert why_unsigned(run) is not None
    assert re.search(message, record.message)


def test_processes_that_make_the_key_at_once_agree(home, run, tmp_path):
    folders = [shutil.copytree(run, tmp_path / str(number)) for number in range(4)]
    code = "import sys; from monai_al.records.signature import sign_run; sys.exit(not sign_run(sys.argv[1]))"
    processes = [subprocess.Popen([sys.executable, "-c", code, str(folder)]) for folder in folders]
    assert [process.wait() for process in processes] == [0] * 4
    assert {why_unsigned(folder) for folder in folders} == {None}
    assert sorted(path.name for path in home.iterdir()) in (["key"], ["key", "key.lock"])


@pytest.mark.parametrize(
    ("given", "expected"), [("/c", "/c/monai_al"), ("relative", "/h/.config/monai_al"), ("", "/h/.config/monai_al")]
)
@pytest.mark.skipif(os.name != "posix", reason="paths of POSIX")
def test_where_settings_lie(monkeypatch, given, expected):
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.setenv("XDG_CONFIG_HOME", given)
    assert config_folder().as_posix() == expected
