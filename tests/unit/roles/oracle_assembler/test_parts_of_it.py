# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Small promises of single pieces: paths, segments of a body, threads, room, orphans."""

from __future__ import annotations

import asyncio
import os
import pathlib
import threading
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
from oracle_assembler.uploads.receiving import pump
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


class Arriving:
    """A body of which ``data`` has come; what is asked for beyond it comes never, or cannot come."""

    def __init__(self, data: bytes, *, goes_on: bool = False) -> None:
        self._rest = memoryview(data)
        self._goes_on = goes_on

    async def fill(self, view: memoryview) -> None:
        """The next bytes."""
        if len(view) > len(self._rest):
            await asyncio.sleep(60 * self._goes_on)
            raise Problem("length-wrong", "the body ended before its part was complete")
        view[:], self._rest = self._rest[: len(view)], self._rest[len(view) :]


class SlowSink:
    """Notes what it is given, slowly."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.entered = threading.Event()
        self.at_work = 0

    def take(self, segment: memoryview) -> None:
        """A segment; its memory must stay as it is until this returns."""
        self.at_work += 1
        before = bytes(segment)
        self.entered.set()
        time.sleep(0.02)
        assert bytes(segment) == before
        self.taken.append(before)
        self.at_work -= 1


def test_a_body_that_ends_early_is_a_problem_and_leaves_no_thread_at_work() -> None:
    sink, threads = SlowSink(), Threads()
    with pytest.raises(Problem) as caught:
        asyncio.run(pump(threads, sink, [1000, 1000], Arriving(bytes(1500))))  # type: ignore[arg-type]
    assert (caught.value.name, sink.at_work) == ("length-wrong", 0)


def test_memory_of_a_request_is_not_used_again_while_its_thread_is_at_work() -> None:
    threads = Threads()

    async def work() -> None:
        stuck, sink = SlowSink(), SlowSink()
        first = asyncio.ensure_future(pump(threads, stuck, [1000, 1000, 1000], Arriving(bytes([1]) * 2000, goes_on=True)))  # type: ignore[arg-type]
        await asyncio.to_thread(stuck.entered.wait)
        first.cancel()
        await pump(threads, sink, [1000] * 3, Arriving(bytes([2]) * 3000))  # type: ignore[arg-type]
        with pytest.raises(asyncio.CancelledError):
            await first
        assert stuck.at_work == 0 and set(b"".join(stuck.taken)) == {1} and set(b"".join(sink.taken)) == {2}

    asyncio.run(work())


def test_the_last_segments_memory_too_is_not_used_again_before_its_thread_is_done() -> None:
    threads = Threads()

    async def work() -> None:
        first, second = SlowSink(), SlowSink()
        one = asyncio.ensure_future(pump(threads, first, [1000], Arriving(bytes([1]) * 1000)))  # type: ignore[arg-type]
        await asyncio.to_thread(first.entered.wait)
        await asyncio.sleep(0.005)
        await pump(threads, second, [1000] * 3, Arriving(bytes([2]) * 3000))  # type: ignore[arg-type]
        await one
        assert set(b"".join(first.taken)) == {1} and set(b"".join(second.taken)) == {2}

    asyncio.run(work())


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
