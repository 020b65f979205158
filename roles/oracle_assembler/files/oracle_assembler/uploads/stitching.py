# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Make one whole, checked, durable, published file of an upload's parts. Holds no request open.

Nothing is published whose size or SHA-256 differ from what the stitch call says. What went wrong is kept with the upload.
"""

from __future__ import annotations

import asyncio
import time
import typing as t

from ..problems import Problem, from_os_error
from ..store.opening import Stream, is_damaged, open_sealed_part
from ..store.publishing import make_durable
from ..store.records import PUBLISHING
from ..store.tree import exists
from ..store.workspace import OPENED, SEALED
from .assembler import Assembler, unknown
from .committing import commit, receipt_of, settle
from .following import finish, follow
from .threads import settled
from .upload import Stitching, Upload, ranges

PATIENCE_MOST = 10.0
"""Seconds that a request may wait for the end of a stitching."""


class Asked(t.NamedTuple):
    """What a stitch call says."""

    name: str
    size: int
    sha256: str
    wrapped_key: str | None
    mode: str | None
    overwrite: bool
    request_id: str


async def stitch(assembler: Assembler, upload: Upload, asked: Asked) -> None:
    """Start the stitching; does nothing more when it is under way or done.

    :raises Problem: see docs/protocol.md.
    """
    if _is_same(upload, asked):
        return
    _refuse_missing(upload)
    stream = await assembler.stream(upload, asked.wrapped_key)
    await assembler.threads.run(_refuse_existing, upload, asked)
    if upload.ended:
        raise unknown(upload.record.id)
    if _is_same(upload, asked):  # another request was faster while we waited
        return
    _refuse_missing(upload)
    upload.problem = None
    upload.stitching = Stitching(asked.sha256)
    upload.stitching.task = asyncio.create_task(_run(assembler, upload, asked, stream))


async def outcome(upload: Upload, patience: float) -> None:
    """Wait for the end of the stitching, if there is one, for at most so many seconds."""
    if upload.stitching and upload.stitching.task:
        await asyncio.wait([upload.stitching.task], timeout=min(patience, PATIENCE_MOST))


def _is_same(upload: Upload, asked: Asked) -> bool:
    record = upload.record
    if (asked.name, asked.size) != (record.name, record.size):
        raise Problem("upload-differs", f"this upload was begun for {record.name!r} with {record.size} bytes")
    known = upload.stitching.sha256 if upload.stitching else record.receipt["sha256"] if record.receipt else None
    if known not in (None, asked.sha256):
        raise Problem("upload-differs", "this upload is stitched with another SHA-256")
    return upload.stitching is not None or upload.is_published()


def _refuse_missing(upload: Upload) -> None:
    missing = upload.missing()
    if missing:
        raise Problem("parts-missing", "parts of the file were not received: send them, then stitch again", missing=missing)


def _refuse_existing(upload: Upload, asked: Asked) -> None:
    if upload.record.state == PUBLISHING:
        return  # it may be our own
    with upload.workspace.parent() as folder:
        if exists(folder, upload.record.name) and not asked.overwrite:
            raise Problem("exists", f"{upload.record.path!r} exists already and was not to be overwritten")


async def _run(assembler: Assembler, upload: Upload, asked: Asked, stream: Stream) -> None:
    began, problem, failure = time.monotonic(), None, None
    try:
        if upload.record.state == PUBLISHING:
            await _settle(assembler, upload)
        if not upload.is_published():
            await _open(assembler, upload, stream)
            await _check(assembler, upload, asked, stream)
            await _publish(assembler, upload, asked)
        _finish(assembler, upload)
    except Problem as error:
        problem = error
    except InterruptedError:
        pass
    except Exception as error:
        failure = error
        problem = (from_os_error(error) if isinstance(error, OSError) else None) or _internal()
    if problem:
        upload.problem = problem.document(asked.request_id)
    upload.stitching = None
    ended = problem.name if problem else "published" if upload.is_published() else "interrupted"
    assembler.observe(
        "stitched", upload_id=upload.record.id, request_id=asked.request_id, user=upload.record.user, outcome=ended,
        seconds=time.monotonic() - began, failure=failure,
    )  # fmt: skip


def _internal() -> Problem:
    return Problem("internal", "stitching failed, the server's log says why; ask again")


def _running(upload: Upload) -> Stitching:
    if upload.stitching is None or upload.stitching.stopped:
        raise InterruptedError("told to stop")
    return upload.stitching


async def _open(assembler: Assembler, upload: Upload, stream: Stream) -> None:
    """Open what is still sealed, a few parts at a time."""
    sealed = sorted(number for number, state in upload.received.items() if state == SEALED)
    _running(upload).begin("opening", sum(upload.record.part(number).size for number in sealed))
    damaged: list[int] = []

    async def one(number: int) -> None:
        try:
            await settled(assembler.threads.stitch.submit(_unless_stopped, upload, open_sealed_part, upload.workspace, number, stream))
        except Problem as problem:
            if problem.name != "segment-damaged":
                raise
            damaged.append(number)
        else:
            upload.note(number, OPENED)
            follow(assembler, upload)
            _running(upload).bytes_done += upload.record.part(number).size

    await _all(one(number) for number in sealed)
    await _report(assembler, upload, damaged)


def _unless_stopped(upload: Upload, function: t.Callable[..., t.Any], *args: t.Any) -> t.Any:
    _running(upload)
    return function(*args)


async def _all(jobs: t.Iterable[t.Awaitable[None]]) -> None:
    """Wait for all of them, then raise what the first one raised: no thread is left at work."""
    results = await asyncio.gather(*jobs, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _report(assembler: Assembler, upload: Upload, damaged: list[int]) -> None:
    if not damaged:
        return
    for number in damaged:
        upload.forget(number)
        await assembler.threads.run(upload.workspace.drop, number)
    raise Problem(
        "parts-damaged", "these parts are not what was sealed: send them again, then stitch again", damaged=ranges(sorted(damaged))
    )


async def _check(assembler: Assembler, upload: Upload, asked: Asked, stream: Stream) -> None:
    """Compare the whole file with its digest; find out which parts are to blame."""
    _running(upload).begin("checking", upload.record.size)
    if await finish(assembler, upload) == asked.sha256:
        return
    damaged: list[int] = []

    async def one(number: int) -> None:
        if await settled(assembler.threads.stitch.submit(_unless_stopped, upload, is_damaged, upload.workspace, number, stream)):
            damaged.append(number)

    await _all(one(number) for number in sorted(upload.received))
    await _report(assembler, upload, damaged)
    raise Problem("digest-mismatch", "every part is what was sent, yet the whole has another SHA-256: the source changed; begin anew")


async def _publish(assembler: Assembler, upload: Upload, asked: Asked) -> None:
    _running(upload).begin("syncing", upload.record.size)
    mode = assembler.mode(asked.mode)
    identity = await settled(assembler.threads.stitch.submit(make_durable, upload.workspace, mode))
    _running(upload)
    intent = {"state": PUBLISHING, "receipt": receipt_of(upload.record, asked.sha256, mode), "identity": identity}
    upload.record = await assembler.threads.run(assembler.records.change, upload.record, **intent)
    upload.record = await assembler.threads.run(commit, assembler, upload.workspace, upload.record, overwrite=asked.overwrite)


async def _settle(assembler: Assembler, upload: Upload) -> None:
    """An earlier stitching failed after it had said that it would publish."""
    upload.record = await assembler.threads.run(settle, assembler, upload.workspace, upload.record)


def _finish(assembler: Assembler, upload: Upload) -> None:
    upload.workspace.record = upload.record
    assembler.quotas.published(upload.record.user, upload.record.size)
    upload.stream = None
    upload.received.clear()


__all__ = ["Asked", "outcome", "stitch"]
