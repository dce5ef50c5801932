# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The Model Zoo's own checks on our bundles, as its continuous integration runs them.

``--zoo`` names a checkout of https://github.com/Project-MONAI/model-zoo. Its ``ci`` and its list of models are copied
into a temporary folder, each bundle into ``models`` beside them, and its scripts run there unchanged: they prepare
the schema, list the requirements, verify the bundle in full (files, version, metadata, shapes, TorchScript), and run
its unit tests if there are any. ``--bundles`` names what ``make zoo-bundles OUT=...`` made; left out, the networks
are trained first. With ``--schema``, a copy of the metadata's schema, nothing is downloaded. The exit status is 0 if
all bundles pass.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAKE = ROOT / "bundle_sources" / "make_zoo_bundles.py"
SCRIPTS = {  # of the zoo, and how the bundle is named to each
    "ci/prepare_schema.py": "--l",
    "ci/get_bundle_requirements.py": "--b",
    "ci/verify_bundle.py": "--b",
    "ci/unit_tests/runner.py": "--b",
}


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = args.bundles or made_bundles(Path(folder, "made"), args.names)
        names = args.names or sorted(path.parents[1].name for path in made.glob("*/configs/metadata.json"))
        zoo = zoo_layout(args.zoo, Path(folder, "zoo"))
        failed = [name for name in names if not passes(zoo, made / name, args.schema)]
    print(f"{len(names) - len(failed)} of {len(names)} bundles pass" + "".join(f", {name} fails" for name in failed))
    sys.exit(bool(failed) or not names)


def made_bundles(out: Path, names: list[str]) -> Path:
    subprocess.run([sys.executable, str(MAKE), str(out), *names], check=True)
    return out


def zoo_layout(zoo: Path, place: Path) -> Path:
    """What of the zoo its checks need: themselves, and which versions of which models it has."""
    shutil.copytree(zoo / "ci", place / "ci")
    (place / "models").mkdir()
    shutil.copy(zoo / "models" / "model_info.json", place / "models")
    return place


def passes(zoo: Path, bundle: Path, schema: Path | None) -> bool:
    shutil.copytree(bundle, zoo / "models" / bundle.name)
    if schema is not None:
        address = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))["schema"]
        shutil.copy(schema, zoo / "models" / address.rpartition("/")[2])  # where it would be downloaded to
    environment = {**os.environ, "PYTHONPATH": str(zoo), "OMP_NUM_THREADS": "1"}
    for script, option in SCRIPTS.items():
        print(f"--- {script} {option} {bundle.name}", flush=True)
        command = [sys.executable, str(zoo / script), option, bundle.name]
        status = subprocess.run(command, cwd=zoo, env=environment, check=False).returncode
        print(f"--- exit status {status}", flush=True)
        if status:
            return False
    return True


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help="of a bundle; default: all")
    parser.add_argument("--zoo", type=Path, required=True, help="a checkout of the Model Zoo")
    parser.add_argument("--bundles", type=Path, help="what make zoo-bundles made; default: made now, and thrown away")
    parser.add_argument("--schema", type=Path, help="the metadata schema; default: downloaded")
    return parser.parse_args()


if __name__ == "__main__":
    main()
