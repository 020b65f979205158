# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The SHA-256 of a file while its parts come, always up to the first that is missing: little is left to do when the last one is there.

The bytes are read back while they are still in memory. What another wrote to the partial file since then would go unseen, so a
file that is not as we left it is read once more from its beginning.
"""

from __future__ import annotations

import asyncio
import logging

from ..problems import Problem
from ..store.publishing import WholeDigest, let_go
from .assembler import Assembler
from .threads import ended, settled
from .upload import Upload

_log = logging.getLogger(__name__)
_STEP = 64 << 20


def follow(assembler: Assembler, upload: Upload) -> None:
    """A part was opened: go on, if nobody is at it."""
    if upload.following is None and upload.opened_until() > upload.digest.done:
        upload.following = asyncio.create_task(_follow_quietly(assembler, upload))


async def finish(assembler: Assembler, upload: Upload) -> str | None:
    """The SHA-256 of the whole file, whose parts are all there; none when the partial file became shorter.

    :raises InterruptedError: when the stitching is to stop.
    """
    if upload.following is not None:
        await upload.following
    if await assembler.threads.run(upload.workspace.was_changed):
        upload.digest = WholeDigest()
    try:
        await _follow(assembler, upload)
    except EOFError:
        return None
    return upload.digest.hexdigest()


async def _follow_quietly(assembler: Assembler, upload: Upload) -> None:
    """What fails here fails again, and is told, when the file is stitched."""
    try:
        await _follow(assembler, upload)
    except (OSError, EOFError, Problem) as error:
        _log.debug("the digest does not follow", extra={"upload_id": upload.record.id, "error": repr(error)})
    finally:
        upload.following = None


async def _follow(assembler: Assembler, upload: Upload) -> None:
    pool, letting_go = assembler.threads.digest, None
    try:
        while not upload.ended and (end := upload.opened_until()) > upload.digest.done:
            if upload.stitching and upload.stitching.stopped:
                raise InterruptedError("told to stop")
            digest = upload.digest
            await settled(pool.submit(digest.advance, upload.workspace, min(end, digest.done + _STEP)))
            if upload.stitching and upload.stitching.step == "checking":
                upload.stitching.bytes_done = digest.done
            if letting_go:
                await ended(letting_go)
            # In another thread: it takes a tenth of the time of hashing, and what is left to hash is what a client waits for.
            letting_go = pool.submit(let_go, upload.workspace, digest.done)
    finally:
        if letting_go:
            await ended(letting_go)


__all__ = ["finish", "follow"]
