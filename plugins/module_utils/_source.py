# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The local file: what it is, its ranges, its digest. The one file that touches filechunkio.

Private to the collection bigfile.oci. It never writes, and never hands out bytes of a file that is no longer the one it was.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import traceback
import typing as t

from ._errors import SourceChanged, SourceError
from ._sealed.layout import SEGMENT_SIZE
from ._sealed.memory import BUFFERS

FILECHUNKIO_IMPORT_ERROR: str | None
try:
    from filechunkio import FileChunkIO
except ImportError:
    FILECHUNKIO_IMPORT_ERROR = traceback.format_exc()
else:
    FILECHUNKIO_IMPORT_ERROR = None


class Identity(t.NamedTuple):
    """What tells that a file is still the same one with the same bytes; times in nanoseconds since the epoch."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class Source:
    """A regular file as it stood when this object was made.

    :raises SourceError: when there is none at ``path`` that can be read.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.realpath(path)
        self._shown = path
        self.identity = self._identify()
        if not os.access(self.path, os.R_OK):
            raise SourceError(f"the source {path} cannot be read by this user; give it read permission, or use become")

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.identity.size

    def _identify(self) -> Identity:
        try:
            found = os.stat(self.path)
        except FileNotFoundError as error:
            raise SourceError(f"the source {self._shown} does not exist on this host; give a path as that host has it") from error
        except OSError as error:
            raise SourceError(
                f"the source {self._shown} cannot be looked at: {error.strerror}; look at the folders on the way to it"
            ) from error
        if stat.S_ISDIR(found.st_mode):
            raise SourceError(f"the source {self._shown} is a folder; give one file, or loop over its files")
        if not stat.S_ISREG(found.st_mode):
            raise SourceError(f"the source {self._shown} is not a regular file; give one, or the file that holds its content")
        return Identity(
            found.st_dev,
            found.st_ino,
            found.st_size,
            found.st_mtime_ns,
            found.st_ctime_ns,
        )

    def check(self) -> None:
        """Return when the file is the one it was.

        :raises SourceChanged: when it was written to, replaced or removed.
        """
        try:
            same = self._identify() == self.identity
        except SourceError as error:
            raise SourceChanged(
                f"the source {self._shown} was removed or replaced while it was read; nothing was published. Run again when it stays, which begins anew"
            ) from error
        if not same:
            raise SourceChanged(
                f"the source {self._shown} changed while it was read; nothing was published. Run again when nobody writes to it, which begins anew"
            )

    def read(self, offset: int, sizes: t.Iterable[int]) -> t.Iterator[memoryview]:
        """Yield the bytes from ``offset`` on in blocks of ``sizes``, none above 1 MiB. A block holds until the next is asked for.

        The file is looked at after a block is read and before it is given away: changed bytes must never be sealed under the old key.

        :raises SourceChanged: when it is not the file it was.
        """
        try:
            with FileChunkIO(self.path, offset=offset, bytes=self.size - offset) as chunk, BUFFERS.borrow() as buffer:
                for size in sizes:
                    block = buffer[:size]
                    self._fill(block, chunk)
                    self.check()
                    yield block
        except OSError as error:
            raise SourceError(
                f"the source {self._shown} cannot be read: {error.strerror}; look at the disk or share that it is on, and run again"
            ) from error

    def _fill(self, block: memoryview, chunk: FileChunkIO) -> None:
        filled = 0
        while filled < len(block):
            # FileChunkIO's own readinto makes a copy of all that it reads; the one of its base class does not.
            count = io.FileIO.readinto(chunk, block[filled:])
            if not count:
                raise SourceChanged(
                    f"the source {self._shown} became shorter while it was read; nothing was published. Run again when nobody writes to it, which begins anew"
                )
            filled += count

    def sha256(self, step: t.Callable[[int], None]) -> str:
        """SHA-256 of the file in hexadecimal; ``step`` is called before each MiB with the bytes that are done, and may raise to end it."""
        digest = hashlib.sha256()
        full, rest = divmod(self.size, SEGMENT_SIZE)
        for number, block in enumerate(self.read(0, [SEGMENT_SIZE] * full + [rest] * bool(rest))):
            step(number * SEGMENT_SIZE)
            digest.update(block)
        self.check()
        return digest.hexdigest()


__all__ = ["FILECHUNKIO_IMPORT_ERROR", "Identity", "Source"]
