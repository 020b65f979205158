# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How far a run is, and how that is told to people.

Private to the collection bigfile.oci. Threads of the run call :class:`Progress` while they work, another one takes a :class:`Record` of it now and then.
A record is read on another host, by whoever shows it, so what is read is checked.
"""

from __future__ import annotations

import collections
import datetime
import json
import threading
import time
import typing as t

from ._outcome import human
from ._plan import bytes_in, numbers

if t.TYPE_CHECKING:
    from ._plan import Plan, Ranges
    from ._sealed.layout import Part

WATCH_ID = "BIGFILE_WATCH"
"""Name of the environment variable by which whoever starts a run asks for a watch file, see :mod:`_watch`."""

WATCH_FOLDER = "~/.local/state/bigfile.oci"
"""Where watch files are, on the host of the run."""

WINDOW = 10.0
"""Seconds over which the rate is measured."""

REASON_MOST = 300
"""Characters of a reason that are kept."""


class Record(t.NamedTuple):
    """A run at one moment, in JSON types. ``done`` of ``total`` bytes are hashed, sent or stitched, as ``state`` says."""

    state: str
    """``asking`` the service, ``hashing``, ``sending``, ``retrying``, ``stitching``, or ``ended`` before the file was published."""
    path: str
    source: str
    endpoint: str
    size: int
    parts: int
    parts_done: int
    done: int
    total: int
    rate: int
    """Bytes a second."""
    seconds_left: int | None
    reason: str | None
    """Why it tries again, or ended."""
    pid: int
    updated: float
    """Seconds since the epoch."""

    @property
    def percent(self) -> int:
        """Rounded down: 100 is all of it."""
        return 100 * self.done // self.total if self.total else 0

    def text(self, *, named: bool = True) -> str:
        """In one line.

        :param named: with what may be secret: the name of the file, and the reason, which may have it too
        """
        facts = []
        if self.total:
            facts += [f"{self.percent} %", f"{human(self.done)} of {human(self.total)}"]
        if self.parts:
            facts.append(f"{self.parts_done} of {self.parts} parts")
        if self.rate:
            facts.append(f"{human(self.rate)}/s")
        if self.seconds_left is not None:
            facts.append(f"{datetime.timedelta(seconds=self.seconds_left)} left")
        if named and self.reason:
            facts.append(self.reason)
        said = ", ".join(facts) or "no figures yet"
        return f"{self.path}: {said}" if named else said

    def told(self, *, running: bool) -> dict[str, t.Any]:
        """As RETURN of the module oci_chunked_upload_info has it."""
        updated = datetime.datetime.fromtimestamp(self.updated, datetime.timezone.utc)
        return {
            "running": running,
            "state": self.state,
            "reason": self.reason,
            "percent": self.percent,
            "bytes_done": self.done,
            "bytes_total": self.total,
            "parts_done": self.parts_done,
            "rate": self.rate if running else None,
            "seconds_left": self.seconds_left if running else None,
            "updated": updated.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "text": self.text(),
        }

    def json(self) -> str:
        """For :func:`read`."""
        return json.dumps(self._asdict())


_SAMPLE = Record("", "", "", "", 0, 0, 0, 0, 0, 0, 0, "", 0, 0.0)
_MAY_BE_MISSING = {"seconds_left", "reason"}


def read(text: str) -> Record | None:
    """A record, without anything that a terminal could obey; None when it is not one, as when it is being written."""
    try:
        members: dict[str, t.Any] = {
            name: _printable(value) if isinstance(value, str) else value for name, value in dict(json.loads(text)).items()
        }
        record = Record(**members)
        datetime.timedelta(seconds=record.seconds_left or 0)
        datetime.datetime.fromtimestamp(record.updated, datetime.timezone.utc)
    except (ArithmeticError, OSError, RecursionError, TypeError, ValueError):
        return None
    for name, value in members.items():
        if not (type(value) is type(getattr(_SAMPLE, name)) or (value is None and name in _MAY_BE_MISSING)):
            return None
        if isinstance(value, int) and not 0 <= value < 1 << 63:
            return None
    return record


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class Progress:
    """Gathers how far a run is. Any thread may call it."""

    def __init__(self, *, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._names = ("", "", "")
        self._size = 0
        self._state = "asking"
        self._hashed = 0
        self._plan: Plan | None = None
        self._parts_done = 0
        self._settled = 0
        self._on_the_way: dict[int, tuple[Part, int]] = {}
        self._stitched = (0, 0)
        self._troubles: dict[int, str] = {}
        self._seen: collections.deque[tuple[float, int]] = collections.deque()

    def about(self, path: str, source: str, endpoint: str, size: int) -> None:
        """What this run is about."""
        self._names = (path, source, endpoint)
        self._size = size

    def _enter(self, state: str) -> None:
        if self._state != state:
            self._state = state
            self._seen.clear()

    def hashing(self) -> None:
        """Nothing else is done now."""
        with self._lock:
            self._enter("hashing")

    def hashed(self, done: int) -> None:
        """So many bytes of the source are."""
        self._hashed = done

    def sending(self, plan: Plan, received: Ranges) -> None:
        """The service has what is in ``received``; the rest goes now."""
        with self._lock:
            self._enter("sending")
            self._plan = plan
            self._parts_done = len(list(numbers(received)))
            self._settled = bytes_in(plan, received)
            self._on_the_way.clear()

    def begun(self, part: Part) -> None:
        """This part goes from its first byte."""
        with self._lock:
            self._on_the_way[part.number] = (part, 0)

    def moved(self, part: Part, count: int) -> None:
        """More bytes of the stream have left; whatever the trouble of this thread was, it is over."""
        with self._lock:
            self._troubles.pop(threading.get_ident(), None)
            self._on_the_way[part.number] = (part, self._on_the_way.get(part.number, (part, 0))[1] + count)

    def arrived(self, part: Part) -> None:
        """The service has this part."""
        with self._lock:
            self._on_the_way.pop(part.number, None)
            self._parts_done += 1
            self._settled += part.size

    def stitching(self, stitch: dict[str, t.Any] | None) -> None:
        """The service puts the file together; ``stitch`` as docs/protocol.md has it."""
        with self._lock:
            self._enter("stitching")
            self._stitched = (stitch["bytes_done"], stitch["bytes_total"]) if stitch else (0, 0)

    def retrying(self, reason: str) -> None:
        """This thread waits to try again."""
        with self._lock:
            self._troubles[threading.get_ident()] = reason

    def passed(self) -> None:
        """What this thread tried is over, well or not."""
        with self._lock:
            self._troubles.pop(threading.get_ident(), None)

    def record(self, *, pid: int, now: float, ended: str | None = None) -> Record:
        """The run as it stands.

        :param now: seconds since the epoch
        :param ended: why it ended without a file published
        """
        with self._lock:
            state, (done, total) = self._state, self._counted()
            reason = next(reversed(self._troubles.values()), None)
            rate = self._rate(done)
            state = "ended" if ended is not None else "retrying" if reason else state
            left = (total - done) // rate if rate and state in ("hashing", "sending", "stitching") else None
            path, source, endpoint = self._names
            return Record(
                state,
                path,
                source,
                endpoint,
                self._size,
                parts=self._plan.part_count if self._plan else 0,
                parts_done=self._parts_done,
                done=done,
                total=total,
                rate=rate,
                seconds_left=left,
                reason=(ended or reason or "")[:REASON_MOST] or None,
                pid=pid,
                updated=now,
            )

    def _counted(self) -> tuple[int, int]:
        if self._state == "hashing":
            return self._hashed, self._size
        if self._state == "sending":
            return self._settled + sum(min(sent, part.size) for part, sent in self._on_the_way.values()), self._size
        return self._stitched if self._state == "stitching" else (0, 0)

    def _rate(self, done: int) -> int:
        """Bytes a second since the oldest look that is not older than the window. A part that begins anew takes its bytes back."""
        now = self._clock()
        self._seen.append((now, done))
        while now - self._seen[0][0] > WINDOW:
            self._seen.popleft()
        begun, before = self._seen[0]
        return max(0, int((done - before) / (now - begun))) if now > begun else 0


__all__ = ["WATCH_FOLDER", "WATCH_ID", "Progress", "Record", "read"]
