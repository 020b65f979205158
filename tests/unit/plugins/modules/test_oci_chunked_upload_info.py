# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.bigfile.oci.plugins.modules import oci_chunked_upload_info
from ansible_collections.bigfile.oci.plugins.modules.oci_chunked_upload_info import main
from ansible_collections.bigfile.oci.tests.unit.plugins.module_utils.tiny_service import Reply, Request, TinyService, problem

Run = t.Callable[..., t.Any]

UPLOAD = {
    "id": "1" * 32,
    "path": "dumps/exp.dmp",
    "size": 17 << 20,
    "part_size": 5 << 20,
    "parts": 4,
    "received": [[1, 2]],
    "bytes_received": 10 << 20,
    "state": "receiving",
    "expires": "2026-11-30T08:15:00Z",
}


def answer(request: Request) -> Reply:
    if request.path.startswith("/v1/uploads"):
        return Reply(200, {"uploads": [UPLOAD]})
    if request.path == "/v1/files/dumps/exp.dmp":
        return Reply(200, headers={"File-Mode": "0640"}, body=b"content")
    return problem(404, "not-found")


@pytest.fixture
def ask(serve: t.Callable[..., TinyService], run_module: Run) -> t.Callable[..., tuple[t.Any, TinyService]]:
    def run(**options: t.Any) -> tuple[t.Any, TinyService]:
        service = serve(answer)
        return run_module(main, endpoint=service.endpoint, token="token", **options), service

    return run


@pytest.mark.parametrize("check_mode", [False, True])
def test_it_tells_what_is_pending_and_published_and_changes_nothing(ask: Run, check_mode: bool, tmp_path: Path) -> None:
    result, service = ask(path="dumps/exp.dmp", check_mode=check_mode)
    assert result["changed"] is False
    assert result["file"] == {"path": "dumps/exp.dmp", "size": 7, "sha256": None, "mode": "0640"}
    (pending,) = result["pending"]
    assert (pending["upload_id"], pending["parts_present"], pending["journaled"]) == ("1" * 32, 2, False)
    assert {request.method for request in service.requests} == {"GET", "HEAD"}
    assert not (tmp_path / "state").exists()


def test_without_a_path_it_tells_all_that_is_pending_and_no_file(ask: Run) -> None:
    result, service = ask()
    assert (len(result["pending"]), result["file"]) == (1, None)
    assert [request.path for request in service.requests] == ["/v1/uploads"]


def test_a_path_where_nothing_is_published_has_no_file(ask: Run) -> None:
    assert ask(path="other.dmp")[0]["file"] is None


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "dumps/"])
def test_a_path_outside_the_root_is_refused(ask: Run, path: str) -> None:
    result, service = ask(path=path)
    assert "is not below the user's root" in result["msg"]
    assert service.requests == []


def test_a_damaged_journal_is_a_warning_and_stays(serve: t.Callable[..., TinyService], run_process: Run, tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    journal.write_bytes(b"garbage" * 1000)
    result = run_process(oci_chunked_upload_info, endpoint=serve(answer).endpoint, token="token", journal=str(journal))
    assert [warning for warning in result["warnings"] if "is damaged" in str(warning)]
    assert journal.read_bytes() == b"garbage" * 1000
