"""Bad input and failure get one clear sentence that names the thing and says what to do; nothing is lost."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import os
import socket
import subprocess
import threading
import typing as t
from pathlib import Path

import pytest

from .conftest import Client, MiB, Service, make_file, sha256_of, until
from .test_source import interrupted


@pytest.fixture
def source(work: Path) -> Path:
    return make_file(work / "source.bin", 6 * MiB)


def test_a_source_that_is_not_there(client: Client) -> None:
    assert "/nowhere/x.dmp does not exist" in client.refused(src="/nowhere/x.dmp")


def test_a_folder_as_source(client: Client, work: Path) -> None:
    assert "is a folder" in client.refused(src=str(work))


def test_a_source_that_is_no_regular_file(client: Client, work: Path) -> None:
    os.mkfifo(work / "pipe")
    assert "is not a regular file" in client.refused(src=str(work / "pipe"))
    assert "is not a regular file" in client.refused(src="/dev/zero")


def test_a_source_that_may_not_be_read(client: Client, source: Path) -> None:
    source.chmod(0)
    # root reads everything, but for a root without these capabilities
    drop = "-dac_override,-dac_read_search"
    before = ["setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}"] if os.geteuid() == 0 else []
    run = client.finish(client.start(src=str(source), before=before))
    assert run.result["failed"] and "cannot be read by this user" in run.result["msg"], run.text


@pytest.mark.parametrize("dest", ["../x", "/etc/passwd", "a/../../x", "a//b", ".", "a/./b", "x/" * 3 + "..", "a\nb"])
def test_a_destination_outside_the_root(client: Client, source: Path, dest: str) -> None:
    message = client.refused(src=str(source), dest=dest)
    assert "not below the user's root" in message or "control characters" in message


def test_a_destination_under_a_name_of_the_services_own(client: Client, source: Path) -> None:
    assert "a name that the service uses itself" in client.refused(src=str(source), dest=f".{'0' * 32}.partial")


def test_split_and_part_size_together(client: Client, source: Path) -> None:
    assert "split|part_size" in client.refused(src=str(source), split=3, part_size="16M")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"part_size": "1M"}, "at least 5 MiB"),
        ({"part_size": "much"}, "part_size: much is no size"),
        ({"split": 0}, "split is the number of parts"),
        ({"threads": 0}, "threads is a number from 1 to 64"),
        ({"threads": 65}, "threads is a number from 1 to 64"),
        ({"rate_limit": "0"}, "rate_limit is a size above 0"),
        ({"mode": "640"}, 'such as "0640"'),
        ({"timeout": 0}, "timeout is a number of seconds above 0"),
        ({"ca_path": "/nowhere.pem"}, "ca_path: /nowhere.pem does not exist"),
        ({"endpoint": "db1.example"}, "is not a URL such as https://"),
        ({"endpoint": "http://db1.example"}, "use https, or pin the service's key"),
        ({"assembler_public_key": "AAAA"}, "assembler_public_key is base64 of 3 bytes; it takes 32"),
        ({"assembler_public_key": base64.b64encode(bytes(32)).decode()}, "shows another public key"),
    ],
)
def test_an_option_that_cannot_be_meant(client: Client, source: Path, options: dict[str, t.Any], words: str) -> None:
    assert words in client.refused(src=str(source), **options)


def test_a_key_of_the_wrong_length_and_it_is_not_shown(client: Client, source: Path) -> None:
    key = base64.b64encode(os.urandom(31)).decode()
    run = client.run(src=str(source), encryption_key=key)
    assert "encryption_key is base64 of 31 bytes; it takes 32" in run.result["msg"] and key not in run.text


def test_a_wrong_password(client: Client, source: Path) -> None:
    run = client.finish(client.start(src=str(source), environment=client.environment(BIGFILE_PASSWORD="not-this-one-at-all")))
    assert run.result["failed"] and "password" in run.result["msg"] and "HTTP 401" in run.result["msg"], run.text
    assert "not-this-one-at-all" not in run.text


def test_no_password_at_all(client: Client, source: Path) -> None:
    environment = client.environment()
    del environment["BIGFILE_PASSWORD"]
    run = client.finish(client.start(src=str(source), environment=environment))
    assert "give username and password, or a token" in run.result["msg"]


def test_a_token_that_is_refused(client: Client, source: Path) -> None:
    environment = client.environment(BIGFILE_TOKEN="no-token-of-ours")
    del environment["BIGFILE_PASSWORD"]
    run = client.finish(client.start(src=str(source), environment=environment))
    assert run.result["failed"] and "401" in run.result["msg"], run.text


def test_no_route(client: Client, source: Path) -> None:
    message = client.refused(src=str(source), endpoint="http://127.0.0.1:1")
    assert "no connection to http://127.0.0.1:1" in message and "Connection refused" in message


def test_a_name_that_nobody_knows(client: Client, source: Path) -> None:
    message = client.refused(src=str(source), endpoint="https://nobody.invalid:8443")
    assert "no connection to https://nobody.invalid:8443" in message and "resolve" in message


@pytest.fixture(scope="module")
def tls(base: Path) -> t.Iterator[Service]:
    folder = base / "tls"
    folder.mkdir()
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    service = Service(folder / "service", tls_certificate=str(certificate), tls_key=str(key)).start()
    yield service
    service.stop()


def test_a_certificate_that_is_not_trusted_and_one_that_is(base: Path, tls: Service, source: Path) -> None:
    client = Client(base / "tls" / "client", tls)
    message = client.refused(src=str(source))
    assert "certificate" in message and "not trusted" in message and "ca_path" in message
    assert client.upload(source, ca_path=str(base / "tls" / "certificate.pem"))["changed"] is True
    assert sha256_of(tls.root / "source.bin") == sha256_of(source)
    assert client.upload(source, validate_certs=False)["changed"] is False


def test_a_server_without_room_for_it(base: Path, work: Path) -> None:
    service = Service(base / "full" / "service", quota=50 * MiB).start()
    client = Client(base / "full" / "client", service)
    source = make_file(work / "too-much.bin", 60 * MiB)
    try:
        run = client.finish(
            client.start(
                src=str(source),
                environment=client.environment(BIGFILE_USERNAME="other", BIGFILE_PASSWORD=service.other_password),
            )
        )
        assert run.result["failed"] and "quota" in run.result["msg"] and "507" in run.result["msg"], run.text
        with source.open("r+b") as file:
            file.truncate(4 << 40)
        message = client.refused(src=str(source))
        assert "507" in message and "not enough room" in message
        assert service.leftovers() == []
    finally:
        service.stop()


class OldService(http.server.BaseHTTPRequestHandler):
    """A service of the time before the protocol had a version."""

    def answer(self, status: int, members: t.Any) -> None:
        body = json.dumps(members).encode()
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if status < 400 else "application/problem+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self) -> None:
        self.answer(200, {"token": "t", "token_type": "Bearer", "expires_in": 60})

    def do_HEAD(self) -> None:
        self.answer(404, {})

    def do_GET(self) -> None:
        self.answer(200, {"service": "oracle_assembler", "api": 0} if self.path == "/v1/server" else {"uploads": []})

    def log_message(self, *unused: t.Any) -> None:
        """Keep quiet."""


class CaptivePortal(OldService):
    """Something that answers everything with a page."""

    def answer(self, status: int, members: t.Any) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b"<html>please log in</html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> t.Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("size", [10, 6 * MiB])
def test_a_server_that_is_too_old(client: Client, work: Path, size: int) -> None:
    source = make_file(work / "new.bin", size)
    with serving(OldService) as endpoint:
        message = client.refused(src=str(source), endpoint=endpoint)
    assert "too old" in message and "oracle_assembler" in message


def test_a_page_in_place_of_the_service(client: Client, source: Path) -> None:
    with serving(CaptivePortal) as endpoint:
        assert "not JSON; something else than the service answers there" in client.refused(src=str(source), endpoint=endpoint)


def test_a_service_that_stands_still(client: Client, source: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert "stood still for 0.5 seconds" in client.refused(src=str(source), endpoint=endpoint, timeout=0.5)


def test_a_deadline_that_is_reached_keeps_what_was_sent(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "late.bin", 60 * MiB)
    message = client.refused(src=str(source), part_size="5M", rate_limit="20M", deadline=2)
    assert "deadline of 2 seconds" in message and "parts are safe on the server; run the task again" in message
    assert client.upload(source)["resumed"] is True


@pytest.mark.parametrize("encrypt", [True, False])
def test_a_damaged_journal_is_set_aside_and_the_upload_goes_on(client: Client, service: Service, work: Path, encrypt: bool) -> None:
    source = make_file(work / "journaled.bin", 60 * MiB)
    options = {"encrypt": encrypt}
    process = client.start(src=str(source), part_size="5M", rate_limit="30M", **options)
    until(lambda: sum(1 for unused in service.root.rglob("*.opened")) >= 3)
    process.kill()
    client.finish(process)
    damaged = b"this is no journal at all, and never was one" * 200
    client.journal.write_bytes(damaged)
    result = client.upload(source, **options)
    (warning,) = result["warnings"]
    assert "damaged" in str(warning) and "set aside" in str(warning)
    (aside,) = client.journal.parent.glob("journal.db.damaged-*[0-9]")
    assert aside.read_bytes() == damaged
    assert result["resumed"] is not encrypt, "a plain upload needs no key from the journal; a sealed one begins anew"
    assert sha256_of(service.root / "journaled.bin") == sha256_of(source)
    assert service.leftovers() == [], "the old upload was aborted"


def test_a_users_key_resumes_even_without_the_journal(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "keyed.bin", 60 * MiB)
    key = base64.b64encode(os.urandom(32)).decode()
    process = client.start(src=str(source), part_size="5M", rate_limit="30M", encryption_key=key)
    until(lambda: sum(1 for unused in service.root.rglob("*.opened")) >= 3)
    process.kill()
    client.finish(process)
    client.journal.unlink()
    result = client.upload(source, encryption_key=key)
    assert result["resumed"] is True and result["parts_present"] >= 3
    assert sha256_of(service.root / "keyed.bin") == sha256_of(source)


def test_a_journal_that_cannot_be_written(client: Client, source: Path) -> None:
    message = client.refused(src=str(source), journal="/proc/nowhere/journal.db")
    assert "the journal /proc/nowhere/journal.db cannot be used" in message and "option journal" in message


def test_another_users_folder_is_out_of_reach(client: Client, service: Service, source: Path) -> None:
    client.upload(source, dest="mine.bin")
    run = client.finish(
        client.start(
            "oci_chunked_upload_info",
            path="mine.bin",
            environment=client.environment(BIGFILE_USERNAME="other", BIGFILE_PASSWORD=service.other_password),
        )
    )
    assert run.code == 0 and run.result["file"] is None, run.text


def test_an_upload_of_the_old_source_is_listed_until_the_next_run(client: Client, service: Service, work: Path) -> None:
    source = make_file(work / "listed.bin", 60 * MiB)
    interrupted(client, service, source)
    assert [pending["path"] for pending in client.info()["pending"]] == ["listed.bin"]
    client.upload(source)
    assert client.info()["pending"] == []
