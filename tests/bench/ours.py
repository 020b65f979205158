"""Our service and our engine, as the bench and its promises run them: real processes with the settings that a user would have."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

from ansible_collections.bigfile.oci.plugins.filter.scrypt_hash import scrypt_hash

from ..integration.conftest import Service
from . import measure

ENGINE = "ansible_collections.bigfile.oci.tests.bench.engine"


class Tls(t.NamedTuple):
    """A self-signed certificate for 127.0.0.1 and its key."""

    certificate: Path
    key: Path


def tls(folder: Path) -> Tls:
    """The certificate in ``folder``, made when there is none: P-256, as the role makes it."""
    made = Tls(folder / "certificate.pem", folder / "key.pem")
    if not made.key.exists():
        folder.mkdir(parents=True, exist_ok=True)
        kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
        name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        subprocess.run(["openssl", "req", *kind, *name, "-keyout", made.key, "-out", made.certificate], check=True, capture_output=True)
    return made


@contextlib.contextmanager
def service(folder: Path, certificate: Tls | None = None, **settings: t.Any) -> t.Iterator[Service]:
    """Our service on loopback with its data below ``folder``, over TLS if there is a certificate; ``settings`` are members of its configuration.

    The user is dba, its password is hashed at the cost that the role gives it: logging in is part of what a user waits for.
    """
    password = secrets.token_urlsafe(18)
    users = [{"name": "dba", "password_hash": scrypt_hash(password, "bench"), "folder": "dba"}]
    if certificate is not None:
        settings |= {"tls_certificate": str(certificate.certificate), "tls_key": str(certificate.key)}
    running = Service(folder, users=users, **settings)
    running.password = password
    try:
        yield running.start()
    finally:
        running.stop()


def connection(running: Service, certificate: Tls | None = None) -> dict[str, t.Any]:
    """The options of our modules that lead to a service: the user, its key pinned, its certificate trusted."""
    options = {
        "endpoint": running.url,
        "username": "dba",
        "password": running.password,
        "assembler_public_key": running.call("GET", "/v1/server").json()["public_key"],
    }
    return {**options, "ca_path": str(certificate.certificate)} if certificate else options


class EngineRun(t.NamedTuple):
    """An upload by the engine alone, in a process of its own."""

    seconds: float
    """From the first line of the engine to the last receipt, without the start of Python and its imports."""
    measured: measure.Measured
    """The whole process, and the service."""
    results: list[dict[str, t.Any]]
    """What the module would have returned for each file."""


def engine_command() -> list[str]:
    """The engine as a process: takes its orders in JSON on stdin, see engine.py."""
    return [sys.executable, "-m", ENGINE]


def engine_run(running: Service, orders: t.Sequence[dict[str, t.Any]], *, journal: Path, keep_journal: bool = False) -> EngineRun:
    """Upload by the engine alone.

    :param orders: the options of the module oci_chunked_upload, once for each file; those for the connection come from :func:`connection`
    :param journal: is removed before, unless it is to be kept: it remembers the digest of a source, which spares the next run the reading
    """
    if not keep_journal:
        shutil.rmtree(journal.parent, ignore_errors=True)
    stdin = json.dumps([{**order, "journal": str(journal)} for order in orders])
    measured = measure.run(engine_command(), stdin=stdin, server=[pid_of(running)], environment=os.environ)
    answer = json.loads(measured.output)
    return EngineRun(answer["seconds"], measured, answer["results"])


def pid_of(running: Service) -> int:
    """The service's main process."""
    if running.process is None:
        raise RuntimeError("the service is not running")
    return running.process.pid


__all__ = ["EngineRun", "Tls", "connection", "engine_command", "engine_run", "pid_of", "service", "tls"]
