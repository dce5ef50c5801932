# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
from pathlib import Path

import pytest

from monai_al.records.files import TEMPORARY, new_folder, read_json, write_file, write_json


def stop(folder):
    (folder / "a").write_text("a")
    raise Stop


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class Stop(BaseException):
    """Not an ``Exception``, as KeyboardInterrupt is not."""


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, Stop])
@pytest.mark.parametrize("old", [None, b"old"])
def test_an_error_while_writing_leaves_the_old_file_or_none(tmp_path, error, old):
    path = tmp_path / "sub" / "a.bin"
    if old is not None:
        write_file(path, lambda file: file.write(old))

    def write(file):
        file.write(b"half of the new")
        file.flush()
        raise error

    with pytest.raises(error):
        write_file(path, write)
    assert names(tmp_path / "sub") == ([] if old is None else ["a.bin"])
    if old is not None:
        assert path.read_bytes() == old


def test_the_file_has_its_name_only_once_complete(tmp_path):
    path = tmp_path / "a.bin"
    seen = []

    def write(file):
        file.write(b"x" * 100_000)
        file.flush()
        seen.extend(names(tmp_path))
        assert not path.exists()

    write_file(path, write)
    assert len(seen) == 1
    assert seen[0].startswith(TEMPORARY)
    assert names(tmp_path) == ["a.bin"]
    assert path.stat().st_size == 100_000


def _killed_while_writing(path):
    def write(file):
        file.write(b"half")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    write_file(path, write)


def _killed_while_filling(path):
    with new_folder(path) as folder:
        (folder / "a").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("target", [_killed_while_writing, _killed_while_filling])
def test_a_killed_process_leaves_a_temporary_name_only(tmp_path, target):
    process = multiprocessing.get_context("fork").Process(target=target, args=(tmp_path / "a",))
    process.start()
    process.join(20)
    assert process.exitcode == -signal.SIGKILL
    assert [name.startswith(TEMPORARY) for name in names(tmp_path)] == [True]


def test_json_keeps_its_content_and_refuses_what_json_does_not_know(tmp_path):
    path = tmp_path / "a.json"
    content = {"b": [1, None, 0.1], "a": "–"}
    write_json(path, content)
    assert read_json(path) == content
    assert "–" in path.read_text(encoding="utf-8")
    before = path.read_bytes()
    for bad in (float("nan"), float("inf"), -float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_json(path, {"x": [bad]})
    with pytest.raises(TypeError):
        write_json(path, {"x": object()})
    assert path.read_bytes() == before
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1', b"\xff\xfe{}"])
def test_broken_json_names_the_file(tmp_path, content):
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.json is not valid JSON"):
        read_json(path)


def test_a_folder_appears_complete_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "entry"
    with new_folder(path) as folder:
        (folder / "a").write_text("a")
        (folder / "sub").mkdir()
        (folder / "sub" / "b").write_text("b")
        assert not path.exists()
    assert (path / "a").read_text() == "a"
    assert (path / "sub" / "b").read_text() == "b"
    with pytest.raises(Stop), new_folder(tmp_path / "deep" / "other") as folder:
        stop(folder)
    assert names(tmp_path / "deep") == ["entry"]


def test_the_faster_of_two_folders_stays(tmp_path):
    path = tmp_path / "entry"
    barrier = threading.Barrier(2)
    errors = []

    def build(text):
        try:
            with new_folder(path) as folder:
                (folder / "a").write_text(text)
                barrier.wait(20)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=build, args=(text,)) for text in ("one", "two")]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert errors == []
    assert names(tmp_path) == ["entry"]
    assert (path / "a").read_text() in ("one", "two")


def test_a_file_in_the_way_is_an_error(tmp_path):
    (tmp_path / "entry").write_text("a file")
    with pytest.raises(OSError, match="entry"), new_folder(tmp_path / "entry") as folder:
        (folder / "a").write_text("a")
    assert names(tmp_path) == ["entry"]
    assert Path(tmp_path / "entry").read_text() == "a file"


def test_many_writers_of_one_file_leave_one_whole_version(tmp_path):
    path = tmp_path / "a.json"
    versions = [{"n": n, "x": "y" * 50_000} for n in range(8)]
    threads = [threading.Thread(target=write_json, args=(path, version)) for version in versions]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert json.loads(path.read_text()) in versions
    assert names(tmp_path) == ["a.json"]
