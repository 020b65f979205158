# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What systemd is told, seen from systemd's end of the socket."""

from __future__ import annotations

import asyncio
import os
import pathlib
import secrets
import socket
import typing as t

import pytest
from doubles import Service

from oracle_assembler.systemd import READY, STOPPING, feed_watchdog, notify


class Systemd:
    """Its end: a socket that takes what it is told."""

    def __init__(self, address: str) -> None:
        self.environment = {"NOTIFY_SOCKET": address}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(20)

    def hears(self) -> str:
        """The next that it is told."""
        return self._socket.recv(4096).decode()

    def close(self) -> None:
        """No longer there."""
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> t.Iterator[Systemd]:
    """With an address of either kind."""
    made = Systemd(str(tmp_path / "notify") if request.param == "path" else f"@bigfile-{secrets.token_hex(8)}")
    yield made
    made.close()


def feed(environment: dict[str, str], seconds: float) -> bool:
    """Feed the watchdog for a while; whether it wanted that."""

    async def some_time() -> bool:
        feeding = asyncio.create_task(feed_watchdog(environment))
        _done, fed = await asyncio.wait([feeding], timeout=seconds)
        return bool(fed)

    return asyncio.run(some_time())


def test_a_state_arrives(systemd: Systemd) -> None:
    notify(READY, systemd.environment)
    assert systemd.hears() == "READY=1"


def test_without_systemd_nobody_is_told() -> None:
    notify(READY, {})


def test_a_systemd_that_does_not_listen_stops_nothing(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    notify(STOPPING, {"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    assert [record.getMessage() for record in caplog.records] == ["cannot tell systemd"]


def test_the_watchdog_is_fed_twice_within_what_it_waits(systemd: Systemd) -> None:
    assert feed({**systemd.environment, "WATCHDOG_USEC": "200000", "WATCHDOG_PID": str(os.getpid())}, 0.25)
    assert [systemd.hears() for _time in range(3)] == ["WATCHDOG=1"] * 3


@pytest.mark.parametrize("environment", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"}])
def test_a_watchdog_that_is_not_there_or_waits_for_another_is_not_fed(environment: dict[str, str]) -> None:
    assert not feed(environment, 5)


def test_the_service_says_when_it_is_ready_that_it_lives_and_that_it_stops(
    own_service: Service, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemd = Systemd(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    own_service.run("init")
    own_service.start()
    assert {systemd.hears(), systemd.hears()} == {"READY=1", "WATCHDOG=1"}
    own_service.stop()
    assert systemd.hears() == "STOPPING=1"
    systemd.close()
