# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Tells systemd how the service is, as sd_notify(3) and sd_watchdog_enabled(3) describe it. Where there is no systemd, nobody is told."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import typing as t

READY = "READY=1"
STOPPING = "STOPPING=1"
_ALIVE = "WATCHDOG=1"
_log = logging.getLogger(__name__)


def notify(state: str, environment: t.Mapping[str, str] | None = None) -> None:
    """Send a state. That it cannot be sent stops nothing: systemd then acts on what it knows."""
    environment = os.environ if environment is None else environment
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # a name in the kernel rather than a file
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to_systemd:
            to_systemd.connect(address)
            to_systemd.send(state.encode())
    except OSError as error:
        _log.warning("cannot tell systemd", extra={"state": state, "reason": error.strerror})


async def feed_watchdog(environment: t.Mapping[str, str] | None = None) -> None:
    """Say again and again that the event loop turns, at half the interval after which systemd would end us."""
    environment = os.environ if environment is None else environment
    patience = int(environment.get("WATCHDOG_USEC", "0")) / 1e6
    if not patience or environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return
    while True:
        notify(_ALIVE, environment)
        await asyncio.sleep(patience / 2)


__all__ = ["READY", "STOPPING", "feed_watchdog", "notify"]
