# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Slows down whoever guesses passwords: a bounded table of consecutive failures, and few checks at a time."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import math
import time
import typing as t

from .problems import Problem

FREE = 5
"""Failures before waiting begins."""
WAIT_MAX = 300.0
TABLE_MAX = 10_000
CHECKS_AT_A_TIME = 1
WAITING_MAX = 32


class _Failures(t.NamedTuple):
    number: int
    until: float


class Attempts:
    """Counts failures for a user and peer; the oldest entries make room for new ones."""

    def __init__(self, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turn = asyncio.Semaphore(CHECKS_AT_A_TIME)
        self._waiting = 0
        self._table: collections.OrderedDict[tuple[str, str], _Failures] = collections.OrderedDict()

    @contextlib.asynccontextmanager
    async def turn(self) -> t.AsyncIterator[None]:
        """Wait for a turn to check a password; each check needs 16 MiB of memory.

        :raises Problem: ``busy``.
        """
        if self._waiting >= WAITING_MAX:
            raise Problem("busy", "too many logins at a time", retry_after=2)
        self._waiting += 1
        try:
            async with self._turn:
                yield
        finally:
            self._waiting -= 1

    def check(self, who: tuple[str, str]) -> None:
        """Refuse while the wait lasts.

        :raises Problem: ``too-many-attempts``.
        """
        found = self._table.get(who)
        wait = found.until - self._clock() if found else 0.0
        if wait > 0:
            raise Problem("too-many-attempts", "too many wrong passwords: wait", retry_after=math.ceil(wait))

    def failed(self, who: tuple[str, str]) -> None:
        """One more; from the fifth on each doubles the wait."""
        number = self._table.pop(who, _Failures(0, 0.0)).number + 1
        wait = min(WAIT_MAX, 2.0 ** min(number - FREE, 16)) if number >= FREE else 0.0
        self._table[who] = _Failures(number, self._clock() + wait)
        while len(self._table) > TABLE_MAX:
            self._table.popitem(last=False)

    def succeeded(self, who: tuple[str, str]) -> None:
        """Begin anew."""
        self._table.pop(who, None)


__all__ = ["FREE", "Attempts"]
