# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""An upload while it is pending: its record, what was received, who is sending which part, how far stitching is."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import time
import typing as t

from ..store.opening import Stream
from ..store.publishing import WholeDigest
from ..store.records import PUBLISHED, Record
from ..store.workspace import OPENED, Workspace
from .claims import Claims

Ranges = list[tuple[int, int]]


@dataclasses.dataclass
class Stitching:
    """Progress of a stitching; ``stopped`` is read by its threads between two steps."""

    sha256: str
    step: str = "opening"
    bytes_done: int = 0
    bytes_total: int = 0
    stopped: bool = False
    task: asyncio.Task[None] | None = None

    def begin(self, step: str, total: int) -> None:
        """The next step."""
        self.step, self.bytes_done, self.bytes_total = step, 0, total


class Upload:
    """Changed on the event loop alone."""

    def __init__(self, record: Record, workspace: Workspace) -> None:
        self.record = record
        self.workspace = workspace
        self.received: dict[int, str] = {}
        self.bytes_received = 0
        self.reserved = False
        self.touched = time.time()
        self.claims: Claims[int] = {}
        self.stitching: Stitching | None = None
        self.problem: dict[str, t.Any] | None = None
        self.stream: tuple[str, Stream] | None = None
        self.digest = WholeDigest()
        self.following: asyncio.Task[None] | None = None
        self._opened = 0
        self.ended = False

    def note(self, number: int, state: str) -> None:
        """A part was received."""
        if number not in self.received:
            self._count(number, 1)
        self.received[number] = state

    def forget(self, number: int) -> None:
        """A part no longer counts as received."""
        if self.received.pop(number, None):
            self._count(number, -1)
        if number <= self._opened:
            self._opened, self.digest = number - 1, WholeDigest()

    def opened_until(self) -> int:
        """Bytes from the beginning of the file that are all in the partial file."""
        while self.received.get(self._opened + 1) == OPENED:
            self._opened += 1
        if not self._opened:
            return 0
        part = self.record.part(self._opened)
        return part.offset + part.size

    def touch(self) -> None:
        """A part came: the expiry slides."""
        self.touched = time.time()

    def _count(self, number: int, sign: int) -> None:
        self.bytes_received += sign * self.record.part(number).size

    def is_published(self) -> bool:
        """Whether there is a receipt."""
        return self.record.state == PUBLISHED

    @property
    def promised(self) -> int:
        """Bytes of disk that were promised and are not yet taken."""
        return 0 if self.reserved or self.is_published() else self.record.size - self.bytes_received

    def missing(self) -> Ranges:
        """Ranges of part numbers that were not received."""
        return ranges(number for number in range(1, self.record.parts + 1) if number not in self.received)

    def expires(self, age: float) -> float:
        """When it will be swept, in seconds of the epoch."""
        return (self.record.finished or self.touched) + age

    def describe(self, age: float) -> dict[str, t.Any]:
        """What the protocol calls an upload."""
        record, stitching = self.record, self.stitching
        done = record.state == PUBLISHED
        return {
            **{name: getattr(record, name) for name in ("id", "path", "size", "part_size", "parts", "sealing", "release_key", "source")},
            "state": "published" if done else "stitching" if stitching else "receiving",
            "received": [(1, record.parts)] if done else ranges(sorted(self.received)),
            "bytes_received": record.size if done else self.bytes_received,
            "created": rfc3339(record.created),
            "expires": rfc3339(self.expires(age)),
            "stitch": {name: getattr(stitching, name) for name in ("step", "bytes_done", "bytes_total")} if stitching else None,
            "problem": self.problem,
            "receipt": record.receipt if done else None,
        }


def ranges(numbers: t.Iterable[int]) -> Ranges:
    """Ascending numbers as ranges, both ends included."""
    found: Ranges = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def rfc3339(seconds: float) -> str:
    """A time in UTC."""
    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


__all__ = ["Ranges", "Stitching", "Upload", "ranges", "rfc3339"]
