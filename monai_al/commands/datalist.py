# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""``datalist``: read and check a data set, and say what is in it."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_al.commands.parsing import add_command, label_values

if TYPE_CHECKING:
    from monai_al.records import Pool

__all__ = ["ALIASES", "DATASETS", "add_to", "datalist"]

ALIASES = {"hippocampus": "decathlon", "spleen": "decathlon"}
DATASETS = (
    "acdc",
    "brats",
    "chaos",
    "datalist",
    "davis",
    "decathlon",
    "folder",
    "isic",
    "lgg",
    "ms_cmr",
    "phantom",
    "promise12",
    *ALIASES,
)


def add_to(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command and its options; returns its parser.

    Example:
        >>> parser = add_to(argparse.ArgumentParser().add_subparsers())
        >>> parser.parse_args(["acdc", "--dataset_dir", "ACDC", "--phases", "ED"]).phases
        ['ED']
    """
    parser = add_command(
        commands,
        "datalist",
        datalist,
        "read and check a data set, and say what is in it",
        "  python -m monai_al datalist hippocampus --dataset_dir Task04_Hippocampus\n"
        "  python -m monai_al datalist spleen --dataset_dir Task09_Spleen --test_fraction 0.33 --json spleen.json\n"
        "  python -m monai_al datalist brats --dataset_dir BraTS2019 --grade LGG --target core --no_read\n"
        "  python -m monai_al datalist datalist --dataset_dir my_list.json --fold 0\n"
        '  python -m monai_al datalist folder --dataset_dir my_data --patient "(case\\d+)"\n'
        "  python -m monai_al datalist acdc --dataset_dir ACDC --labels scribbles --test_patients patient001\n"
        "  python -m monai_al datalist acdc --dataset_dir ACDC --deviation --no_read\n"
        "  python -m monai_al datalist phantom --dataset_dir phantoms\n",
    )
    parser.add_argument("dataset", metavar="DATASET", choices=DATASETS, help=", ".join(DATASETS))
    parser.add_argument("--dataset_dir", required=True, metavar="D", help="folder of the data set")
    parser.add_argument(
        "--item", choices=("slice", "volume"), default="slice", help="what an expert annotates in one go"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the summary and all items to this file")
    parser.add_argument("--no_read", action="store_true", help="list only: read headers, not the voxels")
    parser.add_argument(
        "--deviation",
        nargs="?",
        type=int,
        const=256,
        metavar="N",
        help="also say how much the slices that may be annotated differ, resized to N x N (default 256)",
    )
    split = parser.add_argument_group("split, always by patient (default: the data set's own, if any)")
    split.add_argument(
        "--test_fraction", type=float, default=0.0, metavar="F", help="share of the patients for testing"
    )
    split.add_argument("--validation_fraction", type=float, default=0.0, metavar="F", help="... and for validation")
    split.add_argument("--split_seed", type=int, default=0, metavar="N", help="seed of the split (default 0)")
    _add_dataset_options(parser.add_argument_group("of some data sets only"))
    return parser


def _add_dataset_options(group) -> None:
    options: list[tuple[str, dict[str, Any]]] = [
        (
            "skip_incomplete",
            {"action": "store_true", "help": "all but phantom: leave out what lacks a file instead of failing"},
        ),
        (
            "unlabeled",
            {
                "action": "store_true",
                "dest": "require_labels",
                "help": "all but decathlon and phantom: take images without a label, too",
            },
        ),
        ("modality", {"help": "brats: flair (default), t1, t1c, t1ce, t2"}),
        ("target", {"help": "brats: whole (default), core, enhancing, raw"}),
        ("grade", {"help": "brats: HGG or LGG only (default: both)"}),
        ("part", {"help": "promise12: train or test (default: train where there is one)"}),
        ("whole_gland", {"action": "store_true", "help": "promise12: join the zones 1 and 2 of copies that have them"}),
        (
            "parts",
            {"nargs": "+", "metavar": "P", "help": "isic: train, validation, test (default: all that are there)"},
        ),
        ("sequences", {"nargs": "+", "metavar": "NAME", "help": "davis: these alone"}),
        ("images", {"help": "folder: sub-folder of the images, or a pattern such as '*_t1.nii.gz'"}),
        ("labels", {"help": "folder: the same of the labels; acdc: masks (default) or scribbles"}),
        ("exclude", {"nargs": "+", "metavar": "NAME", "help": "folder, datalist: volumes to leave out"}),
        ("scribble_folder", {"metavar": "FOLDER", "help": "acdc: where the scribbles lie, if not beside the images"}),
        ("phases", {"nargs": "+", "metavar": "P", "help": "acdc: ED, ES (default: both)"}),
        ("validation_patients", {"nargs": "*", "metavar": "NAME", "help": "acdc: the validation part"}),
        ("test_patients", {"nargs": "*", "metavar": "NAME", "help": "acdc: the test part, beside the folder testing"}),
        ("file", {"metavar": "JSON", "help": "datalist: the list, if not dataset.json or the only one"}),
        (
            "image_key",
            {"nargs": "+", "metavar": "KEY", "help": "datalist: where in an entry the image stands, or channels"},
        ),
        ("label_key", {"metavar": "KEY", "help": "datalist: where in an entry the label stands"}),
        ("fold", {"type": int, "metavar": "N", "help": "datalist: the fold that is the validation part"}),
        ("patient", {"metavar": "REGEX", "help": "folder, datalist: finds the patient in an image's name"}),
        (
            "channel",
            {"type": int, "metavar": "N", "help": "folder, datalist: one channel of each image, from 0"},
        ),
        ("classes", {"nargs": "+", "metavar": "NAME", "help": "folder, datalist, phantom: names, background first"}),
        (
            "slice_axis",
            {
                "choices": ("0", "1", "2", "coarsest"),
                "help": "folder, datalist, decathlon: the stored axis of the slices, counted from 0 (default 2), or "
                "that of the largest voxel size of each file",
            },
        ),
        (
            "label_values",
            {
                "type": label_values,
                "metavar": "'{0: 0, 255: 1}'",
                "help": "folder, datalist, decathlon: stored value: class number, or 255 for not annotated",
            },
        ),
        (
            "affine_tolerated",
            {
                "action": "store_true",
                "help": "folder, datalist, decathlon: use the image's geometry where that of its label differs",
            },
        ),
        ("patients", {"type": int, "metavar": "N", "help": "phantom: number of patients"}),
        ("shape", {"type": int, "nargs": 3, "metavar": "N", "help": "phantom: H W D"}),
        ("channels", {"type": int, "metavar": "N", "help": "phantom: image channels"}),
        ("scribbles", {"action": "store_true", "help": "phantom: draw scribbles, too"}),
    ]
    for name, settings in options:
        group.add_argument(f"--{name}", default=argparse.SUPPRESS, **settings)


def datalist(arguments: argparse.Namespace) -> None:
    """Print what is in a data set, after reading and checking all of it.

    Args:
        arguments: as the parser gives them.

    Raises:
        ValueError: the data set cannot be used, an option does not belong to it, or the JSON file cannot be written.

    Example:
        >>> import tempfile
        >>> from monai_al.commands import main
        >>> with tempfile.TemporaryDirectory() as root:
        ...     code = main(["datalist", "phantom", "--dataset_dir", root, "--patients", "2", "--no_read"])
        patients  2
        volumes   4
        items     64 (64 with ground truth)
        classes   0 background, 1 liver, 2 lesion
        note      This is a phantom, drawn by a program: good for trying things out, not for results.
    """
    from monai_al.datasets import describe, description_text, deviation_text, slice_deviations
    from monai_al.records import split_by_patient

    if arguments.deviation is not None and arguments.deviation < 1:
        raise ValueError(f"--deviation {arguments.deviation}: give the rows and columns of the slices, such as 256")
    if arguments.json and (Path(arguments.json).is_dir() or not Path(arguments.json).absolute().parent.is_dir()):
        raise ValueError(f"--json {arguments.json}: is a folder, or lies in one that is not there; name a file")
    pool = _pool(arguments)
    if arguments.test_fraction or arguments.validation_fraction:
        pool = split_by_patient(
            pool, test=arguments.test_fraction, validation=arguments.validation_fraction, seed=arguments.split_seed
        )
    summary = describe(pool, read=not arguments.no_read)
    print(description_text(summary))
    if arguments.deviation is not None:
        print(deviation_text(slice_deviations(pool, arguments.deviation)))
    if arguments.json:
        _write_json(Path(arguments.json), pool, summary)


def _pool(arguments: argparse.Namespace) -> Pool:
    import monai_al.datasets

    load = getattr(monai_al.datasets, ALIASES.get(arguments.dataset, arguments.dataset))
    common = {"command", "run", "dataset", "dataset_dir", "deviation", "json", "no_read"}
    common |= {"test_fraction", "validation_fraction", "split_seed"}
    options = {name: value for name, value in vars(arguments).items() if name not in common}
    if "require_labels" in options:
        options["require_labels"] = False
    unknown = sorted(set(options) - set(inspect.signature(load).parameters))
    if unknown:
        flags = ", ".join("--unlabeled" if name == "require_labels" else f"--{name}" for name in unknown)
        raise ValueError(f"{flags}: no option of {arguments.dataset}")
    return load(arguments.dataset_dir, **options)


def _write_json(path: Path, pool: Pool, summary: Mapping[str, Any]) -> None:
    from dataclasses import asdict

    from monai_al.records.files import write_json

    content = {
        "summary": summary,
        "root": pool.root,
        "label_values": {str(value): number for value, number in pool.label_values.items()},
        "items": [asdict(item) for item in pool],
    }
    write_json(path, content)
