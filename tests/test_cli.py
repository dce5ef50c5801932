# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import argparse
import json
import subprocess
import sys
import types

import pytest

from monai_al.cli import DATASETS, asset_folders, asset_names, find_asset, main, print_where


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

    @pytest.mark.parametrize("name", sorted({*DATASETS} - {"phantom"}))
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


class TestCompare:
    @pytest.fixture
    def asked(self, tmp_path, monkeypatch):
        """What the command asks for; nothing is run."""
        calls = []
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("monai_al.comparison.run_all", lambda runs, **options: calls.append((runs, options)) or [])
        return calls

    @pytest.mark.parametrize("prefix", ["", "comparisons/", "configs/comparisons/"])
    @pytest.mark.parametrize("suffix", ["", ".yaml"])
    def test_an_installed_comparison_by_name(self, tmp_path, capsys, asked, prefix, suffix):
        name = f"{prefix}selective_uncertainty_table3{suffix}"
        assert main(["compare", "--config", name, "--output_dir", "out"]) == 0
        ((runs, options),) = asked
        assert options == {"workers": 1}
        assert {run.seed for run in runs} == {0, 1, 2}
        assert all(run.folder.is_relative_to(tmp_path / "out") for run in runs)
        assert "dataset_dir" not in runs[0].options
        assert capsys.readouterr().out == f"Hippocampus MR: nothing to show yet, runs to come: {len(runs)}\n"
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["selective_uncertainty_table3.md"]

    def test_own_file_seeds_workers_and_data_set(self, tmp_path, asked):
        (tmp_path / "my own.yaml").write_text("{bundle: selective_uncertainty_spleen, runs: {a: {}}, seeds: [9]}")
        command = ["compare", "--config", "my own.yaml", "--output_dir", "out"]
        assert main([*command, "--seeds", "3", "4", "3", "--workers", "2", "--dataset_dir", "data/../da ta"]) == 0
        ((runs, options),) = asked
        assert options == {"workers": 2}
        assert [(run.name, run.seed) for run in runs] == [("a", 3), ("a", 4)]
        assert runs[0].options["dataset_dir"] == str(tmp_path / "da ta")  # found from any folder

    def test_table_only_starts_nothing(self, tmp_path, capsys, asked):
        command = ["compare", "--config", "selective_uncertainty_table1", "--output_dir", "out", "--table_only"]
        assert main(command) == 2
        assert "out: no such folder" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "out").mkdir()
        assert main(command) == 0
        assert (tmp_path / "out" / "selective_uncertainty_table1.md").read_text() == capsys.readouterr().out
        assert asked == []

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"--workers": "0"}, "--workers must be at least 1, got 0"),
            ({"--config": "selective_uncertainty_table0"}, "selective_uncertainty_table0: no such comparison; 'where'"),
            ({"--config": "gone.yaml"}, "gone.yaml: no such comparison"),
            ({"--config": "strategies/entropy"}, "entropy.yaml: unknown key 'strategy'"),
        ],
    )
    def test_what_cannot_be(self, tmp_path, capsys, asked, changed, message):
        options = {"--config": "selective_uncertainty_table3", "--output_dir": "out", **changed}
        assert main(["compare", *(text for option in options.items() for text in option)]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
        assert asked == list(tmp_path.iterdir()) == []

    def test_failures_are_told_after_the_table(self, tmp_path, capsys, asked, monkeypatch):
        monkeypatch.setattr("monai_al.comparison.run_all", lambda *_, **__: ["a, seed 0 ended", "b, seed 1 ended"])
        assert main(["compare", "--config", "selective_uncertainty_table3", "--output_dir", "out"]) == 2
        told = capsys.readouterr()
        plan, *problems = told.err.splitlines()
        assert plan.startswith("Hippocampus MR: 0 of 36 runs done, ")
        assert problems == ["monai_al compare: error: runs that failed: 2", "a, seed 0 ended", "b, seed 1 ended"]
        assert "runs to come" in told.out

    def test_failures_are_told_where_there_is_no_table(self, tmp_path, capsys, asked, monkeypatch):
        def no_table(*_):
            raise ValueError("random and entropy differ")

        monkeypatch.setattr("monai_al.comparison.comparison_table", no_table)
        command = ["compare", "--config", "selective_uncertainty_table3", "--output_dir", "out"]
        assert main(command) == 2
        end = "there is no table: random and entropy differ"
        assert capsys.readouterr().err.splitlines()[1:] == [f"monai_al compare: error: {end}"]
        monkeypatch.setattr("monai_al.comparison.run_all", lambda *_, **__: ["a, seed 0 ended"])
        assert main(command) == 2
        problems = ["monai_al compare: error: runs that failed: 1", "a, seed 0 ended", end]
        assert capsys.readouterr().err.splitlines()[1:] == problems

    def test_the_table_holds_all_seeds_that_have_runs(self, tmp_path, capsys, asked):
        (tmp_path / "my own.yaml").write_text("{bundle: selective_uncertainty_spleen, runs: {a: {}}, seeds: [0, 1]}")
        for seed in (0, 1, 3, 4):
            round_path = tmp_path / "out" / "a" / f"seed_{seed}" / "round_00"
            round_path.mkdir(parents=True)
            (round_path.parent / "run.json").write_text('{"sizes": [4]}')
            metrics = {
                "labeled": 4,
                "fraction": 0.1,
                "cost": {"total": 1},
                "dice_3d": {"mean": seed / 10, "per_class": {}},
            }
            metrics |= {"dice_2d": {"mean": None}, "hd95_3d": {"mean": None}}
            (round_path / "metrics.json").write_text(json.dumps(metrics))
        command = ["compare", "--config", "my own.yaml", "--output_dir", "out"]
        for more in (["--seeds", "3", "4"], [], ["--table_only", "--seeds", "0"]):
            assert main([*command, *more]) == 0
            text = capsys.readouterr().out
            assert (tmp_path / "out" / "my own.md").read_text(encoding="utf-8") == text
            assert "Mean over 4 seeds" in text
            assert "0.200 [0.000, 0.400]" in text
        assert [[run.seed for run in runs] for runs, _ in asked] == [[3, 4], [0, 1]]

    def test_plan_starts_nothing_and_warns_of_too_few_seeds(self, tmp_path, capsys, asked):
        file = tmp_path / "my own.yaml"
        file.write_text("{bundle: selective_uncertainty_spleen, runs: {a: {}, b: {}}, seeds: [0, 1], baseline: a}")
        command = ["compare", "--config", "my own.yaml", "--output_dir", "out"]
        assert main([*command, "--plan"]) == 0
        told = capsys.readouterr()
        plan = "my own: 0 of 4 runs done, 0 begun, 4 to come; rounds left: 16. No estimate of the time yet: "
        assert told.out == f"{plan}no round is finished.\n"
        assert told.err.startswith("warning: With 2 seeds no difference can be significant")
        assert asked == []
        assert list(tmp_path.iterdir()) == [file]
        assert main([*command, "--seeds", *map(str, range(6))]) == 0
        assert "warning" not in capsys.readouterr().err
        with pytest.raises(SystemExit):
            main([*command, "--plan", "--table_only"])

    def test_a_stop_is_told_without_traceback(self, tmp_path, capsys, asked, monkeypatch):
        def stopped(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr("monai_al.comparison.run_all", stopped)
        with pytest.raises(SystemExit) as stop:
            main(["compare", "--config", "selective_uncertainty_table3", "--output_dir", "out"])
        assert stop.value.code == 130
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err.endswith("\nstopped, and all runs with it; the same command goes on where they stopped\n")

    def test_help(self, capsys):
        with pytest.raises(SystemExit) as stop:
            main(["compare", "--help"])
        assert stop.value.code == 0
        text = capsys.readouterr().out
        for option in ("--config", "--output_dir", "--dataset_dir", "--seeds", "--workers", "--plan", "--table_only"):
            assert f"  {option} " in text
        assert "python -m monai_al compare --config" in text
        assert "goes on where it was stopped" in text
