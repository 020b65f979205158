# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Begin an upload, and end one."""

from __future__ import annotations

import base64
import binascii
import errno
import secrets
import time
import typing as t

from ..problems import Problem, from_os_error
from ..store.opening import check_header
from ..store.paths import parse
from ..store.records import ENDING, Record, expected_parts
from ..store.tree import exists
from ..store.workspace import Workspace
from .assembler import Assembler, unknown
from .threads import undisturbed
from .upload import Upload

MIB = 1 << 20
PART_SIZE_MIN = 5 * MIB
PARTS_MAX = 10_000


class Asked(t.NamedTuple):
    """What a begin call says; ``header`` is base64, None for a plain upload."""

    id: str | None
    path: str
    size: int
    part_size: int
    parts: int
    header: str | None
    release_key: str
    source: str


async def begin(assembler: Assembler, user: str, asked: Asked) -> tuple[Upload, bool]:
    """Begin it, or find it begun by the same call; says whether it is new.

    :raises Problem: see docs/protocol.md.
    """
    _check(assembler, asked)
    record = Record(user=user, created=time.time(), **{**asked._asdict(), "id": asked.id or secrets.token_hex(16)})
    async with assembler.begin_lock:
        known = assembler.uploads.get(record.id)
        if known is not None and not known.ended:
            return _same(known, record), False
        upload = await undisturbed(_start(assembler, record))
    assembler.observe("upload-begun", upload_id=record.id, user=user, size=record.size)
    return upload, True


def _same(known: Upload, record: Record) -> Upload:
    if not known.record.begins_like(record):
        raise Problem("upload-differs", "an upload with this id was begun with other members: choose a new id")
    return known


def _check(assembler: Assembler, asked: Asked) -> None:
    parse(asked.path)
    config = assembler.config
    if asked.size > config.upload_size_max:
        raise Problem("too-large", f"an upload has at most {config.upload_size_max} bytes", limit=config.upload_size_max)
    if asked.part_size > config.part_size_max:
        raise Problem("too-large", f"a part has at most {config.part_size_max} bytes", limit=config.part_size_max)
    if asked.part_size < PART_SIZE_MIN or asked.part_size % MIB:
        raise Problem("invalid", "a part size is whole MiB, at least 5 of them")
    parts = expected_parts(sealed=asked.header is not None, size=asked.size, part_size=asked.part_size)
    if parts > PARTS_MAX:
        raise Problem("too-large", f"an upload has at most {PARTS_MAX} parts: take larger ones", limit=PARTS_MAX)
    if parts != asked.parts:
        raise Problem("invalid", f"a file of this size has {parts} parts, not {asked.parts}")
    if asked.header is not None:
        _check_header(asked.header)


def _check_header(text: str) -> None:
    try:
        check_header(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise Problem("invalid", "the sealing header is no header of the sealed stream") from error


async def _start(assembler: Assembler, record: Record) -> Upload:
    upload = Upload(record, assembler.workspace(record))
    await assembler.check_room(record, record.size)
    await assembler.threads.run(_refuse_folder, upload.workspace)
    try:
        upload.reserved = await assembler.threads.run(_prepare, assembler, upload.workspace)
    except OSError as error:
        await assembler.threads.run(_erase, assembler, upload.workspace)
        raise _no_room(error, record.size) or error from error
    assembler.uploads[record.id] = upload
    return upload


def _no_room(error: OSError, needed: int) -> Problem | None:
    problem = from_os_error(error)
    if error.errno == errno.ENOSPC and problem:
        problem.members["needed"] = needed
    return problem


def _refuse_folder(workspace: Workspace) -> None:
    try:
        with workspace.parent() as folder:
            exists(folder, workspace.record.name)
    except Problem as problem:
        if problem.name != "not-found":
            raise


def _prepare(assembler: Assembler, workspace: Workspace) -> bool:
    assembler.records.save(workspace.record)
    return workspace.prepare()


async def end(assembler: Assembler, upload: Upload, outcome: str) -> None:
    """Abort or expire an upload: nothing of it stays, whoever is at it is stopped.

    :raises Problem: ``already-published``, also when that happened while we waited for the stitching.
    """
    if upload.is_published():
        raise published(upload)
    upload.ended = True
    await undisturbed(_end(assembler, upload, outcome))


async def _end(assembler: Assembler, upload: Upload, outcome: str) -> None:
    for claim in list(upload.claims.values()):
        await claim.take_away(unknown(upload.record.id))
    if upload.stitching and upload.stitching.task:
        upload.stitching.stopped = True
        await upload.stitching.task
    if upload.is_published():
        upload.ended = False
        raise published(upload)
    await assembler.threads.run(_erase, assembler, upload.workspace)
    assembler.uploads.pop(upload.record.id, None)
    assembler.observe("upload-ended", upload_id=upload.record.id, user=upload.record.user, outcome=outcome)


def published(upload: Upload) -> Problem:
    """It is done already."""
    return Problem("already-published", f"the upload was published as {upload.record.path!r}")


def _erase(assembler: Assembler, workspace: Workspace) -> None:
    assembler.records.change(workspace.record, state=ENDING)  # a crash from here on is finished at the next start
    workspace.remove()
    assembler.records.delete(workspace.record.id)


__all__ = ["PARTS_MAX", "PART_SIZE_MIN", "Asked", "begin", "end", "published"]
