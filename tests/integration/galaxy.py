"""A Galaxy with one collection in it: what ``ansible-galaxy collection install`` asks for, and the package."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import threading
import typing as t
from pathlib import Path

VERSIONS = "/api/v3/collections/bigfile/oci/versions/"


class Galaxy:
    """Serves a package on loopback while it is open."""

    def __init__(self, package: Path) -> None:
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Answers, self))
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.package = package.read_bytes()
        version = package.name.removesuffix(".tar.gz").rpartition("-")[2]
        described = {
            "version": version,
            "href": f"{VERSIONS}{version}/",
            "download_url": f"{self.url}{package.name}",
            "artifact": {"filename": package.name, "sha256": hashlib.sha256(self.package).hexdigest(), "size": len(self.package)},
            "namespace": {"name": "bigfile"},
            "collection": {"name": "oci"},
            "metadata": {"dependencies": {}},
            "signatures": [],
        }
        self.answers: dict[str, t.Any] = {
            "/api/": {"available_versions": {"v3": "v3/"}},
            "/api/v3/collections/bigfile/oci/": {"name": "oci", "created_at": "", "updated_at": "2026-11-24T00:00:00Z"},
            VERSIONS: {"meta": {"count": 1}, "links": {"next": None}, "data": [described]},
            f"{VERSIONS}{version}/": described,
            f"/{package.name}": self.package,
        }

    def __enter__(self) -> Galaxy:
        threading.Thread(target=self.server.serve_forever).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Answers(http.server.BaseHTTPRequestHandler):
    def __init__(self, galaxy: Galaxy, *connection: t.Any) -> None:
        self.galaxy = galaxy
        super().__init__(*connection)

    def do_GET(self) -> None:
        answer = self.galaxy.answers.get(self.path.partition("?")[0])
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(404 if answer is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_message: object) -> None:
        """Nobody reads it."""
