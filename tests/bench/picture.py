"""The speeds as a picture: one bar for each contestant, with a line from its slowest run to its fastest."""

from __future__ import annotations

import typing as t
from xml.sax.saxutils import escape

from .contest import Results, figure
from .load import Load
from .report import MB, ordered

COLOURS = {"ours": "#0969da", "encrypted": "#8250df", "ansible": "#bc4c00", "plain": "#57606a", "limit": "#1a7f37"}
TITLES = {
    "ours": "ours",
    "encrypted": "tools that encrypt",
    "ansible": "Ansible's own modules",
    "plain": "plain bytes or TLS alone",
    "limit": "the machine's limits",
}
WIDTH, LEFT, RIGHT, ROW, TOP = 1000, 330, 90, 24, 76
"""Pixels: of the picture, beside the bars, of a row, above the first one."""

FONT = 'font-family="system-ui, sans-serif" font-size="14"'
STYLE = """\
  <style>
    text { fill: #1f2328 }
    .quiet { fill: #57606a; font-size: 12px }
    .spread { stroke: #1f2328; stroke-width: 1.5 }
    .grid { stroke: #d0d7de }
    .paper { fill: #ffffff }
  </style>"""


class Bar(t.NamedTuple):
    """A contestant's speed in MB/s."""

    name: str
    group: str
    median: float
    least: float
    most: float


def bars(results: Results, load: Load) -> list[Bar]:
    """Who moved the whole load from file to file, by groups, in each the fastest first."""
    found = []
    for name, entry in ordered(results):
        if entry.delivers:
            wall = figure(entry, "wall")
            found.append(Bar(name, entry.group, *(load.bytes / MB / seconds for seconds in (wall.median, wall.most, wall.least))))
    return found


def draw(found: t.Sequence[Bar], title: str) -> str:
    """The picture in SVG, on paper of its own: it reads the same on dark pages."""
    height = TOP + ROW * len(found) + 34
    step = _step(max((one.most for one in found), default=1))
    scale = (WIDTH - LEFT - RIGHT) / max((one.most for one in found), default=1)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title" {FONT}>',
        f'  <title id="title">{escape(title)}</title>',
        STYLE,
        f'  <rect class="paper" width="{WIDTH}" height="{height}"/>',
        f'  <text x="15" y="28" font-weight="600">{escape(title)}</text>',
        *_legend({one.group for one in found}),
        *_grid(step, scale, bottom=TOP + ROW * len(found)),
    ]
    for place, one in enumerate(found):
        lines += _bar(one, TOP + ROW * place, scale)
    return "\n".join([*lines, "</svg>", ""])


def _step(most: float) -> int:
    """Between two lines of the grid: there are ten at most."""
    return next(step for step in (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10**9) if most / step <= 10)


def _legend(groups: set[str]) -> t.Iterator[str]:
    place = 15
    for group in (group for group in COLOURS if group in groups):
        yield f'  <rect x="{place}" y="43" width="12" height="12" rx="2" fill="{COLOURS[group]}"/>'
        yield f'  <text class="quiet" x="{place + 18}" y="53">{escape(TITLES[group])}</text>'
        place += 40 + 7 * len(TITLES[group])


def _grid(step: int, scale: float, *, bottom: int) -> t.Iterator[str]:
    speed = 0
    while speed * scale <= WIDTH - LEFT - RIGHT:
        place = LEFT + speed * scale
        yield f'  <path class="grid" d="M{place:.1f} {TOP - 6} V{bottom + 4}"/>'
        yield f'  <text class="quiet" x="{place:.1f}" y="{bottom + 20}" text-anchor="middle">{speed:,}</text>'
        speed += step


def _bar(one: Bar, top: int, scale: float) -> list[str]:
    middle = top + ROW / 2 - 2
    end = LEFT + one.median * scale
    return [
        f'  <text x="{LEFT - 10}" y="{middle + 5:.0f}" text-anchor="end" font-size="13">{escape(one.name)}</text>',
        f'  <rect x="{LEFT}" y="{top + 2}" width="{one.median * scale:.1f}" height="{ROW - 8}" rx="2" fill="{COLOURS[one.group]}"/>',
        f'  <path class="spread" d="M{LEFT + one.least * scale:.1f} {middle} H{LEFT + one.most * scale:.1f}"/>',
        f'  <text class="quiet" x="{max(end, LEFT + one.most * scale) + 6:.1f}" y="{middle + 4:.0f}">{one.median:,.0f}</text>',
    ]
