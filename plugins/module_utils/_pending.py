# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which uploads are pending, put together from what the journal notes and what the service says.

Private to the collection bigfile.oci.
"""

from __future__ import annotations

import typing as t

from . import _entry
from ._plan import as_ranges, bytes_in, numbers

if t.TYPE_CHECKING:
    from ._entry import Entry
    from ._file_upload import FileUpload
    from ._journal import Journal
    from ._transfer import Upload
    from ._watch import Seen


def pending(service: FileUpload, journal: Journal, path: str | None, runs: t.Mapping[str, Seen]) -> list[dict[str, t.Any]]:
    """The pending uploads to this service, those of ``path`` only if it is given, sorted by destination.

    :param runs: how far runs are that this host has or had, by the beginning of their keys in the journal
    :returns: dictionaries as RETURN of the module oci_chunked_upload_info has them
    """
    noted: dict[str, tuple[str, Entry]] = {}
    for key, members in journal.entries().items():
        entry = _entry.read(members)
        if entry is not None and entry.endpoint == service.base and path in (None, entry.path):
            noted[entry.id] = (key, entry)
    told = {upload["id"]: upload for upload in service.uploads(path)}
    rows = [_told(upload, noted.get(upload_id), runs) for upload_id, upload in told.items()]
    rows += [_noted(entry, journal.parts(key), runs.get(key[:16])) for upload_id, (key, entry) in noted.items() if upload_id not in told]
    begun = {key[:16] for key, unused in noted.values()}
    rows += [
        _beginning(seen)
        for key, seen in runs.items()
        if seen.running and key not in begun and seen.record.endpoint == service.base and path in (None, seen.record.path)
    ]
    return sorted(rows, key=lambda row: (row["path"], row["upload_id"] or ""))


def _told(upload: Upload, noted: tuple[str, Entry] | None, runs: t.Mapping[str, Seen]) -> dict[str, t.Any]:
    """An upload that the service knows: its word counts."""
    return {
        "upload_id": upload["id"],
        "path": upload["path"],
        "source": noted[1].source if noted else None,
        "size": upload["size"],
        "part_size": upload["part_size"],
        "parts": upload["parts"],
        "parts_present": len(list(numbers(upload["received"]))),
        "bytes_present": upload["bytes_received"],
        "state": upload["state"],
        "expires": upload["expires"],
        "journaled": noted is not None,
        "progress": _progress(runs.get(noted[0][:16]) if noted else None),
    }


def _noted(entry: Entry, parts: list[int], seen: Seen | None) -> dict[str, t.Any]:
    """An upload that only the journal knows."""
    return {
        "upload_id": entry.id,
        "path": entry.path,
        "source": entry.source,
        "size": entry.size,
        "part_size": entry.part_size,
        "parts": entry.parts,
        "parts_present": len(parts),
        "bytes_present": bytes_in(entry.plan, as_ranges(parts)),
        "state": "unknown",
        "expires": None,
        "journaled": True,
        "progress": _progress(seen),
    }


def _beginning(seen: Seen) -> dict[str, t.Any]:
    """A run that has no upload yet, as it reads its source or sends it in one request."""
    record = seen.record
    return {
        "upload_id": None,
        "path": record.path,
        "source": record.source,
        "size": record.size,
        "part_size": None,
        "parts": record.parts,
        "parts_present": 0,
        "bytes_present": 0,
        "state": "unknown",
        "expires": None,
        "journaled": False,
        "progress": _progress(seen),
    }


def _progress(seen: Seen | None) -> dict[str, t.Any] | None:
    return seen.record.told(running=seen.running) if seen else None


__all__ = ["pending"]
