# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The start: read off the disk what is pending, finish what a crash interrupted.

Each state that a record can be left in has one answer here.
"""

from __future__ import annotations

import logging

from ..problems import Problem
from ..store.records import ENDING, PUBLISHED, PUBLISHING, RECEIVING, SINGLE, Record
from .assembler import Assembler
from .committing import settle
from .upload import Upload

_log = logging.getLogger(__name__)


def recover(assembler: Assembler) -> None:
    """Fill ``assembler.uploads``. Runs before the first request, in the only thread that there is."""
    for user in assembler.users():
        assembler.tree(user).make()
    for upload_id, record in assembler.records.load_all():
        if record is None:
            _log.error("a record cannot be read and is left aside", extra={"upload_id": upload_id})
        elif record.user not in assembler.users():
            _log.warning("an upload of a user who is gone is left aside", extra={"upload_id": upload_id, "user": record.user})
        else:
            _recover_one(assembler, record)


def _recover_one(assembler: Assembler, record: Record) -> None:
    try:
        if record.state == PUBLISHING:
            record = settle(assembler, assembler.workspace(record), record)
        upload = _upload(assembler, record)
    except (OSError, Problem):
        _log.exception("an upload cannot be taken up again and is left aside", extra={"upload_id": record.id})
        return
    if upload is not None:
        assembler.uploads[record.id] = upload


def _upload(assembler: Assembler, record: Record) -> Upload | None:
    workspace = assembler.workspace(record)
    if record.state in (ENDING, SINGLE):
        workspace.remove()
        assembler.records.delete(record.id)
        return None
    upload = Upload(record, workspace)
    if record.state == PUBLISHED:
        workspace.remove()
    if record.state == RECEIVING:
        upload.reserved = _prepared(upload)
        upload.touched = workspace.touched()
        for number, state in workspace.scan().items():
            upload.note(number, state)
    return upload


def _prepared(upload: Upload) -> bool:
    try:
        return upload.workspace.prepare()
    except OSError:
        _log.exception("the room of an upload is no longer there", extra={"upload_id": upload.record.id})
        return False


__all__ = ["recover"]
