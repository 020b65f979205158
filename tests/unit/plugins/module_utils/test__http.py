# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import email.utils
import re
import socket
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils._connection import Connection
from ansible_collections.bigfile.oci.plugins.module_utils._errors import (
    OptionError,
    Refused,
    SourceChanged,
    Unreachable,
    Untrusted,
    UploadError,
)
from ansible_collections.bigfile.oci.plugins.module_utils._http import TRANSIENT_STATUSES, Http
from ansible_collections.bigfile.oci.tests.unit.plugins.module_utils.tiny_service import (
    Blocks,
    Reply,
    TinyService,
    closed_port,
    problem,
    self_signed,
)

Serve = t.Callable[..., TinyService]

OK = Reply(200, {"fine": True})
PASSWORD, TOKEN = "pass-word-of-dba", "token-of-dba"


def connect(endpoint: str, **options: t.Any) -> Http:
    return Http(Connection(endpoint, username="dba", password=PASSWORD, token=TOKEN, **{"timeout": 5.0, **options}))


def refusal(service: TinyService, method: str = "GET") -> Refused:
    with pytest.raises(Refused) as caught:
        connect(service.endpoint).send(method, "/v1/x", token=TOKEN)
    return caught.value


# Endpoints


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "host.example:8443",
        "ftp://host.example",
        "https://",
        "https:///v1",
        "/v1",
        "host",
        "https://host:port",
        "https://[::1",
        "https://host:99999",
    ],
)
def test_an_endpoint_is_a_url(endpoint: str) -> None:
    with pytest.raises(OptionError, match=r"is not a URL such as https://host\.example:8443"):
        connect(endpoint)


@pytest.mark.parametrize("rest", ["host.example", "host:port", "[::1", ""])
def test_an_endpoint_with_a_password_is_refused_without_showing_it(rest: str) -> None:
    with pytest.raises(OptionError, match=r"give them with username and password") as caught:
        connect(f"https://dba:{PASSWORD}@{rest}")
    assert PASSWORD not in str(caught.value)


def test_a_slash_at_the_end_of_the_endpoint_makes_no_difference(serve: Serve) -> None:
    service = serve(OK)
    connect(service.endpoint + "/").send("GET", "/v1/server")
    assert service.paths("GET") == ["/v1/server"]


def test_an_endpoint_below_a_path_keeps_it(serve: Serve) -> None:
    service = serve(OK)
    connect(service.endpoint + "/uploads/").send("GET", "/v1/server")
    assert service.paths("GET") == ["/uploads/v1/server"]


@pytest.mark.parametrize("endpoint", ["http://host.example", "http://10.0.0.1:8080", "http://localhost.example", "http://[2001:db8::1]"])
def test_plain_http_to_another_host_is_refused(endpoint: str) -> None:
    with pytest.raises(Untrusted, match=r"plain http to another host.*assembler_public_key.*validate_certs"):
        connect(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    ["http://localhost:8080", "http://127.0.0.1", "http://127.1.2.3", "http://[::1]:8080", "https://host.example"],
)
def test_what_stays_inside_the_host_or_is_under_tls_goes(endpoint: str) -> None:
    assert connect(endpoint).base == endpoint


@pytest.mark.parametrize("options", [{"public_key": bytes(32)}, {"validate_certs": False}])
def test_plain_http_goes_when_the_key_is_pinned_or_the_user_insists(options: dict[str, t.Any]) -> None:
    assert connect("http://host.example", **options).base == "http://host.example"


# Requests


def test_the_token_goes_as_bearer(serve: Serve) -> None:
    service = serve(OK)
    connect(service.endpoint).send("GET", "/v1/x", token=TOKEN)
    assert service.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("token", [None, TOKEN])
def test_a_netrc_is_ignored(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\ndefault login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    service = serve(OK)
    connect(service.endpoint).send("GET", "/v1/x", token=token)
    assert service.requests[0].headers.get("authorization") == (f"Bearer {TOKEN}" if token else None)


def test_members_go_as_json(serve: Serve) -> None:
    service = serve(OK)
    connect(service.endpoint).send("POST", "/v1/x", members={"name": "Grüße"})
    assert service.requests[0].json() == {"name": "Grüße"}
    assert service.requests[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize("blocks", [(b"x",), (b"a" * (1 << 20), b"b" * (1 << 20), b"c"), (bytes(range(256)) * 5000,)])
def test_a_streamed_body_arrives_whole_with_its_length(serve: Serve, blocks: tuple[bytes, ...]) -> None:
    service = serve(OK)
    connect(service.endpoint).send("PUT", "/v1/x", body=lambda: Blocks(*blocks))
    (request,) = service.requests
    assert request.body == b"".join(blocks)
    assert request.headers["content-length"] == str(len(request.body))
    assert "transfer-encoding" not in request.headers


def test_an_empty_body_has_a_length_too(serve: Serve) -> None:
    service = serve(OK)
    connect(service.endpoint).send("PUT", "/v1/x", body=Blocks)
    assert service.requests[0].headers["content-length"] == "0"
    assert "transfer-encoding" not in service.requests[0].headers


def test_each_request_asks_for_a_body_of_its_own(serve: Serve) -> None:
    service, bodies = serve(OK), iter([Blocks(b"first"), Blocks(b"second")])
    client = connect(service.endpoint)
    for _unused in range(2):
        client.send("PUT", "/v1/x", body=lambda: next(bodies))
    assert [request.body for request in service.requests] == [b"first", b"second"]


def test_an_error_of_the_body_comes_through_and_spoils_no_later_request(serve: Serve) -> None:
    class Changing(Blocks):
        def __iter__(self) -> t.Iterator[memoryview]:
            yield memoryview(self.blocks[0])
            raise SourceChanged("the source changed")

    service = serve(OK)
    client = connect(service.endpoint)
    with pytest.raises(SourceChanged, match=r"^the source changed$"):
        client.send("PUT", "/v1/x", body=lambda: Changing(b"x" * 1000, b"y"))
    assert client.send("GET", "/v1/y").json() == {"fine": True}


def test_a_thread_keeps_its_connection(serve: Serve) -> None:
    service = serve(OK)
    client = connect(service.endpoint)
    for _unused in range(5):
        client.send("GET", "/v1/x")
    assert service.connections == 1


def test_each_thread_has_a_connection_of_its_own(serve: Serve) -> None:
    service, together = serve(OK), threading.Barrier(4)
    client = connect(service.endpoint)

    def work() -> None:
        together.wait(10)
        client.send("GET", "/v1/x")
        together.wait(10)

    threads = [threading.Thread(target=work) for _unused in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert service.connections == 4


# Answers


def test_an_answer_that_is_a_success_is_told(serve: Serve) -> None:
    answer = connect(serve(Reply(201, {"a": 1}, {"X-Thing": "x"})).endpoint).send("GET", "/v1/x")
    assert (answer.status, answer.headers["x-thing"], answer.member("a")) == (201, "x", 1)


@pytest.mark.parametrize("body", [b"", b"<html><body>Welcome</body></html>", b"[1]", b"null", b'"text"', b"{", b"\xff\xfe"])
def test_an_answer_that_is_no_json_object_is_from_somebody_else(serve: Serve, body: bytes) -> None:
    service = serve(Reply(200, body=body))
    with pytest.raises(Refused, match=r"GET http://127.*/v1/x is not JSON; something else than the service answers there") as caught:
        connect(service.endpoint).send("GET", "/v1/x").json()
    assert not caught.value.transient


def test_a_member_that_is_missing_is_told(serve: Serve) -> None:
    with pytest.raises(Refused, match=r"GET http://127.*/v1/x has no token"):
        connect(serve(OK).endpoint).send("GET", "/v1/x").member("token")


def test_a_problem_is_told_in_its_own_words(serve: Serve) -> None:
    error = refusal(serve(problem(409, "part-conflict", etag="e")))
    assert re.fullmatch(r"http://\S+ says: about part-conflict \(HTTP 409, request r-1\)", str(error))
    assert (error.status, error.problem, error.members["etag"]) == (409, "part-conflict", "e")
    assert error.facts == {"status": 409, "problem": "part-conflict", "request_id": "r-1"}


@pytest.mark.parametrize("retryable", [True, False])
@pytest.mark.parametrize("status", [400, 409, 422, 500, 503])
def test_a_problem_knows_whether_it_may_pass(serve: Serve, status: int, retryable: bool) -> None:
    assert refusal(serve(problem(status, "x", retryable=retryable))).transient is retryable


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 422, 425, 429, 500, 501, 502, 503, 504, 507])
def test_an_answer_that_does_not_say_may_pass_by_its_status(serve: Serve, status: int) -> None:
    error = refusal(serve(Reply(status, body=b"<h1>nginx</h1>", headers={"Content-Type": "text/html"})))
    assert error.transient is (status in TRANSIENT_STATUSES)
    assert f"HTTP {status} and no problem document; something else than the service may answer there" in str(error)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_service_or_proxy_in_trouble_may_recover(status: int) -> None:
    assert status in TRANSIENT_STATUSES


def test_a_refused_head_has_no_words_but_its_status(serve: Serve) -> None:
    error = refusal(serve(problem(404, "not-found")._replace(headers={"X-Request-Id": "r-9"})), "HEAD")
    assert str(error).endswith("answers HEAD with HTTP 404, request r-9; look for that in the log of the service")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
def test_a_problem_that_is_none_is_told_by_its_status(serve: Serve, body: bytes) -> None:
    error = refusal(serve(Reply(503, body=body, headers={"Content-Type": "application/problem+json"})))
    assert (error.status, error.problem, error.transient) == (503, "", True)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_told_and_not_followed(serve: Serve, status: int) -> None:
    elsewhere = serve(OK)
    error = refusal(serve(Reply(status, headers={"Location": f"{elsewhere.endpoint}/there"})))
    assert f"a redirect to {elsewhere.endpoint}/there; give that as endpoint" in str(error)
    assert elsewhere.requests == []
    assert not error.transient


# Retry-After


@pytest.mark.parametrize(("header", "seconds"), [("0", 0.0), ("7", 7.0), (" 120 ", 120.0)])
def test_a_retry_after_in_seconds_is_read(serve: Serve, header: str, seconds: float) -> None:
    assert refusal(serve(Reply(503, headers={"Retry-After": header}))).retry_after == seconds


def test_a_retry_after_as_a_date_is_read(serve: Serve) -> None:
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert refusal(serve(Reply(503, headers={"Retry-After": date}))).retry_after == pytest.approx(100, abs=5)


def test_a_retry_after_in_the_past_is_now(serve: Serve) -> None:
    error = refusal(serve(Reply(503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})))
    assert error.retry_after == 0.0


@pytest.mark.parametrize("header", ["", "soon", "-1", "1.5", "\xb2", "Wed, 99 Oct 2015 07:28:00 GMT"])
def test_a_retry_after_that_cannot_be_read_is_none(serve: Serve, header: str) -> None:
    assert refusal(serve(Reply(503, headers={"Retry-After": header}))).retry_after is None


def test_no_retry_after_is_none(serve: Serve) -> None:
    assert refusal(serve(Reply(503))).retry_after is None


# No answer


def test_a_refused_connection_may_pass() -> None:
    endpoint = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(Unreachable, match=rf"no connection to {endpoint}: .*[Rr]efused.*is the service running") as caught:
        connect(endpoint).send("GET", "/v1/x")
    assert caught.value.transient


def test_a_name_that_is_not_known_may_become_known() -> None:
    with pytest.raises(Unreachable, match=r"no connection to https://nowhere\.invalid"):
        connect("https://nowhere.invalid").send("GET", "/v1/x")


def test_a_service_that_stands_still_is_told_with_the_time(serve: Serve) -> None:
    over = threading.Event()

    def slow(unused: object) -> Reply:
        over.wait(10)
        return OK

    client = connect(serve(slow).endpoint, timeout=0.1)
    with pytest.raises(Unreachable, match=r"stood still for 0\.1 seconds; give a longer timeout"):
        client.send("GET", "/v1/x")
    over.set()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b"SSH-2.0-OpenSSH\r\n"])
def test_an_answer_that_breaks_off_may_pass(said: bytes) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        connection, _address = listener.accept()
        connection.recv(65536)
        connection.sendall(said)
        connection.close()

    thread = threading.Thread(target=hang_up, daemon=True)
    thread.start()
    with listener, pytest.raises(Unreachable, match=r"no connection to http://127"):
        connect(f"http://127.0.0.1:{listener.getsockname()[1]}").send("GET", "/v1/x")
    thread.join(10)


def test_only_an_answer_makes_a_service_reached(serve: Serve) -> None:
    client = connect(f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(Unreachable):
        client.send("GET", "/v1/x")
    assert not client.reached
    client = connect(serve(Reply(503)).endpoint)
    with pytest.raises(Refused):
        client.send("GET", "/v1/x")
    assert client.reached


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls") / "here.pem")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls") / "elsewhere.pem", address="192.0.2.1")


def untrusted(service: TinyService, **options: t.Any) -> str:
    with pytest.raises(Untrusted) as caught:
        connect(service.endpoint, **options).send("GET", "/v1/x", token=TOKEN)
    assert not caught.value.transient
    assert service.requests == []
    return str(caught.value)


def test_a_certificate_that_nobody_signed_is_not_trusted_for_good(serve: Serve, certificate: Path) -> None:
    said = untrusted(serve(OK, certificate=certificate))
    assert re.search(r"the certificate of https://\S+ is not trusted: self.signed certificate; .* with ca_path", said)


def test_a_certificate_is_trusted_by_ca_path(serve: Serve, certificate: Path) -> None:
    service = serve(OK, certificate=certificate)
    assert connect(service.endpoint, ca_path=str(certificate)).send("GET", "/v1/x").status == 200


def test_a_certificate_of_another_host_is_not_trusted(serve: Serve, stranger: Path) -> None:
    said = untrusted(serve(OK, certificate=stranger), ca_path=str(stranger))
    assert "is not trusted: IP address mismatch" in said


def test_a_certificate_of_another_authority_is_not_trusted(serve: Serve, certificate: Path, stranger: Path) -> None:
    assert "is not trusted" in untrusted(serve(OK, certificate=certificate), ca_path=str(stranger))


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_any_certificate_will_do_when_the_user_insists(serve: Serve, stranger: Path) -> None:
    service = serve(OK, certificate=stranger)
    assert connect(service.endpoint, validate_certs=False).send("GET", "/v1/x").status == 200


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_environment_does_not_outdo_ca_path(
    serve: Serve, certificate: Path, stranger: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(certificate))
    assert "is not trusted" in untrusted(serve(OK, certificate=certificate), ca_path=str(stranger))


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_environment_does_not_outdo_validate_certs(
    serve: Serve, certificate: Path, stranger: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(stranger))
    service = serve(OK, certificate=certificate)
    assert connect(service.endpoint, validate_certs=False).send("GET", "/v1/x").status == 200


def test_a_ca_path_without_certificates_is_told_for_good(serve: Serve, certificate: Path, tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("no certificate\n")
    with pytest.raises((OptionError, Untrusted), match=r"ca_path"):
        connect(serve(OK, certificate=certificate).endpoint, ca_path=str(empty)).send("GET", "/v1/x")


def test_a_client_certificate_without_a_key_is_told_for_good(serve: Serve, certificate: Path, tmp_path: Path) -> None:
    bare = tmp_path / "client.pem"
    bare.write_text(certificate.read_text().partition("-----BEGIN PRIVATE KEY")[0])
    options = {"ca_path": str(certificate), "client_cert": str(bare)}
    with pytest.raises((OptionError, Untrusted), match=r"client_cert"):
        connect(serve(OK, certificate=certificate).endpoint, **options).send("GET", "/v1/x")


def test_a_client_certificate_with_its_key_goes(serve: Serve, certificate: Path) -> None:
    options = {"ca_path": str(certificate), "client_cert": str(certificate)}
    assert connect(serve(OK, certificate=certificate).endpoint, **options).send("GET", "/v1/x").status == 200


def test_tls_to_a_port_that_speaks_none_is_told(serve: Serve) -> None:
    endpoint = serve(OK).endpoint.replace("http:", "https:")
    with pytest.raises(Unreachable, match=r"no connection to https://"):
        connect(endpoint).send("GET", "/v1/x")


# Secrets


def everything_about(error: BaseException | None) -> str:
    """What a traceback and a careless log line would show."""
    said = ""
    while error is not None:
        said += f"{error!s} {error!r} {getattr(error, 'facts', '')} "
        error = error.__cause__ or error.__context__
    return said


@pytest.mark.parametrize(
    "reply",
    [problem(401, "wrong-credentials"), Reply(500), Reply(302, headers={"Location": "/x"}), Reply(200, body=b"x")],
)
def test_no_error_shows_a_secret(serve: Serve, reply: Reply) -> None:
    client = connect(serve(reply).endpoint)
    with pytest.raises(UploadError) as caught:
        client.send("POST", "/v1/token", token=TOKEN, members={"password": PASSWORD}).json()
    assert not {PASSWORD, TOKEN} & set(re.split(r"[^\w-]", everything_about(caught.value)))


def test_no_error_of_a_connection_shows_a_secret() -> None:
    with pytest.raises(Unreachable) as caught:
        connect(f"http://127.0.0.1:{closed_port()}").send("POST", "/v1/token", token=TOKEN, members={"password": PASSWORD})
    said = everything_about(caught.value)
    assert PASSWORD not in said
    assert TOKEN not in said


@pytest.mark.parametrize("end", ["\n", "\r\n", " ", "\n\n", "\nX-Other: 1", "\u20ac", "\x00", "\xa0", "\u2028"])
def test_a_token_that_no_header_can_carry_is_refused_without_showing_it(serve: Serve, end: str) -> None:
    service = serve(OK)
    with pytest.raises(OptionError, match=r"the token") as caught:
        connect(service.endpoint).send("GET", "/v1/x", token=TOKEN + end)
    assert TOKEN not in everything_about(caught.value)
    assert service.requests == []


def test_a_connection_does_not_show_its_secrets() -> None:
    connection = Connection("https://host.example", username="dba", password=PASSWORD, token=TOKEN)
    assert PASSWORD not in repr(connection)
    assert TOKEN not in f"{connection}"
