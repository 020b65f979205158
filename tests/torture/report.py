"""The figures of a long run in Markdown, put between the marks of docs/reliability.md."""

from __future__ import annotations

import collections
import typing as t

from ansible_collections.bigfile.oci.tests.bench.machine import described
from ansible_collections.bigfile.oci.tests.bench.report import fill

MIB = 1 << 20

Facts = dict[str, t.Any]
"""What a test tells."""


def filled(document: str, figures: t.Mapping[str, list[Facts]]) -> str:
    """The document with the figures of the rooms that there are."""
    generated = {room: WRITERS[room](facts) for room, facts in figures.items() if room in WRITERS and facts}
    facts = described()
    return fill(
        document, {**generated, "machine": "\n".join(f"- {name}: {facts[name]}" for name in ("processor", "memory", "system", "taken"))}
    )


def _faults(runs: list[Facts]) -> str:
    struck = collections.Counter(kind for run in runs for kind in run["struck"])
    done = sum(run["completed"] for run in runs)
    seconds = sorted(run["seconds"] for run in runs)
    return (
        f"**{len(runs)} seeded runs met {struck.total()} faults.** {done} completed through them; {len(runs) - done} ended with a clear error, "
        f"and each of these was completed by the next run. None published anything but its source. The longest run took {seconds[-1]:.0f} s, half of "
        f"them {seconds[len(seconds) // 2]:.1f} s at most.\n\n{_counted(struck, 'what struck', 'how often')}"
    )


def _crash_points(kills: list[Facts]) -> str:
    who = collections.Counter(kill["who"] for kill in kills)
    steps = {kill["step"] for kill in kills}
    return (
        f"**{len(kills)} kills at {len(steps)} steps**: {who['service']} of the service alone, {who['client']} of the client, {who['both']} of both. "
        "Each was followed by a run that completed, left nothing behind, and found all parts that had been acknowledged."
    )


def _power(cuts: list[Facts]) -> str:
    return f"**{len(cuts)} power cuts at {len({cut['step'] for cut in cuts})} steps.** Every published file was whole, and every next run completed."


def _disk(troubles: list[Facts]) -> str:
    return _counted(collections.Counter(trouble["what"].partition(", from")[0] for trouble in troubles), "trouble", "runs")


def _load(loads: list[Facts]) -> str:
    lines = ["| | MiB each | seconds | peak of the service, MiB | its bound, MiB |", "| --- | ---: | ---: | ---: | ---: |"]
    for load in loads:
        memory = f"{load['peak'] / MIB:.0f} | {load['bound'] / MIB:.0f}"
        lines.append(f"| {load['count']:,} {load['what']} | {load['size'] / MIB:.4g} | {load['seconds']:.1f} | {memory} |")
    for load in loads:
        if "durations" in load:
            least, median, most = load["durations"]
            lines += [
                "",
                f"Of {load['count']} uploads at once the first took {least:.1f} s, the median {median:.1f} s, the last {most:.1f} s.",
            ]
    return "\n".join(lines)


def _attackers(attacks: list[Facts]) -> str:
    counts: collections.Counter[str] = collections.Counter()
    for attack in attacks:
        counts[attack["what"]] += attack["count"]
    more = [
        f"The upload beside {attack['count']} stalled connections took {attack['seconds']:.1f} s, and the service {attack['peak'] / MIB:.0f} MiB."
        for attack in attacks
        if "peak" in attack
    ]
    more += [
        f"A login with a wrong password took {attack['known'] * 1000:.0f} ms for a known user and {attack['unknown'] * 1000:.0f} ms for an unknown one."
        for attack in attacks
        if "known" in attack
    ]
    return "\n\n".join([_counted(counts, "what was tried", "how often"), *more])


def _time(ends: list[Facts]) -> str:
    lines = ["| | seconds until it ended |", "| --- | ---: |"]
    return "\n".join([*lines, *(f"| {end['what']} | {end['seconds']:.1f} |" for end in ends if "seconds" in end)])


def _counted(counts: collections.Counter[str], what: str, how_often: str) -> str:
    rows = (f"| {name} | {count:,} |" for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    return "\n".join([f"| {what} | {how_often} |", "| --- | ---: |", *rows])


WRITERS: dict[str, t.Callable[[list[Facts]], str]] = {
    "faults": _faults,
    "crash_points": _crash_points,
    "power": _power,
    "disk": _disk,
    "load": _load,
    "attackers": _attackers,
    "time": _time,
}
