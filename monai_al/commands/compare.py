# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""``compare``: run several strategies with several seeds, and print their tables."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from monai_al.assets import asset_candidates, asset_folders, find_asset
from monai_al.commands.parsing import add_command, existing_folder
from monai_al.options import OPTIONS, literal

if TYPE_CHECKING:
    from monai_al.comparison import Comparison

__all__ = ["add_to", "compare"]

_OF_ALL = ("timeout_min", "mem_gb", "nodes", "tasks_per_node", "stderr_to_stdout")


def add_to(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command and its options; returns its parser.

    Example:
        >>> parser = add_to(argparse.ArgumentParser().add_subparsers())
        >>> parser.parse_args(["--config", "mine.yaml", "--output_dir", "out", "--seeds", "3", "4"]).seeds
        [3, 4]
    """
    parser = add_command(
        commands,
        "compare",
        compare,
        "run several strategies with several seeds, paired by seed, and print their tables and paired tests",
        "  python -m monai_al compare --config selective_uncertainty_table3 \\\n"
        "    --dataset_dir Task04_Hippocampus --output_dir runs/table3 --workers 2\n"
        "  python -m monai_al compare --config my_comparison.yaml --output_dir runs/mine --seeds 3 4\n"
        "  python -m monai_al compare --config my_comparison.yaml --output_dir runs/mine --plan\n"
        "  python -m monai_al compare --config my_comparison.yaml --output_dir runs/mine --table_only\n"
        "  python -m monai_al compare --config my_comparison.yaml --output_dir runs/mine --on ray --cpus 2\n"
        "  python -m monai_al compare --config my_comparison.yaml --output_dir runs/mine --on slurm --gpus 1 \\\n"
        "    --slurm partition=gpu timeout_min=600\n"
        "The same command goes on where it was stopped; what is done is not done again.\n",
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="a comparison: its path, or its installed name")
    parser.add_argument("--output_dir", required=True, metavar="O", help="where the runs, the tables and the figure go")
    parser.add_argument("--dataset_dir", metavar="D", help="folder of the data set, for all runs")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", help="these seeds instead of the config's")
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="runs at once; more than one need threads in the options (default: 1, and on a cluster as many as it has "
        "room for)",
    )
    parser.add_argument(
        "--on",
        choices=("here", "ray", "slurm"),
        default="here",
        help="where runs are done: in processes here (default), on a Ray cluster, or as jobs of Slurm",
    )
    parser.add_argument("--address", metavar="A", help="of the Ray cluster (default: one is started here)")
    parser.add_argument("--cpus", type=int, default=1, metavar="N", help="CPUs for each run on a cluster (default 1)")
    parser.add_argument("--gpus", type=float, default=0, metavar="N", help="GPUs for each run there (default 0)")
    parser.add_argument(
        "--slurm",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="more for each job: partition=gpu, mem_gb=16, timeout_min=600 (default 1440), ...",
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument(
        "--plan",
        action="store_true",
        help="start nothing, only say what is done, what is left and how long it may take",
    )
    only.add_argument(
        "--table_only", action="store_true", help="start nothing, only make the tables and the figure of what is done"
    )
    parser.add_argument(
        "--trust", action="store_true", help="draw figures of runs that are not your own, which executes their configs"
    )
    return parser


def compare(arguments: argparse.Namespace) -> None:
    """Do the runs of a comparison that are not done yet; print and write its tables, and draw its figure.

    Before anything is started it says on stderr what is left, how long that may take, and whether there are too few
    seeds for a significant difference.

    Args:
        arguments: as the parser gives them.

    Raises:
        ValueError: the comparison cannot be used, or runs failed.
        SystemExit: it was stopped by Ctrl-C, a SIGTERM, or the end of its terminal.

    Example:
        >>> from monai_al.commands import main
        >>> main(["compare", "--config", "no/such/file.yaml", "--output_dir", "out"])
        2
    """
    from monai_al.comparison import run_all

    _check_place(arguments)
    if arguments.dataset_dir and not Path(arguments.dataset_dir).expanduser().exists():
        raise ValueError(f"--dataset_dir {arguments.dataset_dir}: does not exist; give the folder of the data set")
    path, output = _comparison_file(arguments.config), Path(arguments.output_dir).expanduser()
    if output.is_file():
        raise ValueError(f"{output} is a file: give a folder by --output_dir")
    comparison = _asked_comparison(path, arguments)
    where: dict[str, Any] = {}
    if arguments.table_only:
        existing_folder(arguments.output_dir, of="a comparison")
    if not arguments.table_only:
        _check_figures(comparison)
        if not arguments.plan:
            where = _where(arguments, output)
        workers = where["place"].at_once if "place" in where else arguments.workers or 1
        _tell_plan(comparison, output, workers, file=sys.stdout if arguments.plan else sys.stderr)
    if arguments.plan:
        return
    try:
        failures = [] if arguments.table_only else run_all(comparison.planned(output), **where)
    except KeyboardInterrupt as stop:
        print("stopped, and all runs with it; the same command goes on where they stopped", file=sys.stderr)
        raise SystemExit(128 + getattr(stop, "number", signal.SIGINT)) from None
    problems = [f"runs that failed: {len(failures)}", *failures] if failures else []
    try:
        _write_tables(comparison.with_seeds_of(output), output, path.stem, trust=arguments.trust)
    except ValueError as error:
        problems.append(f"there is no table: {error}")
    if problems:
        raise ValueError("\n".join(problems))


def _check_place(arguments: argparse.Namespace) -> None:
    """Refuse options of places that do not fit together, before anything is read."""
    for name, least in (("workers", 1), ("cpus", 1), ("gpus", 0)):
        value = getattr(arguments, name)
        if value is not None and value < least:
            raise ValueError(f"--{name} must be at least {least}, got {value}")
    if arguments.on == "here" and (arguments.cpus, arguments.gpus) != (1, 0):
        raise ValueError("--cpus and --gpus are for each run on a cluster: give --on ray or --on slurm, too")
    if arguments.address and arguments.on != "ray":
        raise ValueError("--address is that of a Ray cluster: give --on ray, too")
    if arguments.slurm and arguments.on != "slurm":
        raise ValueError("--slurm tells more of jobs of Slurm: give --on slurm, too")
    wrong = next((text for text in arguments.slurm if not all(text.partition("=")[::2])), None)
    if wrong is not None:
        raise ValueError(f"--slurm {wrong}: give NAME=VALUE, such as partition=gpu")
    if arguments.on == "slurm" and arguments.gpus != int(arguments.gpus):
        raise ValueError(f"--gpus {arguments.gpus:g}: Slurm gives whole GPUs")


def _where(arguments: argparse.Namespace, output: Path) -> dict[str, Any]:
    """Where the runs are done, and how many at once."""
    from monai_al.comparison.on_ray import OnRay
    from monai_al.comparison.on_slurm import OnSlurm

    if arguments.on == "ray":
        cpus, gpus = arguments.cpus, arguments.gpus
        return {"place": OnRay(arguments.address, cpus=cpus, gpus=gpus, at_once=arguments.workers)}
    if arguments.on == "slurm":
        asked = dict(text.partition("=")[::2] for text in arguments.slurm)
        # submitit has a few options of all schedulers; what else there is are those of Slurm
        options = {name if name in _OF_ALL else f"slurm_{name}": _value(text) for name, text in asked.items()}
        jobs = output / "jobs"
        return {"place": OnSlurm(jobs, arguments.cpus, int(arguments.gpus), arguments.workers, options)}
    return {"workers": arguments.workers or 1}


def _value(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _asked_comparison(path: Path, arguments: argparse.Namespace) -> Comparison:
    """What a file holds, with the seeds and the data set of the command line."""
    from dataclasses import replace

    from monai_al.comparison import read_comparison

    comparison = read_comparison(path, find_asset)
    if arguments.seeds:
        for seed in arguments.seeds:
            OPTIONS["seed"].checked(seed)
        comparison = replace(comparison, seeds=tuple(dict.fromkeys(arguments.seeds)))
    if arguments.dataset_dir:
        folder = literal(str(Path(arguments.dataset_dir).expanduser().resolve()))
        comparison = replace(comparison, options={**comparison.options, "dataset_dir": folder})
    return comparison


def _tell_plan(comparison: Comparison, output: Path, workers: int, *, file: TextIO) -> None:
    """Say what is left of a comparison, and warn of too few seeds."""
    from monai_al.comparison import seeds_warning, work_left, work_text

    work = work_left(comparison.planned(output))
    print(work_text(comparison.title, work, workers), file=file)
    warning = seeds_warning(comparison, len(comparison.with_seeds_of(output).seeds))
    if warning:
        print(f"warning: {warning}", file=sys.stderr)


def _write_tables(comparison: Comparison, output: Path, name: str, *, trust: bool) -> None:
    """Print the tables of a comparison, and write them and the figures."""
    from monai_al.comparison import comparison_table, comparison_text, write_comparison_figure
    from monai_al.records.files import write_file

    table = comparison_table(comparison, output)
    text = "\n\n".join([comparison_text(comparison, table), *_more_figures(comparison, output, trust)])
    content, file = f"{text}\n".encode(), output / f"{name}.md"
    if not file.is_file() or file.read_bytes() != content:
        write_file(file, lambda opened: opened.write(content))
    if table["curves"]:
        write_comparison_figure(comparison, table, output / f"{name}.png")
    print(text)


def _check_figures(comparison: Comparison) -> None:
    """Refuse figures that cannot be drawn."""
    if comparison.figures:
        from monai_al.comparison.figures import check_encoders  # loads MONAI

        check_encoders(comparison)


def _more_figures(comparison: Comparison, output: Path, trust: bool) -> list[str]:
    """Draw the figures that the comparison asks for; returns what to tell of them."""
    if not comparison.figures:
        return []
    from monai_al.comparison.figures import write_figures  # loads MONAI

    return write_figures(comparison, output, trust=trust)


def _comparison_file(name: str) -> Path:
    """The file itself, or the installed comparison of that name; else the name, for the reader to refuse."""
    installed = (asset_candidates(inner, asset_folders()) for inner in (f"comparisons/{name}", name))
    files = (path for paths in installed for path in paths)
    return next((path for path in (Path(name).expanduser(), *files) if path.is_file()), Path(name))
