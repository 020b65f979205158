# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The body of a request that carries a part: read, sealed and paced while it goes out, never whole in memory.

Private to the collection bigfile.oci.
"""

from __future__ import annotations

import time
import typing as t

from ._sealed.cipher import Buffer, PartDigest, Stream
from ._sealed.layout import SEGMENT_SIZE, Part
from ._sealed.memory import BUFFERS

PIECE = 256 << 10
"""Bytes handed to the connection at once. A stall is measured over one piece, so it is small as long as the connection is slow."""
FAST = 1.0
"""Seconds in which a piece has to leave for the next to be a whole segment: a fourth of the calls."""


class Reader(t.Protocol):
    """Gives the bytes of the source, see :class:`Source`."""

    def read(self, offset: int, sizes: t.Iterable[int]) -> t.Iterator[Buffer]:
        """Blocks of ``sizes`` from ``offset`` on, each good until the next."""


class PartBody:
    """An iterable of bytes with a length, as requests wants it for a streamed body with a Content-Length.

    :param step: called with the number of bytes before each piece; may wait, may raise to end the request
    """

    def __init__(
        self,
        part: Part,
        *,
        stream: Stream,
        reader: Reader,
        step: t.Callable[[int], None],
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        self._part = part
        self._stream = stream
        self._reader = reader
        self._step = step
        self._clock = clock
        self._digest = PartDigest(stream.layout)

    def __len__(self) -> int:
        return self._part.stream_size

    def __iter__(self) -> t.Iterator[memoryview]:
        self._digest = PartDigest(self._stream.layout)
        most = PIECE
        for segment in self._segments():
            self._digest.add(segment)
            view = memoryview(segment)
            while view:
                piece, view = view[:most], view[most:]
                begun = self._clock()
                self._step(len(piece))
                yield piece
                most = SEGMENT_SIZE if self._clock() - begun < FAST else PIECE

    def _segments(self) -> t.Iterator[Buffer]:
        places = list(self._part.segment_sizes(self._stream.layout))
        payloads = self._reader.read(self._part.offset, [place[1] for place in places])
        with BUFFERS.borrow() as sealed:
            for (segment, _size, last), payload in zip(places, payloads, strict=True):
                yield self._stream.seal(segment, payload, last=last, into=sealed)

    def etag(self) -> str:
        """The ETag of what went out, once it all has."""
        return self._digest.etag()


__all__ = ["PIECE", "PartBody", "Reader"]
