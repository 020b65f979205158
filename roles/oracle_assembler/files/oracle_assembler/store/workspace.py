# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Where an upload lives until it is published: its segments folder and its partial file, beside the destination.

What stands in the segments folder is what was received. Nothing here knows a key.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
import typing as t

from .._sealed.layout import Part
from ..problems import Problem
from .paths import partial_name, segments_name
from .records import SINGLE, Record
from .space import reserve
from .tree import Tree
from .whole import read_whole, unlink_if_there

SEALED = "sealed"
"""A part that waits for its key: its ciphertext stands in the partial file, where its payload will; the file of this name holds its tags."""
OPENED = "opened"
"""A part whose payload is in the partial file; the file holds what proves it."""
_NAME = re.compile(r"([1-9][0-9]*)\.(sealed|opened)")
_PLAIN_PROOF = hashlib.sha256().digest_size


class Workspace:
    """The places of one upload; every call opens what it needs and closes it again."""

    def __init__(self, tree: Tree, record: Record) -> None:
        self.tree = tree
        self.record = record
        self.partial_name = partial_name(record.id)
        self.segments_name = segments_name(record.id)
        self._lock = threading.Lock()
        self._writers = 0
        self._written = 0
        self._foreign = False

    @contextlib.contextmanager
    def parent(self, *, create: bool = False) -> t.Iterator[int]:
        """The open folder that the file will be published in."""
        with self.tree.open(self.record.components[:-1], create=create) as folder:
            yield folder

    @contextlib.contextmanager
    def segments(self) -> t.Iterator[int]:
        """The open segments folder."""
        with self.parent() as folder:
            descriptor = os.open(self.segments_name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def partial(self, flags: int = os.O_RDWR) -> t.Iterator[int]:
        """The open partial file."""
        descriptor = self.open_partial(flags)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def open_partial(self, flags: int = os.O_RDWR) -> int:
        """A descriptor of the partial file; the caller closes it."""
        with self.parent() as folder:
            return os.open(self.partial_name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)

    def begin_writing(self) -> int:
        """A descriptor of the partial file, for :meth:`end_writing`."""
        partial = self.open_partial()
        with self._lock:
            self._foreign |= self._is_foreign(partial)
            self._writers += 1
        return partial

    def end_writing(self, partial: int) -> None:
        """Close the partial file and remember what time our writing gave it."""
        with self._lock:
            self._writers -= 1
            self._written = os.fstat(partial).st_mtime_ns
        os.close(partial)

    @contextlib.contextmanager
    def writing(self) -> t.Iterator[int]:
        """The partial file, open to be written to."""
        partial = self.begin_writing()
        try:
            yield partial
        finally:
            self.end_writing(partial)

    def _is_foreign(self, partial: int) -> bool:
        return self._writers == 0 and os.fstat(partial).st_mtime_ns != self._written

    def was_changed(self) -> bool:
        """Whether another wrote to the partial file since we were asked last, or may have before the service was started.

        Seen by its time of change, and only when none of us was writing.
        """
        with self._lock, self.partial(os.O_RDONLY) as partial:
            changed = self._foreign or self._is_foreign(partial)
            self._foreign, self._written = False, os.fstat(partial).st_mtime_ns
        return changed

    def prepare(self) -> bool:
        """Make what is missing, also after a crash in the middle of it; says whether the whole room is reserved on the disk.

        A partial file that had to be made anew holds nothing, so nothing counts as received. A file that comes in one request has no
        segments, and is begun anew after a crash.

        :raises OSError: ENOSPC when the room is not there.
        """
        in_parts = self.record.state != SINGLE
        with self.parent(create=True) as folder:
            if in_parts:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(self.segments_name, 0o700, dir_fd=folder)
            made = False
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self.partial_name, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_RDWR, 0o600, dir_fd=folder))
                made = True
            if in_parts:
                if made:
                    self._drop_all()
                os.fsync(folder)
        with self.partial() as partial:
            reserved = reserve(partial, self.record.size)
            if made:
                self._written = os.fstat(partial).st_mtime_ns
        return reserved

    def _drop_all(self) -> None:
        with self.segments() as folder:
            for name in os.listdir(folder):
                unlink_if_there(folder, name)

    def scan(self) -> dict[int, str]:
        """The parts that were received, by number: sealed or opened. Leftovers of a crash are removed."""
        found: dict[int, str] = {}
        with self.segments() as folder:
            for name in os.listdir(folder):
                match = _NAME.fullmatch(name)
                if not match or not self._is_whole(folder, name, int(match.group(1))):
                    unlink_if_there(folder, name)
                elif found.get(int(match.group(1))) != OPENED:
                    found[int(match.group(1))] = match.group(2)
        return found

    def _is_whole(self, folder: int, name: str, number: int) -> bool:
        if number > self.record.parts:
            return False
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_size == self._proof_size(self.record.part(number))

    def _proof_size(self, part: Part) -> int:
        return part.segments * self.record.layout.tag or _PLAIN_PROOF

    def touched(self) -> float:
        """When the last part came."""
        with self.parent() as folder:
            return os.stat(self.segments_name, dir_fd=folder, follow_symlinks=False).st_mtime

    def etag(self, number: int, state: str) -> str:
        """The ETag of a received part."""
        proof = self.proof(number, state)
        return hashlib.sha256(proof).hexdigest() if self.record.layout.tag else proof.hex()

    def proof(self, number: int, state: str) -> bytes:
        """The tags of a part, one behind the other; of a plain part its SHA-256."""
        with self.segments() as folder:
            return read_whole(folder, f"{number}.{state}")

    def drop(self, number: int) -> None:
        """A part no longer counts as received."""
        with self.segments() as folder:
            for suffix in (OPENED, SEALED):
                unlink_if_there(folder, f"{number}.{suffix}")

    def remove(self) -> None:
        """Everything goes, the published file stays; may be called again."""
        with contextlib.suppress(FileNotFoundError, Problem), self.segments() as folder:
            for name in os.listdir(folder):
                os.unlink(name, dir_fd=folder)
        with contextlib.suppress(Problem), self.parent() as folder:
            unlink_if_there(folder, self.partial_name)
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(self.segments_name, dir_fd=folder)


__all__ = ["OPENED", "SEALED", "Workspace"]
