# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import base64
import functools
import hashlib
import threading
import typing as t
from urllib.parse import unquote

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils._connection import Connection
from ansible_collections.bigfile.oci.plugins.module_utils._errors import OptionError, Refused, Unreachable, Untrusted, UploadError
from ansible_collections.bigfile.oci.plugins.module_utils._file_upload import FileUpload
from ansible_collections.bigfile.oci.plugins.module_utils._retry import Policy, persist
from ansible_collections.bigfile.oci.tests.unit.plugins.module_utils.tiny_service import (
    Blocks,
    Reply,
    Request,
    TinyService,
    closed_port,
    problem,
)

Serve = t.Callable[..., TinyService]

PASSWORD = "pass-word-of-dba"
ID = "00112233445566778899aabbccddeeff"
NAMES = [
    "exp.dmp",
    "a b.dmp",
    "Grüße aus Köln.dmp",
    "\U0001f418\U0001f5c4.dmp",
    "-rf",
    "--help",
    "100%",
    "%41%2e%2e",
    "what?.dmp",
    "#1",
    "a&b=c;d+e,f:g@h!$'()*",
    "back\\slash",
    "tilde~under_score.dash-",
    "...",
    '"quoted"',
    "[brackets]{braces}|<tags>^`",
    "x" * 255,
]


def patiently(action: t.Callable[[], t.Any], *, retries: int = 3) -> t.Any:
    return persist(action, policy=Policy(retries=retries), wait=lambda unused: None, random=lambda: 0.0, noted=lambda unused: None)


class Tokens:
    """A service that makes tokens ``t1``, ``t2``, ... and takes those in ``good``; whatever else is asked is ``answer``."""

    def __init__(self, answer: Reply | None = None) -> None:
        self.answer = answer or Reply(200, {"fine": True})
        self.good: set[str] = set()
        self.lock = threading.Lock()
        self.made = 0

    def __call__(self, request: Request) -> Reply:
        if request.path == "/v1/token":
            if request.json()["password"] != PASSWORD:
                return problem(401, "wrong-credentials", retryable=False)
            with self.lock:
                self.made += 1
                self.good = {f"t{self.made}"}
                return Reply(200, {"token": f"t{self.made}", "token_type": "Bearer", "expires_in": 60})
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.good:
            return problem(401, "token-refused", retryable=False)
        return self.answer


def client(endpoint: str, **options: t.Any) -> FileUpload:
    if not options:
        options = {"username": "dba", "password": PASSWORD}
    return FileUpload(Connection(endpoint, timeout=5.0, **options), persist=patiently)


def answering(serve: Serve, reply: Reply) -> tuple[TinyService, FileUpload]:
    """A service that gives one answer to all, and a client with a token."""
    service = serve(reply)
    return service, client(service.endpoint, token="token")


# Tokens


def test_a_token_is_made_once_for_many_calls(serve: Serve) -> None:
    tokens = Tokens(Reply(200, {"uploads": []}))
    service = serve(tokens)
    made = client(service.endpoint)
    for _unused in range(5):
        made.uploads()
    assert tokens.made == 1
    assert service.requests[0].json() == {"username": "dba", "password": PASSWORD}


def test_a_token_is_made_once_for_many_threads(serve: Serve) -> None:
    tokens = Tokens(Reply(200, {"uploads": []}))
    made = client(serve(tokens).endpoint)
    in_threads(8, made.uploads)
    assert tokens.made == 1


def test_an_expired_token_is_made_anew_in_mid_flight(serve: Serve) -> None:
    tokens = Tokens(Reply(200, {"uploads": []}))
    made = client(serve(tokens).endpoint)
    made.uploads()
    tokens.good = set()
    assert made.uploads() == []
    assert tokens.made == 2


def test_an_expired_token_is_made_anew_once_for_many_threads(serve: Serve) -> None:
    """All of them are refused with the old token before any asks for the new one."""
    together = threading.Barrier(8)
    tokens = Tokens(Reply(200, {"uploads": []}))

    def answer(request: Request) -> Reply:
        if request.headers.get("authorization") == "Bearer old":
            together.wait(10)
        return tokens(request)

    made = client(serve(answer).endpoint, token="old", username="dba", password=PASSWORD)
    in_threads(8, made.uploads)
    assert tokens.made == 1


def test_a_token_that_was_given_is_used_and_none_is_made(serve: Serve) -> None:
    tokens = Tokens(Reply(200, {"uploads": []}))
    tokens.good = {"given"}
    client(serve(tokens).endpoint, token="given", username="dba", password=PASSWORD).uploads()
    assert tokens.made == 0


def test_a_given_token_that_expires_is_replaced_when_there_is_a_password(serve: Serve) -> None:
    tokens = Tokens(Reply(200, {"uploads": []}))
    client(serve(tokens).endpoint, token="given", username="dba", password=PASSWORD).uploads()
    assert tokens.made == 1


@pytest.mark.parametrize("more", [{}, {"username": "dba"}, {"password": PASSWORD}])
def test_a_token_alone_that_expires_is_the_end(serve: Serve, more: dict[str, str]) -> None:
    service = serve(Tokens())
    with pytest.raises(UploadError) as caught:
        client(service.endpoint, token="given", **more).uploads()
    assert not caught.value.transient
    assert len(service.requests) == 1


def test_a_wrong_password_is_the_end_and_not_shown(serve: Serve) -> None:
    service = serve(Tokens())
    with pytest.raises(Refused, match=r"wrong-credentials") as caught:
        client(service.endpoint, username="dba", password="wrong-pass-word").uploads()
    assert len(service.requests) == 1
    assert "wrong-pass-word" not in f"{caught.value} {caught.value!r} {caught.value.facts}"


def test_a_token_that_is_refused_as_soon_as_it_is_made_is_the_end_after_some_tries(serve: Serve) -> None:
    def answer(request: Request) -> Reply:
        return Reply(200, {"token": "new"}) if request.path == "/v1/token" else problem(401, "token-refused")

    service = serve(answer)
    with pytest.raises(Refused, match=r"token-refused"):
        client(service.endpoint).uploads()
    assert len(service.paths("GET")) == 4


@pytest.mark.parametrize("options", [{}, {"username": "dba"}, {"password": PASSWORD}, {"username": "dba", "password": ""}, {"token": ""}])
def test_nobody_in_particular_is_told_to_say_who(serve: Serve, options: dict[str, str]) -> None:
    service = serve(Tokens())
    with pytest.raises(OptionError, match=r"give username and password, or a token"):
        client(service.endpoint, **{"token": None, **options}).uploads()
    assert service.requests == []


def test_an_empty_token_is_none(serve: Serve) -> None:
    """As an environment variable that is set to nothing gives it."""
    tokens = Tokens(Reply(200, {"uploads": []}))
    service = serve(tokens)
    client(service.endpoint, token="", username="dba", password=PASSWORD).uploads()
    assert [request.path for request in service.requests] == ["/v1/token", "/v1/uploads"]


@pytest.mark.parametrize("body", [Reply(200, body=b"<html>"), Reply(200, {}), Reply(200, {"access_token": "x"})])
def test_what_makes_no_token_is_not_the_service(serve: Serve, body: Reply) -> None:
    with pytest.raises(Refused, match=r"POST http://\S+/v1/token"):
        client(serve(body).endpoint).uploads()


def test_a_part_is_sent_again_with_a_new_token_by_whoever_sends_parts(serve: Serve) -> None:
    """A part is sent once by each call, but the error says that another token can be had."""
    tokens = Tokens(Reply(201, {"etag": "e"}))
    made = client(serve(tokens).endpoint, token="old", username="dba", password=PASSWORD)
    send = functools.partial(made.put_part, ID, 1, Blocks(), key=None, replaces=None)
    with pytest.raises(Refused) as caught:
        send()
    assert caught.value.transient
    assert send() == "e"


# The service


def server(**members: t.Any) -> Reply:
    key = base64.b64encode(bytes(32)).decode()
    return Reply(200, {"service": "oracle_assembler", "version": "1.0.0", "api": 1, "public_key": key, "sealing": [], **members})


def test_the_service_is_asked_without_a_token(serve: Serve) -> None:
    service, made = answering(serve, server())
    assert made.server()["version"] == "1.0.0"
    assert "authorization" not in service.requests[0].headers


def test_the_service_is_asked_once_who_it_is(serve: Serve) -> None:
    service, made = answering(serve, server())
    assert made.server() == made.server()
    assert len(service.requests) == 1


def test_a_service_that_was_not_the_one_is_asked_again(serve: Serve) -> None:
    service, made = answering(serve, Reply(200, {"service": "nginx"}))
    for _time in range(2):
        with pytest.raises(Untrusted):
            made.server()
    assert len(service.requests) == 2


@pytest.mark.parametrize("api", [1, 2, 99])
def test_a_service_that_speaks_more_than_we_do_is_fine(serve: Serve, api: int) -> None:
    assert answering(serve, server(api=api))[1].server()["api"] == api


@pytest.mark.parametrize("api", [0, None])
def test_a_service_that_is_too_old_is_told_what_to_do(serve: Serve, api: int | None) -> None:
    with pytest.raises(Untrusted, match=rf"too old: it speaks version {api} .* 1 is needed; deploy it again with the role"):
        answering(serve, server(api=api))[1].server()


@pytest.mark.parametrize("reply", [Reply(200, {"service": "nginx"}), Reply(200, {})])
def test_another_service_is_not_taken_for_ours(serve: Serve, reply: Reply) -> None:
    with pytest.raises(Untrusted, match=r"is not the service oracle_assembler; look at the endpoint"):
        answering(serve, reply)[1].server()


def test_a_pinned_key_must_be_the_one_shown(serve: Serve) -> None:
    service = serve(server())
    assert client(service.endpoint, token="token", public_key=bytes(32)).server()
    with pytest.raises(Untrusted, match=r"another public key than assembler_public_key"):
        client(service.endpoint, token="token", public_key=bytes(31) + b"\1").server()


@pytest.mark.parametrize("shown", [None, "", "AAAA", base64.b64encode(bytes(31)).decode(), "not base64!", 7])
def test_a_service_without_a_public_key_is_none_of_ours(serve: Serve, shown: t.Any) -> None:
    service = serve(server(public_key=shown))
    with pytest.raises(Untrusted, match=r"has no public key of 32 bytes"):
        client(service.endpoint, token="token", public_key=bytes(32)).server()


# Names in URLs

CALLS: list[tuple[str, t.Callable[[FileUpload, str], object], str]] = [
    ("/v1/files/", lambda made, path: made.file(path), "HEAD"),
    ("/v1/files/", lambda made, path: made.put_file(path, {}, list), "PUT"),
    ("/v1/files/", lambda made, path: made.set_mode(path, "0640"), "PATCH"),
    ("/v1/files/", lambda made, path: made.delete_file(path), "DELETE"),
    ("/v1/folders/", lambda made, path: made.create_folder(path), "PUT"),
    ("/v1/folders/", lambda made, path: made.list_folder(path), "GET"),
    ("/v1/folders/", lambda made, path: made.delete_folder(path), "DELETE"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("route", "call", "method"), CALLS, ids=[method + route for route, unused, method in CALLS])
def test_any_name_comes_through_a_url(
    serve: Serve, route: str, call: t.Callable[[FileUpload, str], object], method: str, name: str
) -> None:
    service, made = answering(serve, Reply(200, {"entries": []}, headers={"File-Mode": "0640"}))
    path = f"folder of {name}/{name}"
    call(made, path)
    (request,) = service.requests
    assert request.method == method
    assert not set(request.path) & set(' ?#"<>\\^`{|}')
    assert unquote(request.path, errors="strict") == route + path


@pytest.mark.parametrize("name", NAMES)
def test_any_name_comes_through_a_query(serve: Serve, name: str) -> None:
    service, made = answering(serve, Reply(200, {"uploads": []}))
    made.uploads(f"folder/{name}")
    path, _mark, query = service.requests[0].path.partition("?path=")
    assert (path, unquote(query, errors="strict")) == ("/v1/uploads", f"folder/{name}")
    assert not set(query) & set("&=+;#/ ")


@pytest.mark.parametrize("name", NAMES)
def test_the_url_of_a_file_is_the_one_that_is_asked(serve: Serve, name: str) -> None:
    service, made = answering(serve, Reply(200, headers={"Content-Length": "0", "File-Mode": "0640"}))
    made.file(name)
    assert made.url(name) == service.endpoint + service.requests[0].path


# Files


def test_a_published_file_is_told_by_its_headers(serve: Serve) -> None:
    digest = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
    headers = {"Content-Length": "7", "File-Mode": "0640", "Repr-Digest": f"sha-256=:{digest}:"}
    assert answering(serve, Reply(200, headers=headers))[1].file("a/b") == {
        "path": "a/b",
        "size": 7,
        "sha256": hashlib.sha256(b"x").hexdigest(),
        "mode": "0640",
    }


@pytest.mark.parametrize(
    "header", [None, "", "sha-256", "sha-256=", "sha-256=::", "sha-512=:AAAA:", "sha-256=:not base64:", "sha-256=:AAAA:"]
)
def test_a_digest_that_is_no_sha256_is_not_known(serve: Serve, header: str | None) -> None:
    headers = {"Content-Length": "7", "File-Mode": "0640", **({} if header is None else {"Repr-Digest": header})}
    found = answering(serve, Reply(200, headers=headers))[1].file("a")
    assert found is not None
    assert found["sha256"] is None


def test_a_digest_is_found_among_others(serve: Serve) -> None:
    digest = base64.b64encode(bytes(32)).decode()
    headers = {"Content-Length": "7", "File-Mode": "0640", "Repr-Digest": f"sha-512=:AAAA:, sha-256=:{digest}:"}
    found = answering(serve, Reply(200, headers=headers))[1].file("a")
    assert found is not None
    assert found["sha256"] == "00" * 32


def test_no_file_is_none(serve: Serve) -> None:
    assert answering(serve, problem(404, "not-found"))[1].file("a") is None


ABSENT: list[t.Callable[[FileUpload], t.Any]] = [
    lambda made: made.file("a"),
    lambda made: made.upload(ID),
    lambda made: made.abort(ID),
    lambda made: made.delete_file("a"),
]


@pytest.mark.parametrize("ask", ABSENT, ids=["file", "upload", "abort", "delete"])
def test_a_404_of_something_on_the_way_does_not_mean_that_a_thing_is_not_there(serve: Serve, ask: t.Callable[[FileUpload], t.Any]) -> None:
    page = Reply(404, headers={"Content-Type": "text/html"}, body=b"<html>no such page</html>")
    with pytest.raises(Refused, match="something else than the service may answer there"):
        ask(answering(serve, page)[1])


def test_a_page_is_not_taken_for_a_published_file(serve: Serve) -> None:
    page = Reply(200, headers={"Content-Type": "text/html"}, body=b"<html>please log in</html>")
    with pytest.raises(Refused, match="no File-Mode; something else than the service"):
        answering(serve, page)[1].file("a")


@pytest.mark.parametrize("status", [403, 409])
def test_any_other_refusal_of_a_file_is_told(serve: Serve, status: int) -> None:
    with pytest.raises(Refused) as caught:
        answering(serve, Reply(status))[1].file("a")
    assert caught.value.status == status


def test_a_file_without_a_size_is_not_from_the_service(serve: Serve) -> None:
    reply = Reply(204)  # the one answer that must not have a length
    with pytest.raises(Refused, match=r"the answer to HEAD http://\S+/v1/files/a has no Content-Length"):
        answering(serve, reply)[1].file("a")


def test_a_whole_file_goes_with_its_headers_and_comes_back_as_a_receipt(serve: Serve) -> None:
    service, made = answering(serve, Reply(201, {"size": 3}))
    assert made.put_file("a", {"Upload-Id": ID}, lambda: Blocks(b"xyz")) == {"size": 3}
    assert service.requests[0].headers["upload-id"] == ID


def test_a_whole_file_that_failed_is_read_anew(serve: Serve) -> None:
    replies = iter([Reply(503), Reply(201, {"size": 3})])
    service = serve(lambda unused: next(replies))
    bodies = iter([Blocks(b"one"), Blocks(b"two")])
    client(service.endpoint, token="token").put_file("a", {}, lambda: next(bodies))
    assert [request.body for request in service.requests] == [b"one", b"two"]


@pytest.mark.parametrize(("reply", "was_there"), [(Reply(204), True), (problem(404, "not-found"), False)])
def test_deleting_tells_whether_it_was_there(serve: Serve, reply: Reply, was_there: bool) -> None:
    made = answering(serve, reply)[1]
    assert made.delete_file("a") is made.delete_folder("a") is made.abort(ID) is was_there


def test_a_mode_goes_as_octal_text(serve: Serve) -> None:
    service, made = answering(serve, Reply(200, {}))
    made.set_mode("a", "0640")
    assert service.requests[0].json() == {"mode": "0640"}


# Folders


@pytest.mark.parametrize(("status", "made_now"), [(201, True), (200, False)])
def test_making_a_folder_tells_whether_it_is_new(serve: Serve, status: int, made_now: bool) -> None:
    assert answering(serve, Reply(status, {}))[1].create_folder("a") is made_now


@pytest.mark.parametrize(("recursive", "query"), [(False, ""), (True, "?recursive=true")])
def test_all_below_a_folder_is_deleted_only_when_asked(serve: Serve, recursive: bool, query: str) -> None:
    service, made = answering(serve, Reply(204))
    made.delete_folder("a b", recursive=recursive)
    assert service.paths("DELETE") == ["/v1/folders/a%20b" + query]


@pytest.mark.parametrize(
    ("reply", "there"),
    [(Reply(200, {"entries": []}), True), (problem(404, "not-found"), False), (problem(409, "not-a-folder"), False)],
)
def test_a_folder_is_there_or_not(serve: Serve, reply: Reply, there: bool) -> None:
    assert answering(serve, reply)[1].folder_exists("a") is there


def test_a_folder_that_may_not_be_seen_is_neither(serve: Serve) -> None:
    with pytest.raises(Refused):
        answering(serve, problem(403, "forbidden"))[1].folder_exists("a")


# Uploads


def test_a_part_goes_with_its_wrapped_key(serve: Serve) -> None:
    service, made = answering(serve, Reply(201, {"etag": "e1"}))
    assert made.put_part(ID, 7, Blocks(), key="d3JhcHBlZA==", replaces=None) == "e1"
    (request,) = service.requests
    assert (request.method, request.path) == ("PUT", f"/v1/uploads/{ID}/parts/7")
    assert request.headers["upload-key"] == "d3JhcHBlZA=="
    assert "if-match" not in request.headers


def test_a_part_that_keeps_its_key_back_sends_none(serve: Serve) -> None:
    service, made = answering(serve, Reply(201, {"etag": "e1"}))
    made.put_part(ID, 7, Blocks(), key=None, replaces=None)
    assert "upload-key" not in service.requests[0].headers


def test_a_part_that_replaces_another_names_it(serve: Serve) -> None:
    service, made = answering(serve, Reply(200, {"etag": "e2"}))
    made.put_part(ID, 7, Blocks(), key=None, replaces="e1")
    assert service.requests[0].headers["if-match"] == '"e1"'


def test_a_part_is_sent_once_because_its_sender_decides(serve: Serve) -> None:
    service, made = answering(serve, Reply(503))
    with pytest.raises(Refused):
        made.put_part(ID, 7, Blocks(), key=None, replaces=None)
    assert len(service.requests) == 1


@pytest.mark.parametrize(("reply", "known"), [(Reply(200, {"id": ID}), {"id": ID}), (problem(404, "upload-unknown"), None)])
def test_an_upload_is_known_or_not(serve: Serve, reply: Reply, known: object) -> None:
    assert answering(serve, reply)[1].upload(ID) == known


def test_what_begins_and_what_stitches_goes_as_json(serve: Serve) -> None:
    service, made = answering(serve, Reply(201, {"id": ID}))
    assert made.begin({"path": "ü"}) == made.stitch(ID, {"name": "ü"}) == {"id": ID}
    assert [(request.path, request.json()) for request in service.requests] == [
        ("/v1/uploads", {"path": "ü"}),
        (f"/v1/uploads/{ID}/stitch", {"name": "ü"}),
    ]


# Trying again


@pytest.mark.parametrize("failure", [Reply(503), Reply(502, body=b"<html>"), problem(409, "stitching", retryable=True)])
def test_a_call_is_made_again_after_a_failure_that_may_pass(serve: Serve, failure: Reply) -> None:
    replies = iter([failure, failure, Reply(200, {"uploads": []})])
    service = serve(lambda unused: next(replies))
    assert client(service.endpoint, token="token").uploads() == []


def test_a_call_is_made_once_after_a_lasting_failure(serve: Serve) -> None:
    service, made = answering(serve, problem(507, "disk-full", retryable=False))
    with pytest.raises(Refused, match=r"about disk-full"):
        made.begin({})
    assert len(service.requests) == 1


def test_a_service_is_reached_when_it_has_answered(serve: Serve) -> None:
    gone = client(f"http://127.0.0.1:{closed_port()}", token="token")
    with pytest.raises(Unreachable):
        gone.uploads()
    assert not gone.reached
    there = answering(serve, Reply(200, {"uploads": []}))[1]
    there.uploads()
    assert there.reached


def in_threads(count: int, work: t.Callable[[], object]) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _unused in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []
