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
from .._sealed.layout import Layout
from ..problems import Problem
from .records import Record
from .whole import BUFFERS, Buffer, write_all, write_whole
from .workspace import OPENED, SEALED, Workspace

Spot = tuple[int, int, bool]
"""Number of a segment, bytes of the file in it, is it the last of the stream."""

_PAGE = 4096
"""Bytes: a write that a kill cuts short ends where a page of the file does; on systems with larger pages these are among them."""


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


def keep_into(record: Record, partial: int, spot: Spot, segment: memoryview) -> None:
    """Write the ciphertext of one segment where its payload will stand: both have the same length.

    :raises Problem: ``segment-damaged``, when the stream begins with another header than the upload.
    """
    number, size, _last = spot
    start = len(segment) - size - record.layout.tag
    if segment[:start] != record.header_bytes[:start]:
        raise Problem("segment-damaged", f"segment {number} begins with another header than the upload", segment=number)
    write_all(partial, segment[start : start + size], record.layout.offset(number))


def open_sealed_part(workspace: Workspace, number: int, stream: SealedStream) -> None:
    """Open a part that waited for its key, where it stands; may be interrupted anywhere and called again.

    :raises Problem: ``segment-damaged``.
    """
    tag, proof = stream.layout.tag, workspace.proof(number, SEALED)
    with workspace.writing() as partial, BUFFERS.borrow() as buffer:
        for index, spot in enumerate(workspace.record.part(number).segment_sizes(stream.layout)):
            _open_where_it_stands(stream, partial, spot, proof[index * tag : (index + 1) * tag], buffer)
    with workspace.segments() as folder:
        os.rename(f"{number}.{SEALED}", f"{number}.{OPENED}", src_dir_fd=folder, dst_dir_fd=folder)


def _open_where_it_stands(stream: SealedStream, partial: int, spot: Spot, tag: bytes, buffer: memoryview) -> None:
    number, size, last = spot
    start, offset = stream.layout.header if number == 0 else 0, stream.layout.offset(number)
    segment = buffer[: start + size + len(tag)]
    segment[:start], segment[start + size :] = stream.header[:start], tag
    os.preadv(partial, [segment[start : start + size]], offset)
    try:
        payload: Buffer = stream.open_in_place(number, segment, last=last)
    except DamagedSegment:
        payload = _half_opened(stream, spot, tag, os.pread(partial, size, offset))
    write_all(partial, payload, offset)


def _half_opened(stream: SealedStream, spot: Spot, tag: bytes, found: bytes) -> bytes:
    """The payload of a segment that was opened before, or of which a kill in the middle of writing left the first pages opened and the rest sealed.

    In counter mode sealing and opening are the same but for the tag (NIST SP 800-38D, section 7): sealed once more, what is still sealed is open.

    :raises Problem: ``segment-damaged``, when it is neither.
    """
    number, size, last = spot
    start = stream.layout.header if number == 0 else 0
    turned = bytes(stream.seal(number, found, last=last)[start : start + size])
    for cut in (size, *range(-stream.layout.offset(number) % _PAGE, size, _PAGE)):
        payload = found[:cut] + turned[cut:]
        if stream.seal(number, payload, last=last)[start + size :] == tag:
            return payload
    raise Problem("segment-damaged", f"segment {number} does not open: its bytes changed on the disk", segment=number)


def note(workspace: Workspace, number: int, state: str, proof: bytes) -> None:
    """From here on the part counts as received.

    Not synced: after a power cut the check of the whole file finds what is missing, and the client sends it again.
    """
    with workspace.segments() as folder:
        write_whole(folder, f"{number}.{state}", proof, durable=False)


def is_damaged(workspace: Workspace, number: int, stream: Stream) -> bool:
    """Whether the partial file holds other bytes at a part's place than were sealed, or sent, for it."""
    part = workspace.record.part(number)
    digest, proofs = PartDigest(stream.layout), bytearray()
    with workspace.partial(os.O_RDONLY) as partial:
        for segment, size, last in part.segment_sizes(stream.layout):
            again = stream.seal(segment, os.pread(partial, size, stream.layout.offset(segment)), last=last)
            digest.add(again)
            proofs += memoryview(again)[len(again) - stream.layout.tag :]
    expected = workspace.proof(number, OPENED)
    return expected != (bytes(proofs) if stream.layout.tag else bytes.fromhex(digest.etag()))


__all__ = [
    "Spot",
    "Stream",
    "check_header",
    "is_damaged",
    "keep_into",
    "note",
    "open_into",
    "open_sealed_part",
    "stream_of",
    "stream_with_header",
    "unwrap",
]
