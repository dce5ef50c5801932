# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from monai_al.commands import main


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
        for folder in ("data", "da ta"):
            (tmp_path / folder).mkdir()
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
        assert problems == ["error: runs that failed: 2", "a, seed 0 ended", "b, seed 1 ended"]
        assert "runs to come" in told.out

    def test_failures_are_told_where_there_is_no_table(self, tmp_path, capsys, asked, monkeypatch):
        def no_table(*_):
            raise ValueError("random and entropy differ")

        monkeypatch.setattr("monai_al.comparison.comparison_table", no_table)
        command = ["compare", "--config", "selective_uncertainty_table3", "--output_dir", "out"]
        assert main(command) == 2
        end = "there is no table: random and entropy differ"
        assert capsys.readouterr().err.splitlines()[1:] == [f"error: {end}"]
        monkeypatch.setattr("monai_al.comparison.run_all", lambda *_, **__: ["a, seed 0 ended"])
        assert main(command) == 2
        problems = ["error: runs that failed: 1", "a, seed 0 ended", end]
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
        assert main(["compare", "--config", "selective_uncertainty_table3", "--output_dir", "out"]) == 130
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
