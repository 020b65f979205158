"""The engine with a stopwatch on its journal. Takes the same orders as the engine alone and answers with one member more.

The stopwatch runs while a call into the journal runs, its opening included. The claim on an upload is held as long as the upload
lasts; that is not counted.
"""

from __future__ import annotations

import functools
import json
import sys
import time
import typing as t

from ansible_collections.bigfile.oci.plugins.module_utils._journal import Journal

from ..engine import upload

R = t.TypeVar("R")


class Stopwatch:
    """Adds up what calls take, in seconds; a call inside a call counts once. For calls of one thread."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu = 0.0
        """Of these, what the thread computed: the rest it waited, for the disk or for the other threads."""
        self.calls = 0
        self._running = False

    def on(self, call: t.Callable[..., R]) -> t.Callable[..., R]:
        """The same call, timed."""

        @functools.wraps(call)
        def timed(*arguments: t.Any, **more: t.Any) -> R:
            if self._running:
                return call(*arguments, **more)
            self._running = True
            begun, cpu = time.perf_counter(), time.thread_time()
            try:
                return call(*arguments, **more)
            finally:
                self.seconds += time.perf_counter() - begun
                self.cpu += time.thread_time() - cpu
                self.calls += 1
                self._running = False

        return timed

    def facts(self) -> dict[str, float]:
        """For JSON."""
        return {"seconds": self.seconds, "cpu": self.cpu, "calls": self.calls}


def main() -> None:
    """Upload all files that stdin asks for."""
    watch = Stopwatch()
    for name, call in list(vars(Journal).items()):
        if callable(call) and name != "claim" and (name == "__init__" or not name.startswith("_")):
            setattr(Journal, name, watch.on(call))
    orders = json.load(sys.stdin)
    begun = time.perf_counter()
    results = [upload(order) for order in orders]
    print(json.dumps({"seconds": time.perf_counter() - begun, "results": results, "journal": watch.facts()}))


if __name__ == "__main__":
    main()
