# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import threading
import typing as t

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils._errors import DeadlineReached, Interrupted
from ansible_collections.bigfile.oci.plugins.module_utils._pace import RateLimit, Run


class Clock:
    """Time that passes only when somebody waits for it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


# Run


def test_a_run_without_a_deadline_goes_on() -> None:
    clock = Clock()
    run = Run(clock=clock)
    clock.now += 1e9
    run.check()


@pytest.mark.parametrize("elapsed", [0.0, 9.999])
def test_a_run_goes_on_until_its_deadline(elapsed: float) -> None:
    clock = Clock()
    run = Run(10.0, clock=clock)
    clock.now += elapsed
    run.check()
    assert run.elapsed() == pytest.approx(elapsed)


@pytest.mark.parametrize("elapsed", [10.0, 11.0])
def test_a_run_ends_at_its_deadline_and_names_it(elapsed: float) -> None:
    clock = Clock()
    run = Run(10.0, clock=clock)
    clock.now += elapsed
    with pytest.raises(DeadlineReached, match=r"deadline of 10 seconds"):
        run.check()


def test_a_stopped_run_ends_at_its_next_step() -> None:
    run = Run()
    run.stop()
    with pytest.raises(Interrupted):
        run.check()


def test_a_stopped_run_waits_for_nothing() -> None:
    run = Run()
    run.stop()
    with pytest.raises(Interrupted):
        run.wait(3600.0)


def test_a_stop_wakes_a_thread_that_waits() -> None:
    run, ended = Run(), threading.Event()

    def waits() -> None:
        with pytest.raises(Interrupted):
            run.wait(3600.0)
        ended.set()

    threading.Thread(target=waits, daemon=True).start()
    run.stop()
    assert ended.wait(10)


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_no_time_to_wait_is_no_wait(seconds: float) -> None:
    Run().wait(seconds)


def test_a_wait_never_goes_past_the_deadline() -> None:
    clock = Clock()
    run = Run(10.0, clock=clock)
    clock.now += 10.0
    with pytest.raises(DeadlineReached):
        run.wait(3600.0)


@pytest.mark.parametrize("seconds", [1e12, float("inf")])
def test_a_wait_longer_than_the_system_can_wait_is_cut(seconds: float) -> None:
    run = Run()
    threading.Timer(0.01, run.stop).start()
    with pytest.raises(Interrupted):
        run.wait(seconds)


# Rate limit


@pytest.mark.parametrize("piece", [1, 1000, 65536, 262144])
def test_the_rate_holds_over_many_pieces(piece: int) -> None:
    clock = Clock()
    limit = RateLimit(1 << 20, wait=clock.wait, clock=clock)
    for _unused in range(200):
        limit.take(piece)
    assert clock.now - 1000.0 == pytest.approx(200 * piece / (1 << 20))


def test_a_pause_of_the_sender_gains_a_quarter_of_a_second_at_most() -> None:
    clock = Clock()
    limit = RateLimit(1000, wait=clock.wait, clock=clock)
    limit.take(1)
    clock.now += 3600.0
    begun = clock.now
    limit.take(250)
    assert clock.now == begun
    limit.take(1000)
    assert clock.now - begun == pytest.approx(1.0)


def test_a_sender_slower_than_the_rate_never_waits() -> None:
    clock = Clock()
    limit = RateLimit(1000, wait=clock.wait, clock=clock)
    for _unused in range(100):
        clock.now += 0.2
        limit.take(100)
    assert sum(clock.waits) == 0.0


def test_threads_share_one_rate() -> None:
    """Each of eight threads is told to wait until its bytes may go; the last of them, for all bytes."""
    clock, told, lock = Clock(), [0.0], threading.Lock()

    def wait(seconds: float) -> None:
        with lock:
            told.append(seconds)

    limit = RateLimit(1000, wait=wait, clock=clock)
    in_threads(8, lambda: [limit.take(10) for unused in range(100)])
    assert max(told) == pytest.approx(8 * 100 * 10 / 1000)


def test_no_thread_s_bytes_are_lost_when_all_come_at_once() -> None:
    class Slow(int):
        """Lets the other threads in while it is reckoned with."""

        def __truediv__(self, other: float) -> float:
            threading.Event().wait(0.001)
            return int(self) / other

    clock, told = Clock(), [0.0]
    limit = RateLimit(1000, wait=told.append, clock=clock)
    in_threads(8, lambda: [limit.take(Slow(10)) for _unused in range(5)])
    assert max(told) == pytest.approx(8 * 5 * 10 / 1000)


def test_a_waiting_thread_holds_up_no_other() -> None:
    clock, entered, release = Clock(), threading.Barrier(4), threading.Event()

    def wait(unused: float) -> None:
        entered.wait(10)  # breaks unless all four wait at the same time
        release.wait(10)

    limit = RateLimit(1, wait=wait, clock=clock)
    threading.Timer(0.05, release.set).start()
    in_threads(4, lambda: limit.take(10))


def test_the_end_of_a_run_ends_the_wait_for_the_rate() -> None:
    run = Run()
    run.stop()
    with pytest.raises(Interrupted):
        RateLimit(1, wait=run.wait).take(1 << 30)


def in_threads(count: int, work: t.Callable[[], object]) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for unused in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not errors
