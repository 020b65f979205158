"""The promises that no other tool is measured against: a slow link, a rate limit, memory, the journal, a file that did not change."""

from __future__ import annotations

import typing as t

from ..claims import Claim

MiB = 1 << 20
GiB = 1 << 30


class Findings(t.NamedTuple):
    """What a promise claims, and the raw figures below it, for JSON."""

    claims: list[Claim]
    figures: dict[str, t.Any]


__all__ = ["Findings", "GiB", "MiB"]
