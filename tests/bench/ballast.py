"""Memory that is really there when a turn begins.

A virtual machine gives memory that it does not use back to its host, within seconds, and a page that must be got from there again costs 10 µs: five
seconds for a file of 2 GiB, more than sending it takes. On a machine of one's own there is no such thing. So the bench holds as much as the
next file needs and lets go of it the moment before.
"""

from __future__ import annotations

import mmap

from .load import MIB

_TOUCHED = b"\1" * MIB


class Ballast:
    """Memory that we hold."""

    def __init__(self) -> None:
        self._held: mmap.mmap | None = None

    def take(self, size: int) -> None:
        """Hold ``size`` bytes, rounded up to whole MiB, every page of them touched."""
        size = -(-size // MIB) * MIB
        if self._held is not None and len(self._held) == size:
            return
        self.drop()
        self._held = mmap.mmap(-1, size)
        for start in range(0, len(self._held), MIB):
            self._held[start : start + MIB] = _TOUCHED

    def drop(self) -> None:
        """Let go: it is there for whoever asks next."""
        if self._held is not None:
            self._held.close()
            self._held = None


__all__ = ["Ballast"]
