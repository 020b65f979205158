# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""From a partial file to a published one: digest, durability, rename. The rename is the commit."""

from __future__ import annotations

import hashlib
import os

from ..problems import Problem
from .tree import Identity, exists, file_facts, identity_of
from .whole import BUFFERS, unlink_if_there
from .workspace import Workspace


class WholeDigest:
    """SHA-256 of a file from its beginning up to a frontier that moves on."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.done = 0
        """Bytes taken in."""

    def advance(self, workspace: Workspace, end: int) -> None:
        """Take in the bytes of the partial file up to ``end``.

        :raises EOFError: when it is shorter.
        """
        with workspace.partial(os.O_RDONLY) as partial, BUFFERS.borrow() as buffer:
            while self.done < end:
                count = os.preadv(partial, [buffer[: end - self.done]], self.done)
                if not count:
                    raise EOFError(f"the partial file has {self.done} bytes, not {end}")
                self._digest.update(buffer[:count])
                self.done += count

    def hexdigest(self) -> str:
        """Of what was taken in so far."""
        return self._digest.hexdigest()


def let_go(workspace: Workspace, end: int) -> None:
    """Let the disk begin to write the bytes up to ``end``, so that less is left to fsync. What is there leaves the page cache: it is for others."""
    with workspace.partial(os.O_RDONLY) as partial:
        os.posix_fadvise(partial, 0, end, os.POSIX_FADV_DONTNEED)


def make_durable(workspace: Workspace, mode: int) -> Identity:
    """Give the partial file its final mode and bring it to the disk; returns what it will be known by."""
    with workspace.partial() as partial:
        os.fchmod(partial, mode)
        os.fsync(partial)
        return identity_of(os.fstat(partial))


def publish(workspace: Workspace, *, overwrite: bool) -> bool:
    """Rename the partial file to the destination, durably; says whether there was a file before.

    :raises Problem: ``exists``, ``not-a-file``.
    """
    name = workspace.record.name
    with workspace.parent() as folder:
        replaced = exists(folder, name)
        if overwrite:
            os.rename(workspace.partial_name, name.encode(), src_dir_fd=folder, dst_dir_fd=folder)
        else:
            _link(folder, workspace)
        os.fsync(folder)
        return replaced


def _link(folder: int, workspace: Workspace) -> None:
    name = workspace.record.name
    try:
        os.link(workspace.partial_name, name.encode(), src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError as error:
        if not _is_same(folder, workspace):  # else it is our own link, made before a crash
            raise Problem("exists", f"{name!r} exists already and was not to be overwritten") from error
    os.unlink(workspace.partial_name, dir_fd=folder)


def _is_same(folder: int, workspace: Workspace) -> bool:
    try:
        return os.path.samestat(
            file_facts(folder, workspace.record.name), os.stat(workspace.partial_name, dir_fd=folder, follow_symlinks=False)
        )
    except (FileNotFoundError, Problem):
        return False


def was_published(workspace: Workspace) -> bool:
    """After a crash or a failure between the intent to publish and the answer: did it happen? If so, it is durable now."""
    with workspace.parent() as folder:
        if _is_same(folder, workspace):
            unlink_if_there(folder, workspace.partial_name)
        try:
            os.stat(workspace.partial_name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            os.fsync(folder)
            return True
        return False


__all__ = ["WholeDigest", "let_go", "make_durable", "publish", "was_published"]
