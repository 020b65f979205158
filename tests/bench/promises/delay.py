"""A TCP proxy that makes a way long: bytes leave it some time after they came, in both directions.

Where the kernel has no netem this is what remains. It delays what is said, so each question and answer costs a round trip,
opening a connection too. It does not lengthen TCP's own loop: acknowledgements come from the proxy, at once.

Run it as a process: ``delay.py ADDRESS:PORT TARGET:PORT SECONDS BYTES``, with the delay and the room of a :class:`Line`.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

BLOCK = 1 << 16
"""Bytes that are read at a time, at most."""


class Line:
    """One direction of a connection.

    :param delay: seconds between a byte's coming and its leaving
    :param room: bytes that may be under way; beyond that the sender waits. Twice delay times rate keeps a link full.
    """

    def __init__(self, delay: float, room: int) -> None:
        self._delay = delay
        self._room = room
        self._held = 0
        self._under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self._left = asyncio.Event()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on all that comes, and in the end that nothing more will come."""
        await asyncio.gather(self._take(reader), self._give(writer))

    async def _take(self, reader: asyncio.StreamReader) -> None:
        more = True
        while more:
            data = await reader.read(BLOCK)
            self._under_way.put_nowait((asyncio.get_running_loop().time() + self._delay, data))
            self._held += len(data)
            more = bool(data)
            while self._held > self._room:
                self._left.clear()
                await self._left.wait()

    async def _give(self, writer: asyncio.StreamWriter) -> None:
        while True:
            due, data = await self._under_way.get()
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            if not data:
                break
            writer.write(data)
            await writer.drain()
            self._held -= len(data)
            self._left.set()
        writer.write_eof()


async def serve(listen: tuple[str, int], target: tuple[str, int], *, delay: float, room: int) -> None:
    """Carry each connection that comes to ``listen`` on to ``target``, until cancelled."""

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2 * delay)  # what the handshake would have taken
        far_reader, far_writer = await asyncio.open_connection(*target)
        there, back = Line(delay, room), Line(delay, room)
        with contextlib.closing(writer), contextlib.closing(far_writer), contextlib.suppress(OSError):
            await asyncio.gather(there.carry(reader, far_writer), back.carry(far_reader, writer))

    server = await asyncio.start_server(connect, *listen)
    async with server:
        await server.serve_forever()


def _address(text: str) -> tuple[str, int]:
    host, _colon, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    near, far, seconds, under_way = sys.argv[1:]
    asyncio.run(serve(_address(near), _address(far), delay=float(seconds), room=int(under_way)))
