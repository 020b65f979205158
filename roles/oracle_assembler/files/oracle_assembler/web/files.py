# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Files over HTTP: one request each."""

from __future__ import annotations

import base64
import binascii
import email.utils
import re
import typing as t

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse

from ..problems import Problem
from ..uploads import files, singles
from ..uploads.upload import rfc3339
from . import models
from .answers import problems
from .desk import BINARY_BODY, TheAssembler, ThePath, TheUser, body_of, length_of
from .ranges import wanted

_TOKEN = ("token-missing", "token-invalid", "token-expired")
_DIGEST = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):\s*(?:,|$)")
_FACTS_HEADERS = {
    name: {"schema": {"type": "string"}} for name in ("Content-Length", "Last-Modified", "File-Mode", "Repr-Digest", "Accept-Ranges")
}
router = APIRouter(tags=["files"])


def _sha256_of(header: str) -> str:
    found = _DIGEST.search(header)
    try:
        return base64.b64decode(found.group(1), validate=True).hex() if found else ""
    except binascii.Error:
        return ""


@router.put(
    "/v1/files/{path:path}", status_code=201, openapi_extra=dict(BINARY_BODY),
    responses={
        **problems(
            *_TOKEN, "path-refused", "exists", "segment-damaged", "digest-mismatch", "key-refused", "key-missing", "too-large", "length-required",
            "length-wrong", "stalled", "not-a-file", "not-a-folder", "upload-differs", "superseded", "disk-full", "quota-reached", "storage-failed",
        ),
        200: {"model": models.Receipt, "description": "A file was replaced"},
    },
)  # fmt: skip
async def put(
    request: Request, response: Response, path: ThePath, assembler: TheAssembler, user: TheUser,
    upload_id: t.Annotated[models.UploadId, Header()],
    upload_size: t.Annotated[int, Header(ge=0)],
    repr_digest: t.Annotated[str, Header(description="RFC 9530, sha-256")],
    upload_sealing: t.Annotated[t.Literal["AES256_GCM_HKDF_1MB", "none"], Header()],
    upload_key: t.Annotated[str | None, Header(max_length=256)] = None,
    upload_mode: t.Annotated[models.Mode | None, Header()] = None,
    if_none_match: t.Annotated[str | None, Header()] = None,
) -> models.Receipt:  # fmt: skip
    """Upload a whole file."""
    request.state.upload_id = upload_id
    sha256 = _sha256_of(repr_digest)
    if not sha256:
        raise Problem("invalid", "Repr-Digest has no sha-256")
    arriving = singles.Arriving(
        id=upload_id, path=path, size=upload_size, sha256=sha256, sealed=upload_sealing != "none",
        wrapped_key=upload_key, mode=upload_mode, overwrite=if_none_match != "*", length=length_of(request),
    )  # fmt: skip
    placed = await singles.receive_file(assembler, user, arriving, body_of(request))
    response.status_code = 200 if placed.replaced else 201
    return models.Receipt(**placed.receipt)


def _headers(facts: files.Facts) -> dict[str, str]:
    headers = {
        "Last-Modified": email.utils.formatdate(facts.modified, usegmt=True),
        "File-Mode": facts.mode,
        "Accept-Ranges": "bytes",
        "Content-Length": str(facts.size),
    }
    if facts.sha256:
        headers["Repr-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(facts.sha256)).decode()}:"
    return headers


@router.head(
    "/v1/files/{path:path}", response_class=Response,
    responses={**problems(*_TOKEN, "path-refused", "not-found", "not-a-file", "not-a-folder", "storage-failed"), 200: {"headers": _FACTS_HEADERS}},
)  # fmt: skip
async def head(path: ThePath, assembler: TheAssembler, user: TheUser) -> Response:
    """Size, time, mode and digest of a file; the file is not read."""
    facts = await files.facts(assembler, user, path)
    return Response(headers=_headers(facts), media_type="application/octet-stream")


@router.get(
    "/v1/files/{path:path}", response_class=StreamingResponse,
    responses={
        **problems(*_TOKEN, "path-refused", "not-found", "not-a-file", "not-a-folder", "range-not-satisfiable", "storage-failed"),
        200: {"headers": _FACTS_HEADERS, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
        206: {"description": "A range", "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
    },
)  # fmt: skip
async def get(path: ThePath, assembler: TheAssembler, user: TheUser, range: t.Annotated[str | None, Header()] = None) -> Response:
    """Download a file, or one range of it."""
    file, facts = await files.open_published(assembler, user, path)
    span = wanted(range, facts.size)
    headers = _headers(facts)
    begin, end = span or (0, facts.size)
    if span:
        headers["Content-Length"] = str(end - begin)
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{facts.size}"
    body = files.read_range(assembler, file, begin, end)
    return StreamingResponse(body, 206 if span else 200, headers=headers, media_type="application/octet-stream")


@router.patch(
    "/v1/files/{path:path}",
    responses=problems(*_TOKEN, "malformed", "path-refused", "not-found", "not-a-file", "not-a-folder", "storage-failed"),
)
async def patch(path: ThePath, asked: models.ModeAsked, assembler: TheAssembler, user: TheUser) -> models.FileFacts:
    """Change a file's mode."""
    facts = await files.set_mode(assembler, user, path, asked.mode)
    return models.FileFacts(path=facts.path, size=facts.size, mode=facts.mode, modified=rfc3339(facts.modified), sha256=facts.sha256)


@router.delete(
    "/v1/files/{path:path}", status_code=204,
    responses=problems(*_TOKEN, "path-refused", "not-found", "not-a-file", "not-a-folder", "storage-failed"),
)  # fmt: skip
async def delete(path: ThePath, assembler: TheAssembler, user: TheUser) -> None:
    """Delete a file."""
    await files.delete(assembler, user, path)
