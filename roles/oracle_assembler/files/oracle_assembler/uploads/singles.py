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
from ..store.sinks import Whole
from ..store.tree import exists
from ..store.workspace import Workspace
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
    async with claimed(assembler.single_claims, record.id), _placed(assembler, record, overwrite=arriving.overwrite) as workspace:
        found = await _fill(assembler, workspace, arriving, body)
        if found != arriving.sha256:
            raise Problem("digest-mismatch", "the file that came has another SHA-256 than Repr-Digest says")
        placed = await assembler.threads.run(_publish, assembler, workspace, arriving)
        assembler.quotas.published(user, arriving.size)
        return placed


@contextlib.asynccontextmanager
async def _placed(assembler: Assembler, record: Record, *, overwrite: bool) -> t.AsyncIterator[Workspace]:
    """Room for the file, taken back whatever happens."""
    workspace = assembler.workspace(record)
    async with assembler.begin_lock:
        if record.id in assembler.uploads:
            raise Problem("upload-differs", "this Upload-Id is in use: choose a new one")
        await assembler.check_room(record, record.size)
        assembler.singles[record.id] = record
    try:
        await assembler.threads.run(_prepare, assembler, workspace, overwrite)
        yield workspace
    finally:
        await undisturbed(_take_back(assembler, workspace))


def _prepare(assembler: Assembler, workspace: Workspace, overwrite: bool) -> None:
    with workspace.parent(create=True) as folder:
        if exists(folder, workspace.record.name) and not overwrite:
            raise Problem("exists", f"{workspace.record.path!r} exists already and was not to be overwritten")
    assembler.records.save(workspace.record)
    workspace.prepare()


async def _take_back(assembler: Assembler, workspace: Workspace) -> None:
    await assembler.threads.run(_clean, assembler, workspace)
    del assembler.singles[workspace.record.id]


def _clean(assembler: Assembler, workspace: Workspace) -> None:
    workspace.remove()
    assembler.records.delete(workspace.record.id)


async def _fill(assembler: Assembler, workspace: Workspace, arriving: Arriving, body: Body) -> str:
    threads, record = assembler.threads, workspace.record
    key = await assembler.key_of_single(record, arriving.wrapped_key)
    sink = await threads.run(Whole, workspace, key)
    try:
        await pump(threads, sink, record.wire_sizes(record.part(1)), body)
        return sink.commit()
    finally:
        await undisturbed(threads.run(sink.close))


def _publish(assembler: Assembler, workspace: Workspace, arriving: Arriving) -> Placed:
    record, mode = workspace.record, assembler.mode(arriving.mode)
    identity = make_durable(workspace, mode)
    replaced = publish(workspace, overwrite=arriving.overwrite)
    assembler.digests.note(workspace, identity, arriving.sha256)
    assembler.observe("file", upload_id=record.id, user=record.user, size=record.size)
    return Placed(receipt_of(record, arriving.sha256, mode), replaced)


__all__ = ["Arriving", "Placed", "receive_file"]
