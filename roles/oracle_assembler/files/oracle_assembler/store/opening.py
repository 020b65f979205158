# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The one way a segment becomes bytes of the file: opened and written at its place, early or late.

Early, while a part streams in; late, when the stitch call brings the key. Keys live in memory only.
"""

from __future__ import annotations

import base64
import binascii
import os

from .._sealed.cipher import DamagedSegment, PartDigest, PlainStream, RefusedKey, SealedStream, Stream, header_salt, unwrap_key
from .._sealed.layout import SEALED as SEALED_LAYOUT
from .._sealed.layout import SEGMENT_SIZE, Layout
from ..problems import Problem
from .records import Record
from .whole import Buffer, write_all, write_whole
from .workspace import OPENED, SEALED, Workspace

Spot = tuple[int, int, bool]
"""Number of a segment, bytes of the file in it, is it the last of the stream."""


def check_header(header: bytes) -> None:
    """Refuse what is no header of the sealed stream.

    :raises ValueError: with the reason.
    """
    header_salt(header)


def unwrap(upload_id: str, wrapped: str | None, private_key: bytes) -> bytes:
    """The key of a sealed upload.

    :param wrapped: base64 of the wrapped key, as it came
    :raises Problem: ``key-missing``, ``key-refused``.
    """
    if not wrapped:
        raise Problem("key-missing", "the upload is sealed: its key is needed, wrapped with the public key of this server")
    try:
        return unwrap_key(base64.b64decode(wrapped, validate=True), private_key, upload_id)
    except (RefusedKey, binascii.Error, ValueError) as error:
        raise Problem("key-refused", "the wrapped key does not unwrap: it was wrapped for another upload or another server") from error


def stream_of(record: Record, wrapped: str | None, private_key: bytes) -> Stream:
    """What opens the segments of an upload.

    :raises Problem: ``key-missing``, ``key-refused``.
    """
    if record.header is None:
        return PlainStream()
    return SealedStream(unwrap(record.id, wrapped, private_key), record.header_bytes, record.path.encode())


def stream_with_header(path: str, key: bytes | None, segment: Buffer) -> Stream:
    """What opens the segments of a single file, whose header is known when its first segment comes.

    :param key: None for a plain file
    :raises Problem: ``segment-damaged``.
    """
    if key is None:
        return PlainStream()
    try:
        return SealedStream(key, memoryview(segment)[: SEALED_LAYOUT.header], path.encode())
    except ValueError as error:
        raise Problem("segment-damaged", "the stream does not begin with a header", segment=0) from error


def open_into(stream: Stream, partial: int, spot: Spot, segment: memoryview) -> memoryview:
    """Open one segment where it stands and write its payload at its final offset; returns the payload.

    :raises Problem: ``segment-damaged``; nothing was written.
    """
    number, size, last = spot
    layout: Layout = stream.layout
    try:
        payload = stream.open_in_place(number, segment, last=last)
        if len(payload) != size:
            raise DamagedSegment(number)
    except DamagedSegment as error:
        raise Problem("segment-damaged", f"segment {number} does not open: its bytes changed on the way", segment=number) from error
    write_all(partial, payload, layout.offset(number))
    return payload


def open_sealed_part(workspace: Workspace, number: int, stream: Stream) -> None:
    """Open a part that waited for its key; may be interrupted anywhere and called again.

    First the payload, then the note that it is there, then the sealed bytes go: so no second copy of a file is ever needed.

    :raises Problem: ``segment-damaged``.
    """
    part = workspace.record.part(number)
    tags, buffer = bytearray(), memoryview(bytearray(min(SEGMENT_SIZE, part.stream_size)))
    with workspace.sealed_part(number) as sealed, workspace.writing() as partial:
        offset = 0
        for spot, size in zip(part.segment_sizes(stream.layout), workspace.record.wire_sizes(part), strict=True):
            segment = buffer[: os.preadv(sealed, [buffer[:size]], offset)]
            open_into(stream, partial, spot, segment)
            tags += segment[len(segment) - stream.layout.tag :]
            offset += size
    note_opened(workspace, number, bytes(tags))
    with workspace.segments() as folder:
        os.unlink(f"{number}.{SEALED}", dir_fd=folder)


def note_opened(workspace: Workspace, number: int, proof: bytes) -> None:
    """From here on the part counts as received.

    Not synced: after a power cut the check of the whole file finds what is missing, and the client sends it again.
    """
    with workspace.segments() as folder:
        write_whole(folder, f"{number}.{OPENED}", proof, durable=False)


def is_damaged(workspace: Workspace, number: int, stream: Stream) -> bool:
    """Whether the partial file holds other bytes at a part's place than were sealed, or sent, for it."""
    part = workspace.record.part(number)
    digest, proofs = PartDigest(stream.layout), bytearray()
    with workspace.partial(os.O_RDONLY) as partial:
        for segment, size, last in part.segment_sizes(stream.layout):
            again = stream.seal(segment, os.pread(partial, size, stream.layout.offset(segment)), last=last)
            digest.add(again)
            proofs += memoryview(again)[len(again) - stream.layout.tag :]
    expected = workspace.proof(number)
    return expected != (bytes(proofs) if stream.layout.tag else bytes.fromhex(digest.etag()))


__all__ = [
    "Spot",
    "Stream",
    "check_header",
    "is_damaged",
    "note_opened",
    "open_into",
    "open_sealed_part",
    "stream_of",
    "stream_with_header",
    "unwrap",
]
