# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from monai.bundle import ConfigParser

from monai_al.bundle import RunningBundle
from monai_al.cli import find_asset
from monai_al.comparison import Comparison, read_comparison
from monai_al.data import DataError
from monai_al.metrics import seeds_needed

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "bundles" / "selective_uncertainty_spleen"
SHIPPED = sorted((ROOT / "configs" / "comparisons").glob("*.yaml"))
RUNS = {"random": {"overlays": ["strategies/random"]}, "all of it": {"options": {"rounds": 1, "budget": 1.0}}}
CONTENT = {"bundle": "selective_uncertainty_spleen", "runs": RUNS}
PUBLISHED = {"source": "a paper", "columns": ["10 %", "20 %"], "rows": {"random": [0.5, 0.6]}}


def read(folder, content, name="mine.yaml"):
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_comparison(path, find_asset)


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mine.yaml", "mine.json"])
def test_every_field_is_read(tmp_path, name):
    content = {
        **CONTENT, "title": "Mine – with a dash", "overlays": ["datasets/lgg"],
        "options": {"strategy#regions": "target"}, "seeds": [7, 3], "everything": "all of it", "published": PUBLISHED,
    }  # fmt: skip
    comparison = read(tmp_path, content, name)
    assert comparison == Comparison(
        title="Mine – with a dash",
        bundle=str(BUNDLE / "configs" / "active_learning.yaml"),
        overlays=(str(ROOT / "configs" / "datasets" / "lgg.yaml"),),
        options={"strategy#regions": "target"},
        seeds=(7, 3),
        runs={
            "random": {"overlays": (str(ROOT / "configs" / "strategies" / "random.yaml"),), "options": {}},
            "all of it": {"overlays": (), "options": {"rounds": 1, "budget": 1.0}},
        },
        everything="all of it",
        published=PUBLISHED,
    )


def test_the_axis_is_read_and_checked(tmp_path):
    comparison = read(tmp_path, {**CONTENT, "axis": "cost_volumes", "log_axis": True})
    assert (comparison.axis, comparison.log_axis, comparison.is_over_cost) == ("cost_volumes", True, True)
    plain = read(tmp_path, CONTENT)
    assert (plain.axis, plain.log_axis, plain.is_over_cost) == ("labeled", False, False)
    for wrong, message in (
        ({"axis": "volumes"}, "axis must be one of labeled, cost, cost_slices, cost_area"),
        ({"log_axis": "log"}, "log_axis must be true or false, got 'log'"),
    ):
        with pytest.raises(DataError, match=message):
            read(tmp_path, {**CONTENT, **wrong})


def test_defaults(tmp_path):
    comparison = read(tmp_path, CONTENT)
    assert (comparison.title, comparison.seeds, comparison.everything, comparison.published) == (
        "mine", (0, 1, 2), None, None
    )  # fmt: skip


def test_what_is_compared_and_tested_is_read(tmp_path):
    runs = {"random": {}, "entropy": {}, "batches": {}}
    asked = {"metrics": ["dice_3d", "hd95_3d"], "summary": "aubc", "spread": "seeds", "baseline": "random"}
    comparison = read(tmp_path, {**CONTENT, "runs": runs, **asked, "against": {"batches": "entropy"}})
    assert comparison.metrics == ("dice_3d", "hd95_3d")
    assert (comparison.summary, comparison.spread, comparison.baseline) == ("aubc", "seeds", "random")
    assert comparison.tested == (("entropy", "random"), ("batches", "entropy"), ("batches", "random"))
    plain = read(tmp_path, CONTENT)
    assert (plain.metrics, plain.summary, plain.spread, plain.tested) == (("dice_3d",), None, "seeds", ())
    assert not plain.has_summary
    assert read(tmp_path, {**CONTENT, "spread": "all"}).has_summary


def test_configs_are_found_by_path_from_the_file_from_the_working_folder_and_by_name(tmp_path, monkeypatch):
    near, here = tmp_path / "near the file", tmp_path / "here"
    (near / "bundle" / "configs").mkdir(parents=True)
    here.mkdir()
    monkeypatch.chdir(here)
    loop, of_file, of_folder = near / "bundle" / "configs" / "active_learning.yaml", near / "a.yaml", here / "b.yaml"
    for path in (loop, of_file, of_folder, here / "a.yaml"):
        path.write_text("{}")
    (here / "selective_uncertainty_spleen").mkdir()  # no bundle
    overlays = ["a.yaml", "b.yaml", str(of_folder), "strategies/random"]
    comparison = read(near, {"bundle": "bundle", "overlays": overlays, "runs": {"a": {}}})
    assert comparison.bundle == str(loop)
    named = str(ROOT / "configs" / "strategies" / "random.yaml")
    assert comparison.overlays == (str(of_file), str(of_folder), str(of_folder), named)
    assert read(near, {"bundle": str(loop.parents[1]), "runs": {"a": {}}}).bundle == str(loop)
    assert read(near, {"bundle": "bundle/configs/active_learning.yaml", "runs": {"a": {}}}).bundle == str(loop)
    assert read(near, CONTENT).bundle == str(BUNDLE / "configs" / "active_learning.yaml")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sedes": [1]}, "unknown key 'sedes'; it holds against, axis, baseline, bundle, everything"),
        ({"title": 3}, "title must be text, got 3"),
        ({"bundle": ["a"]}, "bundle must be text"),
        ({"bundle": "selective_uncertainty_splen"}, "did you mean selective_uncertainty_spleen"),
        ({"bundle": "strategies"}, "'strategies' is no config"),
        ({"overlays": ["datasets/lgq"]}, "no bundle or config is called 'datasets/lgq'; did you mean datasets/lgg"),
        ({"overlays": ["strategies"]}, "'strategies' is no config"),
        ({"overlays": "datasets/lgg"}, "overlays of all runs must be a list of names or paths, got 'datasets/lgg'"),
        ({"options": [1]}, "options of all runs must be {id: value}"),
        ({"options": {"seed": 1}}, "'seed' is no option of all runs; seeds sets it"),
        ({"options": {"output_dir": "x"}}, "'output_dir' is no option of all runs; --output_dir sets it"),
        ({"seeds": [1, 2, 1]}, "seeds must be a list of different whole numbers, got [1, 2, 1]"),
        ({"seeds": []}, "seeds must be"),
        ({"seeds": 3}, "seeds must be"),
        ({"seeds": [True]}, "seeds must be"),
        ({"seeds": [1, 1.5]}, "seeds must be"),
        ({"seeds": [[1]]}, "seeds must be"),
        ({"everything": "full"}, "everything, 'full', is none of the runs"),
        ({"everything": ["random"]}, "everything, ['random'], is none of the runs"),
        ({"runs": {}}, "runs should hold"),
        ({"runs": ["random"]}, "runs should hold"),
        ({"runs": {"a": None}}, "run 'a' should hold"),
        ({"runs": {"a": {"strategy": "entropy"}}}, "run 'a' should hold {overlays: [...], options: {...}}, got"),
        ({"runs": {"a": {"overlays": [3]}}}, "overlays of run 'a' must be a list of names or paths"),
        ({"runs": {"a": {"overlays": ["strategies/entropi"]}}}, "did you mean strategies/entropy"),
        ({"runs": {"a": {"options": {"seed": 3}}}}, "'seed' is no option of run 'a'"),
        ({"runs": {"cache": {}}}, "'cache' cannot name a run"),
        ({"runs": {"../a": {}}}, "'../a' cannot name a run"),
        ({"runs": {"a/b": {}}}, "'a/b' cannot name a run"),
        ({"runs": {"a|b": {}}}, "'a|b' cannot name a run"),
        ({"runs": {"": {}}}, "'' cannot name a run"),
        ({"runs": {"a b": {}, "a_b": {}}}, "two runs differ only by a space and a _"),
        ({"metrics": []}, "metrics must be a list of different ones of dice_3d, dice_2d, hd95_3d, got []"),
        ({"metrics": ["dice"]}, "metrics must be"),
        ({"metrics": "dice_3d"}, "metrics must be"),
        ({"metrics": ["dice_3d", "dice_3d"]}, "metrics must be"),
        ({"metrics": [["dice_3d"]]}, "metrics must be"),
        ({"summary": "median"}, "summary must be one of mean, final, best, aubc, got 'median'"),
        ({"summary": ["mean"]}, "summary must be"),
        ({"spread": "rounds"}, "spread must be one of seeds, all, bootstrap, got 'rounds'"),
        ({"spread": "all", "summary": "final"}, "spread: all is that of all rounds, so summary must be mean, not 'fin"),
        ({"baseline": "entropy"}, "baseline, 'entropy', is none of the runs that can be tested: random, all of it"),
        ({"baseline": "all of it", "everything": "all of it"}, "baseline, 'all of it', is none of the runs"),
        ({"baseline": ["random"]}, "baseline, ['random'], is none of the runs"),
        ({"against": ["random"]}, "against should hold {run: the run it is tested against}, got ['random']"),
        ({"against": {"random": "entropy"}}, "against names 'entropy', which is none of the runs that can be tested"),
        ({"against": {"entropy": "random"}}, "against names 'entropy'"),
        ({"against": {"random": "all of it"}, "everything": "all of it"}, "against names 'all of it'"),
        ({"against": {"random": ["random"]}}, "against names ['random']"),
        ({"against": {"random": "random"}}, "against tests 'random' against itself"),
        ({"published": [1]}, "published should hold source, columns: [...] and rows"),
        ({"published": {"columns": [], "rows": {}}}, "published should hold source, columns: [...] and rows"),
        ({"published": {"source": "a", "columns": "ab", "rows": {}}}, "published should hold"),
        ({"published": {"source": "a", "columns": [], "rows": []}}, "published should hold"),
        ({"published": {**PUBLISHED, "rows": {"random": [0.5]}}}, "published row 'random' should hold 2 values"),
        ({"published": {**PUBLISHED, "rows": {"random": "ab"}}}, "published row 'random' should hold 2 values"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_by_name(tmp_path, changed, message):
    with pytest.raises(DataError) as refused:
        read(tmp_path, {**CONTENT, **changed})
    assert str(refused.value).startswith(f"{tmp_path / 'mine.yaml'}: ")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "should hold against, axis, baseline, bundle"),
        ("[1]", "should hold against, axis, baseline, bundle"),
        ("runs: {a: {}}", "no 'bundle'"),
        ("bundle: a", "no 'runs'"),
        ("runs: {a: ", "cannot be read"),
        ("{bundle: a, runs: {1: {}}}", "1 cannot name a run"),
        ("{bundle: a, runs: {a: {options: {day: 2026-01-01}}}}", "options of run 'a' hold what JSON does not know"),
        ("{bundle: a, options: {share: .nan}, runs: {a: {}}}", "options of all runs hold what JSON does not know"),
    ],
)
def test_text_that_cannot_be_used_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match="mine.yaml: ") as refused:
        read(tmp_path, text)
    assert message in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.yaml: no such comparison; 'where' lists"):
        read_comparison(tmp_path / "gone.yaml", find_asset)


def test_the_example_in_the_docs_can_be_read(tmp_path):
    (tmp_path / "my_strategy.yaml").write_text("{}")
    page = (ROOT / "docs" / "comparisons.md").read_text(encoding="utf-8")
    comparison = read(tmp_path, page.split("```yaml\n")[1].split("```")[0])
    assert list(comparison.runs) == ["random", "entropy", "mine", "everything"]
    assert comparison.everything == "everything"
    asked = yaml.safe_load(page.split("```yaml\n")[2].split("```")[0])
    runs = {"random": {}, "entropy": {}, "entropy_batches": {}}
    assert len(read(tmp_path, {**CONTENT, "runs": runs, **asked}).tested) == 3
    table = [line for line in page.splitlines() if line.startswith(("| tests of a metric", "| seeds, at least"))]
    tests, needed = ([int(cell) for cell in line.split("|")[2:-1]] for line in table)
    assert list(map(seeds_needed, tests)) == needed


# -- what is planned ---------------------------------------------------------------------------------------------------


def test_planned_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    comparison = Comparison(
        title="a", bundle="al.yaml", overlays=("o.yaml",), options={"steps": 5, "rounds": 4}, seeds=(3, 1),
        runs={"one two": {"overlays": ("p.yaml",), "options": {"rounds": 1, "cache_dir": "c"}}, "b": {}},
    )  # fmt: skip
    planned = comparison.planned("out")
    assert [(run.name, run.seed) for run in planned] == [("one two", 3), ("b", 3), ("one two", 1), ("b", 1)]
    assert [run.folder.relative_to(tmp_path / "out").as_posix() for run in planned] == [
        "one_two/seed_3", "b/seed_3", "one_two/seed_1", "b/seed_1"
    ]  # fmt: skip
    assert planned[0].config_files == ("al.yaml", "o.yaml", "p.yaml")
    assert planned[1].config_files == ("al.yaml", "o.yaml")
    assert planned[0].options == {"cache_dir": "c", "steps": 5, "rounds": 1, "seed": 3}
    assert planned[3].options == {"cache_dir": str(tmp_path / "out" / "cache"), "steps": 5, "rounds": 4, "seed": 1}


# -- the comparisons that are installed --------------------------------------------------------------------------------


def test_seeds_that_have_runs_are_found(tmp_path):
    comparison = Comparison("a", "al.yaml", runs={"a b": {}, "c": {}}, seeds=(4, 2))
    assert comparison.with_seeds_of(tmp_path / "none").seeds == (2, 4)
    for name in ("a_b/seed_7", "c/seed_-1", "c/seed_2", "d/seed_8", "c/seed_x", "c/seed_9_old"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").write_text("{}")
    (tmp_path / "c" / "seed_5").mkdir()  # not begun
    found = comparison.with_seeds_of(tmp_path)
    assert found.seeds == (-1, 2, 4, 7)
    assert (found.runs, comparison.seeds) == (comparison.runs, (4, 2))


def test_there_are_comparisons():
    assert len(SHIPPED) >= 3


def check(run, more):
    """The loop's own check of the options and overlays of a run."""
    merged = ConfigParser.load_config_files(list(run.config_files)) | dict(run.options) | more
    assert all("#" not in id for id in merged if id not in run.options)
    bundle = RunningBundle(Path(run.config_files[0]).parents[1], merged)
    overlays = merged.get("train_overlays", [])
    encoder = [merged["encoder"], *merged["encoder_overlays"]] if merged["encoder"] else []
    bundle.check_overrides(
        "train.yaml", overlays, merged.get("train_map"), defaults="active_learning.yaml", encoder=encoder
    )


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
class TestShipped:
    def test_every_run_names_only_ids_that_are_read(self, path, tmp_path):
        comparison = read_comparison(path, find_asset)
        planned = [run for run in comparison.planned(tmp_path) if run.seed == comparison.seeds[0]]
        assert len(planned) == len(comparison.runs)
        given = {"output_dir": "out", "progress": False, "dataset_dir": "d"}
        for run in planned:
            options = tmp_path / "options.json"
            options.write_text(json.dumps({**run.options, **given}))
            check(replace(run, config_files=(*run.config_files, str(options)), options={}), {})

    def test_an_unknown_option_would_be_found(self, path, tmp_path):
        (run, *_) = read_comparison(path, find_asset).planned(tmp_path)
        with pytest.raises(ValueError, match="--stepz"):
            check(replace(run, options={}), {"stepz": 1})

    def test_all_strategies_have_the_same_rounds_and_everything_is_on_everything(self, path):
        comparison = read_comparison(path, find_asset)
        for name, own in comparison.runs.items():
            options = {**comparison.options, **own["options"]}
            if name == comparison.everything:
                assert (options["rounds"], options["budget"]) == (1, 1.0)
            else:
                assert not ({"rounds"} if comparison.is_over_cost else {"rounds", "budget"}) & set(own["options"])
                assert not isinstance(options["budget"], list) or options["rounds"] == len(options["budget"])

    def test_the_published_table_stands_beside_ours(self, path):
        comparison = read_comparison(path, find_asset)
        if comparison.published is None or comparison.published["columns"][-2:] != ["best", "labels"]:
            pytest.skip("no published table of all rounds")
        rows, columns = comparison.published["rows"], comparison.published["columns"]
        assert list(rows) == [name for name in comparison.runs if name != comparison.everything]
        assert len(columns) == comparison.options["rounds"] + 2
        for *dice, labels in rows.values():
            assert len(dice) == len(columns) - 1
            assert all(0 < float(value) < 1 for value in dice)
            assert labels == "–" or labels > 0

    def test_overlays_and_options_stand_in_the_file_as_users_write_them(self, path):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for own in (content, *content["runs"].values()):
            assert all(find_asset(name).suffix == ".yaml" for name in own.get("overlays", ()))
