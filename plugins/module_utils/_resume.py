# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which upload to go on with: the journal's, or one that only the service knows.

Private to the collection bigfile.oci.
"""

from __future__ import annotations

import typing as t

from . import _entry
from ._entry import Entry
from ._errors import Refused
from ._names import source_reference
from ._plan import Plan

if t.TYPE_CHECKING:
    from ._file_upload import FileUpload
    from ._journal import Journal
    from ._source import Source
    from ._transfer import Upload
    from ._wish import Wish


class Resume:
    """Looks for what was begun for one source and destination.

    :param key: what it is filed under in the journal
    """

    def __init__(self, wish: Wish, *, key: str, source: Source, journal: Journal, service: FileUpload) -> None:
        self._wish = wish
        self._key = key
        self._source = source
        self._journal = journal
        self._service = service

    def find(self) -> Entry | None:
        """The upload to go on with. One that cannot be finished any more is aborted: the source or the way of sealing changed."""
        entry = _entry.read(self._journal.entry(self._key))
        if entry is None:
            # What goes in one request is sent sooner than asked for.
            return None if self._source.size < self._wish.threshold else self._adopted()
        if self._serves(entry):
            return entry
        if not self._wish.check_mode:
            self.give_up(entry.id)
        return None

    def _serves(self, entry: Entry) -> bool:
        return entry.serves(self._source.identity, encrypt=self._wish.encrypt, encryption_key=self._wish.encryption_key)

    def _adopted(self) -> Entry | None:
        """An upload of this very source that the service knows and the journal does not, when its key can be had again."""
        reference = source_reference(self._source.path, self._source.identity)
        for upload in self._service.uploads(self._wish.path):
            if upload["source"] == reference:
                entry = self._entry_of(upload)
                if self._serves(entry):
                    return entry
                if self._journal.warnings and not self._wish.check_mode:
                    self._service.abort(upload["id"])  # its key was in the journal that was damaged
        return None

    def _entry_of(self, upload: Upload) -> Entry:
        sealing = upload["sealing"]
        plan = Plan(self._source.size, upload["part_size"], sealing is not None)
        return Entry(
            id=upload["id"],
            source=self._source.path,
            endpoint=self._service.base,
            path=self._wish.path,
            identity=list(self._source.identity),
            size=plan.size,
            part_size=plan.part_size,
            parts=plan.part_count,
            encrypted=plan.encrypted,
            release_key=upload["release_key"],
            header=sealing["header"] if sealing else None,
        )

    def known(self, entry: Entry) -> Upload | None:
        """The upload as the service knows it. One that it understood differently, as bytes changed on the way, is given up."""
        upload = self._service.upload(entry.id)
        if upload is not None and not _entry.is_begun_as(entry, upload):
            self.give_up(entry.id)
            return None
        return upload

    def give_up(self, upload_id: str) -> None:
        """Abort an upload and forget it."""
        try:
            self._service.abort(upload_id)
        except Refused as error:
            if error.status != 409:  # it is published, so there is nothing left to abort
                raise
        self._journal.forget(self._key)

    def finished(self) -> None:
        """Drop what is noted for a file that stands there already: we missed the receipt, or somebody else was faster."""
        entry = _entry.read(self._journal.entry(self._key))
        if entry is not None:
            self.give_up(entry.id)


__all__ = ["Resume"]
