# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Bodies reach their sinks by whole segments, on both ways, and nobody's memory is used twice."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import typing as t

import pytest
from doubles import MIB
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle_assembler.problems import Problem
from oracle_assembler.uploads import pumping
from oracle_assembler.uploads.pumping import Tap, pump
from oracle_assembler.uploads.threads import Threads


class Arriving:
    """A body of which ``data`` has come; what is asked for beyond it comes never, or cannot come."""

    def __init__(self, data: bytes, *, goes_on: bool = False) -> None:
        self._rest = memoryview(data)
        self._goes_on = goes_on

    @contextlib.contextmanager
    def tap(self) -> t.Iterator[Tap | None]:
        """There is no way past the event loop."""
        yield None

    def took(self, count: int) -> None:
        """Past the event loop."""

    async def fill(self, view: memoryview) -> None:
        """The next bytes."""
        if len(view) > len(self._rest):
            await asyncio.sleep(60 * self._goes_on)
            raise Problem("length-wrong", "the body ended before its part was complete")
        view[:], self._rest = self._rest[: len(view)], self._rest[len(view) :]


class Tapped(Arriving):
    """A body that can be drawn from in a thread, by as many bytes at a time as ``draughts`` says; 0 when none are there yet."""

    def __init__(self, data: bytes, draughts: t.Iterable[int]) -> None:
        super().__init__(data)
        self._draughts = iter(draughts)
        self.left = len(data)

    @contextlib.contextmanager
    def tap(self) -> t.Iterator[Tap | None]:
        """Itself."""
        yield self

    async def fill(self, view: memoryview) -> None:
        """The next bytes."""
        await super().fill(view)
        self.left -= len(view)

    def draw(self, view: memoryview) -> int:
        """Some of the next bytes."""
        count = min(next(self._draughts, 0), len(view), len(self._rest))
        view[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def took(self, count: int) -> None:
        """So many were drawn."""
        self.left -= count


class SlowSink:
    """Notes what it is given, slowly."""

    def __init__(self, seconds: float = 0.02) -> None:
        self.seconds = seconds
        self.taken: list[bytes] = []
        self.entered = threading.Event()
        self.at_work = 0

    def take(self, segment: memoryview) -> None:
        """A segment; its memory must stay as it is until this returns."""
        self.at_work += 1
        before = bytes(segment)
        self.entered.set()
        time.sleep(self.seconds)
        assert bytes(segment) == before
        self.taken.append(before)
        self.at_work -= 1

    def commit(self) -> str:
        """Nobody asks."""
        return ""

    def close(self) -> None:
        """Nobody asks."""


def test_a_body_that_ends_early_is_a_problem_and_leaves_no_thread_at_work() -> None:
    sink, threads = SlowSink(), Threads()
    with pytest.raises(Problem) as caught:
        asyncio.run(pump(threads, sink, [1000, 1000], Arriving(bytes(1500))))
    assert (caught.value.name, sink.at_work) == ("length-wrong", 0)


def test_memory_of_a_request_is_not_used_again_while_its_thread_is_at_work() -> None:
    threads = Threads()

    async def work() -> None:
        stuck, sink = SlowSink(), SlowSink()
        first = asyncio.ensure_future(pump(threads, stuck, [1000, 1000, 1000], Arriving(bytes([1]) * 2000, goes_on=True)))
        await asyncio.to_thread(stuck.entered.wait)
        first.cancel()
        await pump(threads, sink, [1000] * 3, Arriving(bytes([2]) * 3000))
        with pytest.raises(asyncio.CancelledError):
            await first
        assert stuck.at_work == 0 and set(b"".join(stuck.taken)) == {1} and set(b"".join(sink.taken)) == {2}

    asyncio.run(work())


def test_the_last_segments_memory_too_is_not_used_again_before_its_thread_is_done() -> None:
    threads = Threads()

    async def work() -> None:
        first, second = SlowSink(), SlowSink()
        one = asyncio.ensure_future(pump(threads, first, [1000], Arriving(bytes([1]) * 1000)))
        await asyncio.to_thread(first.entered.wait)
        await asyncio.sleep(0.005)
        await pump(threads, second, [1000] * 3, Arriving(bytes([2]) * 3000))
        await one
        assert set(b"".join(first.taken)) == {1} and set(b"".join(second.taken)) == {2}

    asyncio.run(work())


@settings(deadline=None)
@given(st.lists(st.integers(0, 2000), min_size=1, max_size=5), st.lists(st.integers(0, 900), max_size=12))
def test_what_is_drawn_and_what_is_awaited_make_the_same_segments(sizes: list[int], draughts: list[int]) -> None:
    data = bytes(number % 251 for number in range(sum(sizes)))
    sink, body = SlowSink(0), Tapped(data, draughts)
    asyncio.run(pump(Threads(), sink, sizes, body))
    assert [len(segment) for segment in sink.taken] == sizes
    assert (b"".join(sink.taken), body.left) == (data, 0)


def test_a_thread_lets_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pumping, "_SPELL", 0.0)
    sizes = [MIB] * 4
    spells = []

    class Counted(Tapped):
        def took(self, count: int) -> None:
            spells.append(count)
            super().took(count)

    body = Counted(bytes(sum(sizes)), [MIB] * 8)
    asyncio.run(pump(Threads(), SlowSink(0), sizes, body))
    assert len(spells) == 4 and body.left == 0


def test_a_sink_that_fails_in_a_thread_ends_the_body_and_what_was_drawn_is_accounted_for() -> None:
    class Failing(SlowSink):
        def take(self, segment: memoryview) -> None:
            raise Problem("segment-damaged", "it does not open")

    body = Tapped(bytes(3 * MIB), [MIB] * 4)
    with pytest.raises(Problem):
        asyncio.run(pump(Threads(), Failing(), [MIB] * 3, body))
    assert body.left == 2 * MIB
