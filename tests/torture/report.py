"""The figures of a run in Markdown, put between the marks of docs/reliability.md."""

from __future__ import annotations

import collections
import typing as t

from ansible_collections.bigfile.oci.tests.bench.report import fill

Facts = dict[str, t.Any]
"""What a test tells."""


def filled(document: str, figures: t.Mapping[str, list[Facts]]) -> str:
    """The document with the figures of the rooms that there are."""
    return fill(document, {room: WRITERS[room](facts) for room, facts in figures.items() if room in WRITERS and facts})


def _faults(runs: list[Facts]) -> str:
    struck = collections.Counter(kind for run in runs for kind in run["struck"])
    done = sum(run["completed"] for run in runs)
    seconds = sorted(run["seconds"] for run in runs)
    rows = "\n".join(f"| {kind} | {count} |" for kind, count in sorted(struck.items(), key=lambda item: -item[1]))
    return (
        f"{len(runs)} seeded runs met {struck.total()} faults: {done} completed through them, {len(runs) - done} ended with a clear error, and of these "
        f"each was completed by the next run. None published anything else than its source. The longest took {seconds[-1]:.0f} s, "
        f"half of them {seconds[len(seconds) // 2]:.1f} s at most.\n\n| what struck | how often |\n| --- | ---: |\n{rows}"
    )


WRITERS: dict[str, t.Callable[[list[Facts]], str]] = {"faults": _faults}
