# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The SHA-256 of a source while it is sent.

Private to the collection bigfile.oci. A thread hashes the source from its first byte to its last, and parts do not run far ahead of it. The stitching
needs the digest, so nothing is lost by that; and hashing, which only one core can do, is not what is left in the end while the others have nothing to do.
"""

from __future__ import annotations

import threading
import typing as t

from ._body import Reader
from ._window import in_background

if t.TYPE_CHECKING:
    from ._sealed.cipher import Buffer

AHEAD_MOST = 32 << 20
"""Bytes that a part may be ahead of the digest. Whoever waits goes on at half of it, so that nobody is woken for a single block."""

PATIENCE = 1.0
"""Seconds that a block waits at most. A part far ahead, as in a resumed upload, is then sent slowly: to the service it must not look stalled."""


class Hashable(Reader, t.Protocol):
    """What can be hashed, see :class:`Source`."""

    def sha256(self, step: t.Callable[[int], None]) -> str:
        """Its digest; ``step`` is called with the bytes that are done."""


class RunningDigest:
    """Hashes a source in a thread of its own, and is what its parts are read from meanwhile.

    :param step: called before each MiB is hashed, with the bytes that are done; may raise to end it
    """

    def __init__(self, source: Hashable, step: t.Callable[[int], None]) -> None:
        self._source = source
        self._step = step
        self._done = 0
        self._over = False
        self._moved = threading.Condition()
        self.hexdigest = in_background(self._hash)
        """Waits for the digest, 64 hexadecimal digits; raises what ``step`` or the source raised."""

    def read(self, offset: int, sizes: t.Iterable[int]) -> t.Iterator[Buffer]:
        """See :meth:`Source.read`."""
        return self._source.read(offset, self._paced(offset, sizes))

    def _paced(self, offset: int, sizes: t.Iterable[int]) -> t.Iterator[int]:
        for size in sizes:
            offset += size
            self._await(offset)
            yield size

    def _await(self, end: int) -> None:
        """Return when the bytes up to ``end`` may be sent; also when patience ends, or the digest did without having come to them."""
        if end > self._done + AHEAD_MOST and not self._over:
            with self._moved:
                self._moved.wait_for(lambda: self._over or end <= self._done + AHEAD_MOST // 2, PATIENCE)

    def _hash(self) -> str:
        try:
            return self._source.sha256(self._advance)
        finally:
            self._over = True
            self._tell()

    def _advance(self, done: int) -> None:
        self._step(done)
        self._done = done
        if done % (AHEAD_MOST // 4) == 0:
            self._tell()

    def _tell(self) -> None:
        with self._moved:
            self._moved.notify_all()


__all__ = ["AHEAD_MOST", "RunningDigest"]
