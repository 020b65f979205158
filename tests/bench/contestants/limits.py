"""What the machine can do at most: the disk, loopback, encryption and hashing, each alone."""

from __future__ import annotations

import contextlib
import json
import sys
import typing as t
from pathlib import Path

from ...integration.conftest import free_port
from .. import measure, servers, work
from ..contest import Contestant, Sample, durable, sample
from ..load import MIB, Load

LOOPBACK = "loopback TCP into a file"
MOST = 512 * MIB
"""Bytes for encryption and hashing: more would take longer and tell the same."""


def labour_name(kind: str, library: str, processes: int = 1) -> str:
    """The name of a limit of encryption or hashing."""
    title = {"sha256": "SHA-256"}.get(kind, f"AES-256-GCM {kind}")
    return f"{title}, {library}, {processes} core{'s' * (processes > 1)}"


def _labour(kind: str, library: str, processes: int) -> Contestant:
    def send(load: Load) -> Sample:
        size = labour_size(load)
        ran = measure.run([sys.executable, work.__file__, kind, library, str(size), str(processes)])
        done = json.loads(ran.output)
        # Only the labour itself: neither the start of Python nor of its processes.
        return Sample(done["seconds"], 0.0, None, done["cpu"], ran.client.peak, 0.0, 0)

    return Contestant(labour_name(kind, library, processes), "limit", send, many=False, variant=True)


def labour_size(load: Load) -> int:
    """Bytes that are encrypted or hashed in place of a load."""
    return min(load.bytes, MOST)


def _copy(target: Path) -> Contestant:
    def send(load: Load) -> Sample:
        return sample(measure.run(["cp", *load.sources, target], settle=durable(target)))

    return Contestant("cp and fsync", "limit", send, target)


def _loopback(server: servers.Server, target: Path) -> Contestant:
    def send(load: Load) -> Sample:
        names = "".join(f"{path}\t{target / path.name}\n" for path in load.sources)
        return sample(measure.run([sys.executable, work.__file__, "send", str(server.port)], stdin=names, server=[server.pid]))

    return Contestant(LOOPBACK, "limit", send, target)


@contextlib.contextmanager
def contestants(room: Path, target: Path) -> t.Iterator[list[Contestant]]:
    """All limits; the receiver runs until the block is left."""
    port = free_port()
    room.mkdir(parents=True, exist_ok=True)
    with servers.running([sys.executable, work.__file__, "receive", str(port)], port, room / "receive.log") as receiver:
        labours = [_labour(kind, library, processes) for kind, library in work.WORKS for processes in (1, 2)]
        yield [_copy(target), _loopback(receiver, target), *labours]
