"""What a seed means: the file, the way it goes, and what goes wrong on it. The same seed is the same plan, always."""

from __future__ import annotations

import random
import typing as t

from .proxy import ANSWER, BODY, STATUSES, Fault

MiB = 1 << 20
WAYS = ("wire", "wire-tls", "web", "web-tls")
"""Below HTTP, with or without TLS from end to end; or by request, with or without TLS that ends at the proxy."""
SKEWS = (0, 0, 0, -600, 600)
"""Seconds that the clock of the client is off."""
SHORT_TOKENS = 0.2
"""How often the tokens of the service live for a second."""


class Plan(t.NamedTuple):
    """One run to be."""

    seed: int
    way: str
    size: int
    options: dict[str, t.Any]
    faults: list[Fault]
    skew: int
    short_tokens: bool
    no_names: int
    """How many look-ups of the service's name fail."""
    replaces: bool
    """Whether an older file stands at the destination."""


def plan(seed: int) -> Plan:
    """The plan of a seed."""
    chance = random.Random(seed)
    way = WAYS[seed % len(WAYS)]
    size = chance.choice([chance.randint(1, 4 * MiB), chance.randint(5 * MiB, 12 * MiB), chance.randint(15 * MiB, 32 * MiB)])
    sealing = chance.choice([{}, {}, {"release_key": "at_stitch"}, {"encrypt": False}])
    make = _on_the_wire if way.startswith("wire") else _at_requests
    return Plan(
        seed,
        way,
        size,
        {"threads": chance.randint(1, 4), "part_size": "5M", **sealing},
        [make(chance, size) for _each in range(chance.choice([1, 1, 2, 3, 5]))],
        chance.choice(SKEWS),
        chance.random() < SHORT_TOKENS,
        chance.choice([0, 0, 0, 0, 1, 2, 40]),
        chance.random() < 0.3,
    )


def _on_the_wire(chance: random.Random, size: int) -> Fault:
    route = chance.choice(["up", "up", "down"])
    most = min(size, 6 * MiB) if route == "up" else 4000
    where = chance.choice([chance.randint(0, 3000), chance.randint(0, most)])
    return Fault(chance.choice(BODY), route, chance.randint(1, 6), where)


def _at_requests(chance: random.Random, size: int) -> Fault:
    kind = chance.choice([*BODY, *ANSWER, "answer-lost", "answer-late", "duplicate", "token-expired", *STATUSES])
    routes = ["look", "begin", "part", "part", "part", "stitch", "stitch", "state", "list"] if size >= 5 * MiB else ["look", "file", "file"]
    if kind in STATUSES:
        routes += ["token", "server"]
    route = chance.choice(routes)
    parts = max(1, size // (5 * MiB))
    nth = chance.randint(1, parts + 1) if route == "part" else 1
    if kind in STATUSES:
        times = chance.randint(1, 4)
    elif kind == "token-expired":
        times = chance.choice([1, 1, 6])
    else:
        times = 1
    return Fault(kind, route, nth, chance.random(), times)
