# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bigfile.oci.plugins.module_utils._errors import OptionError
from ansible_collections.bigfile.oci.plugins.module_utils._names import destination, journal_key, source_reference

HEX = re.compile(r"[0-9a-f]+")


@pytest.mark.parametrize(
    ("source", "dest", "path"),
    [
        ("/u01/exp.dmp", None, "exp.dmp"),
        ("/u01/exp.dmp", "", "exp.dmp"),
        ("exp.dmp", None, "exp.dmp"),
        ("/u01/exp.dmp", "other.dmp", "other.dmp"),
        ("/u01/exp.dmp", "dumps/other.dmp", "dumps/other.dmp"),
        ("/u01/exp.dmp", "dumps/", "dumps/exp.dmp"),
        ("/u01/exp.dmp", "dumps/2026/", "dumps/2026/exp.dmp"),
        ("", "dumps/exp.dmp", "dumps/exp.dmp"),
        ("/u01/exp.dmp", "a b/Grüße \U0001f418.dmp", "a b/Grüße \U0001f418.dmp"),
        ("/u01/-rf", None, "-rf"),
        ("/u01/exp.dmp", "...x", "...x"),
        ("/u01/exp.dmp", ".hidden", ".hidden"),
        ("/u01/" + "x" * 255, None, "x" * 255),
        ("/u01/" + "ü" * 127, "d/", "d/" + "ü" * 127),
    ],
)
def test_the_destination_is_below_the_user_s_root(source: str, dest: str | None, path: str) -> None:
    assert destination(source, dest) == path


@pytest.mark.parametrize("dest", ["/etc/passwd", "/", "//", "..", ".", "../x", "x/..", "x/../y", "./x", "x/./y", "a//b", "dumps//", "../"])
def test_a_destination_outside_the_root_is_refused(dest: str) -> None:
    with pytest.raises(OptionError, match=r"is not below the user's root: give a relative path, without \. and \.\. in it$"):
        destination("/u01/exp.dmp", dest)


@pytest.mark.parametrize("source", ["", "/", "/u01/"])
def test_a_source_without_a_name_gives_no_destination(source: str) -> None:
    with pytest.raises(OptionError, match=r"is not below the user's root"):
        destination(source, None)


@pytest.mark.parametrize("name", [os.fsdecode(b"gr\xfc\xdfe.dmp"), "\ud800"])
@pytest.mark.parametrize("dest", [None, "d/"])
def test_a_name_that_is_not_utf_8_is_told_in_letters(name: str, dest: str | None) -> None:
    with pytest.raises(OptionError, match=r"is not UTF-8; give another one with dest") as caught:
        destination(f"/u01/{name}", dest)
    str(caught.value).encode("utf-8")


def test_a_source_whose_name_is_not_utf_8_goes_under_another() -> None:
    assert destination("/u01/" + os.fsdecode(b"\xff"), "exp.dmp") == "exp.dmp"


@pytest.mark.parametrize("letter", ["\0", "\n", "\r", "\t", "\x1f", "\x7f"])
def test_control_characters_are_refused_and_shown_escaped(letter: str) -> None:
    with pytest.raises(OptionError, match=r"has control characters; give another one with dest") as caught:
        destination("/u01/exp.dmp", f"a{letter}b")
    assert letter not in str(caught.value)


@pytest.mark.parametrize("name", ["x" * 256, "ü" * 128])
def test_a_name_longer_than_a_file_system_takes_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match=r"longer than the 255 bytes"):
        destination("/u01/exp.dmp", f"dumps/{name}")


@pytest.mark.parametrize("kind", ["segments", "partial"])
def test_the_service_s_own_names_are_refused(kind: str) -> None:
    with pytest.raises(OptionError, match=r"a name that the service uses itself"):
        destination("/u01/exp.dmp", f"dumps/.{'0a' * 16}.{kind}/x")


@given(st.text(), st.one_of(st.none(), st.text()))
def test_whatever_is_given_the_destination_is_harmless_or_refused(source: str, dest: str | None) -> None:
    try:
        path = destination(source, dest)
    except OptionError:
        return
    assert not path.startswith("/")
    assert not {"", ".", ".."} & set(path.split("/"))
    assert "\0" not in path


def test_an_upload_is_filed_under_source_service_and_destination() -> None:
    keys = {
        journal_key(*names)
        for names in (("/a", "https://h", "b"), ("/x", "https://h", "b"), ("/a", "https://x", "b"), ("/a", "https://h", "x"))
    }
    assert len(keys) == 4
    assert all(len(key) == 32 and HEX.fullmatch(key) for key in keys)


def test_names_do_not_run_into_each_other() -> None:
    assert journal_key("/a", "https://h/b", "c") != journal_key("/a", "https://h", "b/c")


@pytest.mark.parametrize("member", range(5))
def test_the_service_is_told_of_the_source_by_a_digest_that_changes_with_it(member: int) -> None:
    identity = [1, 2, 3, 4, 5]
    changed = [value + (index == member) for index, value in enumerate(identity)]
    references = {source_reference("/a", identity), source_reference("/a", changed), source_reference("/b", identity)}
    assert len(references) == 3
    assert all(len(reference) == 64 and HEX.fullmatch(reference) for reference in references)


def test_a_source_has_one_reference_as_tuple_and_as_list() -> None:
    assert source_reference("/a", (1, 2, 3, 4, 5)) == source_reference("/a", [1, 2, 3, 4, 5])


@pytest.mark.parametrize("path", ["/u01/" + os.fsdecode(b"\xff"), "/u01/\U0001f418"])
def test_any_file_name_can_be_filed_and_referred_to(path: str) -> None:
    assert HEX.fullmatch(journal_key(path, "https://h", "x"))
    assert HEX.fullmatch(source_reference(path, [1]))
