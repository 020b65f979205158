# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils import _entry
from ansible_collections.bigfile.oci.plugins.module_utils._entry import Entry
from ansible_collections.bigfile.oci.plugins.module_utils._pending import pending
from ansible_collections.bigfile.oci.plugins.module_utils._plan import Plan
from ansible_collections.bigfile.oci.plugins.module_utils._progress import Record
from ansible_collections.bigfile.oci.plugins.module_utils._watch import Seen
from ansible_collections.bigfile.oci.tests.unit.plugins.module_utils.doubles import MemoryJournal, MemoryService

MiB = 1 << 20


class World:
    def __init__(self) -> None:
        self.service = MemoryService()
        self.journal = MemoryJournal()
        self.runs: dict[str, Seen] = {}

    def begin(self, upload_id: str, path: str = "b.dmp", **names: str) -> Entry:
        return _entry.new(
            upload_id,
            Plan(17 * MiB, 5 * MiB, False),
            names=(names.get("source", "/u01/b.dmp"), names.get("endpoint", self.service.base), path),
            identity=[1, 2, 3, 4, 5],
            release_key="with_parts",
            encryption_key=None,
            random=bytes,
        )

    def tell(self, *paths: str) -> list[dict[str, t.Any]]:
        return pending(self.service, self.journal, *(paths or (None,)), runs=self.runs)  # type: ignore[arg-type]


@pytest.fixture
def world() -> World:
    return World()


def test_nothing_pending_is_nothing(world: World) -> None:
    assert world.tell() == []


def test_an_upload_that_both_know_is_told_by_the_service(world: World) -> None:
    entry = world.begin("1")
    world.journal.begin("key", entry._asdict())
    world.service.begin(_entry.opening(entry, "reference"))
    world.service.parts["1"] = {1: b"", 2: b"", 4: b""}
    assert world.tell() == [
        {
            "upload_id": "1",
            "path": "b.dmp",
            "source": "/u01/b.dmp",
            "size": 17 * MiB,
            "part_size": 5 * MiB,
            "parts": 4,
            "parts_present": 3,
            "bytes_present": 12 * MiB,
            "state": "receiving",
            "expires": "2026",
            "journaled": True,
            "progress": None,
        }
    ]


def test_an_upload_that_only_the_service_knows_has_no_source_here(world: World) -> None:
    world.service.begin(_entry.opening(world.begin("1"), "reference"))
    (row,) = world.tell()
    assert (row["source"], row["journaled"], row["state"]) == (None, False, "receiving")


def test_an_upload_that_only_the_journal_knows_is_told_by_its_notes(world: World) -> None:
    world.journal.begin("key", world.begin("1")._asdict())
    world.journal.note("key", 4)
    (row,) = world.tell()
    assert (row["state"], row["journaled"], row["expires"]) == ("unknown", True, None)
    assert (row["parts_present"], row["bytes_present"]) == (1, 2 * MiB)


SENDING = Record("sending", "b.dmp", "/u01/b.dmp", MemoryService.base, 17 * MiB, 4, 1, 9 * MiB, 17 * MiB, MiB, 8, None, 42, 1795511700.0)


@pytest.mark.parametrize("told", [True, False])
def test_the_run_of_an_upload_is_told_with_it(world: World, told: bool) -> None:
    entry = world.begin("1")
    world.journal.begin("key-of-it-and-more", entry._asdict())
    if told:
        world.service.begin(_entry.opening(entry, "reference"))
    world.runs = {"key-of-it-and-mo": Seen(SENDING, True)}
    (row,) = world.tell()
    assert row["progress"] == SENDING.told(running=True)


def test_a_run_that_has_no_upload_yet_is_told_while_it_runs(world: World) -> None:
    world.runs = {"1": Seen(SENDING, True), "2": Seen(SENDING, False), "3": Seen(SENDING._replace(endpoint="https://other.example"), True)}
    (row,) = world.tell("b.dmp")
    assert (row["upload_id"], row["path"], row["size"], row["progress"]["running"]) == (None, "b.dmp", 17 * MiB, True)
    assert world.tell("c.dmp") == []


def test_uploads_are_sorted_by_destination(world: World) -> None:
    for upload_id, path in (("1", "c"), ("2", "a"), ("3", "b")):
        world.journal.begin(upload_id, world.begin(upload_id, path)._asdict())
    world.service.begin(_entry.opening(world.begin("4", "aa"), "reference"))
    assert [row["path"] for row in world.tell()] == ["a", "aa", "b", "c"]


def test_one_destination_is_told_alone(world: World) -> None:
    for upload_id, path in (("1", "a"), ("2", "b")):
        entry = world.begin(upload_id, path)
        world.journal.begin(upload_id, entry._asdict())
        world.service.begin(_entry.opening(entry, "reference"))
    assert [row["upload_id"] for row in world.tell("b")] == ["2"]


def test_uploads_to_another_service_are_not_told(world: World) -> None:
    world.journal.begin("key", world.begin("1", endpoint="https://other.example")._asdict())
    assert world.tell() == []


def test_entries_of_another_version_are_passed_over(world: World) -> None:
    world.journal.begin("key", {"id": "1", "what": "is this"})
    assert world.tell() == []


def test_nothing_that_is_told_holds_a_key(world: World) -> None:
    entry = world.begin("1")._replace(key="c2VjcmV0", key_check="checked")
    world.journal.begin("key", entry._asdict())
    assert not {"c2VjcmV0", "checked"} & set(map(str, world.tell()[0].values()))
