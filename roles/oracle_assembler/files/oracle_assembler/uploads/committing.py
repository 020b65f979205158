# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""From a durable partial file to a published one, in steps that may each be the last: intent, rename, record.

The rename is the commit. What was interrupted behind the intent is settled by the next stitch call, or by the next start.
"""

from __future__ import annotations

import time
import typing as t

from ..store.publishing import publish, was_published
from ..store.records import PUBLISHED, RECEIVING, Record
from ..store.workspace import Workspace
from .assembler import Assembler
from .upload import rfc3339


def receipt_of(record: Record, sha256: str, mode: int) -> dict[str, t.Any]:
    """What the service says of a file that it published."""
    return {
        "upload_id": record.id, "path": record.path, "size": record.size, "sha256": sha256,
        "mode": f"{mode:04o}", "published": rfc3339(time.time()),
    }  # fmt: skip


def commit(assembler: Assembler, workspace: Workspace, record: Record, *, overwrite: bool) -> Record:
    """Publish an upload whose record says that it is on its way to it.

    :raises Problem: ``exists``, ``not-a-file``.
    """
    publish(workspace, overwrite=overwrite)
    return _committed(assembler, workspace, record)


def settle(assembler: Assembler, workspace: Workspace, record: Record) -> Record:
    """What became of an upload that was on its way: it is published, or it is receiving as before."""
    if was_published(workspace):
        return _committed(assembler, workspace, record)
    return assembler.records.change(record, state=RECEIVING, receipt=None, identity=None)


def _committed(assembler: Assembler, workspace: Workspace, record: Record) -> Record:
    if record.receipt and record.identity:
        assembler.digests.note(workspace, record.identity, record.receipt["sha256"])
    record = assembler.records.change(record, state=PUBLISHED, finished=time.time())
    workspace.remove()
    return record


__all__ = ["commit", "receipt_of", "settle"]
