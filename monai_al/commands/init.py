# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""``init``: look at a folder of scans, show what is understood of it, and write an overlay that a bundle runs on."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from monai_al.assets import docs_page
from monai_al.commands.parsing import add_command, label_values

if TYPE_CHECKING:
    from monai_al.datasets.survey import Survey

__all__ = ["add_to", "write_overlay"]

OUTPUT = "my_data.yaml"
MODALITIES = {"ct": "CT", "mr": "MR"}


def add_to(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command and its options; returns its parser.

    Example:
        >>> parser = add_to(argparse.ArgumentParser().add_subparsers())
        >>> parser.parse_args(["scans", "--classes", "background,liver"]).classes
        ['background', 'liver']
    """
    parser = add_command(
        commands,
        "init",
        write_overlay,
        "look at a folder of scans, and write an overlay that a bundle runs on",
        "  python -m monai_al init scans\n"
        '  python -m monai_al init scans --patient "(case\\d+)" --classes background,liver --modality ct\n'
        '  python -m monai_al init my_bids --images "sub-*_T1w.*" --labels "derivatives/manual/*_dseg.*"\n'
        "  python -m monai_al init lists/dataset_0.json --output lists/dataset_0.yaml\n"
        "  python -m monai_al run active_learning my_data.yaml --output_dir runs/my_data\n",
    )
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        help="NIfTI, MetaImage, NRRD, DICOM or pictures, with or without labels; nnU-Net, Decathlon, BIDS; or a JSON "
        "file that lists images",
    )
    parser.add_argument("--output", default=OUTPUT, metavar="FILE", help=f"the overlay to write (default {OUTPUT})")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE where it is there")
    parser.add_argument("--patient", metavar="REGEX", help="finds the patient in an image's name, as its first group")
    parser.add_argument("--classes", type=_names, metavar="A,B,C", help="names of the classes, background first")
    parser.add_argument(
        "--label_values",
        type=label_values,
        metavar="'{0: 0, 255: 1}'",
        help="stored value: class number, or 255 for not annotated (default: as the labels or a list tell)",
    )
    parser.add_argument(
        "--modality", choices=tuple(MODALITIES), help="what the images are (default: as the files tell)"
    )
    parser.add_argument("--images", metavar="NAME", help="sub-folder of the images, or a pattern such as '*_t1.nii.gz'")
    parser.add_argument(
        "--labels", metavar="NAME", help="sub-folder of the labels, or a pattern such as '*_seg.nii.gz'"
    )
    parser.add_argument("--channel", type=int, metavar="N", help="take one channel of each image, counted from 0")
    parser.add_argument("--read", action="store_true", help="read every volume as a run would, not its headers alone")
    return parser


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if len(names) < 2 or not all(names):
        raise argparse.ArgumentTypeError(f"{text!r}: give two names or more, as background,liver")
    return names


def write_overlay(arguments: argparse.Namespace) -> None:
    """Print what a folder holds, and write the overlay.

    Args:
        arguments: as the parser gives them.

    Raises:
        ValueError: the overlay is there or cannot be written, or the folder's data cannot be used as they are.

    Example:
        >>> import tempfile
        >>> from monai_al.commands import main
        >>> from monai_al.datasets import phantom
        >>> with tempfile.TemporaryDirectory() as root:
        ...     pool = phantom(f"{root}/scans", patients=2, shape=(32, 32, 8))
        ...     code = main(["init", pool.root, "--output", f"{root}/mine.yaml"])
        ...     text = Path(root, "mine.yaml").read_text()
        layout    files in a folder
        volumes   4, 32 slices
        ...
        >>> "slice_axis: 2" in text
        True
    """
    output = _output(arguments)
    from monai_al.datasets.overlay import overlay_text
    from monai_al.datasets.summary import facts_text
    from monai_al.datasets.survey import survey
    from monai_al.datasets.survey_facts import survey_facts
    from monai_al.records.files import write_file

    found = survey(
        Path(arguments.folder),
        images=arguments.images,
        labels=arguments.labels,
        patient=arguments.patient,
        classes=arguments.classes,
        label_values=arguments.label_values,
        modality=MODALITIES.get(arguments.modality),
        channel=arguments.channel,
        read=arguments.read,
    )
    print(facts_text(survey_facts(found)))
    text = overlay_text(found).encode("ascii")
    write_file(output, lambda file: file.write(text))
    print(_next(found, output))


def _output(arguments: argparse.Namespace) -> Path:
    """Where the overlay is to be written.

    Raises:
        ValueError: something is there, its folder is not, or its name is not that of an overlay.
    """
    path = Path(arguments.output).expanduser()
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise ValueError(f"--output {path}: an overlay is YAML; let its name end in .yaml")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ValueError(f"--output {path}: is a folder, or lies in one that is not there; name a file")
    if path.exists() and not arguments.overwrite:
        raise ValueError(f"--output {path}: is there already; name another file, or replace it by --overwrite")
    return path


def _next(survey: Survey, output: Path) -> str:
    lines = [f"{output} is written; read it, and edit what is not right. Then:"]
    if not survey.options["require_labels"]:
        without = "Not all volumes have a label" if survey.labeled else "No volume has a label"
        lines.insert(0, f"{without}: people draw them in any program, see {docs_page('annotators.md')}.")
    if survey.left_out:
        lines.insert(0, f"{len(survey.left_out)} volumes are left out, see exclude in {output}; mend or remove them.")
    people = "" if survey.options["require_labels"] else " annotators/folder"
    command = (
        f"python -m monai_al run active_learning {shlex.quote(str(output))}{people} --output_dir runs/{output.stem}"
    )
    return "\n".join(["", *lines, f"  {command}"])
