# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How much each user may have on the disk, and has.

The disk is asked, not a ledger: files come and go beside the service. Asking means walking the user's tree, so an answer is
good for some seconds.
"""

from __future__ import annotations

import time
import typing as t

from ..store.space import used_bytes
from ..store.tree import Tree
from .threads import Threads

GOOD_FOR = 10.0


class Quotas:
    """Only users with a quota cost anything."""

    def __init__(self, limits: t.Mapping[str, int | None], trees: t.Mapping[str, Tree], threads: Threads) -> None:
        self._limits, self._trees, self._threads = limits, trees, threads
        self._used: dict[str, tuple[float, int]] = {}

    async def left(self, user: str, pending: int) -> int | None:
        """Bytes that the user may still fill beside ``pending`` promised ones; None: any number."""
        limit = self._limits[user]
        if limit is None:
            return None
        asked, used = self._used.get(user, (-GOOD_FOR, 0))
        if time.monotonic() - asked >= GOOD_FOR:
            used = await self._threads.run(used_bytes, self._trees[user])
            self._used[user] = (time.monotonic(), used)
        return limit - used - pending

    def published(self, user: str, size: int) -> None:
        """A promise became a file."""
        if user in self._used:
            asked, used = self._used[user]
            self._used[user] = (asked, used + size)

    def deleted(self, user: str) -> None:
        """Something is gone: look again."""
        self._used.pop(user, None)


__all__ = ["Quotas"]
