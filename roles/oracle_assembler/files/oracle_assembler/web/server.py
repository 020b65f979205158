# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Runs the application on granian, in this very process.

One process: nothing is left over that holds the port when it is killed, and there is no second interpreter to pay for.
"""

from __future__ import annotations

import asyncio
import logging
import pathlib
import signal
import socket
import typing as t

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from ..process import leave
from .app import create_app

if t.TYPE_CHECKING:
    from ..config import Config
    from ..keys import Keys

_log = logging.getLogger(__name__)
_BACKLOG = 1024
_CONNECTIONS_MAX = 16_384
_TO_OUR_LOG = {"handlers": {}, "loggers": {"_granian": {"propagate": True}, "granian.access": {"propagate": False}}}


class NotStarted(Exception):
    """The service did not start; the log says why."""


def _path(text: str | None) -> pathlib.Path | None:
    return pathlib.Path(text) if text else None


async def serve(config: Config, keys: Keys) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests under way, for at most ``shutdown_timeout`` seconds."""
    _refuse_shared_port(config)
    app = create_app(config, keys)
    server = Server(
        app,
        address=config.listen,
        port=config.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(max_buffer_size=1 << 18),  # more is hardly faster, and each connection pays for it
        websockets=False,
        backlog=_BACKLOG,
        backpressure=_CONNECTIONS_MAX,
        log_level=LogLevels.error,
        log_dictconfig=_TO_OUR_LOG,
        ssl_cert=_path(config.tls_certificate),
        ssl_key=_path(config.tls_key),
        ssl_protocol_min=SSLProtocols.tls12,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _begin_to_end, server, config.shutdown_timeout)
    await server.serve()
    if not app.state.started:
        raise NotStarted("the service did not start, its log says why")


def _refuse_shared_port(config: Config) -> None:
    """granian listens with SO_REUSEPORT: a second service on the port would quietly get half of the requests.

    :raises NotStarted: when somebody listens there.
    """
    family = socket.AF_INET6 if ":" in config.listen else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that are only fading away do not count
        try:
            probe.bind((config.listen, config.port))
        except OSError as error:
            raise NotStarted(f"cannot listen on {config.listen} port {config.port}: {error.strerror}") from error


def _begin_to_end(server: Server, timeout: float) -> None:
    _log.info("stopping")
    asyncio.get_running_loop().call_later(timeout, _give_up)
    server.stop()  # type: ignore[no-untyped-call]


def _give_up() -> None:
    """A crash like any other: what was acknowledged is on the disk."""
    _log.warning("requests did not finish in time, stopping without them")
    leave()


__all__ = ["NotStarted", "serve"]
