# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A certificate that is exchanged while the service runs."""

from __future__ import annotations

import http.client
import json
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import time
import typing as t

import pytest
from doubles import Service

from oracle_assembler.web.tls import Tls

KEY_KINDS = {"rsa": ["rsa:2048"], "ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]}


class Pair(t.NamedTuple):
    """A certificate and its key."""

    certificate: pathlib.Path
    key: pathlib.Path

    def put_to(self, other: Pair) -> None:
        """Take the other's place."""
        shutil.copy(self.certificate, other.certificate)
        shutil.copy(self.key, other.key)

    @property
    def der(self) -> bytes:
        """The certificate as it goes over the wire."""
        return ssl.PEM_cert_to_DER_cert(self.certificate.read_text("ascii"))


def make(folder: pathlib.Path, name: str, kind: str) -> Pair:
    """A pair of this kind."""
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    subject = ["-subj", f"/CN={name}", "-days", "2", "-keyout", str(pair.key), "-out", str(pair.certificate)]
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-newkey", *KEY_KINDS[kind], *subject], check=True, capture_output=True)
    return pair


@pytest.fixture(scope="module", params=["ec", "rsa"])
def pairs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pair, Pair]:
    """An old pair, always of RSA, and a new one of each kind."""
    folder = tmp_path_factory.mktemp("pairs")
    return make(folder, "old", "rsa"), make(folder, "new", request.param)


@pytest.fixture
def used(tmp_path: pathlib.Path, pairs: tuple[Pair, Pair]) -> Pair:
    """Where the service looks; the old one at first."""
    used = Pair(tmp_path / "used.pem", tmp_path / "used.key")
    pairs[0].put_to(used)
    return used


def served(context: ssl.SSLContext) -> bytes:
    """The certificate that a handshake in memory ends with."""
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    client = anyone.wrap_bio(to_client, to_server)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client.getpeercert(binary_form=True) or b""


def test_handshakes_after_a_reload_have_the_new_certificate_of_whatever_kind(used: Pair, pairs: tuple[Pair, Pair]) -> None:
    old, new = pairs
    tls = Tls(str(used.certificate), str(used.key))
    assert served(tls.context) == old.der
    new.put_to(used)
    assert served(tls.context) == old.der
    tls.reload()
    assert served(tls.context) == new.der
    old.put_to(used)
    tls.reload()
    assert served(tls.context) == old.der


@pytest.mark.parametrize("spoil", ["other key", "no certificate", "no key"])
def test_a_pair_that_cannot_be_used_leaves_the_old_one_in_use(
    used: Pair, pairs: tuple[Pair, Pair], spoil: str, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = pairs
    tls = Tls(str(used.certificate), str(used.key))
    if spoil == "other key":
        shutil.copy(new.key, used.key)
    elif spoil == "no certificate":
        used.certificate.write_text("-----BEGIN NONSENSE-----", "ascii")
    else:
        used.key.unlink()
    tls.reload()
    assert served(tls.context) == old.der
    (line,) = caplog.records
    assert line.levelname == "ERROR" and line.__dict__["certificate"] == str(used.certificate) and line.__dict__["reason"]


def secure(service: Service) -> http.client.HTTPSConnection:
    """A connection to it, with any certificate."""
    connection = http.client.HTTPSConnection(service.url.removeprefix("https://"), timeout=20, context=ssl._create_unverified_context())
    connection.connect()
    return connection


def lines(service: Service, message: str) -> list[dict[str, t.Any]]:
    """Its log lines that begin like this, awaited."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = [line for line in map(json.loads, service.log.read_text("utf-8").splitlines()) if line["message"].startswith(message)]
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(service.log.read_text("utf-8"))


def hang_up(service: Service) -> None:
    """SIGHUP."""
    assert service.process
    service.process.send_signal(signal.SIGHUP)


def certificate_of(connection: http.client.HTTPSConnection) -> bytes:
    """What the other end showed."""
    return t.cast("ssl.SSLSocket", t.cast(socket.socket, connection.sock)).getpeercert(binary_form=True) or b""


def test_an_open_connection_goes_on_and_a_new_one_has_the_new_certificate(
    tmp_path: pathlib.Path, used: Pair, pairs: tuple[Pair, Pair]
) -> None:
    service = Service(tmp_path, tls_certificate=str(used.certificate), tls_key=str(used.key))
    try:
        service.run("init")
        service.start()
        body = json.dumps({"username": "dba", "password": service.password}).encode()
        before = secure(service)
        before.putrequest("POST", "/v1/token")
        before.putheader("Content-Type", "application/json")
        before.putheader("Content-Length", str(len(body)))
        before.endheaders(body[:10])
        pairs[1].put_to(used)
        hang_up(service)
        assert lines(service, "the certificate was reloaded")[0]["certificate"] == str(used.certificate)
        before.send(body[10:])
        assert before.getresponse().status == 200
        assert certificate_of(before) == pairs[0].der
        assert certificate_of(secure(service)) == pairs[1].der
    finally:
        service.stop()


def test_a_client_that_idles_does_not_hold_up_the_end(tmp_path: pathlib.Path, used: Pair) -> None:
    service = Service(tmp_path, tls_certificate=str(used.certificate), tls_key=str(used.key))
    service.run("init")
    service.start()
    idle = secure(service)
    for _each in range(2):
        idle.request("GET", "/healthz")
        answer = idle.getresponse()
        assert (answer.status, answer.read() != b"") == (200, True)
    begun = time.monotonic()
    service.stop()
    assert time.monotonic() - begun < 15


def test_without_tls_a_reload_is_noted_and_nothing_else(own_service: Service) -> None:
    own_service.run("init")
    own_service.start()
    hang_up(own_service)
    assert lines(own_service, "nothing to reload")[0]["level"] == "info"
    assert own_service.client().call("GET", "/healthz").status_code == 200
