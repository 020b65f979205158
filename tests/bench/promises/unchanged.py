"""A file that did not change is neither read nor sent: its size does not matter."""

from __future__ import annotations

from ..claims import Claim
from ..load import size_name
from . import Findings, GiB, MiB
from .zeros import Wanted, Zeros

LIMIT = 50.0
"""Milliseconds of the engine."""
SIZES = (MiB, 2 * GiB, 64 * GiB)
SMOKE_SIZES = (MiB, 64 * MiB)


def findings(zeros: Zeros, *, smoke: bool = False) -> Findings:
    """How long the engine takes for a file that is there already and was uploaded from here, with a token and with a password."""
    made = [zeros.upload(Wanted(size)) for size in (SMOKE_SIZES if smoke else SIZES)]
    claims = [
        Claim(f"an unchanged file of {size_name(run.size)}, {way}", 1000 * seconds, "ms", at_most=LIMIT)
        for run in made
        for way, seconds in (("given a token", run.again_with_token), ("logging in with a password", run.again))
    ]
    return Findings(claims, {"runs": [run._asdict() for run in made]})
