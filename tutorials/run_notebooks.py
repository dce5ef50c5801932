# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Run the notebooks from top to bottom, each in an empty folder of its own.

    python tutorials/run_notebooks.py [NAME.ipynb ...] [--write] [--keep FOLDER]

Each of them is one process with one thread; two run at a time. An error ends with the cell that raised it. With --write
the outputs are stored in the notebooks; without it these stay as they are.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).parent
LIMIT = 600  # seconds for a cell
BAR = re.compile(r"^.*\d+%\|.*\|.*\[.*\].*\n?", re.MULTILINE)  # a progress bar of tqdm


def main() -> None:
    args = parse_args()
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "COLUMNS": "100"}
    failed = []
    with ThreadPoolExecutor(2) as workers:
        jobs = {workers.submit(run, path, args.keep): path for path in args.notebooks}
        for job in as_completed(jobs):
            path = jobs[job]
            try:
                notebook, seconds = job.result()
            except CellExecutionError as error:
                failed.append(path.name)
                print(f"{path.name}: {error}", file=sys.stderr, flush=True)
                continue
            print(f"{path.name}: {seconds:.0f} s", flush=True)
            if args.write:
                nbformat.write(notebook, path)
    if failed:
        sys.exit(f"error: {', '.join(failed)}: a cell failed, see above")


def run(path: Path, keep: Path | None = None) -> tuple[Any, float]:
    """A notebook with its outputs, and the seconds that it took."""
    notebook, start = nbformat.read(path, as_version=4), time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if keep is None else keep.resolve() / path.stem
        folder.mkdir(parents=True, exist_ok=True)
        client = NotebookClient(notebook, timeout=LIMIT, resources={"metadata": {"path": str(folder)}})
        client.execute()
        return cleaned(notebook, folder), time.monotonic() - start


def cleaned(notebook: Any, folder: Path) -> Any:
    """Leave out progress bars, and what differs between machines: times of execution, and the folder."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            if "text" in output:
                text = BAR.sub("", output["text"].replace(f"{folder}/", "").replace(str(folder), "."))
                text = re.sub(r"^.*\r(?!\n)|^ {20,}(?=\d\d:)", "", text, flags=re.MULTILINE)
                output["text"] = re.sub(r"^\s*\n|(?<=\n\n)\n+", "", text)
        if cell.cell_type == "code":
            cell["outputs"] = merged([one for one in cell.get("outputs", ()) if one.get("text") != ""])
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    return notebook


def merged(outputs: list[Any]) -> list[Any]:
    """Streams of one kind that follow each other as one."""
    kept: list[Any] = []
    for one in outputs:
        if one["output_type"] == "stream" and kept and kept[-1].get("name") == one["name"]:
            kept[-1]["text"] += one["text"]
        else:
            kept.append(one)
    return kept


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(FOLDER.glob("*.ipynb")), metavar="NAME.ipynb")
    parser.add_argument("--write", action="store_true", help="store the outputs in the notebooks")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="run in sub-folders of this one, and leave them")
    return parser.parse_args()


if __name__ == "__main__":
    main()
