# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A run of a comparison as a process."""

from __future__ import annotations

import signal
import sys

import pytest

from monai_al.comparison import run_process
from monai_al.comparison.run_process import RunProcess


@pytest.mark.parametrize(("ignored", "code"), [((), -signal.SIGUSR2), (("SIGUSR2",), 0)])
def test_ignored_signals(tmp_path, ignored, code):
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable} -S\nimport os, signal\nos.kill(os.getpid(), signal.SIGUSR2)\n")
    python.chmod(0o755)
    process = RunProcess([], str(tmp_path / "told"), str(tmp_path / "run"), str(python), ignored=ignored)
    assert run_process.start(process).wait() == code


def test_other_systems_have_nothing_to_do_at_first(monkeypatch):
    monkeypatch.setattr(run_process.sys, "platform", "win32")
    assert run_process._at_first(()) is None
