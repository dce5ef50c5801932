# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The command line: find bundles and configs, look at data sets, see how a run is doing.

Help and ``where`` load neither torch nor MONAI: every command imports what it needs when it is called.
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from monai_al.comparison import Comparison
    from monai_al.records import Pool

__all__ = ["asset_folders", "asset_names", "datalist", "find_asset", "main", "print_where", "status"]

ASSET_KINDS = ("bundles", "configs")
CONFIG_SUFFIXES = (".yaml", ".yml", ".json")
ALIASES = {"hippocampus": "decathlon", "spleen": "decathlon"}
DATASETS = ("acdc", "brats", "chaos", "davis", "decathlon", "folder", "lgg", "ms_cmr", "phantom", "promise12", *ALIASES)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments. Default: those of the process.

    Returns:
        The exit code: 0, or 2 after an error, which is told on stderr without a traceback.

    Example:
        >>> main(["status", "no/such/folder"])
        2
    """
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (ValueError, OSError) as error:  # a DataError is a ValueError
        print(f"monai_al {arguments.command}: error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m monai_al",
        description="Active learning for medical image segmentation with MONAI.",
        epilog=(
            "examples:\n"
            "  python -m monai_al where                             list all bundles and configs\n"
            "  python -m monai_al where selective_uncertainty_spleen\n"
            "  python -m monai_al datalist hippocampus --dataset_dir Task04_Hippocampus\n"
            "  python -m monai_al status runs/spleen\n"
            "  python -m monai_al report runs/spleen\n\n"
            "'python -m monai_al COMMAND --help' tells more about a command."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_where(commands)
    _add_datalist(commands)
    _add_status(commands)
    _add_report(commands)
    _add_compare(commands)
    return parser


def _add(commands, name: str, run: Callable[[argparse.Namespace], None], summary: str, examples: str):
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog="examples:\n" + examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


# --- where -----------------------------------------------------------------------------------------------------------


def _add_where(commands) -> None:
    parser = _add(
        commands,
        "where",
        print_where,
        "print the path of a bundle or a config overlay, or list all of them",
        "  python -m monai_al where\n"
        "  python -m monai_al where selective_uncertainty_spleen\n"
        "  python -m monai_al where datasets/hippocampus\n"
        "  python -m monai.bundle run --config_file \\\n"
        '    "$(python -m monai_al where selective_uncertainty_spleen)/configs/active_learning.yaml"\n',
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="such as strategies/entropy; left out: list everything")


def print_where(arguments: argparse.Namespace, folders: Mapping[str, Path] | None = None) -> None:
    """Print the path of what ``arguments.name`` names, or all names.

    Args:
        arguments: with ``name``, a string or None.
        folders: kind -> folder. Default: :func:`asset_folders`.

    Raises:
        ValueError: nothing has this name; the message gives close matches.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     Path(root, "my_bundle").mkdir()
        ...     print_where(argparse.Namespace(name=None), {"bundles": Path(root)})
        bundles:
          my_bundle
    """
    folders = asset_folders() if folders is None else folders
    if arguments.name is not None:
        print(find_asset(arguments.name, folders))
        return
    for kind, folder in folders.items():
        print(f"{kind}:")
        for name in asset_names(kind, folder):
            print(f"  {name}")


def asset_folders() -> dict[str, Path]:
    """The folders of bundles and configs: in the installed package, else in the source checkout around it.

    Returns:
        Kind -> folder, for the kinds that are there.

    Example:
        >>> set(asset_folders()) <= {"bundles", "configs"}
        True
    """
    package = Path(__file__).resolve().parent
    checkout = package.parent if (package.parent / "pyproject.toml").is_file() else package
    candidates = {kind: (package / kind, checkout / kind) for kind in ASSET_KINDS}
    found = {kind: next((f for f in choices if f.is_dir()), None) for kind, choices in candidates.items()}
    return {kind: folder for kind, folder in found.items() if folder is not None}


def asset_names(kind: str, folder: Path) -> list[str]:
    """The names in a folder: sub-folders for bundles, config files without suffix, with their folder, for configs.

    Example:
        >>> asset_names("bundles", Path("no such folder"))
        []
    """
    if not folder.is_dir():
        return []
    if kind == "bundles":
        return sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] not in "._")
    files = (path for path in folder.rglob("*") if path.suffix in CONFIG_SUFFIXES)
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in files)


def find_asset(name: str, folders: Mapping[str, Path] | None = None) -> Path:
    """The path of a bundle's folder, of a config, or of a file inside a bundle.

    Args:
        name: such as ``selective_uncertainty_spleen``, ``strategies/entropy`` or ``datasets/hippocampus.yaml``; the
            kind may stand in front of it, as in ``configs/strategies/entropy``.
        folders: kind -> folder. Default: :func:`asset_folders`.

    Raises:
        ValueError: nothing has this name; the message gives close matches.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     _ = Path(root, "entropy.yaml").write_text("")
        ...     find_asset("entropy", {"configs": Path(root)}).name
        'entropy.yaml'
    """
    folders = asset_folders() if folders is None else folders
    for path in _candidates(name.strip("/"), folders):
        if path.exists():
            return path
    known = [known for kind, folder in folders.items() for known in asset_names(kind, folder)]
    if not known:
        raise ValueError(
            f"no bundles and no configs are installed, so {name!r} is not there; install the package again"
        )
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    close += [k for k in known if k.rsplit("/", 1)[-1] == Path(name).stem and k not in close]
    hint = f"did you mean {' or '.join(close)}?" if close else "'where' without a name lists all there is"
    raise ValueError(f"no bundle or config is called {name!r}; {hint}")


def _candidates(name: str, folders: Mapping[str, Path]) -> Iterator[Path]:
    if not name or ".." in Path(name).parts or Path(name).is_absolute():
        return
    for kind, folder in folders.items():
        for inner in dict.fromkeys((name, name.removeprefix(f"{kind}/"))):
            yield from (folder / f"{inner}{suffix}" for suffix in ("", *CONFIG_SUFFIXES))


# --- datalist --------------------------------------------------------------------------------------------------------


def _add_datalist(commands) -> None:
    parser = _add(
        commands,
        "datalist",
        datalist,
        "read and check a data set, and say what is in it",
        "  python -m monai_al datalist hippocampus --dataset_dir Task04_Hippocampus\n"
        "  python -m monai_al datalist spleen --dataset_dir Task09_Spleen --test_fraction 0.33 --json spleen.json\n"
        "  python -m monai_al datalist brats --dataset_dir BraTS2019 --grade LGG --target core --no_read\n"
        '  python -m monai_al datalist folder --dataset_dir my_data --patient "(case\\d+)"\n'
        "  python -m monai_al datalist acdc --dataset_dir ACDC --labels scribbles --test_patients patient001\n"
        "  python -m monai_al datalist phantom --dataset_dir phantoms\n",
    )
    parser.add_argument("dataset", metavar="DATASET", choices=DATASETS, help=", ".join(DATASETS))
    parser.add_argument("--dataset_dir", required=True, metavar="D", help="folder of the data set")
    parser.add_argument(
        "--item", choices=("slice", "volume"), default="slice", help="what an expert annotates in one go"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the summary and all items to this file")
    parser.add_argument("--no_read", action="store_true", help="list only: read headers, not the voxels")
    split = parser.add_argument_group("split, always by patient (default: the data set's own, if any)")
    split.add_argument(
        "--test_fraction", type=float, default=0.0, metavar="F", help="share of the patients for testing"
    )
    split.add_argument("--validation_fraction", type=float, default=0.0, metavar="F", help="... and for validation")
    split.add_argument("--split_seed", type=int, default=0, metavar="N", help="seed of the split (default 0)")
    _add_dataset_options(parser.add_argument_group("of some data sets only"))


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
        ("sequences", {"nargs": "+", "metavar": "NAME", "help": "davis: these alone"}),
        ("images", {"help": "folder: sub-folder of the images"}),
        ("labels", {"help": "folder: sub-folder of the labels; acdc: masks (default) or scribbles"}),
        ("scribble_folder", {"metavar": "FOLDER", "help": "acdc: where the scribbles lie, if not beside the images"}),
        ("phases", {"nargs": "+", "metavar": "P", "help": "acdc: ED, ES (default: both)"}),
        ("validation_patients", {"nargs": "*", "metavar": "NAME", "help": "acdc: the validation part"}),
        ("test_patients", {"nargs": "*", "metavar": "NAME", "help": "acdc: the test part, beside the folder testing"}),
        ("patient", {"metavar": "REGEX", "help": "folder: finds the patient in an image's name"}),
        ("classes", {"nargs": "+", "metavar": "NAME", "help": "folder, phantom: names, background first"}),
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
        ValueError: the data set cannot be used, or an option does not belong to it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     code = main(["datalist", "phantom", "--dataset_dir", root, "--patients", "2", "--no_read"])
        patients  2
        volumes   4
        items     64 (64 with ground truth)
        classes   0 background, 1 liver, 2 lesion
        note      This is a phantom, drawn by a program: good for trying things out, not for results.
    """
    from monai_al.datasets import describe, description_text
    from monai_al.records import split_by_patient

    pool = _pool(arguments)
    if arguments.test_fraction or arguments.validation_fraction:
        pool = split_by_patient(
            pool, test=arguments.test_fraction, validation=arguments.validation_fraction, seed=arguments.split_seed
        )
    summary = describe(pool, read=not arguments.no_read)
    print(description_text(summary))
    if arguments.json:
        _write_json(Path(arguments.json), pool, summary)


def _pool(arguments: argparse.Namespace) -> Pool:
    import monai_al.datasets

    load = getattr(monai_al.datasets, ALIASES.get(arguments.dataset, arguments.dataset))
    common = {"command", "run", "dataset", "dataset_dir", "json", "no_read"}
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

    content = {
        "summary": summary,
        "root": pool.root,
        "label_values": {str(value): number for value, number in pool.label_values.items()},
        "items": [asdict(item) for item in pool],
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


# --- status ----------------------------------------------------------------------------------------------------------


def _add_status(commands) -> None:
    parser = _add(
        commands,
        "status",
        status,
        "say how far a run is and what it waits for",
        "  python -m monai_al status runs/spleen\n",
    )
    parser.add_argument("run_folder", metavar="RUN_FOLDER", help="the output_dir of a run")


def status(arguments: argparse.Namespace) -> None:
    """Print the state of a run folder.

    Args:
        arguments: with ``run_folder``.

    Raises:
        ValueError: there is no such folder.

    Example:
        >>> main(["status", "no/such/folder"])
        2
    """
    folder = Path(arguments.run_folder).expanduser()
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; give the output_dir of a run")
    from monai_al.report.status import describe_run

    print(describe_run(folder))


# --- report ----------------------------------------------------------------------------------------------------------


def _add_report(commands) -> None:
    parser = _add(
        commands,
        "report",
        report,
        "write an HTML page about a run: learning curve, what was chosen and why, predictions beside truth",
        "  python -m monai_al report runs/spleen\n"
        "  python -m monai_al report runs/spleen --items 20 --volumes 8\n"
        "The page is RUN_FOLDER/report/index.html; it needs nothing but the pictures beside it.\n",
    )
    parser.add_argument("run_folder", metavar="RUN_FOLDER", help="the output_dir of a run, finished or not")
    parser.add_argument(
        "--items", type=int, default=8, metavar="N", help="pictures of chosen items per round (default 8; 0: none)"
    )
    parser.add_argument(
        "--volumes", type=int, default=4, metavar="N", help="test volumes shown, best to worst (default 4; 0: none)"
    )
    parser.add_argument("--dataset_dir", metavar="D", help="folder of the data set, if it has moved since the run")


def report(arguments: argparse.Namespace) -> None:
    """Write the report of a run folder and print where it is.

    Args:
        arguments: with ``run_folder``, ``items``, ``volumes`` and ``dataset_dir``.

    Raises:
        ValueError: there is no run folder, or a number is negative.

    Example:
        >>> main(["report", "no/such/folder"])
        2
    """
    folder = Path(arguments.run_folder).expanduser()
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; give the output_dir of a run")
    from monai_al.engines.run_report import write_report

    overrides = {"dataset_dir": arguments.dataset_dir} if arguments.dataset_dir else None
    print(write_report(folder, items=arguments.items, volumes=arguments.volumes, overrides=overrides))


# --- compare ---------------------------------------------------------------------------------------------------------


def _add_compare(commands) -> None:
    parser = _add(
        commands,
        "compare",
        compare,
        "run several strategies with several seeds, paired by seed, and print their tables and paired tests",
        "  python -m monai_al compare --config selective_uncertainty_table3 \\\n"
        "    --dataset_dir Task04_Hippocampus --output_dir runs/table3 --workers 2\n"
        "  python -m monai_al compare --config my_comparison.yaml --output_dir runs/mine --seeds 3 4\n"
        "  python -m monai_al compare --config my_comparison.yaml --output_dir runs/mine --plan\n"
        "  python -m monai_al compare --config my_comparison.yaml --output_dir runs/mine --table_only\n"
        "The same command goes on where it was stopped; what is done is not done again.\n",
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="a comparison: its path, or its installed name")
    parser.add_argument("--output_dir", required=True, metavar="O", help="where the runs, the tables and the figure go")
    parser.add_argument("--dataset_dir", metavar="D", help="folder of the data set, for all runs")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", help="these seeds instead of the config's")
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="runs at once (default 1); more need threads in the options"
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


def compare(arguments: argparse.Namespace) -> None:
    """Do the runs of a comparison that are not done yet; print and write its tables, and draw its figure.

    Before anything is started it says on stderr what is left, how long that may take, and whether there are too few
    seeds for a significant difference.

    Args:
        arguments: as the parser gives them.

    Raises:
        ValueError: the comparison cannot be used, or runs failed.
        SystemExit: it was stopped by Ctrl-C or a SIGTERM.

    Example:
        >>> main(["compare", "--config", "no/such/file.yaml", "--output_dir", "out"])
        2
    """
    from monai_al.comparison import run_all

    if arguments.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {arguments.workers}")
    path, output = _comparison_file(arguments.config), Path(arguments.output_dir).expanduser()
    comparison = _asked_comparison(path, arguments)
    if arguments.table_only and not output.is_dir():
        raise ValueError(f"{output}: no such folder; give the output_dir of a comparison")
    if not arguments.table_only:
        _check_figures(comparison)
        _tell_plan(comparison, output, arguments.workers, file=sys.stdout if arguments.plan else sys.stderr)
    if arguments.plan:
        return
    try:
        failures = [] if arguments.table_only else run_all(comparison.planned(output), workers=arguments.workers)
    except KeyboardInterrupt:
        print("stopped, and all runs with it; the same command goes on where they stopped", file=sys.stderr)
        raise SystemExit(130) from None
    problems = [f"runs that failed: {len(failures)}", *failures] if failures else []
    try:
        _write_tables(comparison.with_seeds_of(output), output, path.stem)
    except ValueError as error:
        problems.append(f"there is no table: {error}")
    if problems:
        raise ValueError("\n".join(problems))


def _asked_comparison(path: Path, arguments: argparse.Namespace) -> Comparison:
    """What a file holds, with the seeds and the data set of the command line."""
    from dataclasses import replace

    from monai_al.comparison import read_comparison

    comparison = read_comparison(path, find_asset)
    if arguments.seeds:
        comparison = replace(comparison, seeds=tuple(dict.fromkeys(arguments.seeds)))
    if arguments.dataset_dir:
        folder = str(Path(arguments.dataset_dir).expanduser().resolve())
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


def _write_tables(comparison: Comparison, output: Path, name: str) -> None:
    """Print the tables of a comparison, and write them and the figures."""
    from monai_al.comparison import comparison_table, comparison_text, write_comparison_figure
    from monai_al.records.files import write_file

    table = comparison_table(comparison, output)
    text = "\n\n".join([comparison_text(comparison, table), *_more_figures(comparison, output)])
    write_file(output / f"{name}.md", lambda file: file.write(f"{text}\n".encode()))
    if table["curves"]:
        write_comparison_figure(comparison, table, output / f"{name}.png")
    print(text)


def _check_figures(comparison: Comparison) -> None:
    """Refuse figures that cannot be drawn."""
    if comparison.figures:
        from monai_al.comparison.figures import check_encoders  # loads MONAI

        check_encoders(comparison)


def _more_figures(comparison: Comparison, output: Path) -> list[str]:
    """Draw the figures that the comparison asks for; returns what to tell of them."""
    if not comparison.figures:
        return []
    from monai_al.comparison.figures import write_figures  # loads MONAI

    return write_figures(comparison, output)


def _comparison_file(name: str) -> Path:
    """The file itself, or the installed comparison of that name; else the name, for the reader to refuse."""
    installed = (_candidates(inner, asset_folders()) for inner in (f"comparisons/{name}", name))
    files = (path for paths in installed for path in paths)
    return next((path for path in (Path(name).expanduser(), *files) if path.is_file()), Path(name))
