# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The end: nothing is lost by it, because the disk is the truth."""

from __future__ import annotations

import asyncio

from .assembler import Assembler


async def stop(assembler: Assembler) -> None:
    """Stop stitchings at their next step; their uploads are receiving again at the next start, with all parts there."""
    tasks = []
    for upload in assembler.uploads.values():
        if upload.stitching and upload.stitching.task:
            upload.stitching.stopped = True
            tasks.append(upload.stitching.task)
    if tasks:
        await asyncio.wait(tasks)
    assembler.threads.close()


__all__ = ["stop"]
