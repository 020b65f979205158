# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""AES-256-GCM by OpenSSL, several times as fast as pycryptodome's; the one file that touches cryptography.

Private to the collection bigfile.oci. Used where the library is installed, as it is beside ansible-core; what comes out is the same.
"""

from __future__ import annotations

import typing as t

AESGCM: t.Any
try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError:
    AESGCM = None

if t.TYPE_CHECKING:
    from .cipher import Buffer


def is_available() -> bool:
    """Whether the library is there and writes to memory of ours (cryptography 47 or later)."""
    return hasattr(AESGCM, "encrypt_into")


class OpensslGcm:
    """See :class:`_sealed.cipher.Gcm`."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, nonce: bytes, payload: Buffer, into: memoryview) -> None:
        """Write ciphertext and tag."""
        self._aead.encrypt_into(nonce, payload, None, into)

    def open(self, nonce: bytes, sealed: memoryview, into: memoryview) -> None:
        """Write the payload.

        :raises ValueError: when the tag is not the one of these bytes.
        """
        try:
            self._aead.decrypt_into(nonce, sealed, None, into)
        except InvalidTag as error:
            raise ValueError("the tag does not fit") from error

    def mac(self, nonce: bytes, data: Buffer) -> bytes:
        """The tag alone."""
        return t.cast(bytes, self._aead.encrypt(nonce, b"", data))


__all__ = ["OpensslGcm", "is_available"]
