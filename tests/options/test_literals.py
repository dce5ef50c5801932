# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from monai.bundle import ConfigParser

from monai_al.options import is_expression, literal, literal_of, literals_in

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.text("#@%$'\\\\a", min_size=1)


@given(TEXTS)
def test_a_literal_arrives_as_it_stands_and_is_known_again(text):
    assert ConfigParser({"a": literal(text), "b": "@a"}).get_parsed_content("b") == text
    assert literal_of(literal(text)) == text


@given(st.lists(TEXTS), TEXTS)
def test_texts_within_a_value_are_literals_but_for_expressions(entries, text):
    kept = [entry for entry in entries if not is_expression(entry)]
    value = {"list": kept, "text": text, "number": 3, "seed": "@number"}
    found = ConfigParser({"a": literals_in(value) | {"text": literal(text)}, "number": 3}).get_parsed_content("a")
    assert found == value | {"seed": 3}
    assert literals_in("$1 + 2") == "$1 + 2"


def test_what_is_no_literal():
    assert [literal_of(value) for value in ("$print(1)", "$'a' + 'b'", "$3", "@a", 3, None, "$'plain'")] == [None] * 7
