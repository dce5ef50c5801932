# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Folders and lists that are no data set, or look so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bad_inputs import ROOT, Case
from small_files import (
    IMAGE,
    LABEL,
    Change,
    entry,
    grey,
    image,
    label,
    listed,
    moved,
    nifti,
    of_list,
    organ,
    text,
    volumes,
    without,
)

FOLDER, LIST = (str(ROOT / "configs" / "datasets" / f"{name}.yaml") for name in ("folder", "datalist"))
READ_BACK = "12 (12 with ground truth)"


def json_list(name: str, content: Any, says: Sequence[str], *more: str, **settings) -> Case:
    return listed(name, of_list(content), ["list.json", *says], *more, dataset="datalist", **settings)


def nnunet(name: str, says: Sequence[str], *changes: Change, quick: bool = False, **content: Any) -> Case:
    labels = {"background": 0, "organ": 1}
    content = {"channel_names": {"0": "CT"}, "labels": labels, "file_ending": ".nii.gz"} | content
    folders = [moved("images", "imagesTr"), moved("labels", "labelsTr")]
    cases = [moved(f"imagesTr/case_{k}.nii.gz", f"imagesTr/case_{k}_0000.nii.gz") for k in (1, 2, 3)]
    make = volumes(*folders, *cases, text("dataset.json", json.dumps(content)), *changes)
    return listed(name, make, ["dataset.json", *says], dataset="datalist", quick=quick)


def bids(here: Path) -> None:
    for subject in (1, 2):
        for session in (1, 2):
            place, name = f"sub-{subject}/ses-{session}/anat", f"sub-{subject}_ses-{session}"
            nifti(here / "data" / place / f"{name}_T1w.nii.gz", grey(2 * subject + session))
            nifti(here / "data" / "derivatives" / "manual" / place / f"{name}_dseg.nii.gz", organ())


def empty(here: Path) -> None:
    (here / "data").mkdir()


def shown(
    name: str, make: Change | None, says: Sequence[str], *more: str, folder: str = "data", quick: bool = False
) -> Case:
    """``init`` of what is made in ``data``, which must not leave an overlay."""
    return Case(name=name, command=["init", folder, *more], make=make, says=says, lines=9, nightly=not quick)


GOOD = {"training": [entry(1), entry(2), entry(3)]}

FOLDERS = [
    listed("an empty folder", empty, ["data: no images found"]),
    listed(
        "a folder of packed archives",
        lambda here: empty(here) or (here / "data" / "all.zip").write_bytes(b"PK"),
        ["no images found", "It holds 1 .zip; readable are .nii.gz"],
        quick=True,
    ),
    listed("an image without label", volumes(without(LABEL)), [f"image without label: {IMAGE}", "--unlabeled"]),
    listed("a label without image", volumes(without(IMAGE)), [f"label without image: {LABEL}", "--skip_incomplete"]),
    listed("two labels of one image", volumes(label(organ(), case="case_2_seg")), [LABEL, "case_2_seg", "keep one"]),
    listed("two images of one name", volumes(lambda d: nifti(d / "images/case_2.nii", grey(9))), ["case_2", "rename"]),
    listed(
        "3D Slicer's names",
        volumes(
            *[moved(f"images/case_{k}.nii.gz", f"scans/case_{k}/scan.nii.gz") for k in (1, 2, 3)],
            *[moved(f"labels/case_{k}.nii.gz", f"scans/case_{k}/Segmentation.seg.nii.gz") for k in (1, 2, 3)],
            lambda data: (data / "images").rmdir() or (data / "labels").rmdir(),
        ),
        [READ_BACK],
        status=0,
    ),
    listed("an images folder that is not there", volumes(), ["data/scans: no such folder"], "--images", "scans"),
    listed(
        "a data set that is a file", lambda here: (here / "data").write_text("x"), ["data: is a file, not a folder"]
    ),
    listed("a patient rule that is none", volumes(), ["'pat(' is no regular expression"], "--patient", "pat("),
    listed("a patient rule that finds nothing", volumes(), ["does not match 3 images", "case_1"], "--patient", "p\\d"),
    listed(
        "a patient rule with an idle group",
        volumes(),
        ["does not match 3 images"],
        "--patient",
        "case|x(y)",
        quick=True,
    ),
    listed("a folder of one patient", volumes(number=1), ["there is only one patient"], "--test_fraction", "0.3"),
    listed(
        "fractions of more than all",
        volumes(),
        ["there are 3 patients"],
        "--test_fraction",
        "0.7",
        "--validation_fraction",
        "0.7",
    ),
    listed("copies of one image", volumes(image(grey(1))), ["equal content", "case_1 and case_2"], status=0),
    listed(
        "a linked folder", volumes(lambda d: (d / "images" / "more").symlink_to("../images")), [READ_BACK], status=0
    ),
    listed("subjects with two sessions", bids, ["1 patients, 2 volumes, 8 items"], "--test_fraction", "0.5", status=0),
    *(
        listed(f"a folder for {reader}", volumes(), ["data: ", word], dataset=reader)
        for reader, word in {
            "acdc": "give the folder 'database'",
            "brats": "2 cases are incomplete",
            "chaos": "give the folder that holds Train_Sets",
            "datalist": "which JSON file lists the images?",
            "davis": "give the folder DAVIS",
            "hippocampus": "neither dataset.json nor imagesTr",
            "isic": "give the folder that holds ISIC-2017_Training_Data",
            "lgg": "2 cases are incomplete",
            "ms_cmr": "give the folder that holds train",
            "promise12": "no CaseNN.mhd",
        }.items()
    ),
]

LISTS = [
    json_list("a list without entries", {"name": "mine"}, ["has no list 'training'"]),
    json_list("a list of numbers", [1], ["training entry 0 is no path and has no 'image'"]),
    json_list("an entry without image", {"training": [entry(1), {"label": "x"}]}, ["training entry 1 has no 'image'"]),
    json_list(
        "entries whose files are missing", {"training": [entry(1), entry(9)]}, ["there is no images/case_9.nii.gz"]
    ),
    json_list("an absolute path that is gone", {"training": [entry(1, image="/gone/a.nii.gz")]}, ["is no /gone/a.nii"]),
    json_list("an image that is listed twice", {"training": [entry(1), entry(1)]}, ["listed more than once; remove"]),
    json_list(
        "a patient in two parts",
        {"training": [entry(1)], "validation": [entry(2)]},
        ["patient case lies in two parts of the list: case_1 in train and case_2 in validation"],
        *("--patient", "case"),
    ),
    json_list("a list of invalid JSON", '{"training": [,]}', ["is no valid JSON", "line 1 column 15", "correct it"]),
    json_list("a list that is cut off", '{"training": [{"image": "a', ["is no valid JSON"]),
    json_list("a list that never ends", "[" * 99999, ["is no valid JSON"], quick=True),
    json_list("a list in latin letters", '{"name": "ü"}'.encode("latin-1"), ["is no valid JSON", "as UTF-8"]),
    listed(
        "a list with a mark of bytes",
        of_list(b"\xef\xbb\xbf" + json.dumps(GOOD).encode()),
        [READ_BACK],
        dataset="datalist",
        status=0,
    ),
    listed("a list in UTF-16", of_list(json.dumps(GOOD).encode("utf-16")), [READ_BACK], dataset="datalist", status=0),
    json_list(
        "a fold that does not exist",
        {"training": [entry(1, fold=0), entry(2, fold=1)]},
        ["the fold 7; there are 0, 1"],
        "--fold",
        "7",
    ),
    json_list("a fold that is no number", {"training": [entry(1, fold="a")]}, ["its 'fold' is 'a'"]),
    json_list(
        "a fold that takes all",
        {"training": [entry(1, fold=0), entry(2, fold=0)]},
        ["none is left to train on"],
        "--fold",
        "0",
        quick=True,
    ),
    json_list("test images without labels alone", {"test": [IMAGE]}, ["no image is left: 1 images of the test list"]),
    json_list(
        "a value with two names", GOOD | {"labels": {"background": 0, "a": 1, "b": 1}}, ["says 1 more than once"]
    ),
    json_list(
        "a name with two values", GOOD | {"labels": {"0": "a", "1": "a"}}, ["says 'a' more than once"], quick=True
    ),
    json_list("a background alone", GOOD | {"labels": {"0": "background"}}, ["'labels' names the values [0]"]),
    nnunet(
        "regions",
        ["'whole'", "regions that overlap are no classes"],
        labels={"background": 0, "whole": [1, 2], "core": 2},
    ),
    nnunet(
        "a channel that is missing",
        ["no imagesTr/case_2_0001.nii.gz"],
        lambda d: nifti(d / "imagesTr/case_1_0001.nii.gz", grey(9)),
        channel_names={"0": "a", "1": "b"},
    ),
    nnunet("another file_ending", ["says file_ending '.png'", "case_1_0000.nii.gz"], file_ending=".png"),
    nnunet("a file_ending that is no text", ["file_ending 3 cannot be read"], file_ending=3),
    nnunet(
        "a case without images", ["case a has no 'images'; it has 'label'"], dataset={"a": {"label": "b"}}, quick=True
    ),
    nnunet("a case that is nothing", ["case a is no path"], dataset={"a": None}),
]


def all_cut(data: Path) -> None:
    for path in data.rglob("*.nii.gz"):
        path.write_bytes(path.read_bytes()[:200])


INIT = [
    shown("an overlay of no folder", None, ["gone: does not exist", "give the folder"], folder="gone", quick=True),
    shown("an overlay of an empty folder", empty, ["data: no images found"]),
    shown("an overlay of volumes that are all cut off", volumes(all_cut), ["cannot be used", "case_3"], quick=True),
    shown("an overlay that lies nowhere", volumes(), ["--output gone/a.yaml"], "--output", "gone/a.yaml"),
    shown("an overlay to be written that is no YAML", volumes(), ["--output a.txt", ".yaml"], "--output", "a.txt"),
    shown("an overlay over another", volumes(), ["small.yaml: is there already"], "--output", "small.yaml"),
    shown("an overlay with a rule for no patient", volumes(), ["does not match 3 images"], "--patient", "p\\d"),
    shown("an overlay of two classes with one name", volumes(), ["--classes", "background,liver"], "--classes", "a"),
    shown("an overlay of a pattern that nothing fits", volumes(), ["no path of the images"], "--images", "*_t1.*"),
    shown("an overlay of a file", of_list("[1", lambda _: None), ["is a file"], folder="data/" + IMAGE),
]

CASES = [*FOLDERS, *LISTS, *INIT]
