# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Small promises of single pieces: paths, threads, room, orphans."""

from __future__ import annotations

import asyncio
import os
import pathlib
import time

import anyio
import pytest
from doubles import MIB
from hypothesis import given
from hypothesis import strategies as st

from oracle_assembler.problems import KINDS, Problem, from_os_error
from oracle_assembler.store import paths, space, whole
from oracle_assembler.store.orphans import remove_orphans
from oracle_assembler.store.tree import Tree
from oracle_assembler.uploads.threads import Threads, settled, undisturbed
from oracle_assembler.uploads.upload import ranges


@given(st.text())
def test_a_path_that_is_accepted_stays_below_the_root_and_is_taken_as_it_is(text: str) -> None:
    try:
        components = paths.parse(text)
    except Problem as problem:
        assert problem.name == "path-refused"
        return
    assert "/".join(components) == text
    assert os.path.normpath("/root/" + text) == "/root/" + text
    assert not any(set(component) & set("\0\n\x7f") or component.startswith("/") for component in components)


@given(st.sets(st.integers(1, 50)))
def test_ranges_say_exactly_which_numbers(numbers: set[int]) -> None:
    found = ranges(sorted(numbers))
    assert {number for first, last in found for number in range(first, last + 1)} == numbers
    assert all(found[index][1] + 1 < found[index + 1][0] for index in range(len(found) - 1))


def test_a_step_that_must_not_be_left_in_the_middle_is_finished_before_the_cancellation_counts() -> None:
    done = []

    async def step() -> None:
        await asyncio.sleep(0.02)
        done.append(True)

    async def work() -> None:
        with anyio.move_on_after(0.001) as scope:
            await undisturbed(step())
            await asyncio.sleep(0)
        assert scope.cancelled_caught and done == [True]
        task = asyncio.ensure_future(settled(Threads().data.submit(lambda: (time.sleep(0.02), done.append(True)))))
        await asyncio.sleep(0.001)
        for _attempt in range(2):
            task.cancel()
            await asyncio.sleep(0.001)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == [True, True]

    asyncio.run(work())


def test_a_file_is_whole_or_the_old_one(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)

    def cut(*_arguments: object, **_keywords: object) -> None:
        raise OSError("power cut")

    try:
        whole.write_whole(folder, "file", b"old")
        monkeypatch.setattr(whole.os, "rename", cut)
        with pytest.raises(OSError, match="power cut"):
            whole.write_whole(folder, "file", b"new")
        assert (tmp_path / "file").read_bytes() == b"old"
    finally:
        os.close(folder)


def test_reserving_takes_the_room_on_the_disk_and_says_when_the_file_system_cannot(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "file").open("w+b") as file:
        reserved = space.reserve(file.fileno(), 3 * MIB)
        facts = os.fstat(file.fileno())
        assert facts.st_size == 3 * MIB
        assert not reserved or facts.st_blocks * 512 >= 3 * MIB
        with pytest.raises(OSError):
            space.reserve(file.fileno(), 1 << 62)

        class Cannot:
            """A libc whose file system cannot."""

            fallocate = staticmethod(lambda *_arguments: -1)

        monkeypatch.setattr(space.ctypes, "CDLL", lambda *_arguments, **_keywords: Cannot)
        monkeypatch.setattr(space.ctypes, "get_errno", lambda: 95)
        assert not space.reserve(file.fileno(), 4 * MIB)
        assert os.fstat(file.fileno()).st_size == 4 * MIB


def test_room_that_is_taken_is_counted_without_the_services_own_files_and_without_following_links(tmp_path: pathlib.Path) -> None:
    tree = Tree(str(tmp_path), ("dba",), 0o750)
    tree.make()
    root = tmp_path / "dba"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file").write_bytes(bytes(1000))
    (root / f".{'0' * 32}.partial").write_bytes(bytes(5000))
    (root / "link").symlink_to("a")
    assert space.used_bytes(tree) == 1000


def test_orphans_go_when_they_are_old_and_no_record_knows_them(tmp_path: pathlib.Path) -> None:
    tree = Tree(str(tmp_path), ("dba",), 0o750)
    tree.make()
    deep = tmp_path / "dba" / "deep"
    deep.mkdir()
    for number in (1, 2, 3):
        (deep / f".{str(number) * 32}.partial").write_bytes(b"x")
        (deep / f".{str(number) * 32}.segments").mkdir()
        (deep / f".{str(number) * 32}.segments" / "1.opened").write_bytes(b"x")
    for name in deep.iterdir():
        os.utime(name, (0, 0))
    os.utime(deep / f".{'3' * 32}.partial", (2000, 2000))
    os.utime(deep / f".{'3' * 32}.segments", (2000, 2000))
    assert remove_orphans(tree, {"2" * 32}, 1000) == 2
    assert sorted({path.name[1] for path in deep.iterdir()}) == ["2", "3"]


@pytest.mark.parametrize("number, name", [(28, "disk-full"), (122, "disk-full"), (5, "storage-failed"), (30, "storage-failed"), (2, None)])
def test_failures_of_the_disk_have_their_problems(number: int, name: str | None) -> None:
    problem = from_os_error(OSError(number, os.strerror(number)))
    assert (problem and problem.name) == name


def test_problems_that_waiting_helps_are_those_that_say_so() -> None:
    retryable = {name for name, kind in KINDS.items() if kind.retryable}
    assert retryable == {"stalled", "stitching", "segment-damaged", "too-many-attempts", "internal", "storage-failed", "busy"}
