# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Who may read what a run writes is what the user's umask says, whatever the files are that it copies."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from monai_al.annotators import Annotator, Answer
from monai_al.cli import find_asset
from monai_al.engines import ActiveLearner
from monai_al.engines.run_report import write_report
from monai_al.records import Label
from monai_al.strategies import Uncertainty

TRAIN = find_asset("selective_uncertainty_spleen") / "configs" / "train.yaml"


class Returns(Annotator):
    """Hands over the data set's own files, which anyone may write to."""

    name = "returns"

    def annotate(self, query, pool, work=None):
        files = [pool[pool.index(id)].label for id in query.ids]
        for file in files:
            Path(file).chmod(0o666)  # also below umask 077
        return Answer(tuple(Label(id, where=file) for id, file in zip(query.ids, files, strict=True)))


@pytest.mark.parametrize("umask", [0o077, pytest.param(0o002, marks=pytest.mark.nightly)])
def test_a_run_its_report_and_its_cache_keep_to_the_umask(small, tmp_path, umask):
    overrides = small | {"cache_dir": str(tmp_path / "cache")}
    before = os.umask(umask)
    try:
        ActiveLearner(
            TRAIN, Uncertainty("entropy"), tmp_path / "run", annotator=Returns(), overrides=overrides, budget=2,
            rounds=2, progress=False,
        ).run()  # fmt: skip
        write_report(tmp_path / "run", items=1, volumes=1)
    finally:
        os.umask(before)
    written = [path for path in tmp_path.rglob("*") if not path.name.endswith("_label.nii.gz")]  # of the data set
    assert {path.suffix for path in written} >= {".json", ".csv", ".html", ".png", ".pt", ".npy", ".gz"}
    written += tmp_path.glob("run/round_*/answers/*/returned/*/*")
    assert "returned" in {path.parent.parent.name for path in written}
    modes = {path.relative_to(tmp_path).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in written}
    expected = {name: (0o777 if (tmp_path / name).is_dir() else 0o666) & ~umask for name in modes}
    assert modes == expected
