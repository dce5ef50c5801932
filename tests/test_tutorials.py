# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What every notebook has; ``make tutorials`` runs them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
OF_A_MACHINE = re.compile(r"(?<![\w.])/(tmp|home|root|work|Users)/")


def test_there_are_eight_in_order():
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{number:02}" for number in range(1, len(NOTEBOOKS) + 1)]
    assert len(NOTEBOOKS) >= 8


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_run_and_says_how_to_go_on(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    assert texts[0].startswith("# ")
    assert all(word in texts[0] for word in ("**You have**", "**You want**"))
    assert any(re.search(r"^## On (a real|real|your own)", text, re.MULTILINE) for text in texts)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))  # from top to bottom, once
    outputs = [output for cell in code for output in cell["outputs"]]
    assert all(output["output_type"] != "error" for output in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)
    printed = "".join("".join(output.get("text", ())) for output in outputs)
    assert "Traceback" not in printed
    assert not OF_A_MACHINE.search(printed)
