# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import argparse
import json
import subprocess
import sys
import types

import pytest

from monai_al.cli import asset_folders, asset_names, find_asset, main, print_where


@pytest.fixture
def assets(tmp_path):
    for name in ("bundles/sel_spleen/configs/train.yaml", "bundles/stochastic/x", "bundles/__pycache__/x"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("")
    for name in ("datasets/hippocampus.yaml", "strategies/entropy.yaml", "strategies/margin.json", "multi_gpu.yaml"):
        (tmp_path / "configs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "configs" / name).write_text("")
    (tmp_path / "configs/README.md").write_text("")
    return {kind: tmp_path / kind for kind in ("bundles", "configs")}


class TestWhere:
    @pytest.mark.parametrize(
        ("name", "path"),
        [
            ("sel_spleen", "bundles/sel_spleen"),
            ("bundles/sel_spleen", "bundles/sel_spleen"),
            ("sel_spleen/configs/train.yaml", "bundles/sel_spleen/configs/train.yaml"),
            ("sel_spleen/configs/train", "bundles/sel_spleen/configs/train.yaml"),
            ("datasets/hippocampus", "configs/datasets/hippocampus.yaml"),
            ("datasets/hippocampus.yaml", "configs/datasets/hippocampus.yaml"),
            ("configs/strategies/entropy", "configs/strategies/entropy.yaml"),
            ("strategies/margin", "configs/strategies/margin.json"),
            ("multi_gpu", "configs/multi_gpu.yaml"),
            ("strategies", "configs/strategies"),
        ],
    )
    def test_names(self, assets, tmp_path, capsys, name, path):
        print_where(argparse.Namespace(name=name), assets)
        assert capsys.readouterr().out == f"{tmp_path / path}\n"

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("strategies/entropi", "did you mean strategies/entropy"),
            ("entropy", "did you mean strategies/entropy"),
            ("sel_spleeen", "did you mean sel_spleen"),
            ("qqqqqq", "lists all there is"),
        ],
    )
    def test_unknown_names(self, assets, name, hint):
        with pytest.raises(ValueError, match=f"{name}.*{hint}"):
            find_asset(name, assets)

    @pytest.mark.parametrize("name", ["../secret", "datasets/../../secret", "/etc/hosts", "", "/"])
    def test_names_do_not_leave_the_folders(self, assets, tmp_path, name):
        (tmp_path / "secret").write_text("")
        with pytest.raises(ValueError, match="no bundle or config is called"):
            find_asset(name, assets)

    def test_list(self, assets, capsys):
        print_where(argparse.Namespace(name=None), assets)
        listed = "bundles:\n  sel_spleen\n  stochastic\n"
        listed += "configs:\n  datasets/hippocampus\n  multi_gpu\n  strategies/entropy\n  strategies/margin\n"
        assert capsys.readouterr().out == listed

    def test_nothing_installed(self):
        with pytest.raises(ValueError, match="install the package again"):
            find_asset("x", {})

    def test_everything_in_this_tree_is_found(self, capsys):
        folders = asset_folders()
        assert main(["where"]) == 0
        listed = capsys.readouterr().out
        for kind, folder in folders.items():
            assert f"{kind}:" in listed
            for name in asset_names(kind, folder):
                assert main(["where", name]) == 0
                assert capsys.readouterr().out.startswith(str(folder))

    def test_error_is_one_line(self, capsys):
        assert main(["where", "no such thing at all"]) == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.startswith("monai_al where: error: ")
        assert output.err.count("\n") == 1


class TestDatalist:
    command = ("datalist", "phantom", "--patients", "3", "--shape", "32", "32", "8")

    def test_summary_split_and_json(self, tmp_path, capsys):
        file = tmp_path / "pool.json"
        split = ("--test_fraction", "0.34", "--split_seed", "7", "--json", str(file))
        assert main([*self.command, "--dataset_dir", str(tmp_path), "--classes", "background", "spleen", *split]) == 0
        text = capsys.readouterr().out
        for fact in ("patients   3\n", "1 patients, 2 volumes, 16 items", "0 background, 1 spleen", "32 x 32 x 8"):
            assert fact in text
        content = json.loads(file.read_text())
        assert len(content["items"]) == 48 == content["summary"]["items"]
        assert {item["split"] for item in content["items"]} == {"train", "test"}
        assert content["label_values"] == {"0": 0, "1": 1}
        assert sorted(path.name for path in tmp_path.iterdir())[1:] == ["pool.json"]

    def test_no_read(self, tmp_path, capsys):
        assert main([*self.command, "--dataset_dir", str(tmp_path), "--item", "volume", "--no_read"]) == 0
        text = capsys.readouterr().out
        assert "items     6 " in text
        assert "voxels" not in text

    @pytest.mark.parametrize("name", ["hippocampus", "spleen", "decathlon", "lgg", "brats", "folder"])
    def test_missing_folder(self, tmp_path, capsys, name):
        assert main(["datalist", name, "--dataset_dir", str(tmp_path / "gone")]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"monai_al datalist: error: {tmp_path / 'gone'}: does not exist")
        assert error.count("\n") == 1

    def test_options_of_other_data_sets(self, tmp_path, capsys):
        assert main(["datalist", "lgg", "--dataset_dir", str(tmp_path), "--grade", "LGG", "--patients", "3"]) == 2
        assert "--grade, --patients: no option of lgg" in capsys.readouterr().err
        assert main(["datalist", "decathlon", "--dataset_dir", str(tmp_path), "--unlabeled"]) == 2
        assert "--unlabeled: no option of decathlon" in capsys.readouterr().err

    def test_options_reach_the_reader(self, tmp_path, capsys):
        assert main([*self.command, "--dataset_dir", str(tmp_path), "--no_read"]) == 0
        (root,) = tmp_path.iterdir()
        for label in root.rglob("*phase2_label.nii.gz"):
            label.unlink()
        read = ["datalist", "folder", "--dataset_dir", str(root), "--patient", "(patient\\d+)/", "--no_read"]
        assert main(read) == 2
        capsys.readouterr()
        assert main([*read, "--unlabeled"]) == 0
        assert "48 (24 with ground truth)" in capsys.readouterr().out
        assert main([*read, "--skip_incomplete"]) == 0
        assert "24 (24 with ground truth)" in capsys.readouterr().out

    def test_a_split_that_cannot_be(self, tmp_path, capsys):
        command = ["datalist", "phantom", "--dataset_dir", str(tmp_path), "--patients", "1", "--test_fraction", "0.5"]
        assert main(command) == 2
        assert "one patient cannot be split" in capsys.readouterr().err

    def test_unknown_data_set(self, tmp_path, capsys):
        with pytest.raises(SystemExit) as stop:
            main(["datalist", "mnist", "--dataset_dir", str(tmp_path)])
        assert stop.value.code == 2
        assert "mnist" in capsys.readouterr().err


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
        assert main(["report", str(tmp_path), "--items", "3", "--volumes", "0", "--dataset_dir", "/data"]) == 0
        assert asked == [
            (tmp_path, {"items": 8, "volumes": 4, "overrides": None}),
            (tmp_path, {"items": 3, "volumes": 0, "overrides": {"dataset_dir": "/data"}}),
        ]

    def test_missing_folder(self, tmp_path, capsys, asked):
        assert main(["report", str(tmp_path / "gone")]) == 2
        assert "gone: no such folder" in capsys.readouterr().err
        assert asked == []

    def test_folder_of_something_else(self, tmp_path, capsys):
        assert main(["report", str(tmp_path)]) == 2
        assert "holds no run.json" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [[], ["where"], ["datalist"], ["status"], ["report"]])
def test_help_has_examples(capsys, command):
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    assert f"python -m monai_al {command[0] if command else 'where'}" in capsys.readouterr().out


def test_a_command_is_needed(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2


def test_help_and_where_import_neither_torch_nor_monai():
    code = (
        "import sys; from monai_al.cli import main\n"
        "main(['where'])\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('loaded', sorted({'torch', 'monai', 'numpy', 'nibabel'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.endswith("loaded []\n")


def test_the_package_runs():
    done = subprocess.run([sys.executable, "-m", "monai_al", "--help"], check=True, capture_output=True, text=True)
    assert "python -m monai_al where" in done.stdout
