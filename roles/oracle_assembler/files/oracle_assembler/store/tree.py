# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A user's folder and what is below it, reached component by component so that no symbolic link leads out.

Every function works on open folders and single names. Never build a path string below the root and hand it to the kernel.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t

from ..problems import Problem
from .paths import Components, is_own

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NOT_A_FOLDER = (errno.ENOTDIR, errno.ELOOP)


class Entry(t.NamedTuple):
    """A line of a folder's listing."""

    name: str
    is_folder: bool
    size: int
    modified: float


class Tree:
    """The folder of one user: ``folder`` below ``data_dir``."""

    def __init__(self, data_dir: str, folder: Components, folder_mode: int) -> None:
        self._data_dir = data_dir
        self._folder = folder
        self._mode = folder_mode

    @contextlib.contextmanager
    def open(self, components: Components = (), *, create: bool = False) -> t.Iterator[int]:
        """An open folder below the root; ``create`` makes what is missing, durably.

        :raises Problem: ``not-found``; ``not-a-folder`` when something else is in the way.
        """
        descriptor = os.open(self._data_dir, _FOLDER)
        try:
            for component in self._folder + components:
                child = self._step(descriptor, component.encode(), create)
                os.close(descriptor)
                descriptor = child
            yield descriptor
        finally:
            os.close(descriptor)

    def make(self) -> None:
        """Make the root itself."""
        with self.open(create=True):
            pass

    def _step(self, parent: int, name: bytes, create: bool) -> int:
        try:
            return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent)
        except FileNotFoundError as error:
            if not create:
                raise Problem("not-found", f"there is no folder {name.decode()!r} on this path") from error
            return self._make(parent, name)
        except OSError as error:
            raise _in_the_way(error, name) from error

    def _make(self, parent: int, name: bytes) -> int:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, self._mode, dir_fd=parent)
        try:
            child = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent)
        except OSError as error:
            raise _in_the_way(error, name) from error
        os.fchmod(child, self._mode | (os.fstat(child).st_mode & stat.S_ISGID))  # against the umask; a shared group stays
        os.fsync(parent)
        return child


def _in_the_way(error: OSError, name: bytes) -> Exception:
    if error.errno in _NOT_A_FOLDER:
        return Problem("not-a-folder", f"{name.decode()!r} on this path is not a folder")
    return error


Identity: t.TypeAlias = "list[int]"
"""What tells a file from another one, and from itself after it was written to: device, inode, bytes, time of change in ns. A rename keeps it."""


def identity_of(facts: os.stat_result) -> Identity:
    """The identity of a file."""
    return [facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns]


def file_facts(folder: int, name: str) -> os.stat_result:
    """What the file system knows of a regular file.

    :raises Problem: ``not-found``, ``not-a-file``.
    """
    try:
        facts = os.stat(name.encode(), dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError as error:
        raise Problem("not-found", f"there is no file {name!r}") from error
    return _regular(facts, name)


def _regular(facts: os.stat_result, name: str) -> os.stat_result:
    if not stat.S_ISREG(facts.st_mode):
        raise Problem("not-a-file", f"{name!r} is not a regular file")
    return facts


def open_file(folder: int, name: str, flags: int = os.O_RDONLY) -> int:
    """Open a regular file; the caller closes it.

    :raises Problem: ``not-found``, ``not-a-file``.
    """
    file_facts(folder, name)
    try:
        descriptor = os.open(name.encode(), flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Problem("not-a-file", f"{name!r} is not a regular file") from error
        raise
    try:
        _regular(os.fstat(descriptor), name)
    except Problem:
        os.close(descriptor)
        raise
    return descriptor


def exists(folder: int, name: str) -> bool:
    """Whether a regular file stands there.

    :raises Problem: ``not-a-file`` when something else does.
    """
    try:
        file_facts(folder, name)
    except Problem as problem:
        if problem.name == "not-found":
            return False
        raise
    return True


def listing(folder: int) -> list[Entry]:
    """Files and folders by name; links, devices and the service's own names are left out."""
    entries = []
    with os.scandir(folder) as found:
        for entry in found:
            facts = entry.stat(follow_symlinks=False)
            name = os.fsencode(entry.name).decode("utf-8", "replace")
            if not is_own(name) and (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):
                is_folder = stat.S_ISDIR(facts.st_mode)
                entries.append(Entry(name, is_folder, 0 if is_folder else facts.st_size, facts.st_mtime))
    return sorted(entries)


def remove_file(folder: int, name: str) -> None:
    """Delete a regular file, durably."""
    file_facts(folder, name)
    os.unlink(name.encode(), dir_fd=folder)
    os.fsync(folder)


def remove_folder(parent: int, name: str, *, recursive: bool) -> None:
    """Delete a folder, durably; links inside are removed and never followed.

    :raises Problem: ``not-found``, ``not-a-folder``, ``folder-not-empty``.
    """
    target = name.encode()
    try:
        if recursive:
            _empty(parent, target)
        os.rmdir(target, dir_fd=parent)
    except FileNotFoundError as error:
        raise Problem("not-found", f"there is no folder {name!r}") from error
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise Problem("folder-not-empty", f"the folder {name!r} is not empty; ask for recursive deletion") from error
        raise _in_the_way(error, target) from error
    os.fsync(parent)


def _empty(parent: int, name: bytes) -> None:
    for _path, folders, files, folder in os.fwalk(name, topdown=False, follow_symlinks=False, dir_fd=parent):  # a link is not entered
        for child in files:
            os.unlink(child, dir_fd=folder)
        for child in folders:
            _remove_child(folder, child)


def _remove_child(folder: int, child: bytes) -> None:
    try:
        os.rmdir(child, dir_fd=folder)
    except NotADirectoryError:
        os.unlink(child, dir_fd=folder)


__all__ = ["Entry", "Identity", "Tree", "exists", "file_facts", "identity_of", "listing", "open_file", "remove_file", "remove_folder"]
