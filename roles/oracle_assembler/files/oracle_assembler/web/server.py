# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Runs the application on uvicorn, in this very process.

One process: nothing is left over that holds the port when it is killed, and there is no second interpreter to pay for.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import signal
import socket
import typing as t

import uvicorn

from ..process import leave
from ..systemd import READY, STOPPING, feed_watchdog, notify
from .app import create_app
from .connection import Connection
from .tls import Tls

if t.TYPE_CHECKING:
    from ..config import Config
    from ..keys import Keys

_log = logging.getLogger(__name__)
_BACKLOG = 1024
_CONNECTIONS_MAX = 16_384
_KEEP_ALIVE = 60
"""Seconds that a connection may wait for its next request."""


class NotStarted(Exception):
    """The service did not start; the log says why."""


class _Server(uvicorn.Server):
    """Leaves the signals to us: uvicorn's own way ends the process with the signal that asked for a graceful end."""

    @contextlib.contextmanager
    def capture_signals(self) -> t.Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        notify(READY)


async def serve(config: Config, keys: Keys) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests under way, for at most ``shutdown_timeout`` seconds.

    SIGHUP reads certificate and key anew, for the connections to come.

    :raises NotStarted: when somebody else listens there, or what was begun before cannot be taken up.
    """
    listener = _listener(config)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    server = _Server(
        uvicorn.Config(
            create_app(config, keys),
            http=t.cast("type[asyncio.Protocol]", functools.partial(Connection, patience=config.body_timeout)),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS_MAX,
            timeout_keep_alive=_KEEP_ALIVE,
            backlog=_BACKLOG,
        )
    )
    server.config.load()
    tls = Tls(config.tls_certificate, config.tls_key) if config.tls_certificate and config.tls_key else None
    server.config.ssl = tls.context if tls else None
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, tls.reload if tls else _reload_nothing)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _begin_to_end, server, config.shutdown_timeout)
    watchdog = asyncio.create_task(feed_watchdog())
    try:
        await server.serve([listener])
    except SystemExit as error:
        raise NotStarted("the service did not start, its log says why") from error
    finally:
        watchdog.cancel()


def _listener(config: Config) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.listen else socket.AF_INET
    try:
        listener = socket.create_server((config.listen, config.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise NotStarted(f"cannot listen on {config.listen} port {config.port}: {error.strerror}") from error
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else an answer behind TLS tickets waits 40 ms for their ACK
    return listener


def _reload_nothing() -> None:
    _log.info("nothing to reload: there is no certificate")


def _begin_to_end(server: uvicorn.Server, timeout: float) -> None:
    _log.info("stopping")
    notify(STOPPING)
    asyncio.get_running_loop().call_later(timeout, _give_up)
    server.should_exit = True


def _give_up() -> None:
    """A crash like any other: what was acknowledged is on the disk."""
    _log.warning("requests did not finish in time, stopping without them")
    leave()


__all__ = ["NotStarted", "serve"]
