# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Writes down how far a run is, for others to read, and ends the run when nobody waits for it any more.

Private to the collection bigfile.oci. Beside the journal stands a record, written anew each second. Whoever started the run may ask for a watch file too:
it names the record, and is touched by whoever looks. A run ends as if told by SIGHUP, in a state from which the next one continues, when

- the other end of its output is closed: the control node is gone, or was told to end;
- its watch file is removed: its time is over (the keyword ``timeout`` of a task);
- its watch file was touched once and then not for long: the control node fell silent, as when it loses its power.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import select
import signal
import threading
import time
import typing as t

from . import _progress
from ._errors import Interrupted, UploadError

if t.TYPE_CHECKING:
    import types

    from ._progress import Progress, Record

EVERY = 1.0
"""Seconds between two records."""

SILENCE_MOST = 300.0
"""Seconds without a touch. Who looks does so each half minute."""

STALE = 60.0
"""Seconds after which a record is not that of a run under way, whoever has its process number."""

LITTER = 86_400.0
"""Seconds after which a watch file of a run that was killed is removed by the next."""

OUTPUT = 1


class Watch:
    """To be entered by one run at a time.

    :param record: path of the record
    :param watch_id: 32 hexadecimal digits when a watch file is wanted
    :param hang_up: ends the run
    """

    def __init__(
        self,
        progress: Progress,
        record: str,
        *,
        watch_id: str | None = None,
        hang_up: t.Callable[[], None] = lambda: os.kill(os.getpid(), signal.SIGHUP),
        every: float = EVERY,
        silence_most: float = SILENCE_MOST,
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        self._progress = progress
        self._record = record
        self._file = watch_file(watch_id) if watch_id and re.fullmatch("[0-9a-f]{32}", watch_id) else None
        self._hang_up = hang_up
        self._every = every
        self._silence_most = silence_most
        self._clock = clock
        self._touched: tuple[int, float] = (0, 0.0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> None:
        if self._file is not None:
            self._make(self._file)
        self._write()
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None) -> None:
        self._over.set()
        self._thread.join(5 * self._every)
        if self._file is not None:
            _remove(self._file)
        if isinstance(error, UploadError) and self._progress.record(pid=0, now=0).parts > 1:
            self._write(ended=str(error))
        else:
            _remove(self._record)

    def _make(self, file: str) -> None:
        """The watch file, not touched yet: its time is the epoch."""
        folder = os.path.dirname(file)
        with contextlib.suppress(OSError):
            os.makedirs(folder, mode=0o700, exist_ok=True)
            _sweep(folder)
        try:
            _create(file, self._record)
            os.utime(file, ns=(0, 0))
        except FileExistsError as error:
            raise Interrupted("the run was told to end before it began; run the task again to continue") from error
        except OSError:
            self._file = None  # nobody can look then, and that is no reason not to upload

    def _run(self) -> None:
        while not self._over.wait(self._every):
            self._write()
            if self._nobody_waits():
                self._hang_up()
                return

    def _write(self, *, ended: str | None = None) -> None:
        record = self._progress.record(pid=os.getpid(), now=time.time(), ended=ended)
        with contextlib.suppress(OSError):  # a full disk is not the upload's trouble
            beside = f"{self._record}.tmp"
            _remove(beside)
            _create(beside, record.json())
            os.replace(beside, self._record)

    def _nobody_waits(self) -> bool:
        return _is_closed(OUTPUT) or (self._file is not None and self._is_left(self._file))

    def _is_left(self, file: str) -> bool:
        try:
            touched = os.stat(file).st_mtime_ns
        except OSError:
            return True
        if touched != self._touched[0]:
            self._touched = (touched, self._clock())
        return touched != 0 and self._clock() - self._touched[1] > self._silence_most


def watch_file(watch_id: str) -> str:
    """Where the watch file with this id is."""
    return os.path.join(os.path.expanduser(_progress.WATCH_FOLDER), f"watch-{watch_id}")


def _create(path: str, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _sweep(folder: str) -> None:
    """Remove what runs that were killed left: their files were made or touched long ago."""
    for path in glob.glob(os.path.join(glob.escape(folder), "watch-*")):
        with contextlib.suppress(OSError):
            if time.time() - os.stat(path).st_ctime > LITTER:
                os.unlink(path)


def _is_closed(descriptor: int) -> bool:
    """Whether nobody reads a pipe or terminal any more. A file or /dev/null is read whenever somebody likes."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for unused, events in poll.poll(0))


class Seen(t.NamedTuple):
    """A record that was found, and whether its run is under way."""

    record: Record
    running: bool


def look(pattern: str) -> dict[str, Seen]:
    """The records at ``pattern``, by what stands for its asterisk."""
    found = {}
    before, _asterisk, after = pattern.partition("*")
    for path in glob.glob(f"{glob.escape(before)}*{glob.escape(after)}"):
        with contextlib.suppress(OSError, ValueError):
            with open(path, encoding="utf-8") as file:
                record = _progress.read(file.read())
            if record is not None:
                fresh = time.time() - os.stat(path).st_mtime < STALE
                found[path[len(before) : len(path) - len(after)]] = Seen(
                    record, fresh and record.state != "ended" and _is_alive(record.pid)
                )
    return found


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # somebody else's
    return True


__all__ = ["Seen", "Watch", "look", "watch_file"]
