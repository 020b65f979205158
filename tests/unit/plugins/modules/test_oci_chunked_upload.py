# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import base64
import hashlib
import re
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils import _options
from ansible_collections.bigfile.oci.plugins.module_utils._sealed.cipher import SealedStream, public_key_of, unwrap_key
from ansible_collections.bigfile.oci.plugins.modules import oci_chunked_upload
from ansible_collections.bigfile.oci.plugins.modules.oci_chunked_upload import main
from ansible_collections.bigfile.oci.tests.unit.plugins.module_utils.tiny_service import (
    Reply,
    Request,
    TinyService,
    closed_port,
    problem,
)

Run = t.Callable[..., t.Any]
Serve = t.Callable[..., TinyService]

PASSWORD, TOKEN = "pass-word-of-dba", "token-of-dba"
KEY = base64.b64encode(bytes(range(32))).decode()
PRIVATE = bytes(range(64, 96))
SECRETS = (PASSWORD, TOKEN, KEY, bytes(range(32)).hex())


class SmallFiles:
    """A service that takes small files; it opens them and keeps them in ``files``."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[bytes, str]] = {}

    def __call__(self, request: Request) -> Reply:
        path = request.path.removeprefix("/v1/files/")
        if request.path == "/v1/server":
            public_key = base64.b64encode(public_key_of(PRIVATE)).decode()
            sealing = ["AES256_GCM_HKDF_1MB"]
            return Reply(200, {"service": "oracle_assembler", "api": 1, "public_key": public_key, "sealing": sealing})
        if request.path.startswith("/v1/uploads"):
            return Reply(200, {"uploads": []})
        if request.method == "HEAD" and path in self.files:
            content, mode = self.files[path]
            digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
            return Reply(200, headers={"File-Mode": mode, "Repr-Digest": f"sha-256=:{digest}:"}, body=content)
        if request.method == "PUT":
            return self.put(request, path)
        if request.method == "DELETE" and self.files.pop(path, None):
            return Reply(204)
        return problem(404, "not-found")

    def put(self, request: Request, path: str) -> Reply:
        content = request.body
        if request.headers["upload-sealing"] != "none":
            key = unwrap_key(base64.b64decode(request.headers["upload-key"]), PRIVATE, request.headers["upload-id"])
            content = SealedStream(key, content[:40], path.encode()).open(0, content, last=True)
        self.files[path] = (content, request.headers.get("upload-mode", "0640"))
        receipt = {"upload_id": request.headers["upload-id"], "path": path, "mode": self.files[path][1]}
        return Reply(201, {**receipt, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "exp.dmp"
    path.write_bytes(b"bigfile" * 100)
    return path


@pytest.fixture
def options(source: Path) -> dict[str, t.Any]:
    return {"endpoint": "http://127.0.0.1:9", "username": "dba", "password": PASSWORD, "src": str(source)}


# Options that cannot be meant

REFUSED: list[tuple[dict[str, t.Any], str]] = [
    ({"split": 3, "part_size": "16M"}, r"parameters are mutually exclusive: split\|part_size"),
    ({"split": 0}, r"split is the number of parts wanted and at least 1, not 0"),
    ({"split": -1}, r"split is the number of parts wanted and at least 1, not -1"),
    ({"part_size": "4M"}, r"part_size is 4194304 bytes; parts have at least 5 MiB \(5M\)"),
    ({"part_size": "0"}, r"part_size is a size above 0, not 0"),
    ({"part_size": "much"}, r"part_size: much is no size; write bytes, or a number with K, M, G or T"),
    ({"part_size": "-5M"}, r"part_size"),
    ({"threshold": "some"}, r"threshold: some is no size"),
    ({"threshold": ""}, r"threshold:  is no size"),
    ({"rate_limit": "fast"}, r"rate_limit: fast is no size"),
    ({"rate_limit": "0"}, r"rate_limit is a size above 0, not 0"),
    ({"threads": 0}, r"threads is a number from 1 to 64, not 0"),
    ({"threads": 65}, r"threads is a number from 1 to 64, not 65"),
    ({"threads": -1}, r"threads is a number from 1 to 64, not -1"),
    ({"mode": "640"}, r'mode is four octal digits in quotes, such as "0640", not 640'),
    ({"mode": 416}, r"mode is four octal digits in quotes"),
    ({"mode": "0888"}, r"mode is four octal digits"),
    ({"mode": "4755"}, r"mode is four octal digits"),
    ({"mode": "u=rw"}, r"mode is four octal digits"),
    ({"encryption_key": "dG9vIHNob3J0"}, r"encryption_key is base64 of 9 bytes; it takes 32"),
    ({"encryption_key": "not base64!"}, r"encryption_key is not base64"),
    ({"encryption_key": base64.b64encode(bytes(33)).decode()}, r"encryption_key is base64 of 33 bytes; it takes 32"),
    ({"assembler_public_key": "AAAA"}, r"assembler_public_key is base64 of 3 bytes; it takes 32"),
    ({"dest": "/etc/passwd"}, r"the destination /etc/passwd is not below the user's root"),
    ({"dest": "../x"}, r"the destination \.\./x is not below the user's root"),
    ({"timeout": 0}, r"timeout is a number of seconds above 0, not 0"),
    ({"deadline": -1}, r"deadline is a number of seconds above 0, not -1"),
    ({"endpoint": "host:8443"}, r"the endpoint host:8443 is not a URL"),
    ({"endpoint": "http://host.example"}, r"http://host\.example is plain http to another host"),
    ({"ca_path": "/nowhere/ca.pem"}, r"ca_path: /nowhere/ca\.pem does not exist on this host or cannot be read"),
    ({"client_cert": "/nowhere/me.pem"}, r"client_cert: /nowhere/me\.pem does not exist"),
    ({"client_key": "/nowhere/me.key"}, r"client_key: /nowhere/me\.key does not exist"),
    ({"src": "/nowhere/exp.dmp"}, r"the source /nowhere/exp\.dmp does not exist on this host"),
    ({"src": "/"}, r"is not below the user's root"),
    ({"src": "/proc", "dest": "x"}, r"the source /proc is a folder"),
    ({"src": "/dev/null"}, r"the source /dev/null is not a regular file"),
    ({"src": None}, r"state is present but all of the following are missing: src"),
    ({"src": None, "state": "absent"}, r"state is absent but any of the following are missing: src, dest"),
    ({"state": "gone"}, r"value of state must be one of: present, absent"),
    ({"journal": "/proc/nowhere/journal.db"}, r"the journal /proc/nowhere/journal\.db cannot be used.*option journal"),
]


@pytest.mark.parametrize(("wrong", "said"), REFUSED, ids=[str(wrong)[1:-1][:60] for wrong, said in REFUSED])
def test_an_option_that_cannot_be_meant_is_told_in_one_sentence(
    run_module: Run, options: dict[str, t.Any], wrong: dict[str, t.Any], said: str
) -> None:
    given = {**options, "encryption_key": KEY, "token": TOKEN, **wrong}
    result = run_module(main, **{name: value for name, value in given.items() if value is not None})
    assert result["failed"] is True
    assert re.search(said, result["msg"])
    assert "\n" not in result["msg"]
    assert not [secret for secret in SECRETS if secret in result.said]


@pytest.mark.parametrize("size", ["5M", "5242880", "5 MB", "1.5G", "5m", "1T"])
def test_sizes_are_understood(run_module: Run, options: dict[str, t.Any], serve: Serve, size: str) -> None:
    del options["password"]
    endpoint = serve(SmallFiles()).endpoint
    result = run_module(main, **{**options, "endpoint": endpoint, "token": TOKEN, "part_size": size, "threshold": "1G"})
    assert result["changed"]


def test_a_wrong_option_is_told_before_anybody_is_asked(run_module: Run, options: dict[str, t.Any], serve: Serve) -> None:
    service = serve(SmallFiles())
    for wrong in ({"split": 0}, {"threads": 0}, {"mode": "9"}, {"encryption_key": "x"}, {"src": "/nowhere"}):
        run_module(main, **{**options, "endpoint": service.endpoint, **wrong})
    assert service.requests == []


def test_a_service_that_is_not_there_is_told_soon(run_module: Run, options: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_options.random, "random", lambda: 0.0)
    result = run_module(main, **{**options, "endpoint": f"http://127.0.0.1:{closed_port()}"})
    assert re.match(r"no connection to http://127\.0\.0\.1:\d+: .*efused; is the service running", result["msg"])
    assert PASSWORD not in result.said


def test_a_wrong_password_is_told(run_module: Run, options: dict[str, t.Any], serve: Serve) -> None:
    service = serve(problem(401, "wrong-credentials", retryable=False))
    result = run_module(main, **{**options, "endpoint": service.endpoint})
    assert "says: about wrong-credentials" in result["msg"]
    assert (result["status"], result["problem"]) == (401, "wrong-credentials")
    assert PASSWORD not in result.said


@pytest.mark.parametrize("library", ["requests", "pycryptodome", "filechunkio", "pickledb[sqlite]"])
def test_a_library_that_is_missing_is_named(
    run_module: Run, options: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(_options.LIBRARIES, library, "Traceback: no such module")
    result = run_module(main, **options)
    assert library in result["msg"]
    assert sys.executable in result["msg"]
    assert "The role bigfile.oci.upload_client brings all" in result["msg"]
    assert "upload_client_python" in result["msg"]


# A run from beginning to end


@pytest.fixture
def service(serve: Serve) -> TinyService:
    return serve(SmallFiles())


@pytest.fixture
def uploading(options: dict[str, t.Any], service: TinyService) -> dict[str, t.Any]:
    """Options that work."""
    del options["username"], options["password"]
    return {**options, "endpoint": service.endpoint, "token": TOKEN, "dest": "dumps/", "mode": "0600"}


def files(service: TinyService) -> dict[str, tuple[bytes, str]]:
    return t.cast("SmallFiles", service.answer).files


@pytest.mark.parametrize("encrypt", [True, False])
def test_a_file_is_published_and_the_result_says_how(
    run_module: Run, uploading: dict[str, t.Any], service: TinyService, source: Path, encrypt: bool
) -> None:
    result = run_module(main, **uploading, encrypt=encrypt)
    assert files(service) == {"dumps/exp.dmp": (source.read_bytes(), "0600")}
    assert (
        result.items()
        >= {
            "changed": True,
            "path": "dumps/exp.dmp",
            "url": f"{service.endpoint}/v1/files/dumps/exp.dmp",
            "size": 700,
            "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
            "encrypted": encrypt,
            "resumed": False,
            "part_size": 1 << 20,
            "parts": 1,
            "parts_sent": 1,
            "parts_present": 0,
            "bytes_sent": 756 if encrypt else 700,
        }.items()
    )
    assert re.fullmatch("[0-9a-f]{32}", result["upload_id"])
    assert result["duration"] >= 0
    assert isinstance(result["rate"], int)
    assert result["diff"]["before"] == "absent\n"
    assert TOKEN not in result.said


def test_a_second_run_changes_nothing(run_module: Run, uploading: dict[str, t.Any], service: TinyService) -> None:
    run_module(main, **uploading)
    asked = len(service.requests)
    assert run_module(main, **uploading)["changed"] is False
    assert [request.method for request in service.requests[asked:]] == ["HEAD"]


def test_check_mode_touches_nothing(run_module: Run, uploading: dict[str, t.Any], service: TinyService, tmp_path: Path) -> None:
    result = run_module(main, check_mode=True, **uploading)
    assert (result["changed"], result["parts_sent"], files(service)) == (True, 1, {})
    assert {request.method for request in service.requests} <= {"HEAD", "GET"}
    assert not (tmp_path / "state").exists()


def test_absent_deletes_and_then_has_nothing_to_do(run_module: Run, uploading: dict[str, t.Any], service: TinyService) -> None:
    run_module(main, **uploading)
    assert run_module(main, check_mode=True, state="absent", **uploading)["changed"] is True
    assert files(service)
    assert run_module(main, state="absent", **uploading)["changed"] is True
    assert files(service) == {}
    assert run_module(main, state="absent", **uploading)["changed"] is False


def test_endpoint_and_credentials_may_come_from_the_environment(
    run_module: Run, uploading: dict[str, t.Any], service: TinyService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIGFILE_ENDPOINT", uploading["endpoint"])
    monkeypatch.setenv("BIGFILE_TOKEN", TOKEN)
    monkeypatch.setenv("BIGFILE_ENCRYPTION_KEY", KEY)
    result = run_module(main, src=uploading["src"])
    assert files(service)["exp.dmp"][0] == Path(uploading["src"]).read_bytes()
    assert not [secret for secret in SECRETS if secret in result.said]


def test_the_journal_is_where_the_user_wants_it(run_module: Run, uploading: dict[str, t.Any], tmp_path: Path) -> None:
    run_module(main, **uploading, journal=str(tmp_path / "mine" / "journal.db"))
    assert (tmp_path / "mine" / "journal.db").exists()
    assert not (tmp_path / "state").exists()


def test_the_journal_is_kept_with_the_state_of_the_user(run_module: Run, uploading: dict[str, t.Any], tmp_path: Path) -> None:
    run_module(main, **uploading)
    assert (tmp_path / "state" / "bigfile.oci" / "journal.db").exists()


def test_a_damaged_journal_is_a_warning(run_process: Run, uploading: dict[str, t.Any], tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    journal.write_bytes(b"garbage" * 1000)
    result = run_process(oci_chunked_upload, **uploading, journal=str(journal))
    assert result["changed"]
    assert [warning for warning in result["warnings"] if "was damaged" in str(warning)]


def test_a_finished_upload_leaves_no_secret_in_the_journal(run_module: Run, uploading: dict[str, t.Any], tmp_path: Path) -> None:
    run_module(main, **uploading, encryption_key=KEY)
    kept = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
    assert kept
    assert not [secret for secret in SECRETS if secret.encode() in kept]


# As a process of its own


def test_it_runs_as_a_process(run_process: Run, uploading: dict[str, t.Any], service: TinyService) -> None:
    result = run_process(oci_chunked_upload, **uploading, encryption_key=KEY)
    assert result["changed"] is True
    assert "dumps/exp.dmp" in files(service)
    assert not [secret for secret in SECRETS if secret in result.said]


@pytest.mark.parametrize("token", [TOKEN + "\n", TOKEN + "\u20ac"])
def test_a_token_that_no_header_can_carry_ends_in_no_traceback(run_process: Run, uploading: dict[str, t.Any], token: str) -> None:
    result = run_process(oci_chunked_upload, **{**uploading, "token": token})
    assert result["failed"] is True
    assert "the token" in result["msg"]
    assert TOKEN not in result.said
