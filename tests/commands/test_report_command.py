# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
import types

import pytest

from monai_al.commands import main


class TestReport:
    @pytest.fixture
    def asked(self, monkeypatch):
        """What the command asks for."""
        calls = []
        module = types.ModuleType("monai_al.engines.run_report")
        module.write_report = lambda path, **options: calls.append((path, options)) or path / "report" / "index.html"
        monkeypatch.setitem(sys.modules, "monai_al.engines.run_report", module)
        return calls

    def test_hands_on_what_is_asked_and_prints_the_page(self, tmp_path, capsys, asked):
        assert main(["report", str(tmp_path)]) == 0
        assert capsys.readouterr().out == f"{tmp_path / 'report' / 'index.html'}\n"
        data = str(tmp_path)
        assert main(["report", data, "--items", "3", "--volumes", "0", "--dataset_dir", data, "--trust"]) == 0
        assert asked == [
            (tmp_path, {"items": 8, "volumes": 4, "overrides": None, "trust": False, "baseline": None, "minutes": 5}),
            (
                tmp_path,
                {
                    "items": 3,
                    "volumes": 0,
                    "overrides": {"dataset_dir": data},
                    "trust": True,
                    "baseline": None,
                    "minutes": 5,
                },
            ),
        ]

    def test_missing_folder(self, tmp_path, capsys, asked):
        assert main(["report", str(tmp_path / "gone")]) == 2
        assert "gone: no such folder" in capsys.readouterr().err
        assert asked == []

    def test_folder_of_something_else(self, tmp_path, capsys):
        assert main(["report", str(tmp_path)]) == 2
        assert "holds no run.json" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []
