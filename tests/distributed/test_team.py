# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""An error of this process is not taken for the end of another one."""

from __future__ import annotations

import pytest

from monai_al.distributed.team import _is_of_connection

GLOO = "[third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:5337"


def raised(*errors):
    """The outermost of errors of which each follows from the one before."""
    found = None
    for error in errors:
        error.__cause__ = found
        found = error
    return found


@pytest.mark.parametrize(
    ("error", "other_ended"),
    [
        (raised(RuntimeError(GLOO)), True),
        (raised(RuntimeError(GLOO), RuntimeError("Failed to evaluate ConfigExpression")), True),
        (raised(EOFError("Compressed file ended before the end-of-stream marker was reached")), False),
        (raised(EOFError("Compressed file ended"), RuntimeError("applying transform LoadImaged")), False),
        (raised(ValueError("training diverged")), False),
    ],
)
def test_only_a_connection_that_ended_is_one(error, other_ended):
    assert _is_of_connection(error) is other_ended
