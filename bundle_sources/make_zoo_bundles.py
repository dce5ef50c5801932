# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Copies bundles into a folder, each with a trained network, as the Model Zoo wants them; for ``make zoo-bundles``.

A bundle's network is what its own ``train.yaml`` learns from the built-in phantom, on one CPU thread; its own
``evaluate.yaml`` scores it on the phantom's test part. The weights lie in ``models/model.pt`` of the copy, and
``large_files.yml`` tells their hash and where they are to be uploaded, because the zoo takes no weights. Nothing is
written into ``bundles``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

__all__ = ["copy_bundle", "large_files", "train_and_evaluate"]

BUNDLES = Path(__file__).resolve().parents[1] / "bundles"
WEIGHTS = Path("models", "model.pt")
URL = "https://example.org/{bundle}_v{version}/model.pt"
LARGE_FILES = """large_files:
  - path: "{path}"
    url: "{url}"
    hash_val: "{hash}"
    hash_type: "sha256"
"""


def main() -> None:
    """Make the bundles that are asked for, one after the other."""
    args = parse_args()
    for name in args.names:
        bundle, before = copy_bundle(name, args.out), os.times()
        dice = train_and_evaluate(bundle)
        text = large_files(bundle, args.url)
        (bundle / "large_files.yml").write_text(text, encoding="utf-8")
        seconds = os.times().children_user - before.children_user
        print(
            f"{bundle}: 3D Dice {dice:.3f} on the test part of its phantom, {seconds:.0f} s of one thread\n{text}",
            flush=True,
        )


def copy_bundle(name: str, out: Path) -> Path:
    """A fresh copy of a bundle, without what earlier trainings or checks left in it.

    Args:
        name: of the bundle.
        out: the folder that holds the copies.
    """
    left = ("models", "eval", "__pycache__", "large_files.yml")
    shutil.rmtree(out / name, ignore_errors=True)
    return Path(shutil.copytree(BUNDLES / name, out / name, ignore=shutil.ignore_patterns(*left)))


def train_and_evaluate(bundle: Path, more: Sequence[str] = ()) -> float:
    """Train a bundle's network on its phantom and write its weights into the bundle.

    Args:
        bundle: the bundle's folder.
        more: further options of ``train.yaml``, such as ``["--steps", "2"]``.

    Returns:
        The 3D Dice of the phantom's test part.
    """
    with tempfile.TemporaryDirectory() as work:
        places = ["--cache_dir", f"{work}/cache", "--device", "cpu", "--progress", "false"]
        _run(bundle, "train", "--output_dir", f"{work}/train", "--ckpt_dir", str(bundle / "models"), *places, *more)
        _run(bundle, "evaluate", "--output_dir", f"{work}/evaluation", *places)
        return json.loads(Path(work, "evaluation", "metrics.json").read_text(encoding="utf-8"))["dice_3d"]["mean"]


def large_files(bundle: Path, url: str = URL) -> str:
    """The text of ``large_files.yml`` for a bundle's weights.

    Args:
        bundle: the bundle's folder, with weights.
        url: where they are to be uploaded; ``{bundle}`` and ``{version}`` stand for the bundle's.
    """
    version = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))["version"]
    digest = hashlib.sha256((bundle / WEIGHTS).read_bytes()).hexdigest()
    place = url.replace("{bundle}", bundle.name).replace("{version}", version)
    return LARGE_FILES.format(path=WEIGHTS.as_posix(), url=place, hash=digest)


def _run(bundle: Path, config: str, *options: str) -> None:
    """MONAI's own command on one of the bundle's configs."""
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", f"{bundle}/configs/{config}.yaml"]
    subprocess.run([*command, *options], env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True)


def parse_args() -> argparse.Namespace:
    """What is asked for on the command line."""
    names = sorted(path.parents[1].name for path in BUNDLES.glob("*/configs/metadata.json"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the folder that the bundles are copied into")
    parser.add_argument("names", nargs="*", metavar="name", help="of a bundle; default: all")
    parser.add_argument(
        "--url", default=URL, help="of the uploaded weights; {bundle}, {version} stand for the bundle's"
    )
    args = parser.parse_args()
    args.out, args.names = args.out.expanduser().resolve(), args.names or names
    unknown = sorted(set(args.names) - set(names))
    if unknown:
        parser.error(f"there is no bundle {', '.join(unknown)}: the names are {', '.join(names)}")
    if args.out.is_relative_to(BUNDLES.parent / "bundles"):
        parser.error("the bundles are not copied into themselves: give a folder elsewhere")
    return args


if __name__ == "__main__":
    main()
