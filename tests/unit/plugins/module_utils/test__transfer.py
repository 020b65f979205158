# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils._entry import Session
from ansible_collections.bigfile.oci.plugins.module_utils._errors import DeadlineReached, SourceChanged
from ansible_collections.bigfile.oci.plugins.module_utils._plan import Plan
from ansible_collections.bigfile.oci.plugins.module_utils._sealed.cipher import PlainStream
from ansible_collections.bigfile.oci.plugins.module_utils._transfer import Transfer
from ansible_collections.bigfile.oci.tests.unit.plugins.module_utils.doubles import (
    MemoryService,
    MemorySource,
    MiB,
    QuickRun,
    gathered,
    patiently,
    pattern,
)

PLAN = Plan(12 * MiB, 5 * MiB, False)


class Limit:
    def __init__(self) -> None:
        self.taken: list[int] = []

    def take(self, count: int) -> None:
        self.taken.append(count)


def transfer(source: MemorySource, **parts: t.Any) -> Transfer:
    session = Session("1" * 32, "exp.dmp", PLAN, PlainStream(), None, False)
    defaults = {"service": MemoryService(), "run": QuickRun(), "persist": patiently, "acknowledged": lambda _: None}
    return Transfer(session, source=source, **{**defaults, **parts})  # type: ignore[arg-type]


def test_a_body_is_made_only_of_the_file_with_which_the_upload_began() -> None:
    source = MemorySource(pattern(12 * MiB))
    source.change()
    with pytest.raises(SourceChanged):
        transfer(source).checked_body(PLAN.part(1))


def test_every_byte_that_goes_out_is_taken_from_the_rate() -> None:
    limit = Limit()
    body = transfer(MemorySource(pattern(12 * MiB)), rate_limit=limit).checked_body(PLAN.part(3))
    gathered(body)
    assert sum(limit.taken) == len(body) == 2 * MiB


def test_a_deadline_ends_a_part_in_its_middle() -> None:
    class Late(QuickRun):
        checks = 0

        def check(self) -> None:
            self.checks += 1
            if self.checks > 3:
                raise DeadlineReached("the deadline of 1 seconds is reached")

    body = iter(transfer(MemorySource(pattern(12 * MiB)), run=Late()).checked_body(PLAN.part(1)))
    sent = [bytes(next(body)) for _unused in range(3)]
    with pytest.raises(DeadlineReached):
        next(body)
    assert len(sent) == 3
