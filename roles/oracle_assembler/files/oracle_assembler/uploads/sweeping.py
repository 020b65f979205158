# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What nobody came back for goes: abandoned uploads, old receipts, leftovers of parts."""

from __future__ import annotations

import asyncio
import logging
import time

from ..problems import Problem
from ..store.orphans import remove_orphans
from .assembler import Assembler
from .beginning import end
from .upload import Upload

WALK_EVERY = 86_400.0
_log = logging.getLogger(__name__)


async def sweep_for_ever(assembler: Assembler) -> None:
    """Sweep now and then, as long as the service runs."""
    pause = min(600.0, assembler.config.upload_age / 4)
    walked = -WALK_EVERY
    while True:
        try:
            await sweep(assembler, time.time())
            if time.monotonic() - walked >= WALK_EVERY:
                walked = time.monotonic()
                await sweep_orphans(assembler, time.time())
        except Exception:
            _log.exception("sweeping failed, it is tried again")
        await asyncio.sleep(pause)


async def sweep(assembler: Assembler, now: float) -> None:
    """End what has expired at this time."""
    age = assembler.config.upload_age
    for upload in list(assembler.uploads.values()):
        if upload.expires(age) <= now and not upload.claims and not upload.stitching and not upload.ended:
            await _expire(assembler, upload)


async def _expire(assembler: Assembler, upload: Upload) -> None:
    if upload.is_published():
        await assembler.threads.run(assembler.records.delete, upload.record.id)
        assembler.uploads.pop(upload.record.id, None)
        return
    try:
        await end(assembler, upload, "expired")
    except Problem:
        _log.info("an upload was published just before it expired", extra={"upload_id": upload.record.id})


async def sweep_orphans(assembler: Assembler, now: float) -> None:
    """Remove what a power cut left behind, when it is as old as an upload may be."""
    before = now - assembler.config.upload_age
    for user in assembler.users():
        known = await assembler.threads.run(assembler.records.ids)
        found = await assembler.threads.run(remove_orphans, assembler.tree(user), known, before)
        if found:
            _log.warning("leftovers that no record knows were removed", extra={"user": user, "count": found})


__all__ = ["sweep", "sweep_for_ever", "sweep_orphans"]
