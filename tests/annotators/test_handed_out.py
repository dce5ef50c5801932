# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_al.annotators.handed_out import HandedOut, folder_name

NAME = st.text(st.characters(codec="utf-8"), max_size=120) | st.sampled_from(
    ["NUL.txt", "com1", "..", "pictures", "a."]
)


@given(st.lists(NAME, max_size=6))
def test_every_volume_has_a_folder_of_its_own_on_every_file_system(volumes):
    taken = []
    for volume in volumes:
        taken.append(folder_name(volume, taken))
    assert len({name.casefold() for name in taken}) == len(taken)
    for name in taken:
        assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name)
        assert not name.endswith(".")
        assert len(name) < 100
        assert not re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?|pictures", name)


def test_a_record_knows_the_folder_of_a_volume_again(tmp_path):
    handed = HandedOut(["background"])
    names = [handed.volume(volume).folder for volume in ("a/b", "a_b", "a/b")]
    assert names == ["a_b", "a_b_2", "a_b"]
    handed.write(tmp_path)
    assert [HandedOut.read(tmp_path).volume(volume).folder for volume in ("a_b", "a/b")] == ["a_b_2", "a_b"]


def test_files_that_a_person_changed_are_left_alone(tmp_path):
    handed = HandedOut()
    path = tmp_path / "a.txt"
    for content in (b"first", b"second"):  # ours, and again ours
        handed.place(tmp_path, "a.txt", content)
        assert path.read_bytes() == content
    path.write_bytes(b"a person's")
    assert not handed.may_place(tmp_path, "a.txt", b"third")
    handed.place(tmp_path, "a.txt", b"third")
    assert path.read_bytes() == b"a person's"
    unknown = HandedOut()  # a record that was lost
    assert not unknown.may_place(tmp_path, "a.txt", b"third")
    assert unknown.may_place(tmp_path, "a.txt", b"a person's")


def test_a_broken_record_is_named(tmp_path):
    (tmp_path / "handed_out.json").write_text("{")
    with pytest.raises(ValueError, match=r"handed_out\.json is not valid JSON"):
        HandedOut.read(tmp_path)
