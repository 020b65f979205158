"""The journal costs next to nothing, and a part of 10,000 costs what a part of 100 does."""

from __future__ import annotations

from ..claims import Claim
from . import Findings, GiB
from .zeros import PART_SIZE, Uploaded, Wanted, Zeros

SHARE = 1.0
"""Per cent of the time that the upload takes."""
GROWTH = 1.1
"""How many times a part may cost what it costs where there are few, and it is called linear."""


def findings(zeros: Zeros, *, smoke: bool = False) -> Findings:
    """What the journal and the whole take for few, for more and for as many parts as there may be."""
    sizes = [4 * PART_SIZE, 8 * PART_SIZE, GiB // 16] if smoke else [100 * PART_SIZE, 1000 * PART_SIZE, 64 * GiB]
    few, more, most = (zeros.upload(Wanted(size)) for size in sizes)
    claims = [
        Claim(f"the journal's share of the time, {most.parts:,} parts", 100 * most.journal["seconds"] / most.seconds, "%", at_most=SHARE),
        Claim(
            f"the journal's time for a part, {most.parts:,} against {few.parts:,} parts", _noting(most) / _noting(few), "x", at_most=GROWTH
        ),
        Claim(f"the whole time for a part, {most.parts:,} against {more.parts:,} parts", _whole(most) / _whole(more), "x", at_most=GROWTH),
    ]
    return Findings(claims, {"runs": [few.facts(), more.facts(), most.facts()]})


def _noting(made: Uploaded) -> float:
    return made.journal["seconds"] / made.parts


def _whole(made: Uploaded) -> float:
    return made.seconds / made.parts
