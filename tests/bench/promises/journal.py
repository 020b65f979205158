"""The journal costs next to nothing, and a part of 10,000 costs what a part of 100 does."""

from __future__ import annotations

from ..claims import Claim
from . import Findings, GiB, MiB
from .zeros import PART_SIZE, Wanted, Zeros

SHARE = 1.0
"""Per cent of the time that the upload takes."""
GROWTH = 1.1
"""How many times as much a part may cost where there are many, and the whole is linear."""
SIZES = (100 * PART_SIZE, 1000 * PART_SIZE, 64 * GiB)
SMOKE_SIZES = (4 * PART_SIZE, 8 * PART_SIZE, 64 * MiB)


def findings(zeros: Zeros, *, smoke: bool = False) -> Findings:
    """What the journal and the whole take for few, for more and for as many parts as there may be."""
    few, more, most = (zeros.upload(Wanted(size)) for size in (SMOKE_SIZES if smoke else SIZES))
    noting = [made.journal["seconds"] / made.parts for made in (few, more, most)]
    whole = [made.seconds / made.parts for made in (few, more, most)]
    claims = [
        Claim(f"the journal's share of the time, {most.parts:,} parts", 100 * most.journal["seconds"] / most.seconds, "%", at_most=SHARE),
        Claim(f"the journal's time for a part, {most.parts:,} over {few.parts:,} parts", noting[2] / noting[0], "x", at_most=GROWTH),
        # Few parts bear the login and the start of the threads, which would hide a growth.
        Claim(f"the whole time for a part, {most.parts:,} over {more.parts:,} parts", whole[2] / whole[1], "x", at_most=GROWTH),
    ]
    return Findings(claims, {"runs": [made._asdict() for made in (few, more, most)]})
