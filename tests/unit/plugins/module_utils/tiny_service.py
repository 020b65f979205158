# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A real HTTP server on a thread, of which a test says what it answers."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import json
import socket
import ssl
import threading
import typing as t
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Request(t.NamedTuple):
    """A request as it came over the wire."""

    method: str
    path: str
    """Percent-encoded, with its query."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    def json(self) -> t.Any:
        return json.loads(self.body)


class Reply(t.NamedTuple):
    """What to answer."""

    status: int = 200
    members: t.Any = None
    """Sent as JSON, and as a problem when the status says so."""
    headers: dict[str, str] = {}  # noqa: RUF012
    body: bytes = b""

    def whole(self, method: str) -> tuple[dict[str, str], bytes]:
        kind = "application/problem+json" if self.status >= 400 else "application/json"
        body = self.body if self.members is None else json.dumps(self.members).encode()
        headers = {"Content-Type": kind} if self.members is not None else {}
        if self.status != 204:
            headers["Content-Length"] = str(len(body))
        return {**headers, **self.headers}, b"" if method == "HEAD" or self.status == 204 else body


def problem(status: int, name: str, **members: t.Any) -> Reply:
    """An RFC 9457 answer as the service gives it."""
    type_and_title = {"type": f"tag:bigfile.oci,2026:{name}", "title": name, "detail": f"about {name}"}
    return Reply(status, {**type_and_title, "status": status, "request_id": "r-1", **members})


class TinyService:
    """Answers each request with ``answer(request)`` and keeps it in ``requests``."""

    def __init__(self, answer: t.Callable[[Request], Reply], *, certificate: Path | None = None) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.connections = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def setup(self) -> None:
                outer.connections += 1
                super().setup()

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                length = int(self.headers.get("Content-Length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, self.path, headers, self.rfile.read(length))
                outer.requests.append(request)
                reply = outer.answer(request)
                self.send_response(reply.status)
                headers, body = reply.whole(self.command)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *unused: object) -> None:
                """Tests do not print."""

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 64

            def handle_error(self, *unused: object) -> None:
                """A client that goes away in the middle is what some tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
            scheme = "https"
        self.endpoint = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def paths(self, method: str) -> list[str]:
        return [request.path for request in self.requests if request.method == method]


class Blocks:
    """A body in blocks, as a part is."""

    def __init__(self, *blocks: bytes) -> None:
        self.blocks = blocks

    def __len__(self) -> int:
        return sum(map(len, self.blocks))

    def __iter__(self) -> t.Iterator[memoryview]:
        return (memoryview(block) for block in self.blocks)


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def self_signed(path: Path, *, address: str = "127.0.0.1") -> Path:
    """A certificate for ``address`` that nobody signed, with its key behind it, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, address)])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(certificate.public_bytes(pem) + private)
    return path
