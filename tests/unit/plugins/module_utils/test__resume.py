# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils import _entry
from ansible_collections.bigfile.oci.plugins.module_utils._entry import Entry
from ansible_collections.bigfile.oci.plugins.module_utils._errors import Refused
from ansible_collections.bigfile.oci.plugins.module_utils._names import source_reference
from ansible_collections.bigfile.oci.plugins.module_utils._plan import Plan
from ansible_collections.bigfile.oci.plugins.module_utils._resume import Resume
from ansible_collections.bigfile.oci.plugins.module_utils._wish import Wish
from ansible_collections.bigfile.oci.tests.unit.plugins.module_utils.doubles import MemoryJournal, MemoryService, MemorySource, MiB, pattern

PATH = "dumps/exp.dmp"
OWN_KEY = bytes(range(32))


class World:
    def __init__(self, **wish: t.Any) -> None:
        self.source = MemorySource(pattern(1000))
        self.journal = MemoryJournal()
        self.service = MemoryService()
        self.wish = Wish(PATH, **{"threshold": 1, **wish})

    @property
    def resume(self) -> Resume:
        return Resume(self.wish, key="key", source=self.source, journal=self.journal, service=self.service)  # type: ignore[arg-type]

    def begun(self, *, here: bool = True, there: bool = True) -> Entry:
        """An upload that the journal knows, or the service, or both."""
        entry = _entry.new(
            "1" * 32,
            Plan(self.source.size, 5 * MiB, self.wish.encrypt),
            names=(self.source.path, self.service.base, PATH),
            identity=self.source.identity,
            release_key="with_parts",
            encryption_key=self.wish.encryption_key,
            random=bytes,
        )
        if here:
            self.journal.begin("key", entry._asdict())
        if there:
            self.service.begin(_entry.opening(entry, source_reference(self.source.path, self.source.identity)))
        self.service.calls.clear()
        return entry


def test_the_journal_s_upload_is_found_without_asking() -> None:
    world = World()
    assert world.begun() == world.resume.find()
    assert world.service.calls == []


def test_nothing_begun_is_nothing_found() -> None:
    world = World()
    assert world.resume.find() is None
    assert world.service.calls == ["uploads"]


def test_for_a_file_that_goes_whole_the_service_is_not_asked() -> None:
    world = World(threshold=1001, encrypt=False)
    world.begun(here=False)
    assert world.resume.find() is None
    assert world.service.calls == []


def test_what_the_journal_knows_is_found_whatever_the_threshold_is_now() -> None:
    world = World(threshold=1001)
    assert world.begun() == world.resume.find()


@pytest.mark.parametrize("wish", [{"encrypt": False}, {"encryption_key": OWN_KEY}])
def test_an_upload_that_only_the_service_knows_is_adopted_as_it_was_begun(wish: dict[str, t.Any]) -> None:
    world = World(**wish)
    entry = world.begun(here=False)
    found = world.resume.find()
    assert found is not None
    assert found == entry._replace(key_check=None)
    assert found.upload_key(OWN_KEY) == entry.upload_key(OWN_KEY)


def test_giving_up_aborts_and_forgets() -> None:
    world = World()
    world.begun()
    world.resume.give_up("1" * 32)
    assert (world.service.pending, world.journal.uploads) == ({}, {})


def test_giving_up_what_is_published_forgets_it() -> None:
    world = World()
    world.begun()
    world.service.pending["1" * 32]["receipt"] = {"size": 1}
    world.resume.give_up("1" * 32)
    assert world.journal.uploads == {}


def test_what_cannot_be_aborted_is_not_forgotten() -> None:
    def refused(unused: str) -> t.NoReturn:
        raise Refused("no", status=403)

    world = World()
    world.begun()
    world.service.abort = refused  # type: ignore[method-assign]
    with pytest.raises(Refused):
        world.resume.give_up("1" * 32)
    assert world.journal.uploads


def test_a_file_that_stands_there_ends_what_was_begun_for_it() -> None:
    world = World()
    world.resume.finished()
    assert world.service.calls == []
    world.begun()
    world.resume.finished()
    assert (world.service.pending, world.journal.uploads) == ({}, {})
