"""What a command costs: wall time, and CPU time and peak memory of the two sides it makes work.

A side is a tree of processes. The client's grows from the command; the server's, and whatever else works for the client, was there before and is
named by the processes at its root. CPU time is exact, whatever the processes' lives. Memory is looked at twenty times a second.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import signal
import subprocess
import tempfile
import threading
import time
import typing as t
from pathlib import Path

from ..integration.conftest import peak_of

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
PR_SET_CHILD_SUBREAPER = 36
INTERVAL = 0.05
"""Seconds between two looks at the memory, after a few quick ones. A look takes half a millisecond: that stays below 1 % of a core."""

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Side(t.NamedTuple):
    """What one side used: CPU seconds, and the most bytes that were resident at a time, all its processes added up."""

    cpu: float
    peak: int


class Measured(t.NamedTuple):
    """A command that ended."""

    wall: float
    """Seconds from before its start until it had ended, and what settles it after it."""
    settling: float
    """Seconds of these that went into the settling, such as the fsync of what the command left in the page cache."""
    client: Side
    server: Side
    output: str
    """What it said on stdout."""


class Failed(Exception):
    """A command ended badly, or not in time."""


def children(pid: int) -> list[int]:
    """The child processes of a process; none when it is gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def tree(*roots: int) -> list[int]:
    """These processes and all below them."""
    found, todo = [], list(roots)
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children(pid)
    return found


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and of the children it has waited for; 0 when it is gone. A zombie still has its own."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS
    return 0.0


def resident(pid: int) -> int:
    """Resident bytes of a process; 0 when it is gone."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    return 0


def forget_peak(pid: int) -> None:
    """Let the peak of a process begin anew, where the kernel lets us."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


class Watch:
    """Looks at the trees below some processes while a command runs."""

    def __init__(self, *roots: int) -> None:
        self.roots = list(roots)
        self._cpu_before = self._cpu()
        self._peak = 0
        for pid in tree(*roots):
            forget_peak(pid)

    def follow_orphans(self, others: set[int]) -> None:
        """Take all children of this process for roots but the ``others``: the command itself, and what it left behind."""
        self.roots += [pid for pid in children(os.getpid()) if pid not in others and pid not in self.roots]

    def _cpu(self) -> float:
        return sum(map(cpu_of, tree(*self.roots)))

    def look(self) -> None:
        """Take the memory of the moment."""
        pids = tree(*self.roots)
        # Between two looks a process may peak unseen, but the kernel keeps the peak of each as long as it lives.
        self._peak = max([self._peak, sum(map(resident, pids)), *map(peak_of, pids)])

    def side(self, reaped: float = 0.0) -> Side:
        """What was used since the beginning; ``reaped`` are the CPU seconds of processes that were waited for already."""
        return Side(self._cpu() - self._cpu_before + reaped, self._peak)


def adopt_orphans() -> None:
    """Become the parent of what outlives its own, such as the master process of ssh connections: so it is seen, counted and ended."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def run(
    command: Sequence[str | Path],
    *,
    helpers: Sequence[int] = (),
    server: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
    stdin: str = "",
    settle: Callable[[], None] = lambda: None,
    timeout: float = 300,
) -> Measured:
    """Run a command that has to succeed, in a session of its own, and measure it. Nothing else may be started meanwhile.

    :param helpers: processes that were there before and work for the client's side
    :param server: processes at the root of the server's side
    :param settle: what is to be done when the command has ended and counts as its work: for the wall time, not for the CPU time
    :raises Failed: with the end of what it said.
    """
    adopt_orphans()
    near, far = Watch(*helpers), Watch(*server)
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        source.write(stdin.encode("utf-8", "surrogateescape"))
        source.seek(0)
        others = set(children(os.getpid()))
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdin=source, stdout=output, stderr=errors, env=environment, start_new_session=True)
        with _looking(near, far, others), _limited(process.pid, timeout):
            _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        ended = time.perf_counter()
        if process.returncode == 0:
            settle()
        settled = time.perf_counter()
        near.follow_orphans(others)
        client, service = near.side(usage.ru_utime + usage.ru_stime), far.side()
        _end_orphans(others)
        said, complaint = (_content(file) for file in (output, errors))
    if process.returncode != 0:
        words = " ".join(map(str, command))
        raise Failed(f"{words[:500]} ended with {process.returncode}:\n{said[-2000:]}\n{complaint[-2000:]}")
    return Measured(settled - begun, settled - ended, client, service, said)


@contextlib.contextmanager
def _looking(near: Watch, far: Watch, others: set[int]) -> t.Iterator[None]:
    """Look at both sides until the block is left."""
    over = threading.Event()

    def look() -> None:
        for pause in itertools.chain((0.002, 0.005, 0.01, 0.02), itertools.repeat(INTERVAL)):
            if over.wait(pause):
                return
            near.follow_orphans(others)
            near.look()
            far.look()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        far.look()  # the server still lives, and with it the peak that the kernel keeps


@contextlib.contextmanager
def _limited(group: int, seconds: float) -> t.Iterator[None]:
    """Kill a process group that takes longer, or that nobody waits for any more."""

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)

    timer = threading.Timer(seconds, kill)
    timer.start()
    try:
        yield
    except BaseException:
        kill()
        raise
    finally:
        timer.cancel()


def _end_orphans(others: set[int]) -> None:
    for pid in set(children(os.getpid())) - others:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)


def _content(file: t.IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


__all__ = ["Failed", "Measured", "Side", "adopt_orphans", "children", "cpu_of", "run", "tree"]
