# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Where runs are done: what the command line says of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from monai_al.commands import main
from monai_al.comparison.on_ray import OnRay
from monai_al.comparison.on_slurm import OnSlurm


@pytest.mark.parametrize(("on", "package"), [(lambda: OnRay(), "ray"), (lambda: OnSlurm(Path("jobs")), "submitit")])
def test_a_package_that_is_missing_is_named(monkeypatch, on, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=rf"needs {package}, which is not installed: .*monai_al\[{package}\]"):
        on()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cpus", "2"], "--cpus and --gpus are for each run on a cluster: give --on ray or --on slurm"),
        (["--on", "slurm", "--cpus", "0"], "--cpus must be at least 1, got 0"),
        (["--address", "auto"], "--address is that of a Ray cluster: give --on ray"),
        (["--on", "ray", "--slurm", "partition=gpu"], "--slurm tells more of jobs of Slurm: give --on slurm"),
        (["--on", "slurm", "--slurm", "partition"], "--slurm partition: give NAME=VALUE"),
        (["--on", "slurm", "--gpus", "0.5"], "--gpus 0.5: Slurm gives whole GPUs"),
    ],
)
def test_options_that_do_not_go_together(capsys, tmp_path, options, message):
    out = tmp_path / "out"
    assert main(["compare", "--config", "selective_uncertainty_table3", "--output_dir", str(out), *options]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
