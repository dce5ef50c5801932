# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that 3D Slicer opens: a colour table, and a list of points that lead to the slices."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from monai_al.annotators.label_names import comments

__all__ = ["color_table", "slice_markups"]

_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.0.json#"
)


def color_table(names: Sequence[str], colors: Sequence[tuple[int, int, int]], task: str = "") -> str:
    """The content of a ``.ctbl`` file. A space stands there as an underscore, and comes back as a space.

    Args:
        names: of the classes, background first, as :func:`monai_al.annotators.label_names.editor_names` gives them.
        colors: red, green and blue of each, 0 to 255.
        task: what people are asked to draw, for a comment.

    Example:
        >>> print(color_table(["background", "left ventricle"], [(0, 0, 0), (242, 163, 58)]).strip())
        # Color table file labels.ctbl
        # 2 values
        0 background 0 0 0 0
        1 left_ventricle 242 163 58 255
    """
    lines = ["# Color table file labels.ctbl", f"# {len(names)} values", *comments(task)]
    for number, (name, color) in enumerate(zip(names, colors, strict=True)):
        lines.append(f"{number} {name.replace(' ', '_')} {' '.join(map(str, color))} {255 if number else 0}")
    return "\n".join(lines) + "\n"


def slice_markups(points: Mapping[str, np.ndarray]) -> str:
    """The content of a ``.mrk.json`` file: a point in the middle of each requested slice; its views jump there.

    Args:
        points: what the label of a point says -> its place in RAS millimetres, ``(3,)``.

    Example:
        >>> (markup,) = json.loads(slice_markups({"slice 7": np.array([1.0, 2.0, 3.0])}))["markups"]
        >>> markup["coordinateSystem"], markup["controlPoints"][0]["position"]
        ('LPS', [-1.0, -2.0, 3.0])
    """
    found = [
        {
            "id": str(number),
            "label": label,
            "position": [round(float(value), 4) + 0.0 for value in point * (-1, -1, 1)],
            "selected": True,
            "locked": True,
            "visibility": True,
            "positionStatus": "defined",
        }
        for number, (label, point) in enumerate(points.items(), start=1)
    ]
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "locked": True, "labelFormat": "%N-%d"}
    return json.dumps({"@schema": _SCHEMA, "markups": [markup | {"controlPoints": found}]}, indent=1) + "\n"
