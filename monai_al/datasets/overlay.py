# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A survey of a folder of scans as an overlay of a bundle: YAML that a person reads and edits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from monai_al.datasets.modality import CT, PICTURES
from monai_al.datasets.slice_axes import COARSEST
from monai_al.datasets.survey import Survey
from monai_al.options import literal

__all__ = ["overlay_text"]

_WINDOW = (-160, 240)  # HU, soft tissue
_BYTE = 255
_PLAIN_FIRST = ("$", "@", "%")
_MEANT_ANYWHERE = "#@"


def overlay_text(survey: Survey) -> str:
    """The overlay that makes a bundle run on what was found; plain ASCII.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from monai_al.datasets.survey import survey
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("a", "b"):
        ...         Image.linear_gradient("L").rotate(ord(name)).save(f"{root}/{name}.png")
        ...     text = overlay_text(survey(Path(root)))
        >>> print(text.partition("datalist:")[2][:80])
        <BLANKLINE>
          _target_: monai_al.datasets.folder # files in a folder
          root: '@dataset_dir'
    """
    lines = [*_head(survey), *_datalist(survey), *_grid(survey), *_intensity(survey), *_run(survey)]
    return "\n".join(lines) + "\n"


def _head(survey: Survey) -> Iterator[str]:
    pool = survey.pool
    yield f"# {len(pool.volumes)} volumes of {len(pool.patients)} patients, as 'python -m monai_al init' found them."
    yield "# Edit what is not right; overlays after this one and options such as --image_size lie over it."
    yield f"dataset_dir: {_yaml(str(survey.place))} # where the folder lies; --dataset_dir, if it moves"


# --- which files ------------------------------------------------------------------------------------------------------


def _datalist(survey: Survey) -> Iterator[str]:
    yield "datalist:"
    yield f"  _target_: monai_al.datasets.{survey.layout.reader} # {_ascii(survey.layout.told)}"
    yield "  root: '@dataset_dir'"
    volumes = any(item.slice is not None for item in survey.pool)
    for name, value in survey.options.items():
        if name == "slice_axis" and not volumes:
            continue
        yield f"  {name}: {_yaml(value)}{_why(survey, name, value)}"


def _why(survey: Survey, name: str, value: Any) -> str:
    text = {
        "images": "sub-folder or pattern of the images",
        "labels": "of the labels; null: none",
        "file": "the list",
        "channel": "of each image alone, counted from 0",
        "patient": _patient(survey),
        "classes": "background first" + _unnamed(survey),
        "label_values": "stored value: class number; 255: not annotated",
        "slice_axis": "the stored axis of the slices, from 0" + "; the coarsest of each file" * (value == COARSEST),
        "require_labels": "true: an image without a label is an error",
        "skip_incomplete": "some files lack a partner, which each run tells again",
        "exclude": "volumes that cannot be read",
    }[name]
    return f" # {text}"


def _unnamed(survey: Survey) -> str:
    if survey.named:
        return ""
    return "; give them their names" if survey.labeled else "; no labels tell them: name what you will draw"


def _patient(survey: Survey) -> str:
    if survey.options["patient"] is not None:
        told = ", which the names suggest" * survey.rule_suggested
        return f"a regular expression{told}; its first group is the patient"
    told = [note for note in survey.pool.notes if note.startswith("Patients")] or ["Each file is a patient of its own"]
    return "null: " + _ascii(told[0][0].lower() + told[0][1:].rstrip("."))


# --- how images are seen ----------------------------------------------------------------------------------------------


def _grid(survey: Survey) -> Iterator[str]:
    grid = survey.grid
    why = "mm between pixels, from the files" if grid.spacing else "the files tell none: the whole view is resized"
    if grid.stored is not None:
        finer = f"spacing {_yaml(grid.stored.spacing)} with image_size {_yaml(list(grid.stored.size))}"
        why = f"mm between pixels; coarser than the files, which takes less time: as fine as they are is {finer}"
    yield f"spacing: {_yaml(grid.spacing)} # {why}"
    yield f"image_size: {_yaml(list(grid.size))} # rows and columns, multiples of 16; more of them take longer"


def _intensity(survey: Survey) -> Iterator[str]:
    if survey.channels != 1:
        yield f"in_channels: {survey.channels}"
    told = _ascii(f"{survey.modality.kind} ({survey.modality.told})")
    bytes_alone = all(grey.low >= 0 and grey.high <= _BYTE for grey in survey.grey)
    if survey.modality.kind == CT:
        yield f"# {told}: a window of soft tissue in HU; lung is about -1350..150, bone -450..1050, brain 0..80"
        yield _scaled(*_WINDOW)
    elif survey.modality.kind == PICTURES and bytes_alone:
        yield f"# {told}: all grey values from 0 to {_BYTE}"
        yield _scaled(0, _BYTE)
    else:
        yield f"# {told}: scaled by the percentiles of each volume"
        settings: dict[str, Any] = {"lower": 1, "upper": 99, "b_min": 0, "b_max": 1, "clip": True}
        settings |= {"channel_wise": True} if survey.channels != 1 else {}
        yield _transform("ScaleIntensityRangePercentilesd", settings)


def _scaled(low: int, high: int) -> str:
    return _transform("ScaleIntensityRanged", {"a_min": low, "a_max": high, "b_min": 0, "b_max": 1, "clip": True})


def _transform(name: str, settings: Mapping[str, Any]) -> str:
    return f"intensity: {_yaml({'_target_': name, 'keys': 'image', **settings})}"


# --- how a run goes ---------------------------------------------------------------------------------------------------


def _run(survey: Survey) -> Iterator[str]:
    yield "default_steps: 1500 # per round, where neither --steps nor --epochs is given"
    if survey.options["require_labels"]:
        return
    yield "test_fraction: 0 # a share above 0 is scored on, and needs labels of all volumes of its patients"
    yield "annotate_test: 0 # or so many patients whose volumes people annotate, once, to test on"
    yield "validation_fraction: 0"


# --- YAML -------------------------------------------------------------------------------------------------------------


def _yaml(value: Any) -> str:
    """One line of YAML that MONAI reads as this value."""
    text = yaml.safe_dump(_meant(value), default_flow_style=True, sort_keys=False, width=float("inf"))
    return text.removesuffix("\n").removesuffix("\n...")


def _meant(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _meant(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_meant(entry) for entry in value]
    special = isinstance(value, str) and (
        value.startswith(_PLAIN_FIRST) or any(character in value for character in _MEANT_ANYWHERE)
    )
    return literal(value) if special else value


def _ascii(text: str) -> str:
    """A comment's text."""
    return text.encode("ascii", "backslashreplace").decode().replace("\n", " ")
