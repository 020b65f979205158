# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""One upload as it was begun: its plan and its keys, as the journal keeps them, and what is made of that to send.

Private to the collection bigfile.oci.
"""

from __future__ import annotations

import base64
import hashlib
import typing as t

from ._plan import Plan
from ._sealed.cipher import (
    SCHEME,
    PlainStream,
    SealedStream,
    Stream,
    derive_upload_key,
    new_header,
    wrap_key,
)


class Entry(t.NamedTuple):
    """An upload that began, in JSON types. ``header`` and ``key`` are base64; sizes in bytes."""

    id: str
    source: str
    endpoint: str
    path: str
    identity: list[int]
    size: int
    part_size: int
    parts: int
    encrypted: bool
    release_key: str
    header: str | None = None
    key: str | None = None
    """The upload's random key; None when it is derived from the user's key, which is never kept."""
    key_check: str | None = None

    def __repr__(self) -> str:
        return f"Entry({self.id!r}, {self.path!r})"  # and not the key

    @property
    def plan(self) -> Plan:
        """How this upload is cut."""
        return Plan(self.size, self.part_size, self.encrypted)

    def upload_key(self, encryption_key: bytes | None) -> bytes | None:
        """The 32 byte key of this upload; None when it cannot be had from what is kept and given."""
        if encryption_key is not None and self.key is None and self.header is not None:
            return derive_upload_key(encryption_key, base64.b64decode(self.header))
        return base64.b64decode(self.key) if self.key is not None and encryption_key is None else None

    def serves(self, identity: t.Sequence[int], *, encrypt: bool, encryption_key: bytes | None) -> bool:
        """Whether the same bytes are still to be sealed in the same way, so that this upload may go on."""
        if list(identity) != self.identity or encrypt != self.encrypted:
            return False
        if not encrypt:
            return True
        key = self.upload_key(encryption_key)
        return key is not None and self.key_check in (None, key_check(key))


def read(members: dict[str, t.Any] | None) -> Entry | None:
    """An entry out of the journal; None when it is not one, as another version may have left it."""
    try:
        return Entry(**members) if members else None
    except TypeError:
        return None


def new(
    upload_id: str,
    plan: Plan,
    *,
    names: tuple[str, str, str],
    identity: t.Sequence[int],
    release_key: str,
    encryption_key: bytes | None,
    random: t.Callable[[int], bytes],
) -> Entry:
    """A fresh upload with a key and a header of its own.

    :param names: source, endpoint, destination
    """
    entry = Entry(
        upload_id,
        *names,
        list(identity),
        plan.size,
        plan.part_size,
        plan.part_count,
        plan.encrypted,
        release_key,
    )
    if not plan.encrypted:
        return entry
    key = None if encryption_key is not None else _base64(random(32))
    entry = entry._replace(header=_base64(new_header()), key=key)
    return entry._replace(key_check=key_check(t.cast(bytes, entry.upload_key(encryption_key))))


def key_check(key: bytes) -> str:
    """Tells two upload keys apart without telling either: half a SHA-256 of 32 random or derived bytes."""
    return hashlib.sha256(b"bigfile.oci key check" + key).hexdigest()[:32]


class Session(t.NamedTuple):
    """What it takes to send an upload. ``wrapped_key`` is base64, None for a plain one."""

    id: str
    name: str
    """The last component of the destination."""
    plan: Plan
    stream: Stream
    wrapped_key: str | None
    key_with_parts: bool

    @property
    def part_key(self) -> str | None:
        """The wrapped key that goes with each part."""
        return self.wrapped_key if self.key_with_parts else None

    def file_headers(self, sha256: str, mode: str | None, *, overwrite: bool) -> dict[str, str]:
        """The headers of a request that carries the whole file, see docs/protocol.md."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Repr-Digest": repr_digest(sha256),
            "Upload-Id": self.id,
            "Upload-Size": str(self.plan.size),
            "Upload-Sealing": SCHEME if self.wrapped_key else "none",
        }
        if self.wrapped_key:
            headers["Upload-Key"] = self.wrapped_key
        if mode:
            headers["Upload-Mode"] = mode
        if not overwrite:
            headers["If-None-Match"] = "*"
        return headers


def session(entry: Entry, *, encryption_key: bytes | None, public_key: bytes) -> Session:
    """Make an entry ready to send to the service that has ``public_key``."""
    key = entry.upload_key(encryption_key) if entry.encrypted else None
    name = entry.path.rpartition("/")[2]
    if key is None or entry.header is None:
        return Session(entry.id, name, entry.plan, PlainStream(), None, False)
    stream = SealedStream(key, base64.b64decode(entry.header), entry.path.encode("utf-8"))
    wrapped = wrap_key(key, public_key, entry.id)
    return Session(
        entry.id,
        name,
        entry.plan,
        stream,
        _base64(wrapped),
        entry.release_key == "with_parts",
    )


def opening(entry: Entry, reference: str) -> dict[str, t.Any]:
    """The request that begins this upload, see docs/protocol.md."""
    return {
        "id": entry.id,
        "path": entry.path,
        "size": entry.size,
        "part_size": entry.part_size,
        "parts": entry.parts,
        "sealing": {"scheme": SCHEME, "header": entry.header} if entry.encrypted else None,
        "release_key": entry.release_key,
        "source": reference,
    }


def is_begun_as(entry: Entry, upload: dict[str, t.Any]) -> bool:
    """Whether the service was told of this upload what we told it."""
    return all(upload.get(name) == value for name, value in opening(entry, upload.get("source", "")).items())


def repr_digest(sha256: str) -> str:
    """A SHA-256 in hexadecimal as the value of a Repr-Digest header (RFC 9530)."""
    return f"sha-256=:{_base64(bytes.fromhex(sha256))}:"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


__all__ = [
    "Entry",
    "Session",
    "is_begun_as",
    "key_check",
    "new",
    "opening",
    "read",
    "repr_digest",
    "session",
]
