# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Commands with bad input, and what they are to say: the table's rows, and how one is run.

A row is a :class:`Case`; ``cases_*.py`` beside this file hold them, in lists called ``CASES``. The command runs in this
process, as MONAI's or our own command line would run it, in a folder of its own; a case that needs signals or the very
exit of Python runs in a process of its own.

    python tests/bad_inputs/bad_inputs.py [WORD ...]     runs the cases whose names hold a word, prints them as Markdown
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "bundles" / "active_learning" / "configs"
PRETRAIN = ROOT / "bundles" / "group_contrastive_cardiac" / "configs" / "pretrain.yaml"
SMALL = """\
phantom: {patients: 3, volumes_per_patient: 1, shape: [32, 32, 6], classes: [background, organ]}
image_size: [32, 32]
channels: [4, 8]
steps: 2
batch_size: 4
device: cpu
"""
LOOP = "rounds: 2\nbudget: 3\nthreads: 1\nprogress: false\n"
_BEGUN = "run/round_00/query.json"
RUN = ("cache", "run*")  # what a loop may leave that has begun


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command with bad input.

    Args:
        name: what is bad about it.
        command: its words. The first is ``monai`` (``python -m monai.bundle run``) or one of ours; ``{here}`` is the
            folder that it runs in, which holds ``small.yaml`` and ``loop.yaml``, ``{run}`` a finished run in it, and
            ``{active_learning}``, ``{train}``, ``{inference}``, ``{evaluate}``, ``{pretrain}`` are configs.
        files: path -> text, which lie there before.
        make: what else happens before, given the folder.
        during: what is replaced while it runs: dotted name -> the function that takes its place.
        status: the exit status.
        says: texts that the last message must hold, or all output where the exit status is 0.
        lines: of stderr, at most; at least one where the exit status is not 0.
        within: seconds after which it is taken for hanging.
        leaves: patterns of what may be new in the folder.
        keeps: the folder ``{run}`` must be as before.
        stop: the signal that a process of its own gets once its first query is there.
        alone: it runs in a process of its own.
        nightly: not in ``make test``.
    """

    name: str
    command: Sequence[str]
    files: dict[str, str] | None = None
    make: Callable[[Path], object] | None = None
    during: dict[str, Callable] | None = None
    status: int = 2
    says: Sequence[str] = ()
    lines: int = 1
    within: int = 300
    leaves: Sequence[str] = ()
    keeps: bool = True
    stop: signal.Signals | None = None
    alone: bool = False
    nightly: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a command did: its exit status, what it wrote to both streams, and the names that are new in its folder."""

    status: int
    out: str
    err: str
    left: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """Of stderr, without MONAI's notice that configs are code."""
        text = [line.rpartition("\r")[2] for line in self.err.split("\n")]  # a bar writes over itself
        text = [line for line in text if line.strip()]
        return [line for line in text if "parsing config_file" not in line and line != "  workflow = create_workflow("]


def all_cases() -> list[Case]:
    """The rows of all tables, in the order of their files."""
    found: list[Case] = []
    for path in sorted(Path(__file__).parent.glob("cases_*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found += module.CASES
    return found


def run_case(case: Case, here: Path, finished: Callable[[], Path]) -> Outcome:
    """Run a command in a new folder.

    Args:
        case: the command.
        here: an empty folder.
        finished: makes a finished run, and gives its folder; called where a case names ``{run}``.
    """
    for name, text in {"small.yaml": SMALL, "loop.yaml": LOOP, **(case.files or {})}.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(text, encoding="utf-8")
    if any("{run}" in word for word in case.command):
        shutil.copytree(finished(), here / "finished")
        shutil.copytree(finished().parent / "cache", here / "cache")
    if case.make:
        case.make(here)
    names = {"here": here, "run": here / "finished", "pretrain": PRETRAIN}
    names |= {name: CONFIGS / f"{name}.yaml" for name in ("active_learning", "train", "inference", "evaluate")}
    words = [
        word.format(**names) if "{" in word and ": " not in word and word != "{0" else word for word in case.command
    ]
    before = set(here.iterdir())
    content = _content(here / "finished")
    try:
        status, out, err = _alone(words, here, case.stop) if case.alone or case.stop else run_inside(words, here, case)
    finally:
        for path in here.rglob("*"):  # which a case may have locked
            if path.is_dir():
                path.chmod(0o755)
    if case.keeps:
        assert _content(here / "finished") == content
    return Outcome(status, out, err, tuple(sorted(path.name for path in set(here.iterdir()) - before)))


def loop(*more: str, config: str = "{active_learning}", overlays: Sequence[str] = ()) -> list[str]:
    """The words of a small loop."""
    files = ", ".join(repr(file) for file in (config, "small.yaml", "loop.yaml", *overlays))
    place = [] if "--output_dir" in more else ["--output_dir", "run"]
    return ["monai", "--config_file", f"[{files}]", *place, *more]


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def run_inside(words: Sequence[str], here: Path, case: Case) -> tuple[int, str, str]:
    """Run a command in this process; gives its exit status and what it wrote to both streams."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(_same_loggers())
        stack.enter_context(_within(case.within))
        stack.enter_context(mock.patch("tempfile.tempdir", stack.enter_context(tempfile.TemporaryDirectory())))
        stack.enter_context(contextlib.chdir(here))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        for name, function in (case.during or {}).items():
            stack.enter_context(mock.patch(name, function))
        try:
            _call(words)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            status = -1
            traceback.print_exc(file=err)
    return status, out.getvalue(), err.getvalue()


def _call(words: Sequence[str]) -> None:
    if words[:1] != ["monai"]:
        from monai_al.commands import main

        raise SystemExit(main(words))
    import fire
    import monai.bundle

    from monai_al.bundle import option_checks
    from monai_al.failures import show_failure, stopping

    typed = functools.partial(option_checks.typed_on_the_command_line, ["run", *words[1:]])
    begun = []  # once a config's imports are evaluated, our message takes the place of the traceback
    initialize = monai.bundle.ConfigWorkflow.initialize

    def begin(workflow):
        begun.append(workflow)
        return initialize(workflow)

    try:
        with (
            mock.patch.object(monai.bundle.ConfigWorkflow, "initialize", begin),
            mock.patch("monai_al.bundle.running_bundle.typed_on_the_command_line", typed),
            stopping(),
        ):
            fire.Fire({"run": monai.bundle.run}, command=["run", *words[1:]])
    except (Exception, KeyboardInterrupt) as error:
        if not begun:
            raise
        raise SystemExit(show_failure(error)) from None


@contextlib.contextmanager
def _within(seconds: int):
    def end(*_):
        raise TimeoutError(f"nothing came for {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _same_loggers():
    """A bundle's logging.conf changes loggers; here they stay as they were."""
    loggers = [logging.root, *map(logging.getLogger, ("monai_al", "monai", "ignite", "ignite.engine.engine"))]
    before = [(one.level, one.propagate, list(one.handlers)) for one in loggers]
    raising = logging.raiseExceptions
    try:
        yield
    finally:
        logging.raiseExceptions = raising
        for one, (level, propagate, handlers) in zip(loggers, before, strict=True):
            one.level, one.propagate, one.handlers = level, propagate, handlers
            one.setLevel(level)  # which empties what loggers remember


def _alone(words: Sequence[str], here: Path, stop: signal.Signals | None) -> tuple[int, str, str]:
    own = ["monai.bundle", "run", *words[1:]] if words[0] == "monai" else ["monai_al", *words]
    process = subprocess.Popen(
        [sys.executable, "-m", *own], cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(here)}, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell lets what it starts with & ignore it
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while stop and not (here / _BEGUN).exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    if stop:
        process.send_signal(stop)
    try:
        out, err = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err


def make_finished(folder: Path) -> Path:
    """A finished run of a small loop."""
    for name, text in {"small.yaml": SMALL, "loop.yaml": LOOP}.items():
        (folder / name).write_text(text, encoding="utf-8")
    words = [word.replace("{active_learning}", str(CONFIGS / "active_learning.yaml")) for word in loop()]
    status, _, err = run_inside(words, folder, Case(name="finished", command=words))
    assert status == 0, err
    return folder / "run"


def problems_of(case: Case, outcome: Outcome) -> list[str]:
    """What is not as the case wants it."""
    lines, found = outcome.lines, []
    if outcome.status != case.status:
        found.append(f"exit status {outcome.status}, not {case.status}")
    if len(lines) > case.lines or not lines and case.status:
        found.append(f"{len(lines)} lines on stderr, not 1 to {case.lines}")
    if "Traceback" in outcome.err + outcome.out:
        found.append("a traceback")
    start = "stopped" if case.status > 128 else "error: "
    message = "\n".join(lines[next((i for i, line in enumerate(lines) if line.startswith(start)), len(lines)) :])
    message = message if case.status else outcome.out + outcome.err
    found += [f"the message does not say {text!r}" for text in case.says if text not in message]
    may_stay = (*case.leaves, "__pycache__")  # Python compiles the modules of a user
    new = [name for name in outcome.left if not any(fnmatch(name, pattern) for pattern in may_stay)]
    return found + ([f"it left {', '.join(new)}"] if new else [])


def main(words: Sequence[str]) -> None:
    """Print the table as Markdown."""
    print("| case | exit status | lines | message | left behind | as wanted |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        made: list[Path] = []

        def finished() -> Path:
            if not made:
                (Path(folder) / "finished").mkdir()
                made.append(make_finished(Path(folder) / "finished"))
            return made[0]

        for number, case in enumerate(all_cases()):
            if words and not any(word in case.name for word in words):
                continue
            here = Path(folder) / f"case_{number}"
            here.mkdir()
            outcome = run_case(case, here, finished)
            message = " ".join(outcome.lines[-case.lines :]).replace("|", "\\|").replace(str(here), ".")
            fine = "; ".join(problems_of(case, outcome)) or "yes"
            left = ", ".join(outcome.left) or "–"
            cells = (case.name, outcome.status, len(outcome.lines), message, left, fine)
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.modules["bad_inputs"] = sys.modules["__main__"]
    main(sys.argv[1:])
