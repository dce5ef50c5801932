# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle run by itself, as MONAI runs it, and as an active learner: how each ended."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from real_images import RealImages
from zoo_bundles import BUNDLES, ZooBundle

ALONE, REPAIRED, ACTIVE = "alone", "repaired", "active"
STEPS = (ALONE, REPAIRED, ACTIVE)
N_LAST = 12  # lines of its end that are kept of a command that fails
ROUNDS, BUDGET = 2, 2
_RAISED = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Warning)\b(?::|$)")
_OWN_DICE = re.compile(r" Metrics -- .*?\bval_(?:mean_)?dice: ([\d.]+)")
_REFUSED = re.compile(r"^error: ")


@dataclass(frozen=True)
class Setting:
    """What all tries share.

    Args:
        zoo: the folder of the Model Zoo; nothing is written into it.
        images: where data are made from.
        work: the folder for copies, data, runs and logs.
        extra: a folder of further packages, or None.
        limit: seconds for one command.
        epochs: of each training.
    """

    zoo: Path
    images: RealImages
    work: Path
    extra: Path | None = None
    limit: float = 300
    epochs: int = 1


def tried(name: str, step: str, setting: Setting) -> dict[str, Any]:
    """Copy a bundle, make its data, run it; what came out, as JSON holds it.

    It runs by itself with its options, by itself with its repairs, too, or as an active learner with both.
    """
    bundle = BUNDLES[name]
    options = {**bundle.options, **({} if step == ALONE else bundle.repairs)}
    line: dict[str, Any] = {"bundle": name, "step": step, "version": version(setting.zoo / "models" / name)}
    if bundle.config is None:
        return line | {"ok": False, "reason": "it has no training config"}
    place = setting.work / name / step
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(setting.zoo / "models" / name, place / "bundle")
    (place / "data").mkdir()
    if bundle.make is not None:
        bundle.make(setting.images, place / "bundle", place / "data")
    command = (active_command if step == ACTIVE else monai_command)(bundle, place, options, setting.epochs)
    start = time.monotonic()
    status, lines = run(command, place, setting)
    line |= {"seconds": round(time.monotonic() - start), "status": status, "options": options}
    if step == ACTIVE:
        line |= {"dice": dice(place / "run"), "own_dice": own_dice(lines)}
    ok = status == 0 and (step != ACTIVE or len(line["dice"]) == ROUNDS)
    return line | (
        {"ok": True} if ok else {"ok": False, "reason": without(place, reason(lines)), "last": lines[-N_LAST:]}
    )


def monai_command(bundle: ZooBundle, place: Path, own: Mapping[str, Any], epochs: int) -> list[str]:
    """As the bundles' own pages say; the bundle's folder is the working folder."""
    config = f"configs/{bundle.config}"
    entry = ["run_workflow", bundle.workflow] if bundle.workflow else ["run", run_id(place / "bundle" / config)]
    options = {bundle.data_option: data_of(bundle, place), bundle.epochs: epochs, **own}
    words = ["--config_file", config, "--bundle_root", str(place / "bundle")]
    return [sys.executable, "-m", "monai.bundle", *entry, *words, *typed(options)]


def active_command(bundle: ZooBundle, place: Path, own: Mapping[str, Any], epochs: int) -> list[str]:
    """The bundle's config as it is."""
    options = {
        "training_config": str(place / "bundle" / "configs" / str(bundle.config)),
        bundle.data_option: data_of(bundle, place), "output_dir": str(place / "run"), "rounds": ROUNDS,
        "budget": BUDGET, "epochs": epochs, "threads": 1, "progress": False, **own,
    }  # fmt: skip
    return [sys.executable, "-m", "monai_al", "run", "active_learning", *typed(options)]


def data_of(bundle: ZooBundle, place: Path) -> str:
    return f"{place / 'data'}{bundle.data_end}"


def typed(options: Mapping[str, Any]) -> list[str]:
    """The options as they stand on a command line."""
    return [word for id, value in options.items() for word in (f"--{id}", str(value))]


def run_id(config: Path) -> str:
    """``run``, or ``training`` in configs of the first releases that had bundles."""
    ids = yaml.safe_load(config.read_text(encoding="utf-8"))  # JSON is YAML, too
    return "training" if "training" in ids and "run" not in ids else "run"


def run(command: Sequence[str], place: Path, setting: Setting) -> tuple[int | None, list[str]]:
    """Exit status, None where time ran out, and the lines of both outputs, which are kept in a file, too."""
    paths = [str(setting.extra)] if setting.extra else []
    paths += [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    log = place / "log.txt"
    status: int | None = None
    with log.open("w", encoding="utf-8") as file:
        file.write(" ".join(map(repr, command)) + "\n")
        file.flush()
        try:
            status = subprocess.run(
                command, cwd=place / "bundle", env=environment, stdin=subprocess.DEVNULL, stdout=file,
                stderr=subprocess.STDOUT, timeout=setting.limit, check=False,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            file.write(f"error: stopped after {setting.limit:g} s\n")
    lines = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
    return status, [line.rstrip() for line in lines[1:] if line.strip()]


def reason(lines: Sequence[str]) -> str:
    """Why a command ended: the last message of its own, else the first error of the last chain of them.

    An error of an expression is told by what raised it first, not by what MONAI made of it.
    """
    refusals = [number for number, line in enumerate(lines) if _REFUSED.match(line)]
    if refusals:
        return " ".join(line.strip() for line in lines[refusals[-1] :]).removeprefix("error: ")
    raised = [line for line in lines if _RAISED.match(line) and "Warning" not in line.split(":")[0]]
    return raised[0] if raised else lines[-1] if lines else "it said nothing"


def without(place: Path, text: str) -> str:
    """A text with the paths below a folder as they are there."""
    return text.replace(f"{place}{os.sep}", "")


def dice(folder: Path) -> list[float | None]:
    """The mean Dice of each round that was evaluated."""
    files = sorted(folder.glob("round_*/metrics.json"))
    return [json.loads(file.read_text(encoding="utf-8"))["dice_3d"]["mean"] for file in files]


def own_dice(lines: Sequence[str]) -> list[float]:
    """The mean Dice of each of the bundle's own validations, on the grid that its network sees."""
    return [float(found[1]) for line in lines if (found := _OWN_DICE.search(line))]


def version(folder: Path) -> str:
    return json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8"))["version"]
