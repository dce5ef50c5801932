# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that ITK-SNAP opens: a table of labels, and a workspace with image, annotation and labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from monai_al.annotators.label_names import comments

__all__ = ["label_descriptions", "workspace"]

_TITLE = "# ITK-SnAP Label Description File"  # ITK-SNAP looks for these words in the second line
_RULE = "#" * 48
# ITK-SNAP replaces this folder by the one that the workspace lies in, so that the files may be moved together
_ROOT = "/monai_al"
_HEAD = """<?xml version="1.0" encoding="UTF-8" ?>
<!DOCTYPE registry [
<!ELEMENT registry (entry*,folder*)>
<!ELEMENT folder (entry*,folder*)>
<!ELEMENT entry EMPTY>
<!ATTLIST folder key CDATA #REQUIRED>
<!ATTLIST entry key CDATA #REQUIRED>
<!ATTLIST entry value CDATA #REQUIRED>
]>
"""


def label_descriptions(names: Sequence[str], colors: Sequence[tuple[int, int, int]], task: str = "") -> str:
    """The content of a label description file, which 3D Slicer reads as a colour table, too.

    Args:
        names: of the classes, background first, as :func:`monai_al.annotators.label_names.editor_names` gives them.
        colors: red, green and blue of each, 0 to 255.
        task: what people are asked to draw, for a comment.

    Example:
        >>> print(label_descriptions(["background", "liver"], [(0, 0, 0), (242, 163, 58)]).splitlines()[-1])
            1   242  163   58        1  1  1    "liver"
    """
    lines = [
        _RULE,
        _TITLE,
        "# columns: number, red, green, blue, opacity, shown in 2D, shown in 3D, name",
        *comments(task),
        _RULE,
    ]
    lines.append(f'{0:5d}  {0:4d} {0:4d} {0:4d}        0  0  0    "Clear Label"')
    for number, (name, (red, green, blue)) in enumerate(zip(names, colors, strict=True)):
        if number:
            lines.append(f'{number:5d}  {red:4d} {green:4d} {blue:4d}        1  1  1    "{name}"')
    return "\n".join(lines) + "\n"


def workspace(
    image: str,
    annotation: str,
    names: Sequence[str],
    colors: Sequence[tuple[int, int, int]],
    overlays: Sequence[str] = (),
) -> str:
    """The content of a workspace file that lies beside its images.

    Args:
        image: file name of the main image.
        annotation: that of the segmentation.
        names: of the classes, background first.
        colors: red, green and blue of each.
        overlays: file names of further images.

    Example:
        >>> text = workspace("image.nii.gz", "annotation.nii.gz", ["background", "liver"], [(0, 0, 0), (242, 163, 58)])
        >>> text.count("<entry"), '"/monai_al/annotation.nii.gz"' in text
        (18, True)
    """
    elements = {
        f"Element[{i}]": {
            "Index": i + 1,
            "Label": name,
            "Color": " ".join(map(str, color)),
            "Alpha": 255,
            "Flags": "1 1",
        }
        for i, (name, color) in enumerate(zip(names[1:], colors[1:], strict=True))
    }
    first = {
        "LabelState": {"CoverageMode": "OverAll", "DrawingLabel": 1, "OverwriteLabel": 0, "SegmentationAlpha": 0.5},
        "LabelTable": {"NumberOfElements": len(elements), **elements},
    }
    layers = [(image, "MainRole"), (annotation, "SegmentationRole"), *((file, "OverlayRole") for file in overlays)]
    content: dict[str, Any] = {"SaveLocation": _ROOT, "Version": "20220203", "Layers": {}}
    for i, (file, role) in enumerate(layers):
        layer = {"AbsolutePath": f"{_ROOT}/{file}", "Role": role, "IOHints": {"Format": "NiFTI"}}
        content["Layers"][f"Layer[{i:03d}]"] = layer | ({} if i else {"ProjectMetaData": {"IRIS": first}})
    body = "\n".join(_lines(content, "  "))
    return f"{_HEAD}<registry>\n{body}\n</registry>\n"


def _lines(content: Mapping[str, Any], indent: str) -> Iterator[str]:
    """Entries first, then folders, as the format asks for."""
    for key, value in content.items():
        if not isinstance(value, Mapping):
            yield f"{indent}<entry key={quoteattr(key)} value={quoteattr(str(value))} />"
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield f"{indent}<folder key={quoteattr(key)} >"
            yield from _lines(value, indent + "  ")
            yield f"{indent}</folder>"
