# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import json
import threading
import typing as t

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils._plan import Plan
from ansible_collections.bigfile.oci.plugins.module_utils._progress import REASON_MOST, Progress, Record, read

MiB = 1 << 20
PLAN = Plan(17 * MiB, 5 * MiB, True)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Progress:
    made = Progress(clock=clock)
    made.about("dumps/exp.dmp", "/u01/exp.dmp", "https://host.example", PLAN.size)
    return made


def taken(progress: Progress, **more: t.Any) -> Record:
    return progress.record(pid=42, now=1795511700.0, **more)


def test_a_run_begins_without_figures(progress: Progress) -> None:
    record = taken(progress)
    assert (record.state, record.percent, record.seconds_left) == ("asking", 0, None)
    assert record.text() == "dumps/exp.dmp: no figures yet"


def test_what_the_service_has_and_what_is_on_the_way_counts(progress: Progress) -> None:
    progress.sending(PLAN, [[1, 1]])
    first, second, third = PLAN.part(1), PLAN.part(2), PLAN.part(3)
    progress.begun(second)
    progress.moved(second, MiB)
    progress.begun(third)
    progress.moved(third, 100 * MiB)
    record = taken(progress)
    assert (record.done, record.parts_done) == (first.size + MiB + third.size, 1), "a part is never more than its bytes of the file"
    progress.arrived(third)
    assert (taken(progress).done, taken(progress).parts_done) == (first.size + MiB + third.size, 2)


def test_a_part_that_begins_anew_takes_its_bytes_back_and_the_rate_is_not_below_nothing(progress: Progress, clock: Clock) -> None:
    progress.sending(PLAN, [])
    progress.moved(PLAN.part(1), 4 * MiB)
    taken(progress)
    progress.begun(PLAN.part(1))
    clock.now += 1
    assert (taken(progress).done, taken(progress).rate) == (0, 0)


def test_rate_and_time_left_are_those_of_the_last_ten_seconds(progress: Progress, clock: Clock) -> None:
    progress.sending(PLAN, [])
    for second in range(30):
        progress.moved(PLAN.part(1 + second // 8), MiB // 4 if second < 15 else MiB // 8)
        record = taken(progress)
        clock.now += 1
    assert record.rate == MiB // 8
    assert record.seconds_left == (PLAN.size - record.done) // (MiB // 8)


def test_each_state_has_a_rate_of_its_own(progress: Progress, clock: Clock) -> None:
    progress.hashing()
    taken(progress)
    progress.hashed(10 * MiB)
    clock.now += 1
    assert taken(progress).rate == 10 * MiB
    progress.sending(PLAN, [])
    assert taken(progress).rate == 0


def test_hashing_and_stitching_have_their_figures(progress: Progress) -> None:
    progress.hashing()
    progress.hashed(MiB)
    assert (taken(progress).done, taken(progress).total) == (MiB, 17 * MiB)
    progress.stitching(None)
    assert taken(progress).text() == "dumps/exp.dmp: no figures yet"
    progress.stitching({"step": "checking", "bytes_done": 3, "bytes_total": 4})
    assert (taken(progress).state, taken(progress).percent) == ("stitching", 75)


def test_a_thread_that_waits_is_told_with_its_reason_until_its_bytes_flow_again(progress: Progress) -> None:
    progress.sending(PLAN, [])
    progress.retrying("no connection")
    assert (taken(progress).state, taken(progress).reason) == ("retrying", "no connection")
    other = threading.Thread(target=progress.moved, args=(PLAN.part(2), MiB))
    other.start()
    other.join()
    assert taken(progress).state == "retrying", "that was another thread"
    progress.moved(PLAN.part(1), MiB)
    assert (taken(progress).state, taken(progress).reason) == ("sending", None)
    progress.retrying("no connection")
    progress.passed()
    assert taken(progress).state == "sending"


def test_an_end_is_told_with_its_reason_and_not_at_any_length(progress: Progress) -> None:
    record = taken(progress, ended="x" * 10_000)
    assert record.state == "ended"
    assert record.reason == "x" * REASON_MOST


LINE = Record("sending", "exp.dmp", "/u01/exp.dmp", "https://h", 0, 6401, 4001, 62 << 30, 100 << 30, 400 << 20, 97, None, 1, 0.0)


def test_a_line_says_all_and_without_names_only_figures() -> None:
    figures = "62 %, 62.0 GiB of 100.0 GiB, 4001 of 6401 parts, 400.0 MiB/s, 0:01:37 left"
    assert LINE.text() == f"exp.dmp: {figures}"
    troubled = LINE._replace(reason="exp.dmp is unhappy")
    assert troubled.text() == f"exp.dmp: {figures}, exp.dmp is unhappy"
    assert troubled.text(named=False) == figures


@pytest.mark.parametrize(("done", "percent"), [(0, 0), (999, 99), (1000, 100)])
def test_percent_is_100_only_when_all_is_done(done: int, percent: int) -> None:
    assert LINE._replace(done=done, total=1000).percent == percent


def test_what_is_told_of_a_run_that_died_has_no_rate() -> None:
    assert (LINE.told(running=True)["rate"], LINE.told(running=True)["updated"]) == (400 << 20, "1970-01-01T00:00:00Z")
    assert (LINE.told(running=False)["rate"], LINE.told(running=False)["seconds_left"]) == (None, None)


def test_a_record_is_read_as_it_was_written() -> None:
    assert read(LINE.json()) == LINE
    assert read(LINE._replace(seconds_left=None, reason="why").json()) == LINE._replace(seconds_left=None, reason="why")


def test_nothing_in_a_record_reaches_the_terminal_as_a_command() -> None:
    found = read(LINE._replace(path="a\x1b[2Jb\nc\u202ed\udcff", reason="\r\x07").json())
    assert found is not None
    assert (found.path, found.reason) == ("a?[2Jb?c?d?", "??")


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        json.dumps({**LINE._asdict(), "more": 1}),
        json.dumps({**LINE._asdict(), "done": "1"}),
        json.dumps({**LINE._asdict(), "done": True}),
        json.dumps({**LINE._asdict(), "path": None}),
        json.dumps({**LINE._asdict(), "done": -1}),
        json.dumps({**LINE._asdict(), "total": 1 << 2000}),
        json.dumps({**LINE._asdict(), "seconds_left": 1 << 80}),
        json.dumps({**LINE._asdict(), "updated": 1e300}),
        json.dumps({**LINE._asdict(), "updated": float("nan")}),
        "[" * 100_000,
    ],
    ids=lambda text: text[:30],
)
def test_what_is_no_record_is_none(wrong: str) -> None:
    assert read(wrong) is None
