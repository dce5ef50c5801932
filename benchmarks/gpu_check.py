# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a GPU gives beside what the CPU gives, within bounds, and how long both take. Exit status 1: out of bounds.

    python benchmarks/gpu_check.py [--device cuda:0] [--steps 100]

1. k-center and k-means (faiss, where its GPU build is installed) on random embeddings.
2. Every measure of uncertainty, with the same network.
3. Each bundle on its phantom: round 0 is trained on the CPU; from its weights the device evaluates, scores, and chooses
   the query of round 1, which are compared with the CPU's; then it trains round 1, which is timed.
4. With two GPUs or more: the same in two processes, which must give what one gives.

``--device cpu`` compares the CPU with itself, to see that this script works.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from monai.inferers import SimpleInferer
from monai.networks.nets import UNet
from torch.utils.data import DataLoader

from monai_al.passes import score_items
from monai_al.selection import k_center_greedy, k_means
from monai_al.uncertainty import MEASURES, Measure

BUNDLES = (
    *("active_learning", "selective_uncertainty_spleen", "stochastic_batches_prostate"),
    *("group_contrastive_cardiac", "ssl_cluster_skin_lesion"),
)
SCORES, DICE, OVERLAP, INERTIA = 1e-3, 0.01, 0.9, 1.02  # bounds
found: list[tuple[str, str, bool]] = []


def note(what: str, told: str, right: bool) -> None:
    """One line of the result."""
    found.append((what, told, right))
    print(f"| {what} | {told} | {'within bounds' if right else 'OUT OF BOUNDS'} |", flush=True)


def seconds(work) -> tuple[object, float]:
    """What a function gives, and how long its second call takes."""
    work()
    start = time.perf_counter()
    value = work()
    return value, time.perf_counter() - start


def check_selection(device: str) -> None:
    rows = np.random.default_rng(0).normal(size=(20_000, 256)).astype(np.float32)
    on_cpu, cpu_s = seconds(lambda: k_center_greedy(torch.from_numpy(rows), 200))
    on_device, device_s = seconds(lambda: k_center_greedy(torch.from_numpy(rows), 200, device=device))
    same = np.mean(np.asarray(on_cpu) == np.asarray(on_device))
    note("k-center, 20,000 x 256, 200 picks", f"{cpu_s:.2f} s, {device_s:.2f} s; {same:.0%} equal", same == 1)
    inertias = []
    for backend in ("sklearn", "faiss"):
        try:
            (centroids, clusters), took = seconds(
                lambda b=backend: k_means(rows, 100, np.random.default_rng(0), backend=b)
            )
        except (ImportError, ValueError) as error:
            print(f"| k-means by {backend} | {error} | not tried |")
            continue
        inertias.append(float(((rows - centroids[clusters]) ** 2).sum()))
        right = inertias[-1] <= INERTIA * inertias[0]
        note(f"k-means by {backend}, 100 clusters", f"{took:.2f} s; inertia {inertias[-1]:.0f}", right)


def check_measures(device: str) -> None:
    torch.manual_seed(0)
    network = UNet(2, 1, 3, channels=(8, 16, 32), strides=(2, 2), norm="BATCH", dropout=0.0).eval()
    images = [{"image": torch.randn(1, 96, 96), "id": str(number)} for number in range(128)]
    names = [name for name in MEASURES if not Measure.of(name).stochastic or Measure.of(name).samples == "augmentation"]
    for name in names:

        def scored(device: str, name: str = name) -> np.ndarray:
            loader = DataLoader(images, batch_size=32)
            on = network.to(device)
            return score_items(on, loader, {name: Measure.of(name)}, device=device, inferer=SimpleInferer())[name]

        on_cpu, cpu_s = seconds(lambda: scored("cpu"))
        on_device, device_s = seconds(lambda: scored(device))
        apart = float(np.max(np.abs(on_cpu - on_device) / np.maximum(np.abs(on_cpu), 1e-6)))
        told = f"{cpu_s:.2f} s, {device_s:.2f} s; relative difference {apart:.1e}"
        note(f"{name}, 128 x 96 x 96", told, apart <= SCORES)


def run(bundle: str, folder: Path, cache: Path, device: str, steps: int, processes: int = 1) -> None:
    several = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    launcher, where = (several, []) if processes > 1 else ([], ["--device", device])
    words = ["--rounds", "2", "--budget", "16", "--steps", str(steps), "--progress", "false", "--amp", "false"]
    places = ["--output_dir", str(folder), "--cache_dir", str(cache)]
    line = [sys.executable, *launcher, "-m", "monai_al", "run", bundle, "entropy", *words, *where, *places]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)}\n{done.stderr}")


def only_trained(folder: Path, copy: Path) -> None:
    """A run as it was when the networks of round 0 were trained."""
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / "round_01")
    for name in ("metrics.json", "manifest.json", "timings.json"):
        (copy / "round_00" / name).unlink(missing_ok=True)


def read(folder: Path, name: str) -> dict:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def check_bundle(bundle: str, device: str, steps: int, processes: int = 1) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        run(bundle, root / "cpu", root / "cache", "cpu", steps)
        only_trained(root / "cpu", root / "device")
        run(bundle, root / "device", root / "cache", device, steps, processes)
        dice = [read(root / where, "round_00/metrics.json")["dice_3d"]["mean"] or 0.0 for where in ("cpu", "device")]
        asked = [read(root / where, "round_01/query.json")["items"] for where in ("cpu", "device")]
        spent = [read(root / where, "round_01/timings.json") for where in ("cpu", "device")]
    scores = [{item["id"]: item["score"] for item in items} for items in asked]
    both = set(scores[0]) & set(scores[1])
    apart = max((abs(scores[0][id] - scores[1][id]) / max(abs(scores[0][id]), 1e-6) for id in both), default=1.0)
    overlap = len(both) / len(asked[0])
    times = ", ".join(
        f"{step} {spent[0][key]:.1f} s, {spent[1][key]:.1f} s"
        for step, key in (("train", "train_s"), ("evaluate", "evaluate_s"))
    )
    right = abs(dice[0] - dice[1]) <= DICE and overlap >= OVERLAP and apart <= SCORES
    called = f"{bundle}, {processes} processes" if processes > 1 else bundle
    told = f"Dice {dice[0]:.4f}, {dice[1]:.4f}; {overlap:.0%} of the query, scores {apart:.1e} apart; {times}"
    note(called, told, right)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="what is compared with the CPU; default: cuda")
    parser.add_argument("--steps", type=int, default=100, help="of each training; default: 100")
    parser.add_argument("--bundles", nargs="+", default=BUNDLES, help="which; default: all five")
    asked = parser.parse_args()
    if torch.device(asked.device).type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("error: torch finds no GPU here; --device cpu compares the CPU with itself")
    name = torch.cuda.get_device_name(asked.device) if asked.device.startswith("cuda") else "the CPU"
    print(f"{name}, torch {torch.__version__}\n\n| what | the CPU, then the device | |\n|---|---|---|")
    check_selection(asked.device)
    check_measures(asked.device)
    for bundle in asked.bundles:
        check_bundle(bundle, asked.device, asked.steps)
        if asked.device.startswith("cuda") and torch.cuda.device_count() > 1:
            check_bundle(bundle, asked.device, asked.steps, processes=2)
    wrong = [what for what, _, right in found if not right]
    print(f"\n{len(found) - len(wrong)} of {len(found)} within bounds")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
