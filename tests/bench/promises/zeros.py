"""Uploads of files that are nothing but zeros, of any size: sparse where they come from, and where they go to a disk that forgets zeros.

Each is made once, whichever promises ask for it, over TLS, by a service of its own that has seen no other upload.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import typing as t
from pathlib import Path
from unittest import mock

from ...integration.conftest import Service
from .. import measure, ours
from . import MiB, discarding, noting

THREADS = 16
PART_SIZE = 7 * MiB
"""The smallest parts that take a file of 64 GiB to nearly 10,000 of them, which is the most there may be."""
AGAIN = 3
"""How often the same run is made again."""
PATIENCE = 3600.0
"""Seconds that an upload may take."""


class Wanted(t.NamedTuple):
    """An upload: bytes of the file, and when the service learns the key."""

    size: int
    release_key: str = "with_parts"


class Uploaded(t.NamedTuple):
    """An upload that was made, and its repetition. Seconds are the engine's own, memory is peak resident bytes."""

    size: int
    release_key: str
    parts: int
    seconds: float
    client: int
    service: int
    journal: dict[str, float]
    """Seconds in the journal, CPU seconds of these, calls."""
    again: float
    """Seconds of the same run again, which logs in with the password; the median of some."""
    again_with_token: float
    """Seconds of the same run again when it has a token; the median of some."""


class ForgetfulService(Service):
    """The service on a disk that forgets zeros."""

    def command(self, *arguments: str) -> list[str]:
        # -P: the files beside it are not for import
        return [sys.executable, "-P", discarding.__file__, "--config", str(self.config), *arguments]


class Zeros:
    """Makes the uploads below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[Wanted, Uploaded] = {}

    def upload(self, wanted: Wanted) -> Uploaded:
        """The upload, made now or before."""
        if wanted not in self._made:
            self._made[wanted] = _make(self._folder / f"{wanted.size}-{wanted.release_key}", wanted)
        return self._made[wanted]


def _make(folder: Path, wanted: Wanted) -> Uploaded:
    # What ours.service starts is a Service of ours: here one of another kind, with the same settings.
    certificate = ours.tls(folder / "tls")
    with mock.patch.object(ours, "Service", ForgetfulService), ours.service(folder / "service", certificate) as running:
        source, published = folder / "zeros", running.root / "zeros"
        with source.open("wb") as file:
            file.truncate(wanted.size)
        options = {
            **ours.connection(running, certificate),
            "src": str(source),
            "journal": str(folder / "state" / "journal.db"),
            "threads": THREADS,
            "part_size": str(PART_SIZE),
            "release_key": wanted.release_key,
        }
        answer, measured = _run(running, options)
        # A page that two segments share stays when both became holes: 4 KiB of each MiB.
        if published.stat().st_blocks * 512 > MiB + wanted.size // 128:
            raise RuntimeError("the service writes past os.pwrite: its zeros fill the disk")
        made = Uploaded(
            wanted.size,
            wanted.release_key,
            answer["results"][0]["parts"],
            answer["seconds"],
            measured.client.peak,
            measured.server.peak,
            answer["journal"],
            again=_again(running, options),
            again_with_token=_again(running, {**options, "username": None, "password": None, "token": running.token()}),
        )
        source.unlink()
        published.unlink()
    return made


def _run(running: Service, options: dict[str, t.Any]) -> tuple[dict[str, t.Any], measure.Measured]:
    """An upload by the engine with the stopwatch: what it answers, and what it cost."""
    command = [sys.executable, "-m", noting.__name__]
    measured = measure.run(command, stdin=json.dumps([options]), server=[ours.pid_of(running)], environment=os.environ, timeout=PATIENCE)
    return json.loads(measured.output), measured


def _again(running: Service, options: dict[str, t.Any]) -> float:
    """Seconds that a file takes which is there already."""
    answers = [_run(running, options)[0] for _number in range(AGAIN)]
    if any(answer["results"][0]["changed"] for answer in answers):
        raise RuntimeError("an unchanged file was sent again")
    return statistics.median(float(answer["seconds"]) for answer in answers)
