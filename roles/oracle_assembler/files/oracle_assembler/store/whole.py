# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A file is whole or absent: the one function that writes one, and the small ones it is made of."""

from __future__ import annotations

import contextlib
import os
import typing as t

from .._sealed.memory import BUFFERS

Buffer: t.TypeAlias = "bytes | bytearray | memoryview"


@contextlib.contextmanager
def open_folder(path: str) -> t.Iterator[int]:
    """A folder of the service's own, open: the functions here take names in one."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: Buffer, offset: int) -> None:
    """Write all of ``data`` at ``offset``; a short write is continued."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view = view[written:]
        offset += written


def write_whole(folder: int, name: str, data: Buffer, *, mode: int = 0o600, durable: bool = True) -> None:
    """Make ``name`` in an open folder hold exactly ``data``: beside, fsync, rename, fsync of the folder.

    ``durable=False`` leaves out both fsyncs: the file is whole after a crash of the process, and after a power cut it may be
    the old one, absent or empty. For what a later check finds out and a client sends again.
    """
    beside = f"{name}.new"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder)
    try:
        write_all(descriptor, data, 0)
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
    if durable:
        os.fsync(folder)


def read_whole(folder: int, name: str) -> bytes:
    """All bytes of a small file in an open folder.

    :raises FileNotFoundError: when it is not there.
    """
    with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder), "rb") as file:
        return file.read()


def unlink_if_there(folder: int, name: str) -> bool:
    """Remove a name from an open folder; says whether it was there."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


__all__ = ["BUFFERS", "Buffer", "open_folder", "read_whole", "unlink_if_there", "write_all", "write_whole"]
