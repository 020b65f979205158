"""A slow link is filled, also a long one; and a rate limit is kept.

The file is sparse: sealed, its bytes are as good as random on the way, and the service writes them all.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import typing as t
from pathlib import Path

from ...integration.conftest import Service, free_port
from .. import ours, servers
from ..claims import Claim
from . import Findings, MiB, delay, network

RATE = 200_000_000
"""Bits a second of the link, as tbf counts: of 1514 bytes of a frame 1448 are TCP's, so 95.6 % is the most that can be had."""
SIZE, SMOKE_SIZE = 1024 * MiB, 32 * MiB
"""45 seconds of the link: logging in and stitching are to count, but not to decide."""
FILLED = 92.0
"""Per cent of the link's rate that are the file's own bytes, from the engine's first line to the receipt."""
ONE_WAY = 0.05
"""Seconds that the long way takes in each direction."""
ROOM = int(2 * RATE / 8 * 2 * ONE_WAY)
"""Bytes under way in one direction of a connection through the proxy: twice bandwidth times round trip."""
LIMITS = (20_000_000, 100_000_000)
"""Bytes a second for the option rate_limit."""
SECONDS, SMOKE_SECONDS = 12, 1
"""How long the limited uploads take."""
DEVIATION = 5.0
"""Per cent."""
INTERVAL = 0.02
"""Seconds between two looks at a counter."""


def findings(folder: Path, *, smoke: bool = False) -> Findings:
    """Fill links and keep to limits; nothing where no network can be made. Takes two and a half minutes, small sizes a quarter of one."""
    obstacle = network.obstacle()
    if obstacle is not None:
        return Findings([], {"not measured": obstacle})
    size = SMOKE_SIZE if smoke else SIZE
    seconds = SMOKE_SECONDS if smoke else SECONDS
    short = over_link(folder / "short", size, delayed=False)
    long = over_link(folder / "long", size, delayed=True)
    limited = {limit: under_limit(folder / f"limit-{limit}", limit * seconds, limit) for limit in LIMITS}
    claims = [
        Claim("a link of 200 Mbit/s is filled", 100 * short["rate"] / RATE, "%", at_least=FILLED),
        Claim("a link of 200 Mbit/s with a round trip of 100 ms is filled", 100 * long["rate"] / RATE, "%", at_least=FILLED),
        *(
            Claim(f"rate_limit of {limit / 1e6:.0f} MB/s: deviation", 100 * abs(rate / limit - 1), "%", at_most=DEVIATION)
            for limit, rate in limited.items()
        ),
    ]
    return Findings(claims, {"link": RATE, "short": short, "long": long, "limited": {str(limit): rate for limit, rate in limited.items()}})


def over_link(folder: Path, size: int, *, delayed: bool) -> dict[str, float]:
    """Upload ``size`` bytes over the link with the module's own defaults: seconds, and the file's bits in a second of them.

    The rate while sending is the kernel's count, without most headers: it tells what the rest costs, such as logging in and stitching.
    """
    with network.link(RATE) as link, contextlib.ExitStack() as stack:
        with link.receiver.entered():
            running = stack.enter_context(ours.service(folder / "service", ours.tls(folder / "tls"), listen="0.0.0.0"))
            options = ours.connection(running)
            port = stack.enter_context(long_way(folder, running.port)).port if delayed else running.port
        # The certificate is for loopback, and what it takes to check it is not what is measured.
        options |= {"endpoint": f"https://{link.address}:{port}", "validate_certs": False}
        with link.sender.entered(), Meter(lambda: link.sender.sent(network.WIRE)) as meter:
            run = upload(folder, running, size, options)
    return {"bytes": size, "seconds": run.seconds, "rate": 8 * size / run.seconds, "rate while sending": 8 * meter.rate()}


def long_way(folder: Path, far: int) -> contextlib.AbstractContextManager[servers.Server]:
    """A proxy that delays all that is said with the port ``far`` of its loopback."""
    near = free_port()
    command = [sys.executable, "-m", delay.__name__, f"0.0.0.0:{near}", f"127.0.0.1:{far}", str(ONE_WAY), str(ROOM)]
    return servers.running(command, near, folder / "proxy.log")


def under_limit(folder: Path, size: int, limit: int) -> float:
    """Bytes a second on a loopback of its own while ``size`` bytes go up under a limit: the kernel's count, acknowledgements and all."""
    with network.Host() as host, host.entered():
        certificate = ours.tls(folder / "tls")
        with ours.service(folder / "service", certificate) as running, Meter(lambda: host.sent("lo")) as meter:
            upload(folder, running, size, {**ours.connection(running, certificate), "rate_limit": str(limit)})
    return meter.rate()


def upload(folder: Path, running: Service, size: int, options: dict[str, t.Any]) -> ours.EngineRun:
    """Upload ``size`` zeros, which are gone afterwards on both sides."""
    source = folder / "zeros"
    with source.open("wb") as file:
        file.truncate(size)
    run = ours.engine_run(running, [{**options, "src": str(source)}], journal=folder / "state" / "journal.db")
    source.unlink()
    (running.root / source.name).unlink()
    return run


class Meter:
    """Looks at a counter all the time."""

    def __init__(self, count: t.Callable[[], int]) -> None:
        self._count = count
        self._seen: list[tuple[float, int]] = []
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look)

    def __enter__(self) -> Meter:
        self._looking.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._looking.join()

    def _look(self) -> None:
        while not self._over.wait(INTERVAL):
            self._seen.append((time.perf_counter(), self._count()))

    def rate(self) -> float:
        """Counts a second from the tenth to the ninetieth per cent: neither beginning nor end."""
        first, last = self._seen[0][1], self._seen[-1][1]
        middle = [seen for seen in self._seen if 0.1 <= (seen[1] - first) / (last - first) <= 0.9]
        return (middle[-1][1] - middle[0][1]) / (middle[-1][0] - middle[0][0])
