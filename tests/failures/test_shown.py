# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How commands end: the message is the last thing on stderr, a bug's traceback lies in a log."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import pytest
from ignite.engine import Engine
from tqdm import tqdm

from monai_al.commands import main
from monai_al.failures import LOG_NAME, Stopped, log_to, show_errors_briefly, show_failure, shown_errors, stopping

CONFIGS = Path(__file__).parents[2] / "bundles" / "active_learning" / "configs"


def log_named_in(message):
    return Path(message.rstrip("\n").rpartition(" is in ")[2])


# -- bugs --------------------------------------------------------------------------------------------------------------


def test_the_traceback_of_a_bug_lies_where_the_last_line_says(capsys, monkeypatch):
    def bug(*_):
        return {}["secret"]

    monkeypatch.setattr("monai_al.commands.where.asset_names", bug)
    assert main(["where"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: KeyError: secret. This is a bug in monai_al")
    assert told.count("\n") == 1
    log = log_named_in(told)
    text = log.read_text(encoding="utf-8")
    log.unlink()
    assert "Traceback (most recent call last):" in text
    assert f'File "{__file__}"' in text
    assert text.endswith("KeyError: 'secret'\n")


@pytest.mark.nightly
def test_in_earnest_and_into_the_run_folder(tmp_path):
    """MONAI's own command line; a module that a config imports puts the bug into the loop."""
    (tmp_path / "defect.py").write_text(
        "import monai_al.engines.shared_work as a\na.volume_scores = lambda *_, **__: 1 / 0"
    )
    (tmp_path / "mine.yaml").write_text(
        textwrap.dedent("""\
        +imports: ['$import defect']
        phantom: {patients: 3, volumes_per_patient: 1, shape: [16, 16, 6]}
        image_size: [16, 16]
        channels: [4, 8]
        steps: 1
        budget: 2
    """)
    )
    files = [str(CONFIGS / "active_learning.yaml"), "mine.yaml"]
    done = subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(files), "--output_dir", "run"],
        capture_output=True, encoding="utf-8", cwd=tmp_path, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1
    *_, last = done.stderr.splitlines()
    assert last.startswith("error: ZeroDivisionError: division by zero. This is a bug in monai_al")
    assert log_named_in(last) == Path("run", LOG_NAME)
    text = (tmp_path / "run" / LOG_NAME).read_text(encoding="utf-8")
    assert f'File "{tmp_path / "defect.py"}", line 2' in text
    for output in (done.stdout, done.stderr):
        assert "Traceback" not in output
        assert "terminating due to exception" not in output


def test_a_log_that_cannot_be_written_does_not_hide_the_bug(capsys, monkeypatch):
    monkeypatch.setattr("monai_al.failures.log.tempfile.mkstemp", lambda **_: (_ for _ in ()).throw(OSError("full")))
    assert show_failure(ZeroDivisionError("division by zero")) == 1
    assert capsys.readouterr().err.endswith("no log of it could be written\n")


# -- what comes before the message -------------------------------------------------------------------------------------


def test_bars_and_engines_do_not_stand_in_the_way(capsys):
    def fail(engine, batch):
        raise FileNotFoundError(2, "No such file or directory", "a.nii")

    def command():
        bar = tqdm(total=3, desc="training")  # noqa: F841, it is left open, as ignite's are
        print("written, but buffered", end="")
        Engine(fail).run([1])

    logger = logging.getLogger("ignite.engine.engine")
    before = logger.level
    try:
        with pytest.raises(SystemExit) as end:
            shown_errors()(command)()
    finally:
        logger.setLevel(before)
    assert end.value.code == 2
    told = capsys.readouterr()
    assert told.err.endswith("\nerror: a.nii: no such file or folder\n")
    assert "terminating" not in told.err + told.out
    assert told.out == "written, but buffered"


@pytest.mark.parametrize(("command", "status"), [(["where"], 141), (["datalist", "--help"], 0)])
def test_nobody_reads_what_is_printed(command, status):
    reader, writer = os.pipe()
    os.close(reader)
    line = [sys.executable, "-m", "monai_al", *command]
    done = subprocess.run(line, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (status, b"")


def test_a_pipe_between_processes_that_broke_is_told(capfd):
    assert show_failure(BrokenPipeError(errno.EPIPE, "Broken pipe")) == 2
    assert capfd.readouterr().err == "error: BrokenPipeError: broken pipe\n"


def test_nothing_changes_where_no_command_runs(monkeypatch):
    before = sys.excepthook, [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    show_errors_briefly()
    assert before == (sys.excepthook, [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)])


# -- stops -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "status", "words"),
    [
        (None, 130, "stopped by Ctrl-C"),
        (signal.SIGTERM, 143, "stopped by SIGTERM"),
        (signal.SIGHUP, 129, "stopped by SIGHUP"),
    ],
)
@pytest.mark.parametrize("of_a_run", [False, True])
def test_a_stop_is_told_in_one_line(tmp_path, capsys, number, status, words, of_a_run):
    before = signal.getsignal(signal.SIGTERM)

    def stop():
        if number is None:
            raise KeyboardInterrupt
        signal.raise_signal(number)

    with pytest.raises(SystemExit) as end:
        shown_errors()(log_to(tmp_path)(stop) if of_a_run else stop)()
    assert end.value.code == status
    assert capsys.readouterr().err == f"{words}{'; the same command goes on' * of_a_run}\n"
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping():
            signal.raise_signal(signal.SIGHUP)
            with pytest.raises(Stopped):
                signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


# -- the log -----------------------------------------------------------------------------------------------------------


def test_warnings_and_errors_are_kept(tmp_path, capsys):
    @log_to(tmp_path)
    def work():
        logging.getLogger("monai_al.engines").warning("too few items")
        logging.getLogger("monai_al.engines").info("round 1")
        warnings.warn("deprecated", DeprecationWarning, stacklevel=1)
        return 1 / 0

    logger = logging.getLogger("monai_al")
    for propagate in (True, False):
        before, logger.propagate = logger.propagate, propagate
        try:
            with warnings.catch_warnings(action="always"), pytest.raises(ZeroDivisionError):
                work()
        finally:
            logger.propagate = before
        text = (tmp_path / LOG_NAME).read_text(encoding="utf-8")
        assert text.count(" WARNING too few items\n") == text.count(" WARNING DeprecationWarning: deprecated\n") == 1
        assert text.endswith("ZeroDivisionError: division by zero\n")
        assert "round 1" not in text
        (tmp_path / LOG_NAME).unlink()
    with log_to(tmp_path):
        pass
    logging.getLogger("monai_al.engines").warning("afterwards")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("begins", [False, True])
def test_a_folder_is_not_touched_before_it_may_be(tmp_path, begins):
    @log_to(tmp_path, begun=False)
    def refused():
        logging.getLogger().warning("too few items")
        return 1 / 0

    with pytest.raises(ZeroDivisionError):
        refused()
    assert list(tmp_path.iterdir()) == []
    with log_to(tmp_path, begun=False) as log:
        logging.getLogger().warning("before")
        assert list(tmp_path.iterdir()) == []
        if begins:
            log.begin()
            logging.getLogger().warning("after")
    if begins:
        assert [line.split()[-1] for line in log.path.read_text().splitlines()] == ["before", "after"]
    assert [path.name for path in tmp_path.iterdir()] == [LOG_NAME] * begins


def test_a_log_that_cannot_be_opened_stops_nothing(tmp_path, capsys):
    (tmp_path / LOG_NAME).mkdir()

    @log_to(tmp_path)
    def work():
        logging.getLogger().warning("too few items")
        raise ZeroDivisionError("division by zero")

    with pytest.raises(ZeroDivisionError) as caught:
        work()
    assert show_failure(caught.value) == 1
    log = log_named_in(capsys.readouterr().err)
    assert log.parent != tmp_path
    assert log.read_text().endswith("ZeroDivisionError: division by zero\n")
    log.unlink()
