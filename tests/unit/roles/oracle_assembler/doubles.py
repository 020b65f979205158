# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A small client of the service, the service as a process, and a check of every answer against docs/openapi.json."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import typing as t
import urllib.parse

import requests

from oracle_assembler._sealed import cipher, layout
from oracle_assembler.tokens import hash_password
from oracle_assembler.web import models

ROOT = pathlib.Path(__file__).parents[4]
FILES = ROOT / "roles" / "oracle_assembler" / "files"
OPENAPI = json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))
MIB = 1 << 20
PART = 5 * MIB


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Service:
    """The real service, on loopback."""

    def __init__(self, root: pathlib.Path, **settings: t.Any) -> None:
        self.root, self.password, self.process = root, secrets.token_urlsafe(12), None
        cheap = hash_password(self.password, ln=10, r=8, p=1)
        users = [{"name": name, "password_hash": cheap, "folder": name} for name in ("dba", "other")]
        users.append({"name": "small", "password_hash": cheap, "folder": "small", "quota": 12 * MIB})
        settings = {"port": free_port(), "data_dir": f"{root}/data", "state_dir": f"{root}/state", "users": users, **settings}
        self.url = f"{'https' if 'tls_key' in settings else 'http'}://127.0.0.1:{settings['port']}"
        self.config = root / "config.json"
        self.config.write_text(json.dumps(settings), "utf-8")
        self.log = root / "log"

    @property
    def data(self) -> pathlib.Path:
        """The folder of the user dba."""
        return self.root / "data" / "dba"

    @property
    def state(self) -> pathlib.Path:
        """The state folder."""
        return self.root / "state"

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command of the command line."""
        arguments = [sys.executable, "-m", "oracle_assembler", "--config", str(self.config), *command]
        return subprocess.run(arguments, cwd=FILES, env=environment(), capture_output=True, text=True, timeout=60, check=False)

    def start(self) -> Service:
        """Start it and wait until it answers."""
        arguments = [sys.executable, "-m", "oracle_assembler", "--config", str(self.config), "serve"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(arguments, cwd=FILES, env=environment(), stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                requests.get(self.url + "/healthz", timeout=5, verify=False).raise_for_status()
            except requests.ConnectionError:
                time.sleep(0.02)
            else:
                return self
        raise AssertionError(self.log.read_text("utf-8"))

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it, SIGTERM or SIGKILL, and wait for that."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(60)

    def restart(self, number: int = signal.SIGKILL) -> None:
        """End it and start it again."""
        self.stop(number)
        self.start()

    def client(self, user: str = "dba", **settings: t.Any) -> Client:
        """A client that is logged in."""
        return Client(self.url, user, self.password, **settings)


def environment() -> dict[str, str]:
    """For a child."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


@dataclasses.dataclass
class Upload:
    """What a client knows of an upload."""

    path: str
    data: bytes
    sealed: bool
    release_key: str
    part_size: int = PART
    id: str = dataclasses.field(default_factory=lambda: secrets.token_hex(16))
    key: bytes = dataclasses.field(default_factory=lambda: secrets.token_bytes(32))
    header: bytes = dataclasses.field(default_factory=cipher.new_header)

    @property
    def layout(self) -> layout.Layout:
        """Its geometry."""
        return layout.SEALED if self.sealed else layout.PLAIN

    @property
    def stream(self) -> cipher.Stream:
        """What seals it."""
        return cipher.SealedStream(self.key, self.header, self.path.encode()) if self.sealed else cipher.PlainStream()

    @property
    def parts(self) -> int:
        """Their number."""
        return layout.part_count(self.layout, len(self.data), self.part_size)

    @property
    def sha256(self) -> str:
        """Of the whole."""
        return hashlib.sha256(self.data).hexdigest()

    def body(self, number: int) -> bytes:
        """A part's bytes on the wire."""
        part, stream = layout.part(self.layout, len(self.data), self.part_size, number), self.stream
        found = b""
        for segment, size, last in part.segment_sizes(self.layout):
            offset = self.layout.offset(segment)
            found += stream.seal(segment, self.data[offset : offset + size], last=last)
        return found

    def etag(self, number: int) -> str:
        """What the service must answer to that part."""
        digest, body = cipher.PartDigest(self.layout), self.body(number)
        for begin in range(0, len(body), MIB):
            digest.add(body[begin : begin + MIB])
        return digest.etag()

    def begin(self) -> dict[str, t.Any]:
        """The body of the begin call."""
        sealing = {"scheme": cipher.SCHEME, "header": base64.b64encode(self.header).decode()} if self.sealed else None
        return {
            "id": self.id, "path": self.path, "size": len(self.data), "part_size": self.part_size, "parts": self.parts,
            "sealing": sealing, "release_key": self.release_key, "source": "a test",
        }  # fmt: skip


class Client:
    """Speaks the protocol; every answer must be one that docs/openapi.json knows."""

    def __init__(self, url: str, user: str, password: str, *, trusted: str | None = None) -> None:
        self.url, self.http, self.trusted = url, requests.Session(), trusted
        self.http.hooks["response"] = [check_answer]
        self.public_key = base64.b64decode(self.call("GET", "/v1/server").json()["public_key"])
        token = self.call("POST", "/v1/token", json={"username": user, "password": password}).json()["token"]
        self.http.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, **arguments: t.Any) -> requests.Response:
        """Any call."""
        return self.http.request(method, self.url + path, timeout=60, **({"verify": self.trusted} if self.trusted else {}), **arguments)

    def wrapped(self, upload: Upload) -> str | None:
        """The upload's key for this server."""
        return base64.b64encode(cipher.wrap_key(upload.key, self.public_key, upload.id)).decode() if upload.sealed else None

    def begin(self, data: bytes = b"", path: str = "dumps/exp.dmp", *, sealed: bool = True, release_key: str = "with_parts") -> Upload:
        """Begin an upload."""
        upload = Upload(path, data, sealed, release_key)
        answer = self.call("POST", "/v1/uploads", json=upload.begin())
        assert answer.status_code == 201, answer.text
        return upload

    def put(self, upload: Upload, number: int, body: t.Any = None, **headers: str) -> requests.Response:
        """Send a part."""
        key = {"Upload-Key": self.wrapped(upload)} if upload.sealed and upload.release_key == "with_parts" else {}
        data = upload.body(number) if body is None else body
        return self.call("PUT", f"/v1/uploads/{upload.id}/parts/{number}", data=data, headers={**key, **headers})

    def put_all(self, upload: Upload) -> None:
        """Send all parts, the last one first."""
        for number in range(upload.parts, 0, -1):
            assert self.put(upload, number).status_code == 201

    def stitch(self, upload: Upload, **changes: t.Any) -> requests.Response:
        """Ask for the stitching."""
        asked = {"name": upload.path.split("/")[-1], "size": len(upload.data), "sha256": upload.sha256, "key": self.wrapped(upload)}
        return self.call("POST", f"/v1/uploads/{upload.id}/stitch", json={**asked, **changes})

    def state(self, upload: Upload) -> dict[str, t.Any]:
        """What the server says of it."""
        return t.cast("dict[str, t.Any]", self.call("GET", f"/v1/uploads/{upload.id}").json())

    def settled(self, upload: Upload) -> dict[str, t.Any]:
        """The same, after the stitching."""
        while (state := self.state(upload))["state"] == "stitching":
            time.sleep(0.01)
        return state

    def publish(self, upload: Upload) -> dict[str, t.Any]:
        """Stitch and wait."""
        assert self.stitch(upload).status_code == 202
        return self.settled(upload)

    def put_file(self, path: str, data: bytes, *, sealed: bool = True, **headers: str) -> requests.Response:
        """A whole file in one request."""
        upload = Upload(path, data, sealed, "with_parts", part_size=max(1, layout.SEALED.segments(len(data))) * MIB)
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        facts = {
            "Upload-Id": upload.id, "Upload-Size": str(len(data)), "Repr-Digest": f"sha-256=:{digest}:",
            "Upload-Sealing": cipher.SCHEME if sealed else "none", "Upload-Key": self.wrapped(upload),
        }  # fmt: skip
        return self.call("PUT", "/v1/files/" + urllib.parse.quote(path), data=upload.body(1), headers={**facts, **headers})

    def get_file(self, path: str, **headers: str) -> requests.Response:
        """Download."""
        return self.call("GET", "/v1/files/" + urllib.parse.quote(path), headers=headers)


def problem_of(answer: requests.Response) -> str:
    """The name of the problem in an answer."""
    return str(answer.json()["type"]).removeprefix("tag:bigfile.oci,2026:")


def check_answer(answer: requests.Response, **_arguments: t.Any) -> None:
    """The contract: this status, this media type and this shape are described for the call, and there is a request id."""
    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Request-Id"])
    described = _operation(str(answer.request.method), urllib.parse.urlsplit(str(answer.request.url)).path)
    if described is None or answer.status_code == 405:
        assert answer.headers["Content-Type"] == "application/problem+json"
        return
    assert str(answer.status_code) in described["responses"], (answer.request.method, answer.request.url, answer.status_code, answer.text)
    content = described["responses"][str(answer.status_code)].get("content", {})
    media_type = answer.headers.get("Content-Type", "").split(";")[0]
    if answer.request.method != "HEAD" and answer.content:
        assert media_type in content, (media_type, content)
        _check_shape(answer, content[media_type].get("schema", {}).get("$ref", "").rpartition("/")[2])


def _operation(method: str, path: str) -> dict[str, t.Any] | None:
    for template, operations in OPENAPI["paths"].items():
        pattern = re.sub(r"\\{path\\}$", ".*", re.escape(template))
        if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", pattern), path) and method.lower() in operations:
            return t.cast("dict[str, t.Any]", operations[method.lower()])
    return None


def _check_shape(answer: requests.Response, name: str) -> None:
    if not name:
        return
    model = getattr(models, name)
    model.model_validate(answer.json(), strict=False)
    described = OPENAPI["components"]["schemas"][name]
    if name != "Problem":
        assert set(answer.json()) == set(described["properties"])
