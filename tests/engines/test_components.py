# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Parts of the loop that are such parts, and others."""

from __future__ import annotations

import pytest

from monai_al.annotators import Oracle
from monai_al.bundle import BundleConfigError
from monai_al.engines.components import check_components
from monai_al.strategies import Random


class Handler:
    def attach(self, engine):
        pass


def test_what_is_a_part_of_the_loop():
    check_components(strategy=Random(), annotator=Oracle(), handlers=[Handler(), Handler()])


@pytest.mark.parametrize(
    ("option", "part", "told"),
    [
        ("strategy", {"measure": "entropy"}, "--strategy must be a strategy, with the method needs, got dict"),
        ("strategy", Random, "--strategy .*, got the class Random; in a config it has a _target_"),
        ("strategy", Oracle(), "--strategy .*, got Oracle"),
        ("annotator", Random(), "--annotator must be an annotator, with the method annotate, got Random"),
        ("handlers", [Handler(), 3], "--handlers must be a list of handlers, with the method attach, got int"),
        ("handlers", "mlflow", "--handlers .*, got str"),
    ],
)
def test_what_is_none(option, part, told):
    with pytest.raises(BundleConfigError, match=told):
        check_components(**{option: part})
