# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""uvicorn's HTTP/1.1 connection, with bodies that go from the socket to where they are wanted.

An ASGI application is given a body in pieces, each copied several times and each a switch of tasks. Here the application offers
memory and the socket fills it: no parser, no copy and no switch in between. docs/service.md has the figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import typing as t

from httptools import HttpRequestParser
from starlette.requests import ClientDisconnect
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ..problems import Problem

BODY = "oracle_assembler.body"
"""The extension of the ASGI scope that holds the :class:`Body` of a request."""

_BLOCK = memoryview(bytearray(64 << 10))
"""Where all connections receive what the parser reads: heads, small bodies, the first bytes of large ones. It is copied at once."""

_HEAD_MAX = 64 << 10
_HEAD_SECONDS = 30
_DRAIN_SECONDS = 30
_FAREWELL_SECONDS = 3
"""How long a client has to answer that we close a connection by TLS. One that idles does not look, and asyncio would wait for 30 seconds."""
_MOMENT = 2
"""Milliseconds: about as long as going back to the event loop and coming again takes."""


class Body:
    """The body of one request, of a length that its head announced."""

    def __init__(self, connection: Connection, cycle: RequestResponseCycle, length: int) -> None:
        self._connection, self._cycle = connection, cycle
        self.left = length
        """Bytes that the connection has still to give."""
        self.bypasses = False
        """Whether its bytes no longer pass the parser."""

    async def fill(self, view: memoryview) -> None:
        """Fill all of ``view`` with what comes next.

        :raises Problem: ``length-wrong`` when the body ends before, ``stalled`` when no byte came for long.
        :raises ClientDisconnect: when the connection ends before.
        """
        parsed = self._cycle.body
        count = min(len(parsed), len(view))
        view[:count] = parsed[:count]
        del parsed[:count]
        view = view[count:]
        if len(view) > self.left:
            raise Problem("length-wrong", "the body ended before its part was complete")
        if view:
            self.bypasses = True
            await self._connection.fill(view)

    def took(self, count: int) -> None:
        """So many bytes came past the parser."""
        self.left -= count
        if count and not self.left:
            self._connection.on_message_complete()

    @contextlib.contextmanager
    def tap(self) -> t.Iterator[Tap | None]:
        """The socket, to be read from in a thread while :meth:`fill` is not awaited; none where it carries TLS.

        A descriptor of its own: the connection may be closed, and its number given away, while a thread is still reading.

        :raises ClientDisconnect: when the connection ended before.
        """
        if self._connection.transport.is_closing():
            raise ClientDisconnect
        if self._connection.scheme == "https":
            yield None
            return
        with self._connection.transport.get_extra_info("socket").dup() as duplicate:
            yield Tap(duplicate, self._cycle.body)


class Tap:
    """Takes from a socket what is there.

    :param parsed: what the parser has read of the body and nobody has taken yet; as long as there is any, it comes first
    """

    def __init__(self, source: socket.socket, parsed: bytes | bytearray = b"") -> None:
        self._source, self._parsed = source, parsed
        self._poll = select.poll()
        self._poll.register(source, select.POLLIN)

    def draw(self, view: memoryview) -> int:
        """Fill some of ``view``; 0 when no byte came for a moment.

        :raises ClientDisconnect: when none will.
        """
        if self._parsed:
            return 0
        try:
            return self._received(view)
        except BlockingIOError:
            return self._received(view) if self._poll.poll(_MOMENT) else 0

    def _received(self, view: memoryview) -> int:
        try:
            count = self._source.recv_into(view)
        except ConnectionError as error:
            raise ClientDisconnect from error
        if not count:
            raise ClientDisconnect
        return count


class Connection(asyncio.BufferedProtocol, HttpToolsProtocol):  # type: ignore[misc]  # both ignore the end of what is sent
    """A connection of one client.

    :param patience: seconds without a byte after which a body has stalled
    """

    def __init__(self, *args: t.Any, patience: float, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        self._patience = patience
        self._head_bytes = 0
        self._body: Body | None = None
        self._complete = True
        self._view: memoryview | None = None
        self._filled: asyncio.Future[None] | None = None
        self._moved = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None

    # What the event loop calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The first head is awaited."""
        super().connection_made(transport)
        self._close_in(_HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing comes any more."""
        super().connection_lost(exc)
        self._relieve()
        if self._filled and not self._filled.done():
            self._filled.set_exception(ClientDisconnect())
        self._view = None

    def get_buffer(self, sizehint: int) -> memoryview:  # pylint: disable=unused-argument
        """Where the next bytes go."""
        return _BLOCK if self._view is None else self._view

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes came."""
        if self._view is not None:
            self._moved = self.loop.time()
            self._view = self._view[nbytes:]
            if not self._view:
                self._settle()
            t.cast(Body, self._body).took(nbytes)
            return
        data = bytes(_BLOCK[:nbytes])
        if self._body and self._body.bypasses and self._body.left:
            data = self._unasked(self._body, data)
        if data:
            self._parse(data)

    def _unasked(self, body: Body, data: bytes) -> bytes:
        """Bytes of a body that nobody waits for: kept until somebody does, dropped after the answer. Returns what is no longer of the body."""
        own = data[: body.left]
        if not self.cycle.response_complete:
            self.cycle.body += own
            self.flow.pause_reading()
        body.took(len(own))
        return data[len(own) :]

    def _parse(self, data: bytes) -> None:
        if self._complete or self._body is None:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_MAX:
                self.send_400_response(f"The head of a request has at most {_HEAD_MAX} bytes")
                return
        self.data_received(data)

    # What the parser calls

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._body, self._complete = None, False
        self._close_in(_HEAD_SECONDS)

    def on_headers_complete(self) -> None:
        """The application takes over."""
        self._relieve()
        self._head_bytes = 0
        super().on_headers_complete()
        length = next((int(value) for name, value in self.headers if name == b"content-length"), 0)
        self._body = Body(self, self.cycle, length)
        t.cast("dict[str, t.Any]", self.scope)["extensions"] = {BODY: self._body}

    def on_body(self, body: bytes) -> None:
        """A piece of a body that the parser read."""
        if self._body:
            self._body.left -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole body was read; by the parser, or past it, and then the next request needs a parser that knows nothing of it."""
        super().on_message_complete()
        self._complete = True
        if self._body and self._body.bypasses:
            self.parser = HttpRequestParser(self)
        if self.cycle.response_complete:
            self._relieve()
            self._close_in(self.timeout_keep_alive)

    def on_response_complete(self) -> None:
        """The answer went out. What is left of the body is read and dropped for a while.

        A client that is still sending looks for the answer only afterwards; closing on it now would make it miss the answer.
        """
        super().on_response_complete()
        if not self._complete:
            self._unset_keepalive_if_required()
            self._close_in(_DRAIN_SECONDS)
        self._part()

    def shutdown(self) -> None:
        """The service stops: no further request on this connection."""
        super().shutdown()
        self._part()

    def _part(self) -> None:
        """Do not wait for long for a client that is to hang up."""
        if self.scheme == "https" and self.transport.is_closing():
            self.loop.call_later(_FAREWELL_SECONDS, self.transport.abort)

    # Bodies

    async def fill(self, view: memoryview) -> None:
        """See :meth:`Body.fill`; returns when the socket has filled ``view``."""
        if self.transport.is_closing():
            raise ClientDisconnect
        if self.cycle.waiting_for_100_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.cycle.waiting_for_100_continue = False
        self._view, self._filled, self._moved = view, self.loop.create_future(), self.loop.time()
        self._watch = self.loop.call_later(self._patience, self._look)
        self.flow.resume_reading()
        try:
            await self._filled
        finally:
            self._watch.cancel()
            self._settle()

    def _settle(self, error: Exception | None = None) -> None:
        """Nothing is wanted now, and the client waits until something is."""
        self._view = None
        if self._filled and not self._filled.done():
            if error:
                self._filled.set_exception(error)
            else:
                self._filled.set_result(None)
        if not self.transport.is_closing():
            self.flow.pause_reading()

    # Time

    def _look(self) -> None:
        """Has a byte come lately?"""
        rest = self._moved + self._patience - self.loop.time()
        if rest > 0:
            self._watch = self.loop.call_later(rest, self._look)
        else:
            self._settle(Problem("stalled", f"no byte of the body came for {self._patience:g} seconds"))

    def _close_in(self, seconds: float) -> None:
        self._relieve()
        self._deadline = self.loop.call_later(seconds, self.transport.close)

    def _relieve(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None


__all__ = ["BODY", "Body", "Connection"]
