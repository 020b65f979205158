# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What can be done with the segments of a part as they stream in: write them, opened or sealed, or compare them.

A sink takes whole segments in order, in worker threads, one at a time. It holds descriptors and no more than the
segment it was just given.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import typing as t

from .._sealed.cipher import PartDigest, Stream
from .._sealed.layout import Part
from .opening import keep_into, note, open_into, stream_with_header
from .workspace import OPENED, SEALED, Workspace


class Sink(t.Protocol):
    """``take`` each segment, then ``commit``; ``close`` in any case."""

    def take(self, segment: memoryview) -> None:
        """The next segment, as it travelled."""

    def commit(self) -> str:
        """All segments were taken: make the part count. Returns its ETag."""

    def close(self) -> None:
        """Let go; what was not committed does not count."""


S = t.TypeVar("S", bound=Sink)


def opened(closing: contextlib.ExitStack, kind: t.Callable[..., S], *args: t.Any) -> S:
    """A sink that ``closing`` closes; also when whoever waits for it is told to give up before it is there."""
    sink = kind(*args)
    closing.callback(sink.close)
    return sink


class Placing:
    """Writes each segment's payload at its final offset: opened where the key is there, else as it came.

    :param stream: what opens segments; None when their key comes with the stitch call
    """

    def __init__(self, workspace: Workspace, part: Part, stream: Stream | None) -> None:
        self._workspace, self._number, self._stream = workspace, part.number, stream
        self._layout = workspace.record.layout
        self._spots = part.segment_sizes(self._layout)
        self._digest = PartDigest(self._layout)
        self._tags = bytearray()
        self._partial = workspace.begin_writing()

    def take(self, segment: memoryview) -> None:
        """Write it, remember its tag."""
        spot = next(self._spots)
        if self._stream is None:
            keep_into(self._workspace.record, self._partial, spot, segment)
        else:
            open_into(self._stream, self._partial, spot, segment)
        self._digest.add(segment)
        self._tags += segment[len(segment) - self._layout.tag :]

    def commit(self) -> str:
        """Note what proves the part."""
        etag = self._digest.etag()
        note(self._workspace, self._number, SEALED if self._stream is None else OPENED, bytes(self._tags) or bytes.fromhex(etag))
        return etag

    def close(self) -> None:
        """Close the partial file."""
        self._workspace.end_writing(self._partial)


class Comparing:
    """Takes a part's ETag and writes nothing."""

    def __init__(self, workspace: Workspace) -> None:
        self._digest = PartDigest(workspace.record.layout)

    def take(self, segment: memoryview) -> None:
        """Take it into the digest."""
        self._digest.add(segment)

    def commit(self) -> str:
        """There is nothing to make count."""
        return self._digest.etag()

    def close(self) -> None:
        """There is nothing to let go."""


class Whole:
    """Opens the only part of a single file and takes the file's SHA-256 while its bytes are at hand."""

    def __init__(self, workspace: Workspace, key: bytes | None) -> None:
        self._path, self._key = workspace.record.path, key
        self._stream: Stream | None = None
        self._spots = workspace.record.part(1).segment_sizes(workspace.record.layout)
        self._digest = hashlib.sha256()
        self._partial = workspace.open_partial()

    def take(self, segment: memoryview) -> None:
        """Open it, write it, take it into the digest; the first one brings the stream's header."""
        if self._stream is None:
            self._stream = stream_with_header(self._path, self._key, segment)
        self._digest.update(open_into(self._stream, self._partial, next(self._spots), segment))

    def commit(self) -> str:
        """The SHA-256 of the file, in hexadecimal digits."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the partial file."""
        os.close(self._partial)


__all__ = ["Comparing", "Placing", "Sink", "Whole", "opened"]
