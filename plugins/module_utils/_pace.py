# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How long a run may last and how fast it may send.

Private to the collection bigfile.oci. Clock and sleep come in as arguments, so tests never wait.
"""

from __future__ import annotations

import threading
import time
import typing as t

from ._errors import DeadlineReached, Interrupted


class Run:
    """The life of one run, shared by its threads: it ends when told to, or at its deadline.

    :param deadline: seconds from now, None for no end
    """

    def __init__(
        self,
        deadline: float | None = None,
        *,
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._deadline = deadline
        self._begun = clock()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Tell every thread of the run to end at its next step."""
        self._stopped.set()

    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self._clock() - self._begun

    def check(self) -> None:
        """Return when the run may go on.

        :raises Interrupted: when it was stopped
        :raises DeadlineReached: when its time is over
        """
        if self._stopped.is_set():
            raise Interrupted("the run was ended")
        if self._deadline is not None and self.elapsed() >= self._deadline:
            raise deadline_reached(self._deadline)

    def wait(self, seconds: float) -> None:
        """Sleep, but never past the end of the run, then :meth:`check`."""
        if self._deadline is not None:
            seconds = min(seconds, self._deadline - self.elapsed())
        self._stopped.wait(min(max(0.0, seconds), threading.TIMEOUT_MAX))
        self.check()


def deadline_reached(deadline: float) -> DeadlineReached:
    """The error for it, wherever it is seen."""
    return DeadlineReached(f"the deadline of {deadline:g} seconds is reached")


class RateLimit:
    """A token bucket (one quarter of a second deep) that the threads of a run share.

    :param rate: bytes a second
    :param wait: sleeps, see :meth:`Run.wait`
    """

    def __init__(
        self,
        rate: int,
        *,
        wait: t.Callable[[float], None],
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._wait = wait
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at = clock()

    def take(self, count: int) -> None:
        """Return when ``count`` more bytes may go."""
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now - 0.25) + count / self._rate
            pause = self._free_at - now
        if pause > 0:
            self._wait(pause)


__all__ = ["RateLimit", "Run", "deadline_reached"]
