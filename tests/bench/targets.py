"""What we promise about speed, held against what was measured."""

from __future__ import annotations

import typing as t

from .claims import Claim
from .contest import Results, figure
from .contestants.copying import COPY, COPY_TUNED
from .contestants.product import AT_STITCH, DEFAULT, MODULE_SSH, PLAIN_TLS
from .contestants.shell import CURL_TLS
from .load import Load

FASTEST = "the fastest tool that encrypts"
"""Stands for whichever that is in this run."""
FLOOR = "the floor"


class Ratio(t.NamedTuple):
    """A target for the times of two contestants with the largest file: ``of`` divided by ``over``, each a contestant and a figure of its samples."""

    what: str
    of: tuple[str, str]
    over: tuple[str, str]
    at_least: float | None = None
    at_most: float | None = None


RATIOS = (
    Ratio("the engine's speed over that of {of}", (FASTEST, "wall"), (DEFAULT, "engine"), at_least=2),
    Ratio("the module's speed over that of {of}, both with all of Ansible", (COPY, "wall"), (MODULE_SSH, "wall"), at_least=12),
    Ratio("the module's speed over that of {of}, both with all of Ansible", (COPY_TUNED, "wall"), (MODULE_SSH, "wall"), at_least=3),
    Ratio("the engine's time over {over}", (DEFAULT, "engine"), (FLOOR, "wall"), at_most=1.15),
    Ratio("the time of release_key at_stitch over that of with_parts", (AT_STITCH, "engine"), (DEFAULT, "engine"), at_most=1.4),
    Ratio("the engine's speed, not sealed over TLS, over that of {of}", (CURL_TLS, "wall"), (PLAIN_TLS, "engine"), at_least=0.6),
)
SMALL_FILE_MS = 10
COUNT = len(RATIOS) + 1
"""How many claims there are when everyone took part."""


def claims(results: dict[str, Results], loads: t.Sequence[Load], floors: dict[str, float]) -> list[Claim]:
    """A claim for each target whose contestants took part; by medians."""
    largest = max(loads, key=lambda load: load.size)
    ratios = (_ratio(ratio, results[largest.name], largest, floors.get(largest.name)) for ratio in RATIOS)
    small = (_each(results[load.name], load) for load in loads if load.files > 1)
    return [claim for claim in (*ratios, *small) if claim is not None]


def _ratio(ratio: Ratio, results: Results, load: Load, floor: float | None) -> Claim | None:
    known = {name: entry for name, entry in results.items() if entry.samples}
    encrypted = [name for name, entry in known.items() if entry.group == "encrypted"]
    fastest = min(encrypted, key=lambda name: figure(known[name], "wall").median, default=None)

    def named(name: str) -> str | None:
        return fastest if name == FASTEST else name

    def seconds(name: str | None, member: str) -> float | None:
        if name == FLOOR:
            return floor
        return figure(known[name], member).median if name in known else None

    of, over = (seconds(named(name), member) for name, member in (ratio.of, ratio.over))
    if of is None or over is None:
        return None
    what = ratio.what.format(of=named(ratio.of[0]), over=ratio.over[0])
    return Claim(f"{load.name}: {what}", of / over, "x", ratio.at_least, ratio.at_most)


def _each(results: Results, load: Load) -> Claim | None:
    entry = results.get(DEFAULT)
    if entry is None or not entry.samples:
        return None
    each = figure(entry, "engine").median / entry.files * 1000
    return Claim(f"{load.name}: the engine's time for each", each, "ms", at_most=SMALL_FILE_MS)
