# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import json
import re
import threading
import time
from pathlib import Path

import pytest
from ignite.engine import Engine
from monai.bundle import ConfigParser
from monai.bundle import run as run_bundle

from monai_al.handlers import LateSummaryWriter, learning_curve_values

ROOT = Path(__file__).resolve().parents[2]
TRACKING = ROOT / "configs" / "tracking"
LEARNING = ROOT / "bundles" / "selective_uncertainty_spleen" / "configs" / "active_learning.yaml"


def metrics(labeled: int, dice: float | None) -> dict:
    score = {"mean": dice, "per_class": {"liver": dice, "core (wet)": 0.25}, "per_volume": {"a": {"liver": dice}}}
    return {
        "labeled": labeled,
        "fraction": labeled / 100,
        "cost": {"total": labeled * 1.0, "items": labeled},
        "dice_3d": score,
        "dice_2d": {"mean": None, "per_class": {}, "per_volume": {}},
        "hd95_3d": {"mean": 3, "per_class": {"liver": None}, "per_volume": {}, "penalties": 2},
        "counts": {"volumes": 3},
        "model": "last",
    }


ROUNDS = [metrics(8, None), metrics(16, 0.5), metrics(24, 0.75)]


def start(handlers, rounds) -> Engine:
    """An engine whose iterations are rounds; a round that is an error breaks down."""

    def one(engine: Engine, result):
        if isinstance(result, Exception):
            raise result
        return result

    learner = Engine(one)
    for handler in handlers:
        handler.attach(learner)
    learner.run(rounds, max_epochs=1)
    return learner


def handlers_of(output_dir: Path, *overlays: str) -> list:
    base = {"imports": [], "handlers": [], "output_dir": str(output_dir), "seed": 3, "members": 1}
    base |= {"strategy": {"_target_": "monai_al.strategies.Random"}}
    file = output_dir.parent / "learning.json"
    file.write_text(json.dumps(base))
    parser = ConfigParser()
    parser.read_config([str(file), *(str(TRACKING / overlay) for overlay in overlays)])
    return parser.get_parsed_content("handlers")


def test_values_of_a_round():
    assert learning_curve_values(ROUNDS[0]) == {
        "labeled": 8,
        "fraction": 0.08,
        "cost": 8,
        "dice_3d_core _wet_": 0.25,
        "hd95_3d": 3,
    }
    assert set(learning_curve_values(ROUNDS[1])) - set(learning_curve_values(ROUNDS[0])) == {"dice_3d", "dice_3d_liver"}
    assert learning_curve_values({}) == {}
    for name, value in learning_curve_values(ROUNDS[2]).items():
        assert type(value) is float
        assert re.fullmatch(r"[/\w.\- :]*", name), "MLflow refuses it"


def points(folder: Path, name: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder)).Reload()
    return [(event.step, event.value) for event in found.Scalars(name)]


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    folder = tmp_path / "tensorboard" / "run"
    threads = threading.active_count()
    handlers = handlers_of(tmp_path / "run", "tensorboard.yaml")
    assert not folder.exists()
    start(handlers, [*ROUNDS[:2], {}])
    assert points(folder, "dice_3d") == [(16, 0.5)]
    assert points(folder, "labeled") == [(8, 8), (16, 16)]
    assert threading.active_count() == threads

    handlers_of(tmp_path / "run", "tensorboard.yaml")  # a start that is refused
    with pytest.raises(RuntimeError):
        start(handlers_of(tmp_path / "run", "tensorboard.yaml"), [ROUNDS[0], RuntimeError()])
    start(handlers_of(tmp_path / "run", "tensorboard.yaml"), ROUNDS)
    assert points(folder, "dice_3d") == [(16, 0.5), (24, 0.75)]
    assert points(folder, "hd95_3d") == [(8, 3), (16, 3), (24, 3)]


def test_tensorboard_of_one_learner_that_runs_twice(tmp_path):
    pytest.importorskip("tensorboard")
    handlers = handlers_of(tmp_path / "run", "tensorboard.yaml")
    learner = start(handlers, ROUNDS[:2])
    time.sleep(1 - time.time() % 1)  # TensorBoard sorts its files by seconds, then by a number as text, 10 before 9
    learner.run(ROUNDS, max_epochs=1)
    assert points(tmp_path / "tensorboard" / "run", "labeled") == [(8, 8), (16, 16), (24, 24)]


def test_without_tensorboard(monkeypatch):
    monkeypatch.setattr("monai_al.handlers.learning_curve.optional_import", lambda *args, **kwargs: (None, False))
    with pytest.raises(ImportError, match="pip install tensorboard"):
        LateSummaryWriter("nowhere")


def test_tensorboard_of_a_whole_run(tmp_path):
    pytest.importorskip("tensorboard")
    small = {"steps": 1, "image_size": [32, 32], "channels": [4, 8], "budget": 2, "rounds": 2, "progress": False}
    small |= {"phantom": {"patients": 3, "shape": [32, 32, 6]}, "cache_dir": str(tmp_path / "cache")}
    files = [str(LEARNING), str(TRACKING / "tensorboard.yaml")]
    for _ in range(2):
        run_bundle(config_file=files, logging_file=False, output_dir=str(tmp_path / "runs" / "a"), **small)
        with open(tmp_path / "runs" / "a" / "curve.csv", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [row["labeled"] for row in rows] == ["2", "4"]
        for name in ("labeled", "fraction", "cost", "dice_3d"):
            expected = [(int(row["labeled"]), pytest.approx(float(row[name]))) for row in rows if row[name] != "–"]
            assert points(tmp_path / "runs" / "tensorboard" / "a", name) == expected
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"a", "tensorboard"}


def mlflow_runs(folder: Path) -> list[tuple[str, str, dict, dict]]:
    """Name, status, parameters, and ``{metric: [(step, value)]}`` of all runs, oldest first."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlruns.db'}")
    (experiment,) = (e for e in client.search_experiments() if e.name == "monai_al")
    found = []
    for run in reversed(client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])):
        history = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
        curves = {name: [(point.step, point.value) for point in curve] for name, curve in history.items()}
        found.append((run.info.run_name, run.info.status, run.data.params, curves))
    return found


@pytest.fixture
def mlflow(monkeypatch):
    for needed in ("mlflow", "sqlalchemy", "alembic"):
        pytest.importorskip(needed, reason=f"{needed} is not installed")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


@pytest.mark.nightly
@pytest.mark.usefixtures("mlflow")
def test_mlflow(tmp_path):
    threads = threading.active_count()
    out = tmp_path / "run"
    with pytest.raises(RuntimeError):
        start(handlers_of(out, "mlflow.yaml"), [ROUNDS[0], ROUNDS[1], RuntimeError()])
    ((name, status, params, curves),) = mlflow_runs(tmp_path)
    assert (name, status) == (str(out), "RUNNING")
    assert params.items() >= {"strategy": "random", "seed": "3", "members": "1"}.items()
    assert curves["dice_3d"] == [(16, 0.5)]

    start(handlers_of(tmp_path / "other", "mlflow.yaml"), [ROUNDS[0]])
    start(handlers_of(out, "mlflow.yaml"), [*ROUNDS, {}])
    first, other = mlflow_runs(tmp_path)
    assert first[:2] == (str(out), "FINISHED")
    assert first[3]["dice_3d"] == [(16, 0.5), (24, 0.75)]
    assert first[3]["labeled"] == [(8, 8), (16, 16), (24, 24)]
    assert set(first[3]) == set(learning_curve_values(ROUNDS[2]))
    assert other[0] == str(tmp_path / "other")
    assert other[3]["labeled"] == [(8, 8)]

    start(handlers_of(out, "mlflow.yaml"), ROUNDS)
    again = mlflow_runs(tmp_path)[-1]
    assert again[:2] == first[:2]
    assert again[3] == first[3]
    assert threading.active_count() == threads


@pytest.mark.usefixtures("mlflow")
def test_both_at_once(tmp_path):
    pytest.importorskip("tensorboard")
    start(handlers_of(tmp_path / "run", "mlflow.yaml", "tensorboard.yaml"), ROUNDS)
    (run,) = mlflow_runs(tmp_path)
    for name, curve in run[3].items():
        assert points(tmp_path / "tensorboard" / "run", name) == [(step, pytest.approx(value)) for step, value in curve]
