# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Let a sink have a body by whole segments; a part is never in memory.

A worker thread takes from the socket as long as bytes are there, and only when none come does the request go back to the event loop: so a
fast client costs few switches, and one that stalls costs no thread. Where the socket is not to be had, as behind TLS, the event loop
receives one segment while a worker thread is at the one before it.
"""

from __future__ import annotations

import itertools
import time
import typing as t

from ..store.whole import BUFFERS
from .threads import Threads, ended, settled

if t.TYPE_CHECKING:
    from ..store.sinks import Sink

_SIP = 256 << 10
"""Bytes that the event loop waits for before a thread is called."""
_SPELL = 0.2
"""Seconds that a thread stays with a body while others wait for a thread."""


class Tap(t.Protocol):
    """The socket of a body, for one thread, while nobody awaits :meth:`Body.fill`."""

    def draw(self, view: memoryview) -> int:
        """Put what is there into ``view``; how many bytes, 0 when none came for a moment.

        :raises Exception: when the connection ended.
        """


class Body(t.Protocol):
    """What a request brings besides its announcement."""

    async def fill(self, view: memoryview) -> None:
        """Fill all of ``view`` with the bytes that come next.

        :raises Problem: ``length-wrong``, ``stalled``.
        """

    def tap(self) -> t.ContextManager[Tap | None]:
        """A way past the event loop, where there is one."""

    def took(self, count: int) -> None:
        """So many bytes were drawn."""


async def pump(threads: Threads, sink: Sink, sizes: t.Iterable[int], body: Body) -> None:
    """Let a sink take a body; ends with no thread at work, and only then gives its memory back.

    :param sizes: bytes of each segment
    """
    with body.tap() as tap:
        if tap is None:
            await _overlapping(threads, sink, sizes, body)
        else:
            await _drawing(threads, sink, sizes, body, tap)


async def _drawing(threads: Threads, sink: Sink, sizes: t.Iterable[int], body: Body, tap: Tap) -> None:
    with BUFFERS.borrow() as buffer:
        draught = _Draught(sink, sizes, buffer, tap)
        while not draught.done:
            sip = draught.missing[:_SIP]
            await body.fill(sip)
            draught.came(len(sip))
            job = threads.data.submit(draught.work)
            try:
                await settled(job)
            finally:
                await ended(job)
                body.took(draught.drawn)


class _Draught:
    """One body on its way into a sink. ``missing`` is where the next bytes go, ``drawn`` how many the last spell of work took from the tap."""

    def __init__(self, sink: Sink, sizes: t.Iterable[int], buffer: memoryview, tap: Tap) -> None:
        self._sink, self._sizes, self._buffer, self._tap = sink, iter(sizes), buffer, tap
        self.done = False
        self.drawn = 0
        self._next()

    def _next(self) -> None:
        size = next(self._sizes, None)
        if size is None:
            self.done = True
        else:
            self._segment = self.missing = self._buffer[:size]

    def came(self, count: int) -> None:
        """So many bytes are in."""
        self.missing = self.missing[count:]

    def work(self) -> None:
        """Go on until no more bytes come, or others are to have their turn."""
        self.drawn, until = 0, time.monotonic() + _SPELL
        while not self.done:
            if not self.missing:
                self._sink.take(self._segment)
                self._next()
                if time.monotonic() > until:
                    return
            elif count := self._tap.draw(self.missing):
                self.drawn += count
                self.came(count)
            else:
                return


async def _overlapping(threads: Threads, sink: Sink, sizes: t.Iterable[int], body: Body) -> None:
    with BUFFERS.borrow() as one, BUFFERS.borrow() as other:
        job = None
        try:
            for size, buffer in zip(sizes, itertools.cycle((one, other)), strict=False):
                segment = buffer[:size]
                await body.fill(segment)
                if job:
                    await settled(job)
                job = threads.data.submit(sink.take, segment)
            if job:
                await settled(job)
        finally:
            if job:
                await ended(job)


__all__ = ["Body", "Tap", "pump"]
