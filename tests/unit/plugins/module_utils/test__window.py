# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

from __future__ import annotations

import gc
import itertools
import os
import signal
import threading
import time
import typing as t

import pytest

from ansible_collections.bigfile.oci.plugins.module_utils._window import FAREWELL, in_background, work_through

PATIENCE = 20
"""Seconds after which a test gives up; none of them takes that long unless it fails."""


class Stop:
    """What ends the run: threads ask for it, tests see whether it was called."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        self.event.set()

    def until_called(self, unused: object = None) -> None:
        """Work that ends when it is told to, as a worker that checks the run does."""
        if self.event.wait(PATIENCE):
            raise Ended


class Ended(Exception):
    """A worker saw that the run was stopped."""


class Broken(Exception):
    """A part could not be sent."""


class Counted:
    """Work that knows how many are at it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.most = 0

    def __call__(self, item: int) -> int:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0)  # gives way to another thread
        with self.lock:
            self.now -= 1
        return item * item


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("window-")]


@pytest.fixture(autouse=True)
def no_worker_is_left() -> t.Iterator[None]:
    """No thread outlives its test, whatever became of it."""
    yield
    for thread in workers():
        thread.join(PATIENCE)
    assert not workers()


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 100])
def test_every_result_is_delivered_once(threads: int, count: int) -> None:
    done = list(work_through(range(count), Counted(), threads=threads, stop=Stop()))
    assert sorted(done) == [item * item for item in range(count)]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_no_more_than_so_many_are_in_work_at_once(threads: int) -> None:
    work = Counted()
    list(work_through(range(300), work, threads=threads, stop=Stop()))
    assert 1 <= work.most <= threads


def test_all_threads_are_put_to_work() -> None:
    together = threading.Barrier(4)
    list(work_through(range(4), lambda unused: together.wait(PATIENCE), threads=4, stop=Stop()))


def test_results_come_as_they_are_done_and_not_in_turn() -> None:
    later = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            later.wait(PATIENCE)
        return item

    done = work_through([0, 1], work, threads=2, stop=Stop())
    assert next(done) == 1
    later.set()
    assert list(done) == [0]


def test_a_run_that_succeeds_is_not_stopped() -> None:
    stop = Stop()
    list(work_through(range(10), Counted(), threads=2, stop=stop))
    assert stop.calls == 0


def test_nothing_is_begun_before_the_first_result_is_asked_for() -> None:
    work_through(range(10), Counted(), threads=2, stop=Stop())
    assert not workers()


def test_no_more_results_wait_than_there_are_threads() -> None:
    """A consumer that stands still holds up the workers, and so what is in memory."""
    begun: list[int] = []
    done = work_through(range(1000), begun.append, threads=3, stop=Stop())
    next(done)
    settle(lambda: len(begun))
    assert len(begun) <= 1 + 2 * 3  # handed out, waiting or in work
    done.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("threads", [1, 4])
def test_the_first_error_is_raised(threads: int) -> None:
    def work(item: int) -> int:
        if item == 5:
            raise Broken("part 5")
        return item

    with pytest.raises(Broken, match="part 5"):
        list(work_through(range(1000), work, threads=threads, stop=Stop()))


def test_the_first_error_stops_the_others() -> None:
    stop = Stop()

    def work(item: int) -> None:
        if item == 0:
            raise Broken
        stop.until_called()

    with pytest.raises(Broken):
        list(work_through(range(1000), work, threads=4, stop=stop))
    assert stop.calls == 1
    assert not workers()


@pytest.mark.parametrize("threads", [1, 4])
def test_a_failure_is_told_without_delay(threads: int) -> None:
    """Threads that are over are not waited for."""

    def work(unused: int) -> None:
        raise Broken

    begun = time.monotonic()
    for _unused in range(5):
        with pytest.raises(Broken):
            list(work_through(range(100), work, threads=threads, stop=Stop()))
    assert time.monotonic() - begun < FAREWELL


def test_after_an_error_no_further_item_is_begun() -> None:
    begun: list[int] = []
    stop = Stop()

    def work(item: int) -> None:
        begun.append(item)
        if item == 2:
            raise Broken
        if item > 2:
            stop.until_called()

    with pytest.raises(Broken):
        list(work_through(itertools.count(), work, threads=3, stop=stop))
    assert len(begun) <= 1 + 2 * 3


def test_an_error_while_results_wait_is_raised_after_them() -> None:
    """The queue of results is full of successes when the error comes."""
    good = threading.Event()

    def work(item: int) -> int:
        if item == 3:
            good.wait(PATIENCE)
            raise Broken
        return item

    done = work_through(range(4), work, threads=2, stop=Stop())
    results = [next(done)]
    good.set()
    with pytest.raises(Broken):
        results.extend(done)
    assert set(results) <= {0, 1, 2}


def test_an_error_of_the_items_is_raised() -> None:
    def items() -> t.Iterator[int]:
        yield 1
        raise Broken

    with pytest.raises(Broken):
        list(work_through(items(), Counted(), threads=4, stop=Stop()))


def test_items_are_taken_by_one_thread_at_a_time() -> None:
    """A generator that two threads enter at once raises ValueError."""
    items = (time.sleep(0) or item for item in range(500))
    assert len(list(work_through(items, Counted(), threads=8, stop=Stop()))) == 500


def test_an_interrupt_of_the_consumer_stops_the_workers() -> None:
    stop = Stop()

    def work(item: int) -> int:
        if item:
            stop.until_called()
        return item

    def consume() -> None:
        for _unused in work_through(range(10), work, threads=3, stop=stop):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    gc.collect()
    assert stop.calls == 1


def test_a_signal_while_nothing_is_done_stops_the_workers() -> None:
    """A signal's handler raises in the main thread, where it waits for a result or still starts the workers."""
    stop = Stop()

    def work(unused: int) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        stop.until_called()

    handler = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(work_through([1], work, threads=2, stop=stop))
    finally:
        signal.signal(signal.SIGUSR1, handler)
    assert stop.calls == 1


def test_a_generator_closed_early_leaves_no_thread() -> None:
    stop = Stop()
    done = work_through(itertools.count(), lambda item: item, threads=3, stop=stop)
    next(done)
    done.close()  # type: ignore[attr-defined]
    assert stop.calls == 1
    assert not workers()


def test_a_generator_dropped_early_leaves_no_thread() -> None:
    done = work_through(itertools.count(), lambda item: item, threads=3, stop=Stop())
    next(done)
    del done
    gc.collect()


def test_a_worker_that_does_not_hear_holds_up_the_end_for_a_moment_only() -> None:
    release = threading.Event()

    def work(item: int) -> None:
        if item:
            release.wait(PATIENCE)
        else:
            raise Broken

    begun = time.monotonic()
    with pytest.raises(Broken):
        list(work_through(range(3), work, threads=3, stop=Stop()))
    assert time.monotonic() - begun < FAREWELL + 1
    release.set()


def test_errors_after_the_first_are_dropped() -> None:
    stop = Stop()

    def work(item: int) -> None:
        if item == 0:
            raise Broken
        stop.until_called()

    with pytest.raises(Broken) as caught:
        list(work_through(range(64), work, threads=16, stop=stop))
    assert not isinstance(caught.value, Ended)


# In the background


def test_work_in_the_background_goes_on_while_nobody_waits() -> None:
    begun, result = threading.Event(), None

    def work() -> int:
        begun.set()
        return 7

    wait = in_background(work)
    assert begun.wait(PATIENCE)
    result = wait()
    assert result == wait() == 7


def test_an_error_in_the_background_is_raised_where_it_is_waited_for() -> None:
    def work() -> None:
        raise Broken("digest")

    wait = in_background(work)
    for _unused in range(2):
        with pytest.raises(Broken, match="digest"):
            wait()


def settle(observed: t.Callable[[], int]) -> None:
    """Return when ``observed`` stands still, that is when all threads are blocked."""
    last, still = -1, 0
    while still < 5:
        time.sleep(0.01)
        now = observed()
        still, last = (still + 1, now) if now == last else (0, now)
