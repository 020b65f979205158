# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The sealed stream and the wrapping of its key; the one file that touches pycryptodome, which is enough for all of it.

Private to the collection bigfile.oci. Nothing is invented here: the stream is Tink's "AES-GCM-HKDF streaming AEAD"
(AES256_GCM_HKDF_1MB), the wrapping is HPKE (RFC 9180) in base mode with X25519, HKDF-SHA256 and AES-256-GCM.
docs/format.md has the bytes and test vectors.

A nonce is a function of the segment's number. Sealing two different contents of one segment under one key and header
breaks the encryption; whoever seals must see to it that the source has not changed.
"""

from __future__ import annotations

import hashlib
import os
import traceback
import typing as t

from . import openssl
from .layout import PLAIN, SEALED, SEGMENT_SIZE, Layout

CRYPTO_IMPORT_ERROR: str | None
try:
    from Crypto.Cipher import AES
    from Crypto.Hash import SHA256
    from Crypto.Protocol import HPKE
    from Crypto.Protocol.DH import import_x25519_private_key, import_x25519_public_key
    from Crypto.Protocol.KDF import HKDF
except ImportError:
    CRYPTO_IMPORT_ERROR = traceback.format_exc()
else:
    CRYPTO_IMPORT_ERROR = None

KEY_SIZE = 32
SALT_SIZE = 32
PREFIX_SIZE = 7
TAG_SIZE = SEALED.tag
WRAPPED_KEY_SIZE = 32 + KEY_SIZE + 16
"""HPKE's encapsulated key, the key itself, a GCM tag."""
SCHEME = "AES256_GCM_HKDF_1MB"
"""Tink's name of the stream, as requests and records carry it."""

_WRAP_INFO = b"bigfile.oci upload key v1"
_DERIVE_INFO = b"bigfile.oci derived upload key v1"

Buffer = t.Union[bytes, bytearray, memoryview]


class DamagedSegment(ValueError):
    """A segment does not open: other bytes, another place, another length, another key or destination."""

    def __init__(self, segment: int) -> None:
        super().__init__(f"segment {segment} does not open")
        self.segment = segment


class RefusedKey(ValueError):
    """A wrapped key does not unwrap for this upload with this private key."""


def new_header() -> bytes:
    """A fresh stream header of 40 bytes: its own length, a salt, a nonce prefix."""
    return bytes([SEALED.header]) + os.urandom(SALT_SIZE + PREFIX_SIZE)


def header_salt(header: Buffer) -> bytes:
    """The salt of a header.

    :raises ValueError: when this is no header of the sealed stream.
    """
    if len(header) != SEALED.header or header[0] != SEALED.header:
        raise ValueError(f"a stream header has {SEALED.header} bytes and begins with that number")
    return bytes(header[1 : 1 + SALT_SIZE])


def derive_upload_key(encryption_key: bytes, header: Buffer) -> bytes:
    """The 32 byte key of one upload from a user's key of 32 bytes (HKDF-SHA256, RFC 5869, salt of the header).

    The user's own key never leaves the client, and no two uploads share a key.
    """
    return _hkdf(encryption_key, header_salt(header), _DERIVE_INFO)


def _hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(key, KEY_SIZE, salt, SHA256, context=info)


class Gcm(t.Protocol):
    """AES-256-GCM (NIST SP 800-38D) under one key, from any thread; nonces of 12 and tags of 16 bytes."""

    def __init__(self, key: bytes) -> None: ...

    def seal(self, nonce: bytes, payload: Buffer, into: memoryview) -> None:
        """Write the ciphertext of ``payload`` and its tag, ``into`` is exactly that long."""

    def open(self, nonce: bytes, sealed: memoryview, into: memoryview) -> None:
        """Write the payload of ciphertext and tag; ``into`` may be the memory of the ciphertext.

        :raises ValueError: when the tag is not the one of these bytes; what was written then is worth nothing.
        """

    def mac(self, nonce: bytes, data: Buffer) -> bytes:
        """The tag alone, of bytes that stay as they are (GMAC)."""


class PycryptodomeGcm:
    """See :class:`Gcm`."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, nonce: bytes, payload: Buffer, into: memoryview) -> None:
        """Write ciphertext and tag."""
        cipher = AES.new(self._key, AES.MODE_GCM, nonce=nonce)
        if payload:
            cipher.encrypt(payload, output=into[:-TAG_SIZE])
        into[-TAG_SIZE:] = cipher.digest()

    def open(self, nonce: bytes, sealed: memoryview, into: memoryview) -> None:
        """Write the payload.

        :raises ValueError: when the tag is not the one of these bytes.
        """
        AES.new(self._key, AES.MODE_GCM, nonce=nonce).decrypt_and_verify(sealed[:-TAG_SIZE], sealed[-TAG_SIZE:], output=into)

    def mac(self, nonce: bytes, data: Buffer) -> bytes:
        """The tag alone."""
        cipher = AES.new(self._key, AES.MODE_GCM, nonce=nonce)
        cipher.update(data)
        return cipher.digest()


def fastest_gcm() -> type[Gcm]:
    """The implementation to use here."""
    return openssl.OpensslGcm if openssl.is_available() else PycryptodomeGcm


class SealedStream:
    """Seals and opens segments of one stream, each alone, in any order, from any thread.

    :param key: the upload's key, 32 bytes
    :param header: 40 bytes, see :func:`new_header`
    :param associated_data: bound to the stream; the destination path in UTF-8
    """

    layout: Layout = SEALED

    def __init__(self, key: bytes, header: Buffer, associated_data: bytes, gcm: type[Gcm] | None = None) -> None:
        self.header = bytes(header)
        self._prefix = self.header[1 + SALT_SIZE :]
        self._gcm = (gcm or fastest_gcm())(_hkdf(key, header_salt(header), associated_data))

    def _nonce(self, segment: int, last: bool) -> bytes:
        return self._prefix + segment.to_bytes(4, "big") + (b"\x01" if last else b"\x00")

    def seal(self, segment: int, payload: Buffer, *, last: bool, into: bytearray | memoryview | None = None) -> memoryview:
        """The bytes of ``segment`` on the wire: the header before the first, the ciphertext, the tag.

        :param into: at least ``SEGMENT_SIZE`` bytes to write them to, so that many segments need one piece of memory
        """
        start = SEALED.header if segment == 0 else 0
        size = start + len(payload) + TAG_SIZE
        sealed = memoryview(bytearray(size) if into is None else into)[:size]
        sealed[:start] = self.header[:start]
        self._gcm.seal(self._nonce(segment, last), payload, sealed[start:])
        return sealed

    def open(self, segment: int, sealed: Buffer, *, last: bool) -> bytes:
        """The bytes of the file in a sealed segment (header included where there is one).

        :raises DamagedSegment: when it is not exactly what was sealed for this place.
        """
        view = memoryview(sealed)
        payload = bytearray(max(0, len(view) - TAG_SIZE - (SEALED.header if segment == 0 else 0)))
        self._open(segment, view, last, memoryview(payload))
        return bytes(payload)

    def open_in_place(self, segment: int, sealed: memoryview, *, last: bool) -> memoryview:
        """The same without a second buffer: the payload replaces its ciphertext, and is a part of ``sealed``.

        Its bytes are worth nothing before this has returned.
        """
        payload = sealed[SEALED.header if segment == 0 else 0 : -TAG_SIZE]
        self._open(segment, sealed, last, payload)
        return payload

    def _open(self, segment: int, sealed: memoryview, last: bool, into: memoryview) -> None:
        start = SEALED.header if segment == 0 else 0
        if len(sealed) < start + TAG_SIZE or sealed[:start] != self.header[:start]:
            raise DamagedSegment(segment)
        try:
            self._gcm.open(self._nonce(segment, last), sealed[start:], into)
        except ValueError as error:
            raise DamagedSegment(segment) from error


class PlainStream:
    """The same interface for an upload that is not encrypted: every byte stands for itself."""

    layout: Layout = PLAIN

    def seal(self, segment: int, payload: Buffer, *, last: bool, into: bytearray | memoryview | None = None) -> Buffer:  # pylint: disable=unused-argument
        """The payload, untouched."""
        return payload

    def open(self, segment: int, sealed: Buffer, *, last: bool) -> Buffer:  # pylint: disable=unused-argument
        """The payload, untouched."""
        return sealed

    def open_in_place(self, segment: int, sealed: memoryview, *, last: bool) -> memoryview:  # pylint: disable=unused-argument
        """The payload, untouched."""
        return sealed


Stream = t.Union[SealedStream, PlainStream]


class PartDigest:
    """The ETag of a part, gathered segment by segment in order; see docs/format.md.

    It is the SHA-256 of its segments' GCM tags. A plain segment has none; it gets its GMAC under a key of zeros, which is a
    checksum, ten times as fast as SHA-256. It finds what went wrong on the way; the SHA-256 of the whole file is what proves it.
    """

    def __init__(self, layout: Layout) -> None:
        self._checksum = None if layout.tag else fastest_gcm()(bytes(KEY_SIZE))
        self._digest = hashlib.sha256()

    def add(self, segment: Buffer) -> None:
        """Take in the next segment as it stands on the wire."""
        view = memoryview(segment)
        self._digest.update(self._checksum.mac(bytes(12), view) if self._checksum else view[-TAG_SIZE:])

    def etag(self) -> str:
        """64 hexadecimal digits."""
        return self._digest.hexdigest()


def new_private_key() -> bytes:
    """A fresh X25519 private key (RFC 7748), 32 bytes."""
    return os.urandom(KEY_SIZE)


def public_key_of(private_key: bytes) -> bytes:
    """The 32 bytes public half of a private key."""
    return import_x25519_private_key(private_key).public_key().export_key(format="raw")


def wrap_key(key: bytes, public_key: bytes, upload_id: str) -> bytes:
    """Seal an upload's key to the assembler's public key; serves this upload only (RFC 9180, single shot).

    :returns: ``WRAPPED_KEY_SIZE`` bytes: encapsulated key, then ciphertext
    :raises ValueError: when ``public_key`` is no X25519 public key of 32 bytes.
    """
    receiver = import_x25519_public_key(public_key)
    context = HPKE.new(receiver_key=receiver, aead_id=HPKE.AEAD.AES256_GCM, info=_WRAP_INFO)
    return context.enc + context.seal(key, auth_data=upload_id.encode("ascii"))


def unwrap_key(wrapped: bytes, private_key: bytes, upload_id: str) -> bytes:
    """The key that was wrapped for this upload.

    :raises RefusedKey: when it was wrapped for another upload or another private key, or was damaged.
    """
    if len(wrapped) != WRAPPED_KEY_SIZE:
        raise RefusedKey(f"a wrapped key has {WRAPPED_KEY_SIZE} bytes, this one {len(wrapped)}")
    receiver = import_x25519_private_key(private_key)
    try:
        context = HPKE.new(
            receiver_key=receiver,
            aead_id=HPKE.AEAD.AES256_GCM,
            enc=wrapped[:32],
            info=_WRAP_INFO,
        )
        key = context.unseal(wrapped[32:], auth_data=upload_id.encode("ascii"))
    except ValueError as error:
        raise RefusedKey("the wrapped key does not unwrap for this upload") from error
    if len(key) != KEY_SIZE:
        raise RefusedKey(f"the wrapped key has {len(key)} bytes instead of {KEY_SIZE}")
    return key


__all__ = [
    "CRYPTO_IMPORT_ERROR",
    "KEY_SIZE",
    "SCHEME",
    "SEGMENT_SIZE",
    "TAG_SIZE",
    "WRAPPED_KEY_SIZE",
    "DamagedSegment",
    "PartDigest",
    "PlainStream",
    "RefusedKey",
    "SealedStream",
    "Stream",
    "derive_upload_key",
    "header_salt",
    "new_header",
    "new_private_key",
    "public_key_of",
    "unwrap_key",
    "wrap_key",
]
