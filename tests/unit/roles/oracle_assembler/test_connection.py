# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A connection, bytes by bytes: bodies past the parser, and what a client may do meanwhile."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
import os
import socket
import typing as t

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect
from uvicorn.server import ServerState

from oracle_assembler.problems import Problem
from oracle_assembler.uploads.pumping import pump
from oracle_assembler.uploads.threads import Threads
from oracle_assembler.web.connection import BODY, Body, Connection, Tap

App = t.Callable[[Body], t.Awaitable[bytes]]


class Wire(asyncio.Transport):
    """A client's end: keeps what is answered, and gives bytes only when they are wanted."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.answered = b""
        self.paused = self.closed = False
        self.connection: Connection | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.answered += bytes(data)

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    async def give(self, data: bytes, piece: int = 1 << 20) -> None:
        """Send, at most ``piece`` bytes at once, as the event loop would."""
        assert self.connection is not None
        while data:
            for _unused in range(1000):
                if not self.paused:
                    break
                await asyncio.sleep(0)
            assert not self.paused, "nothing is wanted any more"
            view = self.connection.get_buffer(-1)
            count = min(len(view), len(data), piece)
            view[:count] = data[:count]
            self.connection.buffer_updated(count)
            data = data[count:]
            await asyncio.sleep(0)


def connect(app: App, patience: float = 60) -> Wire:
    """A connection to a service that does ``app`` with each body and answers what it returns."""

    async def asgi(scope: t.Any, receive: t.Any, send: t.Any) -> None:
        try:
            content = await app(scope["extensions"][BODY])
        except Problem as problem:
            content = problem.name.encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(content))]})
        await send({"type": "http.response.body", "body": content})

    wire = Wire()
    config = uvicorn.Config(asgi, ws="none", lifespan="off", log_config=None, access_log=False)
    wire.connection = Connection(config=config, server_state=ServerState(), app_state={}, patience=patience)
    wire.connection.connection_made(wire)
    return wire


def put(length: int, *more: str) -> bytes:
    """The head of a request."""
    return "\r\n".join(["PUT /a HTTP/1.1", "Host: h", f"Content-Length: {length}", *more, "", ""]).encode()


async def until(wire: Wire, text: bytes, times: int = 1) -> None:
    """Wait for an answer, or several."""
    for _unused in range(2000):
        if wire.answered.count(text) >= times:
            return
        await asyncio.sleep(0.001)
    raise AssertionError(f"no {text!r} in {wire.answered!r}")


@settings(deadline=None)
@given(st.lists(st.integers(1, 200_000), min_size=1, max_size=4), st.integers(1, 150_000), st.booleans())
def test_bodies_arrive_as_they_were_sent_however_they_are_cut_one_after_the_other(sizes: list[int], piece: int, plain: bool) -> None:
    data, found = os.urandom(sum(sizes)), []
    piece = max(piece, len(data) // 1000)  # byte by byte only what is small: a million pieces show nothing that a thousand do not

    async def app(body: Body) -> bytes:
        for size in sizes:
            view = memoryview(bytearray(size))
            await body.fill(view)
            found.append(bytes(view))
        return b"all"

    async def work() -> None:
        wire = connect(app)
        await wire.give((put(len(data)) + data) * 2 if plain else put(len(data)) + data, piece)
        if not plain:
            await until(wire, b"all")
            await wire.give(put(len(data)) + data, piece)
        await until(wire, b"all", 2)

    asyncio.run(work())
    assert b"".join(found) == data * 2


def test_more_than_was_announced_is_never_waited_for() -> None:
    async def app(body: Body) -> bytes:
        await body.fill(memoryview(bytearray(11)))
        return b"no"

    async def work() -> None:
        wire = connect(app)
        await wire.give(put(10) + bytes(10))
        await until(wire, b"length-wrong")

    asyncio.run(work())


def test_a_body_that_stands_still_is_told_and_a_slow_one_is_not() -> None:
    async def app(body: Body) -> bytes:
        await body.fill(memoryview(bytearray(100_000)))
        return b"all"

    async def work() -> None:
        slow, still = connect(app, patience=0.2), connect(app, patience=0.2)
        await still.give(put(100_000) + bytes(70_000))
        await slow.give(put(100_000) + bytes(70_000))
        for _unused in range(6):
            await asyncio.sleep(0.08)
            await slow.give(bytes(5_000))
        await until(slow, b"all")
        await until(still, b"stalled")

    asyncio.run(work())


def test_what_is_left_of_a_body_is_dropped_after_the_answer_and_the_next_request_is_heard() -> None:
    async def app(body: Body) -> bytes:
        await body.fill(memoryview(bytearray(100_000)))
        return b"enough"

    async def work() -> None:
        wire = connect(app)
        await wire.give(put(300_000) + bytes(100_000))
        await until(wire, b"enough")
        await wire.give(bytes(200_000) + put(100_000) + bytes(100_000), 70_001)
        await until(wire, b"enough", 2)
        assert wire.answered.count(b"enough") == 2 and not wire.closed

    asyncio.run(work())


def test_a_client_that_leaves_ends_the_wait_and_the_memory_is_no_longer_written_to() -> None:
    ended: list[BaseException] = []

    async def app(body: Body) -> bytes:
        try:
            await body.fill(memoryview(bytearray(100_000)))
        except ClientDisconnect as error:
            ended.append(error)
        return b""

    async def work() -> None:
        wire = connect(app)
        await wire.give(put(100_000) + bytes(80_000))
        assert wire.connection is not None
        wire.connection.connection_lost(None)
        await asyncio.sleep(0.01)
        assert ended and len(wire.connection.get_buffer(-1)) != 20_000

    asyncio.run(work())


def test_a_request_that_is_taken_away_gives_its_memory_back_at_once() -> None:
    memory, tasks = bytearray(100_000), []

    async def app(body: Body) -> bytes:
        task = asyncio.ensure_future(body.fill(memoryview(memory)))
        tasks.append(task)
        try:
            await task
        except asyncio.CancelledError:
            return b"gone"
        return b"all"

    async def work() -> None:
        wire = connect(app)
        await wire.give(put(100_000) + bytes(70_000))
        tasks[0].cancel()
        await until(wire, b"gone")
        memory[:] = bytes(len(memory))
        await wire.give(b"x" * 30_000)
        assert bytes(memory) == bytes(len(memory))

    asyncio.run(work())


def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    async def app(body: Body) -> bytes:
        await body.fill(memoryview(bytearray(100)))
        return b"all"

    async def work() -> None:
        wire = connect(app)
        await wire.give(put(100, "Expect: 100-continue"))
        await until(wire, b"100 Continue\r\n\r\n")
        await wire.give(bytes(100))
        await until(wire, b"all")

    asyncio.run(work())


def test_a_head_without_end_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async def app(body: Body) -> bytes:
        return b"no"

    async def work() -> Wire:
        wire = connect(app)
        await wire.give(b"GET / HTTP/1.1\r\n")
        for _unused in range(80):
            if wire.closed:
                break
            await wire.give(b"X-Filler: " + b"x" * 1000 + b"\r\n")
        return wire

    with caplog.at_level(logging.CRITICAL):
        wire = asyncio.run(work())
    assert wire.closed and wire.answered.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("sent", [b"", b"GET / HT", put(10) + bytes(3)])
def test_a_client_that_owes_us_something_is_not_waited_for_for_ever(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oracle_assembler.web.connection._HEAD_SECONDS", 0.05)
    monkeypatch.setattr("oracle_assembler.web.connection._DRAIN_SECONDS", 0.05)

    async def app(body: Body) -> bytes:
        return b"early"

    async def work() -> None:
        wire = connect(app)
        await wire.give(sent)
        for _unused in range(200):
            if wire.closed:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("still open")

    asyncio.run(work())


def test_a_thread_draws_from_the_socket_what_the_body_has_and_no_byte_of_the_next_request() -> None:
    """Over a real connection, with two requests sent in one go."""
    first, second = bytes(range(256)) * 4096, b"second"
    sizes = [[5, 100_000, len(first) - 100_005], [len(second)]]

    class Hashing:
        """A sink."""

        def __init__(self) -> None:
            self.digest = hashlib.sha256()
            self.take = self.digest.update

        def commit(self) -> str:
            """All of it."""
            return self.digest.hexdigest()

        def close(self) -> None:
            """There is nothing to close."""

    async def app(body: Body) -> bytes:
        sink = Hashing()
        await pump(Threads(), sink, sizes.pop(0), body)
        return sink.commit().encode()

    async def asgi(scope: t.Any, receive: t.Any, send: t.Any) -> None:
        content = await app(scope["extensions"][BODY])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(content))]})
        await send({"type": "http.response.body", "body": content})

    async def work() -> bytes:
        config = uvicorn.Config(asgi, ws="none", lifespan="off", log_config=None, access_log=False)
        make = functools.partial(Connection, config=config, server_state=ServerState(), app_state={}, patience=60)
        server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        writer.write(put(len(first)) + first + put(len(second)) + second)
        answered = b""
        while answered.count(b"HTTP/1.1 200") < 2 or not answered.endswith(hashlib.sha256(second).hexdigest().encode()):
            answered += await asyncio.wait_for(reader.read(65536), 10)
        writer.close()
        server.close()
        return answered

    assert hashlib.sha256(first).hexdigest().encode() in asyncio.run(work())


def test_there_is_no_tap_on_a_connection_that_ended() -> None:
    async def app(body: Body) -> bytes:
        wire.closed = True
        with pytest.raises(ClientDisconnect), body.tap():
            raise AssertionError("there was one")
        wire.closed = False
        return b"told"

    async def work() -> None:
        nonlocal wire
        wire = connect(app)
        await wire.give(put(10))
        await until(wire, b"told")

    wire: Wire
    asyncio.run(work())


def test_who_draws_from_a_connection_that_ended_is_told_and_who_draws_too_early_gets_nothing() -> None:
    here, there = socket.socketpair()
    here.setblocking(False)
    tap, view = Tap(here), memoryview(bytearray(10))
    assert tap.draw(view) == 0
    there.sendall(b"12345")
    assert (tap.draw(view), bytes(view[:5])) == (5, b"12345")
    there.close()
    with pytest.raises(ClientDisconnect):
        tap.draw(view)
