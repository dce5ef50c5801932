# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
import types

from monai_al.commands import main


class TestStatus:
    def test_prints_what_the_report_says(self, tmp_path, capsys, monkeypatch):
        module = types.ModuleType("monai_al.report.status")
        module.describe_run = lambda path: f"round 3 of 8 in {path.name}"
        monkeypatch.setitem(sys.modules, "monai_al.report.status", module)
        (tmp_path / "run").mkdir()
        assert main(["status", str(tmp_path / "run")]) == 0
        assert capsys.readouterr().out == "round 3 of 8 in run\n"

    def test_missing_folder(self, tmp_path, capsys):
        assert main(["status", str(tmp_path / "gone")]) == 2
        assert "gone: no such folder" in capsys.readouterr().err
