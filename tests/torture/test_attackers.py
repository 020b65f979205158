"""Somebody who means harm, with a user's token and without. What is tested elsewhere is named in docs/reliability.md."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
import socket
import statistics
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.bigfile.oci.tests.integration.conftest import ROOT, Client, MiB, Service, make_file, sha256_of
from oracle_assembler.problems import Problem
from oracle_assembler.tokens import Passwords, hash_password, parse_phc
from oracle_assembler.web.files import _sha256_of
from oracle_assembler.web.ranges import wanted
from oracle_assembler.web.uploads import _patience

from .conftest import Figures
from .rig import Scene

CHECKED_BY_RULE = "positive_data_acceptance"
"""The one check that is left out: that a path is well-formed, or a number of parts the right one, is more than a schema can say."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Service]:
    """One for all: after each attack it has to serve for the next."""
    found = Service(tmp_path_factory.mktemp("service"), body_timeout=3, file_size_max=8 * MiB).start()
    yield found
    assert failures(found) == [], "the service failed"
    found.stop()


def failures(service: Service) -> list[str]:
    """Lines of the log that tell of a failure."""
    return [line for line in service.log.read_text().splitlines() if '"level": "error"' in line or "Traceback" in line]


def exchange(service: Service, raw: bytes, *, seconds: float = 5) -> bytes:
    """All that the service says to these bytes, until it closes or says no more."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=seconds) as connection:
        connection.settimeout(seconds)
        said = b""
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(1 << 16):
                said += data
        except OSError:
            pass
        return said


def statuses(said: bytes) -> list[int]:
    """The answers in it."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]


# What the OpenAPI file says


def test_no_request_that_the_openapi_file_allows_or_forbids_is_too_much(
    service: Service, long: bool, tmp_path: Path, figures: Figures
) -> None:
    """schemathesis with all its checks but one: statuses, media types, shapes, headers, methods, authentication, no 5xx."""
    tool, document = Path(sys.executable).with_name("schemathesis"), ROOT / "docs" / "openapi.json"
    amount = ["--max-examples", "150"] if long else ["--phases", "coverage"]
    command = [str(tool), "run", str(document), "--url", service.url, "--header", f"Authorization: Bearer {service.token()}", "--no-color"]
    more = ["--exclude-checks", CHECKED_BY_RULE, *amount, "--generation-deterministic", "--continue-on-failure"]
    done = subprocess.run([*command, *more], capture_output=True, text=True, check=False, timeout=800, cwd=tmp_path)
    found = re.search(r"([\d,]+) generated", done.stdout)
    assert done.returncode == 0, done.stdout[-8000:]
    assert found and int(found[1].replace(",", "")) > (2000 if long else 200), done.stdout[-2000:]
    figures(what="requests by schemathesis", count=int(found[1].replace(",", "")))


# Parsers

headers = st.text(st.characters(max_codepoint=255), max_size=80)
ranges = st.from_regex(r"bytes=\s*\d{0,30}-\d{0,30}\s*") | st.integers(4000, 6000).map(lambda count: f"bytes={'9' * count}-")


def test_no_header_is_too_much_for_its_parser(long: bool, figures: Figures) -> None:
    count = 4000 if long else 100
    tried = 0

    @settings(max_examples=count, deadline=None, database=None)
    @given(headers | ranges, headers, headers, headers)
    def check(span: str, digest: str, prefer: str, phc: str) -> None:
        nonlocal tried
        tried += 4
        try:
            found = wanted(span, 100)
        except Problem as problem:
            assert problem.name == "range-not-satisfiable"
        else:
            assert found is None or 0 <= found[0] < found[1] <= 100
        assert re.fullmatch("|[0-9a-f]{64}", _sha256_of(digest))
        assert 0 <= _patience(prefer) < 10**6
        try:
            parse_phc(phc)
        except ValueError:
            pass

    check()
    figures(what="header values", count=tried)


lines = st.sampled_from(
    [
        b"Host: a", b"Content-Length: 5", b"Content-Length: 0", b"Content-Length: -1", b"Content-Length: 99999999999999999999", b"Content-Length: +5",
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Connection: close", b"Expect: 100-continue", b"Expect: something",
        b"Upgrade: websocket", b"Connection: Upgrade", b"Authorization: Bearer x", b"Authorization: Basic eDp5", b"Authorization", b": x",
        b"Content-Type: application/json", b"Content-Encoding: gzip", b"Upload-Id: \xff", b"Range: bytes=1-0", b"X: " + b"y" * 9000, b" folded",
    ]
)  # fmt: skip
targets = st.sampled_from(
    [b"/v1/token", b"/v1/uploads", b"/healthz", b"/v1/files/a", b"*", b"http://a/v1/server", b"//", b"/%", b"/v1/files/%00"]
)
requests_ = st.tuples(
    st.sampled_from([b"GET", b"PUT", b"POST", b"DELETE", b"HEAD", b"PATCH", b"OPTIONS", b"TRACE", b"CONNECT", b"PRI", b"\x16\x03\x01"]),
    targets | st.binary(max_size=40),
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9", b""]),
    st.lists(lines | st.binary(max_size=60), max_size=8),
    st.sampled_from([b"", b"hello", b'{"username": "a", "password": 1}', b"5\r\nhello\r\n0\r\n\r\n", b"\x1f\x8b" + b"x" * 50])
    | st.binary(max_size=60),
)


def test_no_bytes_are_too_much_for_a_connection(service: Service, long: bool, figures: Figures) -> None:
    count = 2500 if long else 100
    tried = 0

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(requests_)
    def check(request: tuple[bytes, bytes, bytes, list[bytes], bytes]) -> None:
        nonlocal tried
        tried += 1
        method, target, version, fields, body = request
        said = exchange(service, b"\r\n".join([b" ".join((method, target, version)), *fields]) + b"\r\n\r\n" + body)
        assert said == b"" or statuses(said), said
        assert all(status < 500 for status in statuses(said)), said

    check()
    assert requests.get(f"{service.url}/healthz", timeout=10).status_code == 200
    figures(what="requests of arbitrary bytes", count=tried)


SMUGGLED = [
    "Content-Length: {length}\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: {length}",
    "Content-Length: 5\r\nContent-Length: {length}",
    "Content-Length: {length}\r\nContent-Length: 5",
    "Content-Length: 5, {length}",
    "Content-Length: +5",
    "Content-Length: 0x5",
    "Content-Length : 5",
    "Content-Length: 5\r\nTransfer-Encoding: xchunked",
    "Content-Length: 5\r\nTransfer-Encoding : chunked",
    "Content-Length: 5\r\nTransfer-Encoding:\x0bchunked",
    "Content-Length: 5\r\n Transfer-Encoding: chunked",
    "Content-Length: 5\r\nX: y\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: chun\tked",
]
"""Heads of which a proxy in front may see another end than the service."""


@pytest.mark.parametrize("framing", SMUGGLED)
def test_a_request_hidden_in_another_is_not_carried_out(framing: str, service: Service, figures: Figures) -> None:
    victim = make_file(service.root / "victim", 5)
    hidden = f"DELETE /v1/files/victim HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {service.token()}\r\nContent-Length: 0\r\n\r\n"
    body = f"0\r\n\r\n{hidden}"
    head = f"POST /v1/token HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{framing.format(length=len(body))}\r\n\r\n"
    said = exchange(service, (head + body).encode("latin-1"))
    assert victim.exists(), said
    assert all(400 <= status < 500 for status in statuses(said)), said
    figures(what="ways to hide a request", count=1)


# Too much


def test_five_hundred_stalled_connections_do_not_stop_a_good_client(service: Service, tmp_path: Path, figures: Figures) -> None:
    token = service.token()
    source = make_file(tmp_path / "source.bin", 12 * MiB)
    begun = {
        "path": "stalled",
        "size": 6 * MiB,
        "part_size": 5 * MiB,
        "parts": 2,
        "sealing": None,
        "release_key": "with_parts",
        "source": "",
    }
    upload_id = service.call("POST", "/v1/uploads", json=begun).json()["id"]
    part = f"PUT /v1/uploads/{upload_id}/parts/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: {5 * MiB}\r\n\r\n"
    kinds = [b"", b"GET /v1/ser", b"POST /v1/token HTTP/1.1\r\nContent-Length: 50\r\n\r\n{", part.encode() + bytes(3000)]
    stalled = []
    try:
        for number in range(500):
            connection = socket.create_connection(("127.0.0.1", service.port), timeout=30)
            connection.sendall(kinds[number % len(kinds)])
            stalled.append(connection)
        client = Client(tmp_path / "client", service)
        begin = time.monotonic()
        client.upload(source, part_size="5M", timeout=20)
        seconds = time.monotonic() - begin
    finally:
        for connection in stalled:
            connection.close()
    assert seconds < 30
    assert sha256_of(service.root / "source.bin") == sha256_of(source)
    figures(what="stalled connections beside a good upload", count=len(stalled), seconds=seconds, peak=service.peak_memory())


@pytest.mark.parametrize("kind", ["json", "header", "headers", "target", "length", "compressed"])
def test_too_much_of_something_is_refused_and_not_kept_in_memory(kind: str, service: Service, figures: Figures) -> None:
    before = service.peak_memory()
    bearer = f"Authorization: Bearer {service.token()}\r\n"
    if kind == "json":
        answer = service.call("POST", "/v1/uploads", data=b"[" * (64 * MiB), headers={"Content-Type": "application/json"})
        found = [answer.status_code]
    elif kind == "compressed":  # nothing is ever decompressed: the bytes are taken as they are
        bomb = subprocess.run(["gzip", "-9"], input=bytes(64 * MiB), capture_output=True, check=True).stdout
        answer = service.call("POST", "/v1/uploads", data=bomb, headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})
        found = [answer.status_code]
    else:
        text = "x" * MiB
        forms = {
            "header": f"GET /v1/uploads HTTP/1.1\r\n{bearer}X: {text}\r\n\r\n",
            "headers": f"GET /v1/uploads HTTP/1.1\r\n{bearer}" + "X: y\r\n" * 100_000 + "\r\n",
            "target": f"GET /v1/files/{text} HTTP/1.1\r\n{bearer}\r\n",
            "length": f"PUT /v1/files/a HTTP/1.1\r\n{bearer}Content-Length: {10**18}\r\nUpload-Id: {'0' * 32}\r\nUpload-Size: {10**18}\r\n"
            f"Repr-Digest: sha-256=:{base64.b64encode(bytes(32)).decode()}:\r\nUpload-Sealing: none\r\n\r\n",
        }
        found = statuses(exchange(service, forms[kind].encode()))
    assert all(400 <= status < 500 for status in found), found
    assert found or kind in ("header", "headers", "target"), "the connection is closed on a head that has no end"
    assert service.peak_memory() - before < 24 * MiB
    figures(what="too much of something", count=1)


# Another's things


def test_another_users_uploads_and_those_that_are_not_there_look_the_same(service: Service, figures: Figures) -> None:
    begun = {"path": "mine", "size": 1, "part_size": 5 * MiB, "parts": 1, "sealing": None, "release_key": "with_parts", "source": ""}
    upload_id = service.call("POST", "/v1/uploads", json=begun).json()["id"]
    login = {"username": "other", "password": service.other_password}
    other = {"Authorization": f"Bearer {requests.post(f'{service.url}/v1/token', json=login, timeout=10).json()['token']}"}
    stitch = {"name": "mine", "size": 1, "sha256": "0" * 64, "key": None}
    calls: list[tuple[str, str, dict[str, t.Any]]] = [
        ("GET", "", {}), ("DELETE", "", {}), ("PUT", "/parts/1", {"data": b"x"}), ("POST", "/stitch", {"json": stitch}),
    ]  # fmt: skip
    for method, more, body in calls:
        seen = []
        for one in (upload_id, secrets.token_hex(16)):
            answer = requests.request(method, f"{service.url}/v1/uploads/{one}{more}", headers=other, timeout=10, **body)
            seen.append(
                (answer.status_code, answer.text.replace(one, "ID").replace(answer.headers["X-Request-Id"], "R"), sorted(answer.headers))
            )
        assert seen[0] == seen[1]
        assert seen[0][0] == 404
    assert service.call("GET", f"/v1/uploads/{upload_id}").status_code == 200
    figures(what="calls on another's upload", count=len(calls))


def test_a_token_of_another_service_is_none_here(service: Service, tmp_path: Path, figures: Figures) -> None:
    elsewhere = Service(tmp_path / "elsewhere").start()
    try:
        token = elsewhere.token()
    finally:
        elsewhere.stop()
    head, claims, signature = token.split(".")
    forged = json.loads(base64.urlsafe_b64decode(claims + "=="))
    renamed = base64.urlsafe_b64encode(json.dumps({**forged, "sub": "other"}).encode()).rstrip(b"=").decode()
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    mine = service.token().split(".")
    forms = [
        token,
        f"{head}.{renamed}.{signature}",
        f"{unsigned}.{claims}.",
        f"{mine[0]}.{claims}.{mine[2]}",
        f"{mine[0]}.{mine[1]}",
        "a.b.c",
        "é",
    ]
    for form in forms:
        answer = requests.get(f"{service.url}/v1/uploads", headers={"Authorization": f"Bearer {form}".encode()}, timeout=10)
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (401, "token-invalid"), form
    figures(what="forged tokens", count=len(forms))


def test_the_time_of_a_login_does_not_tell_whether_the_user_exists(long: bool, figures: Figures) -> None:
    passwords = Passwords({"dba": hash_password("right", p=1)})

    def seconds(user: str) -> float:
        begin = time.perf_counter()
        assert not passwords.check(user, "wrong")
        return time.perf_counter() - begin

    pairs = [(seconds("dba"), seconds(f"nobody{number}")) for number in range(15 if long else 5)]
    known, unknown = (statistics.median(times) for times in zip(*pairs, strict=True))
    assert 0.5 < known / unknown < 2
    figures(what="logins timed", count=2 * len(pairs), known=known, unknown=unknown)


def test_the_log_takes_no_line_from_a_client(service: Service, figures: Figures) -> None:
    nasty = 'a\n{"level": "error", "message": "forged"}\r\n\x1b[31m'
    requests.post(f"{service.url}/v1/token", json={"username": nasty, "password": nasty}, timeout=10)
    requests.get(
        f"{service.url}/v1/files/{requests.utils.quote(nasty)}", headers={"Authorization": f"Bearer {service.token()}"}, timeout=10
    )
    begun = {"path": "x", "size": 1, "part_size": 5 * MiB, "parts": 1, "sealing": None, "release_key": "with_parts", "source": nasty}
    service.call("POST", "/v1/uploads", json=begun)
    said = [json.loads(line) for line in service.log.read_text().splitlines()]
    assert said and not [line for line in said if line["message"] == "forged"]
    assert "\x1b" not in service.log.read_text()
    figures(what="forged log lines", count=3)


# Links


@pytest.mark.parametrize("what", ["folder", "partial", "segments", "destination"])
def test_a_link_planted_under_a_pending_upload_leads_nowhere(what: str, tmp_path: Path, figures: Figures) -> None:
    """By somebody who may write to the data folder, such as another program of the same user."""
    scene = Scene(tmp_path)
    scene.service.start()
    try:
        begun = {"path": "dumps/exp.bin", "size": 6 * MiB, "part_size": 5 * MiB, "parts": 2, "sealing": None, "release_key": "with_parts"}
        upload_id = scene.service.call("POST", "/v1/uploads", json={**begun, "source": ""}).json()["id"]
        folder = scene.published.parent
        outside = tmp_path / "outside"
        outside.mkdir()
        treasure = make_file(outside / "exp.bin", 6 * MiB, seed=9)
        os.link(treasure, outside / f".{upload_id}.partial")
        (outside / f".{upload_id}.segments").mkdir()
        digest = sha256_of(treasure)
        spots = {"folder": folder, "partial": folder / f".{upload_id}.partial", "segments": folder / f".{upload_id}.segments"}
        spot = spots.get(what, scene.published)
        spot.rename(tmp_path / "aside")
        spot.symlink_to(outside if what == "folder" else outside / spot.name)
        data = os.urandom(6 * MiB)
        for number in (1, 2):
            scene.service.call("PUT", f"/v1/uploads/{upload_id}/parts/{number}", data=data[(number - 1) * 5 * MiB : number * 5 * MiB])
        stitch = {"name": "exp.bin", "size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "key": None}
        scene.service.call("POST", f"/v1/uploads/{upload_id}/stitch", json=stitch, headers={"Prefer": "wait=10"})
        assert sha256_of(treasure) == digest
        assert sorted(path.name for path in outside.iterdir()) == sorted(["exp.bin", f".{upload_id}.partial", f".{upload_id}.segments"])
        assert list((outside / f".{upload_id}.segments").iterdir()) == []
    finally:
        scene.service.stop()
    figures(what="links planted", count=1)


def test_requests_for_one_part_from_many_at_once_leave_one_whole_part(service: Service, figures: Figures) -> None:
    begun = {"path": "raced", "size": 5 * MiB, "part_size": 5 * MiB, "parts": 1, "sealing": None, "release_key": "with_parts", "source": ""}
    upload_id = service.call("POST", "/v1/uploads", json=begun).json()["id"]
    bodies = [bytes([number]) * (5 * MiB) for number in range(8)]
    found: list[int] = []

    def send(body: bytes) -> None:
        found.append(service.call("PUT", f"/v1/uploads/{upload_id}/parts/1", data=body).status_code)

    threads = [threading.Thread(target=send, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) <= {201, 409}, (
        found
    )  # one that was taken over from may have been just in time, and the newer ones then conflict with it
    digests = {hashlib.sha256(body).hexdigest() for body in bodies}
    stitched = []
    for digest in digests:
        stitch = {"name": "raced", "size": 5 * MiB, "sha256": digest, "key": None}
        answer = service.call("POST", f"/v1/uploads/{upload_id}/stitch", json=stitch, headers={"Prefer": "wait=10"})
        stitched.append(answer.json()["state"] if answer.status_code < 300 else answer.json()["type"])
    assert stitched.count("published") == 1
    assert sha256_of(service.root / "raced") in digests
    figures(what="clients racing for one part", count=len(bodies))
