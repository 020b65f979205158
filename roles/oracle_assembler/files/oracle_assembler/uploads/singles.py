# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A whole file in one request."""

from __future__ import annotations

import contextlib
import typing as t

from ..problems import Problem
from ..store.paths import parse
from ..store.publishing import make_durable, publish
from ..store.records import Record, single
from ..store.sinks import Whole, opened
from ..store.tree import exists
from .assembler import Assembler
from .claims import claimed
from .committing import receipt_of
from .pumping import Body, pump
from .threads import undisturbed


class Arriving(t.NamedTuple):
    """A file as its request announces it; ``wrapped_key`` None: it is not encrypted."""

    id: str
    path: str
    size: int
    sha256: str
    sealed: bool
    wrapped_key: str | None
    mode: str | None
    overwrite: bool
    length: int


class Placed(t.NamedTuple):
    """A receipt, and whether a file was replaced."""

    receipt: dict[str, t.Any]
    replaced: bool


async def receive_file(assembler: Assembler, user: str, arriving: Arriving, body: Body) -> Placed:
    """Receive, check and publish it.

    :raises Problem: see docs/protocol.md.
    """
    limit = assembler.config.file_size_max
    if arriving.size > limit:
        raise Problem("too-large", f"a file in one request has at most {limit} bytes: upload it in parts", limit=limit)
    record = single(arriving.id, user, parse(arriving.path), size=arriving.size, header="" if arriving.sealed else None)
    if arriving.length != record.stream_size:
        raise Problem("length-wrong", f"a file of {arriving.size} bytes has {record.stream_size} on the wire, not {arriving.length}")
    async with claimed(assembler.single_claims, record.id), _placed(assembler, record, arriving) as place:
        await pump(assembler.threads, place.sink, record.wire_sizes(record.part(1)), body)
        if place.sink.commit() != arriving.sha256:
            raise Problem("digest-mismatch", "the file that came has another SHA-256 than Repr-Digest says")
        placed = await assembler.threads.run(place.publish)
        assembler.quotas.published(user, arriving.size)
        return placed


@contextlib.asynccontextmanager
async def _placed(assembler: Assembler, record: Record, arriving: Arriving) -> t.AsyncIterator[_Place]:
    """Room for the file, taken back whatever happens."""
    async with assembler.begin_lock:
        if record.id in assembler.uploads:
            raise Problem("upload-differs", "this Upload-Id is in use: choose a new one")
        await assembler.check_room(record, record.size)
        assembler.singles[record.id] = record
    place = _Place(assembler, record, arriving)
    try:
        await assembler.threads.run(place.take)
        yield place
    finally:
        await undisturbed(_left(assembler, place))


async def _left(assembler: Assembler, place: _Place) -> None:
    if not place.is_left:
        await assembler.threads.run(place.leave)
    del assembler.singles[place.record.id]


class _Place:
    """Where a single file is until it is published. Each step is one call in a thread: a small file takes less time than handing it on."""

    sink: Whole

    def __init__(self, assembler: Assembler, record: Record, arriving: Arriving) -> None:
        self.record, self.is_left = record, False
        self._assembler, self._arriving = assembler, arriving
        self._workspace = assembler.workspace(record)
        self._closing = contextlib.ExitStack()

    def take(self) -> None:
        """Make room for the file.

        :raises Problem: ``exists``, ``key-missing``, ``key-refused`` and what is wrong with its folder.
        """
        with self._workspace.parent(create=True) as folder:
            if exists(folder, self.record.name) and not self._arriving.overwrite:
                raise Problem("exists", f"{self.record.path!r} exists already and was not to be overwritten")
        key = self._assembler.key_of_single(self.record, self._arriving.wrapped_key)
        self._assembler.records.save(self.record)
        self._workspace.prepare()
        self.sink = opened(self._closing, Whole, self._workspace, key)

    def publish(self) -> Placed:
        """Let the file stand at its destination, durably, and leave.

        :raises Problem: ``exists``, ``not-a-file``.
        """
        record, assembler, mode = self.record, self._assembler, self._assembler.mode(self._arriving.mode)
        identity = make_durable(self._workspace, mode)
        replaced = publish(self._workspace, overwrite=self._arriving.overwrite)
        assembler.digests.note(self._workspace, identity, self._arriving.sha256)
        assembler.observe("file", upload_id=record.id, user=record.user, size=record.size)
        self.leave()
        return Placed(receipt_of(record, self._arriving.sha256, mode), replaced)

    def leave(self) -> None:
        """Nothing stays but what was published."""
        self._closing.close()
        self._workspace.remove()
        self._assembler.records.delete(self.record.id)
        self.is_left = True


__all__ = ["Arriving", "Placed", "receive_file"]
