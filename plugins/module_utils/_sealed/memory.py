# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Memory that segments pass through, used again and again.

Private to the collection bigfile.oci.
"""

from __future__ import annotations

import contextlib
import mmap
import typing as t

from .layout import SEGMENT_SIZE

KEPT = 16


class Buffers:
    """Room for segments under way.

    Asking malloc for a MiB each time makes its arenas grow with every upload, and gives memory that begins 16 bytes behind a page: at that very
    distance the kernel's copies out of the page cache take two to three times as long on processors of AMD. Pages that nobody has written to
    cost nothing, so a client that stalls early takes no room.
    """

    def __init__(self) -> None:
        self._free: list[memoryview] = []

    @contextlib.contextmanager
    def borrow(self) -> t.Iterator[memoryview]:
        """A segment's worth of memory, with anything in it."""
        try:
            buffer = self._free.pop()
        except IndexError:
            buffer = memoryview(mmap.mmap(-1, SEGMENT_SIZE))
        try:
            yield buffer
        finally:
            if len(self._free) < KEPT:
                self._free.append(buffer)


BUFFERS = Buffers()
"""Those of this process."""

__all__ = ["BUFFERS", "Buffers"]
