# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI Label's server as a process of its own, and what clients ask of it over HTTP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import requests

from monai_al.assets import find_asset

KILLED = """
import os, signal
from pathlib import Path

taken_as_usual = RunApp.on_save_label


def killed_before(self, image_id, label_id):
    if (Path(self.app_dir) / "kill").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return taken_as_usual(self, image_id, label_id)


RunApp.on_save_label = killed_before
"""  # between saving and taking


class LabelServer:
    """One server, started as often as is asked.

    Args:
        folder: where its app and its log lie.
        studies: the images.
        run: the run folder.
    """

    def __init__(self, folder: Path, studies: Path, run: Path) -> None:
        self.app = folder / "app"  # the one that comes with the package, but for a kill
        shutil.copytree(find_asset("monailabel"), self.app)
        with open(self.app / "main.py", "a") as file:
            file.write(KILLED)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = folder / "server.log"
        self.arguments = ["--app", self.app, "--studies", studies, "--conf", "run", run]
        self.sessions = folder / "sessions"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "monailabel.main", "start_server", *map(str, self.arguments)]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        environment = os.environ | {"MONAI_LABEL_SESSION_PATH": str(self.sessions)}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        for _ in range(600):
            if self.process.poll() is not None:
                break
            try:
                requests.get(self._url("info/"), timeout=5)
                return
            except requests.ConnectionError:
                time.sleep(0.2)
        raise AssertionError(f"the server did not start:\n{self.log.read_text()[-4000:]}")

    def kill(self) -> None:
        """Kill it, as a machine that goes down does."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.ended()

    def ended(self) -> None:
        """Wait until it has ended."""
        if self.process is not None:
            self.process.wait(60)

    def get(self, path: str) -> dict:
        """What it answers to a GET."""
        answer = requests.get(self._url(path), timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    def next(self, client: str = "ada", **params: object) -> dict:
        """The next image, as the button of the clients asks for it."""
        answer = requests.post(
            self._url("activelearning/next_slices"), json={"client_id": client, **params}, timeout=60
        )
        assert answer.ok, answer.text
        return answer.json()

    def submit(self, image: str, label: Path, client: str = "ada", **params: object) -> dict:
        """Save a label, as the client of 3D Slicer does."""
        with open(label, "rb") as file:
            answer = requests.put(
                self._url("datastore/label"),
                params={"image": image},
                data={"params": json.dumps({"client_id": client, **params})},
                files={"label": (label.name, file)},
                timeout=60,
            )
        assert answer.ok, answer.text
        return answer.json()

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"


def drawn(image: Path, truth: Path, slices: list[int], target: Path) -> Path:
    """A label map of an image that holds the truth on some slices, as a person draws them."""
    stored, known = nibabel.load(image), np.asarray(nibabel.load(truth).dataobj)
    voxels = np.zeros(known.shape, np.int16)
    voxels[..., slices] = known[..., slices]
    nibabel.save(nibabel.Nifti1Image(voxels, stored.affine), target)
    return target
