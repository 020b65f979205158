# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Who may write what: one request at a time, and a newer one takes over from one that may be stuck for long."""

from __future__ import annotations

import asyncio
import contextlib
import typing as t

import anyio

from ..problems import Problem

K = t.TypeVar("K")


class Claim:
    """The right of one request to write one thing."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.finished = asyncio.Event()
        self.lost: Problem | None = None

    async def take_away(self, why: Problem) -> None:
        """Stop the request that holds it, at its next step, and wait until it has let go."""
        if self.lost is None:
            self.lost = why
            self.scope.cancel()
        await self.finished.wait()


Claims = dict[K, Claim]


@contextlib.asynccontextmanager
async def claimed(claims: Claims[K], key: K) -> t.AsyncIterator[None]:
    """Hold the claim of that key, taken over from whoever holds it.

    :raises Problem: ``superseded``, or what else it was taken away for.
    """
    older, claim = claims.get(key), Claim()
    claims[key] = claim
    try:
        if older:
            await older.take_away(Problem("superseded", "a newer request sends the same"))
        with claim.scope:
            yield
        if claim.lost:
            raise claim.lost
    finally:
        claim.finished.set()
        if claims.get(key) is claim:
            del claims[key]


__all__ = ["Claim", "Claims", "claimed"]
