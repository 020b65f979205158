# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Room on the disk: reserving it, measuring it, and how much of it a user has taken."""

from __future__ import annotations

import ctypes
import errno
import os
import stat

from .paths import is_own
from .tree import Tree

_CANNOT = (errno.EOPNOTSUPP, errno.ENOSYS)


def reserve(descriptor: int, size: int) -> bool:
    """Give the file ``size`` bytes and the disk blocks behind them; False where the file system cannot reserve.

    The call is Linux's fallocate(2): libc's posix_fallocate would write every block where the file system cannot.

    :raises OSError: ENOSPC when there is not that much room.
    """
    os.ftruncate(descriptor, size)
    if size == 0:
        return True
    libc = ctypes.CDLL(None, use_errno=True)
    while libc.fallocate(descriptor, 0, ctypes.c_long(0), ctypes.c_long(size)) != 0:
        code = ctypes.get_errno()
        if code in _CANNOT:
            return False
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))
    return True


def free_bytes(path: str | int) -> int:
    """What the service can still write on this file system."""
    facts = os.statvfs(path)
    return facts.f_bavail * facts.f_frsize


def used_bytes(tree: Tree) -> int:
    """Sum of all files below a user's root, without the service's own."""
    with tree.open() as folder:
        return _sum(folder)


def _sum(folder: int) -> int:
    total = 0
    with os.scandir(folder) as found:
        for entry in found:
            if is_own(entry.name):
                continue
            facts = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(facts.st_mode):
                total += facts.st_size
            elif stat.S_ISDIR(facts.st_mode):
                total += _sum_below(folder, entry.name)
    return total


def _sum_below(parent: int, name: str) -> int:
    try:
        folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    try:
        return _sum(folder)
    finally:
        os.close(folder)


__all__ = ["free_bytes", "reserve", "used_bytes"]
