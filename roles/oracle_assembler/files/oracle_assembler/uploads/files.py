# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Published files: facts, download, mode, deletion."""

from __future__ import annotations

import io
import os
import stat
import typing as t

from ..problems import Problem
from ..store.paths import parse
from ..store.tree import file_facts, open_file, remove_file
from .assembler import Assembler

_BLOCK = 1 << 18


class Facts(t.NamedTuple):
    """What there is to say of a file; ``sha256`` None: not known; ``modified`` is seconds of the epoch."""

    path: str
    size: int
    mode: str
    modified: float
    sha256: str | None


async def facts(assembler: Assembler, user: str, path: str) -> Facts:
    """Facts of a file, without reading it.

    :raises Problem: ``not-found``, ``not-a-file``.
    """
    return await assembler.threads.run(_facts, assembler, user, path)


def _facts(assembler: Assembler, user: str, path: str) -> Facts:
    *folders, name = parse(path)
    with assembler.tree(user).open(tuple(folders)) as folder:
        return _described(assembler, user, path, file_facts(folder, name))


def _described(assembler: Assembler, user: str, path: str, found: os.stat_result) -> Facts:
    mode = f"{stat.S_IMODE(found.st_mode):04o}"
    return Facts(path, found.st_size, mode, found.st_mtime, assembler.digests.known(user, path, found))


async def open_published(assembler: Assembler, user: str, path: str) -> tuple[io.FileIO, Facts]:
    """An open file, and the facts of the very file that it is; who drops it closes it."""
    return await assembler.threads.run(_open, assembler, user, path)


def _open(assembler: Assembler, user: str, path: str) -> tuple[io.FileIO, Facts]:
    *folders, name = parse(path)
    with assembler.tree(user).open(tuple(folders)) as folder:
        file = io.FileIO(open_file(folder, name))
    return file, _described(assembler, user, path, os.fstat(file.fileno()))


async def read_range(assembler: Assembler, file: io.FileIO, start: int, end: int) -> t.AsyncIterator[bytes]:
    """The bytes of an open file from ``start`` up to ``end``, a quarter of a MiB at a time; closes it.

    :raises Problem: when the file has become shorter.
    """
    with file:
        while start < end:
            block = await assembler.threads.run(os.pread, file.fileno(), min(_BLOCK, end - start), start)
            if not block:
                raise Problem("internal", "the file became shorter while it was read")
            start += len(block)
            yield block


async def set_mode(assembler: Assembler, user: str, path: str, mode: str) -> Facts:
    """Change a file's mode."""
    return await assembler.threads.run(_set_mode, assembler, user, path, int(mode, 8))


def _set_mode(assembler: Assembler, user: str, path: str, mode: int) -> Facts:
    file, _before = _open(assembler, user, path)
    with file:
        os.fchmod(file.fileno(), mode)
        return _described(assembler, user, path, os.fstat(file.fileno()))


async def delete(assembler: Assembler, user: str, path: str) -> None:
    """Delete a file.

    :raises Problem: ``not-found``, ``not-a-file``.
    """
    await assembler.threads.run(_delete, assembler, user, path)
    assembler.quotas.deleted(user)


def _delete(assembler: Assembler, user: str, path: str) -> None:
    *folders, name = parse(path)
    with assembler.tree(user).open(tuple(folders)) as folder:
        remove_file(folder, name)
    assembler.digests.forget(user, path)


__all__ = ["Facts", "delete", "facts", "open_published", "read_range", "set_mode"]
