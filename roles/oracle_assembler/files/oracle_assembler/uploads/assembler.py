# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What all use cases share: users' trees, records, pending uploads, threads, and room."""

from __future__ import annotations

import asyncio
import typing as t

from ..problems import Problem
from ..store.digests import Digests
from ..store.opening import Stream, stream_of, unwrap
from ..store.paths import Components, parse
from ..store.records import Record, Records
from ..store.space import free_bytes
from ..store.tree import Tree
from ..store.workspace import Workspace
from .claims import Claims
from .quotas import Quotas
from .threads import Threads
from .upload import Upload

if t.TYPE_CHECKING:
    from ..config import Config

Observe = t.Callable[..., None]
"""Told of events by name with keyword facts, never secrets."""


def ignore(event: str, **facts: t.Any) -> None:  # pylint: disable=unused-argument
    """Observe nothing."""


class Assembler:
    """The service without HTTP. ``private_key`` opens wrapped keys."""

    def __init__(self, config: Config, private_key: bytes, observe: Observe = ignore) -> None:
        self.config = config
        self.observe = observe
        self.threads = Threads()
        self.records = Records(config.state_dir)
        self.digests = Digests(config.state_dir)
        self.uploads: dict[str, Upload] = {}
        self.singles: dict[str, Record] = {}
        self.single_claims: Claims[str] = {}
        self.begin_lock = asyncio.Lock()
        self._private_key = private_key
        folder_mode = int(config.folder_mode, 8)
        self._trees = {user.name: Tree(config.data_dir, parse(user.folder), folder_mode) for user in config.users}
        self.quotas = Quotas({user.name: user.quota for user in config.users}, self._trees, self.threads)

    def tree(self, user: str) -> Tree:
        """The folder of a user."""
        return self._trees[user]

    def users(self) -> t.Iterable[str]:
        """All users' names."""
        return self._trees

    def workspace(self, record: Record) -> Workspace:
        """Where an upload lives."""
        return Workspace(self.tree(record.user), record)

    def mode(self, asked: str | None) -> int:
        """The mode of a published file."""
        return int(asked or self.config.file_mode, 8)

    def find(self, user: str, upload_id: str) -> Upload:
        """A user's upload.

        :raises Problem: ``upload-unknown``: never there, ended, or another user's.
        """
        upload = self.uploads.get(upload_id)
        if upload is None or upload.ended or upload.record.user != user:
            raise unknown(upload_id)
        return upload

    def of_user(self, user: str) -> list[Upload]:
        """A user's uploads that are not ended, oldest first."""
        mine = (upload for upload in self.uploads.values() if upload.record.user == user and not upload.ended)
        return sorted(mine, key=lambda upload: upload.record.created)

    async def stream(self, upload: Upload, wrapped: str | None) -> Stream:
        """What opens an upload's segments; remembered, in memory, until the upload ends."""
        if upload.stream is None or upload.stream[0] != wrapped:
            stream = await self.threads.run(stream_of, upload.record, wrapped, self._private_key)
            if not wrapped:
                return stream
            upload.stream = (wrapped, stream)
        return upload.stream[1]

    def key_of_single(self, record: Record, wrapped: str | None) -> bytes | None:
        """The key of a single file, None for a plain one. Takes about a millisecond.

        :raises Problem: ``key-missing``, ``key-refused``.
        """
        return None if record.header is None else unwrap(record.id, wrapped, self._private_key)

    async def check_room(self, record: Record, needed: int) -> None:
        """Refuse what cannot fit; call it with the begin lock held.

        :raises Problem: ``disk-full``, ``quota-reached``.
        """
        promised = sum(upload.promised for upload in self.uploads.values() if not upload.ended)
        available = await self.threads.run(free_bytes, self.config.data_dir) - promised
        if needed > available:
            raise Problem("disk-full", "there is not enough room on the server's disk", needed=needed, available=max(0, available))
        left = await self.quotas.left(record.user, sum(other.size for other in self.pending(record.user)))
        if left is not None and record.size > left:
            raise Problem("quota-reached", "the quota of the user does not allow it", needed=record.size, available=max(0, left))

    def pending(self, user: str) -> list[Record]:
        """What a user has begun and not yet published, single files too."""
        begun = [upload.record for upload in self.of_user(user) if not upload.is_published()]
        return begun + [record for record in self.singles.values() if record.user == user]

    def pending_below(self, user: str, folder: Components) -> bool:
        """Whether an upload into the folder, or deeper, is pending."""
        depth = len(folder)
        return any(record.components[:depth] == folder and len(record.components) > depth for record in self.pending(user))


def unknown(upload_id: str) -> Problem:
    """There is no such upload for this user."""
    return Problem("upload-unknown", f"there is no upload {upload_id}: never there, aborted, expired, or another user's")


__all__ = ["Assembler", "Observe", "ignore", "unknown"]
