"""Networks of the bench's own: hosts that are network namespaces, and a link between two of them with a rate.

Each namespace lives as long as processes are in it. The one that holds it ends with its standard input, so with the bench,
however that ends: there is no name to be removed. Needs root, unshare and nsenter (util-linux), ip and tc (iproute2).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import typing as t
from pathlib import Path

CLONE_NEWNET = 0x40000000
WIRE = "wire"
"""The name of the device at either end of a link."""
BURST = 128 << 10
"""Bytes that tbf lets pass at once after a rest; more than one packet as the kernel hands it over (64 KiB)."""
QUEUE = "50ms"
"""How long a packet may wait in tbf before one is dropped."""


def obstacle() -> str | None:
    """Why no network can be made here; None when one can."""
    missing = [tool for tool in ("unshare", "nsenter", "ip", "tc") if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} not installed"
    return None if os.geteuid() == 0 else "needs root"


class Host:
    """A network namespace with a loopback of its own."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        if not t.cast(t.IO[bytes], self._holder.stdout).readline():
            raise OSError("no network namespace can be made here")
        self.pid = self._holder.pid

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_error: object) -> None:
        self._holder.communicate()

    def call(self, *words: str) -> None:
        """Run a command on this host; its errors are ours."""
        subprocess.run(["nsenter", f"--net=/proc/{self.pid}/ns/net", *words], check=True)

    @contextlib.contextmanager
    def entered(self) -> t.Iterator[None]:
        """Whatever this thread connects to or starts in here, is on this host."""
        with open("/proc/thread-self/ns/net", "rb") as before, open(f"/proc/{self.pid}/ns/net", "rb") as here:
            _enter(here.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def sent(self, device: str) -> int:
        """Bytes that left by a device, with their headers."""
        for line in Path(f"/proc/{self.pid}/net/dev").read_text().splitlines():
            name, _colon, counts = line.partition(":")
            if name.strip() == device:
                return int(counts.split()[8])
        raise LookupError(device)


def _enter(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class Link(t.NamedTuple):
    """Two hosts and the wire between them."""

    sender: Host
    receiver: Host
    address: str
    """The receiver's."""


@contextlib.contextmanager
def link(rate: int) -> t.Iterator[Link]:
    """A wire that carries ``rate`` bits a second from the sender, headers counted, and any rate back."""
    with Host() as sender, Host() as receiver:
        ends = ["netns", str(sender.pid), "type", "veth", "peer", "name", WIRE, "netns", str(receiver.pid)]
        subprocess.run(["ip", "link", "add", WIRE, *ends], check=True)
        for host, address in ((sender, "10.0.0.1"), (receiver, "10.0.0.2")):
            host.call("ip", "address", "add", f"{address}/30", "dev", WIRE)
            host.call("ip", "link", "set", WIRE, "up")
        sender.call("tc", "qdisc", "add", "dev", WIRE, "root", "tbf", "rate", f"{rate}bit", "burst", str(BURST), "latency", QUEUE)
        yield Link(sender, receiver, "10.0.0.2")
