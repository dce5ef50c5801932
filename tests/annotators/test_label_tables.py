# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Names and tables of classes, and the workspace, read as the two programs read them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from monai_al.annotators.itksnap import label_descriptions, workspace
from monai_al.annotators.label_names import editor_name, editor_names
from monai_al.annotators.slicer import color_table
from monai_al.report.outlines import class_rgb

NAMES = st.lists(st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(["a b", "a_b", "A B", "_", "'"]))


def colors_of(names):
    return [class_rgb(number) for number in range(len(names))]


def read_by_itksnap(text):
    """Number -> name, as ColorLabelTable reads a file: eight columns, comments and empty lines left out."""
    lines = text.split("\n")
    assert lines[1] == "# ITK-SnAP Label Description File"
    found = {}
    for line in lines:
        if line and not line.startswith("#"):
            columns = re.fullmatch(r'\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+([\d.]+)\s+([01])\s+([01])\s+"([^"]+)"', line)
            assert columns, line
            found[int(columns[1])] = (columns[8], tuple(int(columns[i]) for i in (2, 3, 4)))
    return found


def read_by_slicer(text):
    """The same of a colour table: columns parted by blanks, each underscore of a name becomes a space."""
    found = {}
    for line in text.split("\n"):
        if line and not line.startswith("#"):
            number, name, *color = line.split(" ")
            assert name.strip("_")
            found[int(number)] = (name.replace("_", " ").strip("'"), tuple(map(int, color[:3])))
    return found


@given(NAMES)
def test_both_programs_know_every_class_by_one_name(classes):
    names = editor_names(classes)
    assert len(names) == len(classes)
    assert len({name.casefold() for name in names}) == len(names)
    snap, slicer = (write(names, colors_of(names)) for write in (label_descriptions, color_table))
    expected = {number: (name, class_rgb(number)) for number, name in enumerate(names)}
    assert read_by_slicer(slicer) == expected
    assert read_by_itksnap(snap) == {**expected, 0: ("Clear Label", (0, 0, 0))}
    assert (snap + slicer).isascii()
    assert "\r" not in snap + slicer


@given(NAMES)
def test_names_stay_what_they_are_once_they_are_clear(classes):
    names = editor_names(classes)
    assert editor_names(names) == names
    assert [editor_name(name) for name in names] == names


def test_a_plain_name_is_kept():
    classes = ["background", "right ventricle", "T2-lesion (old)"]
    assert editor_names(classes) == classes


def entries(element, path=""):
    """Path of each entry of a registry -> its value."""
    found = {path + one.get("key"): one.get("value") for one in element.findall("entry")}
    for folder in element.findall("folder"):
        found |= entries(folder, f"{path}{folder.get('key')}/")
    return found


def test_a_workspace_finds_its_files_wherever_it_lies():
    names = editor_names(["background", 'a "b" & <c>', "liver"])
    text = workspace("image.nii.gz", "annotation.nii.gz", names, colors_of(names), ["image_0001.nii.gz"])
    found = entries(ElementTree.fromstring(text))
    root = found["SaveLocation"]
    files = {}
    for layer in ("Layer[000]", "Layer[001]", "Layer[002]"):
        path = found[f"Layers/{layer}/AbsolutePath"]
        assert path.startswith(root)  # what ITK-SNAP replaces by the workspace's own folder
        files[found[f"Layers/{layer}/Role"]] = str(PurePosixPath(path).relative_to(root))
    assert files == {
        "MainRole": "image.nii.gz",
        "SegmentationRole": "annotation.nii.gz",
        "OverlayRole": "image_0001.nii.gz",
    }
    table = "Layers/Layer[000]/ProjectMetaData/IRIS/LabelTable/"
    assert found[table + "NumberOfElements"] == "2"
    for element, number in (("Element[0]/", 1), ("Element[1]/", 2)):
        assert found[table + element + "Index"] == str(number)
        assert found[table + element + "Label"] == names[number]
        assert found[table + element + "Color"] == "{} {} {}".format(*class_rgb(number))
        assert found[table + element + "Alpha"] == "255"
    assert names[1] == "a b & <c>"
