"""Memory does not grow with the file."""

from __future__ import annotations

from ..claims import Claim
from ..load import size_name
from . import Findings, GiB, MiB
from .zeros import THREADS, Uploaded, Wanted, Zeros

CLIENT, SERVICE = 120, 150
"""MiB."""
GROWTH = 10
"""MiB that two runs of the same size may differ by: no more than that, and the peak is flat."""
SMALL = 1 * GiB
LARGE = {"with_parts": 64 * GiB, "at_stitch": 8 * GiB}
"""Sealed, zeros are none: what waits for its key until the stitch call needs a disk that holds it, and the time to write it."""
SMOKE_SMALL, SMOKE_LARGE = 128 * MiB, 256 * MiB


def findings(zeros: Zeros, *, smoke: bool = False) -> Findings:
    """Peak memory of client and service for a small and a large file, for either way to release the key."""
    claims: list[Claim] = []
    figures = {}
    for release_key, size in LARGE.items():
        sizes = (SMOKE_SMALL, SMOKE_LARGE) if smoke else (SMALL, size)
        small, large = (zeros.upload(Wanted(size, release_key)) for size in sizes)
        claims += _side("client", (small.client, large.client), large, CLIENT)
        claims += _side("service", (small.service, large.service), large, SERVICE)
        figures[release_key] = [small._asdict(), large._asdict()]
    return Findings(claims, figures)


def _side(who: str, peaks: tuple[int, int], large: Uploaded, limit: int) -> list[Claim]:
    """What one side claims, by its peaks with the small and with the large file, in bytes."""
    what = f"peak memory of the {who}, {THREADS} threads, {large.release_key}, {size_name(large.size)}"
    return [
        Claim(what, peaks[1] / MiB, "MiB", at_most=limit),
        Claim(f"{what}: more than with a small file", (peaks[1] - peaks[0]) / MiB, "MiB", at_most=GROWTH),
    ]
