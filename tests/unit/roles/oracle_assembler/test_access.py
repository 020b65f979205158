# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Who may, and how an answer looks, over HTTP."""

from __future__ import annotations

import json
import pathlib
import secrets
import socket
import ssl
import subprocess
import time

import jwt
import pytest
import requests
from doubles import OPENAPI, Client, Service, problem_of


@pytest.mark.parametrize(
    "method, path",
    [(method.upper(), path) for path, operations in OPENAPI["paths"].items() for method in operations],
)
def test_everything_but_the_four_open_calls_needs_a_token(service: Service, method: str, path: str) -> None:
    filled = path.replace("{upload_id}", "0" * 32).replace("{number}", "1").replace("{path}", "x")
    answer = requests.request(method, service.url + filled, timeout=10)
    if path in ("/v1/server", "/healthz", "/metrics"):
        assert answer.status_code == 200
    elif path == "/v1/token":
        assert answer.status_code == 422
    else:
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert method == "HEAD" or problem_of(answer) == "token-missing"


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "é".encode().decode("latin-1")])
def test_a_token_of_somebody_else_is_invalid(service: Service, token: str) -> None:
    answer = requests.get(service.url + "/v1/uploads", headers={"Authorization": f"Bearer {token}"}, timeout=10)
    assert (answer.status_code, problem_of(answer)) == (401, "token-invalid")


def test_an_expired_token_is_told_apart(service: Service) -> None:
    key = bytes.fromhex((service.state / "token.key").read_text("ascii"))
    claims = jwt.decode(service.client().http.headers["Authorization"].split()[1], options={"verify_signature": False})
    old = jwt.encode({**claims, "exp": int(time.time()) - 1}, key, "HS256")
    answer = requests.put(
        f"{service.url}/v1/uploads/{'0' * 32}/parts/1", data=bytes(8 << 20), headers={"Authorization": f"Bearer {old}"}, timeout=10
    )
    assert (answer.status_code, problem_of(answer)) == (401, "token-expired")


@pytest.mark.parametrize("user", ["dba", "nobody"])
def test_wrong_credentials_look_the_same_for_known_and_unknown_users_and_are_slowed_down(own_service: Service, user: str) -> None:
    own_service.start()
    wrong = {"username": user, "password": secrets.token_hex(4)}
    for _attempt in range(5):
        answer = requests.post(own_service.url + "/v1/token", json=wrong, timeout=10)
        assert (answer.status_code, problem_of(answer)) == (401, "wrong-credentials")
    answer = requests.post(own_service.url + "/v1/token", json=wrong, timeout=10)
    assert (answer.status_code, problem_of(answer), answer.json()["retryable"]) == (429, "too-many-attempts", True)
    assert int(answer.headers["Retry-After"]) >= 1
    assert wrong["password"] not in own_service.log.read_text("utf-8")


def test_a_token_survives_a_restart_and_ends_with_its_password(own_service: Service) -> None:
    client = own_service.start().client()
    own_service.restart()
    assert client.call("GET", "/v1/uploads").status_code == 200
    changed = json.loads(own_service.config.read_text("utf-8"))
    changed["users"][0]["password_hash"] = (
        Service(own_service.root / "state", port=1).config.read_text("utf-8").split('"password_hash": "')[1].split('"')[0]
    )
    own_service.config.write_text(json.dumps(changed), "utf-8")
    own_service.restart()
    assert problem_of(client.call("GET", "/v1/uploads")) == "token-invalid"


@pytest.mark.parametrize(
    "method, path, arguments, status, name",
    [
        ("GET", "/nothing", {}, 404, "not-found"),
        ("GET", "/docs", {}, 404, "not-found"),
        ("GET", "/v1/uploads/", {}, 404, "not-found"),
        ("POST", "/v1/folders/x", {}, 405, "method-not-allowed"),
        ("POST", "/v1/uploads", {"data": b"{"}, 422, "invalid"),
        ("POST", "/v1/uploads", {"data": b"{", "headers": {"Content-Type": "application/json"}}, 422, "invalid"),
        ("POST", "/v1/uploads", {"json": []}, 422, "invalid"),
        ("POST", "/v1/uploads", {"json": {"path": "\ud800"}}, 422, "invalid"),
        ("POST", "/v1/uploads", {"data": b" " * (1 << 20)}, 413, "too-large"),
        ("GET", "/v1/uploads/x", {}, 422, "invalid"),
        ("PUT", f"/v1/uploads/{'0' * 32}/parts/0", {"data": b"x"}, 422, "invalid"),
        ("PUT", f"/v1/uploads/{'0' * 32}/parts/x", {"data": b"x"}, 422, "invalid"),
        ("GET", f"/v1/uploads/{'0' * 32}", {}, 404, "upload-unknown"),
    ],
)
def test_every_error_is_a_problem(client: Client, method: str, path: str, arguments: dict[str, object], status: int, name: str) -> None:
    answer = client.call(method, path, **arguments)
    assert (answer.status_code, problem_of(answer)) == (status, name)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "retryable", "request_id"} <= set(answer.json())
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


def test_a_method_that_is_not_allowed_is_answered_with_all_that_are(client: Client) -> None:
    answer = client.call("POST", "/v1/files/a")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "DELETE, GET, HEAD, PATCH, PUT")


def test_the_server_announces_its_limits(client: Client) -> None:
    server = client.call("GET", "/v1/server").json()
    assert (server["api"], server["sealing"], server["limits"]["parts_max"]) == (1, ["AES256_GCM_HKDF_1MB"], 10_000)
    assert server["limits"]["file_size_max"] == 32 << 20


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning", "ignore::DeprecationWarning")
def test_over_tls_everything_is_the_same_and_old_versions_of_tls_are_refused(tmp_path: pathlib.Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=test",
    ]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    service = Service(tmp_path, tls_certificate=str(certificate), tls_key=str(key)).start()
    try:
        client = service.client(trusted=str(certificate))
        upload = client.begin(secrets.token_bytes(6 << 20), "tls")
        client.put_all(upload)
        assert client.publish(upload)["receipt"]["sha256"] == upload.sha256
        old = ssl.create_default_context(cafile=str(certificate))
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        port = int(service.url.rpartition(":")[2])
        with pytest.raises((ssl.SSLError, ConnectionError)), socket.create_connection(("127.0.0.1", port)) as plain:
            old.wrap_socket(plain, server_hostname="127.0.0.1").close()
    finally:
        service.stop()


def test_metrics_count_what_happens(client: Client) -> None:
    upload = client.begin(b"x", "metrics")
    client.put_all(upload)
    client.publish(upload)
    text = client.call("GET", "/metrics").text
    for name in ("requests_total", "uploads_total", "parts_total", "parts_again_total", "received_bytes_total", "auth_failures_total"):
        assert f"oracle_assembler_{name}" in text
    assert 'oracle_assembler_uploads_total{outcome="published"}' in text
    assert "oracle_assembler_disk_free_bytes" in text


def test_log_lines_are_json_and_hold_no_secrets(client: Client, service: Service) -> None:
    upload = client.begin(b"x", "log")
    wrapped = str(client.wrapped(upload))
    client.put(upload, 1, b"y" + upload.body(1)[1:], **{"Upload-Key": wrapped})
    while '"segment-damaged"' not in (text := service.log.read_text("utf-8")) or not text.endswith("\n"):
        time.sleep(0.01)
    lines = text.splitlines()
    failure = next(entry for entry in map(json.loads, reversed(lines)) if entry.get("problem") == "segment-damaged")
    assert failure["user"] == "dba" and failure["request_id"] and failure["status"] == 422 and failure["upload_id"] == upload.id
    token = str(client.http.headers["Authorization"]).split()[1]
    for secret in (service.password, token, wrapped, upload.key.hex()):
        assert not any(secret in line for line in lines)
