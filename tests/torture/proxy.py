"""Stands between client and service and does to their bytes what networks do.

Two ways. On the *wire* it knows nothing of HTTP, so TLS may pass through it: faults strike at a byte of a connection. As a *web* proxy
it reads heads, and may end TLS with a certificate of its own: faults strike at a request. What strikes where is decided before by a
seed, see plan.py; each fault strikes once, or as often as it says, and after `calm` none does.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import socket
import ssl
import struct
import threading
import typing as t
from pathlib import Path

BLOCK = 64 << 10
DRIP = 1024
"""Bytes a second of a trickle."""
DRIP_SECONDS = 3.0
STILL = 4.0
"""Seconds of a stall: more than the client's timeout in these tests, and than the service's for bodies."""

ROUTES = (
    ("token", "POST", r"/v1/token"),
    ("server", "GET", r"/v1/server"),
    ("look", "HEAD", r"/v1/files/.*"),
    ("file", "PUT", r"/v1/files/.*"),
    ("begin", "POST", r"/v1/uploads"),
    ("list", "GET", r"/v1/uploads(\?.*)?"),
    ("state", "GET", r"/v1/uploads/[0-9a-f]+"),
    ("part", "PUT", r"/v1/uploads/[0-9a-f]+/parts/[0-9]+"),
    ("stitch", "POST", r"/v1/uploads/[0-9a-f]+/stitch"),
    ("abort", "DELETE", r"/v1/uploads/[0-9a-f]+"),
)

PAGE = b"<!DOCTYPE html><html><head><title>Hotel Bellevue WLAN</title></head><body>Please accept our terms</body></html>"


class Broken(Exception):
    """The connection is over, as the fault wants it."""


@dataclasses.dataclass
class Fault:
    """What happens, and where: at the ``nth`` request of a route, or the ``nth`` connection (route ``up`` or ``down``).

    :param where: how far into the body, 0 to 1; on the wire the byte of the connection
    :param times: how many in a row it strikes
    """

    kind: str
    route: str
    nth: int
    where: float = 0.0
    times: int = 1


class Head(t.NamedTuple):
    """The head of a request or an answer."""

    first: bytes
    fields: list[tuple[bytes, bytes]]

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> Head:
        """The next one.

        :raises Broken: when there is none.
        """
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
            raise Broken from error
        first, *lines = raw[:-4].split(b"\r\n")
        return cls(first, [t.cast("tuple[bytes, bytes]", tuple(line.split(b": ", 1))) for line in lines])

    def get(self, name: bytes) -> bytes:
        """A field, empty when it is not there."""
        return next((value for key, value in self.fields if key.lower() == name), b"")

    def replaced(self, name: bytes, value: bytes) -> Head:
        """The same with another value in a field that is there."""
        return self._replace(fields=[(key, value if key.lower() == name else old) for key, old in self.fields])

    def raw(self) -> bytes:
        """As it travels."""
        return b"\r\n".join([self.first, *(b": ".join(field) for field in self.fields)]) + b"\r\n\r\n"

    @property
    def length(self) -> int:
        """Of the body."""
        return int(self.get(b"content-length") or 0)

    @property
    def route(self) -> str:
        """Which call of the protocol it is."""
        method, target, _version = self.first.decode("latin-1").split(" ")
        return next((name for name, verb, pattern in ROUTES if verb == method and re.fullmatch(pattern, target)), "other")


class Link(t.NamedTuple):
    """Both ends of one connection through the proxy."""

    client_in: asyncio.StreamReader
    client_out: asyncio.StreamWriter
    service_in: asyncio.StreamReader
    service_out: asyncio.StreamWriter

    def cut(self) -> None:
        """Reset both: RST and no FIN."""
        for writer in (self.client_out, self.service_out):
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            t.cast(asyncio.Transport, writer.transport).abort()


class Proxy:
    """A proxy on a port of its own, in a thread.

    :param certificate: PEM with certificate and key: clients speak TLS with the proxy
    :param wire: pass bytes on, whatever they are
    :param expired: a token that the service gives no more credit to, for faults of that kind
    """

    def __init__(
        self, port: int, faults: t.Sequence[Fault] = (), *, certificate: Path | None = None, wire: bool = False, expired: str = ""
    ) -> None:
        self.faults = list(faults)
        self.struck: list[str] = []
        self._port, self._wire, self._expired = port, wire, expired
        self._counts: dict[str, int] = {}
        self._context = None
        if certificate:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait(10)

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(lambda *unused: None)  # connections that end in the middle are what this is about
        listening = asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context, limit=1 << 20)
        self._server = self._loop.run_until_complete(listening)
        self.port = int(self._server.sockets[0].getsockname()[1])
        ready.set()
        self._loop.run_forever()

    def calm(self) -> None:
        """No faults from here on."""
        self.faults = []

    def close(self) -> None:
        """End it with all its connections."""

        async def end() -> None:
            self._server.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _strikes(self, route: str) -> Fault | None:
        """The fault for the next request, or connection, of that route."""
        number = self._counts[route] = self._counts.get(route, 0) + 1
        for fault in self.faults:
            if fault.route == route and fault.nth <= number < fault.nth + fault.times:
                self.struck.append(fault.kind)
                return fault
        return None

    async def _serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        service_out = None
        try:
            service_in, service_out = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
            link = Link(client_in, client_out, service_in, service_out)
            await (self._pass_wire(link) if self._wire else self._pass_web(link))
        except (Broken, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for writer in (client_out, service_out):
                if writer:
                    writer.close()

    # Below HTTP

    async def _pass_wire(self, link: Link) -> None:
        up = self._pump(link, link.client_in, link.service_out, self._strikes("up"))
        down = self._pump(link, link.service_in, link.client_out, self._strikes("down"))
        tasks = [asyncio.ensure_future(up), asyncio.ensure_future(down)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _pump(self, link: Link, source: asyncio.StreamReader, sink: asyncio.StreamWriter, fault: Fault | None) -> None:
        done = 0
        while data := await source.read(BLOCK):
            if fault and done <= fault.where < done + len(data):
                data = await self._struck(link, sink, fault.kind, data, int(fault.where) - done)
            done += len(data)
            sink.write(data)
            await sink.drain()
        with contextlib.suppress(OSError, RuntimeError):
            sink.write_eof()

    async def _struck(self, link: Link, sink: asyncio.StreamWriter, kind: str, data: bytes, at: int) -> bytes:
        """Let a fault have these bytes, of which it wants the one at ``at``; what is to be passed on of them."""
        if kind == "corrupt":
            return data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :]
        sink.write(data[:at])
        await sink.drain()
        if kind == "reset":
            link.cut()
            raise Broken
        if kind == "half-close":
            with contextlib.suppress(OSError, NotImplementedError, RuntimeError):
                sink.write_eof()
            await asyncio.sleep(STILL)
            raise Broken
        rest = data[at:]
        if kind == "stall":
            await asyncio.sleep(STILL)
        if kind == "trickle":
            for _drip in range(int(DRIP_SECONDS * 4)):
                sink.write(rest[: DRIP // 4])
                await sink.drain()
                rest = rest[DRIP // 4 :]
                await asyncio.sleep(0.25)
        return rest

    # HTTP

    async def _pass_web(self, link: Link) -> None:
        while True:
            head = await Head.read(link.client_in)
            fault = self._strikes(head.route)
            kind = fault.kind if fault else ""
            if re.fullmatch("[1-5][0-9][0-9]|page", kind):
                await link.client_in.readexactly(head.length)
                await self._answer(link, kind, with_body=not head.first.startswith(b"HEAD"))
                continue
            if kind == "token-expired":
                head = head.replaced(b"authorization", b"Bearer " + self._expired.encode())
            if kind == "duplicate":
                body = await link.client_in.readexactly(head.length)
                link.service_out.write(head.raw() + body)
                await self._answered(link, head)
                link.service_out.write(head.raw() + body)
            else:
                link.service_out.write(head.raw())
                await self._body(link, link.client_in, link.service_out, head.length, fault if kind in BODY else None)
            answer, body = await self._answered(link, head)
            if kind == "answer-lost":
                link.cut()
                raise Broken
            if kind == "answer-late":
                await asyncio.sleep(STILL)
            raw = answer.raw() + body
            if kind in ANSWER and fault:
                at = min(int(fault.where * len(raw)), len(raw) - 1)
                raw = await self._struck(link, link.client_out, kind.removeprefix("answer-"), raw, at)
            link.client_out.write(raw)
            await link.client_out.drain()

    async def _body(self, link: Link, source: asyncio.StreamReader, sink: asyncio.StreamWriter, length: int, fault: Fault | None) -> None:
        at, done = (min(int(fault.where * length), length - 1) if fault and length else -1), 0
        while done < length:
            data = await source.read(min(BLOCK, length - done))
            if not data:
                raise Broken
            count = len(data)
            if fault and done <= at < done + count:
                data = await self._struck(link, sink, fault.kind, data, at - done)
            done += count
            sink.write(data)
            await sink.drain()

    async def _answered(self, link: Link, asked: Head) -> tuple[Head, bytes]:
        answer = await Head.read(link.service_in)
        bare = asked.first.startswith(b"HEAD") or b" 204 " in answer.first
        return answer, b"" if bare else await link.service_in.readexactly(answer.length)

    async def _answer(self, link: Link, kind: str, *, with_body: bool) -> None:
        """An answer that is not the service's."""
        status = 200 if kind == "page" else int(kind)
        more = {302: b"Location: http://login.example/\r\n", 429: b"Retry-After: 1\r\n", 503: b"Retry-After: 1\r\n"}.get(status, b"")
        head = f"HTTP/1.1 {status} Something\r\nContent-Type: text/html\r\nContent-Length: {len(PAGE)}\r\n".encode() + more
        link.client_out.write(head + b"\r\n" + (PAGE if with_body else b""))
        await link.client_out.drain()


BODY = ("reset", "half-close", "stall", "trickle", "corrupt")
"""Faults of a request's body."""
ANSWER = ("answer-half-close", "answer-trickle", "answer-corrupt", "answer-reset")
"""Faults of an answer on its way back, besides those that it never leaves the service's side with."""
STATUSES = ("429", "500", "502", "503", "504", "302", "404", "page")
"""Answers of somebody in between."""
