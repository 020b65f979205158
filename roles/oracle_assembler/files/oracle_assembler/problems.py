# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What can go wrong, each with its HTTP answer (RFC 9457): a table and one exception.

Never put a password, a key, a token or a byte of a file into a detail: it travels to clients and logs.
"""

from __future__ import annotations

import errno
import typing as t

TYPE_PREFIX = "tag:bigfile.oci,2026:"
MEDIA_TYPE = "application/problem+json"


class Kind(t.NamedTuple):
    """The fixed half of a problem. ``retryable``: can the very same request succeed later?"""

    status: int
    title: str
    retryable: bool = False


KINDS: t.Mapping[str, Kind] = {
    "malformed": Kind(400, "The request cannot be read"),
    "token-missing": Kind(401, "A bearer token is needed"),
    "token-invalid": Kind(401, "The token is not valid"),
    "token-expired": Kind(401, "The token has expired"),
    "wrong-credentials": Kind(401, "User name or password is wrong"),
    "not-found": Kind(404, "There is no such thing"),
    "upload-unknown": Kind(404, "There is no such upload"),
    "part-unknown": Kind(404, "The upload has no such part"),
    "method-not-allowed": Kind(405, "The method is not allowed here"),
    "stalled": Kind(408, "The body stood still", True),
    "already-published": Kind(409, "The upload is published already"),
    "folder-in-use": Kind(409, "An upload into the folder is pending"),
    "folder-not-empty": Kind(409, "The folder is not empty"),
    "not-a-file": Kind(409, "There is something, and it is not a file"),
    "not-a-folder": Kind(409, "There is something, and it is not a folder"),
    "part-conflict": Kind(409, "The part was received with other content"),
    "parts-damaged": Kind(409, "Parts are damaged"),
    "parts-missing": Kind(409, "Parts are missing"),
    "stitching": Kind(409, "The upload is being stitched", True),
    "superseded": Kind(409, "A newer request took over"),
    "upload-differs": Kind(409, "The upload was begun differently"),
    "length-required": Kind(411, "A Content-Length is needed"),
    "exists": Kind(412, "The destination exists"),
    "too-large": Kind(413, "Too large"),
    "range-not-satisfiable": Kind(416, "The range lies outside of the file"),
    "digest-mismatch": Kind(422, "The content is not what its digest says"),
    "invalid": Kind(422, "The request is not valid"),
    "key-missing": Kind(422, "The wrapped key is missing"),
    "key-refused": Kind(422, "The wrapped key does not unwrap"),
    "length-wrong": Kind(422, "The body has the wrong length"),
    "path-refused": Kind(422, "The path is refused"),
    "segment-damaged": Kind(422, "A segment does not open", True),
    "too-many-attempts": Kind(429, "Too many attempts", True),
    "internal": Kind(500, "The service failed", True),
    "storage-failed": Kind(503, "The storage fails", True),
    "busy": Kind(503, "The service is busy", True),
    "disk-full": Kind(507, "The disk is full"),
    "quota-reached": Kind(507, "The quota is reached"),
}


class Problem(Exception):
    """Anything that ends a request early; ``name`` is a key of :data:`KINDS`, ``members`` go into the answer."""

    def __init__(self, name: str, detail: str, *, retry_after: int | None = None, **members: t.Any) -> None:
        super().__init__(detail)
        self.name = name
        self.kind = KINDS[name]
        self.detail = detail
        self.retry_after = retry_after
        self.members = members

    @property
    def headers(self) -> dict[str, str]:
        """Header fields of the answer that belong to the problem."""
        headers = {}
        if self.kind.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.kind.status in (429, 503):
            headers["Retry-After"] = str(self.retry_after or 5)
        return headers

    def document(self, request_id: str) -> dict[str, t.Any]:
        """The body of the answer."""
        return {
            "type": TYPE_PREFIX + self.name,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "retryable": self.kind.retryable,
            "request_id": request_id,
            **self.members,
        }


_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_STORAGE_FAILS = (errno.EROFS, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM)


def from_os_error(error: OSError) -> Problem | None:
    """The problem behind a failure of the disk, None when it is not one of those (then it is our mistake)."""
    if error.errno in _DISK_FULL:
        return Problem("disk-full", "the disk, or its quota, is full: make room on the server, then try again")
    if error.errno in _STORAGE_FAILS:
        return Problem("storage-failed", f"the server's storage answers {errno.errorcode[error.errno]}; its log says more")
    return None


__all__ = ["KINDS", "MEDIA_TYPE", "TYPE_PREFIX", "Kind", "Problem", "from_os_error"]
