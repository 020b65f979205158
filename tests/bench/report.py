"""The figures in Markdown, put between the marks of a document so that the words around them stay."""

from __future__ import annotations

import re
import typing as t

from .contest import GROUPS, Entry, Results, Spread, figure
from .contestants.limits import labour_size
from .load import Load, size_name

MIB = 1 << 20
MB = 10**6

PICTURE = "![Speeds of all contestants](performance.svg)"


def sections(results: dict[str, Results], loads: t.Sequence[Load], *, floors: dict[str, float], machine: dict[str, str]) -> dict[str, str]:
    """The generated parts but the claims, by the names of their marks."""
    return {
        "picture": PICTURE,
        "machine": "\n".join(f"- {name}: {value}" for name, value in machine.items()),
        "files": "\n\n".join(f"### {load.name}\n\n{_contest(results[load.name], load)}" for load in loads if results[load.name]),
        "limits": "\n\n".join(_limits(results[load.name], load, floors.get(load.name)) for load in loads if load.files == 1),
    }


def fill(document: str, generated: dict[str, str]) -> str:
    """The document with what stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` replaced.

    :raises ValueError: when a mark is missing.
    """
    for name, text in generated.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(document):
            raise ValueError(f"the document has no marks for {name}")
        document = pattern.sub(lambda _found, block=f"{begin}\n\n{text}\n\n{end}": block, document)  # type: ignore[misc]
    return document


def _contest(results: Results, load: Load) -> str:
    many = load.files > 1
    speed = "ms for each" if many else "MB/s"
    head = f"| | files | {speed} | wall, s | fsync, s | engine, s |" if many else f"| | {speed} | wall, s | fsync, s | engine, s |"
    lines = [f"{head} CPU client / server, s | memory client / server, MiB |", f"| --- |{' ---: |' * (head.count('|') - 2)} ---: | ---: |"]
    for name, entry in ordered(results):
        if entry.group != "limit":
            lines.append(_many(name, entry) if many else _one(name, entry, load))
    return "\n".join(lines)


def ordered(results: Results) -> list[tuple[str, Entry]]:
    """By groups, in each the fastest first."""
    known = [(name, entry) for name, entry in results.items() if entry.samples]
    return sorted(known, key=lambda item: (GROUPS.index(item[1].group), figure(item[1], "wall").median / item[1].files))


def _one(name: str, entry: Entry, load: Load) -> str:
    return f"| {name} | {_speed(figure(entry, 'wall'), load.bytes)} | {_costs(entry)}"


def _many(name: str, entry: Entry) -> str:
    wall = figure(entry, "wall")
    each = Spread(*(value / entry.files * 1000 for value in wall))
    return f"| {name} | {entry.files:,} | {_span(each)} | {_costs(entry)}"


def _costs(entry: Entry) -> str:
    """The columns that all tables have."""
    settling = f"{figure(entry, 'settling').median:.2f}" if any(one.settling > 0.001 for one in entry.samples) else ""
    engine = _span(figure(entry, "engine")) if entry.samples[0].engine is not None else ""
    cpu = " / ".join(f"{figure(entry, side).median:.2f}" for side in ("client_cpu", "server_cpu"))
    memory = " / ".join(f"{figure(entry, side).most / MIB:,.0f}" for side in ("client_peak", "server_peak"))
    return f"{_span(figure(entry, 'wall'))} | {settling} | {engine} | {cpu} | {memory} |"


def _span(found: Spread) -> str:
    """Median, and in brackets the ends."""
    return f"{_short(found.median)} ({_short(found.least)}–{_short(found.most)})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _speed(wall: Spread, size: int) -> str:
    """MB/s; the longest time is the lowest speed."""
    return _span(Spread(*(size / MB / seconds for seconds in (wall.median, wall.most, wall.least))))


def _limits(results: Results, load: Load, floor: float | None) -> str:
    lines = [f"### Limits with {load.name}", "", "| | MB/s | seconds | CPU client / server, s |", "| --- | ---: | ---: | ---: |"]
    for name, entry in ordered(results):
        if entry.group == "limit":
            wall, size = figure(entry, "wall"), load.bytes if entry.delivers else labour_size(load)
            cpu = f"{figure(entry, 'client_cpu').median:.2f} / {figure(entry, 'server_cpu').median:.2f}"
            lines.append(f"| {name} ({size_name(size)}) | {_speed(wall, size)} | {_span(wall)} | {cpu} |")
    if floor is not None:
        lines += ["", f"The floor for {load.name}: **{floor:.2f} s**, {load.bytes / MB / floor:,.0f} MB/s."]
    return "\n".join(lines)
