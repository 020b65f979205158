"""Memory does not grow with the file."""

from __future__ import annotations

from ..claims import Claim
from . import Findings, GiB, MiB
from .zeros import THREADS, Wanted, Zeros

CLIENT, SERVICE = 120, 150
"""MiB."""
GROWTH = 10
"""MiB by which a file that is many times larger may raise a peak, and it is called flat: a tenth, which two runs of one size may differ by."""
SMALL = 1 * GiB
LARGE = {"with_parts": 64 * GiB, "at_stitch": 8 * GiB}
"""What is sealed until the stitch call is no zeros, so the disk has to have room for it, and is given the time to write it."""


def findings(zeros: Zeros, *, smoke: bool = False) -> Findings:
    """Peak memory of client and service for a small and a large file, for either way to release the key."""
    divisor = 16 if smoke else 1
    claims, figures = [], {}
    for release_key, size in LARGE.items():
        small, large = (zeros.upload(Wanted(bytes_ // divisor, release_key)) for bytes_ in (SMALL, GiB if smoke else size))
        figures[release_key] = [small.facts(), large.facts()]
        for who, before, after, limit in (
            ("client", small.client, large.client, CLIENT),
            ("service", small.service, large.service, SERVICE),
        ):
            what = f"peak memory of the {who}, {THREADS} threads, {release_key}"
            claims += [
                Claim(f"{what}, {large.size / GiB:g} GiB", after / MiB, "MiB", at_most=limit),
                Claim(f"{what}, more than with {small.size / GiB:g} GiB by", (after - before) / MiB, "MiB", at_most=GROWTH),
            ]
    return Findings(claims, figures)
