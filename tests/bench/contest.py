"""The rounds: every contestant sends the same files, one after the other, in another order each time.

Interleaved, because a machine is not the same from one minute to the next: what slows it down then slows down all.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import sys
import time
import typing as t
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..integration.conftest import sha256_of
from .ballast import Ballast
from .load import Load, source_digest
from .measure import Failed, Measured

GROUPS = ("ours", "encrypted", "ansible", "plain", "limit")
"""Whom a contestant belongs to: our product; tools that encrypt; Ansible's own modules; tools for plain bytes; what the machine can do at most."""


class Sample(t.NamedTuple):
    """One run: seconds, CPU seconds, bytes of resident memory at most."""

    wall: float
    """From the start of the command until the files stand on the disk."""
    settling: float
    """What fsync took of that, for a tool that does none itself."""
    engine: float | None
    """Ours: without what is around the engine, such as Ansible or the start of Python."""
    client_cpu: float
    client_peak: int
    server_cpu: float
    server_peak: int


def sample(measured: Measured, engine: float | None = None) -> Sample:
    """A run as it is kept."""
    (client_cpu, client_peak), (server_cpu, server_peak) = measured.client, measured.server
    return Sample(measured.wall, measured.settling, engine, client_cpu, client_peak, server_cpu, server_peak)


@dataclass(frozen=True)
class Contestant:
    """One way to send files."""

    name: str
    group: str
    send: Callable[[Load], Sample]
    target: Path | None = None
    """The folder where the files land; none for a limit that sends nothing."""
    most: int = sys.maxsize
    """How many files it is given, of a load that has more: for those so slow that the rest would tell nothing new."""
    variant: bool = False
    """One of ours with a setting that is not the default: for the largest file only."""
    many: bool = True
    """Whether it takes part with many files."""
    arrived: Callable[[Load], None] | None = None
    """Looks whether all bytes are there, where they cannot simply be compared."""

    def takes(self, load: Load, largest: Load) -> bool:
        """Whether it takes part with this load, when ``largest`` is the largest single file."""
        return self.many and not self.variant if load.files > 1 else not self.variant or load == largest

    def share(self, load: Load) -> Load:
        """What it is given of a load."""
        return load.few(self.most)


class Entry(t.NamedTuple):
    """What is known of a contestant with a load in the end."""

    group: str
    files: int
    delivers: bool
    """Whether files arrive somewhere; not so for encryption alone, which does not get all of the bytes either."""
    samples: list[Sample]


Results = dict[str, Entry]
"""By the contestant's name."""


class Undelivered(Exception):
    """Not all bytes arrived."""


def durable(target: Path) -> Callable[[], None]:
    """The fsync that a tool left out: of each file that landed in ``target``, and of the folder."""

    def settle() -> None:
        for path in [*(path for path in target.iterdir() if path.is_file()), target]:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    return settle


def compare(load: Load, target: Path, *, thoroughly: bool) -> None:
    """Compare what landed with the sources: sizes, and digests too if it is to be thorough.

    :raises Undelivered: when something is missing or different.
    """
    for source in load.sources:
        landed = target / source.name
        if not landed.is_file() or landed.stat().st_size != load.size:
            raise Undelivered(f"{source.name} did not arrive whole")
        if thoroughly and sha256_of(landed) != source_digest(source):
            raise Undelivered(f"{source.name} arrived with other bytes")


def take_turn(contestant: Contestant, load: Load, ballast: Ballast, *, thoroughly: bool) -> Sample:
    """One contestant, once: its target empty before and after, nobody's bytes on their way to the disk, the source in memory, and memory for the rest.

    :raises Undelivered, Failed: when it did not deliver.
    """
    target = contestant.target
    if target is not None:
        clear(target)
        ballast.take(load.bytes + load.bytes // 4)
        os.sync()
        load.warm()
        ballast.drop()
    taken = contestant.send(load)
    if target is not None:
        if contestant.arrived is None:
            compare(load, target, thoroughly=thoroughly)
        elif sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) < load.bytes:
            raise Undelivered("not as many bytes arrived as were sent")
        elif thoroughly:
            contestant.arrived(load)
        clear(target)
        ballast.take(load.bytes + load.bytes // 4)  # out of what was just given back
    return taken


def clear(folder: Path) -> None:
    """Empty a folder, which is made if need be."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


class Contest:
    """All contestants with all loads.

    :param say: takes lines of progress
    """

    def __init__(self, contestants: Sequence[Contestant], loads: Sequence[Load], *, seed: int, say: Callable[[str], None]) -> None:
        self.loads = loads
        self.contestants = contestants
        self.results: dict[str, Results] = {load.name: {} for load in loads}
        self.failures: list[str] = []
        self._ballast = Ballast()
        self._seed = seed
        self._say = say
        self._largest = max((load for load in loads if load.files == 1), key=lambda load: load.size, default=loads[0])

    def round(self, number: int) -> None:
        """Let everyone have a turn with each load."""
        for load in self.loads:
            entered = [contestant for contestant in self.contestants if contestant.takes(load, self._largest)]
            random.Random(f"{self._seed} {number} {load.name}").shuffle(entered)
            for contestant in entered:
                self._turn(number, contestant, load)

    def _turn(self, number: int, contestant: Contestant, load: Load) -> None:
        share = contestant.share(load)
        entry = self.results[load.name].setdefault(contestant.name, Entry(contestant.group, share.files, contestant.target is not None, []))
        begun = time.monotonic()
        try:
            taken = take_turn(contestant, share, self._ballast, thoroughly=not entry.samples)
        except (Failed, Undelivered) as error:
            self.failures.append(f"{contestant.name}, {load.name}: {error}")
            self._say(f"round {number}  {load.name:24} {contestant.name:44} FAILED: {error}")
            return
        entry.samples.append(taken)
        self._say(f"round {number}  {load.name:24} {contestant.name:44} {taken.wall:8.2f} s  (turn {time.monotonic() - begun:.1f} s)")


class Spread(t.NamedTuple):
    """The middle and the ends of some figures."""

    median: float
    least: float
    most: float


def spread(values: Iterable[float]) -> Spread:
    """Median, least and most."""
    known = sorted(values)
    return Spread(statistics.median(known), known[0], known[-1])


def figure(entry: Entry, name: str) -> Spread:
    """The spread of one member of the samples; the engine's is the wall time where there is no engine."""
    taken = [getattr(one, name) for one in entry.samples]
    return spread(one.wall if value is None else value for value, one in zip(taken, entry.samples, strict=True))


def facts(results: dict[str, Results]) -> dict[str, t.Any]:
    """The results for JSON."""
    return {
        load: {name: {**entry._asdict(), "samples": [one._asdict() for one in entry.samples]} for name, entry in found.items()}
        for load, found in results.items()
    }
