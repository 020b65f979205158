# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Receive a part: open it where its bytes belong, keep it sealed, or compare it with what is there."""

from __future__ import annotations

import contextlib
import typing as t

from ..problems import Problem
from ..store.sinks import Comparing, Placing, Sink, opened
from ..store.workspace import OPENED, SEALED
from .assembler import Assembler, unknown
from .beginning import published
from .claims import claimed
from .following import follow
from .pumping import Body, pump
from .threads import Threads, undisturbed
from .upload import Upload


class Arriving(t.NamedTuple):
    """A part as its request announces it; ``replaces`` is the ETag of a content that may be replaced."""

    number: int
    length: int
    wrapped_key: str | None
    replaces: str | None


class Received(t.NamedTuple):
    """A part that counts; ``size`` is bytes of the file."""

    number: int
    size: int
    etag: str
    new: bool


async def receive(assembler: Assembler, upload: Upload, arriving: Arriving, body: Body) -> Received:
    """Receive a part, or compare it with what was received before.

    :raises Problem: see docs/protocol.md.
    """
    part = upload.record.part(arriving.number)
    _check(upload)
    if arriving.length != part.stream_size:
        raise Problem("length-wrong", f"part {part.number} has {part.stream_size} bytes on the wire, not {arriving.length}")
    async with claimed(upload.claims, part.number):
        _check(upload)
        etag = await _stays(assembler, upload, arriving)
        if etag is not None:
            return await _compare(assembler, upload, arriving, etag, body)
        return await _take(assembler, upload, arriving, body)


def _check(upload: Upload) -> None:
    if upload.ended:
        raise unknown(upload.record.id)
    if upload.is_published():
        raise published(upload)
    if upload.stitching:
        raise Problem("stitching", "the upload is being stitched: ask for its state")


async def _stays(assembler: Assembler, upload: Upload, arriving: Arriving) -> str | None:
    state = upload.received.get(arriving.number)
    if state is None:
        return None
    etag = await assembler.threads.run(upload.workspace.etag, arriving.number, state)
    if etag != arriving.replaces:
        return etag
    _check(upload)  # again, as a stitching may have begun while we read the ETag; from here to the next line nothing can
    upload.forget(arriving.number)
    await assembler.threads.run(upload.workspace.drop, arriving.number)
    return None


async def _compare(assembler: Assembler, upload: Upload, arriving: Arriving, etag: str, body: Body) -> Received:
    part = upload.record.part(arriving.number)
    sink = Comparing(upload.workspace)
    await pump(assembler.threads, sink, upload.record.wire_sizes(part), body)
    if sink.commit() != etag:
        raise Problem(
            "part-conflict", f"part {part.number} was received with other content; name its etag in If-Match to replace it", etag=etag
        )
    assembler.observe("part-again", size=part.stream_size)
    return Received(part.number, part.size, etag, new=False)


async def _take(assembler: Assembler, upload: Upload, arriving: Arriving, body: Body) -> Received:
    part, threads = upload.record.part(arriving.number), assembler.threads
    stream = None if upload.record.held_sealed else await assembler.stream(upload, arriving.wrapped_key)
    closing = contextlib.ExitStack()
    try:
        sink = await threads.run(opened, closing, Placing, upload.workspace, part, stream)
        await pump(threads, sink, upload.record.wire_sizes(part), body)
        etag = await undisturbed(_commit(threads, upload, part.number, sink))
    finally:
        await undisturbed(threads.run(closing.close))
    follow(assembler, upload)
    assembler.observe("part", size=part.stream_size)
    return Received(part.number, part.size, etag, new=True)


async def _commit(threads: Threads, upload: Upload, number: int, sink: Sink) -> str:
    """What counts on the disk counts in memory."""
    etag = await threads.run(sink.commit)
    upload.note(number, SEALED if upload.record.held_sealed else OPENED)
    upload.touch()
    return etag


__all__ = ["Arriving", "Received", "receive"]
