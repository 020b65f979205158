"""A file that did not change is neither read nor sent: its size does not matter."""

from __future__ import annotations

from ..claims import Claim
from . import Findings, GiB, MiB
from .zeros import Wanted, Zeros

LIMIT = 50.0
"""Milliseconds of the engine."""
SIZES = (MiB, 2 * GiB, 64 * GiB)
SMOKE_SIZES = (MiB, GiB // 16)


def findings(zeros: Zeros, *, smoke: bool = False) -> Findings:
    """How long the engine takes for a file that is there already, and that was uploaded from here."""
    made = [zeros.upload(Wanted(size)) for size in (SMOKE_SIZES if smoke else SIZES)]
    claims = [Claim(f"an unchanged file of {run.size / GiB:g} GiB", 1000 * run.again_with_token, "ms", at_most=LIMIT) for run in made]
    return Findings(claims, {"runs": [run.facts() for run in made]})
