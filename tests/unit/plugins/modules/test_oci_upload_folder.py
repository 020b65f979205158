# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bigfile.oci.plugins.modules.oci_upload_folder import main
from ansible_collections.bigfile.oci.tests.unit.plugins.module_utils.tiny_service import Reply, Request, TinyService, problem

Run = t.Callable[..., t.Any]


class Folders:
    """A service with folders; one that is not empty is in ``full``."""

    def __init__(self, *there: str, full: str = "") -> None:
        self.there = set(there)
        self.full = full

    def __call__(self, request: Request) -> Reply:
        path, _mark, query = request.path.removeprefix("/v1/folders/").partition("?")
        if request.method == "PUT":
            self.there.add(path)
            return Reply(201, {})
        if path == "file":
            return problem(409, "not-a-folder")
        if path not in self.there:
            return problem(404, "not-found")
        if request.method == "DELETE":
            if path == self.full and query != "recursive=true":
                return problem(409, "folder-not-empty", retryable=False)
            self.there.remove(path)
            return Reply(204)
        return Reply(200, {"path": path, "entries": []})


@pytest.fixture
def begin(serve: t.Callable[..., TinyService], run_module: Run) -> t.Callable[..., t.Any]:
    """Runs the module against some folders."""

    def run(folders: Folders, path: str, **options: t.Any) -> t.Any:
        return run_module(main, endpoint=serve(folders).endpoint, token="token", path=path, **options)

    return run


@pytest.mark.parametrize(
    ("there", "state", "changed"),
    [([], "present", True), (["dumps"], "present", False), ([], "absent", False), (["dumps"], "absent", True)],
)
@pytest.mark.parametrize("check_mode", [False, True])
def test_a_folder_is_made_or_deleted_once(begin: Run, there: list[str], state: str, changed: bool, check_mode: bool) -> None:
    folders = Folders(*there)
    result = begin(folders, "dumps", state=state, check_mode=check_mode)
    assert (result["changed"], result["path"]) == (changed, "dumps")
    wanted = {"dumps"} if state == "present" else set()
    assert folders.there == (set(there) if check_mode else wanted)


def test_the_diff_shows_before_and_after(begin: Run) -> None:
    diff = begin(Folders(), "dumps")["diff"]
    assert (diff["before"], diff["after"], diff["before_header"]) == ("absent\n", "present\n", "dumps")


def test_a_slash_at_the_end_makes_no_difference(begin: Run) -> None:
    assert begin(Folders("dumps"), "dumps/")["changed"] is False


def test_a_folder_that_is_not_empty_is_deleted_only_when_asked(begin: Run) -> None:
    folders = Folders("dumps", full="dumps")
    refused = begin(folders, "dumps", state="absent")
    assert (refused["failed"], refused["problem"]) == (True, "folder-not-empty")
    assert folders.there == {"dumps"}
    assert begin(folders, "dumps", state="absent", recursive=True)["changed"]
    assert folders.there == set()


def test_a_file_is_no_folder_and_is_not_deleted(begin: Run) -> None:
    folders = Folders()
    assert begin(folders, "file", state="absent")["changed"] is False


@pytest.mark.parametrize("path", ["", "/", "/etc", "..", "a/../b", "a//b"])
def test_a_folder_outside_the_root_is_refused(begin: Run, path: str) -> None:
    result = begin(Folders(), path, state="absent", recursive=True)
    assert result["failed"]
    assert "is not below the user's root" in result["msg"]
