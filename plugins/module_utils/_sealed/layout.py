# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Geometry of the stream that is sent: which bytes of a file stand in which segment and which part.

Private to the collection bigfile.oci. Pure arithmetic: no byte of a file passes through here.
Specified in docs/format.md; the sealed layout is Tink's AES256_GCM_HKDF_1MB.
"""

from __future__ import annotations

import typing as t

SEGMENT_SIZE = 1 << 20
"""Bytes of the stream in one segment (the last one may be shorter), header and tag included."""


class Layout(t.NamedTuple):
    """How a file of ``size`` bytes becomes a stream of segments. Sizes and offsets are in bytes.

    ``header`` bytes stand before the first segment's payload and count towards its size, ``tag`` bytes stand
    at the end of every segment. Segments are numbered from 0.
    """

    header: int
    tag: int

    @property
    def payload(self) -> int:
        """Bytes of the file in a full segment other than the first."""
        return SEGMENT_SIZE - self.tag

    def segments(self, size: int) -> int:
        """Number of segments of a file; an empty file has one, empty."""
        return max(1, -(-(size + self.header) // self.payload))

    def stream_size(self, size: int) -> int:
        """Bytes of the whole stream, header and tags included."""
        return size + self.header + self.segments(size) * self.tag

    def offset(self, segment: int) -> int:
        """Where in the file the payload of ``segment`` begins."""
        return max(0, segment * self.payload - self.header)


SEALED = Layout(header=40, tag=16)
"""1 length byte, 32 bytes salt, 7 bytes nonce prefix; a GCM tag behind each segment."""

PLAIN = Layout(header=0, tag=0)
"""An upload that is not encrypted: the stream is the file."""


class Part(t.NamedTuple):
    """A run of whole segments that travels in one request. Parts are numbered from 1."""

    number: int
    first_segment: int
    segments: int
    offset: int
    """Where in the file the part's payload begins, in bytes."""
    size: int
    """Bytes of the file in this part."""
    stream_size: int
    """Bytes of the request body."""
    last: bool
    """Whether the stream ends with this part."""

    def segment_sizes(self, layout: Layout) -> t.Iterator[tuple[int, int, bool]]:
        """Yield ``(segment, bytes of the file in it, is it the last of the stream)`` in order."""
        final = self.first_segment + self.segments - 1
        end = self.offset + self.size
        for segment in range(self.first_segment, final + 1):
            stop = end if segment == final else layout.offset(segment + 1)
            yield segment, stop - layout.offset(segment), self.last and segment == final


def part_count(layout: Layout, size: int, part_size: int) -> int:
    """Number of parts of a file of ``size`` bytes; ``part_size`` counts bytes of the stream."""
    return -(-layout.segments(size) // (part_size // SEGMENT_SIZE))


def part(layout: Layout, size: int, part_size: int, number: int) -> Part:
    """The part with this ``number`` (from 1): a function of its place alone, so parts go in any order, again.

    :raises ValueError: when there is no such part.
    """
    in_all = layout.segments(size)
    per_part = part_size // SEGMENT_SIZE
    first = (number - 1) * per_part
    if not 0 <= first < in_all:
        raise ValueError(f"there is no part {number} in a file of {size} bytes cut at {part_size}")
    count = min(per_part, in_all - first)
    last = first + count == in_all
    offset = layout.offset(first)
    end = size if last else layout.offset(first + count)
    header = layout.header if first == 0 else 0
    return Part(
        number,
        first,
        count,
        offset,
        end - offset,
        end - offset + header + count * layout.tag,
        last,
    )


__all__ = ["PLAIN", "SEALED", "SEGMENT_SIZE", "Layout", "Part", "part", "part_count"]
