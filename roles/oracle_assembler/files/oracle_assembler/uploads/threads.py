# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Bounded threads for what blocks: a stalled client never holds one.

Whoever waits for a job waits until the job has ended, also when told to give up: a job's descriptors and
buffers must outlive it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import typing as t

import anyio

T = t.TypeVar("T")
DATA = 8
CONTROL = 4
CORES = os.cpu_count() or 1
STITCH = max(1, CORES - 1)
"""What is opened late has to be hashed too, and hashing takes longer: one core is left to it."""


class Threads:
    """Pools of their own, so that none waits for another: segments under way, small questions, stitching, digests."""

    def __init__(self) -> None:
        pool = concurrent.futures.ThreadPoolExecutor
        self.data = pool(DATA, "data")
        self.control = pool(CONTROL, "control")
        self.stitch = pool(STITCH, "stitch")
        self.digest = pool(max(2, CORES), "digest")

    async def run(self, function: t.Callable[..., T], *args: t.Any, **kwargs: t.Any) -> T:
        """Call it in a control thread."""
        return await settled(self.control.submit(function, *args, **kwargs))

    def close(self) -> None:
        """Let the threads end; does not wait for a hanging disk."""
        for pool in (self.data, self.control, self.stitch, self.digest):
            pool.shutdown(wait=False, cancel_futures=True)


async def settled(job: concurrent.futures.Future[T]) -> T:
    """The result of a job; whoever is cancelled meanwhile hears of it when the job has ended."""
    if job.done():
        return job.result()
    return await _completed(asyncio.wrap_future(job))


async def undisturbed(work: t.Coroutine[t.Any, t.Any, T]) -> T:
    """Do all of it, also when cancelled meanwhile: for steps that must not be left in the middle."""
    return await _completed(asyncio.ensure_future(work))


async def ended(job: concurrent.futures.Future[t.Any]) -> None:
    """Wait until a job has ended, however it ended."""
    with contextlib.suppress(Exception):
        await settled(job)


async def _completed(future: asyncio.Future[T]) -> T:
    """Cancelled by a scope of ours, or by the server when its client is gone: both only count afterwards."""
    cancelled = None
    with anyio.CancelScope(shield=True):
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is None:
        return future.result()
    future.exception()  # it is nobody's any more
    raise cancelled


__all__ = ["Threads", "ended", "settled", "undisturbed"]
