# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs, inference and evaluation on data sets that do not fit, or change meanwhile."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from bad_inputs import CONFIGS, ROOT, SMALL, Case, loop, run_inside
from small_files import (
    IMAGE,
    LABEL,
    SHAPE,
    Change,
    entry,
    grey,
    image,
    label,
    nifti,
    of_list,
    organ,
    picture,
    pictures,
    volumes,
    without,
)

FOLDER, LIST = (str(ROOT / "configs" / "datasets" / f"{name}.yaml") for name in ("folder", "datalist"))
SMALL_FILES = SMALL.partition("\n")[2].replace("32, 32", "16, 16") + "test_fraction: 0.3\n"  # no phantom
READ_BACK = "12 (12 with ground truth)"


def run(
    name: str, make: Callable, says: Sequence[str] = (), *more: str, overlay: str = FOLDER, quick: bool = False, **s
):
    """A small loop on a data set."""
    command = loop("--dataset_dir", "data", *more, overlays=[])
    command[2] = command[2].replace("'small.yaml'", f"'{overlay}', 'small.yaml'")
    return Case(
        name=name, command=command, files={"small.yaml": SMALL_FILES}, make=make, says=says, lines=s.pop("lines", 9),
        leaves=("run", "cache"), nightly=not quick, **s,
    )  # fmt: skip


def after_a_run(*changes: Change, of: Change | None = None, at: str = "run") -> Callable[[Path], None]:
    """Makes three volumes, runs the loop on them, and then lets the changes at the folder of all."""

    def make(here: Path) -> None:
        (of or volumes())(here)
        first = run("first", volumes())
        words = [word.replace("{active_learning}", str(CONFIGS / "active_learning.yaml")) for word in first.command]
        words[words.index("--output_dir") + 1] = at
        status, _, err = run_inside(words, here, first)
        assert status == 0, err
        for change in changes:
            change(here)

    return make


def again(name: str, make: Callable, says: Sequence[str] = (), *more: str, **settings) -> Case:
    """The loop goes on for a round more."""
    return run(name, make, says, "--rounds", "3", *more, **settings)


def applied(name: str, config: str, make: Callable, says: Sequence[str] = (), *more: str, **settings) -> Case:
    place = [] if "--output_dir" in more else ["--output_dir", "out"]
    command = ["monai", "--config_file", f"{{{config}}}", "--run_dir", "run", *place, *more]
    return Case(
        name=name, command=command, make=make, says=says, leaves=("out", "cache"), lines=9, nightly=True, **settings
    )


def every(folder: str, array: Callable[[int], np.ndarray]) -> Change:
    return lambda here: [nifti(here / "data" / folder / f"case_{k}.nii.gz", array(k)) for k in (1, 2, 3)]


def denied(*_):
    raise PermissionError(errno.EACCES, "Permission denied", "cache/images/x")


def cached(pattern: str, change: Callable[[Path], object]) -> Change:
    def damage(here: Path) -> None:
        files = list((here / "cache").rglob(pattern))
        assert files
        for file in files:
            change(file)

    return damage


RUNS = [
    run("a run on a constant image", volumes(image(np.full(SHAPE, 7, np.int16))), status=0),
    run(
        "a run on grey images and colours",
        pictures(lambda d: picture(d / "images/photo_2.png", grey(2, (12, 10, 3)).astype(np.uint8))),
        ["photo_2.png: is of 3 channels", "photo_1.png of 1", "--datalist#channel 0"],
    ),
    run(
        "a run on flat images and whole volumes",
        volumes(image(grey(2, (12, 10))), label(organ((12, 10)))),
        ["case_2.nii.gz: is 2D"],
        "--datalist#item",
        "volume",
    ),
    run("a run with fewer slices than it asks for", volumes(), (), "--budget", "100", status=0),
    run(
        "a run with a class that no label holds",
        volumes(),
        (),
        "--datalist#classes",
        "['background','organ','lesion']",
        status=0,
    ),
    run(
        "a run without labels of the test part",
        volumes(without("labels/case_3.nii.gz")),
        ["4 items of the part 'test' have no label", "case_3/0000", "add their labels"],
        "--datalist#require_labels",
        "False",
        quick=True,
    ),
    run(
        "a run whose labels annotate nothing",
        volumes(*[label(np.full(SHAPE, 255, np.uint8), case=f"case_{k}") for k in (1, 2, 3)]),
        ["no item of round 0 has a label"],
        "--datalist#label_values",
        "{0: 0, 1: 1, 255: 255}",
    ),
    run(
        "a list with one part alone",
        of_list({"validation": [entry(1)]}),
        ["there are 0 patients, beside those of the data set's own parts"],
        overlay=LIST,
    ),
    run("a run in its own data set", volumes(), ["images", "--output_dir"], "--output_dir", "data/images"),
    again("a run below its data set goes on", after_a_run(at="data/run"), (), "--output_dir", "data/run", status=0),
    again("labels that changed", after_a_run(every("labels", lambda k: np.roll(organ(), k, 0))), status=0),
    again(
        "labels of another shape",
        after_a_run(every("labels", lambda k: organ((12, 10, 5)))),
        ["3 of 3 volumes cannot be used", "case_1.nii.gz has (12, 10, 5)"],
    ),
    again(
        "images that were replaced",
        after_a_run(every("images", lambda k: grey(k + 9))),
        ["started with other images", "restore it"],
    ),
    again(
        "an image that was removed",
        after_a_run(lambda here: (here / "data" / IMAGE).unlink()),
        [f"label without image: {LABEL}"],
    ),
    again(
        "a case that was removed",
        after_a_run(lambda here: [(here / "data" / name).unlink() for name in (IMAGE, LABEL)]),
        ["now 8", "'case_2/0000' is missing"],
    ),
    again(
        "a case that was added",
        after_a_run(
            lambda here: [nifti(here / "data" / part / "case_9.nii.gz", organ()) for part in ("images", "labels")]
        ),
        ["now 16", "'case_9/0000' is new"],
    ),
    again("a data set that is gone", after_a_run(lambda here: shutil.rmtree(here / "data")), ["data: does not exist"]),
    again("a cache that is gone", after_a_run(lambda here: shutil.rmtree(here / "cache")), status=0),
    again(
        "a cache that is cut off",
        after_a_run(cached("image.npy", lambda file: file.write_bytes(file.read_bytes()[:-9]))),
        ["is damaged in the cache, and is made again"],
        status=0,
        quick=True,
    ),
    again(
        "a cache that may be read alone",
        after_a_run(),
        status=0,
        during={"monai_al.data.volume_cache.new_folder": denied},
    ),
    run(
        "a cache that may not be written",
        volumes(),
        ["cache/images/x: permission denied"],
        during={"monai_al.data.volume_cache.new_folder": denied},
    ),
    again(
        "a cache with an empty label", after_a_run(cached("label.npy", lambda file: file.write_bytes(b""))), status=0
    ),
    again("a cache without a file", after_a_run(cached("truth.npy", Path.unlink)), status=0),
    again(
        "a cache whose record is no JSON",
        after_a_run(cached("geometry.json", lambda file: file.write_text("{"))),
        status=0,
    ),
]

APPLIED = [
    applied(
        "inference on nothing",
        "inference",
        after_a_run(lambda here: (here / "new").mkdir()),
        ["new: holds no images"],
        "--dataset_dir",
        "new",
    ),
    applied(
        "inference on an image with NaN",
        "inference",
        after_a_run(lambda here: nifti(here / "new" / "a.nii.gz", np.full(SHAPE, np.nan, np.float32))),
        ["a.nii.gz: 480 voxels are NaN"],
        "--dataset_dir",
        "new",
    ),
    applied(
        "inference on images with more channels",
        "inference",
        after_a_run(lambda here: nifti(here / "new" / "a.nii.gz", np.stack([grey(1)] * 2, 3))),
        ["a.nii.gz", "--in_channels"],
        "--dataset_dir",
        "new",
    ),
    applied(
        "inference on a text",
        "inference",
        after_a_run(lambda here: (here / "a.txt").write_text("x")),
        ["a.txt: unknown kind of file"],
        "--dataset_dir",
        "a.txt",
    ),
    applied(
        "inference on images that are not there",
        "inference",
        after_a_run(),
        ["gone: there is no such file or folder"],
        "--dataset_dir",
        "gone",
    ),
    applied(
        "inference into its data set",
        "inference",
        after_a_run(),
        ["holds the images"],
        "--dataset_dir",
        "data",
        "--output_dir",
        "data/images",
    ),
    applied(
        "evaluation with labels of another shape",
        "evaluate",
        after_a_run(every("labels", lambda k: organ((12, 10, 5)))),
        ["has (12, 10, 5)"],
    ),
    applied(
        "evaluation with labels that are gone",
        "evaluate",
        after_a_run(lambda here: [file.unlink() for file in (here / "data" / "labels").iterdir()]),
        ["3 files have no partner"],
    ),
]

ANNOTATOR = """
from monai_al.annotators import Annotator, Answer
from monai_al.records import Label


class Returned(Annotator):
    name = "returned"

    def annotate(self, query, pool, work=None):
        items = [pool[pool.index(id)] for id in query.ids]
        return Answer(tuple(Label(item.id, where=f"returned/{item.volume}.nii.gz") for item in items))
"""


def returned(name: str, says: Sequence[str], array: np.ndarray | None, *changes: Change) -> Case:
    """People return label files, all of this content."""

    def make(here: Path) -> None:
        volumes()(here)
        for k in (1, 2, 3) if array is not None else ():
            nifti(here / "returned" / f"case_{k}.nii.gz", array)
        for change in changes:
            change(here / "returned")

    case = run(name, make, says, alone=True)
    command = [word.replace("'loop.yaml'", "'loop.yaml', 'mine.yaml'") for word in case.command]
    command[2] = command[2].replace("{active_learning}", str(CONFIGS / "active_learning.yaml"))
    files = {**(case.files or {}), "mine.py": ANNOTATOR, "mine.yaml": "annotator: {_target_: mine.Returned}\n"}
    return replace(case, command=command, files=files)


def cut_off(folder: Path) -> None:
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[:-30])


RETURNED = [
    returned("a returned label that is not there", [".nii.gz: the label file of an answer does not exist"], None),
    returned("a returned label that is cut off", ["returned/case_", "cannot be read"], organ(), cut_off),
    returned("a returned label of another shape", ["returned/case_", "(12, 10, 5)"], organ((12, 10, 5))),
    returned("a returned label with fractions", ["returned/case_", "label value 0.5"], organ() * np.float32(0.5)),
    returned("a returned label of an unknown class", ["returned/case_", "unexpected label values 7"], organ() * 7),
    returned("a returned label of two channels", ["returned/case_", "one channel"], np.stack([organ()] * 2, 3)),
]

CASES = [*RUNS, *APPLIED, *RETURNED]
