# Copyright (c) 2026, the bigfile.oci founders
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Bounded threads: work on many things, hold few.

Private to the collection bigfile.oci. The bound is twice ``threads``: as many items are in work, as many results wait.
"""

from __future__ import annotations

import queue
import threading
import typing as t
from concurrent.futures import Future

T = t.TypeVar("T")
R = t.TypeVar("R")

FAREWELL = 1.5
"""Seconds that threads get to see that they are to end; then the process may go without them (they are daemons)."""


def work_through(
    items: t.Iterable[T],
    work: t.Callable[[T], R],
    *,
    threads: int,
    stop: t.Callable[[], None],
) -> t.Iterator[R]:
    """Yield ``work(item)`` for every item, in the order in which they are done.

    The first error, also an interrupt of the caller, calls ``stop`` (which makes the other threads end at their next
    step), and is raised.
    """
    source = iter(items)
    pull = threading.Lock()
    room = threading.Semaphore(2 * threads)
    results: queue.Queue[tuple[R | None, BaseException | None, bool]] = queue.Queue()
    over = threading.Event()

    def run() -> None:
        try:
            while room.acquire() and not over.is_set():
                with pull:
                    item = next(source, over)
                if item is over:
                    break
                results.put((work(t.cast(T, item)), None, False))
            results.put((None, None, True))
        except BaseException as error:  # pylint: disable=broad-exception-caught
            results.put((None, error, True))

    workers = [threading.Thread(target=run, name=f"window-{number}", daemon=True) for number in range(threads)]
    try:
        for worker in workers:
            worker.start()
        running = threads
        while running:
            result, error, ended = results.get()
            if error is not None:
                raise error
            if ended:
                running -= 1
            else:
                room.release()
                yield t.cast(R, result)
    except BaseException:
        over.set()
        room.release(threads)
        stop()
        _let_end(workers)
        raise


def in_background(work: t.Callable[[], R]) -> t.Callable[[], R]:
    """Begin ``work`` on a thread of its own; what is returned waits for its result, or raises its error."""
    result: Future[R] = Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # pylint: disable=broad-exception-caught
            result.set_exception(error)

    threading.Thread(target=run, name="background", daemon=True).start()
    return result.result


def _let_end(workers: list[threading.Thread]) -> None:
    for worker in workers:
        if worker.is_alive():
            worker.join(FAREWELL / len(workers))


__all__ = ["in_background", "work_through"]
