# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What has been sent, across runs; and the digests of files that did not change since. The one file that touches pickleDB.

Private to the collection bigfile.oci. The service's own list is the truth, this is a cache of it, but for one thing: a random
upload key stands here alone until the receipt. One thread of one process writes an entry; see :meth:`Journal.claim`.

pickleDB's SQLite store commits key by key and is safe between processes. Part numbers are kept in blocks, so that forgetting
an upload of 10,000 parts is 10 commits and not 10,000.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
import traceback
import typing as t

from ._errors import Busy, JournalError

PICKLEDB_IMPORT_ERROR: str | None
try:
    from pickledb import PickleDBSQLite
except ImportError:
    PICKLEDB_IMPORT_ERROR = traceback.format_exc()
else:
    PICKLEDB_IMPORT_ERROR = None

BLOCK = 1024
"""Part numbers in one key of the store."""

NOTES_PAUSE, NOTES_PAUSE_MOST = 0.25, 30.0
"""Seconds between two writings of notes. What is lost of them when we are killed the service knows."""

NOTES_COST, NOTES_FREE = 300, 1.0
"""The pause is as many times what the writing took, if that is more, once so many seconds have gone into writing: a commit takes a millisecond or
fifty, by the disk, and an upload of many parts is to spend less than a hundredth of its time on any."""

DIGESTS_MAX = 10_000
"""Digests kept; when a run ends with more, those of files that are gone are dropped."""

SHAPES = {"upload": dict, "parts": list, "digest": dict}
"""What the store holds, by the first word of its keys."""

Entry = dict[str, t.Any]
"""An upload that began: what :mod:`_upload` writes down, in JSON types."""


class Journal:
    """A pickleDB store at ``path`` (mode 0600, its folder made with 0700). Close it with :meth:`close`.

    A damaged store is set aside and told of in ``warnings``.

    :param read_only: change nothing on the disk; a store that is not there is empty
    :raises JournalError: when it can be neither read nor made.
    """

    def __init__(self, path: str, *, read_only: bool = False) -> None:
        self.path = os.path.abspath(os.path.expanduser(path))
        self.warnings: list[str] = []
        self._read_only = read_only
        self._store: PickleDBSQLite | None = None
        self._unwritten: dict[str, list[int]] = {}
        self._due = 0.0
        self._spent = 0.0
        self._remembered_more = False
        if read_only and not (os.path.exists(self.path) and os.path.getsize(self.path)):
            return  # SQLite would make a store of an empty file
        try:
            self._store = self._open()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise self._unusable(error) from error
            self._set_aside(error)

    def _open(self) -> PickleDBSQLite:
        try:
            if not self._read_only:
                os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
                with open(self.path, "ab") as made:
                    os.fchmod(made.fileno(), 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        store = PickleDBSQLite(self.path)
        try:
            # A key that is removed must be gone from the file too. pickleDB has no call for it.
            store._conn.execute("PRAGMA secure_delete = ON")  # pylint: disable=protected-access
            for key in store.all():
                if not isinstance(store.get(key), SHAPES[key.partition(":")[0]]):
                    raise ValueError(f"{key} is not what it should be")
        except sqlite3.DatabaseError:
            store.close()
            raise
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            store.close()
            raise sqlite3.DatabaseError(f"malformed: {error}") from error
        return store

    def _set_aside(self, error: Exception) -> None:
        if self._read_only:
            self.warnings.append(f"the journal {self.path} is damaged ({error}) and was not read")
            return
        aside = f"{self.path}.damaged-{time.time_ns()}"
        try:
            os.replace(self.path, aside)
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self.path}-journal", f"{aside}-journal")  # else SQLite would roll it back into the new store
        except OSError as refused:
            raise self._unusable(refused) from error
        self.warnings.append(
            f"the journal {self.path} was damaged ({error}); it was set aside as {aside}, and the service is asked instead"
        )
        try:
            self._store = self._open()
        except sqlite3.DatabaseError as again:
            raise self._unusable(again) from again

    def _unusable(self, error: Exception) -> JournalError:
        return JournalError(f"the journal {self.path} cannot be used: {error}; give a writable place with the option journal")

    def close(self) -> None:
        """Let go of the store; may be called again."""
        try:
            self._write_notes()
            self._drop_old_digests()
        finally:
            self._remembered_more = False
            if self._store is not None:
                self._store.close()

    def _get(self, key: str) -> t.Any:
        return None if self._store is None else self._guarded(self._store.get, key, None)

    def _set(self, key: str, value: t.Any) -> None:
        if not self._read_only and self._store is not None:
            self._guarded(self._store.set, key, value)

    def _remove(self, key: str) -> None:
        if not self._read_only and self._store is not None:
            self._guarded(self._store.remove, key)

    def _keys(self, prefix: str) -> list[str]:
        return [] if self._store is None else [key for key in self._guarded(self._store.all) if key.startswith(prefix)]

    def _guarded(self, call: t.Callable[..., t.Any], *arguments: t.Any) -> t.Any:
        try:
            return call(*arguments)
        except sqlite3.DatabaseError as error:
            raise self._unusable(error) from error

    # Uploads

    def beside(self, key: str, what: str) -> str:
        """Path of a file about the upload that stands beside the store; an asterisk is as good as a key."""
        return f"{self.path}.{key[:16]}.{what}"

    @contextlib.contextmanager
    def claim(self, key: str) -> t.Iterator[None]:
        """Hold the upload for this process; the kernel lets go when the process dies.

        :raises Busy: when another process holds it.
        """
        if self._read_only:
            yield
            return
        lock = self.beside(key, "lock")
        handle = self._lock(lock)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.unlink(lock)
            os.close(handle)

    def _lock(self, lock: str) -> int:
        while True:
            try:
                handle = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise self._unusable(error) from error
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Its last holder may have unlinked it between our open and our lock.
                with contextlib.suppress(FileNotFoundError):
                    if os.fstat(handle).st_ino == os.stat(lock).st_ino:
                        return handle
            except BlockingIOError as error:
                os.close(handle)
                raise Busy("another run sends this very file to this destination right now; wait for it, or end it") from error
            except OSError as error:
                os.close(handle)
                raise self._unusable(error) from error
            os.close(handle)

    def entry(self, key: str) -> Entry | None:
        """The upload that is pending under ``key``."""
        return t.cast(Entry | None, self._get(f"upload:{key}"))

    def entries(self) -> dict[str, Entry]:
        """All pending uploads."""
        found = {key[len("upload:") :]: self._get(key) for key in self._keys("upload:")}
        return {key: entry for key, entry in found.items() if entry}

    def begin(self, key: str, entry: Entry) -> None:
        """Write down an upload before it begins."""
        self._set(f"upload:{key}", {name: _text(value) if isinstance(value, str) else value for name, value in entry.items()})

    def note(self, key: str, number: int) -> None:
        """Write down that the service acknowledged part ``number``; soon, as the service knows it too."""
        self._unwritten.setdefault(f"parts:{key}:{number // BLOCK}", []).append(number)
        if time.monotonic() >= self._due:
            self._write_notes()

    def _write_notes(self) -> None:
        begun = time.monotonic()
        while self._unwritten:
            block, numbers = self._unwritten.popitem()
            self._set(block, [*(self._get(block) or []), *numbers])
        ended = time.monotonic()
        self._spent += ended - begun
        paid = NOTES_COST * (ended - begun) if self._spent > NOTES_FREE else 0.0
        self._due = ended + min(NOTES_PAUSE_MOST, max(NOTES_PAUSE, paid))

    def parts(self, key: str) -> list[int]:
        """The parts noted for ``key``, ascending."""
        self._write_notes()
        return sorted({number for block in self._keys(f"parts:{key}:") for number in self._get(block)})

    def forget(self, key: str) -> None:
        """Drop the upload and its parts; its upload key leaves the file with it."""
        self._unwritten.clear()
        self._remove(f"upload:{key}")
        for block in self._keys(f"parts:{key}:"):
            self._remove(block)
        if not self._read_only:
            with contextlib.suppress(OSError):
                os.unlink(self.beside(key, "progress"))

    # Digests

    def digest(self, path: str, identity: t.Sequence[int]) -> str | None:
        """The SHA-256 remembered for the file at ``path``, if it is the same file with the same bytes still."""
        known = self._get(f"digest:{_text(path)}")
        return t.cast(str, known["sha256"]) if known and known["identity"] == list(identity) else None

    def remember(self, path: str, identity: t.Sequence[int], sha256: str) -> None:
        """Keep the digest of a file against its identity."""
        if self.digest(path, identity) == sha256:
            return
        self._set(f"digest:{_text(path)}", {"identity": list(identity), "sha256": sha256})
        self._remembered_more = True

    def _drop_old_digests(self) -> None:
        kept = self._keys("digest:") if self._remembered_more else []
        if len(kept) > DIGESTS_MAX:
            for key in kept:
                if not os.path.exists(key[len("digest:") :]):
                    self._remove(key)

    def forget_digest(self, path: str) -> None:
        """Drop the digest of a file."""
        self._remove(f"digest:{_text(path)}")


def _text(path: str) -> str:
    """A path as the store can keep it; file names need not be UTF-8."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file itself is wrong, and not the way to it (those are operational errors)."""
    return not isinstance(error, sqlite3.OperationalError)


__all__ = ["PICKLEDB_IMPORT_ERROR", "Entry", "Journal"]
