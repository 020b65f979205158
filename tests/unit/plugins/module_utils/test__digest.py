# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import hashlib
import threading
import time
import typing as t

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils import _digest
from ansible_collections.bigfile.oci.plugins.module_utils._digest import AHEAD_MOST, RunningDigest
from ansible_collections.bigfile.oci.plugins.module_utils._errors import Interrupted
from ansible_collections.bigfile.oci.tests.unit.plugins.module_utils.doubles import MemorySource

MiB = 1 << 20


class Hashed(MemorySource):
    """A source that is hashed as far as it is told to."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.may = threading.Semaphore(0)

    def sha256(self, step: t.Callable[[int], None]) -> str:
        for done in range(0, len(self.content), MiB):
            self.may.acquire()
            step(done)
        return hashlib.sha256(self.content).hexdigest()

    def go_on(self, mebibytes: int) -> None:
        for _number in range(mebibytes):
            self.may.release()


def nothing(done: int) -> None:
    """Let it go on."""


def reading(digest: RunningDigest, offset: int, count: int) -> tuple[threading.Thread, list[bytes]]:
    """Someone who reads so many MiB, and what was read."""
    found: list[bytes] = []

    def run() -> None:
        found.extend(bytes(block) for block in digest.read(offset, [MiB] * count))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, found


def test_parts_near_the_digest_do_not_wait_for_it_and_get_the_sources_bytes() -> None:
    source = Hashed(bytes(range(256)) * 4096 * 40)
    digest = RunningDigest(source, nothing)
    near = AHEAD_MOST // MiB
    thread, found = reading(digest, 0, near)
    thread.join(10)
    assert b"".join(found) == source.content[: near * MiB]
    source.go_on(40)
    assert digest.hexdigest() == hashlib.sha256(source.content).hexdigest()


def test_a_part_far_ahead_waits_until_the_digest_comes_near() -> None:
    source = Hashed(bytes(80 * MiB))
    digest = RunningDigest(source, nothing)
    thread, found = reading(digest, 60 * MiB, 2)
    source.go_on(40)
    thread.join(0.2)
    assert thread.is_alive() and not found
    source.go_on(10)  # at 48 of 61 it is near enough
    thread.join(10)
    assert len(found) == 2
    source.go_on(30)
    digest.hexdigest()


def test_a_part_that_the_digest_does_not_come_near_is_sent_slowly_and_does_not_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_digest, "PATIENCE", 0.05)
    source = Hashed(bytes(80 * MiB))
    digest = RunningDigest(source, nothing)
    begun = time.monotonic()
    assert len(list(digest.read(70 * MiB, [MiB] * 4))) == 4
    assert time.monotonic() - begun >= 0.2
    source.go_on(80)
    digest.hexdigest()


def test_nobody_waits_for_a_digest_that_failed_and_whoever_asks_for_it_is_told() -> None:
    def ended(done: int) -> t.NoReturn:
        raise Interrupted("the run was ended")

    source = Hashed(bytes(80 * MiB))
    digest = RunningDigest(source, ended)
    thread, found = reading(digest, 70 * MiB, 1)
    assert thread.is_alive()
    source.go_on(1)
    thread.join(10)
    assert len(found) == 1
    with pytest.raises(Interrupted):
        digest.hexdigest()
