# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Uploads over HTTP: begin, parts, stitch, abort."""

from __future__ import annotations

import re
import typing as t

from fastapi import APIRouter, Header, Path, Request, Response

from ..uploads import beginning, receiving, stitching
from ..uploads.assembler import Assembler
from ..uploads.upload import Upload
from . import models
from .answers import problems
from .desk import BINARY_BODY, TheAssembler, TheUser, body_of, length_of

_TOKEN = ("token-missing", "token-invalid", "token-expired")
_DISK = ("storage-failed", "disk-full", "quota-reached")
Id = t.Annotated[models.UploadId, Path()]
Prefer = t.Annotated[str | None, Header(max_length=256)]
router = APIRouter(tags=["uploads"], prefix="/v1/uploads")


def _patience(prefer: str | None) -> float:
    """Seconds that the client is willing to wait; what it prefers besides is ignored, as RFC 7240 has it."""
    found = re.search(r"(?:^|[,;\s])wait\s*=\s*([0-9]{1,6})\s*(?:$|[,;])", prefer or "", re.IGNORECASE)
    return float(found[1]) if found else 0.0


def _shown(assembler: Assembler, upload: Upload) -> models.Upload:
    return models.Upload.model_validate(upload.describe(assembler.config.upload_age))


@router.post(
    "", status_code=201,
    responses={
        **problems(*_TOKEN, *_DISK, "malformed", "path-refused", "upload-differs", "too-large", "not-a-file", "not-a-folder"),
        200: {"model": models.Upload, "description": "It was begun by the same call before"},
    },
)  # fmt: skip
async def begin(request: Request, asked: models.Begin, response: Response, assembler: TheAssembler, user: TheUser) -> models.Upload:
    """Begin an upload; asked again with the same id and members it gives the same upload."""
    header = asked.sealing.header if asked.sealing else None
    wanted = beginning.Asked(**asked.model_dump(exclude={"sealing"}), header=header)
    request.state.upload_id = asked.id
    upload, new = await beginning.begin(assembler, user, wanted)
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/uploads/{upload.record.id}"
    return _shown(assembler, upload)


@router.get("", responses=problems(*_TOKEN))
async def show_all(assembler: TheAssembler, user: TheUser, path: str | None = None) -> models.Uploads:
    """All uploads of the user that are not yet published; ``path``: those for one destination."""
    mine = [upload for upload in assembler.of_user(user) if not upload.is_published() and path in (None, upload.record.path)]
    return models.Uploads(uploads=[_shown(assembler, upload) for upload in mine])


@router.get("/{upload_id}", responses=problems(*_TOKEN, "upload-unknown"))
async def show(upload_id: Id, assembler: TheAssembler, user: TheUser, prefer: Prefer = None) -> models.Upload:
    """One upload; with ``Prefer: wait=SECONDS`` (RFC 7240) not before its stitching has ended, if it does in time."""
    upload = assembler.find(user, upload_id)
    await stitching.outcome(upload, _patience(prefer))
    return _shown(assembler, upload)


@router.put(
    "/{upload_id}/parts/{number}", status_code=201, openapi_extra=dict(BINARY_BODY),
    responses={
        **problems(
            *_TOKEN, "upload-unknown", "part-unknown", "part-conflict", "superseded", "stitching", "already-published", "segment-damaged",
            "length-wrong", "length-required", "key-missing", "key-refused", "stalled", "storage-failed", "disk-full",
        ),
        200: {"model": models.PartReceived, "description": "It was there with the same content"},
    },
)  # fmt: skip
async def put_part(
    request: Request, response: Response, assembler: TheAssembler, user: TheUser,
    upload_id: Id,
    number: t.Annotated[int, Path(ge=1)],
    upload_key: t.Annotated[str | None, Header(max_length=256)] = None,
    if_match: t.Annotated[str | None, Header()] = None,
) -> models.PartReceived:  # fmt: skip
    """Receive a part."""
    upload = assembler.find(user, upload_id)
    arriving = receiving.Arriving(number, length_of(request), upload_key, if_match.strip().strip('"') if if_match else None)
    received = await receiving.receive(assembler, upload, arriving, body_of(request))
    response.status_code = 201 if received.new else 200
    response.headers["ETag"] = f'"{received.etag}"'
    return models.PartReceived(number=received.number, size=received.size, etag=received.etag)


@router.post(
    "/{upload_id}/stitch", status_code=202,
    responses={
        **problems(
            *_TOKEN, "malformed", "upload-unknown", "upload-differs", "parts-missing", "exists", "not-a-file", "key-missing", "key-refused", "storage-failed"
        ),
        200: {"model": models.Upload, "description": "It is published, the receipt is inside"},
    },
)  # fmt: skip
async def stitch(
    request: Request, response: Response, upload_id: Id, asked: models.Stitch, assembler: TheAssembler, user: TheUser, prefer: Prefer = None
) -> models.Upload:
    """Stitch the parts, check the whole and publish it; goes on after the answer, which ``Prefer: wait=SECONDS`` (RFC 7240) puts off."""
    upload = assembler.find(user, upload_id)
    wanted = stitching.Asked(asked.name, asked.size, asked.sha256, asked.key, asked.mode, asked.overwrite, request.state.request_id)
    await stitching.stitch(assembler, upload, wanted)
    await stitching.outcome(upload, _patience(prefer))
    response.status_code = 200 if upload.is_published() else 202
    response.headers["Location"] = f"/v1/uploads/{upload_id}"
    return _shown(assembler, upload)


@router.delete("/{upload_id}", status_code=204, responses=problems(*_TOKEN, "upload-unknown", "already-published", "storage-failed"))
async def abort(upload_id: Id, assembler: TheAssembler, user: TheUser) -> None:
    """Abort an upload: its parts and its room are given back."""
    await beginning.end(assembler, assembler.find(user, upload_id), "aborted")
