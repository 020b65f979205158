# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Folders over HTTP."""

from __future__ import annotations

from fastapi import APIRouter, Response

from ..uploads import folders
from ..uploads.upload import rfc3339
from . import models
from .answers import problems
from .desk import TheAssembler, ThePath, TheUser

_TOKEN = ("token-missing", "token-invalid", "token-expired")
router = APIRouter(tags=["folders"])


@router.put(
    "/v1/folders/{path:path}", status_code=201,
    responses={
        **problems(*_TOKEN, "path-refused", "not-a-folder", "storage-failed", "disk-full"),
        200: {"model": models.FolderMade, "description": "It was there"},
    },
)  # fmt: skip
async def create(path: ThePath, response: Response, assembler: TheAssembler, user: TheUser) -> models.FolderMade:
    """Create a folder and its parents."""
    created = await folders.create(assembler, user, path)
    response.status_code = 201 if created else 200
    return models.FolderMade(path=path, created=created)


@router.get("/v1/folders/{path:path}", responses=problems(*_TOKEN, "path-refused", "not-found", "not-a-folder", "storage-failed"))
async def show(path: ThePath, assembler: TheAssembler, user: TheUser) -> models.Folder:
    """List a folder; an empty path is the root."""
    found = await folders.entries(assembler, user, path)
    entries = [
        models.Entry(name=name, type="folder" if is_folder else "file", size=size, modified=rfc3339(modified))
        for name, is_folder, size, modified in found
    ]
    return models.Folder(path=path, entries=entries)


@router.delete(
    "/v1/folders/{path:path}", status_code=204,
    responses=problems(*_TOKEN, "path-refused", "not-found", "not-a-folder", "folder-not-empty", "folder-in-use", "storage-failed"),
)  # fmt: skip
async def delete(path: ThePath, assembler: TheAssembler, user: TheUser, recursive: bool = False) -> None:
    """Delete a folder, with all that is in it only when asked."""
    await folders.delete(assembler, user, path, recursive=recursive)
